/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Segment by segment: what is new, what is sent again, what the receiver has, and who is silent.
 * The sequence space of a direction is known from una, nxt and a few holes; nothing is kept for a
 * segment. What is found goes out in report.c.
 */
#include "sensor/tracker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/tracker_impl.h"

#define REORDER_NS	(3 * NS_PER_MS) /* a hole that fills as fast was reordering */
#define DUPLICATE_NS	NS_PER_MS	/* for packets without IP identification */
#define ONE_WAY_TRIES	2
#define SLOTS_PER_STALL 16

int tracker_new(const struct tracker_config *config, struct tracker **ret)
{
	struct tracker *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (!t)
		return -ENOMEM;
	t->config = *config;
	t->open = NONE;
	memset(t->wheel, 0xff, sizeof(t->wheel));
	t->slot_ns = config->stall_after_ns / SLOTS_PER_STALL;
	if (!t->slot_ns)
		t->slot_ns = 1;
	t->held = calloc(HELD, sizeof(*t->held));
	if (t->held)
		err = flowtab_init(t);
	if (!err)
		err = pace_new(config->observe, config->arg, &t->pace);
	if (err < 0) {
		tracker_free(t);
		return err;
	}
	*ret = t;
	return 0;
}

void tracker_free(struct tracker *t)
{
	if (!t)
		return;
	flowtab_free(t);
	pace_free(t->pace);
	free(t->held);
	free(t);
}

struct tracker_counts tracker_counts(const struct tracker *t)
{
	return t->counts;
}

/* --- who owes, and is there something to show for it ------------------------------------------ */

static struct half *other(struct tracker *t, uint32_t node)
{
	return half_at(t, node ^ 1);
}

static bool one_way(const struct half *o)
{
	return !(o->flags & HALF_SEEN);
}

static bool owes(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node), *o = other(t, node);

	if (!(h->flags & HALF_SEEN) || ((h->flags | o->flags) & HALF_RESET))
		return false;
	/* A receiver that has closed and acknowledges no more has gone home: end, not stall. */
	if ((o->flags & HALF_FIN) && !(h->flags & HALF_LATE_ACK))
		return false;
	return half_out(h) || (h->flags & HALF_SHUT);
}

static bool shown(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node), *o = other(t, node);
	const struct detail *d = h->detail == NONE ? NULL : &t->details[h->detail];

	if (one_way(o))
		return h->tries >= ONE_WAY_TRIES && !(h->flags & HALF_MISSING);
	if (h->tries)
		return true;
	if (h->flags & HALF_SHUT)
		return false;
	/* Bytes that were lost before they came here, with others behind them. */
	return d && (d->sacked_bytes || (d->n_holes && d->holes[0].seq == h->una));
}

static void fire(struct tracker *t, uint32_t node, uint64_t due_ns)
{
	struct half *h = half_at(t, node);
	uint64_t silent_until_ns = half_silent_since(h) + t->config.stall_after_ns;

	if (!owes(t, node))
		return;
	if (silent_until_ns > due_ns)
		wheel_arm(t, node, silent_until_ns);
	else if (shown(t, node))
		report_stall(t, node, due_ns);
	else
		h->flags |= HALF_WAITING;
}

static void arm(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);

	if (!(h->flags & (HALF_ARMED | HALF_OPEN | HALF_WAITING)) && owes(t, node))
		wheel_arm(t, node, half_silent_since(h) + t->config.stall_after_ns);
}

/* There is something to show now: a direction that waited for it has its stall. */
static void show(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);

	if (!(h->flags & HALF_WAITING)) {
		arm(t, node);
	} else if (shown(t, node) && owes(t, node)) {
		h->flags &= (uint16_t)~HALF_WAITING;
		report_stall(t, node, t->now_ns);
	}
}

/* --- holes ------------------------------------------------------------------------------------ */

static void hole_add(struct tracker *t, struct half *h, uint32_t seq, uint32_t end)
{
	struct detail *d = detail_of(t, h, true);

	if (!d || d->n_holes == HOLES)
		return;
	d->holes[d->n_holes++] = (struct hole){
		.seq = seq, .end = end, .since_ns = t->now_ns, .frame = (uint32_t)t->frame};
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
		pace_unlost(t->pace, h->pace, o->seq);
		o->seq = end;
		if (o->seq != o->end)
			break;
		memmove(o, o + 1, (d->n_holes - 1) * sizeof(*o));
		d->n_holes--;
	}
}

