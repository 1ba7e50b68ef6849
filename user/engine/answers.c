/* SPDX-License-Identifier: GPL-2.0-only */
/* Taking in what was asked for: answers to probes, ICMP errors, drops. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <string.h>

#include "engine/judge.h"

/* Routers choose by addresses and ports: one flow meets the same ones until the route changes. */
static void learn_way_of_flow(struct stall *s, const struct probe_seen *p)
{
	struct ip_addr *hop = &s->flow_hop[p->ttl <= MAX_DISTANCE ? p->ttl : 0];

	if (p->kind == PROBE_CONTROL && p->ttl == s->swept_at && p->way < WAYS &&
	    p->answer == ANSWER_TIME_EXCEEDED)
		s->way_hop[p->way] = p->from;
	if (p->kind != PROBE_IN_FLOW || p->answer != ANSWER_TIME_EXCEEDED || p->ttl > MAX_DISTANCE)
		return;
	if (hop->family && !addr_equal(hop, &p->from) && (!s->changed_at || p->ttl < s->changed_at))
		s->changed_at = p->ttl;
	*hop = p->from;
}

/* A control was sent this way no later, and got through: to this node or past it. */
static bool open_before(const struct stall *s, const struct probe_seen *p)
{
	int node = p->ttl <= MAX_DISTANCE ? p->ttl : 0;

	for (int i = node ? node : MAX_DISTANCE + 1; i <= MAX_DISTANCE; i++)
		if (s->open_ns[i] && s->open_ns[i] <= p->sent_ns)
			return true;
	return s->open_ns[0] && s->open_ns[0] <= p->sent_ns;
}

/* Answers come within the time after which a probe counts as lost: the order is that of sending. */
static void learn_open(struct stall *s, const struct probe_seen *p)
{
	int node = p->ttl <= MAX_DISTANCE ? p->ttl : 0;

	if (p->kind == PROBE_CONTROL &&
	    (p->answer == ANSWER_TIME_EXCEEDED || p->answer == ANSWER_SYN_ACK ||
	     p->answer == ANSWER_RST) &&
	    (!s->open_ns[node] || p->sent_ns < s->open_ns[node]))
		s->open_ns[node] = p->sent_ns;
	if (p->kind != PROBE_IN_FLOW || p->answer != ANSWER_NONE)
		return;
	s->shut_out[node] += open_before(s, p);
	if (p->sent_ns > s->lost_ns)
		s->lost_ns = p->sent_ns;
}

/* A router that was met on this side of a node: packets go round. */
static bool is_before(const struct stall *s, int node, const struct ip_addr *from)
{
	for (int i = 0; i < node && i < s->pub.n_hops; i++)
		if (addr_equal(&s->pub.hops[i].address, from))
			return true;
	return false;
}

/* From a fresh port that was not tried before, which may go a way of its own. */
static bool is_new_way(const struct stall *s, const struct probe_seen *p)
{
	return s->swept_at && p->kind == PROBE_CONTROL && p->way;
}

/*
 * After a whole round, of this stall or of the one that leads it, in which nothing came from behind
 * a node, something does: what has stopped everything there is over, or has moved.
 */
static void note_return(struct stall *s, const struct probe_seen *p)
{
	struct path_view path;
	int at;

	if (s->outage || passes_by(s) || (!s->asked && !s->led) || is_new_way(s, p) ||
	    p->answer == ANSWER_NONE || p->answer == ANSWER_UNREACHABLE ||
	    p->answer == ANSWER_TOO_BIG)
		return;
	if (p->ttl <= s->pub.n_hops && s->pub.hops[p->ttl - 1].probes[p->kind].answered)
		return; /* the usual answer, which is no news: spares a look at the whole path */
	path = path_look(s);
	at = path.flow > path.control ? path.flow : path.control;
	if (p->ttl <= at || at == path.n || path.beyond_missed < 2 || is_before(s, at, &p->from))
		return;
	s->outage = true;
	s->outage_at = (uint8_t)at;
	s->path_changed = true;
}

