/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading TTL probes. A hop that never answers anybody is silent, not guilty: only nodes that
 * answered one kind of probe are held against another kind, and loss counts only if it lasts to
 * every node behind.
 */
#include "engine/judge.h"

#define LOOP_MAX 4 /* nodes of a routing loop */

static bool answered(const struct hop *h, enum probe_kind kind)
{
	return h->probes[kind].answered > 0;
}

static int unanswered_of(const struct tally *t)
{
	return t->sent - t->answered;
}

static int unanswered(const struct hop *h, enum probe_kind kind)
{
	return unanswered_of(&h->probes[kind]);
}

/*
 * Probes of one kind that went unanswered at this hop beyond what its twin lost there: both kinds
 * were sent at the same time, so an outage, a rate limit or plain loss takes as many of either.
 */
static int missed_more(const struct tally *kind, const struct tally *twin)
{
	int expected =
		twin->sent ? (unanswered_of(twin) * kind->sent + twin->sent - 1) / twin->sent : 0;
	int missed = unanswered_of(kind) - expected;

	return missed > 0 ? missed : 0;
}

/* The same of the flow's probes, as far as they were lost while controls passed. */
static int shut_out(const struct stall *s, int ttl, const struct tally *flow,
		    const struct tally *control)
{
	int missed = missed_more(flow, control);

	return missed < s->shut_out[ttl] ? missed : s->shut_out[ttl];
}

static int farthest(const struct stall *s, enum probe_kind kind, int n)
{
	int at = 0;

	for (int i = 0; i < s->pub.n_hops && i < n; i++)
		if (answered(&s->pub.hops[i], kind))
			at = i + 1;
	return at;
}

static bool sent_any(const struct stall *s, enum probe_kind kind)
{
	for (int i = 0; i < s->pub.n_hops; i++)
		if (s->pub.hops[i].probes[kind].sent)
			return true;
	return s->peer.probes[kind].sent;
}

/* Nothing of this kind was answered: the node before the first one that was asked at all. */
static int before_first(const struct stall *s, enum probe_kind kind, int n)
{
	for (int i = 0; i < s->pub.n_hops && i < n; i++)
		if (s->pub.hops[i].probes[kind].sent)
			return i;
	return 0;
}

/* The last private address before a public one: where a NAT is likely to sit. */
static int nat_boundary(const struct stall *s)
{
	int at = 0;

	if (!addr_is_private(&s->pub.key.local.addr))
		return 0;
	for (int i = 0; i < s->pub.n_hops; i++) {
		const struct hop *h = &s->pub.hops[i];

		if (!h->address.family || h->is_peer)
			continue;
		if (!addr_is_private(&h->address))
			return at ? at : i + 1;
		at = i + 1;
	}
	return addr_is_private(&s->pub.key.remote.addr) ? 0 : at;
}

/* Another router answers between two nodes. */
static bool another_between(const struct hop *h, int a, int b)
{
	for (int i = a + 1; i < b; i++)
		if (h[i].address.family && !addr_equal(&h[i].address, &h[a].address))
			return true;
	return false;
}

/*
 * The first router that answers again after others did: packets go round. Routers limit what they
 * answer, so a loop is not seen whole. Twice in a row may be one that does not count the TTL down.
 */
static int loop_start(const struct stall *s, int *ret_period)
{
	const struct hop *h = s->pub.hops;

	for (int i = 0; i < s->pub.n_hops; i++) {
		for (int p = 2; p <= LOOP_MAX && i + p < s->pub.n_hops; p++)
			if (h[i].address.family && !h[i].is_peer &&
			    addr_equal(&h[i].address, &h[i + p].address) &&
			    another_between(h, i, i + p)) {
				*ret_period = p;
				return i + 1;
			}
	}
	return 0;
}

/* What was sent to the node behind this one: without that it is no frontier. */
static const struct tally *asked_behind(const struct stall *s, int node, int n)
{
	static const struct tally nothing[PROBE_KINDS];

	if (node >= s->pub.n_hops && node + 1 < n)
		return nothing;
	return node + 1 >= n ? s->peer.probes : s->pub.hops[node].probes;
}

/* The first node behind this one that has answered a probe of any kind, or the peer. */
static int next_heard(const struct stall *s, int node, int n)
{
	for (int i = node; i < s->pub.n_hops && i + 1 < n; i++)
		if (s->pub.hops[i].address.family)
			return i + 1;
	return n;
}

/* After a sweep over fresh ports. Where the flow's router is silent those that nobody answers go
 * its way. */
static void count_ways(const struct stall *s, struct path_view *p)
{
	for (int i = 0; i < WAYS && s->swept_at; i++) {
		const struct ip_addr *at = &s->way_hop[i], *ours = &s->flow_hop[s->swept_at];
		struct tally *t = addr_equal(at, ours) ? &p->same_way : &p->other_ways;

		if ((!at->family && ours->family) || !(s->ways_sent >> i & 1))
			continue;
		t->sent++;
		t->answered += s->ways_passed >> i & 1;
	}
	p->member_dead = p->same_way.sent && !p->same_way.answered && p->other_ways.answered;
	p->mixed = p->same_way.answered && p->same_way.answered < p->same_way.sent;
	p->unmet = !p->same_way.sent && p->other_ways.answered && s->flow_hop[s->swept_at].family;
}