/* --- data ------------------------------------------------------------------------------------- */

static void progressed(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);
	struct detail *d = detail_of(t, h, false);

	h->progress_ns = t->now_ns;
	h->progress_frame = (uint32_t)t->frame;
	h->tries = h->heard = h->dup_acks = 0;
	h->flags &= (uint16_t)~HALF_WAITING;
	if (d) {
		d->stuck_len = d->stuck_seen = d->retrans_frame = d->repeats = 0;
		d->sacked_bytes = d->sacked_longest = d->bad_sacks = d->resumed_len = 0;
		d->shut_acks = 0;
		d->rtx_top = h->una;
		d->upstream = false;
	}
	if (h->una == h->nxt && !(h->flags & HALF_SHUT))
		h->owe_ns = 0;
	else
		arm(t, node);
}

static void count_transfer(struct tracker *t, struct half *h)
{
	if (h->sent >= t->config.min_bytes && h->sent && !(h->flags & HALF_TRANSFER)) {
		h->flags |= HALF_TRANSFER;
		t->counts.transfers++;
	}
}

static void append(struct tracker *t, uint32_t node, const struct frame *f, uint32_t seq,
		   uint32_t end, bool fin)
{
	struct half *h = half_at(t, node);
	bool was_idle = h->una == h->nxt;

	if (one_way(other(t, node)) && end != seq) {
		/* Nobody tells what has arrived; new data says that the sender goes on. */
		if (h->flags & HALF_OPEN)
			report_before(t, node, true, false);
		h->una = seq;
		progressed(t, node);
		if (h->flags & HALF_OPEN)
			report_recovered(t, node);
	}
	h->nxt = end + fin;
	if (fin)
		h->flags |= HALF_FIN;
	if (end == seq)
		return;
	h->sent += end - seq;
	if (end - seq > h->mss)
		h->mss = (uint16_t)(end - seq > UINT16_MAX ? UINT16_MAX : end - seq);
	count_transfer(t, h);
	if (was_idle) {
		h->heard = h->dup_acks = 0;
		h->owe_ns = t->now_ns;
		arm(t, node);
	}
	if (!(h->flags & HALF_RTT_PENDING)) {
		h->rtt_seq = end;
		h->rtt_sent_us = (uint32_t)(t->now_ns / NS_PER_US);
		h->flags |= HALF_RTT_PENDING;
	}
	if (h->pace)
		pace_sent(t->pace, h->pace, seq, f->ip_len, t->now_ns, t->frame);
}

static uint64_t round_trip_ns(const struct half *h, const struct half *o)
{
	return ((uint64_t)h->min_rtt_us + o->min_rtt_us) * NS_PER_US;
}

/* [seq, end) lies below nxt: a hole filled late, sent again, or a probe. */
static void repeated(struct tracker *t, uint32_t node, const struct frame *f, uint32_t seq,
		     uint32_t end)
{
	struct half *h = half_at(t, node), *o = other(t, node);
	struct detail *d = detail_of(t, h, false);
	struct hole hole;

	if (hole_fill(d, seq, end, &hole)) {
		uint64_t open_ns = t->now_ns - hole.since_ns;

		h->sent += end - seq;
		count_transfer(t, h);
		if (open_ns < REORDER_NS || open_ns < round_trip_ns(h, o) / 2) {
			t->counts.reordered++;
			pace_unlost(t->pace, h->pace, hole.seq);
			return;
		}
		d->upstream |= seq_diff(seq, h->una) <= 0;
	}
	if (seq_diff(end, h->una) <= 0) { /* the receiver has it: its ACK was late or lost */
		t->counts.spurious++;
		if (d)
			d->repeats++;
		return;
	}
	if (end == seq)
		return;
	d = detail_of(t, h, true);
	h->flags &= (uint16_t)~HALF_RTT_PENDING;
	h->retrans++;
	t->counts.retransmissions++;
	count16(&h->tries);
	if (d) {
		if (!d->retrans_frame)
			d->retrans_frame = (uint32_t)t->frame;
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
	show(t, node);
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

static void sequence(struct tracker *t, uint32_t node, const struct frame *f)
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
			struct detail *d = detail_of(t, h, true);

			if (d && !d->retrans_frame)
				d->retrans_frame = (uint32_t)t->frame;
			count16(&h->tries);
			show(t, node);
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
		if (h->sent || (h->flags & HALF_SYN)) {
			hole_add(t, h, h->nxt, seq);
			if (!h->pace)
				report_pace(t, node);
			pace_hole(t->pace, h->pace, h->nxt, seq, h->mss, t->now_ns, t->frame);
		}
		if (h->una == h->nxt && !h->owe_ns)
			h->owe_ns = t->now_ns;
		append(t, node, f, seq, end, fin);
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
	h->srtt_us = h->srtt_us ? h->srtt_us - h->srtt_us / 8 + us / 8 : us;
}

static void sacks(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node);
	struct detail *d = detail_of(t, h, true);

	for (int i = 0; i < f->n_sacks && d; i++) {
		uint32_t left = f->sacks[i][0], len = f->sacks[i][1] - left;
		int32_t ahead = seq_diff(left, h->una);

		if (ahead <= 0) { /* D-SACK, RFC 2883: it had arrived */
			pace_unlost(t->pace, h->pace, left);
			continue;
		}
		if (len > MAX_JUMP || seq_diff(left + len, h->nxt) > MAX_JUMP / 16) {
			d->bad_sacks++;
			continue;
		}
		d->sacked_bytes = len > d->sacked_bytes ? len : d->sacked_bytes;
		d->sacked_longest = len > d->sacked_longest ? len : d->sacked_longest;
	}
}

