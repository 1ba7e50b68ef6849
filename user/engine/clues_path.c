/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues of the path: how far probes get, inside the connection and beside it, and what routers say.
 */
#include <math.h>
#include <netinet/in.h>

#include "engine/clues.h"

static bool stops_short(const struct path_view *p)
{
	return p->asked && p->flow < p->control && p->flow_missed > 0;
}

/* Of probes inside the connection that stop where those of a new one go on. */
static double weight_of_flow(const struct judgement *j)
{
	const struct path_view *p = &j->path;
	double weight = fmin(fmin(HINT + PER_MISS * p->flow_missed, 7),
			     loss_excluded(j, p->flow_missed, LOSS_BY_CONTROL));

	return !p->balanced && loss_hits_all(j) ? fmin(weight, HINT) : weight;
}

/* The heart: inside the connection probes stop where those of a new one go on. */
static void flow_stops_short(struct judgement *j)
{
	const struct path_view *p = &j->path;
	double weight;
	char at[64], to[64];

	if (!stops_short(p))
		return;
	weight = weight_of_flow(j);
	j->cause[CAUSE_CONNECTION_STATE_LOST] += weight;
	j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
	j->cause[CAUSE_PEER_GONE] -= CLEAR;
	if (p->flow >= p->n - 1) {
		evidence(j, "peer-silent-in-flow", weight,
			 "every router answers probes inside this connection, the peer only those "
			 "of a new one");
		return;
	}
	if (!p->flow_asked) {
		evidence(
			j, "in-flow-unanswered", weight,
			"%d probe%s inside this connection unanswered where those of a new one are "
			"answered; the hops behind %s were not asked inside it",
			p->flow_missed, p->flow_missed == 1 ? " is" : "s are",
			node_text(j, p->flow, at, sizeof(at)));
		return;
	}
	if (p->flow_next > p->flow + 1) {
		evidence(j, "in-flow-frontier", weight,
			 "probes of a new connection reach %s, those inside this connection do "
			 "not; between it and %s no hop answers any probe",
			 node_text(j, p->flow_next, to, sizeof(to)),
			 node_text(j, p->flow, at, sizeof(at)));
		return;
	}
	evidence(j, "in-flow-frontier", weight,
		 "probes inside this connection get no farther than %s, those of a new connection "
		 "reach %s",
		 node_text(j, p->flow, at, sizeof(at)),
		 p->peer_control ? "the peer" : "hops behind it");
}

/*
 * Of new connections that meet the same router as this one some get through and others do not: what
 * lies behind may part, and this one go the dead way with them. Log-odds that it is no loss of
 * theirs.
 */
static double some_stop_too(const struct judgement *j)
{
	const struct tally *same = &j->path.same_way;
	int lost = same->sent - same->answered;

	return fmin(fmax(loss_excluded(j, lost, LOSS_BY_CONTROL) - log(same->sent), 0), STRONG);
}

/* What no fresh port could tell. */
static void say_what_is_open(struct judgement *j, double weight)
{
	const struct path_view *p = &j->path;
	const int ttl = j->s->swept_at;
	char router[ADDR_TEXT_LEN], at[64];

	if (p->unmet)
		evidence(j, "way-unmet", weight,
			 "none of %d new connections that get through met %s at hop %d, as this "
			 "one does: whether it stops all or only this one is open",
			 p->other_ways.answered, addr_text(&j->s->flow_hop[ttl], router), ttl);
	else if (p->mixed)
		evidence(j, "same-way-mixed", weight,
			 "of %d new connections that meet the same router at hop %d as this one %d "
			 "get through: ways may part behind it",
			 p->same_way.sent, ttl, p->same_way.answered);
	else
		evidence(j, "load-balanced", weight,
			 "more than one router answers as %s: connections take different ways "
			 "there",
			 node_text(j, p->balanced, at, sizeof(at)));
}

