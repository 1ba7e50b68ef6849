/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues that only a capture holds: it saw both ends, knows on which side of it a segment was lost,
 * and has read what came afterwards. Weights as in clues.h.
 */
#include <netinet/tcp.h>
#include <stdio.h>

#include "engine/clues.h"

#define LARGE_LEN 1000		  /* bytes of data; below it no path is too narrow for a segment */
#define OUTAGE_NS (30 * NS_PER_S) /* silence of both ends for so long is no lost packet */

static const struct capture_seen *seen(const struct judgement *j)
{
	return &j->s->pub.capture;
}

static bool shut(const struct judgement *j)
{
	return flow_peer_window_shut(&j->s->pub.last);
}

static bool network_fault(const struct judgement *j)
{
	return !shut(j) && !j->s->reset && !seen(j)->acks_lost;
}

static void window_stays_shut(struct judgement *j)
{
	const struct flow_snapshot *s = &j->s->pub.last;
	const struct capture_seen *c = seen(j);

	/* It may have data out and be shut all the same: that data found no room. */
	if (s->wnd_shut_acks < 2 || !c->tries || shut(j))
		return;
	j->cause[CAUSE_RECEIVER_NOT_READING] += DECISIVE;
	evidence(j, "window-shut-answered", DECISIVE,
		 "the receiver answered %u times in the silence, each time with a shut window",
		 s->wnd_shut_acks);
}

static void went_on_after_repeat(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (!network_fault(j) || !c->recovered || !c->tries || j->s->pub.last.wnd_shut_acks > 1)
		return;
	j->cause[CAUSE_PATH_LOSS] += STRONG + HINT;
	j->cause[CAUSE_CONNECTION_STATE_LOST] -= CLEAR;
	j->cause[CAUSE_PEER_GONE] -= CLEAR;
	j->cause[CAUSE_CONTENT_DROP] -= STRONG;
	evidence(j, "resumed-by-repeat", STRONG + HINT,
		 "it went on as soon as retransmission %u of the silence got through, frame %llu",
		 c->tries, (unsigned long long)c->last_frame);
	if (!c->heard && c->tries > 2 &&
	    j->s->pub.last.retrans_ns > j->s->pub.last_progress_ns + OUTAGE_NS) {
		j->cause[CAUSE_PATH_BLACKHOLE] += STRONG + HINT;
		evidence(j, "outage", STRONG, "until then neither end was heard by the other");
	} else if (!c->heard && c->tries > 1 && c->stuck_beside && !c->same_pair) {
		j->cause[CAUSE_PATH_BLACKHOLE] += STRONG + CLEAR;
		evidence(j, "outage-of-all", STRONG,
			 "until then neither end was heard by the other, nor on %u other "
			 "connections of the two hosts",
			 c->stuck_beside);
	}
}

/* All that was sent behind the missing segment has arrived: nothing is left to draw an answer. */
static bool rest_arrived(const struct judgement *j)
{
	const struct flow_snapshot *s = &j->s->pub.last;
	uint32_t missing = seen(j)->stuck_len ? seen(j)->stuck_len : s->mss;

	return seen(j)->sacked_bytes && seen(j)->sacked_bytes + missing >= s->snd_nxt - s->snd_una;
}

/* After what was under way nothing of the receiver comes, however often it is tried. */
static bool fell_silent(const struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	return !c->recovered && c->tries > 2 && (!c->heard || c->unanswered > 2) &&
	       !j->s->peer.acked && !rest_arrived(j);
}

static void receiver_asks_for_hole(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	const double weight = fell_silent(j) ? HINT : CLEAR + HINT;

	if (!network_fault(j) || !(c->sacked_bytes || c->upstream))
		return;
	j->cause[CAUSE_PATH_LOSS] += weight;
	j->way = WAY_FORWARD;
	if (c->sacked_bytes)
		evidence(j, "hole-sacked", weight,
			 "the receiver has %u bytes behind the missing segment and said so",
			 c->sacked_bytes);
	else if (c->dup_acks)
		evidence(j, "hole-dup-acks", weight,
			 "the receiver asked for the missing segment in %u duplicate ACKs",
			 c->dup_acks);
	else
		evidence(j, "hole", weight,
			 "data came past the capture point with a gap before it that stayed open");
}

