/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sequence space of a direction, from una, nxt and a few holes: what is new, what is sent
 * again, what the receiver has, and whether the sender owes progress. Nothing is kept for a
 * segment.
 */
#include <string.h>

#include "sensor/tracker_impl.h"

#define REORDER_NS    (3 * NS_PER_MS) /* a hole that fills as fast was reordering */
#define ONE_WAY_TRIES 2
#define UNDER_WAY_NS  (500 * NS_PER_MS) /* and two round trips: what still comes was sent before */
#define TIMEOUT_NS    (200 * NS_PER_MS) /* TCP_RTO_MIN; others wait longer (RFC 6298 2.4) */

/* --- who owes, and is there something to show for it ------------------------------------------ */

static bool one_way(const struct half *o)
{
	return !(o->flags & HALF_SEEN);
}

/*
 * The receiver has acknowledged all, and the sender goes on sending it again: what is lost is the
 * ACKs, behind the capture point. More than one needless timeout (RFC 5682) must show it.
 */
static bool acks_lost(const struct half *h, const struct detail *d)
{
	return d && d->repeats > 1 && h->una == h->nxt && seq_diff(d->repeat_seq, h->una) < 0;
}

uint32_t half_known_una(const struct tracker *t, const struct half *h)
{
	const struct detail *d = detail_of(t, h);

	return acks_lost(h, d) ? d->repeat_seq : h->una;
}

bool half_owes(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);
	const struct half *o = half_peer(h, node);

	if (!(h->flags & HALF_SEEN) || ((h->flags | o->flags) & HALF_RESET))
		return false;
	/* A receiver that has closed and acknowledges no more has gone home: end, not stall. */
	if ((o->flags & HALF_FIN) && !(h->flags & HALF_LATE_ACK))
		return false;
	return half_out(h) || (h->flags & HALF_SHUT);
}

static bool shown(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);
	const struct half *o = half_peer(h, node);
	const struct detail *d = detail_of(t, h);

	if (half_opening(h))
		return handshake_shown(h, o);
	if (one_way(o))
		return h->tries >= ONE_WAY_TRIES && !(h->flags & HALF_MISSING);
	if (h->tries)
		return true;
	if (h->flags & HALF_SHUT)
		return false;
	return d && (d->sacked_bytes || (d->n_holes && d->holes[0].seq == h->una && h->dup_acks));
}

/*
 * A gap that the receiver has said nothing about may be one of the capture only. It was real if the
 * receiver speaks again after the silence without anything new of the sender: what it answers is
 * the missing segment, come another way or at last.
 */
void sequence_gap(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node);
	const struct detail *d = detail_of(t, h);

	if (!(h->flags & HALF_WAITING) || !d || !d->n_holes || d->holes[0].seq != h->una ||
	    one_way(half_at(t, node ^ 1)) ||
	    t->now_ns - h->last_ns < t->config.stall_after_ns / 2 ||
	    t->now_ns - half_silent_since(h) < t->config.stall_after_ns || !half_owes(t, node))
		return;
	report_stall(t, node, t->now_ns);
}

void half_silent(struct tracker *t, uint32_t node, uint64_t due_ns)
{
	struct half *h = half_at(t, node);
	uint64_t silent_until_ns = half_silent_since(h) + t->config.stall_after_ns;

	if (!half_owes(t, node))
		return;
	if (silent_until_ns > due_ns)
		wheel_arm(t, node, silent_until_ns);
	else if (shown(t, node))
		report_stall(t, node, due_ns);
	else
		h->flags |= HALF_WAITING;
}

static void arm(struct tracker *t, uint32_t node, const struct half *h)
{
	if (!(h->flags & (HALF_ARMED | HALF_OPEN | HALF_WAITING)) && half_owes(t, node))
		wheel_arm(t, node, half_silent_since(h) + t->config.stall_after_ns);
}

/* There is something to show now: a direction that waited for it has its stall. */
void sequence_show(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);

	if (!(h->flags & HALF_WAITING)) {
		arm(t, node, h);
	} else if (shown(t, node) && half_owes(t, node)) {
		h->flags &= (uint16_t)~HALF_WAITING;
		report_stall(t, node, t->now_ns);
	}
}

/* --- holes ------------------------------------------------------------------------------------ */

static void hole_add(struct tracker *t, struct half *h, uint32_t seq, uint32_t end)
{
	struct detail *d = detail_make(t, h);

	if (!d || d->n_holes == HOLES)
		return;
	d->holes[d->n_holes++] = (struct hole){.seq = seq, .end = end, .since_ns = t->now_ns};
}

