/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues to the cause: what the connection itself shows, what this host dropped, what the witnesses
 * say.
 */
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "engine/clues.h"

static const struct flow_snapshot *last(const struct judgement *j)
{
	return &j->s->pub.last;
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

		j->cause[CAUSE_LOCAL_DROP] += fmin(weight, DECISIVE);
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

/* What a capture has of the receiver does not get to the sender. */
static bool acks_are_lost(const struct judgement *j)
{
	return passes_by(j->s) && j->s->pub.capture.acks_lost;
}

static void peer_is_silent(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (!j->s->sends || heard_by_itself(j) || !owed_bytes(s) || flow_peer_window_shut(s) ||
	    acks_are_lost(j))
		return;
	j->cause[CAUSE_PATH_BLACKHOLE] += HINT / 2;
	j->cause[CAUSE_PEER_GONE] += HINT / 2;
	j->cause[CAUSE_CONNECTION_STATE_LOST] += HINT / 2;
	evidence(j, "silence", HINT / 2,
		 "%u bytes are unacknowledged, %u retransmission%s in %.1f s, and none is "
		 "acknowledged",
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

	if (!peer->acked || acks_are_lost(j))
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

static void others_live(struct judgement *j)
{
	const struct incident *pub = &j->s->pub;

	if (j->same_peer) {
		/* Where ways part they prove nothing as long as none is known to go this one's. */
		const bool open = j->path.unmet || j->path.mixed;
		double weight = open ? 0 : CLEAR / 2;

		j->cause[CAUSE_PEER_GONE] -= DECISIVE;
		j->cause[CAUSE_PATH_BLACKHOLE] -= open ? 0 : STRONG;
		j->cause[CAUSE_CONNECTION_STATE_LOST] += weight;
		evidence(j, "witness-same-peer", weight,
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
		weigh_path,
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
