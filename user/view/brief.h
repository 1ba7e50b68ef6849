/* SPDX-License-Identifier: GPL-2.0-only */
/* An incident in a few plain lines: for the comment of a capture, and for a letter to a vendor. */
#ifndef TCPSTALL_VIEW_BRIEF_H
#define TCPSTALL_VIEW_BRIEF_H

#include "base/addr.h"
#include "engine/verdict.h"
#include "view/format.h"

/* The verdict in one sentence. -ENOMEM. */
int brief_sentence(const struct incident *incident, char **ret);

/* The whole, ended by a line end each. file: the capture, or NULL. -ENOMEM. */
int brief_text(const struct incident *incident, const char *file, int64_t wall_offset_ns,
	       char **ret);

/* What the comment of one of our exports says: the verdict that was given live. */
struct brief {
	char incident[INCIDENT_ID];
	char src[ENDPOINT_TEXT_LEN], dst[ENDPOINT_TEXT_LEN];
	char cause[64], place[PLACE_LEN]; /* without what they are worth in percent */
	char moved[FORMAT_LEN];		  /* before it stopped; "" if it does not say */
};

/* false: it is no text of brief_text(). The words may be anybody's, but no control characters. */
bool brief_read(const char *comment, struct brief *ret);

#endif