/* The hole that [seq, end) touches, taken away as far as it is filled. false: none. */
static bool hole_fill(struct detail *d, uint32_t seq, uint32_t end, struct hole *ret)
{
	for (uint32_t i = 0; d && i < d->n_holes; i++) {
		struct hole *o = &d->holes[i];

		if (seq_diff(end, o->seq) <= 0 || seq_diff(seq, o->end) >= 0)
			continue;
		*ret = *o;
		if (seq_diff(seq, o->seq) <= 0)
			o->seq = end;
		else
			o->end = seq; /* what may be left behind it is given up */
		if (seq_diff(o->end, o->seq) <= 0) {
			memmove(o, o + 1, (d->n_holes - i - 1) * sizeof(*o));
			d->n_holes--;
		}
		return true;
	}
	return false;
}

/* Acknowledged and never captured: the capture lost it, not the network. */
static void holes_acked(struct tracker *t, struct half *h, struct detail *d)
{
	while (d->n_holes && seq_diff(d->holes[0].seq, h->una) < 0) {
		struct hole *o = &d->holes[0];
		uint32_t end = seq_diff(o->end, h->una) < 0 ? o->end : h->una;

		t->counts.missing += end - o->seq;
		h->flags |= HALF_MISSING;
		pace_unlost(t->pace, h->pace, o->seq, end);
		o->seq = end;
		if (o->seq != o->end)
			break;
		memmove(o, o + 1, (d->n_holes - 1) * sizeof(*o));
		d->n_holes--;
	}
}

/* --- data ------------------------------------------------------------------------------------- */

static void progressed(struct tracker *t, uint32_t node, struct half *h)
{
	struct detail *d = detail_of(t, h);

	h->progress_ns = t->now_ns;
	h->progress_frame = (uint32_t)t->frame;
	h->tries = h->heard = h->dup_acks = 0;
	h->flags &= (uint16_t)~HALF_WAITING;
	if (d) {
		d->stuck_len = d->stuck_seen = d->retrans_frame = d->repeats = 0;
		d->sacked_bytes = d->sacked_longest = d->bad_sacks = d->resumed_len = 0;
		d->shut_acks = d->bad_sums = d->heard = d->refused = d->unanswered = 0;
		d->rtx_top = h->una;
		d->upstream = d->timed_out = false;
	}
	if (h->una == h->nxt && !(h->flags & HALF_SHUT))
		h->owe_ns = 0;
	else
		arm(t, node, h);
}

static void count_transfer(struct tracker *t, struct half *h)
{
	if (h->sent >= t->config.min_bytes && h->sent && !(h->flags & HALF_TRANSFER)) {
		h->flags |= HALF_TRANSFER;
		t->counts.transfers++;
	}
}

/* It sends what is new: it knows what the receiver has. */
static void acks_are_back(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);
	struct detail *d = &t->details[h->detail];

	if ((h->flags & HALF_OPEN) && acks_lost(h, d)) {
		report_before(t, node, true, true);
		d->repeats = 0;
		h->progress_ns = t->now_ns;
		h->progress_frame = (uint32_t)t->frame;
		report_recovered(t, node);
	}
	d->repeats = 0;
}

static void append(struct tracker *t, uint32_t node, const struct frame *f, uint32_t seq,
		   uint32_t end, bool fin)
{
	struct half *h = half_at(t, node);
	const struct half *o = half_peer(h, node);
	bool was_idle = h->una == h->nxt;

	if (one_way(o) && end != seq) {
		/* Nobody tells what has arrived; new data says that the sender goes on. */
		if (h->flags & HALF_OPEN)
			report_before(t, node, true, false);
		h->una = seq;
		progressed(t, node, h);
		if (h->flags & HALF_OPEN)
			report_recovered(t, node);
	}
	if (h->detail != NO_DETAIL && t->details[h->detail].repeats)
		acks_are_back(t, node);
	h->nxt = end + fin;
	if (fin)
		h->flags |= HALF_FIN;
	if (end == seq)
		return;
	if (h->detail != NO_DETAIL)
		t->details[h->detail].timed_out = false;
	h->sent += end - seq;
	if (end - seq > h->mss)
		h->mss = (uint16_t)(end - seq > UINT16_MAX ? UINT16_MAX : end - seq);
	count_transfer(t, h);
	if (was_idle) {
		h->heard = h->dup_acks = 0;
		h->owe_ns = t->now_ns;
		arm(t, node, h);
	}
	if (!(h->flags & HALF_RTT_PENDING)) {
		h->rtt_seq = end;
		h->rtt_sent_us = (uint32_t)(t->now_ns / NS_PER_US);
		h->flags |= HALF_RTT_PENDING;
	}
	if (h->life == LIFE_NONE)
		life_begin(t, h, o);
	if (life_goes_on(h))
		life_data(t, h, o, f);
	if (h->pace)
		pace_sent(t->pace, h->pace, seq, f->ip_len, t->now_ns, t->frame);
}

