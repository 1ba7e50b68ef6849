/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flows that are listened to, the namespaces they live in, and the order of a run. Sockets are
 * open only while a flow of their namespace is listened to or probed.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/host.h"
#include "probe/internal.h"
#include "probe/match.h"

static bool same_flow(const struct flow_key *a, const struct flow_key *b)
{
	return a->cookie == b->cookie && a->netns == b->netns &&
	       endpoint_equal(&a->local, &b->local) && endpoint_equal(&a->remote, &b->remote);
}

static struct flow *find_flow(const struct prober *p, const struct flow_key *key)
{
	for (int i = 0; i < p->n_flows; i++) {
		if (!p->flows[i]->released && same_flow(&p->flows[i]->key, key))
			return p->flows[i];
	}
	return NULL;
}

static int rebuild_filter(const struct prober *p, struct net *net)
{
	uint32_t pairs[FLOWS_MAX];
	int n = 0;

	for (int i = 0; i < p->n_flows; i++) {
		const struct flow_key *key = &p->flows[i]->key;

		if (p->flows[i]->net == net && key->local.port)
			pairs[n++] = wire_pair(key->local.port, key->remote.port);
	}
	return wire_listen(net->wire, pairs, n);
}

static int open_net(struct prober *p, uint32_t netns, struct net **ret)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct net *unused = NULL;
	struct wire *wire = NULL;
	int r, fd = -1;

	for (struct net *net = p->nets; net < p->nets + NETS_MAX; net++) {
		if (net->wire && net->netns == netns) {
			*ret = net;
			return 0;
		}
		if (!net->wire && !unused)
			unused = net;
	}
	if (!unused)
		return -EMFILE;
	if (netns && netns != p->self_netns) {
		fd = p->netns_fd(netns, p->arg);
		if (fd < 0)
			return fd;
	}
	r = wire_open(fd, &wire);
	if (r)
		return r;
	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, wire_fd(wire), &event)) {
		r = -errno;
		wire_close(wire);
		return r;
	}
	*unused = (struct net){.netns = netns, .wire = wire};
	*ret = unused;
	return 0;
}

static void free_flow(struct flow *f)
{
	free(f->copy);
	free(f);
}

/* Frees what is no longer wanted. */
static void sweep(struct prober *p)
{
	int kept = 0;

	for (int i = 0; i < p->n_flows; i++) {
		struct flow *f = p->flows[i];
		bool busy = f->listening || f->n_queued;

		for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
			if (s->flow != f)
				continue;
			busy = true;
			if (f->released)
				s->flow = NULL;
		}
		if (busy && !f->released) {
			p->flows[kept++] = f;
			continue;
		}
		if (f->net) {
			f->net->flows--;
			f->net->changed = true;
		}
		free_flow(f);
	}
	p->n_flows = kept;
	for (struct net *net = p->nets; net < p->nets + NETS_MAX; net++) {
		if (!net->wire || !net->changed)
			continue;
		net->changed = false;
		if (net->flows) {
			rebuild_filter(p, net); /* hearing too much is no harm if this fails */
			continue;
		}
		wire_close(net->wire); /* leaves the epoll set by itself */
		net->wire = NULL;
	}
}

/* Even a flow that cannot be probed is kept: each of its probes is answered with the error. */
static int add_flow(struct prober *p, const struct want *want, struct flow **ret)
{
	struct flow *f;

	if (p->n_flows == FLOWS_MAX)
		return -ENOSPC;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->key = want->key;
	f->snd_max = want->snapshot.snd_nxt;
	f->last_ack = want->snapshot.snd_una;
	f->offset = p->tsval_offset; /* random: other watchers begin elsewhere */
	p->flows[p->n_flows++] = f;
	f->error = open_net(p, want->key.netns, &f->net);
	if (!f->error) {
		f->net->flows++;
		f->error = rebuild_filter(p, f->net);
	}
	*ret = f;
	return 0;
}

static int enqueue(struct prober *p, struct flow *f, const struct want *want)
{
	if (!want->probe.first_ttl || want->probe.first_ttl > want->probe.last_ttl ||
	    !want->probe.count || want->probe.kind >= PROBE_KINDS)
		return -EINVAL;
	if (f->n_queued == WANTS_MAX) {
		p->counts.over_budget += want->probe.count * (uint64_t)(want->probe.last_ttl -
									want->probe.first_ttl + 1);
		return -ENOSPC;
	}
	f->queue[f->n_queued++] = (struct queued){
		.kind = want->probe.kind,
		.first_ttl = want->probe.first_ttl,
		.last_ttl = want->probe.last_ttl,
		.ttl = want->probe.first_ttl,
		.rounds = want->probe.count,
		.size = want->probe.kind == PROBE_IN_FLOW_FULL ? want->probe.size : 0,
	};
	return 0;
}

