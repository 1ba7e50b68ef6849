/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where it is, given the cause. Each cause has one function that adds log-odds to the parts of the
 * path; witnesses then clear what they share with the stalled flow, except that a witness cannot
 * clear a hop of dropping just this connection.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "engine/judge.h"

void blame(struct judgement *j, int part, double weight)
{
	if (part < 0 || part >= MAX_PARTS)
		return;
	j->part[part] += weight;
	j->part_touched[part] = true;
}

static int sender_app(const struct judgement *j)
{
	return j->s->sends ? PART_LOCAL_APP : PART_PEER_APP(j->path.n);
}

static int receiver_app(const struct judgement *j)
{
	return j->s->sends ? PART_PEER_APP(j->path.n) : PART_LOCAL_APP;
}

static void place_sender_idle(struct judgement *j)
{
	blame(j, sender_app(j), 5);
}

static void place_not_reading(struct judgement *j)
{
	blame(j, receiver_app(j), 5);
}

static void place_window(struct judgement *j)
{
	blame(j, j->s->sends ? PART_NODE(j->path.n) : PART_NODE(0), 3);
	blame(j, PART_LINK(j->path.n - 1), 0); /* a box without an address that rewrites it */
}

static void place_local_drop(struct judgement *j)
{
	blame(j, PART_NODE(0), 5);
}

/* RFC 792: host unreachable, also for a type of service; RFC 4443: address unreachable. */
bool says_host_unreachable(const struct icmp_seen *i)
{
	return i->from.family == AF_INET6 ? i->type == 1 && i->code == 3
					  : i->type == 3 && (i->code == 1 || i->code == 7);
}

static void place_peer_gone(struct judgement *j)
{
	int n = j->path.n;

	blame(j, PART_NODE(n), 4);
	blame(j, PART_LINK(n - 1), 1.5);
	/*
	 * A last router that drops what is for the peer looks the same from here. One that asks for
	 * the peer and is not answered forwards.
	 */
	if (j->path.n_known && n > 1 && !(j->s->icmp_count && says_host_unreachable(&j->s->icmp)))
		blame(j, PART_NODE(n - 1), 3.3);
}

/* What the peer sends by itself shows that it does not hear us: no answer is lost, but what we
 * send. */
static bool lost_on_the_way_there(const struct judgement *j)
{
	const struct flow_snapshot *last = &j->s->pub.last;

	if (j->s->sends)
		return heard_by_itself(j) && !last->dup_acks && owed_bytes(last);
	return flow_peer_repeats(last);
}

/* State lives in the hop that forwards: it answers a TTL that ends there before it looks the flow
 * up. */
static void place_state_lost(struct judgement *j)
{
	const struct path_view *p = &j->path;
	int behind = p->flow + 1;

	if (!p->asked || p->flow_missed < 1 || p->flow >= p->control || !p->flow_asked)
		return;
	if (p->flow >= p->n - 1) {
		/* Every router got it, and the one that passes it to the peer did not. */
		if (lost_on_the_way_there(j)) {
			blame(j, PART_NODE(p->n - 1), 2.8);
			blame(j, PART_NODE(p->n), 0.5);
			return;
		}
		/* Every router passes it on; the peer's answer is lost on its way back, or never
		 * written. */
		for (int i = 1; i < p->n; i++)
			blame(j, PART_NODE(i), i == p->nat ? 1 : 0);
		blame(j, PART_NODE(p->n - 1), 0.7); /* or drops what goes there */
		blame(j, PART_NODE(p->n), 0.5);
		j->way = WAY_UNKNOWN;
		return;
	}
	if (p->flow_next > behind) {
		/* Nobody answers in between: any of these may be the one that drops it. */
		for (int i = p->flow ? p->flow : 1; i <= p->flow_next; i++)
			blame(j, PART_NODE(i), 1);
		return;
	}
	blame(j, PART_NODE(p->flow), p->flow ? 2.8 : 1);
	blame(j, PART_NODE(behind),
	      p->flow ? 1.2 : 2.5); /* some drop before they look at the TTL */
	if (p->nat == p->flow || p->nat == behind)
		blame(j, PART_NODE(p->nat), 1);
}

/*
 * The node that says itself that it knows no way on: it has been reached. One that answers no
 * probe, as such messages are limited, is the first unknown one behind those that do. 0: nobody.
 */
static int who_says_so(const struct judgement *j, int reached)
{
	const struct ip_addr *from = &j->s->icmp.from;
	int unknown = 0;

	if (!j->s->icmp_count || addr_equal(from, &j->s->pub.key.remote.addr))
		return 0;
	for (int i = 1; i < j->path.n; i++) {
		struct ip_addr node = node_address(j, i);

		if (addr_equal(&node, from))
			return i;
		if (!unknown && !node.family && i > reached)
			unknown = i;
	}
	return j->path.asked ? unknown : 0;
}

static void place_blackhole(struct judgement *j)
{
	const struct path_view *p = &j->path;
	int k = p->flow > p->control ? p->flow : p->control;
	int said = who_says_so(j, k);

	if (said)
		blame(j, PART_NODE(said), 4);
	if (said > k) {
		j->refuser = said;
		return;
	}
	for (int i = 1; i < p->n && j->s->expired > 1; i++)
		if (addr_equal(&j->s->pub.hops[i - 1].address, &j->s->expired_at))
			blame(j, PART_NODE(i), 3);
	if (p->loop) {
		blame(j, PART_NODE(p->loop), 3);
		blame(j, PART_NODE(p->loop + 1), 2);
		return;
	}
	if (p->member_dead || p->unmet || p->mixed) {
		blame(j, PART_NODE(j->s->swept_at), j->s->swept_at == p->flow ? 3 : 1);
		blame(j, PART_LINK(p->flow), 1.5);
		return;
	}
	if (p->outage_over)
		k = j->s->outage_at;
	/* Where nobody answers at all the routers may be silent: then the place is open. */
	if (!k || (!p->outage_over && (!p->asked || p->beyond_missed < 2 || !p->beyond_asked)))
		return;
	blame(j, PART_LINK(k), 3);
	blame(j, PART_NODE(k), 1.5);
	blame(j, PART_NODE(k + 1), 1.5);
}

