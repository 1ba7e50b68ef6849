/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the live verbs share: from options to a running monitor, and from its end to an exit status.
 * These functions report errors on stderr, one line each, and return an exit status.
 */
#ifndef TCPSTALL_SESSION_H
#define TCPSTALL_SESSION_H

#include "monitor.h"
#include "verb.h"

struct session {
	const struct options *options;
	struct monitor_config config; /* the verb may change it between prepare and start */
	struct flow_filter *filter;
	struct writer *writer;
	struct names *names;
	struct live *live;
	struct store *store;
	struct monitor *monitor;
	FILE *out;
	char host[NAME_LEN];
	int netns_fd;
};

/* Results go to -o FILE, or NDJSON to stdout, or text to text_out. */
int session_prepare(struct session *s, const struct options *options, FILE *text_out);

/* The writer that the options ask for, for s->host and s->config.engine. session_start() has it. */
int session_writer(struct session *s);

/* FILTER from the words of a command line; none is fine. */
int session_filter(struct session *s, int argc, char **argv);

/* Attaches, and says on stderr what is watched and what cannot be done. */
int session_start(struct session *s);

/* Runs to the end. ret_end: enum monitor_end, or negative errno. */
int session_run(struct session *s, int *ret_end);

/* What our maps, programs and rings take in the kernel, as it accounts for them; 0: unknown. */
uint64_t session_kernel_memory(const struct session *s);

void session_close(struct session *s); /* after session_prepare(), whatever came of it */

#endif