static uint64_t round_trip_ns(const struct half *h, const struct half *o)
{
	return ((uint64_t)h->min_rtt_us + o->min_rtt_us) * NS_PER_US;
}

/* Data that the receiver has acknowledged is sent again from seq on. */
static void needless(struct tracker *t, uint32_t node, uint32_t seq)
{
	struct half *h = half_at(t, node);
	struct detail *d = detail_make(t, h);

	if (!d)
		return;
	if (!d->repeats++) {
		d->repeat_seq = seq;
		d->repeat_ns = t->now_ns;
		d->retrans_frame = (uint32_t)t->frame;
	}
	if (seq_diff(seq, d->repeat_seq) < 0)
		d->repeat_seq = seq;
	d->retrans_ns = t->now_ns;
	if (acks_lost(h, d) && !(h->flags & (HALF_OPEN | HALF_SHUT)) &&
	    !((h->flags | half_peer(h, node)->flags) & (HALF_FIN | HALF_RESET)) &&
	    t->now_ns - d->repeat_ns >= t->config.stall_after_ns / 2 &&
	    t->now_ns - half_silent_since(h) >= t->config.stall_after_ns)
		report_stall(t, node, t->now_ns);
}

/* [seq, end) lies below nxt: a hole filled late, sent again, or a probe. */
static void repeated(struct tracker *t, uint32_t node, const struct frame *f, uint32_t seq,
		     uint32_t end)
{
	struct half *h = half_at(t, node), *o = half_peer(h, node);
	struct detail *d = detail_of(t, h);
	struct hole hole;

	if (hole_fill(d, seq, end, &hole)) {
		uint64_t open_ns = t->now_ns - hole.since_ns;

		h->sent += end - seq;
		count_transfer(t, h);
		if (open_ns < REORDER_NS || open_ns < round_trip_ns(h, o) / 2) {
			t->counts.reordered++;
			life_found(t, node);
			pace_unlost(t->pace, h->pace, hole.seq, hole.end);
			return;
		}
		d->upstream |= seq_diff(seq, h->una) <= 0;
	}
	if (seq_diff(end, h->una) <= 0) { /* the receiver has it: its ACK was late or lost */
		t->counts.spurious++;
		if (end != seq)
			needless(t, node, seq);
		return;
	}
	if (end == seq)
		return;
	d = detail_make(t, h);
	h->flags &= (uint16_t)~HALF_RTT_PENDING;
	h->retrans++;
	t->counts.retransmissions++;
	count16(&h->tries);
	life_tried(t, node);
	life_lost(t, node);
	if (d) {
		if (!d->retrans_frame)
			d->retrans_frame = (uint32_t)t->frame;
		d->timed_out = t->now_ns - h->last_ns >= TIMEOUT_NS;
		d->unanswered += d->timed_out;
		if (seq_diff(seq, h->una) <= 0) {
			d->stuck_len = end - seq;
			d->stuck_seen++;
			d->resumed_len = end - h->una;
		}
		d->retrans_ns = t->now_ns;
		if (seq_diff(end, d->rtx_top) > 0)
			d->rtx_top = end;
	}
	if (!h->pace)
		report_pace(t, node);
	pace_lost(t->pace, h->pace, seq, end);
	pace_sent(t->pace, h->pace, seq, f->ip_len, t->now_ns, t->frame);
	sequence_show(t, node);
}

/* At most a byte, at the edge of what the receiver has, while its window is shut or all is
 * acknowledged: a window probe or keep-alive. */
static bool is_probe(const struct half *h, uint32_t seq, uint32_t len)
{
	int32_t at = seq_diff(seq, h->una);

	if (len > 1 || (at != -1 && at != 0))
		return false;
	return h->flags & HALF_SHUT ? len || at < 0 : at < 0;
}