int prober_want(struct prober *p, const struct want *want, uint64_t now_ns)
{
	struct flow *f = find_flow(p, &want->key);
	int r = 0;

	if (want->kind == WANT_ONLINK)
		return onlink_want(p, want);
	if (want->kind == WANT_RELEASE) {
		onlink_release(p, &want->key);
		if (f)
			f->released = true;
		if (!p->running)
			sweep(p);
		return 0;
	}
	if (want->kind != WANT_LISTEN && want->kind != WANT_PROBE)
		return 0;
	if (!f)
		r = add_flow(p, want, &f);
	if (r)
		return r;
	f->snapshot = want->snapshot;
	f->snapshot.key = want->key;
	if (seq_before(f->snd_max, want->snapshot.snd_nxt))
		f->snd_max = want->snapshot.snd_nxt;
	if (want->kind == WANT_LISTEN) {
		f->listening = true;
		return f->error;
	}
	if (p->next_send_ns < now_ns)
		p->next_send_ns = now_ns;
	return enqueue(p, f, want);
}

void report_probe(struct prober *p, const struct probe_seen *seen)
{
	struct observation obs = {.type = OBS_PROBE, .now_ns = mono_ns(), .probe = *seen};

	p->observe(&obs, p->arg);
}

void tap_probe(const struct prober *p, const struct probe_seen *seen)
{
	const struct probe_packet packet = {
		.key = &seen->key,
		.time_ns = seen->answered_ns ? seen->answered_ns : seen->sent_ns,
		.data = p->buf,
		.len = p->len,
		.outgoing = !seen->answered_ns,
		.kind = seen->kind,
		.ttl = seen->ttl,
		.answer = seen->answer,
	};

	if (p->tap)
		p->tap(&packet, p->tap_arg);
}

void prober_tap(struct prober *p, probe_tap_fn tap, void *arg)
{
	p->tap = tap;
	p->tap_arg = arg;
}

/* Gives up on what has waited long enough. */
static void time_out(struct prober *p, uint64_t now_ns)
{
	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (!s->flow || s->seen.sent_ns + PROBE_TIMEOUT_NS > now_ns)
			continue;
		s->flow = NULL;
		report_probe(p, &s->seen); /* ANSWER_NONE */
	}
}

static uint64_t next_time_out(const struct prober *p)
{
	uint64_t next = UINT64_MAX;

	for (const struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (s->flow && s->seen.sent_ns + PROBE_TIMEOUT_NS < next)
			next = s->seen.sent_ns + PROBE_TIMEOUT_NS;
	}
	return next;
}

uint64_t prober_run(struct prober *p, uint64_t now_ns)
{
	uint64_t next_send, next_timeout, next_onlink;

	p->running = true;
	for (struct net *net = p->nets; net < p->nets + NETS_MAX; net++)
		read_answers(p, net);
	time_out(p, now_ns);
	next_onlink = onlink_run(p, now_ns);
	next_send = send_due(p, now_ns);
	p->running = false;
	sweep(p);
	next_timeout = next_time_out(p);
	next_timeout = next_onlink < next_timeout ? next_onlink : next_timeout;
	return next_send < next_timeout ? next_send : next_timeout;
}

int prober_new(int (*netns_fd)(uint32_t netns, void *arg), observe_fn observe, void *arg,
	       struct prober **ret)
{
	struct prober *p = calloc(1, sizeof(*p));
	int r = -ENOMEM, raw;

	if (!p)
		return r;
	p->epoll = -1;
	p->netns_fd = netns_fd;
	p->observe = observe;
	p->arg = arg;
	raw = namespace_socket(-1, AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (raw < 0) {
		r = raw == -EACCES ? -EPERM : raw;
		goto out;
	}
	close(raw);
	r = namespace_self(&p->self_netns);
	if (r)
		goto out;
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0) {
		r = -errno;
		goto out;
	}
	if (getrandom(&p->tsval_offset, sizeof(p->tsval_offset), 0) < 0 ||
	    getrandom(&p->next_ip_id, sizeof(p->next_ip_id), 0) < 0) {
		r = -errno;
		goto out;
	}
	*ret = p;
	p = NULL;
	r = 0;
out:
	prober_free(p);
	return r;
}

void prober_free(struct prober *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n_flows; i++)
		free_flow(p->flows[i]);
	onlink_free(p);
	for (int i = 0; i < NETS_MAX; i++)
		wire_close(p->nets[i].wire);
	if (p->epoll >= 0)
		close(p->epoll);
	free(p);
}

int prober_fd(const struct prober *p)
{
	return p->epoll;
}

struct prober_counts prober_counts(const struct prober *p)
{
	return p->counts;
}
