/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues to the cause: what the connection itself shows, what this host dropped, what the probes and
 * the witnesses say. Weights are natural log-odds: 3 is twenty to one. They are chosen so that one
 * direct observation (a shut window that is answered, a drop seen here) decides, while
 * circumstantial ones need each other.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "engine/judge.h"

#define DECISIVE 8.0
#define STRONG	 4.0
#define CLEAR	 2.5
#define HINT	 1.0
#define PER_MISS 1.5 /* a probe unanswered where its twin was answered */

static const struct flow_snapshot *last(const struct judgement *j)
{
	return &j->s->pub.last;
}

static double capped(double weight, double most)
{
	return weight < most ? weight : most;
}

static double silence_s(const struct judgement *j)
{
	return (double)(j->e->now_ns - j->s->pub.last_progress_ns) / 1e9;
}

uint32_t heard_by_itself(const struct judgement *j)
{
	const struct flow_snapshot *s = last(j);
	uint64_t settled_ns = j->s->pub.last_progress_ns + NS_PER_S / 2 + 2 * NS_PER_US * s->rtt_us;
	bool asked = j->s->rounds > 0;

	if (!j->s->sends || (asked ? j->s->last_in_before_ns : s->last_in_ns) < settled_ns)
		return 0;
	return asked ? j->s->in_segs_before : s->in_segs;
}

static void reset_ended_it(struct judgement *j)
{
	const struct reset_seen *r = &j->s->reset_seen;
	double weight = DECISIVE;

	if (!j->s->reset)
		return;
	if (last(j)->state == TCP_SYN_SENT && !passes_by(j->s) && !j->s->reset_forged &&
	    !j->s->peer.reset_ttl)
		weight = CLEAR; /* nobody could be asked who refuses */
	j->cause[CAUSE_CONNECTION_RESET] += weight;
	if (j->s->reset_forged)
		evidence(j, "reset-forged", DECISIVE,
			 "the reset arrived with TTL %u, the %s's segments with %u: it was "
			 "written %u hop%s away, the %s is %d",
			 r->ttl, r->inbound ? "peer" : "sender", r->ttl_usual, j->s->reset_hops,
			 plural(j->s->reset_hops), r->inbound ? "peer" : "sender",
			 hops_from_ttl(r->ttl_usual));
	else if (r->ttl && r->ttl_usual)
		evidence(j, "reset-by-peer", DECISIVE,
			 "the reset arrived with TTL %u like the peer's segments (%u): the peer or "
			 "something as far away wrote it",
			 r->ttl, r->ttl_usual);
	else
		evidence(j, "reset", weight,
			 "a reset arrived; how far away it was written is not known");
	/* Hosts count their packets, many from a random start for each connection (RFC 6864);
	 * Linux writes 0 into a reset without a socket. So it speaks only beside the TTL. */
	if (j->s->reset_forged && r->ip_id && r->ip_id_usual &&
	    (uint16_t)(r->ip_id - r->ip_id_usual) > IP_ID_STEP)
		evidence(j, "reset-ip-id", 0,
			 "its IP identification, %u, does not continue that of the segments, %u",
			 r->ip_id, r->ip_id_usual);
}

static void nothing_is_owed(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (!j->s->sends || owed_bytes(s) || s->state == TCP_SYN_SENT || j->s->reset)
		return;
	j->cause[CAUSE_SENDER_IDLE] += DECISIVE;
	evidence(j, "nothing-owed", DECISIVE,
		 "all that the program queued is acknowledged, nothing waits to be sent");
}

static void peer_window_is_shut(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (!j->s->sends || !flow_peer_window_shut(s) || s->state == TCP_SYN_SENT)
		return;
	if (heard_by_itself(j)) {
		j->cause[CAUSE_RECEIVER_NOT_READING] += DECISIVE;
		evidence(j, "window-shut-answered", DECISIVE,
			 "the peer's window is %u bytes with %u waiting; it has sent %u segment%s "
			 "since and keeps it shut",
			 s->snd_wnd, owed_bytes(s), heard_by_itself(j), plural(heard_by_itself(j)));
	} else {
		j->cause[CAUSE_RECEIVER_NOT_READING] += HINT;
		evidence(j, "window-shut-silent", HINT,
			 "the peer's window is %u bytes and %u window probe%s unanswered",
			 s->snd_wnd, s->probes_out, s->probes_out == 1 ? " is" : "s are");
	}
}

