/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Results leave through a writer: text for people, NDJSON for scripts, a table on a terminal.
 * A writer formats; it decides nothing and asks for nothing.
 */
#ifndef TCPSTALL_VIEW_WRITER_H
#define TCPSTALL_VIEW_WRITER_H

#include <stdio.h>
#include "engine/engine.h"

struct brief;
struct writer;
struct names;

#define COLUMNS_MAX 100 /* text is never wider */

struct writer_config {
	FILE *out;
	const char *host;
	const char *file;	/* the capture; NULL: live */
	int64_t wall_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
	bool colour;
	int columns;	     /* text: width of the terminal; 0: COLUMNS_MAX */
	struct names *names; /* text: show what is known of them; NULL: addresses only */
	int verbose;	     /* -1 quiet, 0, 1 */
};

struct summary {
	uint64_t now_ns;
	struct engine_counts counts;
	uint64_t probes_sent;
	uint64_t answers_ignored; /* ICMP errors that quote nothing we have sent */
	int n_lost;
	struct {
		const char *reason;
		uint64_t count;
	} lost[16];
	int n_remarks;
	const char *remarks[8]; /* what was seen incompletely */
	bool counted;		/* by packet, in captures: */
	uint64_t segments, retransmissions, zero_windows;
	const struct brief *live; /* the verdict that the file itself tells of; NULL: none */
};

int writer_text(const struct writer_config *config, struct writer **ret);
int writer_json(const struct writer_config *config, struct writer **ret);
/* Hands results to functions: for who does more with them than write. */
int writer_call(int (*output)(const struct output *out, void *arg),
		int (*summary)(const struct summary *summary, void *arg), void *arg,
		struct writer **ret);
void writer_free(struct writer *w);

/* All kinds but OUT_WANT. -EPIPE once the reader is gone. */
int writer_output(struct writer *w, const struct output *out);
int writer_summary(struct writer *w, const struct summary *summary);

#endif
