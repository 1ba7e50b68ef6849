/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The phases in which a transfer goes from pause to pause, each of them felt and too short for a
 * stall: its window shuts again and again, or it waits for its timer again and again. And those in
 * which its window is far smaller than it was.
 */
#include "sensor/life_impl.h"

#define FULL_LEN     1200 /* bytes; a window that takes no such segment is small */
#define PAUSES_APART (10 * NS_PER_S)
#define PAUSE_PART   4 /* of stall_after: a pause that is felt */
#define CRAWL_PART   4 /* of its best rate */

static void tell_pauses(struct tracker *t, uint32_t node, struct pauses *p, enum pace_limit limit)
{
	struct pace_seen seen;
	const struct half *h = half_at(t, node);
	uint64_t ns = p->end_ns - p->begin_ns, bytes = h->sent - p->sent;
	uint32_t again = limit == PACE_PAUSES ? h->retrans - p->retrans : 0;

	if (!p->n)
		return;
	seen = (struct pace_seen){
		.key = report_key(t, node),
		.limit = limit,
		.begin_ns = p->begin_ns,
		.end_ns = p->end_ns,
		.first_frame = p->first_frame,
		.last_frame = p->last_frame,
		.position = report_position(t, node),
		.bytes = bytes,
		.rate_bps = rate_bps(bytes, ns),
		.usual_bps = life_best_bps(t, node),
		.segs = report_segs(t, node, bytes) + again,
		.lost_segs = again,
		.flows = 1,
		.bad_sums = life_bad_sums(t, node),
		.min_rtt_us = h->min_rtt_us,
		.rtt_us = h->srtt_us,
		.window_bytes = half_window(h, half_at(t, node ^ 1)),
		.pauses = p->n,
		.paused_ns = p->paused_ns,
		.longest_ns = p->longest_ns,
	};
	if (limit != PACE_PAUSES || !(h->flags & HALF_TRANSFER) ||
	    !pace_paused(t->pace, h->pace, &seen))
		report_slow(t, node, &seen);
	*p = (struct pauses){.n = 0};
}

/* Another one, which began at since_ns and is over. */
static void add_pause(struct tracker *t, uint32_t node, struct pauses *p, enum pace_limit limit,
		      uint64_t since_ns)
{
	const struct half *h = half_at(t, node);
	uint64_t ns = t->now_ns - since_ns;

	if (p->n && since_ns - p->end_ns > PAUSES_APART)
		tell_pauses(t, node, p, limit);
	if (!p->n++) {
		p->begin_ns = since_ns;
		p->first_frame = h->progress_frame;
		p->sent = h->sent - half_out(h);
		p->retrans = h->retrans - h->tries;
	}
	p->end_ns = t->now_ns;
	p->last_frame = (uint32_t)t->frame;
	p->paused_ns += ns;
	p->longest_ns = ns > p->longest_ns ? ns : p->longest_ns;
}

static uint64_t felt_ns(const struct tracker *t)
{
	return t->config.stall_after_ns / PAUSE_PART;
}

/*
 * A pause counts if the sender has tried in it, and no stall is told of it. A window smaller than a
 * segment is as good as shut (RFC 9293 3.8.6).
 */
void pauses_window(struct tracker *t, uint32_t node, struct life *l, uint32_t window)
{
	const struct half *h = half_at(t, node);
	uint32_t segment = h->mss && h->mss < FULL_LEN ? h->mss : FULL_LEN;
	bool shut = window_known(h, half_at(t, node ^ 1)) ? window < segment : !window;

	if (shut && !l->shut_since_ns) {
		l->shut_since_ns = t->now_ns;
		l->shut_tries = 0;
	} else if (!shut && l->shut_since_ns) {
		if (l->shut_tries && t->now_ns - l->shut_since_ns >= felt_ns(t) &&
		    t->now_ns - l->shut_since_ns < t->config.stall_after_ns)
			add_pause(t, node, &l->shut, PACE_SHUT, l->shut_since_ns);
		l->shut_since_ns = 0;
	}
}

