/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which probe goes when, and what is said of it.
 *
 * observe() may call prober_want(). So a flow found is good for as long as prober_run() lasts:
 * flows and sockets go away in sweep() only. And prober_want() never calls observe().
 *
 * Order: the first SERVED_FLOWS flows that have something to send take turns. Within a flow one
 * round goes through all TTLs, every kind of probe in turn, before the next round begins, so that
 * loss of some seconds hits all kinds alike and one router is not asked in bursts. Routers limit
 * the errors they send to one host (Linux: 6 at once, then 1/s, see inet_peer_xrlim_allow()); we
 * ask no faster, else silence would mean nothing.
 */
#include "probe/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/host.h"
#include "probe/craft.h"
#include "probe/match.h"
#include "probe/wire.h"

#define SEND_EVERY_NS                                                                              \
	(NS_PER_S / (PROBE_RATE - 1)) /* late timers must not make it more in a second */
#define SERVED_FLOWS 8
#define FLOWS_MAX    WIRE_PAIRS_MAX
#define NETS_MAX     16
#define WANTS_MAX    8	/* a flow */
#define SENT_MAX     64 /* unanswered at once; rate and timeout make it about 40 */
#define HOPS_MAX     64 /* from this TTL on a probe is meant for the peer */
#define HOP_BURST    6
#define HOP_EVERY_NS (1100 * NS_PER_MS)
#define RECEIVE_MAX  256 /* packets a namespace in one prober_run() */

struct net {
	uint32_t netns;
	struct wire *wire; /* NULL: free */
	int flows;
	bool changed;
};

/* What is left of a WANT_PROBE. */
struct queued {
	enum probe_kind kind;
	uint8_t first_ttl, last_ttl, ttl; /* ttl: next */
	uint8_t round, rounds;
	uint16_t size;
};

struct flow {
	struct flow_key key;
	struct flow_snapshot snapshot;
	struct look look;
	struct net *net; /* NULL: see error */
	int error;
	bool listening, released;
	bool sends_dsack;
	uint32_t snd_max;  /* highest sequence number sent, as far as we know */
	uint32_t last_ack; /* of the peer */
	uint32_t n_sent;
	uint32_t offset;
	uint8_t routers_to; /* largest TTL that a router has answered */
	uint64_t last_sent_ns;
	uint64_t hop_free_ns[HOPS_MAX]; /* virtual schedule of each hop (GCRA) */
	struct queued queue[WANTS_MAX];
	int n_queued;
};

/* A probe that waits for its answer. */
struct sent {
	struct flow *flow; /* NULL: free */
	struct segment segment;
	struct probe_seen seen;
};

struct prober {
	int (*netns_fd)(uint32_t netns, void *arg);
	observe_fn observe;
	void *arg;
	int epoll;
	uint32_t self_netns;
	bool running, dirty;
	struct net nets[NETS_MAX];
	struct flow *flows[FLOWS_MAX]; /* in order of arrival */
	int n_flows;
	struct sent sent[SENT_MAX];
	uint64_t next_send_ns;
	uint32_t tsval_offset;
	uint32_t n_control;
	uint16_t next_ip_id;
	struct prober_counts counts;
	uint8_t buf[PACKET_MAX];
};

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

