/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stalls towards one peer are probed once. Routers answer only about one probe a second, so the
 * first stall asks the whole path, and the others take its answers over and ask only, inside their
 * own connection, whether they end at the same place, or whether the peer answers them alike. Where
 * very many stall at once, the probes that may be sent are spent on a few of them, and the others
 * are judged by what those found.
 */
#include <string.h>

#include "engine/internal.h"

#define LEAD_FRESH_NS (10 * NS_PER_S)

void group_register(struct engine *e, const struct stall *s)
{
	e->leads[e->next_lead++ % LEADS] = (struct lead){
		.netns = s->pub.key.netns,
		.sends = s->sends,
		.used = true,
		.peer = s->pub.key.remote.addr,
		.stall = (int32_t)(s - e->stalls),
		.suspected_ns = s->pub.suspected_ns,
	};
}

/* Whom this stands for; NULL: its place was taken since. */
static struct stall *stall_of_lead(struct engine *e, const struct lead *l)
{
	struct stall *t = &e->stalls[l->stall];

	return l->used && t->pub.suspected_ns == l->suspected_ns && t->probing && !t->led ? t
											  : NULL;
}

/* NULL: not of the same way, or long ago. */
static struct stall *lead_of(struct engine *e, const struct lead *l, const struct stall *s)
{
	struct stall *t = stall_of_lead(e, l);

	if (!t || l->netns != s->pub.key.netns || l->sends != s->sends || t == s ||
	    (t->phase != STALL_SUSPECT && t->phase != STALL_CONFIRMED) ||
	    (t->asked && e->now_ns - t->asked_ns > LEAD_FRESH_NS))
		return NULL;
	return t;
}

struct stall *group_lead(struct engine *e, const struct stall *s)
{
	struct stall *lead = NULL;

	for (int i = 0; i < LEADS; i++) {
		const struct lead *l = &e->leads[i];
		struct stall *t;

		if (!addr_equal(&l->peer, &s->pub.key.remote.addr))
			continue;
		t = lead_of(e, l, s);
		if (t && (!lead || t->pub.suspected_ns < lead->pub.suspected_ns))
			lead = t;
	}
	return lead;
}

/* It stands still, or did so to its end. */
static bool stands(const struct stall *t)
{
	if (t->phase == STALL_FREE)
		return t->pub.outcome != OUTCOME_OPEN && t->pub.outcome != OUTCOME_RECOVERED;
	return t->phase != STALL_SLOW;
}

const struct stall *group_last(struct engine *e, const struct stall *s)
{
	const struct endpoint *to = &s->pub.key.remote;

	for (int i = 0; i < LEADS; i++) {
		const struct stall *t = stall_of_lead(e, &e->leads[i]);

		/* Who refuses a handshake may refuse one port. */
		if (t && t != s && t->pub.key.netns == s->pub.key.netns && t->sends == s->sends &&
		    addr_equal(&t->pub.key.remote.addr, &to->addr) && stands(t) &&
		    t->reset == s->reset && (!s->reset || t->pub.key.remote.port == to->port) &&
		    e->now_ns - t->pub.suspected_ns <= LEAD_FRESH_NS)
			return t;
	}
	return NULL;
}

/* It is being asked for, or soon will be. */
static bool asks(const struct stall *s)
{
	return (s->phase == STALL_SUSPECT || s->phase == STALL_CONFIRMED) && !s->verdict_out &&
	       !passes_by(s);
}

bool group_is_shared(const struct engine *e, const struct stall *s)
{
	const struct ip_addr *gateway = &s->pub.route.gateway;

	for (uint32_t i = 0; gateway->family && i < e->stall_top; i++) {
		const struct stall *t = &e->stalls[i];

		if (t != s && asks(t) && t->pub.key.netns == s->pub.key.netns &&
		    addr_equal(&t->pub.route.gateway, gateway) &&
		    !addr_equal(&t->pub.key.remote.addr, &s->pub.key.remote.addr))
			return true;
	}
	return false;
}

static int frontier_of(const struct stall *s)
{
	int ours = round_farthest(s, PROBE_IN_FLOW, s->pub.n_hops);
	int others = round_farthest(s, PROBE_CONTROL, s->pub.n_hops);

	return ours > others ? ours : others;
}