/* More is acknowledged, after a silence of the receiver or for want of a segment. */
void life_progress(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node);
	struct life *l = life_of(t, h);
	uint64_t since_ns = half_silent_since(h);

	if (!l || (h->flags & HALF_OPEN) || l->shut_since_ns)
		return;
	if (t->now_ns - since_ns >= felt_ns(t) && !report_too_big(t, node))
		add_pause(t, node, &l->loss, PACE_PAUSES, since_ns);
}

/*
 * A receiver should not take back what it has offered (RFC 9293 3.8.6), and one that is out of
 * memory offers nothing: see taken_back() in bpf/progress.h.
 */
uint32_t window_taken_back(const struct half *h, const struct half *o, uint16_t window,
			   uint32_t acked)
{
	int scale = half_scale(h, o);
	uint32_t less = (uint32_t)(h->window - window) << scale;

	return window && less > acked ? (uint32_t)h->window << scale : 0;
}

/*
 * A window that a reader leaves full shrinks and shuts; one that stays small, and full, is that of
 * a buffer that was cut, or is read at another scale on the way.
 */
static void tell_narrow(struct tracker *t, uint32_t node, const struct life *l, uint64_t end_ns)
{
	const struct narrow *w = &l->narrow;
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	const struct flow_snapshot s = report_snapshot(t, node);
	uint64_t ns = end_ns - w->begin_ns, bytes = h->sent - w->sent;
	bool cut = w->wide / 2 > w->high;
	uint64_t bps = rate_bps(bytes, ns);
	const struct pace_seen seen = {
		.key = s.key,
		.limit = PACE_WINDOW,
		.begin_ns = w->begin_ns,
		.end_ns = end_ns,
		.first_frame = w->first_frame,
		.last_frame = l->last_frame,
		.position = report_position(t, node),
		.bytes = bytes,
		.rate_bps = bps,
		.usual_bps = l->best_bps,
		.segs = report_segs(t, node, bytes),
		.flows = 1,
		.min_rtt_us = h->min_rtt_us + l->min_above_us,
		.rtt_us = h->srtt_us + l->min_above_us,
		.window_bytes = w->high,
		.paused_ns = w->full_ns,
		.snd_wscale = (uint8_t)half_scale(h, o),
		.mss = s.mss,
		.wide_wnd = cut ? w->wide : 0,
		.cut_wnd = cut ? w->cut : 0,
	};

	if (w->full_ns >= 2 * t->config.stall_after_ns && w->full_ns >= ns / 2 && bytes &&
	    bps < l->best_bps / CRAWL_PART)
		report_slow(t, node, &seen);
}

void narrow_window(struct tracker *t, uint32_t node, struct life *l, uint32_t window, uint32_t wide)
{
	struct narrow *w = &l->narrow;

	if (l->narrowed && window <= 2 * w->low && 2 * window >= w->high) {
		w->low = window < w->low ? window : w->low;
		w->high = window > w->high ? window : w->high;
		return;
	}
	narrow_end(t, node, l, t->now_ns);
	if (!window || window >= l->max_window / NARROW_PART)
		return;
	l->narrowed = true;
	*w = (struct narrow){
		.begin_ns = t->now_ns,
		.sent = half_at(t, node)->sent,
		.first_frame = (uint32_t)t->frame,
		.low = window,
		.high = window,
		.wide = wide,
		.cut = window,
	};
}

void narrow_end(struct tracker *t, uint32_t node, struct life *l, uint64_t end_ns)
{
	if (l->narrowed)
		tell_narrow(t, node, l, end_ns);
	l->narrowed = false;
}

void pauses_end(struct tracker *t, uint32_t node, struct life *l)
{
	tell_pauses(t, node, &l->shut, PACE_SHUT);
	tell_pauses(t, node, &l->loss, PACE_PAUSES);
}