/* With load balanced per flow a new connection may go another way: then it proves nothing. */
static void ways_differ(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct ip_addr *at_way = &j->s->flow_hop[j->s->swept_at];
	char router[ADDR_TEXT_LEN];

	if (!p->balanced && !p->member_dead && !p->mixed)
		return;
	if (p->member_dead) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] -= DECISIVE;
		j->cause[CAUSE_PATH_BLACKHOLE] += DECISIVE + CLEAR;
		evidence(j, "member-dead", DECISIVE,
			 "of %d new connections that meet %s at hop %d none gets through, of %d "
			 "that go other ways %d",
			 p->same_way.sent,
			 at_way->family ? addr_text(at_way, router) : "the router that is silent",
			 j->s->swept_at, p->other_ways.sent, p->other_ways.answered);
		return;
	}
	if (p->same_way.answered && !p->mixed) {
		evidence(j, "same-way-passes", weight_of_flow(j),
			 "all %d new connections that meet the same router at hop %d as this one "
			 "get through",
			 p->same_way.sent, j->s->swept_at);
		return;
	}
	if (stops_short(p)) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] -= HINT;
		/* As if never taken off. */
		j->cause[CAUSE_PATH_BLACKHOLE] += CLEAR + weight_of_flow(j) - HINT;
		/* Who keeps state seldom stands where ways part: others would lack it. */
		j->cause[CAUSE_PATH_BLACKHOLE] += p->mixed   ? some_stop_too(j)
						  : p->unmet ? HINT / 4
							     : 0;
	}
	say_what_is_open(j, -HINT);
}

static void everything_stops(struct judgement *j)
{
	const struct path_view *p = &j->path;
	int k = p->flow > p->control ? p->flow : p->control;
	double weight = fmin(fmin(p->beyond_missed, 3.5), loss_excluded(j, p->beyond_missed, 0));
	char at[64];

	if (!p->asked || k >= p->n || p->beyond_missed < 2 || p->flow < p->control)
		return;
	if (!p->control_asked) /* a new connection might get through */
		j->cause[CAUSE_CONNECTION_STATE_LOST] += weight;
	if (p->n_known && k == p->n - 1) {
		j->cause[CAUSE_PEER_GONE] += weight;
		j->cause[CAUSE_PATH_BLACKHOLE] += weight / 3;
		if (k)
			evidence(j, "peer-unreached", weight,
				 "every probe gets to %s, the last router, and none to the peer "
				 "behind it",
				 node_text(j, k, at, sizeof(at)));
		else
			evidence(j, "peer-unreached", weight,
				 "the peer is one hop away and answers no probe");
		return;
	}
	/* Where not even the first hop answers anybody, the routers may just be silent. */
	if (!k)
		weight = j->same_peer || j->elsewhere ? HINT : CLEAR;
	j->cause[CAUSE_PATH_BLACKHOLE] += weight;
	if (!p->n_known)
		j->cause[CAUSE_PEER_GONE] += weight / 2;
	if (!p->beyond_asked) {
		evidence(j, "all-lost", weight,
			 "the peer answers no probe, neither inside this connection nor from a "
			 "fresh port; %s does, and those behind it were not asked",
			 node_text(j, k, at, sizeof(at)));
		return;
	}
	evidence(j, "all-stop", weight, "nothing behind %s answers a probe, %s",
		 node_text(j, k, at, sizeof(at)),
		 p->control_asked ? "neither inside this connection nor from a fresh port"
				  : "inside this connection; the capture holds no others");
}

/* It explains the silence up to then; after that the timer does. */
static void an_outage_is_over(struct judgement *j)
{
	const struct path_view *p = &j->path;
	int k = j->s->outage_at;
	double weight = CLEAR + HINT;
	char at[64];

	if (!p->outage_over || loss_hits_all(j)) /* some are lost there still: they were before */
		return;
	j->cause[p->n_known && k == p->n - 1 ? CAUSE_PEER_GONE : CAUSE_PATH_BLACKHOLE] += weight;
	evidence(j, "outage-over", weight,
		 "nothing got farther than %s, and now packets do: the outage is over, and this "
		 "connection waits for a timer to try again",
		 node_text(j, k, at, sizeof(at)));
}

