/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An incident as one HTML page that stands alone: no script, font or picture from elsewhere, and
 * nothing is missing where scripts do not run. Light and dark, screen and paper. All text is taken
 * for hostile. The size of the page is bounded, however long the incident was.
 */
#ifndef TCPSTALL_VIEW_HTML_H
#define TCPSTALL_VIEW_HTML_H

#include <stdio.h>
#include "engine/verdict.h"
#include "incident/trail.h"

#define HTML_NOTES 40

/* A packet that matters. */
struct html_note {
	uint64_t frame, now_ns;
	char text[EXCERPT_NOTE];
};

struct html_report {
	const struct incident *incident;
	const struct trail *trail; /* NULL: no plots */
	const char *file;	   /* the capture; NULL: live */
	bool kept;		   /* live: packets are in the store */
	const char *program;	   /* our name and version */
	int64_t wall_offset_ns;
	struct html_note notes[HTML_NOTES]; /* in the order of time */
	int n_notes;
	uint64_t more_notes; /* that found no room */
};

/* 0, or what went wrong with the stream: -EPIPE, -ENOSPC; -ENOMEM. */
int html_write(FILE *out, const struct html_report *report);

#endif