static void advance_una(struct tracker *t, uint32_t node, uint32_t ack)
{
	struct half *h = half_at(t, node), *o = other(t, node);
	struct detail *d = detail_of(t, h, false);
	bool unseen = seq_diff(ack, h->nxt) > 0;

	if (h->flags & HALF_OPEN)
		report_before(t, node, true, d && seq_diff(ack, d->rtx_top) > 0);
	if (unseen && h->nxt - h->una < MAX_JUMP && (h->flags & HALF_SEEN)) {
		uint32_t bytes = ack - h->nxt;

		if (h->sent && bytes > 1) {
			t->counts.missing += bytes;
			h->flags |= HALF_MISSING;
		}
	}
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
	progressed(t, node);
	if (h->flags & HALF_OPEN)
		report_recovered(t, node);
}

/* The window of `node` is what its peer has just advertised. */
static void window_update(struct tracker *t, uint32_t node, uint16_t window)
{
	struct half *h = half_at(t, node);

	if (!window && h->detail != NONE)
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
			progressed(t, node);
			if (h->flags & HALF_OPEN)
				report_recovered(t, node);
		}
	}
	h->window = window;
}

/* f comes from the peer of `node` and acknowledges what `node` has sent. */
static void acknowledge(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node);
	int32_t ahead;

	if (!(h->flags & HALF_BASED)) {
		h->una = h->nxt = f->ack;
		h->flags |= HALF_BASED;
	}
	ahead = seq_diff(f->ack, h->una);
	if (ahead > 0 && ahead < MAX_JUMP) {
		advance_una(t, node, f->ack);
	} else if (!ahead) {
		count16(&h->heard);
		if (!f->payload && h->nxt != h->una && !(f->flags & (TCP_SYN | TCP_FIN)))
			count16(&h->dup_acks);
	} else {
		return; /* an old one */
	}
	if (!(f->flags & (TCP_SYN | TCP_RST)))
		window_update(t, node, f->window);
	if (f->n_sacks) {
		sacks(t, node, f);
		show(t, node);
	} else if (h->dup_acks && (h->flags & HALF_WAITING)) {
		show(t, node);
	}
}

/* --- packets ---------------------------------------------------------------------------------- */

/*
 * The same packet once more, from another interface or a mirror port. A retransmission is a new IP
 * packet with a new identification; where there is none (IPv6, or zero), time must do.
 */
static bool is_duplicate(const struct tracker *t, struct half *h, const struct frame *f)
{
	uint32_t print = f->seq * 0x9e3779b1u ^ f->ack * 0x85ebca6bu ^
			 ((uint32_t)f->ip_id << 16 | f->window) * 0xc2b2ae35u ^
			 (f->payload << 8 | f->flags) * 0x27d4eb2fu ^ f->tsval;
	bool close = t->now_ns - h->last_ns < DUPLICATE_NS;

	print = print ? print : 1;
	for (int i = 0; i < FINGERPRINTS; i++)
		if (h->prints[i] == print && (f->ip_id || close))
			return true;
	memmove(h->prints, h->prints + 1, sizeof(h->prints) - sizeof(*h->prints));
	h->prints[FINGERPRINTS - 1] = print;
	return false;
}

