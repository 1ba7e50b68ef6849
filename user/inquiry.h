/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Grants WANT_HOST for the monitor: routes at once, processes in slices of time, so that the loop
 * goes on. What is found out comes as observations.
 */
#ifndef TCPSTALL_INQUIRY_H
#define TCPSTALL_INQUIRY_H

#include "engine/engine.h"

struct inquiry;
struct namespaces;

/* namespaces is borrowed. -ENOMEM, or -errno if our own namespace cannot be told. */
int inquiry_new(struct namespaces *namespaces, observe_fn observe, void *arg, struct inquiry **ret);
void inquiry_free(struct inquiry *q); /* NULL is fine */

void inquiry_want(struct inquiry *q, const struct want *want);
bool inquiry_busy(const struct inquiry *q); /* inquiry_run() has something to do */
void inquiry_run(struct inquiry *q);

/* When broker_fd() is readable, if there is a broker (host/broker.h). -EPIPE: it has ended. */
int inquiry_take(struct inquiry *q);

#endif