static void own_window_is_shut(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (j->s->sends || !flow_own_window_shut(s))
		return;
	j->cause[CAUSE_RECEIVER_NOT_READING] += DECISIVE;
	evidence(j, "own-window-shut", DECISIVE,
		 "%u bytes wait unread in this host's receive queue, the window left is %u bytes",
		 s->rcv_nxt - s->copied_seq, s->rcv_wnd);
}

/*
 * Reasons that begin with TCP_ judge the segment, not the host: the peer or the path sent it so.
 * NEIGH_ ones say that the next hop does not answer.
 */
static void packets_are_dropped_here(struct judgement *j)
{
	const struct stall *s = j->s;

	if (s->reset)
		return; /* what still comes for a dead socket is dropped, and rightly */
	for (int i = 0; i < s->n_drops; i++) {
		const struct drop_tally *d = &s->drops[i];
		bool neighbour = !strncmp(d->reason, "NEIGH_", 6);
		bool judged = neighbour || !strncmp(d->reason, "TCP_", 4);
		double weight = judged ? 0 : DECISIVE - (d->count < 2 ? STRONG : 0);

		j->cause[CAUSE_LOCAL_DROP] += capped(weight, DECISIVE);
		j->cause[CAUSE_PATH_BLACKHOLE] += neighbour ? STRONG : 0;
		evidence(j, "local-drop", weight,
			 "this host's kernel dropped %llu %s packet%s of this connection: %s%s%s",
			 (unsigned long long)d->count, d->inbound ? "incoming" : "outgoing",
			 plural(d->count), d->reason, d->function[0] ? " in " : "", d->function);
	}
	if (s->local_errors > 1) {
		j->cause[CAUSE_LOCAL_DROP] += STRONG;
		evidence(j, "probe-refused", STRONG,
			 "this host's kernel refused %u probes of this connection: operation not "
			 "permitted",
			 s->local_errors);
	}
}

static void peer_keeps_talking(struct judgement *j)
{
	uint32_t n = heard_by_itself(j);

	if (!n || flow_peer_window_shut(last(j)) || !owed_bytes(last(j)))
		return;
	j->cause[CAUSE_PEER_GONE] -= STRONG;
	if (!last(j)->dup_acks) {
		/* Data of its own: the way back is fine, which says nothing of the way there. */
		j->way = WAY_FORWARD;
		evidence(j, "peer-sends", -STRONG,
			 "%u segment%s of the peer arrived in the silence: it lives", n, plural(n));
		return;
	}
	j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
	j->cause[CAUSE_CONNECTION_STATE_LOST] -= CLEAR;
	evidence(j, "peer-heard", -CLEAR,
		 "%u segment%s of the peer arrived in the silence, none acknowledges more", n,
		 plural(n));
}

static void peer_is_silent(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (!j->s->sends || heard_by_itself(j) || !owed_bytes(s) || flow_peer_window_shut(s))
		return;
	j->cause[CAUSE_PATH_BLACKHOLE] += HINT / 2;
	j->cause[CAUSE_PEER_GONE] += HINT / 2;
	j->cause[CAUSE_CONNECTION_STATE_LOST] += HINT / 2;
	evidence(j, "silence", HINT / 2,
		 "%u bytes are unacknowledged, %u retransmission%s in %.1f s, and nothing came "
		 "back",
		 s->snd_nxt - s->snd_una, s->retrans, plural(s->retrans), silence_s(j));
}

/* Our ACKs do not reach the peer: it goes on repeating what we have. */
static void peer_repeats(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (j->s->sends || !flow_peer_repeats(s))
		return;
	j->cause[CAUSE_SENDER_IDLE] -= STRONG;
	j->cause[CAUSE_PATH_BLACKHOLE] += HINT / 2;
	j->cause[CAUSE_CONNECTION_STATE_LOST] += HINT / 2;
	j->way = WAY_REVERSE;
	evidence(j, "peer-repeats", HINT,
		 "the peer has sent %u segment%s again that had been acknowledged: our ACKs do "
		 "not arrive there",
		 s->old_segs, plural(s->old_segs));
}

static void a_hole_stays_open(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);
	uint64_t in_ns = j->s->rounds ? j->s->last_in_before_ns : s->last_in_ns;

	if (j->s->sends || !s->hole_segs)
		return;
	j->cause[CAUSE_SENDER_IDLE] -= STRONG;
	if (in_ns < s->rcv.progress_ns + NS_PER_S / 2 + 2 * NS_PER_US * s->rtt_us) {
		evidence(j, "hole-before", 0,
			 "%u segment%s arrived beyond a hole, all at the beginning of the silence",
			 s->hole_segs, plural(s->hole_segs));
		return; /* they were under way when it broke */
	}
	j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
	j->cause[CAUSE_PEER_GONE] -= STRONG;
	j->way = WAY_FORWARD;
	evidence(j, "hole", -CLEAR, "%u segment%s arrived beyond a hole that stays open",
		 s->hole_segs, plural(s->hole_segs));
}

