/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of a group and what is read from it. A packet stands there when it was sent; that it was
 * lost is marked once it is sent again, or when the capture point sits behind the loss and sees the
 * gap.
 */
#include "sensor/pace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rate.h"
#include "sensor/bucket.h"

#define GROUPS	      64
#define FLOWS	      32	 /* of a group */
#define LOG	      (1u << 14) /* packets of a group */
#define SEARCH	      4096	 /* packets back for the one that was lost */
#define HEADERS_LEAST 40	 /* bytes: IPv4 and TCP */
#define DAMAGED_PART  4		 /* of all; where more are bad the sums are yet to be made */
#define OWN_LOSSES    5		 /* of a flow, to be told of what holds its group back */
#define MIN_LOSS      0.003	 /* share; below it loss holds nobody back */
#define MIN_PASSES    200	 /* of a flow */
/*
 * Scores of the bucket. A policer gets close to 1, loss at random stays below a half; a queue lies
 * between, as its length wavers, but shows in the round trip.
 */
#define CEILING	      0.75
#define QUEUE_CEILING 0.50
#define NO_CEILING    0.60

_Static_assert(GROUPS *FLOWS < 1 << 12, "a handle fits beside each direction");

enum fate { FATE_PASSED, FATE_LOST, FATE_LOST_UPSTREAM };

struct logged {
	uint32_t at_us, seq, frame;
	uint16_t ip_len, rtt_100us;
	uint8_t flow, fate;
};

struct member {
	struct pace_flow flow;
	uint32_t rtt_us; /* latest sample */
	uint32_t unlost, damaged, bad_sacks;
	uint64_t usual_bps;
	struct pace_seen paused; /* since the log was judged last */
	struct pace_seen queue;	 /* to be told if no ceiling was; bytes 0: none */
	bool ceiling;		 /* one was told */
};

struct group {
	struct ip_addr dst;
	uint64_t start_ns;
	uint32_t n_flows, n, filled; /* filled: logs that were full */
	struct member *members;
	struct logged *log;
};

struct pace {
	observe_fn observe;
	void *arg;
	struct group groups[GROUPS];
	uint32_t n_groups;
	struct passage *passages; /* room for one log */
};

int pace_new(observe_fn observe, void *arg, struct pace **ret)
{
	struct pace *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->observe = observe;
	p->arg = arg;
	*ret = p;
	return 0;
}

void pace_free(struct pace *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->n_groups; i++) {
		free(p->groups[i].members);
		free(p->groups[i].log);
	}
	free(p->passages);
	free(p);
}

static struct group *group_find(const struct pace *p, const struct ip_addr *dst)
{
	for (uint32_t i = 0; i < p->n_groups; i++)
		if (addr_equal(&p->groups[i].dst, dst))
			return (struct group *)&p->groups[i];
	return NULL;
}

static struct group *group_new(struct pace *p, const struct ip_addr *dst, uint64_t now_ns)
{
	struct group *g = &p->groups[p->n_groups];

	if (p->n_groups == GROUPS)
		return NULL;
	if (!p->passages)
		p->passages = malloc(LOG * sizeof(*p->passages));
	g->members = calloc(FLOWS, sizeof(*g->members));
	g->log = malloc(LOG * sizeof(*g->log));
	if (!p->passages || !g->members || !g->log) {
		free(g->members);
		free(g->log);
		*g = (struct group){.n = 0};
		return NULL;
	}
	g->dst = *dst;
	g->start_ns = now_ns;
	p->n_groups++;
	return g;
}

uint32_t pace_join(struct pace *p, const struct pace_flow *flow, uint64_t now_ns, bool *ret_first)
{
	struct group *g = group_find(p, &flow->key.remote.addr);

	*ret_first = !g;
	g = g ? g : group_new(p, &flow->key.remote.addr, now_ns);
	if (!g || g->n_flows == FLOWS)
		return 0;
	g->members[g->n_flows] = (struct member){.flow = *flow};
	return (uint32_t)(g - p->groups) * FLOWS + g->n_flows++ + 1;
}

static struct group *group_of(struct pace *p, uint32_t handle, uint8_t *ret_flow)
{
	*ret_flow = (uint8_t)((handle - 1) % FLOWS);
	return &p->groups[(handle - 1) / FLOWS];
}

/* NULL of handle 0. */
static struct member *member_of(struct pace *p, uint32_t handle)
{
	uint8_t flow;
	struct group *g;