static void side_of_capture(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (!network_fault(j) || !c->tries)
		return;
	if (c->upstream) {
		j->way = WAY_FORWARD;
		evidence(j, "lost-upstream", 0,
			 "the missing segment had not come past the capture point: it was lost "
			 "between the sender and there");
	} else if (c->stuck_seen > 1) {
		evidence(j, "lost-downstream", 0,
			 "the first unacknowledged segment came past the capture point %u times: "
			 "it, or its ACK, was lost between there and the receiver",
			 c->stuck_seen);
	}
	if (c->heard && !c->upstream)
		j->way = WAY_FORWARD;
	if (c->repeats > 1) {
		j->way = WAY_REVERSE;
		evidence(j, "acks-lost", HINT,
			 "%u segments were sent again although their ACK had come past the capture "
			 "point",
			 c->repeats);
	}
}

/*
 * At the sender's own link the loss is in the sender: what the wire has brought it does not take.
 * RFC 9293 3.10.7.4 would have it answer.
 */
static void acks_get_lost(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (!c->acks_lost)
		return;
	j->way = WAY_REVERSE;
	evidence(j, "acks-lost", STRONG,
		 "the receiver had acknowledged all; %u segment%s sent again all the same, from "
		 "frame %llu on: its ACKs are lost behind the capture point",
		 c->repeats, c->repeats == 1 ? " was" : "s were",
		 (unsigned long long)c->retrans_frame);
	if (c->position == CAPTURED_NEAR_SRC && c->on_link) {
		j->cause[CAUSE_LOCAL_DROP] += STRONG + HINT;
		evidence(j, "acks-at-sender", STRONG + HINT,
			 "they were captured on the sender's own link, so that it drops them "
			 "itself");
	} else if (c->recovered) {
		j->cause[CAUSE_PATH_LOSS] += STRONG;
	} else if (c->same_pair) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] += STRONG;
		evidence(j, "witness-same-pair", STRONG,
			 "%u other connections of the two hosts went on in the silence",
			 c->same_pair);
	} else {
		j->cause[CAUSE_PATH_BLACKHOLE] += STRONG;
	}
}

/* Data arrives on the receiver's own link, and the receiver says nothing. */
static void receiver_is_mute(struct judgement *j)
{
	const struct capture_seen *c = seen(j);
	bool delivered = c->position == CAPTURED_NEAR_DST && c->on_link && !c->upstream;

	if (!network_fault(j) || !delivered || c->heard || c->recovered || c->tries < 3)
		return;
	if (c->same_pair) {
		j->cause[CAUSE_LOCAL_DROP] += DECISIVE;
		j->cause[CAUSE_CONNECTION_STATE_LOST] -= STRONG;
	} else {
		j->cause[CAUSE_PEER_GONE] += STRONG;
		j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
	}
	evidence(j, "receiver-mute", c->same_pair ? DECISIVE : STRONG,
		 "%u retransmission%s came by on the receiver's own link and had no answer%s",
		 c->tries, plural(c->tries),
		 c->same_pair ? ", while it answered others of the same host: it drops them itself"
			      : "");
}

/*
 * The first ACK after the silence covers what was not sent again: it had arrived, and without
 * duplicate ACKs nothing says that anything was missing. Lost were the ACKs.
 */
static void ack_jumps(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (!network_fault(j) || !c->recovered || !c->jumped || c->heard || c->upstream ||
	    c->one_way || c->missing || c->sacked_bytes)
		return;
	j->way = WAY_REVERSE;
	evidence(j, "ack-jumps", HINT,
		 "the first ACK after the silence covers data that was not sent again: it had "
		 "arrived, the ACKs had not");
}

/* It never went on. */
static void no_answer_to_the_end(struct judgement *j)
{
	const struct capture_seen *c = seen(j);
	double weight = c->tries > 2 ? CLEAR : HINT;

	if (!network_fault(j) || c->recovered || !c->tries)
		return;
	if (c->refused > 1 || rest_arrived(j) || j->s->peer.acked)
		return; /* the way is open */
	if (c->heard && !fell_silent(j)) {
		j->cause[CAUSE_PATH_LOSS] += CLEAR;
		evidence(j, "receiver-alive", CLEAR,
			 "%u segment%s of the receiver came in the silence; the data did not get "
			 "there in %u %s",
			 c->heard, plural(c->heard), c->tries, c->tries == 1 ? "try" : "tries");
		return;
	}
	j->cause[CAUSE_PATH_BLACKHOLE] += weight;
	j->cause[CAUSE_PEER_GONE] += weight - HINT;
	j->cause[CAUSE_CONNECTION_STATE_LOST] += weight - HINT;
	evidence(j, "no-answer", weight,
		 "%u retransmission%s from frame %llu on, and nothing of the receiver %s", c->tries,
		 plural(c->tries), (unsigned long long)c->retrans_frame,
		 j->e->config.offline ? "to the end" : "since");
}