/*
 * When an outage is over the peer still waits for its timer, which doubles (RFC 6298 5.5): it tries
 * again before the silence is twice as long as it was when the path was seen to be open.
 */
static bool tried_again(const struct judgement *j)
{
	uint64_t since_ns = j->s->pub.last_progress_ns, open_ns = j->s->peer.nxt_ns;

	return open_ns > since_ns && j->e->now_ns >= open_ns + (open_ns - since_ns) + NS_PER_S;
}

static void peer_answers_in_flow(struct judgement *j)
{
	const struct peer_answers *peer = &j->s->peer;
	uint32_t ahead = peer->nxt - last(j)->rcv_nxt;

	if (!peer->acked)
		return;
	j->cause[CAUSE_PATH_BLACKHOLE] -= j->path.outage_over ? 0 : STRONG;
	j->cause[CAUSE_PEER_GONE] -= j->path.outage_over ? 0 : DECISIVE;
	j->cause[CAUSE_CONNECTION_STATE_LOST] -= STRONG;
	if (j->s->sends && flow_peer_window_shut(last(j))) {
		j->cause[CAUSE_RECEIVER_NOT_READING] += STRONG;
		evidence(j, "window-shut-asked", STRONG,
			 "the peer answers inside this connection and keeps its window shut");
	} else if (j->s->sends) {
		evidence(j, "peer-answers", -STRONG,
			 "the peer acknowledges small packets of this connection, so both ways "
			 "carry them");
	} else if (peer_is_ahead(j->e, j->s)) {
		double weight = tried_again(j) ? CLEAR : HINT;

		j->cause[CAUSE_SIZE_BLACKHOLE] += weight;
		j->way = WAY_FORWARD;
		evidence(j, "peer-ahead", weight,
			 "the peer answers small packets and has sent %u bytes that did not arrive",
			 ahead);
	} else if ((int32_t)ahead <= 0 && !last(j)->hole_segs && !flow_peer_repeats(last(j))) {
		j->cause[CAUSE_SENDER_IDLE] += DECISIVE;
		evidence(j, "peer-idle", DECISIVE,
			 "the peer answers and has sent nothing that did not arrive: its program "
			 "is idle");
	}
}

static void another_asked(struct judgement *j)
{
	if (j->s->adopted)
		evidence(j, "not-probed", 0,
			 "this connection was not probed, as too many stalled or it ended too "
			 "early; the verdict rests on what was found with the one from port %u, "
			 "which goes the same way",
			 j->s->pub.lead.local.port);
	else if (j->s->led && j->s->asked)
		evidence(j, "probed-together", 0,
			 "the path was probed with the connection from port %u, which stalls as "
			 "well",
			 j->s->pub.lead.local.port);
}

/* The heart: inside the connection probes stop where those of a new one go on. */
static void flow_stops_short(struct judgement *j)
{
	const struct path_view *p = &j->path;
	double weight;
	char at[64], to[64];

	if (!p->asked || p->flow >= p->control || p->flow_missed < 1)
		return;
	weight = capped(capped(HINT + PER_MISS * p->flow_missed, 7),
			loss_excluded(j, p->flow_missed, LOSS_BY_CONTROL));
	if (!p->balanced && loss_hits_all(j))
		weight = capped(weight, HINT);
	j->cause[CAUSE_CONNECTION_STATE_LOST] += weight;
	j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
	j->cause[CAUSE_PEER_GONE] -= CLEAR;
	if (p->flow >= p->n - 1) {
		evidence(j, "peer-silent-in-flow", weight,
			 "every router answers probes inside this connection, the peer only those "
			 "of "
			 "a new one");
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

/* With load balanced per flow a new connection may go another way: then it proves nothing. */
static void ways_differ(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct ip_addr *at_way = &j->s->flow_hop[j->s->swept_at];
	double weight = capped(HINT + PER_MISS * p->flow_missed, 7);
	char at[64], router[ADDR_TEXT_LEN];

	if (!p->balanced && !p->member_dead)
		return;
	if (p->member_dead) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] -= DECISIVE;
		j->cause[CAUSE_PATH_BLACKHOLE] += DECISIVE + CLEAR;
		evidence(j, "member-dead", DECISIVE,
			 "ways part at hop %d: of %d new connections through %s none gets through, "
			 "of %d by other ways %d",
			 j->s->swept_at, p->same_way.sent,
			 at_way->family ? addr_text(at_way, router) : "the router that is silent",
			 p->other_ways.sent, p->other_ways.answered);
		return;
	}
	if (p->same_way.answered) {
		evidence(j, "same-way-passes", weight,
			 "ways part at hop %d: of %d new connections that go this one's way %d get "
			 "through",
			 j->s->swept_at, p->same_way.sent, p->same_way.answered);
		return;
	}
	if (p->asked && p->flow < p->control && p->flow_missed > 0) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] -= HINT;
		j->cause[CAUSE_PATH_BLACKHOLE] += CLEAR + weight - HINT; /* as if never taken off */
	}
	evidence(j, "load-balanced", -HINT,
		 "more than one router answers as %s: connections take different ways there",
		 node_text(j, p->balanced, at, sizeof(at)));
}

