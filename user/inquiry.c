/* SPDX-License-Identifier: GPL-2.0-only */
#include "inquiry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "host/broker.h"
#include "host/host.h"
#include "host/owners.h"

#define SLICE_NS (4 * NS_PER_MS) /* for processes, at a time */

struct inquiry {
	struct namespaces *namespaces;
	struct owners *owners;
	observe_fn observe;
	void *arg;
	uint32_t self_netns;
};

static void tell_route(const struct inquiry *q, const struct route_seen *route)
{
	struct observation obs = {.type = OBS_ROUTE, .now_ns = mono_ns(), .route = *route};

	q->observe(&obs, q->arg);
}

static void tell_process(const struct process_seen *process, void *arg)
{
	const struct inquiry *q = arg;
	struct observation obs = {.type = OBS_PROCESS, .now_ns = mono_ns(), .process = *process};

	q->observe(&obs, q->arg);
}

/*
 * The flow lives in another namespace, and its gateway's address is one of ours: this host forwards
 * it, as it does for containers. Then the way on from here is the second stretch.
 */
static void ask_uplink(const struct inquiry *q, const struct want *want,
		       const struct route_seen *inner)
{
	const struct flow_key gateway = {.remote.addr = inner->gateway};
	struct route_seen route;

	if (!inner->gateway.family || want->key.netns == q->self_netns ||
	    host_route(&gateway, 0, -1, &route) || !route.loopback ||
	    host_route(&want->key, 0, -1, &route))
		return;
	route.hop = 1;
	tell_route(q, &route);
}

static int ask_owner(const struct inquiry *q, const struct want *want)
{
	return broker_relied() ? broker_owner(&want->key, want->inode)
			       : owners_ask(q->owners, &want->key, want->inode);
}

/* Where no route can be told the engine decides without; of a process it waits for the answer. */
void inquiry_want(struct inquiry *q, const struct want *want)
{
	struct process_seen nobody = {.key = want->key};
	int fd = namespaces_fd(q->namespaces, want->key.netns);
	struct route_seen route;

	if (fd >= 0 && !host_route(&want->key, want->snapshot.ifindex, fd, &route)) {
		tell_route(q, &route);
		ask_uplink(q, want, &route);
	}
	if (want->inode && ask_owner(q, want))
		tell_process(&nobody, q);
}

bool inquiry_busy(const struct inquiry *q)
{
	return owners_busy(q->owners);
}

void inquiry_run(struct inquiry *q)
{
	owners_run(q->owners, SLICE_NS, tell_process, q);
}

int inquiry_take(struct inquiry *q)
{
	struct process_seen process;
	int r;

	while (!(r = broker_found(&process)))
		tell_process(&process, q);
	return r == -EAGAIN ? 0 : r;
}

int inquiry_new(struct namespaces *namespaces, observe_fn observe, void *arg, struct inquiry **ret)
{
	struct inquiry *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	*q = (struct inquiry){.namespaces = namespaces, .observe = observe, .arg = arg};
	r = namespace_self(&q->self_netns);
	if (!r)
		r = owners_new(&q->owners);
	if (r) {
		inquiry_free(q);
		return r;
	}
	*ret = q;
	return 0;
}

void inquiry_free(struct inquiry *q)
{
	if (!q)
		return;
	owners_free(q->owners);
	free(q);
}