/* acked: the peer has answered in the flow before. */
static void learn_hop(struct stall *s, const struct probe_seen *p, bool acked)
{
	struct hop *h = &s->pub.hops[p->ttl - 1];
	uint64_t rtt_us = (p->answered_ns - p->sent_ns) / NS_PER_US;
	const bool refused =
		p->answer == ANSWER_UNREACHABLE && !addr_equal(&p->from, &p->key.remote.addr);

	if (s->pub.n_hops < p->ttl) {
		for (int i = s->pub.n_hops; i < p->ttl; i++)
			s->pub.hops[i].ttl = (uint8_t)(i + 1);
		s->pub.n_hops = p->ttl;
	}
	h->probes[p->kind].sent++;
	if (p->answer == ANSWER_NONE || p->answer == ANSWER_TOO_BIG ||
	    (refused && !hop_refuses(s->pub.hops, p)))
		return;
	/* A peer answers old segments twice a second (tcp_invalid_ratelimit): that tells nothing.
	 */
	if (s->asked && !passes_by(s) && !is_new_way(s, p) && !h->probes[p->kind].answered &&
	    h->probes[p->kind].sent > 2 && !(p->answer == ANSWER_ACK && acked))
		s->path_changed = true;
	h->probes[p->kind].answered++;
	if (p->answer == ANSWER_TIME_EXCEEDED && s->distance && p->ttl >= s->distance) {
		/* The TTL of what comes in has told the way back; this one is longer. */
		s->distance = 0;
		s->asymmetric = true;
	}
	if (p->answer != ANSWER_TIME_EXCEEDED && !refused) {
		h->is_peer = true;
		if (!s->distance || p->ttl < s->distance)
			s->distance = p->ttl;
	}
	if (h->address.family && !addr_equal(&h->address, &p->from))
		h->balanced = true;
	else
		h->address = p->from;
	learn_way_of_flow(s, p);
	if (rtt_us && (!h->rtt_us || rtt_us < h->rtt_us))
		h->rtt_us = (uint32_t)rtt_us;
}

static void learn_peer(struct stall *s, const struct probe_seen *p)
{
	struct tally *t = &s->peer.probes[p->kind];

	if (p->ttl == END_TTL)
		t->sent++;
	if (p->ttl == END_TTL && p->kind == PROBE_CONTROL && p->way < WAYS) {
		s->ways_sent |= 1u << p->way;
		if (p->answer == ANSWER_SYN_ACK || p->answer == ANSWER_RST)
			s->ways_passed |= 1u << p->way;
	}
	switch (p->answer) {
	case ANSWER_ACK:
		s->peer.acked = true;
		if (p->kind == PROBE_IN_FLOW_FULL && !s->peer.full_ns)
			s->peer.full_ns = p->answered_ns;
		if (!s->peer.nxt_ns || (int32_t)(p->seq - s->peer.nxt) > 0) {
			s->peer.nxt = p->seq;
			s->peer.nxt_ns = p->answered_ns;
		}
		break;
	case ANSWER_SYN_ACK:
		s->peer.syn_acked = true;
		break;
	case ANSWER_RST:
		s->peer.reset_control |= p->kind == PROBE_CONTROL;
		if (p->kind == PROBE_CONTROL && p->answer_ttl)
			s->peer.reset_ttl = p->answer_ttl;
		break;
	case ANSWER_NONE:
	case ANSWER_TIME_EXCEEDED:
	case ANSWER_UNREACHABLE:
	case ANSWER_TOO_BIG:
	case ANSWER_NOT_SENT:
		return;
	}
	if (p->ttl == END_TTL)
		t->answered++;
	if (p->answer_ttl && !s->distance && !s->asymmetric)
		s->distance = hops_from_ttl(p->answer_ttl);
}

static void learn_size(struct stall *s, const struct probe_seen *p)
{
	for (int i = 0; i < s->n_sizes; i++) {
		if (s->size_of[i] != p->size)
			continue;
		s->sizes[i].sent++;
		s->sizes[i].answered +=
			p->answer == ANSWER_ACK || p->answer == ANSWER_TIME_EXCEEDED;
	}
}

/*
 * Packets tell of probes that somebody else has sent: there are no rounds, what is known is what
 * there is. The largest are full-size ones, others look for the size that passes. Whether it is
 * one of these.
 */
