/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this host tells of itself and of its first link: taking it in, and asking for it. Counters
 * count as differences between what was told first in a stall and what was told last.
 */
#include <linux/neighbour.h>
#include <string.h>

#include "engine/internal.h"

#define ONLINK_FRESH_NS (10 * NS_PER_S) /* what neighbours said holds for so long */

#define ASK_AGAIN_MAX	64 /* stalls whose links are looked at again */

void local_route(struct stall *s, const struct route_seen *route)
{
	struct route_seen *last = route->hop ? &s->uplink : &s->pub.route;
	struct route_seen *before = route->hop ? &s->uplink_before : &s->route_before;

	if (!before->ifindex || before->ifindex != route->ifindex)
		*before = *route;
	*last = *route;
}

void local_process(struct stall *s, const struct process_seen *process)
{
	s->process_due = false;
	if (!process->pid)
		return; /* nobody was found; whom the sensor saw open it stands */
	if (s->process_before.pid != process->pid)
		s->process_before = *process;
	s->pub.process = *process;
}

static struct neighbour *neighbour_of(struct stall *s, const struct onlink_seen *seen)
{
	struct neighbour *n = s->pub.neighbours;

	for (int i = 0; i < s->pub.n_neighbours; i++, n++)
		if (addr_equal(&n->addr, &seen->addr))
			return n;
	if (s->pub.n_neighbours == MAX_NEIGHBOURS)
		return NULL;
	s->pub.n_neighbours++;
	*n = (struct neighbour){
		.addr = seen->addr,
		.next_hop = seen->next_hop,
		.own = seen->kind == ONLINK_CLAIM,
	};
	return n;
}

static void note_lladdr(struct neighbour *n, const uint8_t lladdr[6])
{
	static const uint8_t none[6];

	if (!memcmp(lladdr, none, 6) || !memcmp(lladdr, n->lladdr, 6))
		return;
	memcpy(memcmp(n->lladdr, none, 6) ? n->other_lladdr : n->lladdr, lladdr, 6);
}

void local_onlink(struct stall *s, const struct onlink_seen *seen, uint64_t now_ns)
{
	struct neighbour *n;
	struct tally *t;

	if (seen->kind == ONLINK_DONE) {
		s->outstanding -= s->outstanding > 0;
		s->onlink_ns = now_ns;
		s->onlink_due = false;
		return;
	}
	if (seen->error || seen->kind > ONLINK_DONE)
		return;
	s->pub.probes_sent++;
	n = neighbour_of(s, seen);
	if (!n)
		return;
	t = seen->kind != ONLINK_ECHO ? &n->resolve : seen->full ? &n->full : &n->small;
	t->sent++;
	t->answered += seen->answered;
	note_lladdr(n, seen->lladdr);
	note_lladdr(n, seen->other_lladdr);
}

void local_neigh(struct engine *e, const struct neigh_seen *n)
{
	static const uint8_t none[6];
	struct neigh_flip *f = e->flips, *oldest = e->flips;

	if (!memcmp(n->lladdr, none, 6) || !memcmp(n->old_lladdr, none, 6))
		return; /* the end of a neighbour, no change of one */
	for (int i = 0; i < FLIPS; i++) {
		f = &e->flips[i];
		if (f->netns == n->netns && f->ifindex == n->ifindex &&
		    addr_equal(&f->addr, &n->addr))
			break;
		if (f->last_ns < oldest->last_ns)
			oldest = f;
		f = NULL;
	}
	if (!f || e->now_ns - f->last_ns > FLIPS_WITHIN_NS) {
		f = f ? f : oldest;
		*f = (struct neigh_flip){.netns = n->netns, .ifindex = n->ifindex, .addr = n->addr};
	}
	memcpy(f->lladdr, n->lladdr, 6);
	memcpy(f->other_lladdr, n->old_lladdr, 6);
	f->count++;
	f->last_ns = e->now_ns;
}

static const struct ip_addr *next_hop(const struct stall *s)
{
	const struct route_seen *r = &s->pub.route;

	return r->gateway.family ? &r->gateway : &s->pub.key.remote.addr;
}

/* Both leave by the same interface to the same next hop. */
static bool same_link(const struct stall *a, const struct stall *b)
{
	return a->pub.key.netns == b->pub.key.netns && a->pub.route.ifindex &&
	       a->pub.route.ifindex == b->pub.route.ifindex && addr_equal(next_hop(a), next_hop(b));
}

static void copy_neighbours(struct stall *to, const struct stall *from)
{
	memcpy(to->pub.neighbours, from->pub.neighbours, sizeof(to->pub.neighbours));
	to->pub.n_neighbours = from->pub.n_neighbours;
	to->onlink_brief |= from->onlink_brief;
	to->onlink_close |= from->onlink_close;
	to->onlink_ns = from->onlink_ns;
	to->dirty = true;
}

void local_share(struct engine *e, const struct stall *from)
{
	for (uint32_t i = 0; i < e->stall_top; i++) {
		struct stall *s = &e->stalls[i];

		if (s == from || s->phase == STALL_FREE || !same_link(s, from))
			continue;
		copy_neighbours(s, from);
		stall_tick(e, s);
	}
}