static void everything_stops(struct judgement *j)
{
	const struct path_view *p = &j->path;
	int k = p->flow > p->control ? p->flow : p->control;
	double weight =
		capped(capped(p->beyond_missed, 3.5), loss_excluded(j, p->beyond_missed, 0));
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
	evidence(j, "all-stop", weight, "no probe gets farther than %s, %s",
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
	double weight = capped(capped(HINT + PER_MISS * p->full_missed, 7),
			       loss_excluded(j, p->full_missed, LOSS_BY_SMALL));
	char at[64];

	if (p->asked && p->full < p->flow && p->full_missed > 1) {
		j->cause[CAUSE_SIZE_BLACKHOLE] += weight;
		evidence(j, "size-frontier", weight,
			 "packets of %u bytes get no farther than %s, small ones of the same "
			 "connection reach %s",
			 s->full_size, node_text(j, p->full, at, sizeof(at)),
			 p->peer_in_flow ? "the peer" : "hops behind it");
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

static void others_live(struct judgement *j)
{
	const struct incident *pub = &j->s->pub;

	if (j->same_peer) {
		j->cause[CAUSE_PEER_GONE] -= DECISIVE;
		j->cause[CAUSE_PATH_BLACKHOLE] -= STRONG;
		j->cause[CAUSE_CONNECTION_STATE_LOST] += CLEAR / 2;
		evidence(j, "witness-same-peer", CLEAR / 2,
			 "%d other connection%s to the same peer moved data in the silence",
			 j->same_peer, j->same_peer > 1 ? "s" : "");
	}
	if (j->returned)
		evidence(j, "witness-returned", 0,
			 "%d other connection%s move%s again, and this one has not tried since",
			 j->returned, plural((uint64_t)j->returned), j->returned > 1 ? "" : "s");
	if (j->elsewhere)
		evidence(j, "witness-elsewhere", HINT,
			 "%d connection%s to other peers moved data in the silence%s", j->elsewhere,
			 j->elsewhere > 1 ? "s" : "",
			 pub->route.gateway.family && j->shared ? ", through the same gateway"
								: "");
}

/* A watched transfer that crawls: its counters, this host, and boxes that damage or rewrite. */
static void weigh_slow(struct judgement *j)
{
	weigh_pace(j);
	weigh_local(j);
	weigh_segment(j);
	weigh_path_loss(j);
}

void weigh_causes(struct judgement *j)
{
	static void (*const clues[])(struct judgement *) = {
		reset_ended_it,
		nothing_is_owed,
		peer_window_is_shut,
		own_window_is_shut,
		packets_are_dropped_here,
		peer_keeps_talking,
		peer_is_silent,
		peer_repeats,
		a_hole_stays_open,
		peer_answers_in_flow,
		another_asked,
		flow_stops_short,
		ways_differ,
		everything_stops,
		an_outage_is_over,
		large_ones_stop_short,
		router_says_unreachable,
		packets_go_round,
		route_has_changed,
		others_live,
		weigh_local,
		weigh_path_loss,
	};

	for (size_t i = 0; !j->s->pub.slow && i < sizeof(clues) / sizeof(*clues); i++)
		clues[i](j);
	if (passes_by(j->s))
		weigh_capture(j);
	else if (j->s->pub.slow)
		weigh_slow(j);
	else
		weigh_segment(j);
}
