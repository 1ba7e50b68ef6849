/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket: a client sends one line and reads lines. `status` and `dump` are answered and
 * the connection is closed; `watch json` and `watch text` go on with every result. Who may ask is
 * decided by the kernel's word on the peer: root, the daemon's own user, and the members of a
 * group. A client that does not read in time is let go, never waited for.
 */
#ifndef TCPSTALL_DAEMON_CONTROL_H
#define TCPSTALL_DAEMON_CONTROL_H

#include <stdint.h>
#include <stdio.h>

#include "engine/engine.h"

#define CONTROL_SOCKET	"control"
#define CONTROL_LINE	256
#define CONTROL_CLIENTS 16

struct control;

struct control_ops {
	void (*status)(FILE *to, void *arg);
	void (*dump)(FILE *to, void *arg);
	/* One result for those who watch. */
	void (*result)(const struct output *out, bool json, FILE *to, void *arg);
};

/* group "": nobody but root and ourselves. -ENOENT: there is no such group; -EACCES ... */
int control_new(const char *dir, const char *group, const struct control_ops *ops, void *arg,
		struct control **ret);
void control_free(struct control *c); /* NULL is fine */

int control_fd(const struct control *c);
void control_run(struct control *c); /* when readable */
void control_output(struct control *c, const struct output *out);

/* A request, as it came from a client. Exposed for tests. */
enum control_request { ASKED_STATUS, ASKED_DUMP, ASKED_JSON, ASKED_TEXT, ASKED_NONSENSE };
enum control_request control_parse(const char *line);

/* The other side: a connected descriptor, the line sent. -ECONNREFUSED, -ENOENT: nobody listens. */
int control_ask(const char *dir, const char *line);

#endif