	if (!handle)
		return NULL;
	g = group_of(p, handle, &flow);
	return &g->members[flow];
}

/* --- judging a log ---------------------------------------------------------------------------- */

struct tally_of {
	uint64_t bytes, first_ns, last_ns;
	uint32_t segs, lost, upstream, first_frame, last_frame;
	uint64_t loss_rtt_us; /* sum over losses */
	uint32_t loss_rtts, min_rtt_us;
};

static struct tally_of count(const struct group *g, int flow)
{
	struct tally_of t = {0};

	for (uint32_t i = 0; i < g->n; i++) {
		const struct logged *l = &g->log[i];
		uint32_t rtt_us = l->rtt_100us * 100u;

		if (flow >= 0 && l->flow != flow)
			continue;
		if (!t.segs) {
			t.first_ns = g->start_ns + l->at_us * NS_PER_US;
			t.first_frame = l->frame;
		}
		t.last_ns = g->start_ns + l->at_us * NS_PER_US;
		t.last_frame = l->frame;
		t.segs++;
		t.min_rtt_us =
			rtt_us && (!t.min_rtt_us || rtt_us < t.min_rtt_us) ? rtt_us : t.min_rtt_us;
		if (l->fate == FATE_PASSED) {
			t.bytes += l->ip_len;
			continue;
		}
		t.lost++;
		t.upstream += l->fate == FATE_LOST_UPSTREAM;
		t.loss_rtt_us += rtt_us;
		t.loss_rtts += rtt_us > 0;
	}
	return t;
}

static bool fit(struct pace *p, const struct group *g, int flow, struct bucket_fit *ret)
{
	size_t n = 0;

	for (uint32_t i = 0; i < g->n; i++) {
		const struct logged *l = &g->log[i];

		if (flow < 0 || l->flow == flow)
			p->passages[n++] = (struct passage){.at_us = l->at_us,
							    .len = l->ip_len,
							    .lost = l->fate != FATE_PASSED};
	}
	return bucket_fit(p->passages, n, ret);
}

static uint32_t loss_rtt_us(const struct tally_of *t)
{
	return t->loss_rtts ? (uint32_t)(t->loss_rtt_us / t->loss_rtts) : 0;
}

/* A queue stretches the round trip before it overflows (well above what jitter does). */
static bool queued(const struct tally_of *t)
{
	return loss_rtt_us(t) > t->min_rtt_us + t->min_rtt_us / 3 &&
	       loss_rtt_us(t) > t->min_rtt_us + 10000;
}

/* The same of a short one: it is as long as what fits into it takes at that rate. */
static bool fills(const struct tally_of *t, const struct bucket_fit *b)
{
	double full_us = b->rate > 0 ? b->depth / b->rate * 1e6 : 0;
	uint32_t least_us = t->min_rtt_us;

	return loss_rtt_us(t) > least_us + 5000 && loss_rtt_us(t) - least_us > full_us / 10;
}

/* They are accounted for then. */
static void add_pauses(struct pace_seen *s, struct pace_seen *paused)
{
	s->pauses = paused->pauses;
	s->paused_ns = paused->paused_ns;
	s->longest_ns = paused->longest_ns;
	paused->pauses = 0;
}

static void tell(struct pace *p, struct group *g, int flow, enum pace_limit limit,
		 const struct bucket_fit *b, uint32_t flows)
{
	struct tally_of t = count(g, flow);
	struct observation obs = {.type = OBS_PACE, .now_ns = t.last_ns};
	struct pace_seen *s = &obs.pace;
	uint64_t ns = t.last_ns - t.first_ns;

	if (!ns)
		return;
	*s = (struct pace_seen){
		.key = g->members[flow].flow.key,
		.limit = limit,
		.begin_ns = t.first_ns,
		.end_ns = t.last_ns,
		.first_frame = t.first_frame,
		.last_frame = t.last_frame,
		.position = g->members[flow].flow.position,
		.bytes = t.bytes,
		.rate_bps = rate_bps(t.bytes, ns),
		.usual_bps = g->members[flow].usual_bps,
		.segs = t.segs,
		.lost_segs = t.lost,
		.lost_upstream = t.upstream,
		.bad_sums = g->members[flow].damaged < t.segs / DAMAGED_PART
				    ? g->members[flow].damaged
				    : 0,
		.bad_sacks = g->members[flow].bad_sacks,
		.flows = flows,
		.min_rtt_us = t.min_rtt_us,
		.rtt_us = loss_rtt_us(&t),
	};
	if (limit != PACE_LOSS) {
		if (limit == PACE_POLICER && (queued(&t) || fills(&t, b)))
			s->limit = PACE_SHAPER;
		s->ceiling_bps = (uint64_t)(b->rate * 8);
		s->ceiling_low_bps = (uint64_t)(b->low * 8);
		s->ceiling_high_bps = (uint64_t)(b->high * 8);
		if (s->limit == PACE_SHAPER && g->members[flow].queue.bytes)
			s->ceiling_bps = g->members[flow].queue.ceiling_bps; /* as it drained */
		s->burst_bytes = s->limit == PACE_POLICER ? (uint64_t)b->depth : 0;
		s->fit_permille = (uint32_t)(b->losses_explained * 1000);
	}
	memcpy(s->tunnel, g->members[flow].flow.tunnel, sizeof(s->tunnel));
	g->members[flow].ceiling |= limit != PACE_LOSS;
	add_pauses(s, &g->members[flow].paused);
	p->observe(&obs, p->arg);
}

