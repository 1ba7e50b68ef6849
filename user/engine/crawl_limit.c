/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What holds a crawling transfer back, as a struct pace_seen like that of a capture's slow phase.
 * The socket's counters tell of windows, queues and how much is lost; which segments were lost, and
 * when, only its packets tell: whether the losses follow from a token bucket is decided there
 * (sensor/bucket.h), and by the counters only where there are no packets.
 */
#include <netinet/in.h>

#include "engine/internal.h"

#define FULL_PERCENT	 50 /* of the busy time: the limit of the phase */
#define LOSS_PERMILLE	 5
#define POLICED_PERMILLE 20
#define POLICED_RUN	 3 /* segments lost in a row; at random it is hardly more than one */
#define QUEUE_US	 20000
#define QUEUE_SEGS	 2
#define STEADY_PERCENT	 160 /* fastest look to the slowest */
#define CEILING_MOST	 3   /* times what arrives; a higher one is not what holds it back */

struct crawl_counts crawl_counts_of(const struct flow_snapshot *s, bool sends)
{
	return (struct crawl_counts){
		.bytes = flow_dir(s, sends)->bytes,
		.busy_us = s->busy_us,
		.rwnd_limited_us = s->rwnd_limited_us,
		.sndbuf_limited_us = s->sndbuf_limited_us,
		.segs = s->data_segs_out,
		.retrans = s->total_retrans,
		.dups = s->dsack_dups,
		.runs = s->retrans_runs,
		.ooo = s->rcv_ooopack,
		.damaged = s->csum_bad,
	};
}

uint64_t crawl_delivered(const struct flow_snapshot *s, bool sends)
{
	return flow_dir(s, sends)->bytes + (sends ? (uint64_t)s->sacked_segs * s->mss : 0);
}

/*
 * One that others fill as well keeps its length, whatever share of the rate is left. Where many are
 * lost a round trip holds timeouts as well: what waits then must be some segments of its own.
 */
static bool queue_stands(const struct crawl *c, const struct flow_snapshot *s,
			 const struct pace_seen *p, uint32_t lost_permille)
{
	uint64_t waiting_us = c->least_rtt_us > p->min_rtt_us ? c->least_rtt_us - p->min_rtt_us : 0;

	if (lost_permille >= HEAVY_PERMILLE &&
	    waiting_us * p->rate_bps / 8000000 < QUEUE_SEGS * (uint64_t)s->mss)
		return false;
	return p->min_rtt_us && c->least_rtt_us > 2 * p->min_rtt_us &&
	       c->least_rtt_us > p->min_rtt_us + QUEUE_US;
}

static enum pace_limit limit_of(const struct crawl *c, const struct flow_snapshot *s, bool sends,
				const struct pace_seen *p, const struct pace_seen *packets)
{
	uint64_t busy_us = s->busy_us - c->base.busy_us,
		 rwnd_us = s->rwnd_limited_us - c->base.rwnd_limited_us;
	uint64_t window_bps = s->rtt_us ? (uint64_t)c->most_wnd * 8000000 / s->rtt_us : 0;
	uint32_t runs = s->retrans_runs - c->base.runs;
	bool steady = c->most_bps * 100 <= c->least_bps * STEADY_PERCENT;
	uint32_t lost_permille = p->segs ? (uint32_t)((uint64_t)p->lost_segs * 1000 / p->segs) : 0;

	if (!sends && flow_own_window_shut(s))
		return PACE_SHUT;
	if (sends && rwnd_us * 100 >= busy_us * FULL_PERCENT)
		return p->rate_bps * 5 >= window_bps * 2 ? PACE_WINDOW : PACE_SHUT;
	if (sends && queue_stands(c, s, p, lost_permille))
		return PACE_SHAPER;
	if (packets->limit != PACE_UNKNOWN)
		return packets->limit;
	if (!sends)
		return PACE_LOSS;
	if (lost_permille >= POLICED_PERMILLE && steady && runs &&
	    p->lost_segs >= POLICED_RUN * runs)
		return PACE_POLICER;
	return lost_permille >= LOSS_PERMILLE ? PACE_LOSS : PACE_UNKNOWN;
}

/* IP packets fill it, of which the data is a part. What is sent in vain goes unseen. */
static uint64_t delivered_bps(const struct crawl *c, const struct flow_snapshot *s, bool sends,
			      uint64_t now_ns)
{
	uint32_t mss = s->mss ? s->mss : MSS_GUESS,
		 headers = (s->key.remote.addr.family == AF_INET6 ? 60 : 40) +
			   (s->flags & SNAP_TIMESTAMPS ? 12 : 0);
	uint64_t bytes = crawl_delivered(s, sends) - c->settled_bytes;

	return now_ns > c->settled_ns
		       ? rate_bps(bytes, now_ns - c->settled_ns) / mss * (mss + headers)
		       : 0;
}

struct pace_seen crawl_pace(const struct engine *e, const struct crawl *c,
			    const struct flow_snapshot *s, bool sends,
			    const struct pace_seen *packets)
{
	struct crawl_counts is = crawl_counts_of(s, sends);
	uint32_t retrans = is.retrans - c->base.retrans, dups = is.dups - c->base.dups;
	struct pace_seen p = {
		.key = s->key,
		.begin_ns = c->since_ns,
		.end_ns = e->now_ns,
		.bytes = is.bytes - c->base.bytes,
		.usual_bps = crawl_usual_bps(c),
		.flows = 1,
		.rtt_us = s->rtt_us,
		.min_rtt_us = s->min_rtt_us,
		.window_bytes = c->most_wnd,
		.paused_ns = (is.rwnd_limited_us - c->base.rwnd_limited_us) * NS_PER_US,
	};
	uint64_t delivered;
	bool fits; /* what its packets showed first may be of better times */

	p.rate_bps = rate_bps(p.bytes, p.end_ns - p.begin_ns);
	if (sends) {
		p.segs = is.segs - c->base.segs;
		p.lost_segs = retrans > dups ? retrans - dups : 0;
	} else {
		p.segs = (uint32_t)(p.bytes / (s->mss ? s->mss : MSS_GUESS));
		p.lost_segs = is.ooo - c->base.ooo;
	}
	p.limit = limit_of(c, s, sends, &p, packets);
	if (p.limit != PACE_POLICER && p.limit != PACE_SHAPER && p.limit != PACE_LOSS)
		return p;
	delivered = delivered_bps(c, s, sends, e->now_ns);
	fits = !delivered || packets->ceiling_bps / CEILING_MOST <= delivered;
	p.fit_permille = fits ? packets->fit_permille : 0;
	if (packets->segs && p.limit != PACE_SHAPER) {
		p.segs = packets->segs;
		p.lost_segs = packets->lost_segs;
	}
	if (p.limit == PACE_LOSS)
		return p;
	p.ceiling_bps = fits && packets->ceiling_bps ? packets->ceiling_bps : delivered;
	p.burst_bytes = fits && p.limit == PACE_POLICER ? packets->burst_bytes : 0;
	return p;
}