/* The flow that the segment `from` -> `to` belongs to, seen from its local end. */
static struct flow *flow_between(const struct prober *p, const struct net *net,
				 const struct endpoint *local, const struct endpoint *remote)
{
	for (int i = 0; i < p->n_flows; i++) {
		struct flow *f = p->flows[i];

		if (f->net == net && !f->released && endpoint_equal(&f->key.local, local) &&
		    endpoint_equal(&f->key.remote, remote))
			return f;
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
		free(f);
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

	if (want->kind == WANT_RELEASE) {
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

static void report(struct prober *p, struct probe_seen *seen)
{
	struct observation obs = {.type = OBS_PROBE, .now_ns = mono_ns(), .probe = *seen};

	p->observe(&obs, p->arg);
}

/* Takes the next probe off a queued want. */
static void advance(struct flow *f, struct queued *q)
{
	if (q->ttl++ != q->last_ttl)
		return;
	q->ttl = q->first_ttl;
	if (++q->round == q->rounds)
		memmove(q, q + 1, (size_t)(&f->queue[--f->n_queued] - q) * sizeof(*q));
}

/* Flows to the same address share routers, and so the schedule of the first of them. */
static uint64_t *hop_schedule(const struct prober *p, const struct flow *f, uint8_t ttl)
{
	for (int i = 0; i < p->n_flows; i++) {
		struct flow *other = p->flows[i];

		if (other->net == f->net && !other->released &&
		    addr_equal(&other->key.remote.addr, &f->key.remote.addr))
			return &other->hop_free_ns[ttl];
	}
	return NULL;
}

/* Since when, or when, this hop may be asked. */
static uint64_t hop_due(const struct prober *p, const struct flow *f, uint8_t ttl)
{
	const uint64_t slack = (HOP_BURST - 1) * HOP_EVERY_NS;
	const uint64_t *free_ns = ttl < HOPS_MAX ? hop_schedule(p, f, ttl) : NULL;

	return free_ns && *free_ns > slack ? *free_ns - slack : 0;
}

static void hop_asked(const struct prober *p, const struct flow *f, uint8_t ttl, uint64_t now_ns)
{
	uint64_t *free_ns = ttl < HOPS_MAX ? hop_schedule(p, f, ttl) : NULL;

	if (free_ns)
		*free_ns = (*free_ns > now_ns ? *free_ns : now_ns) + HOP_EVERY_NS;
}

/* The probe of this flow that comes first, NULL if each has to wait, until *ret_due then. */
static struct queued *first_queued(const struct prober *p, struct flow *f, uint64_t now_ns,
				   uint64_t *ret_due)
{
	struct queued *first = NULL;

	for (struct queued *q = f->queue; q < f->queue + f->n_queued; q++) {
		uint64_t due = f->net ? hop_due(p, f, q->ttl) : 0;

		if (due > now_ns) {
			if (due < *ret_due)
				*ret_due = due;
		} else if (!first || q->round < first->round ||
			   (q->round == first->round && q->ttl < first->ttl)) {
			first = q;
		}
	}
	return first;
}

/* Whose turn it is. NULL: nobody's before *ret_due. */
static struct flow *next_flow(const struct prober *p, uint64_t now_ns, struct queued **ret,
			      uint64_t *ret_due)
{
	struct flow *next = NULL;
	int served = 0;

	*ret_due = UINT64_MAX;
	for (int i = 0; i < p->n_flows && served < SERVED_FLOWS; i++) {
		struct flow *f = p->flows[i];
		struct queued *q;

		if (f->released || !f->n_queued)
			continue;
		served++;
		q = first_queued(p, f, now_ns, ret_due);
		if (q && (!next || f->last_sent_ns < next->last_sent_ns)) {
			next = f;
			*ret = q;
		}
	}
	return next;
}

static bool in_use(const struct prober *p, const struct flow *f, uint32_t seq)
{
	for (const struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (s->flow == f && s->seen.kind != PROBE_CONTROL && s->segment.seq == seq)
			return true;
	}
	return false;
}

/* A sequence range that no waiting probe has, if there is room for one. */
static int build_in_flow(const struct prober *p, struct flow *f, uint16_t size, uint64_t now_ns,
			 struct segment *ret)
{
	for (int tries = 0; tries < CRAFT_OFFSETS; tries++) {
		uint32_t offset = f->offset++ % CRAFT_OFFSETS;
		int r = craft_in_flow(&f->snapshot, &f->look, size, offset, now_ns, ret);

		if (r || !in_use(p, f, ret->seq))
			return r;
	}
	return 0;
}

static int build_control(struct prober *p, struct flow *f, uint64_t now_ns, struct segment *ret)
{
	struct endpoint src = f->key.local;
	uint32_t seq;

	src.port = wire_control_port(f->net->wire, src.addr.family, (int)(p->n_control++ & 1));
	if (!src.port)
		return -EADDRNOTAVAIL;
	if (getrandom(&seq, sizeof(seq), 0) != sizeof(seq))
		return -EIO;
	craft_control(&f->snapshot, &f->look, &src, seq,
		      (uint32_t)(now_ns / NS_PER_MS) + p->tsval_offset, ret);
	return 0;
}

static int build(struct prober *p, struct flow *f, const struct queued *q, uint64_t now_ns,
		 struct segment *ret)
{
	int r;

	if (f->error)
		return f->error;
	if (f->n_sent >= PROBE_BUDGET) {
		p->counts.over_budget++;
		return -EDQUOT;
	}
	r = q->kind == PROBE_CONTROL ? build_control(p, f, now_ns, ret)
				     : build_in_flow(p, f, q->size, now_ns, ret);
	if (r)
		return r;
	ret->ttl = q->ttl;
	if (!++p->next_ip_id)
		p->next_ip_id = 1;
	ret->ip_id = p->next_ip_id;
	return 0;
}

static struct sent *free_slot(struct prober *p)
{
	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (!s->flow)
			return s;
	}
	return NULL;
}

/* Sends one probe, or says why it did not. Whether it was tried on the wire. */
static bool send_one(struct prober *p, struct flow *f, struct queued *q, struct sent *slot)
{
	const uint64_t now_ns = mono_ns();
	struct probe_seen seen = {
		.key = f->key, .kind = q->kind, .ttl = q->ttl, .size = q->size, .sent_ns = now_ns};
	struct segment segment = {0};
	int r = build(p, f, q, now_ns, &segment);
	bool tried = false;

	if (!r)
		r = packet_write(&segment, p->buf, sizeof(p->buf));
	if (r > 0) {
		tried = true;
		seen.size = (uint16_t)r;
		r = wire_send(f->net->wire, &segment, p->buf, (size_t)r, f->snapshot.ifindex);
		hop_asked(p, f, q->ttl, now_ns);
		f->last_sent_ns = now_ns;
	}
	advance(f, q);
	if (!r) {
		f->n_sent++;
		p->counts.sent++;
		*slot = (struct sent){.flow = f, .segment = segment, .seen = seen};
		return true;
	}
	p->counts.send_errors += tried;
	seen.answer = ANSWER_NOT_SENT;
	seen.error = -r;
	report(p, &seen);
	return tried;
}

/* Sends what is due. When to come back. */
static uint64_t send_due(struct prober *p, uint64_t now_ns)
{
	for (;;) {
		struct sent *slot = free_slot(p);
		struct queued *q = NULL;
		struct flow *f;
		uint64_t due;

		f = next_flow(p, now_ns, &q, &due);
		if (!f)
			return due;
		if (now_ns < p->next_send_ns || !slot)
			return p->next_send_ns > now_ns ? p->next_send_ns : now_ns + SEND_EVERY_NS;
		if (send_one(p, f, q, slot))
			p->next_send_ns = mono_ns() + SEND_EVERY_NS;
	}
}

static void answered(struct prober *p, struct sent *s, enum probe_answer answer, uint8_t ttl,
		     const struct ip_addr *from, uint64_t when_ns)
{
	s->seen.answer = answer;
	s->seen.answer_ttl = ttl;
	s->seen.from = *from;
	s->seen.answered_ns = when_ns > s->seen.sent_ns ? when_ns : s->seen.sent_ns;
	s->flow = NULL;
	p->counts.answered++;
	report(p, &s->seen);
}

/* The kernel's own segment came back as an error, unless the quote is not from what it has in
 * flight. */
static void icmp_for_flow(struct prober *p, const struct net *net, const struct icmp_error *e)
{
	for (int i = 0; i < p->n_flows; i++) {
		const struct flow *f = p->flows[i];
		struct observation obs = {.type = OBS_ICMP, .now_ns = mono_ns()};

		if (f->net != net || f->released || !endpoint_equal(&f->key.remote, &e->quoted_dst))
			continue;
		if (f->key.local.port != e->quoted_src.port ||
		    seq_before(e->quoted_seq, f->snapshot.snd_una) ||
		    seq_before(f->snd_max, e->quoted_seq)) {
			p->counts.unmatched++;
			continue;
		}
		obs.icmp = (struct icmp_seen){.key = f->key,
					      .from = e->from,
					      .type = e->type,
					      .code = e->code,
					      .mtu = e->mtu};
		p->observe(&obs, p->arg);
		return;
	}
}

static void on_error(struct prober *p, const struct net *net, const struct icmp_error *e,
		     uint64_t when_ns)
{
	enum probe_answer answer = error_answer(e);
	struct sent *best = NULL;
	int best_score = 0;

	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		int score = s->flow && s->flow->net == net ? match_error(e, &s->segment) : 0;

		/* Of equals the oldest. */
		if (score > best_score ||
		    (score && score == best_score && s->seen.sent_ns < best->seen.sent_ns)) {
			best = s;
			best_score = score;
		}
	}
	if (!best) {
		icmp_for_flow(p, net, e);
		return;
	}
	if (answer == ANSWER_NONE)
		return;
	if (answer == ANSWER_TIME_EXCEEDED && best->flow->routers_to < best->seen.ttl)
		best->flow->routers_to = best->seen.ttl;
	best->seen.icmp_code = e->code;
	best->seen.mtu = e->mtu;
	best->seen.quoted_src = e->quoted_src.addr;
	answered(p, best, answer, e->ttl, &e->from, when_ns);
}

/* What the kernel sends shows how the flow looks on the wire. Our own probes lie below SND.UNA. */
static void on_outgoing(const struct prober *p, const struct net *net, const struct segment *out)
{
	struct flow *f = flow_between(p, net, &out->src, &out->dst);

	if (!f || out->flags & (TH_SYN | TH_RST) || seq_before(out->seq, f->snapshot.snd_una))
		return;
	f->look = (struct look){.seen = true,
				.tos = out->tos,
				.window = out->window,
				.flow_label = out->flow_label};
	if (seq_before(f->snd_max, out->seq + out->payload))
		f->snd_max = out->seq + out->payload;
}

/*
 * A peer without D-SACK answers an old segment with a plain ACK that tells nothing new. It can only
 * come from a probe that outlived the routers: the one that could go farthest, the oldest of
 * equals.
 */
static struct sent *plain_ack(struct prober *p, struct flow *f, const struct segment *in)
{
	struct sent *best = NULL;

	if (in->ack != f->last_ack || f->sends_dsack || in->payload || in->n_sacks)
		return NULL;
	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (s->flow != f || s->seen.kind == PROBE_CONTROL || s->seen.ttl <= f->routers_to)
			continue;
		if (!best || s->seen.ttl > best->seen.ttl ||
		    (s->seen.ttl == best->seen.ttl && s->seen.sent_ns < best->seen.sent_ns))
			best = s;
	}
	return best;
}

