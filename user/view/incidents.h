/* SPDX-License-Identifier: GPL-2.0-only */
/* Incidents as a table, one a line, for people. */
#ifndef TCPSTALL_VIEW_INCIDENTS_H
#define TCPSTALL_VIEW_INCIDENTS_H

#include <stdio.h>
#include "engine/engine.h"

void incidents_head(FILE *out, bool colour);

/* out: its latest event. 0, or what went wrong with the stream: -EPIPE, -ENOSPC. */
int incidents_line(FILE *to, bool running, const struct output *out, bool colour);

/*
 * When what happened in one of them; at_ns: what is said of a moment, in any order. wall_offset_ns:
 * as in writer_config.
 */
struct moment {
	uint64_t at_ns;
	const char *text;
};
int incidents_timeline(FILE *to, struct moment *moments, int n, uint64_t zero_ns,
		       int64_t wall_offset_ns);

#endif
