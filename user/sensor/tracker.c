/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packet by packet: which connection, which direction, is it new; what it means for the sequence
 * space is in sequence.c, what goes out of it in report.c.
 */
#include "sensor/tracker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/tracker_impl.h"

#define DUPLICATE_NS	NS_PER_MS /* for packets without IP identification */
#define SLOTS_PER_STALL 16
#define SWEEP_NS	(10 * NS_PER_S)
#define AHEAD		32 /* packets for which memory is fetched at once */

int tracker_new(const struct tracker_config *config, struct tracker **ret)
{
	struct tracker *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (!t)
		return -ENOMEM;
	t->config = *config;
	t->open = NONE;
	for (int i = 0; i < WHEEL_SLOTS; i++)
		t->wheel[i] = NONE;
	t->slot_ns = config->stall_after_ns / SLOTS_PER_STALL;
	if (!t->slot_ns)
		t->slot_ns = 1;
	t->held = calloc(HELD, sizeof(*t->held));
	if (t->held)
		err = flowtab_init(t);
	if (!err && config->ours)
		err = live_init(t);
	if (!err)
		err = life_init(t);
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
	life_free(t);
	flowtab_free(t);
	pace_free(t->pace);
	free(t->held);
	free(t->live);
	free(t);
}

struct tracker_counts tracker_counts(const struct tracker *t)
{
	return t->counts;
}

/* --- packets ---------------------------------------------------------------------------------- */

/* It brings data or an acknowledgement that was not seen before, so nobody has sent it before. */
static inline bool is_news(const struct half *h, const struct half *o, const struct frame *f)
{
	if ((f->flags & (TCP_SYN | TCP_RST)) || !(h->flags & o->flags & HALF_BASED))
		return false;
	return (f->payload && f->seq - h->nxt < MAX_JUMP) ||
	       ((f->flags & TCP_ACK) && f->ack - o->una - 1 < MAX_JUMP - 1);
}

/*
 * The same packet once more, from another interface or a mirror port. A retransmission is a new IP
 * packet with a new identification; where there is none (IPv6, or zero), time must do.
 */
static bool is_duplicate(const struct tracker *t, struct half *h, const struct frame *f, bool news)
{
	uint64_t numbers = (uint64_t)f->seq << 32 | f->ack;
	uint64_t rest = (uint64_t)f->ip_id << 48 | (uint64_t)f->window << 32 | f->tsval;
	uint64_t print = numbers * 0x9e3779b97f4a7c15ull;
	uint16_t low;
	uint8_t high;
	int same = 0;

	print = ((print ^ print >> 32) + rest) * 0xbf58476d1ce4e5b9ull;
	print = ((print ^ print >> 32) + (f->payload << 8 | f->flags)) * 0x94d049bb133111ebull;
	low = (uint16_t)(print >> 40);
	high = (uint8_t)(print >> 56);
	low = low ? low : 1; /* zero is one that is not taken */
	for (int i = 0; !news && i < FINGERPRINTS; i++)
		same |= h->print_low[i] == low && h->print_high[i] == high;
	if (same && (f->ip_id || t->now_ns - h->last_ns < DUPLICATE_NS))
		return true;
	h->print_low[h->print] = low;
	h->print_high[h->print++] = high;
	return false;
}

/* A SYN that is no repetition of the one that began this entry: the ends have met anew. */
static bool begins_anew(const struct half *h, const struct half *o, const struct frame *f)
{
	if ((f->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN || !(h->flags & HALF_BASED))
		return false;
	if (half_opening(h) && h->una == f->seq)
		return o->flags & HALF_RESET;
	return !(h->flags & HALF_SYN) || h->una != f->seq + 1 || (o->flags & HALF_RESET);
}

static void reset(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);

	t->counts.resets++;
	probes_over(t, node, false, GONE_RESET);
	probes_over(t, node ^ 1, false, GONE_RESET);
	sequence_gap(t, node ^ 1);
	if (o->flags & HALF_OPEN)
		report_gone(t, node ^ 1, GONE_RESET);
	else if (half_opening(o))
		report_refused(t, node ^ 1, f);
	else if (half_owes(t, node ^ 1) && !(h->flags & HALF_FIN) && half_out(o) &&
		 !((f->flags & TCP_ACK) && seq_diff(f->ack, o->una + half_out(o)) >= 0))
		report_reset(t, node ^ 1, f);
	else if ((h->flags & HALF_RESET) && !(h->flags & HALF_FIN) && half_out(o) &&
		 !(o->flags & HALF_ABORTED) && seq_diff(o->nxt, h->rtt_seq) > 0)
		report_reset(t, node ^ 1, f); /* it was on its way when the first one went out */
	else if (!((h->flags | o->flags) & (HALF_FIN | HALF_RESET)) && abs(h->ttl - f->ttl) > 1 &&
		 t->now_ns - h->last_ns < NS_PER_S)
		report_reset(t, node, f); /* somebody has ended it in the sender's name */
	if (h->flags & HALF_OPEN)
		report_gone(t, node, GONE_RESET);
	if (!(h->flags & HALF_RESET))
		h->rtt_seq = o->nxt;
	h->flags |= HALF_RESET;
	wheel_disarm(t, node);
	wheel_disarm(t, node ^ 1);
	life_end(t, node);
	life_end(t, node ^ 1);
}