static void on_incoming(struct prober *p, const struct net *net, const struct segment *in,
			uint64_t when_ns)
{
	enum probe_answer answer;
	struct sent *found = NULL;
	struct flow *f;

	for (struct sent *s = p->sent; s < p->sent + SENT_MAX && !found; s++) {
		if (s->flow && s->flow->net == net &&
		    match_segment(in, &s->segment, s->seen.kind, &answer))
			found = s;
	}
	f = flow_between(p, net, &in->dst, &in->src);
	if (f && in->flags & TH_ACK && !(in->flags & (TH_SYN | TH_FIN | TH_RST))) {
		if (found) {
			f->sends_dsack = true;
		} else {
			found = plain_ack(p, f, in);
			answer = ANSWER_ACK;
		}
		f->last_ack = in->ack;
	}
	if (!found)
		return;
	found->seen.seq = answer == ANSWER_ACK ? in->seq : 0;
	answered(p, found, answer, in->ttl, &in->src.addr, when_ns);
}

static void receive(struct prober *p, const struct net *net)
{
	for (int i = 0; i < RECEIVE_MAX && net->wire; i++) {
		struct wire_packet meta;
		struct packet packet;
		uint64_t when_ns;

		if (wire_receive(net->wire, p->buf, sizeof(p->buf), &meta))
			return;
		when_ns = mono_ns();
		if (meta.realtime_ns) { /* read late or not, it came when the kernel says */
			int64_t then = meta.realtime_ns - wall_offset_ns();

			if (then > 0 && (uint64_t)then < when_ns)
				when_ns = (uint64_t)then;
		}
		packet_read(p->buf, meta.len, &packet);
		if (packet.kind == PACKET_ICMP_ERROR && !meta.outgoing)
			on_error(p, net, &packet.error, when_ns);
		else if (packet.kind == PACKET_SEGMENT && meta.outgoing)
			on_outgoing(p, net, &packet.segment);
		else if (packet.kind == PACKET_SEGMENT)
			on_incoming(p, net, &packet.segment, when_ns);
	}
}

/* Gives up on what has waited long enough. */
static void time_out(struct prober *p, uint64_t now_ns)
{
	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (!s->flow || s->seen.sent_ns + PROBE_TIMEOUT_NS > now_ns)
			continue;
		s->flow = NULL;
		report(p, &s->seen); /* ANSWER_NONE */
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
	uint64_t next_send, next_timeout;

	p->running = true;
	for (struct net *net = p->nets; net < p->nets + NETS_MAX; net++)
		receive(p, net);
	time_out(p, now_ns);
	next_send = send_due(p, now_ns);
	p->running = false;
	sweep(p);
	next_timeout = next_time_out(p);
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
	raw = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (raw < 0) {
		r = errno == EACCES ? -EPERM : -errno;
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
		free(p->flows[i]);
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
