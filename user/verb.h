/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs, in one table that drives dispatch, usage, `help`, completion and the man page's
 * synopsis. A verb is a file, user/cmd_NAME.c, and a row in verb.c.
 */
#ifndef TCPSTALL_VERB_H
#define TCPSTALL_VERB_H

#include <stdio.h>
#include "options.h"

enum exit_status {
	STATUS_DONE = 0,  /* and no stall */
	STATUS_ERROR = 1, /* at run time */
	STATUS_USAGE = 2,
	STATUS_STALLED = 3,	/* ran well, a stall was confirmed */
	STATUS_INCOMPLETE = 4,	/* packets or events were lost, with --strict */
	STATUS_UNSUPPORTED = 77 /* or not permitted */
};

struct verb {
	const char *name;
	int (*run)(const struct options *options, int argc, char **argv); /* argv: the operands */
	uint64_t options;		/* OPTION(a) | OPTION(b) ... */
	bool command_follows;		/* the first operand ends the options */
	int min_operands, max_operands; /* max < 0: no limit */
	const char *operands;		/* for usage; "" none */
	const char *summary;		/* one line */
	const char *notes; /* more for --help, lines of at most 86 columns; NULL none */
};

extern const struct verb verb_table[];
extern const int n_verbs;

struct status_info {
	enum exit_status status;
	const char *meaning;
};
extern const struct status_info status_table[];
extern const int n_statuses;

const struct verb *verb_find(const char *name); /* NULL: there is none */
const char *verb_nearest(const char *word);	/* a verb or filter word that was meant, or NULL */
bool looks_like_filter(const char *word);

void verb_usage(const struct verb *verb, FILE *to);

/* A verb returns an exit status and reports its own errors on stderr, one line each. */
int cmd_alert_test(const struct options *options, int argc, char **argv);
int cmd_analyze(const struct options *options, int argc, char **argv);
int cmd_check(const struct options *options, int argc, char **argv);
int cmd_daemon(const struct options *options, int argc, char **argv);
int cmd_dump(const struct options *options, int argc, char **argv);
int cmd_export(const struct options *options, int argc, char **argv);
int cmd_help(const struct options *options, int argc, char **argv);
int cmd_incidents(const struct options *options, int argc, char **argv);
int cmd_replay(const struct options *options, int argc, char **argv);
int cmd_report(const struct options *options, int argc, char **argv);
int cmd_run(const struct options *options, int argc, char **argv);
int cmd_show(const struct options *options, int argc, char **argv);
int cmd_status(const struct options *options, int argc, char **argv);
int cmd_trace(const struct options *options, int argc, char **argv);
int cmd_version(const struct options *options, int argc, char **argv);
int cmd_watch(const struct options *options, int argc, char **argv);

#endif