static void first_of(struct tracker *t, const struct flow_entry *e, struct half *h,
		     const struct half *o, const struct frame *f)
{
	h->flags |= HALF_SEEN;
	h->wscale = NO_WSCALE;
	if (e->opener == 2 && !(f->flags & TCP_SYN) && !(o->flags & HALF_SEEN))
		t->counts.mid_connection++;
}

static void syn(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct flow_entry *e = &t->flows[node >> 1];
	struct half *h = &e->half[node & 1];

	h->flags |= HALF_SYN;
	h->wscale = f->wscale & NO_WSCALE;
	if (f->mss && (!e->mss || f->mss < e->mss))
		e->mss = f->mss;
	e->opener = (f->flags & TCP_ACK ? node ^ 1 : node) & 1;
	if (!(h->flags & HALF_RTT_PENDING) && !(h->flags & HALF_BASED)) {
		h->rtt_seq = f->seq + 1;
		h->rtt_sent_us = (uint32_t)(t->now_ns / NS_PER_US);
		h->una = f->seq;
		h->nxt = f->seq + 1;
		h->flags |= HALF_RTT_PENDING | HALF_BASED;
	}
	handshake_syn(t, node, f);
}

static void segment(struct tracker *t, const struct frame *f, uint32_t hash)
{
	uint32_t node = flowtab_find(t, f, hash);
	enum probe_part part = NO_PROBE;
	struct flow_entry *e;
	struct half *h, *o;
	bool maybe;

	t->counts.segments++;
	t->counts.bytes += f->payload;
	if (__builtin_expect(node == NONE, 0))
		node = flowtab_make(t, f, hash);
	if (__builtin_expect(node == NONE, 0)) {
		t->counts.not_tracked++;
		return;
	}
	e = &t->flows[node >> 1];
	h = &e->half[node & 1];
	o = half_peer(h, node);
	if (begins_anew(h, o, f))
		flowtab_renew(t, e);
	maybe = probes_maybe(e, f);
	if (is_duplicate(t, h, f, !maybe && is_news(h, o, f))) {
		t->counts.duplicates++;
		return;
	}
	e->last_frame = (uint32_t)t->frame;
	if (maybe)
		part = probes_look(t, e, node & 1, f);
	if (part == IS_PROBE)
		goto out;
	if (!(h->flags & HALF_SEEN))
		first_of(t, e, h, o, f);
	if (f->flags & TCP_SYN)
		syn(t, node, f);
	if (f->has & HAS_TIMESTAMPS)
		h->flags |= HALF_TIMESTAMPS;
	if (f->flags & TCP_RST) {
		reset(t, node, f);
		h->last_ns = t->now_ns;
		goto out;
	}
	h->ttl = f->ttl;
	if (life_goes_on(h))
		life_account(t, h, o);
	if (life_goes_on(o))
		life_account(t, o, h);
	if (f->has & (HAS_GOOD_SUM | HAS_BAD_SUM))
		sequence_sum(t, node, f);
	if (f->flags & TCP_ACK)
		sequence_ack(t, node ^ 1, f, part == ANSWERS_PROBE);
	sequence_data(t, node, f);
	if (e->probed && o->progress_ns == t->now_ns)
		probes_over(t, node ^ 1, true, GONE_CLOSED);
	h->last_ns = t->now_ns;
	if ((h->flags & o->flags & HALF_FIN) && h->una == h->nxt && o->una == o->nxt) {
		life_end(t, node);
		life_end(t, node ^ 1);
	}
out:
	if (t->live)
		live_packet(t, node, f);
}

static void icmp(struct tracker *t, const struct frame *f)
{
	uint32_t node = flowtab_find(t, f, frame_hash(f));

	if (t->n_probes && probes_icmp(t, f))
		return;
	if (node != NONE)
		report_icmp(t, &t->flows[node >> 1], node & 1, f);
}