/* How far each kind has got, and with that how far away the peer may be. */
static void look_how_far(const struct stall *s, struct path_view *p, int *ret_last)
{
	int last = p->n_known ? p->n : MAX_DISTANCE, period = 0;

	/* Who reaches the peer has met one router at two distances, on ways of unequal length. */
	if (!p->peer_in_flow && !p->peer_control)
		p->loop = loop_start(s, &period);
	if (p->loop && p->loop + period - 1 < last)
		last = p->loop + period - 1; /* what answers from there on has answered before */
	p->full = farthest(s, PROBE_IN_FLOW_FULL, last);
	p->flow = farthest(s, PROBE_IN_FLOW, last);
	p->control = farthest(s, PROBE_CONTROL, last);
	/* What is large goes where others go: it is not shut out there. */
	if (p->full > p->flow && p->full <= p->control)
		p->flow = p->full;
	if (!p->full)
		p->full = before_first(s, PROBE_IN_FLOW_FULL, last);
	if (!p->n_known) {
		int far = p->flow > p->control ? p->flow : p->control;

		p->n = far + 3 < MAX_DISTANCE ? far + 3 : MAX_DISTANCE;
	}
	p->flow = p->peer_in_flow ? p->n : p->flow;
	p->full = p->peer_full ? p->n : p->full;
	p->control = p->peer_control ? p->n : p->control;
	if (p->loop) /* whatever gets there goes round, answered or not */
		p->flow = p->full = p->control = last;
	if (!sent_any(s, PROBE_IN_FLOW))
		p->flow = p->control; /* a handshake, or signed segments: a new one stands for it */
	p->copy = farthest(s, PROBE_IN_FLOW_COPY, last);
	if (!p->copy)
		p->copy = before_first(s, PROBE_IN_FLOW_COPY, last);
	*ret_last = last;
}

/* What was lost behind that, at nodes up to `last` and at the peer. */
static void count_missed(const struct stall *s, struct path_view *p, int last)
{
	const struct peer_answers *peer = &s->peer;

	for (int i = 0; i < s->pub.n_hops && i < p->n && i < last; i++) {
		const struct hop *h = &s->pub.hops[i];
		const struct tally *probes = h->probes;
		int ttl = i + 1;

		if (ttl > p->flow && answered(h, PROBE_CONTROL))
			p->flow_missed +=
				shut_out(s, ttl, &probes[PROBE_IN_FLOW], &probes[PROBE_CONTROL]);
		if (ttl > p->flow && ttl > p->control)
			p->beyond_missed +=
				unanswered(h, PROBE_IN_FLOW) + unanswered(h, PROBE_CONTROL);
		if (ttl > p->full && answered(h, PROBE_IN_FLOW))
			p->full_missed +=
				missed_more(&probes[PROBE_IN_FLOW_FULL], &probes[PROBE_IN_FLOW]);
		if (ttl > p->copy && answered(h, PROBE_IN_FLOW) && !h->is_peer)
			p->copy_missed +=
				missed_more(&probes[PROBE_IN_FLOW_COPY], &probes[PROBE_IN_FLOW]);
	}
	/* Probes that were meant for the peer itself. */
	if (!p->peer_in_flow && p->peer_control)
		p->flow_missed += s->shut_out[0];
	if (!p->peer_full && p->peer_in_flow)
		p->full_missed += unanswered_of(&peer->probes[PROBE_IN_FLOW_FULL]);
	if (!p->peer_in_flow && !p->peer_control)
		p->beyond_missed += unanswered_of(&peer->probes[PROBE_IN_FLOW]) +
				    unanswered_of(&peer->probes[PROBE_CONTROL]);
}

struct path_view path_look(const struct stall *s)
{
	struct path_view p = {.n = s->distance, .n_known = s->distance > 0, .asked = s->asked};
	const struct peer_answers *peer = &s->peer;
	const struct tally *behind;
	int last;

	p.peer_in_flow = peer->acked;
	p.peer_full = peer->probes[PROBE_IN_FLOW_FULL].answered > 0;
	p.peer_control = peer->syn_acked || peer->reset_control;
	p.control_asked = sent_any(s, PROBE_CONTROL);
	look_how_far(s, &p, &last);
	count_missed(s, &p, last);
	for (int i = 0; i < s->pub.n_hops && i < p.n && !p.balanced; i++)
		p.balanced = s->pub.hops[i].balanced ? i + 1 : 0;
	count_ways(s, &p);
	/* Until the whole path has been asked anew nothing else is known. */
	p.outage_over = s->outage && (!p.asked || p.peer_in_flow || p.peer_control);
	behind = asked_behind(s, p.flow > p.control ? p.flow : p.control, p.n);
	p.beyond_asked = behind[PROBE_IN_FLOW].sent || behind[PROBE_CONTROL].sent;
	behind = asked_behind(s, p.flow, p.n);
	p.flow_asked = behind[PROBE_IN_FLOW].sent || !sent_any(s, PROBE_IN_FLOW);
	p.full_asked = asked_behind(s, p.full, p.n)[PROBE_IN_FLOW_FULL].sent;
	p.flow_next = next_heard(s, p.flow, p.n);
	p.nat = nat_boundary(s);
	return p;
}

bool hop_refuses(const struct hop *hops, const struct probe_seen *refused)
{
	const int before = refused->ttl - 1;

	for (int i = 0; i < before; i++)
		if (addr_equal(&hops[i].address, &refused->from))
			return false;
	return !before || hops[before - 1].address.family;
}