void sequence_sum(struct tracker *t, uint32_t node, const struct frame *f)
{
	bool good = f->has & HAS_GOOD_SUM;
	struct half *h = half_at(t, node);
	struct detail *d;

	life_sum(t, node, good);
	if (good)
		return;
	d = detail_make(t, h);
	if (d)
		d->bad_sums++;
	pace_damaged(t->pace, h->pace);
}

void sequence_data(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node);
	uint32_t seq = f->seq + !!(f->flags & TCP_SYN), len = f->payload, end = seq + len;
	bool fin = f->flags & TCP_FIN;
	int32_t ahead;

	if (!(h->flags & HALF_BASED)) {
		h->una = h->nxt = seq;
		h->flags |= HALF_BASED;
	}
	if (is_probe(h, seq, len) && !fin) {
		if (h->flags & HALF_SHUT) {
			struct detail *d = detail_make(t, h);

			if (d && !d->retrans_frame)
				d->retrans_frame = (uint32_t)t->frame;
			count16(&h->tries);
			life_tried(t, node);
			sequence_show(t, node);
		}
		if (seq_diff(end, h->nxt) <= 0)
			return;
	}
	if (!len && !fin)
		return;
	ahead = seq_diff(seq, h->nxt);
	if (ahead > MAX_JUMP || ahead < -MAX_JUMP)
		return;
	if (ahead > 0) {
		bool lost = h->sent || (h->flags & HALF_SYN);

		if (lost) {
			hole_add(t, h, h->nxt, seq);
			if (!h->pace)
				report_pace(t, node);
			pace_hole(t->pace, h->pace, h->nxt, seq, h->mss, t->now_ns, t->frame);
		}
		if (h->una == h->nxt && !h->owe_ns)
			h->owe_ns = t->now_ns;
		append(t, node, f, seq, end, fin);
		if (lost)
			life_lost(t, node);
	} else if (!ahead) {
		append(t, node, f, seq, end, fin);
	} else if (seq_diff(end, h->nxt) > 0 && !(h->flags & HALF_FIN)) {
		uint32_t old_nxt = h->nxt;

		repeated(t, node, f, seq, old_nxt);
		append(t, node, f, old_nxt, end, fin);
	} else {
		if (fin && !(h->flags & HALF_FIN) && end == h->nxt) {
			h->nxt++;
			h->flags |= HALF_FIN;
		}
		repeated(t, node, f, seq, end);
	}
}

/* --- acknowledgements ------------------------------------------------------------------------- */

static void rtt_sample(struct tracker *t, struct half *h)
{
	uint32_t us = (uint32_t)(t->now_ns / NS_PER_US) - h->rtt_sent_us;

	h->flags &= (uint16_t)~HALF_RTT_PENDING;
	us = us ? us : 1;
	if (!h->min_rtt_us || us < h->min_rtt_us)
		h->min_rtt_us = us;
	pace_rtt(t->pace, h->pace, us);
	if (life_goes_on(h))
		life_rtt(t, h, us);
	h->srtt_us = h->srtt_us ? h->srtt_us - h->srtt_us / 8 + us / 8 : us;
}

static void sacks(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node);
	struct detail *d = detail_make(t, h);

	for (int i = 0; i < f->n_sacks && d; i++) {
		uint32_t left = f->sacks[i][0], len = f->sacks[i][1] - left;
		int32_t ahead = seq_diff(left, h->una);

		if (ahead <= 0 && ahead > -MAX_JUMP / 16) { /* D-SACK, RFC 2883: it had arrived */
			pace_unlost(t->pace, h->pace, left, left + len);
			continue;
		}
		if (ahead <= 0 || len > MAX_JUMP || seq_diff(left + len, h->nxt) > MAX_JUMP / 16) {
			d->bad_sacks++;
			pace_odd_sack(t->pace, h->pace);
			continue;
		}
		d->sacked_bytes = len > d->sacked_bytes ? len : d->sacked_bytes;
		d->sacked_longest = len > d->sacked_longest ? len : d->sacked_longest;
	}
}

