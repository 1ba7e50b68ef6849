/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An alert in words: what every sink sends in one form or another. Rendered once, then shared by
 * the queues of all sinks.
 */
#ifndef TCPSTALL_ALERT_MESSAGE_H
#define TCPSTALL_ALERT_MESSAGE_H

#include "alert/alert.h"

struct message {
	int refs; /* under the lock of whoever shares it */
	struct alert alert;
	uint64_t made_ns;
	int64_t wall_offset_ns; /* when it was made */
	char host[NAME_LEN];
	char *line; /* one sentence */
	char *text; /* lines, for people */
	char *json; /* one object, one line */
};

/* NULL: not enough memory. */
struct message *message_new(const struct alert *alert, const char *host, int64_t wall_offset_ns);
void message_free(struct message *m); /* NULL is fine */

/* Body of a POST to Alertmanager, API v2; malloc()ed; NULL: not enough memory. */
char *message_alertmanager(const struct message *m);

/* Headers and body for sendmail; malloc()ed; NULL: not enough memory. */
char *message_mail(const struct message *m, const char *to, const char *from);

/* A made-up alert that says that it is one. */
void message_test_alert(struct alert *ret);

#endif