static void place_size(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct stall *s = j->s;

	/* Where no probe could be as large, copies of the segment itself were. */
	const bool copies = !p->full_missed && p->copy_missed;
	const int stop = copies ? p->copy : p->full;

	if (p->asked && stop < p->flow && (copies ? p->copy_missed : p->full_missed) > 1 &&
	    (copies || p->full_asked)) {
		blame(j, PART_NODE(stop), 2.5);
		blame(j, PART_LINK(stop), 1.5);
		blame(j, PART_NODE(stop + 1), 0.5);
	}
	if (p->asked && s->copying && !p->full_missed && p->n_known && p->copy >= p->n - 1) {
		blame(j, PART_NODE(p->n - 1), 1.5); /* every router has it and passes it on */
		blame(j, PART_LINK(p->n - 1), 1.5);
		blame(j, PART_NODE(p->n), 0.5);
	}
	for (int i = 0; i < s->pub.n_hops && s->too_big_mtu; i++)
		if (addr_equal(&s->pub.hops[i].address, &s->too_big_from))
			blame(j, PART_NODE(i + 1), 4);
}

/* It gets past this node in no try, others do: the node forwards by content. */
static void place_content(struct judgement *j)
{
	const struct path_view *p = &j->path;

	if (!p->asked || !p->copy_missed) {
		if (p->asked && j->s->copying && p->copy && p->copy >= p->n - 1) {
			blame(j, PART_NODE(p->n), 1.5); /* every router has it and passes it on */
			blame(j, PART_LINK(p->n - 1), 1);
		}
		return;
	}
	blame(j, PART_NODE(p->copy), p->copy ? 2.8 : 1);
	blame(j, PART_NODE(p->copy + 1), p->copy ? 1 : 2.5);
	blame(j, PART_LINK(p->copy), 0);
}

/* The last node that still saw it as it was sent has changed it, or what lies behind. */
static void place_altered(struct judgement *j, int first)
{
	if (!first)
		return;
	blame(j, PART_NODE(first - 1), first > 1 ? 2.8 : 0);
	blame(j, PART_LINK(first - 1), 1);
	blame(j, PART_NODE(first), 0.5);
}

static void place_rewrite(struct judgement *j)
{
	place_altered(j, j->s->altered_at[ALTERED_AT_HEADER]);
}

static void place_corruption(struct judgement *j)
{
	place_altered(j, j->s->altered_at[ALTERED_AT_PAYLOAD]);
}

static void place_reset(struct judgement *j)
{
	const struct stall *s = j->s;

	int n = j->path.n;

	if (s->reset_forged && abs(n - s->reset_hops) == 1) {
		blame(j, PART_NODE(s->reset_hops), 1.9); /* a route may have changed */
		blame(j, PART_NODE(n), 0.5);
	} else if (s->reset_forged) {
		blame(j, PART_NODE(s->reset_hops), 2.2);
		blame(j, PART_LINK(s->reset_hops - 1),
		      -0.5); /* boxes begin at a TTL of their own */
		blame(j, PART_LINK(s->reset_hops), -0.5);
	} else if (s->reset_seen.ttl && s->reset_seen.ttl_usual) {
		blame(j, PART_NODE(n), 2.2);
		blame(j, PART_LINK(n - 1), 0); /* a box without an address that copies the TTL */
	}
}

/* What others cross and live is not dead. */
static void clear_shared(struct judgement *j)
{
	int shared = j->same_peer ? j->path.n : j->shared;

	if ((j->verdict != CAUSE_PATH_BLACKHOLE && j->verdict != CAUSE_PEER_GONE) ||
	    j->path.member_dead || j->path.unmet || j->path.mixed) /* they go other ways */
		return;
	for (int i = 0; i <= shared; i++) {
		if (i)
			j->part[PART_NODE(i)] -= i < shared ? 3 : 1.5;
		if (i < shared)
			j->part[PART_LINK(i)] -= 3;
	}
}

void weigh_places(struct judgement *j)
{
	static void (*const places[CAUSES])(struct judgement *) = {
		[CAUSE_SENDER_IDLE] = place_sender_idle,
		[CAUSE_RECEIVER_NOT_READING] = place_not_reading,
		[CAUSE_CONNECTION_STATE_LOST] = place_state_lost,
		[CAUSE_PATH_BLACKHOLE] = place_blackhole,
		[CAUSE_SIZE_BLACKHOLE] = place_size,
		[CAUSE_LOCAL_DROP] = place_local_drop,
		[CAUSE_CONNECTION_RESET] = place_reset,
		[CAUSE_PEER_GONE] = place_peer_gone,
		[CAUSE_WINDOW_LIMITED] = place_window,
		[CAUSE_CONTENT_DROP] = place_content,
		[CAUSE_HEADER_REWRITE] = place_rewrite,
		[CAUSE_PATH_CORRUPTION] = place_corruption,
		[CAUSE_PATH_LOSS] = place_loss,
	};

	if (!place_local(j) && places[j->verdict])
		places[j->verdict](j);
	clear_shared(j);
}