/* A SYN that is no repetition of the one that began this entry: the ends have met anew. */
static bool begins_anew(const struct flow_entry *e, int dir, const struct frame *f)
{
	const struct half *h = &e->half[dir], *o = &e->half[!dir];

	if ((f->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN || !(h->flags & HALF_BASED))
		return false;
	return !(h->flags & HALF_SYN) || h->una != f->seq + 1 || (o->flags & HALF_RESET);
}

static void reset(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node), *o = other(t, node);

	t->counts.resets++;
	if (o->flags & HALF_OPEN)
		report_gone(t, node ^ 1, GONE_RESET);
	else if (owes(t, node ^ 1) && !(h->flags & HALF_FIN) && half_out(o) &&
		 !((f->flags & TCP_ACK) && seq_diff(f->ack, o->una + half_out(o)) >= 0))
		report_reset(t, node ^ 1, f);
	if (h->flags & HALF_OPEN)
		report_gone(t, node, GONE_RESET);
	h->flags |= HALF_RESET;
	wheel_disarm(t, node);
	wheel_disarm(t, node ^ 1);
}

static void segment(struct tracker *t, const struct frame *f, uint32_t hash)
{
	int dir;
	struct flow_entry *e = flowtab_get(t, f, hash, true, &dir);
	struct half *h;
	uint32_t node;

	t->counts.segments++;
	t->counts.bytes += f->payload;
	if (!e) {
		t->counts.not_tracked++;
		return;
	}
	if (begins_anew(e, dir, f))
		flowtab_renew(t, e);
	node = (uint32_t)(e - t->flows) * 2 + (uint32_t)dir;
	h = &e->half[dir];
	if (is_duplicate(t, h, f)) {
		t->counts.duplicates++;
		return;
	}
	if (!(h->flags & HALF_SEEN)) {
		h->flags |= HALF_SEEN;
		h->wscale = 0xff;
		if (e->opener == 2 && !(f->flags & TCP_SYN) && !(e->half[!dir].flags & HALF_SEEN))
			t->counts.mid_connection++;
	}
	if (f->flags & TCP_SYN) {
		h->flags |= HALF_SYN;
		h->wscale = f->wscale;
		e->opener = (uint8_t)(f->flags & TCP_ACK ? !dir : dir);
		if (!(h->flags & HALF_RTT_PENDING) && !(h->flags & HALF_BASED)) {
			h->rtt_seq = f->seq + 1;
			h->rtt_sent_us = (uint32_t)(t->now_ns / NS_PER_US);
			h->una = f->seq;
			h->nxt = f->seq + 1;
			h->flags |= HALF_RTT_PENDING | HALF_BASED;
		}
	}
	if (f->has & HAS_TIMESTAMPS)
		h->flags |= HALF_TIMESTAMPS;
	if (f->flags & TCP_RST) {
		reset(t, node, f);
		h->last_ns = t->now_ns;
		return;
	}
	h->ttl = f->ttl;
	if (f->flags & TCP_ACK)
		acknowledge(t, node ^ 1, f);
	sequence(t, node, f);
	h->last_ns = t->now_ns;
}

static void icmp(struct tracker *t, const struct frame *f)
{
	int dir;
	struct flow_entry *e = flowtab_get(t, f, flowtab_hash(f), false, &dir);

	if (e)
		report_icmp(t, e, dir, f);
}

/* A first fragment waits here until the last one tells how long the segment is. */
static void hold(struct tracker *t, const struct frame *f)
{
	struct held_fragment *h = &t->held[t->next_held++ % HELD];

	if (h->first.kind == FRAME_TCP)
		segment(t, &h->first, flowtab_hash(&h->first));
	h->first = *f;
}

static void fragment(struct tracker *t, const struct frame *f)
{
	for (int i = 0; i < HELD; i++) {
		struct frame *first = &t->held[i].first;

		if (first->kind != FRAME_TCP || first->frag_id != f->frag_id ||
		    memcmp(&first->src, &f->src, sizeof(f->src)) ||
		    memcmp(&first->dst, &f->dst, sizeof(f->dst)))
			continue;
		first->payload += f->payload;
		if (!(f->has & HAS_MORE_FRAGS)) {
			segment(t, first, flowtab_hash(first));
			first->kind = FRAME_OTHER;
		}
		return;
	}
}