struct stall *group_beside(struct engine *e, const struct stall *s)
{
	const struct ip_addr *gateway = &s->pub.route.gateway;

	for (int i = 0; i < LEADS && gateway->family; i++) {
		struct stall *t = lead_of(e, &e->leads[i], s);

		if (t && t->asked && !t->peer.acked && !t->peer.syn_acked &&
		    !t->peer.reset_control && addr_equal(&t->pub.route.gateway, gateway) &&
		    frontier_of(t) + 1 < round_reach(s))
			return t;
	}
	return NULL;
}

void group_adopt(struct stall *s, const struct stall *lead)
{
	s->led = s->adopted = s->probing = s->asked = true;
	s->pub.lead = lead->pub.key;
	memcpy(s->pub.hops, lead->pub.hops, sizeof(s->pub.hops));
	s->pub.n_hops = lead->pub.n_hops;
	s->peer = lead->peer;
	s->peer.nxt_ns = s->peer.full_ns = 0;
	memcpy(s->open_ns, lead->open_ns, sizeof(s->open_ns));
	memcpy(s->shut_out, lead->shut_out, sizeof(s->shut_out));
	s->lost_ns = lead->lost_ns;
	s->full_size = lead->full_size;
	s->rounds = 1;
}

/* What the lead's connection found for itself alone. */
static void forget_flow(struct tally *probes)
{
	probes[PROBE_IN_FLOW] = probes[PROBE_IN_FLOW_FULL] = probes[PROBE_IN_FLOW_COPY] =
		(struct tally){0};
}

static void take_path(struct stall *s, const struct stall *lead)
{
	s->led = true;
	s->pub.lead = lead->pub.key;
	s->distance = s->distance ? s->distance : lead->distance;
	memcpy(s->pub.hops, lead->pub.hops, sizeof(s->pub.hops));
	s->pub.n_hops = lead->pub.n_hops;
	memcpy(s->open_ns, lead->open_ns, sizeof(s->open_ns));
	s->peer = lead->peer;
	s->peer.acked = false; /* that is for this connection to find out */
	s->peer.nxt_ns = s->peer.full_ns = 0;
	forget_flow(s->peer.probes);
}

static void forget_behind(struct stall *s, int frontier)
{
	for (int i = frontier; i < s->pub.n_hops; i++)
		forget_flow(s->pub.hops[i].probes);
}

int group_follow(struct stall *s, const struct stall *lead)
{
	int frontier;

	take_path(s, lead);
	frontier = round_farthest(s, PROBE_IN_FLOW, s->pub.n_hops);
	forget_behind(s, frontier);
	return frontier;
}

void group_follow_path(struct stall *s, const struct stall *lead)
{
	take_path(s, lead);
	forget_behind(s, 0);
}

void group_compare(struct stall *s, const struct stall *lead)
{
	take_path(s, lead);
	s->compared = true;
	s->lead_full = lead->peer.probes[PROBE_IN_FLOW_FULL].answered;
}

bool group_differs(const struct stall *s)
{
	const struct tally *full = &s->peer.probes[PROBE_IN_FLOW_FULL];

	return !s->peer.acked || (full->sent && (full->answered > 0) != s->lead_full);
}

void group_leave(struct stall *s)
{
	forget_behind(s, 0);
	s->led = s->compared = s->probing = s->asked = false;
	s->alone = true;
}

/* Which routers pass packets on to this peer is the same for all that meet them. */
bool group_take_ways(struct engine *e, struct stall *s)
{
	const struct stall *lead = s->led ? group_lead(e, s) : NULL;

	if (!lead || !lead->swept_at || !endpoint_equal(&lead->pub.key.remote, &s->pub.key.remote))
		return false;
	s->waiting = lead->outstanding > 0;
	if (s->waiting)
		return true;
	s->swept_at = lead->swept_at;
	s->ways_sent = lead->ways_sent;
	s->ways_passed = lead->ways_passed;
	memcpy(s->way_hop, lead->way_hop, sizeof(s->way_hop));
	s->dirty = true;
	return true;
}
