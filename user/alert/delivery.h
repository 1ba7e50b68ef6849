/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One message on its way to one sink. Those that take time are driven by poll(): descriptors to
 * wait for, and a step. Shared by the files of this room.
 */
#ifndef TCPSTALL_ALERT_DELIVERY_H
#define TCPSTALL_ALERT_DELIVERY_H

#include <poll.h>

#include "alert/message.h"

#define DELIVERY_WHY 200
#define DELIVERY_FDS 4 /* to wait for, at most */

enum delivery_state {
	DELIVERY_GOES_ON,
	DELIVERY_DONE,
	DELIVERY_LATER, /* it may work another time */
	DELIVERY_NEVER, /* it is refused, and would be again */
};

struct delivery {
	enum delivery_state state;
	char why[DELIVERY_WHY]; /* not done */
	uint64_t until_ns;	/* then it is given up */
	struct program_delivery *program;
	struct http_delivery *http;
};

/* Begins. The message is needed until delivery_end(). */
void delivery_begin(struct delivery *d, const struct sink_config *sink, const struct message *m);

/* What to wait for; the number, at most DELIVERY_FDS. */
int delivery_fds(const struct delivery *d, struct pollfd fds[DELIVERY_FDS]);
uint64_t delivery_wake_ns(const struct delivery *d, uint64_t now_ns);
void delivery_step(struct delivery *d, uint64_t now_ns);
void delivery_end(struct delivery *d); /* whatever its state; then it can begin again */

/* What the kinds of sinks offer. Immediate ones: */
enum delivery_state journal_deliver(const struct message *m, char why[DELIVERY_WHY]);
enum delivery_state syslog_deliver(const struct message *m, char why[DELIVERY_WHY]);

/* program.c: argv is words separated by blanks, input is written to its standard input. */
int program_begin(const char *command, const char *input, struct program_delivery **ret);
int program_fds(const struct program_delivery *p, struct pollfd fds[DELIVERY_FDS]);
enum delivery_state program_step(struct program_delivery *p, char why[DELIVERY_WHY]);
void program_end(struct program_delivery *p); /* kills it if it still runs; NULL is fine */

/* http.c: a POST. */
int http_begin(const struct sink_config *sink, const char *path, const char *body,
	       struct http_delivery **ret);
int http_fds(const struct http_delivery *h, struct pollfd fds[DELIVERY_FDS]);
uint64_t http_wake_ns(const struct http_delivery *h, uint64_t now_ns);
enum delivery_state http_step(struct http_delivery *h, char why[DELIVERY_WHY]);
void http_end(struct http_delivery *h); /* NULL is fine */

#endif