static void large_ones_stop_short(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct stall *s = j->s;
	double weight = fmin(fmin(HINT + PER_MISS * p->full_missed, 7),
			     loss_excluded(j, p->full_missed, LOSS_BY_SMALL));
	char at[64];

	if (p->asked && p->full < p->flow && p->full_missed > 1) {
		j->cause[CAUSE_SIZE_BLACKHOLE] += weight;
		if (p->full_asked)
			evidence(j, "size-frontier", weight,
				 "packets of %u bytes get no farther than %s, small ones of the "
				 "same connection reach %s",
				 s->full_size, node_text(j, p->full, at, sizeof(at)),
				 p->peer_in_flow ? "the peer" : "hops behind it");
		else
			evidence(j, "size-frontier", weight,
				 "packets of %u bytes are not answered where small ones of the "
				 "same connection are; not all hops were asked with them",
				 s->full_size);
	}
	if (s->too_big_mtu && s->full_size > s->too_big_mtu) {
		char from[ADDR_TEXT_LEN];

		j->cause[CAUSE_SIZE_BLACKHOLE] += STRONG;
		evidence(j, "too-big", STRONG, "%s says that packets above %u bytes do not fit",
			 addr_text(&s->too_big_from, from), s->too_big_mtu);
	}
}

/*
 * A router says "host unreachable" of whatever its next neighbour is: it speaks of the peer only
 * where it stands next to the peer.
 */
static bool is_last_router(const struct judgement *j, const struct ip_addr *from)
{
	for (int i = 0; i < j->s->pub.n_hops; i++)
		if (addr_equal(&j->s->pub.hops[i].address, from))
			return !j->path.n_known || j->s->pub.hops[i].ttl >= j->path.n - 1;
	return true;
}

/* RFC 792 and RFC 4443 codes, by what they blame. */
static void router_says_unreachable(struct judgement *j)
{
	const struct icmp_seen *i = &j->s->icmp;
	bool v6 = i->from.family == AF_INET6;
	bool host = says_host_unreachable(i);
	bool port = v6 ? i->code == 4 : i->code == 2 || i->code == 3;
	bool denied = v6 ? i->code == 1 : i->code == 9 || i->code == 10 || i->code == 13;
	char from[ADDR_TEXT_LEN];

	if (!j->s->icmp_count || i->type != (v6 ? 1 : 3))
		return;
	if (port || (host && is_last_router(j, &i->from)))
		j->cause[CAUSE_PEER_GONE] += STRONG;
	else if (!denied)
		j->cause[CAUSE_PATH_BLACKHOLE] += STRONG;
	evidence(j, "icmp-unreachable", denied ? 0 : STRONG, "%s says: %s (%u message%s)",
		 addr_text(&i->from, from),
		 host	  ? "host unreachable"
		 : port	  ? "port unreachable"
		 : denied ? "administratively prohibited"
			  : "network unreachable",
		 j->s->icmp_count, plural(j->s->icmp_count));
}

/* The TTL runs out on the way: packets go round, or the way is longer than any. */
static void packets_go_round(struct judgement *j)
{
	const struct path_view *p = &j->path;
	char at[64], from[ADDR_TEXT_LEN];

	if (p->loop) {
		j->cause[CAUSE_PATH_BLACKHOLE] += STRONG;
		evidence(j, "route-loop", STRONG,
			 "packets go round: %s and those behind it answer again and again",
			 node_text(j, p->loop, at, sizeof(at)));
	}
	if (j->s->expired > 1) {
		j->cause[CAUSE_PATH_BLACKHOLE] += STRONG;
		evidence(j, "ttl-expired", STRONG,
			 "%s says that %u segments of this connection ran out of hops",
			 addr_text(&j->s->expired_at, from), j->s->expired);
	}
}

static void route_has_changed(struct judgement *j)
{
	char was[ADDR_TEXT_LEN];
	int ttl = j->s->changed_at;

	if (ttl)
		evidence(j, "route-changed", 0,
			 "packets of this connection met another router at hop %d before than %s "
			 "now: the route has changed in the stall",
			 ttl, addr_text(&j->s->flow_hop[ttl], was));
}

void weigh_path(struct judgement *j)
{
	static void (*const clues[])(struct judgement *) = {
		flow_stops_short,  ways_differ,		  everything_stops,
		an_outage_is_over, large_ones_stop_short, router_says_unreachable,
		packets_go_round,  route_has_changed,
	};

	for (size_t i = 0; i < sizeof(clues) / sizeof(*clues); i++)
		clues[i](j);
}