static void work(struct tracker *t, const struct waiting *w)
{
	const struct frame *f = &w->frame;
	uint64_t now_ns = w->now_ns;

	if (!w->number)
		return; /* the pipe is still filling */
	t->counts.packets++;
	t->frame = w->number;
	if (now_ns < t->now_ns)
		t->counts.back_in_time++;
	else
		t->now_ns = now_ns;
	if (t->now_ns - t->wheel_ns >= t->slot_ns)
		wheel_advance(t, t->now_ns, fire);
	switch (f->kind) {
	case FRAME_TCP:
		if (__builtin_expect(f->has & HAS_MORE_FRAGS, 0))
			hold(t, f);
		else
			segment(t, f, w->hash);
		break;
	case FRAME_FRAGMENT:
		fragment(t, f);
		break;
	case FRAME_ICMP:
		icmp(t, f);
		break;
	case FRAME_CUT:
		t->counts.cut++;
		break;
	default:
		break;
	}
}

/* Half way through the pipe the bucket has come, and with it the address of the flow. */
static void fetch_flow(const struct tracker *t, const struct waiting *w)
{
	uint32_t i = t->buckets[w->hash & (t->n_buckets - 1)];

	if (!i)
		return;
	for (size_t at = 0; at < sizeof(struct flow_entry); at += 64)
		__builtin_prefetch((const char *)&t->flows[i - 1] + at, 1);
}

/* What a direction that has lost packets has beside its flow. */
static void fetch_details(const struct tracker *t, const struct waiting *w)
{
	uint32_t i = t->buckets[w->hash & (t->n_buckets - 1)];

	for (int dir = 0; i && dir < 2; dir++) {
		uint32_t detail = t->flows[i - 1].half[dir].detail;

		if (detail == NONE)
			continue;
		__builtin_prefetch(&t->details[detail], 1);
		__builtin_prefetch((const char *)&t->details[detail + 1] - 64, 1);
	}
}

struct frame *tracker_slot(struct tracker *t)
{
	return &t->pipe[t->pipe_in % PIPE].frame;
}

void tracker_push(struct tracker *t, uint64_t now_ns, uint64_t number)
{
	struct waiting *w = &t->pipe[t->pipe_in % PIPE];

	w->now_ns = now_ns;
	w->number = number;
	if (__builtin_expect(w->frame.kind == FRAME_TCP, 1)) {
		w->hash = flowtab_hash(&w->frame);
		__builtin_prefetch(&t->buckets[w->hash & (t->n_buckets - 1)]);
	}
	t->pipe_in++;
	w = &t->pipe[(t->pipe_in + PIPE / 2) % PIPE];
	if (w->frame.kind == FRAME_TCP)
		fetch_flow(t, w);
	w = &t->pipe[(t->pipe_in + PIPE / 4) % PIPE];
	if (w->frame.kind == FRAME_TCP)
		fetch_details(t, w);
	/* The oldest gives its slot to the next. */
	w = &t->pipe[t->pipe_in % PIPE];
	work(t, w);
	w->frame.kind = FRAME_OTHER;
}

/* What still waits in the pipe. */
static void drain(struct tracker *t)
{
	for (int i = 1; i < PIPE; i++) {
		struct waiting *w = &t->pipe[(t->pipe_in + (uint32_t)i) % PIPE];

		if (w->number > t->frame)
			work(t, w);
	}
}

void tracker_end(struct tracker *t)
{
	drain(t);
	for (int i = 0; i < HELD; i++)
		if (t->held[i].first.kind == FRAME_TCP)
			segment(t, &t->held[i].first, flowtab_hash(&t->held[i].first));
	pace_end(t->pace);
	for (uint32_t node = t->open; node != NONE; node = half_at(t, node)->next)
		report_before(t, node, false, false);
	for (uint32_t i = 0; i < t->top; i++) {
		const struct half *a = &t->flows[i].half[0], *b = &t->flows[i].half[1];

		if (t->flows[i].used && !(a->flags & b->flags & HALF_SEEN) && a->sent + b->sent)
			t->counts.one_way++;
	}
}