static void advance_una(struct tracker *t, uint32_t node, struct half *h, uint32_t ack)
{
	const struct half *o = half_peer(h, node);
	struct detail *d = detail_of(t, h);
	bool unseen = seq_diff(ack, h->nxt) > 0;

	if (h->flags & HALF_WAITING)
		sequence_gap(t, node);
	if (h->flags & HALF_OPEN)
		report_before(t, node, true, d && seq_diff(ack, d->rtx_top) > 0);
	if (unseen && h->nxt - h->una < MAX_JUMP && (h->flags & HALF_SEEN)) {
		uint32_t bytes = ack - h->nxt;

		if (h->sent && bytes > 1) {
			t->counts.missing += bytes;
			h->flags |= HALF_MISSING;
		}
	}
	if (h->tries && life_goes_on(h))
		life_progress(t, node);
	if ((h->flags & HALF_RTT_PENDING) && seq_diff(ack, h->rtt_seq) >= 0)
		rtt_sample(t, h);
	if (h->tries == 0 && h->mss > h->passed && ack - h->una >= h->mss)
		h->passed = h->mss;
	h->una = ack;
	if (unseen)
		h->nxt = ack;
	if (d)
		holes_acked(t, h, d);
	if ((o->flags & HALF_FIN) && !(h->flags & HALF_OPEN))
		h->flags |= HALF_LATE_ACK;
	progressed(t, node, h);
	if (h->flags & HALF_OPEN)
		report_recovered(t, node);
}

/* The window of `node` is what its peer has just advertised. */
static void window_update(struct tracker *t, uint32_t node, struct half *h, uint16_t window)
{
	if (!window && h->detail != NO_DETAIL)
		t->details[h->detail].shut_acks++;
	if (!window && !(h->flags & HALF_SHUT)) {
		h->flags |= HALF_SHUT;
		t->counts.zero_windows++;
		if (h->una == h->nxt)
			h->owe_ns = t->now_ns;
	} else if (window && (h->flags & HALF_SHUT)) {
		/* A byte beyond the window is a probe (RFC 9293 3.8.6.1). */
		bool idle = h->nxt - h->una <= 1;

		if ((h->flags & HALF_OPEN) && idle)
			report_before(t, node, true, false);
		h->flags &= (uint16_t)~HALF_SHUT;
		h->window = window;
		if (idle) {
			h->owe_ns = h->nxt == h->una ? 0 : t->now_ns;
			progressed(t, node, h);
			if (h->flags & HALF_OPEN)
				report_recovered(t, node);
		}
	}
	h->window = window;
}

/* The receiver speaks, and acknowledges no more than before. */
static void heard(struct tracker *t, struct half *h, const struct half *o, const struct frame *f)
{
	uint64_t under_way_ns = UNDER_WAY_NS + 2 * round_trip_ns(h, o);
	bool late = t->now_ns - half_silent_since(h) >= under_way_ns, dup;
	struct detail *d;

	dup = !f->payload && h->nxt != h->una && !(f->flags & (TCP_SYN | TCP_FIN));
	if (dup)
		count16(&h->dup_acks);
	d = late ? detail_make(t, h) : detail_of(t, h);
	if (!d)
		return;
	d->heard += late;
	d->unanswered = 0;
	d->refused += dup && d->timed_out && !f->n_sacks && f->window;
	d->timed_out = false;
}

void sequence_ack(struct tracker *t, uint32_t node, const struct frame *f, bool elicited)
{
	struct half *h = half_at(t, node);
	uint32_t wide = 0;
	int32_t ahead;

	if (!(h->flags & HALF_BASED)) {
		h->una = h->nxt = f->ack;
		h->flags |= HALF_BASED;
	}
	ahead = seq_diff(f->ack, h->una);
	if (ahead > 0 && ahead < MAX_JUMP) {
		advance_una(t, node, h, f->ack);
	} else if (!ahead && !elicited) {
		count16(&h->heard);
		if (h->nxt != h->una || (h->flags & HALF_SHUT))
			heard(t, h, half_peer(h, node), f);
	} else if (ahead) {
		return; /* an old one */
	}
	if (__builtin_expect(f->window < h->window - h->window / 4, 0))
		wide = window_taken_back(h, half_peer(h, node), f->window, (uint32_t)ahead);
	if (f->flags & TCP_SYN) /* not scaled (RFC 7323 2.2) */
		h->window = (uint16_t)(f->window >> half_scale(h, half_peer(h, node)));
	else if (!(f->flags & TCP_RST))
		window_update(t, node, h, f->window);
	if (life_goes_on(h))
		life_acked(t, node, f, wide);
	if (f->n_sacks) {
		sacks(t, node, f);
		sequence_show(t, node);
	} else if (h->dup_acks && (h->flags & HALF_WAITING)) {
		sequence_show(t, node);
	}
}