/* Nothing else explains them. */
static void tell_rest(struct pace *p, struct member *m)
{
	struct observation obs = {.type = OBS_PACE, .now_ns = m->queue.end_ns, .pace = m->queue};

	if (m->queue.bytes && !m->ceiling) {
		add_pauses(&obs.pace, &m->paused);
		p->observe(&obs, p->arg);
	}
	if (!m->paused.pauses)
		return;
	obs.now_ns = m->paused.end_ns;
	obs.pace = m->paused;
	obs.pace.usual_bps = m->usual_bps;
	obs.pace.bad_sacks = m->bad_sacks;
	p->observe(&obs, p->arg);
	m->paused.pauses = 0;
}

/* What one flow shows by itself: enough of it, and not the gaps of the capture. */
static bool worth_telling(const struct group *g, int flow)
{
	struct tally_of t = count(g, flow);

	return t.lost >= OWN_LOSSES && t.segs - t.lost >= MIN_PASSES && t.min_rtt_us &&
	       g->members[flow].unlost < t.lost;
}

/* The whole group may share a ceiling, or a flow have one of its own. */
static void judge_log(struct pace *p, struct group *g)
{
	struct tally_of t = count(g, -1);
	struct bucket_fit all = {0};
	bool known = fit(p, g, -1, &all) && t.lost >= MIN_LOSS * t.segs;
	double ceiling = queued(&t) || fills(&t, &all) ? QUEUE_CEILING : CEILING;

	for (int i = 0; known && i < (int)g->n_flows; i++) {
		struct bucket_fit own = {0};

		if (!worth_telling(g, i))
			continue;
		if (g->n_flows > 1)
			fit(p, g, i, &own);
		if (own.score >= ceiling && own.score > all.score)
			tell(p, g, i, PACE_POLICER, &own, 1);
		else if (all.score >= ceiling)
			tell(p, g, i, PACE_POLICER, &all, g->n_flows);
		else if (all.score < NO_CEILING && own.score < NO_CEILING)
			tell(p, g, i, PACE_LOSS, &all, 1);
	}
}

bool pace_paused(struct pace *p, uint32_t handle, const struct pace_seen *pauses)
{
	struct member *m = member_of(p, handle);
	struct pace_seen *all;

	if (!m)
		return false;
	all = &m->paused;
	if (!all->pauses) {
		*all = *pauses;
		return true;
	}
	all->end_ns = pauses->end_ns;
	all->last_frame = pauses->last_frame;
	all->bytes += pauses->bytes;
	all->segs += pauses->segs;
	all->lost_segs += pauses->lost_segs;
	all->pauses += pauses->pauses;
	all->paused_ns += pauses->paused_ns;
	if (pauses->longest_ns > all->longest_ns)
		all->longest_ns = pauses->longest_ns;
	all->rate_bps = rate_bps(all->bytes, all->end_ns - all->begin_ns);
	return true;
}

bool pace_queued(struct pace *p, uint32_t handle, const struct pace_seen *queue)
{
	struct member *m = member_of(p, handle);

	if (m)
		m->queue = *queue;
	return m;
}

void pace_damaged(struct pace *p, uint32_t handle)
{
	struct member *m = member_of(p, handle);

	if (m)
		m->damaged++;
}

void pace_odd_sack(struct pace *p, uint32_t handle)
{
	struct member *m = member_of(p, handle);

	if (m)
		m->bad_sacks++;
}