/* Large echoes or probes are lost that small ones survive, or the first hop is silent at times. */
static bool first_link_is_suspect(const struct stall *s)
{
	const struct route_seen *r = &s->pub.route;
	const struct hop *first = &s->pub.hops[0];

	if (r->nud & (NUD_INCOMPLETE | NUD_FAILED))
		return true;
	for (int i = 0; i < s->pub.n_neighbours; i++) {
		const struct neighbour *n = &s->pub.neighbours[i];

		if (n->own || !n->next_hop)
			continue;
		if (n->resolve.answered < n->resolve.sent)
			return true;
		/* Some answer no echo at all, and need not. */
		if ((n->small.answered || n->full.answered) &&
		    n->small.answered + n->full.answered < n->small.sent + n->full.sent)
			return true;
	}
	for (int kind = 0; kind < PROBE_KINDS && s->pub.n_hops; kind++)
		if (first->address.family &&
		    first->probes[kind].answered < first->probes[kind].sent)
			return true;
	return false;
}

/* A brief look that has found something is followed by a close one, once its stall is free. */
static bool close_look_is_due(const struct stall *s)
{
	return s->onlink_brief && s->onlink_ns && !s->onlink_close && s->outstanding > 0 &&
	       first_link_is_suspect(s);
}

bool local_onlink_due(const struct engine *e, const struct stall *s)
{
	for (uint32_t i = 0; i < e->stall_top; i++)
		if (e->stalls[i].phase != STALL_FREE && same_link(&e->stalls[i], s) &&
		    (e->stalls[i].onlink_due || close_look_is_due(&e->stalls[i])))
			return true;
	return false;
}

/* Another stall has asked the neighbours lately, or is just asking: they are not asked again. */
static bool link_is_asked(struct engine *e, struct stall *s)
{
	for (uint32_t i = 0; i < e->stall_top; i++) {
		const struct stall *t = &e->stalls[i];

		if (t == s || t->phase == STALL_FREE || !same_link(s, t) || !t->onlink_ns ||
		    e->now_ns - t->onlink_ns > ONLINK_FRESH_NS)
			continue;
		copy_neighbours(s, t);
		return true;
	}
	return local_onlink_due(e, s);
}

const struct neigh_flip *local_flip(const struct engine *e, const struct stall *s)
{
	const struct route_seen *r = &s->pub.route;

	for (const struct neigh_flip *f = e->flips; r->ifindex && f < e->flips + FLIPS; f++)
		if (f->count && f->netns == s->pub.key.netns && f->ifindex == r->ifindex &&
		    addr_equal(&f->addr, next_hop(s)) && e->now_ns - f->last_ns <= FLIPS_WITHIN_NS)
			return f;
	return NULL;
}

void local_ask_again(struct engine *e, struct stall *s)
{
	struct verdict v = {0};
	struct output out = {.kind = OUT_WANT, .now_ns = e->now_ns};

	if (s - e->stalls >= ASK_AGAIN_MAX)
		return; /* they share links with those that are asked about */
	out.want.kind = WANT_HOST;
	out.want.key = s->pub.key;
	judge(e, s, &v);
	if (!s->verdict_out && is_local_program(v.cause, s->sends)) {
		out.want.inode = s->pub.last.inode; /* how often it was throttled meanwhile */
		s->process_due = out.want.inode;
	}
	out.want.local_sends = s->sends;
	out.want.snapshot = s->pub.last;
	output_push(e, &out);
}

static bool can_ask(const struct engine *e, const struct stall *s, int probes)
{
	const struct route_seen *r = &s->pub.route;

	return r->ifindex && !r->error && !r->down && r->carrier && !r->loopback && !s->led &&
	       !round_busy(e) && round_affords(s, probes);
}

bool local_ask_onlink(struct engine *e, struct stall *s, bool beside_path)
{
	struct output out = {.kind = OUT_WANT, .now_ns = e->now_ns};
	bool close = !beside_path;

	if (beside_path ? s->onlink_brief || s->onlink_close : s->onlink_close)
		return false;
	if (!can_ask(e, s, close ? ONLINK_CLOSE : ONLINK_BRIEF) ||
	    (!close && link_is_asked(e, s)) || (close && !first_link_is_suspect(s)))
		return false;
	out.want.kind = WANT_ONLINK;
	out.want.key = s->pub.key;
	out.want.local_sends = s->sends;
	out.want.snapshot = s->pub.last;
	out.want.onlink.next_hop = *next_hop(s);
	out.want.onlink.ifindex = s->pub.route.ifindex;
	out.want.onlink.size = s->full_size ? s->full_size : (uint16_t)s->pub.route.mtu;
	if (!out.want.onlink.size || out.want.onlink.size > s->pub.route.mtu)
		out.want.onlink.size =
			s->pub.route.mtu < UINT16_MAX ? (uint16_t)s->pub.route.mtu : 1500;
	out.want.onlink.close = close;
	output_push(e, &out);
	s->wanted += close ? ONLINK_CLOSE : ONLINK_BRIEF;
	s->outstanding++; /* told to be done as a whole */
	s->onlink_due = true;
	e->outstanding += close ? ONLINK_CLOSE : ONLINK_BRIEF;
	if (close)
		s->onlink_close = true;
	else
		s->onlink_brief = true;
	return true;
}
