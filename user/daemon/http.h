/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GET /metrics and /healthz, by libmicrohttpd without a thread of its own: its epoll descriptor is
 * one in our loop. Few connections at once and little time for each, so that slow clients and
 * rubbish cost nothing.
 */
#ifndef TCPSTALL_DAEMON_HTTP_H
#define TCPSTALL_DAEMON_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct http;

bool http_supported(void);
bool http_can_listen(const char *listen); /* it is written as below; nothing is opened */

struct http_ops {
	void (*metrics)(FILE *to, void *arg);
	const char *(*trouble)(void *arg); /* for /healthz; NULL: all is well */
};

/*
 * listen: ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH. -EINVAL: it is no address; -EADDRINUSE,
 * -EACCES ..., -ENOTSUP: not in this build.
 */
int http_new(const char *listen, const struct http_ops *ops, void *arg, struct http **ret);
void http_free(struct http *h); /* NULL is fine */

int http_fd(const struct http *h);

/* When readable or due. Returns when it is due next: UINT64_MAX never. */
uint64_t http_run(struct http *h, uint64_t now_ns);

#endif
