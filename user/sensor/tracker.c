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

/*
 * The same packet once more, from another interface or a mirror port. A retransmission is a new IP
 * packet with a new identification; where there is none (IPv6, or zero), time must do.
 */
static bool is_duplicate(const struct tracker *t, struct flow_entry *e, int dir,
			 const struct frame *f)
{
	struct half *h = &e->half[dir];
	uint32_t print = f->seq * 0x9e3779b1u ^ f->ack * 0x85ebca6bu ^
			 ((uint32_t)f->ip_id << 16 | f->window) * 0xc2b2ae35u ^
			 (f->payload << 8 | f->flags) * 0x27d4eb2fu ^ f->tsval;
	uint32_t same = 0;

	print = print ? print : 1;
	for (int i = 0; i < FINGERPRINTS; i++)
		same |= h->prints[i] == print;
	if (same && (f->ip_id || t->now_ns - h->last_ns < DUPLICATE_NS))
		return true;
	h->prints[h->print++] = print;
	return false;
}

/* A SYN that is no repetition of the one that began this entry: the ends have met anew. */
static bool begins_anew(const struct flow_entry *e, int dir, const struct frame *f)
{
	const struct half *h = &e->half[dir], *o = &e->half[!dir];

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

static void segment(struct tracker *t, const struct frame *f, uint32_t hash)
{
	int dir;
	struct flow_entry *e = flowtab_get(t, f, hash, true, &dir);
	enum probe_part part = NO_PROBE;
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
	if (is_duplicate(t, e, dir, f)) {
		t->counts.duplicates++;
		return;
	}
	e->last_frame = (uint32_t)t->frame;
	if (probes_maybe(e, f))
		part = probes_look(t, e, dir, f);
	if (part == IS_PROBE) {
		if (t->live)
			live_packet(t, node, f);
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
		if (f->mss && (!e->mss || f->mss < e->mss))
			e->mss = f->mss;
		e->opener = (uint8_t)(f->flags & TCP_ACK ? !dir : dir);
		if (!(h->flags & HALF_RTT_PENDING) && !(h->flags & HALF_BASED)) {
			h->rtt_seq = f->seq + 1;
			h->rtt_sent_us = (uint32_t)(t->now_ns / NS_PER_US);
			h->una = f->seq;
			h->nxt = f->seq + 1;
			h->flags |= HALF_RTT_PENDING | HALF_BASED;
		}
	}
	if (f->flags & TCP_SYN)
		handshake_syn(t, node, f);
	if (f->has & HAS_TIMESTAMPS)
		h->flags |= HALF_TIMESTAMPS;
	if (f->flags & TCP_RST) {
		reset(t, node, f);
		h->last_ns = t->now_ns;
		if (t->live)
			live_packet(t, node, f);
		return;
	}
	h->ttl = f->ttl;
	if (life_goes_on(h))
		life_account(t, h, &e->half[!dir]);
	if (life_goes_on(&e->half[!dir]))
		life_account(t, &e->half[!dir], h);
	if (f->has & (HAS_GOOD_SUM | HAS_BAD_SUM))
		sequence_sum(t, node, f);
	if (f->flags & TCP_ACK)
		sequence_ack(t, node ^ 1, f, part == ANSWERS_PROBE);
	sequence_data(t, node, f);
	if (e->probed && e->half[!dir].progress_ns == t->now_ns)
		probes_over(t, node ^ 1, true, GONE_CLOSED);
	h->last_ns = t->now_ns;
	if ((h->flags & e->half[!dir].flags & HALF_FIN) && h->una == h->nxt &&
	    e->half[!dir].una == e->half[!dir].nxt) {
		life_end(t, node);
		life_end(t, node ^ 1);
	}
	if (t->live)
		live_packet(t, node, f);
}

static void icmp(struct tracker *t, const struct frame *f)
{
	int dir;
	struct flow_entry *e = flowtab_get(t, f, flow_hash(f), false, &dir);

	if (t->n_probes && probes_icmp(t, f))
		return;
	if (e)
		report_icmp(t, e, dir, f);
}

/* A first fragment waits here until the last one tells how long the segment is. */
static void hold(struct tracker *t, const struct frame *f)
{
	struct held_fragment *h = &t->held[t->next_held++ % HELD];

	if (h->first.kind == FRAME_TCP)
		segment(t, &h->first, flow_hash(&h->first));
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
			segment(t, first, flow_hash(first));
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
 * Half way through the pipe the bucket has come, and with it the address of the flow. Always
 * inline: to gcc 12 a function that only prefetches does nothing, and it drops the call.
 */
__attribute__((always_inline)) static inline void fetch_flow(const struct tracker *t,
							     const struct waiting *w)
{
	uint32_t i = t->buckets[w->hash & (t->n_buckets - 1)];

	if (!i)
		return;
	for (size_t at = 0; at < sizeof(struct flow_entry); at += 64)
		__builtin_prefetch((const char *)&t->flows[i - 1] + at, 1);
}

/* What a transfer, and one that has lost packets, has beside its flow. */
static void fetch_details(const struct tracker *t, const struct waiting *w)
{
	uint32_t i = t->buckets[w->hash & (t->n_buckets - 1)];

	for (int dir = 0; i && dir < 2; dir++) {
		const struct half *h = &t->flows[i - 1].half[dir];
		uint32_t detail = h->detail;

		life_fetch(t, h);
		if (detail != NO_DETAIL)
			__builtin_prefetch(&t->details[detail], 1);
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
		w->hash = flow_hash(&w->frame);
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

void tracker_drain(struct tracker *t)
{
	for (int i = 1; i < PIPE; i++) {
		struct waiting *w = &t->pipe[(t->pipe_in + (uint32_t)i) % PIPE];

		if (w->number > t->frame)
			work(t, w);
	}
}

void tracker_end(struct tracker *t)
{
	tracker_drain(t);
	for (int i = 0; i < HELD; i++)
		if (t->held[i].first.kind == FRAME_TCP)
			segment(t, &t->held[i].first, flow_hash(&t->held[i].first));
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