/* A first fragment waits here until the last one tells how long the segment is. */
static void hold(struct tracker *t, const struct frame *f)
{
	struct held_fragment *h = &t->held[t->next_held++ % HELD];

	if (h->first.kind == FRAME_TCP)
		segment(t, &h->first, frame_hash(&h->first));
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
			segment(t, first, frame_hash(first));
			first->kind = FRAME_OTHER;
		}
		return;
	}
}

/*
 * Timers double (RFC 6298 5.5): who has been silent for more than twice as long as it had tried
 * has given up, without a word. An end that may have been lost by the capture is not told as one.
 */
static void sweep(struct tracker *t)
{
	uint32_t next;

	t->swept_ns = t->now_ns;
	for (uint32_t node = t->open; node != NONE; node = next) {
		const struct half *h = half_at(t, node);
		uint64_t tried_ns = h->last_ns - half_silent_since(h);

		next = h->next;
		if (h->tries && t->now_ns - h->last_ns > 2 * tried_ns + SWEEP_NS)
			report_gone(t, node, GONE_TIMED_OUT);
	}
}

static void work(struct tracker *t, const struct tracker_item *w)
{
	const struct frame *f = &w->frame;
	uint64_t now_ns = w->now_ns;

	t->counts.packets++;
	t->frame = w->number;
	if (now_ns < t->now_ns)
		t->counts.back_in_time++;
	else
		t->now_ns = now_ns;
	if (t->now_ns - t->swept_ns >= SWEEP_NS)
		sweep(t);
	if (t->now_ns - t->wheel_ns >= t->slot_ns)
		wheel_advance(t, t->now_ns, half_silent);
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

/*
 * What the next packets will look at: bucket, flow, and what a transfer, or one that has lost
 * packets, has beside its flow. Each is fetched for all of them before the next is looked up.
 * Always inline: to gcc 12 a function that only prefetches does nothing, and it drops the call.
 */
__attribute__((always_inline)) static inline void fetch(const struct tracker *t,
							const struct tracker_item *items, size_t n)
{
	const struct flow_entry *flows[AHEAD];

	for (size_t i = 0; i < n; i++)
		__builtin_prefetch(&t->buckets[items[i].hash & (t->n_buckets - 1)]);
	for (size_t i = 0; i < n; i++) {
		uint32_t at = t->buckets[items[i].hash & (t->n_buckets - 1)];

		flows[i] = &t->flows[at ? at - 1 : 0]; /* of an empty bucket: any */
#pragma GCC unroll 8
		for (size_t line = 0; line < sizeof(struct flow_entry); line += 64)
			__builtin_prefetch((const char *)flows[i] + line, 1);
	}
	for (size_t i = 0; i < n; i++) {
		for (int dir = 0; dir < 2; dir++) {
			const struct half *h = &flows[i]->half[dir];

			life_fetch(t, h);
			if (h->detail != NO_DETAIL)
				__builtin_prefetch(&t->details[h->detail], 1);
		}
	}
}

void tracker_work(struct tracker *t, const struct tracker_item *items, size_t n)
{
	for (size_t done = 0; done < n; done += AHEAD) {
		size_t part = n - done < AHEAD ? n - done : AHEAD;

		fetch(t, items + done, part);
		for (size_t i = 0; i < part; i++)
			work(t, &items[done + i]);
	}
}

struct frame *tracker_slot(struct tracker *t)
{
	return &t->batch[t->n_batch].frame;
}

void tracker_push(struct tracker *t, uint64_t now_ns, uint64_t number)
{
	struct tracker_item *w = &t->batch[t->n_batch++];

	w->now_ns = now_ns;
	w->number = number;
	w->hash = frame_hash(&w->frame);
	if (t->n_batch == TRACKER_BATCH)
		tracker_drain(t);
}

void tracker_drain(struct tracker *t)
{
	tracker_work(t, t->batch, t->n_batch);
	t->n_batch = 0;
}

void tracker_end(struct tracker *t)
{
	tracker_drain(t);
	for (int i = 0; i < HELD; i++)
		if (t->held[i].first.kind == FRAME_TCP)
			segment(t, &t->held[i].first, frame_hash(&t->held[i].first));
	for (uint32_t node = t->open; node != NONE; node = half_at(t, node)->next)
		report_before(t, node, false, false);
	probes_end(t);
	for (uint32_t i = 0; i < t->top; i++) {
		const struct half *a = &t->flows[i].half[0], *b = &t->flows[i].half[1];

		life_end(t, 2 * i);
		life_end(t, 2 * i + 1);
		if (t->flows[i].used && !(a->flags & b->flags & HALF_SEEN) && a->sent + b->sent)
			t->counts.one_way++;
	}
	pace_end(t->pace);
}
