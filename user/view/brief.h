/* SPDX-License-Identifier: GPL-2.0-only */
/* An incident in a few plain lines: for the comment of a capture, and for a letter to a vendor. */
#ifndef TCPSTALL_VIEW_BRIEF_H
#define TCPSTALL_VIEW_BRIEF_H

#include "engine/verdict.h"

/* The verdict in one sentence. -ENOMEM. */
int brief_sentence(const struct incident *incident, char **ret);

/* The whole, ended by a line end each. file: the capture, or NULL. -ENOMEM. */
int brief_text(const struct incident *incident, const char *file, int64_t wall_offset_ns,
	       char **ret);

#endif
