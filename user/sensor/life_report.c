/* SPDX-License-Identifier: GPL-2.0-only */
/* What is told of a transfer at its end: what held it back all its life, and for how long. */
#include <string.h>

#include "sensor/life_impl.h"

#define QUEUE_BYTES  65536 /* through it, or a late ACK may look like one */
#define HEADERS	     52	   /* bytes: IPv4, TCP, timestamps */
#define WINDOW_SHARE 2	   /* half of its life */

static uint64_t judged_ns(const struct life *l)
{
	uint64_t sum = 0;

	for (int i = 0; i < LIMITS; i++)
		sum += l->limited_ns[i];
	return sum;
}

static struct pace_seen whole_life(struct tracker *t, uint32_t node, const struct life *l)
{
	const struct half *h = half_at(t, node);
	uint64_t ns = l->since_ns - l->begin_ns;

	return (struct pace_seen){
		.key = report_key(t, node),
		.begin_ns = l->begin_ns,
		.end_ns = l->since_ns,
		.first_frame = l->first_frame,
		.last_frame = l->last_frame,
		.position = report_position(t, node),
		.bytes = h->sent,
		.rate_bps = rate_bps(h->sent, ns),
		.usual_bps = l->best_bps,
		.segs = report_segs(t, node, h->sent) + h->retrans,
		.lost_segs = h->retrans,
		.flows = 1,
	};
}

/* For most of its life the receiver allowed no more on its way, without ever having shut. */
static void tell_window(struct tracker *t, uint32_t node, const struct life *l)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	const struct flow_entry *e = &t->flows[node >> 1];
	struct pace_seen seen;

	if (l->small_window_ns < t->config.stall_after_ns ||
	    l->small_window_ns < judged_ns(l) / WINDOW_SHARE)
		return;
	seen = whole_life(t, node, l);
	seen.limit = PACE_WINDOW;
	seen.min_rtt_us = h->min_rtt_us + l->min_above_us;
	seen.rtt_us = h->srtt_us + l->above_us;
	seen.window_bytes = l->max_window;
	seen.unscaled = (h->wscale == NO_WSCALE) != (o->wscale == NO_WSCALE);
	seen.paused_ns = l->small_window_ns;
	seen.cookie = seen.unscaled && e->opener < 2 && e->half[!e->opener].wscale == NO_WSCALE;
	report_slow(t, node, &seen);
}

/*
 * A queue in front of a constant rate: most of its life it stretched the round trip many times.
 * That many transfers fill their bottleneck for a while is as it should be.
 */
static void tell_queue(struct tracker *t, uint32_t node, const struct life *l)
{
	const struct half *h = half_at(t, node);
	uint64_t busy_ns = judged_ns(l) - l->limited_ns[LIMIT_SENDER_APP];
	double whole = h->mss ? 1 + HEADERS / (double)h->mss : 1; /* on the wire */
	struct pace_seen seen;

	if (l->queued_bytes < QUEUE_BYTES || (h->flags & HALF_MISSING) ||
	    l->queued_ns < 2 * t->config.stall_after_ns || l->queued_ns < busy_ns / WINDOW_SHARE)
		return;
	seen = whole_life(t, node, l);
	seen.limit = PACE_SHAPER;
	seen.ceiling_bps = (uint64_t)((double)l->queued_bytes * whole * 8e9 / (double)l->queued_ns);
	seen.min_rtt_us = h->min_rtt_us;
	seen.rtt_us = l->longest_us;
	seen.paused_ns = l->queued_ns;
	if (!(h->flags & HALF_TRANSFER) || !pace_queued(t->pace, h->pace, &seen))
		report_slow(t, node, &seen);
}

void life_end(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node);
	struct observation obs = {.type = OBS_LIFE, .now_ns = t->now_ns};
	struct life *l = life_of(t, h);

	if (h->life == LIFE_TOLD)
		return;
	obs.life = (struct life_seen){
		.key = report_key(t, node),
		.begin_ns = t->flows[node >> 1].born_ns,
		.end_ns = h->last_ns,
		.first_frame = t->flows[node >> 1].first_frame,
		.last_frame = h->progress_frame,
		.position = report_position(t, node),
		.bytes = h->sent,
		.retrans = h->retrans,
		.min_rtt_us = h->min_rtt_us,
		.mss = h->mss,
		.mid_connection = !window_known(h, half_at(t, node ^ 1)),
	};
	if (l) {
		obs.life.best_bps = l->best_bps;
		obs.life.judged_ns = judged_ns(l);
		memcpy(obs.life.limited_ns, l->limited_ns, sizeof(l->limited_ns));
		obs.life.max_window_bytes = l->max_window;
		obs.life.last_frame = l->last_frame;
		pauses_end(t, node, l);
		narrow_end(t, node, l, l->since_ns);
		tell_window(t, node, l);
		tell_queue(t, node, l);
		life_release(t, h);
	}
	h->life = LIFE_TOLD;
	if (h->flags & HALF_TRANSFER)
		t->config.observe(&obs, t->config.arg);
}