static void others_of_the_hosts(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (!network_fault(j))
		return;
	if (c->same_pair && !c->recovered && (!c->heard || fell_silent(j)) && !rest_arrived(j)) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] += STRONG;
		j->cause[CAUSE_PATH_BLACKHOLE] -= CLEAR;
		j->cause[CAUSE_PEER_GONE] -= DECISIVE;
		evidence(j, "witness-same-pair", STRONG,
			 "%u other connections of the two hosts went on in the silence",
			 c->same_pair);
	} else if (c->stuck_beside) {
		j->cause[CAUSE_CONNECTION_STATE_LOST] -= STRONG;
		evidence(j, "all-of-the-pair", -STRONG,
			 "%u other connections of the two hosts were silent as well",
			 c->stuck_beside);
	}
}

/* Each timeout's segment arrives, and is answered with an ACK for what came before it. */
static void timeouts_are_refused(struct judgement *j)
{
	const struct capture_seen *c = seen(j);
	double weight = c->refused > 2 ? STRONG + CLEAR : CLEAR + HINT;

	if (!network_fault(j) || c->refused < 2 || c->sacked_bytes)
		return;
	j->cause[CAUSE_HEADER_REWRITE] += weight;
	j->cause[CAUSE_CONTENT_DROP] -= STRONG;
	evidence(j, "refused", weight,
		 "the receiver answers %u of %u tries at once with an ACK for what came before: it "
		 "gets them and does not take them, as with a timestamp or sequence number that is "
		 "not the sender's",
		 c->refused, c->tries);
}

/*
 * The same large segment again and again, small ones pass. Whatever large thing arrives, or the
 * same one in the end, speaks against it. Large ones of before count only if one alone is lost: a
 * path may become narrow.
 */
static void only_large_ones_vanish(struct judgement *j)
{
	const struct capture_seen *c = seen(j);
	bool smaller_passed = c->recovered && c->resumed_len && c->resumed_len < c->stuck_len;
	bool small_sacked = c->sacked_bytes && c->sacked_longest < c->stuck_len / 2;
	uint32_t out = j->s->pub.last.snd_nxt - j->s->pub.last.snd_una;
	bool several = small_sacked && out - c->sacked_bytes >= 2 * c->stuck_len;
	/* By probes, which came later than what was under way. */
	bool narrow = j->path.asked && j->path.full_asked && j->path.full < j->path.flow &&
		      j->path.full_missed > 1;

	if (c->stuck_len >= LARGE_LEN && c->sacked_longest >= c->stuck_len && !narrow)
		j->cause[CAUSE_SIZE_BLACKHOLE] -= STRONG; /* as large a one came behind it */
	if (!network_fault(j) || c->tries < 3 || c->stuck_len < LARGE_LEN || c->one_way ||
	    (c->passed_len >= c->stuck_len && !several) || c->sacked_longest >= c->stuck_len)
		return;
	if (!smaller_passed && !small_sacked)
		return;
	j->cause[CAUSE_SIZE_BLACKHOLE] += STRONG + CLEAR;
	evidence(j, "only-large-vanish", STRONG + CLEAR,
		 "segments of %u bytes were lost %u time%s and never arrived; smaller ones did",
		 c->stuck_len, c->tries, plural(c->tries));
}

static void one_segment_never_passes(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	/* Where the path has died some of what was under way arrives, the rest never does. */
	if (!network_fault(j) || c->recovered || c->tries < 4 || !c->sacked_bytes ||
	    c->sacked_longest < c->stuck_len || !(rest_arrived(j) || c->heard))
		return;
	j->cause[CAUSE_CONTENT_DROP] += STRONG + CLEAR;
	evidence(j, "same-segment", STRONG + CLEAR,
		 "these %u bytes were lost in all of %u tries while %u bytes behind them arrived",
		 c->stuck_len, c->tries, c->sacked_bytes);
}