static bool learn_passing(struct stall *s, const struct probe_seen *p)
{
	s->asked = s->probing = true;
	if (p->swept && p->swept <= MAX_DISTANCE)
		s->swept_at = p->swept;
	if (p->kind != PROBE_IN_FLOW_FULL)
		return false;
	if (p->size >= s->full_seen) {
		s->full_size = s->full_seen = p->size;
		return false;
	}
	if (!s->sizing) {
		s->sizing = true;
		s->size_fail = s->full_seen;
	}
	if (p->answer == ANSWER_ACK || p->answer == ANSWER_TIME_EXCEEDED)
		s->size_pass = p->size > s->size_pass ? p->size : s->size_pass;
	else if (p->size > s->size_pass && p->size < s->size_fail)
		s->size_fail = p->size;
	return true;
}

static void note_altered(uint8_t *first, uint8_t ttl, bool altered)
{
	if (altered && (!*first || ttl < *first))
		*first = ttl;
}

void answer_probe(struct stall *s, const struct probe_seen *p)
{
	bool acked;

	if (s->outstanding > 0)
		s->outstanding--;
	if (p->answer == ANSWER_NOT_SENT) {
		/* EPERM from sendto(): a rule in the output chain. What we refused ourselves says
		 * nothing. */
		if (p->error == EPERM && !(s->pub.last.flags & SNAP_SECURED)) {
			s->local_errors++;
			s->local_errno = p->error;
		}
		return;
	}
	if (p->kind >= PROBE_KINDS || !p->ttl || (p->ttl > MAX_DISTANCE && p->ttl != END_TTL))
		return;
	s->pub.probes_sent++;
	if (p->answer == ANSWER_TIME_EXCEEDED) {
		note_altered(&s->altered_at[ALTERED_AT_PAYLOAD], p->ttl,
			     p->altered & ALTERED_PAYLOAD);
		note_altered(&s->altered_at[ALTERED_AT_HEADER], p->ttl,
			     p->altered & ~ALTERED_PAYLOAD);
	}
	if (p->answer == ANSWER_TOO_BIG && p->mtu) {
		s->too_big_mtu = p->mtu;
		s->too_big_from = p->from;
	}
	if (p->answer == ANSWER_UNREACHABLE && !addr_equal(&p->from, &p->key.local.addr)) {
		s->icmp = (struct icmp_seen){.key = p->key, .from = p->from, .code = p->icmp_code};
		s->icmp.type = p->from.family == AF_INET6 ? 1 : 3;
		s->icmp_count++;
	}
	if (passes_by(s) && learn_passing(s, p))
		return;
	if (p->kind == PROBE_IN_FLOW_FULL && s->sizing && p->size != s->full_size) {
		learn_size(s, p);
		return;
	}
	acked = s->peer.acked;
	note_return(s, p);
	learn_open(s, p);
	learn_peer(s, p);
	if (p->ttl < END_TTL)
		learn_hop(s, p, acked);
}

void answer_icmp(struct stall *s, const struct icmp_seen *i)
{
	bool v6 = i->from.family == AF_INET6;

	if (v6 ? i->type == 2 : i->type == 3 && i->code == 4) {
		if (i->mtu) { /* routers older than RFC 1191 do not tell */
			s->too_big_mtu = i->mtu;
			s->too_big_from = i->from;
		}
		return;
	}
	if (i->type == (v6 ? ICMP6_TIME_EXCEEDED : ICMP_TIME_EXCEEDED)) {
		/* An answer to a copy, a late one or of another watcher on this host, looks the
		 * same. Those come from one router after the other. */
		if (!i->code && !s->copying) {
			s->expired = addr_equal(&i->from, &s->expired_at) ? s->expired + 1 : 1;
			s->expired_at = i->from;
		}
		return;
	}
	if (addr_equal(&i->from, &i->key.local.addr))
		return; /* this host's own opinion; drops and the next hop's state tell it better */
	s->icmp = *i;
	s->icmp_count++;
}

void answer_drop(struct stall *s, const struct drop_seen *d)
{
	struct drop_tally *t = s->drops;

	for (int i = 0; i < s->n_drops; i++, t++) {
		if (t->inbound == d->inbound && !strcmp(t->reason, d->reason)) {
			t->count += d->count;
			return;
		}
	}
	if (s->n_drops == MAX_DROP_KINDS)
		return;
	t->inbound = d->inbound;
	t->count = d->count;
	memcpy(t->reason, d->reason, sizeof(t->reason));
	memcpy(t->function, d->function, sizeof(t->function));
	s->n_drops++;
}