void pace_usual(struct pace *p, uint32_t handle, uint64_t bps)
{
	struct member *m = member_of(p, handle);

	if (m)
		m->usual_bps = bps;
}

static void judge_and_clear(struct pace *p, struct group *g, uint64_t now_ns)
{
	/* A fit costs hundreds of passes over the log: long transfers have every 2^k-th judged. */
	if (!(g->filled & (g->filled + 1)))
		judge_log(p, g);
	g->filled++;
	g->n = 0;
	g->start_ns = now_ns;
}

void pace_look(struct pace *p)
{
	for (uint32_t i = 0; i < p->n_groups; i++)
		judge_log(p, &p->groups[i]);
}

void pace_end(struct pace *p)
{
	pace_look(p);
	for (uint32_t i = 0; i < p->n_groups; i++) {
		for (uint32_t k = 0; k < p->groups[i].n_flows; k++)
			tell_rest(p, &p->groups[i].members[k]);
	}
}

/* --- the log ---------------------------------------------------------------------------------- */

static void append(struct pace *p, struct group *g, struct logged l, uint64_t now_ns)
{
	if (g->n == LOG || (now_ns - g->start_ns) / NS_PER_US > UINT32_MAX)
		judge_and_clear(p, g, now_ns);
	l.at_us = (uint32_t)((now_ns - g->start_ns) / NS_PER_US);
	g->log[g->n++] = l;
}

void pace_rtt(struct pace *p, uint32_t handle, uint32_t us)
{
	struct member *m = member_of(p, handle);

	if (m)
		m->rtt_us = us;
}

void pace_sent(struct pace *p, uint32_t handle, uint32_t seq, uint16_t ip_len, uint64_t now_ns,
	       uint64_t frame)
{
	struct logged l = {.seq = seq, .ip_len = ip_len, .frame = (uint32_t)frame};
	struct group *g;

	uint32_t rtt_us;

	if (!handle)
		return;
	g = group_of(p, handle, &l.flow);
	rtt_us = g->members[l.flow].rtt_us;
	l.rtt_100us = (uint16_t)(rtt_us > 6553500 ? 65535 : (rtt_us + 99) / 100);
	append(p, g, l, now_ns);
}

void pace_hole(struct pace *p, uint32_t handle, uint32_t seq, uint32_t end, uint32_t mss,
	       uint64_t now_ns, uint64_t frame)
{
	struct logged l = {.frame = (uint32_t)frame, .fate = FATE_LOST_UPSTREAM};
	struct group *g;

	if (!handle)
		return;
	g = group_of(p, handle, &l.flow);
	mss = mss ? mss : 536;
	for (int i = 0; i < 64 && (int32_t)(end - seq) > 0; i++) {
		uint32_t len = end - seq < mss ? end - seq : mss;

		l.seq = seq;
		l.ip_len = (uint16_t)(len + HEADERS_LEAST > 65535 ? 65535 : len + HEADERS_LEAST);
		append(p, g, l, now_ns);
		seq += len;
	}
}

/* The log is searched backwards, and no farther than to here. */
static uint32_t search_end(const struct group *g)
{
	return g->n > SEARCH ? g->n - SEARCH : 0;
}

void pace_lost(struct pace *p, uint32_t handle, uint32_t seq, uint32_t end)
{
	struct group *g;
	uint8_t flow;

	if (!handle)
		return;
	g = group_of(p, handle, &flow);
	for (uint32_t i = g->n; i > search_end(g); i--) {
		struct logged *l = &g->log[i - 1];

		if (l->flow != flow || (int32_t)(l->seq - seq) < 0 || (int32_t)(end - l->seq) <= 0)
			continue;
		if (l->fate == FATE_PASSED)
			l->fate = FATE_LOST;
		if (l->seq == seq)
			return; /* what was sent before that was lost long ago */
	}
}

void pace_unlost(struct pace *p, uint32_t handle, uint32_t seq, uint32_t end)
{
	uint32_t found = 0;
	struct group *g;
	uint8_t flow;

	if (!handle)
		return;
	g = group_of(p, handle, &flow);
	for (uint32_t i = g->n; i > search_end(g) && found < end - seq; i--) {
		struct logged *l = &g->log[i - 1];

		if (l->flow != flow || l->seq - seq >= end - seq || l->fate == FATE_PASSED)
			continue;
		l->fate = FATE_PASSED;
		g->members[flow].unlost++;
		found += l->ip_len > HEADERS_LEAST ? l->ip_len - HEADERS_LEAST : 1;
	}
}