/* Damaged before they came by: the receiver drops them, and so does every retransmission's. */
static void came_by_damaged(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (!network_fault(j) || !c->bad_sums || c->bad_sums * 2 < c->tries)
		return;
	j->cause[CAUSE_PATH_CORRUPTION] += DECISIVE;
	j->way = WAY_FORWARD;
	evidence(j, "checksum-bad", DECISIVE,
		 "%u segment%s came by in the silence with a bad checksum, most of this connection "
		 "have a good one: they were damaged between the sender and the capture point",
		 c->bad_sums, plural(c->bad_sums));
}

static void seen_one_way(struct judgement *j)
{
	const struct capture_seen *c = seen(j);

	if (c->one_way && c->tries) {
		j->cause[CAUSE_PATH_LOSS] += HINT;
		evidence(j, "one-direction", HINT,
			 "only the sender was captured: it sent the same bytes %u times before it "
			 "went on",
			 c->tries + 1);
	}
	if (c->missing)
		evidence(j, "capture-lost", 0,
			 "the capture itself lacks packets of this direction that were "
			 "acknowledged");
}

static void watched_from_between(struct judgement *j)
{
	if (!j->e->config.offline)
		evidence(j, "not-probed", 0,
			 "neither end is this host, which can watch this connection but not send "
			 "probes inside it");
}

static bool settle(struct place *p, enum place_kind kind, const struct ip_addr *address,
		   double confidence)
{
	*p = (struct place){.kind = kind, .address = *address, .confidence = confidence};
	return true;
}

/* A router may quote what it could not pass on: it is the place, or next to it. */
static bool router_has_said_so(const struct judgement *j, struct place *ret)
{
	const struct icmp_seen *i = &j->s->icmp;
	bool theirs = j->verdict == CAUSE_PATH_BLACKHOLE || j->verdict == CAUSE_SIZE_BLACKHOLE ||
		      j->verdict == CAUSE_CONNECT_REFUSED_BY_PATH || j->verdict == CAUSE_PEER_GONE;

	if (!j->s->icmp_count || !theirs || addr_equal(&i->from, &j->s->pub.key.remote.addr))
		return false;
	settle(ret, PLACE_HOP, &i->from, 0.9);
	for (int k = 0; k < j->s->pub.n_hops; k++) /* where the capture holds probes */
		if (addr_equal(&j->s->pub.hops[k].address, &i->from))
			ret->ttl = j->s->pub.hops[k].ttl;
	return true;
}

bool place_capture(const struct judgement *j, struct place *ret)
{
	const struct incident *pub = &j->s->pub;
	const struct capture_seen *c = seen(j);

	if (router_has_said_so(j, ret))
		return true;
	if (j->verdict == CAUSE_LOCAL_DROP || j->verdict == CAUSE_PEER_GONE) {
		if (c->on_link && c->acks_lost)
			return settle(ret, PLACE_SENDER_HOST, &pub->key.local.addr, 0.8);
		/* The receiver may be the one that asks: then the silent end is the sender. */
		return settle(ret, j->s->sends ? PLACE_RECEIVER_HOST : PLACE_SENDER_HOST,
			      &pub->key.remote.addr, c->on_link ? 0.8 : 0.6);
	}
	return false;
}

void weigh_capture(struct judgement *j)
{
	static void (*const clues[])(struct judgement *) = {
		window_stays_shut,	went_on_after_repeat,
		receiver_asks_for_hole, side_of_capture,
		no_answer_to_the_end,	others_of_the_hosts,
		timeouts_are_refused,	acks_get_lost,
		receiver_is_mute,	ack_jumps,
		only_large_ones_vanish, one_segment_never_passes,
		came_by_damaged,	seen_one_way,
		watched_from_between,	weigh_rewriting,
	};

	if (j->s->pub.slow) {
		weigh_pace(j);
		weigh_rewriting(j);
		return;
	}
	if (j->s->pub.last.state == TCP_SYN_SENT || j->s->pub.last.state == TCP_SYN_RECV) {
		weigh_handshake(j);
		return;
	}
	for (size_t i = 0; i < sizeof(clues) / sizeof(*clues); i++)
		clues[i](j);
	if (j->s->asked)
		weigh_passing_probes(j);
}
