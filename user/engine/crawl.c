/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Transfers that crawl while they are watched: one that has owed data all the time and for ten
 * seconds got less than a tenth of its own median rate. What held it back is in crawl_limit.c.
 *
 * A rate is taken every two seconds at most, from snapshots that come anyhow. Rates of seconds in
 * which there was something to send count, others only where they are above the median, and a slow
 * one does not: the median stays what it was.
 */
#include <math.h>
#include <netinet/tcp.h>
#include <string.h>

#include "engine/judge.h"

#define TICK_NS	       (1800 * NS_PER_MS) /* the sensor tells of moving transfers every 2 s */
#define TICK_MAX_NS    (60 * NS_PER_S)	  /* longer ago: not watched in between */
#define CRAWL_AFTER_NS (10 * NS_PER_S)
#define CRAWL_TICKS    4 /* and so many looks */
#define CRAWL_SHARE    10
#define BACK_SHARE     5 /* it is over at a fifth of the median */
#define RATES_ENOUGH   3 /* before there is a median */
#define BUSY_PERCENT   80
#define VERDICT_NS     (1500 * NS_PER_MS) /* for what was asked of this host */
#define DAMAGE_NS      (3 * NS_PER_S)	  /* damaged segments count for a receiver from now on */
#define SURER	       0.1		  /* a change that is told again, as is */
#define TOLD_SHARE     10		  /* a ceiling that has moved by such a part */
#define BESIDE	       8		  /* others whose packets are looked at with it */
#define LOSS_ROUND_NS  (1200 * NS_PER_MS) /* routers answer one probe a second */

#define LATE_LEAST     100 /* segments that are remembered from look to look */
#define FULL_PERCENT   50  /* of the busy time: it is the program's own pace */

/* Half octaves from 1 kbit/s on. */
static int bucket_of(uint64_t bps)
{
	int bucket = 0;

	for (uint64_t x = bps >> 9; x > 1 && bucket < RATE_BUCKETS - 2; x >>= 1)
		bucket += 2;
	if (bucket && bps >> (bucket / 2 + 8) & 1)
		bucket++;
	return bucket < RATE_BUCKETS ? bucket : RATE_BUCKETS - 1;
}

static uint64_t bucket_bps(int bucket)
{
	uint64_t octave = 1ull << (bucket / 2 + 9);

	return bucket & 1 ? octave + octave / 2 : octave;
}

static void remember(struct crawl *c, uint64_t bps)
{
	uint8_t *n = &c->history[bucket_of(bps)];

	if (*n == UINT8_MAX) /* the past fades */
		for (int i = 0; i < RATE_BUCKETS; i++)
			c->history[i] /= 2;
	++*n;
}

/* 0: not known yet. */
uint64_t crawl_usual_bps(const struct crawl *c)
{
	int n = 0, seen = 0;

	for (int i = 0; i < RATE_BUCKETS; i++)
		n += c->history[i];
	for (int i = 0; i < RATE_BUCKETS && n >= RATES_ENOUGH; i++) {
		seen += c->history[i];
		if (2 * seen >= n)
			return bucket_bps(i);
	}
	return 0;
}

/* Data was there to be sent all the time; or it came, with gaps that others had to fill. */
static bool was_busy(const struct crawl_counts *was, const struct crawl_counts *is, bool sends,
		     uint64_t dt_ns)
{
	uint64_t busy_us = is->busy_us - was->busy_us,
		 own_us = is->sndbuf_limited_us - was->sndbuf_limited_us;

	if (!sends)
		return is->ooo != was->ooo;
	return busy_us * NS_PER_US * 100 >= dt_ns * BUSY_PERCENT &&
	       own_us * 100 < busy_us * FULL_PERCENT;
}

/*
 * Others got faster by what this one lost: they share what there is. New ones count with all that
 * they have.
 */
static bool others_took_it(const struct engine *e, const struct flow *f, uint64_t since_ns,
			   uint64_t lost_bps)
{
	uint64_t gained_bps = 0;

	for (uint32_t i = 0; i < e->flow_top; i++) {
		const struct flow *o = &e->flows[i];

		if (!o->used || o == f || o->last.key.netns != f->last.key.netns)
			continue;
		for (int sends = 0; sends < 2; sends++) {
			const struct crawl *c = &o->crawl[sends];
			bool newcomer = c->first_ns + RATES_ENOUGH * TICK_NS > since_ns;
			uint64_t usual = newcomer ? 0 : crawl_usual_bps(c);

			if (c->rate_bps > usual && e->now_ns - c->tick_ns < 3 * TICK_NS)
				gained_bps += c->rate_bps - usual;
		}
	}
	return gained_bps >= lost_bps / 2;
}

/*
 * By what is its own: others take what it leaves, then, and have not taken it away. A line that is
 * shared makes nobody lose so much: rates settle where loss is far less (Mathis et al. 1997).
 */
static bool is_held_back(const struct engine *e, const struct flow *f, bool sends)
{
	static const struct pace_seen none;
	const struct crawl *c = &f->crawl[sends];
	struct pace_seen p = crawl_pace(e, c, &f->last, sends, &none);

	if (!sends)
		return false;
	return p.limit == PACE_WINDOW || p.limit == PACE_SHUT ||
	       (uint64_t)p.lost_segs * 1000 >= (uint64_t)p.segs * HEAVY_PERMILLE;
}

static void push(struct engine *e, enum output_kind kind, const struct stall *s)
{
	struct output out = {.kind = kind, .now_ns = e->now_ns, .incident = &s->pub};

	output_push(e, &out);
}

static bool near(uint64_t a, uint64_t b)
{
	return a <= b + b / TOLD_SHARE && b <= a + a / TOLD_SHARE;
}

/* The numbers in the detail grow with every look: that is no news. */
static bool says_the_same(const struct stall *s, const struct verdict *v)
{
	struct verdict was = s->pub.verdict;

	memcpy(was.detail, v->detail, sizeof(was.detail));
	return verdict_same(v, &was) && near(s->told_ceiling_bps, s->pub.pace.ceiling_bps) &&
	       fabs(v->cause_confidence - was.cause_confidence) < SURER &&
	       fabs(v->where.confidence - was.where.confidence) < SURER;
}

static void tell(struct engine *e, struct stall *s)
{
	struct verdict v = {0};

	judge(e, s, &v);
	calibrate(s, &v);
	s->dirty = false;
	if (v.cause == CAUSE_PATH_LOSS)
		loss_said(e, s);
	if (s->verdict_out && (v.cause == CAUSE_UNKNOWN || says_the_same(s, &v)))
		return;
	s->pub.verdict = v;
	s->verdict_out = true;
	s->told_ceiling_bps = s->pub.pace.ceiling_bps;
	push(e, OUT_VERDICT, s);
}

static void begin(struct engine *e, struct flow *f, bool sends)
{
	struct crawl *c = &f->crawl[sends];
	struct stall *s = stall_slot(e, f, sends);

	if (!s)
		return;
	c->stall = (int32_t)(s - e->stalls);
	s->phase = STALL_SLOW;
	s->pub.slow = true;
	s->pub.begun_ns = e->now_ns;
	s->pub.suspected_ns = s->pub.last_progress_ns = c->since_ns;
	s->pub.pace = crawl_pace(e, c, &f->last, sends, &s->packets);
	s->judge_until_ns = e->now_ns + (sends ? VERDICT_NS : DAMAGE_NS);
	incident_name(e, &s->pub);
	e->counts.slow++;
	push(e, OUT_SLOW_BEGIN, s);
	gather_slow(e, s);
	crawl_tick(e, s);
}

/* A round of probes a second or so shows where segments are lost, if enough of them are. */
void crawl_tick(struct engine *e, struct stall *s)
{
	bool told = s->verdict_out;

	if (!told && e->now_ns >= s->judge_until_ns) {
		tell(e, s);
	} else if (told && s->dirty && e->now_ns >= s->next_round_ns) {
		tell(e, s);
	}
	s->next_round_ns =
		s->next_round_ns > e->now_ns ? s->next_round_ns : e->now_ns + LOSS_ROUND_NS;
	if (s->pub.pace.limit == PACE_LOSS && e->now_ns >= s->next_loss_ns && round_loss_more(e, s))
		s->next_loss_ns = e->now_ns + LOSS_ROUND_NS;
	e->due_ns[s - e->stalls] = !s->verdict_out		 ? s->judge_until_ns
				   : s->next_loss_ns > e->now_ns ? s->next_loss_ns
								 : e->now_ns + LOSS_ROUND_NS;
}

void crawl_end(struct engine *e, struct flow *f, bool sends, enum outcome outcome)
{
	struct crawl *c = &f->crawl[sends];
	struct stall *s;

	c->since_ns = 0;
	c->ticks = 0;
	if (c->stall < 0)
		return;
	s = &e->stalls[c->stall];
	s->pub.last = f->last;
	if (!s->verdict_out)
		tell(e, s);
	s->pub.outcome = outcome;
	s->pub.ended_ns = s->pub.pace.end_ns = e->now_ns;
	push(e, OUT_SLOW_END, s);
	stall_free(e, s);
	c->stall = -1;
}

static void want_pace(struct engine *e, const struct flow *f, bool sends, bool beside)
{
	struct output out = {.kind = OUT_WANT, .now_ns = e->now_ns};

	out.want.kind = WANT_PACE;
	out.want.key = f->last.key;
	out.want.local_sends = sends;
	out.want.snapshot = f->last;
	out.want.beside = beside;
	output_push(e, &out);
}

/*
 * Its packets are looked at from the first low rate on, for a ceiling shows after some losses only;
 * and those of others to the same peer, which may share it.
 */
static void follow(struct engine *e, const struct flow *f, bool sends)
{
	int beside = 0;

	for (uint32_t i = 0; i < e->flow_top && beside < BESIDE; i++) {
		const struct flow *o = &e->flows[i];

		if (!o->used || o == f || o->last.key.netns != f->last.key.netns ||
		    !addr_equal(&o->last.key.remote.addr, &f->last.key.remote.addr) ||
		    e->now_ns - flow_dir(&o->last, sends)->progress_ns > 3 * TICK_NS)
			continue;
		want_pace(e, o, sends, true);
		beside++;
	}
	want_pace(e, f, sends, false);
}

void crawl_paced(struct engine *e, const struct pace_seen *p)
{
	struct flow *f = flow_find(e, &p->key);
	bool sends = f && endpoint_equal(&p->key.local, &f->last.key.local);
	struct crawl *c = f ? &f->crawl[sends] : NULL;
	struct stall *s;

	if (!c || c->stall < 0)
		return; /* it is over, or has not begun: then it is asked for again */
	s = &e->stalls[c->stall];
	s->packets = *p;
	s->pub.pace = crawl_pace(e, c, &f->last, sends, p);
	s->dirty = true;
}

static void low(struct engine *e, struct flow *f, bool sends, const struct crawl_counts *was,
		uint64_t was_ns)
{
	struct crawl *c = &f->crawl[sends];

	if (!c->since_ns) {
		c->since_ns = was_ns;
		c->base = *was;
		c->least_bps = c->most_bps = c->rate_bps;
		c->most_wnd = 0;
		c->least_rtt_us = f->last.rtt_us;
	}
	if (++c->ticks == 1) { /* holds the end of better times */
		c->settled_bytes = crawl_delivered(&f->last, sends);
		c->settled_ns = e->now_ns;
	} else if (c->ticks == 2) {
		c->least_bps = c->most_bps = c->rate_bps;
		c->least_rtt_us = f->last.rtt_us;
	}
	if (c->rate_bps < c->least_bps)
		c->least_bps = c->rate_bps;
	if (c->rate_bps > c->most_bps)
		c->most_bps = c->rate_bps;
	if (f->last.rtt_us < c->least_rtt_us)
		c->least_rtt_us = f->last.rtt_us;
	if (f->last.snd_wnd > c->most_wnd)
		c->most_wnd = f->last.snd_wnd;
	follow(e, f, sends);
	if (c->stall >= 0) {
		struct stall *s = &e->stalls[c->stall];

		s->pub.last = f->last;
		s->pub.pace = crawl_pace(e, c, &f->last, sends, &s->packets);
		s->dirty = true;
		return;
	}
	if (e->now_ns - c->since_ns < CRAWL_AFTER_NS || c->ticks < CRAWL_TICKS)
		return;
	if (is_held_back(e, f, sends) ||
	    !others_took_it(e, f, c->since_ns, crawl_usual_bps(c) - c->rate_bps)) {
		begin(e, f, sends);
		return;
	}
	/* Its share is another one from now on. */
	c->since_ns = c->ticks = 0;
	memset(c->history, 0, sizeof(c->history));
}

/* Confirmed: a suspect may be no more than a long timeout of a path that loses. */
static bool is_stalled(const struct engine *e, const struct flow *f, bool sends)
{
	return f->stall[sends] >= 0 && e->stalls[f->stall[sends]].phase != STALL_SUSPECT;
}

/* A rate below this is a crawl. Where the window was cut meanwhile it needs not be as slow. */
static uint64_t slow_bps(const struct crawl *c, const struct flow_snapshot *last, uint64_t usual)
{
	if (last->cut_wnd)
		return c->stall >= 0 ? usual / 4 * 3 : usual / 2;
	return usual / (c->stall >= 0 ? BACK_SHARE : CRAWL_SHARE);
}

/*
 * A look at a better moment does not end what has only begun, if all since then was as slow: a
 * transfer that waits for one timer after the other moves in bursts.
 */
static bool was_slow_since(const struct crawl *c, uint64_t bytes, uint64_t usual, uint64_t now_ns)
{
	return c->since_ns && c->stall < 0 && c->rate_bps < usual / BACK_SHARE &&
	       rate_bps(bytes - c->base.bytes, now_ns - c->since_ns) < usual / CRAWL_SHARE;
}

/*
 * Half of it is of the last look, or more: a path begins to lose from one moment to the next, and
 * what goes slowly then must not drown in what went fast before.
 */
static void note_late(struct crawl *c, uint64_t segs, uint64_t lost)
{
	uint64_t most = segs > LATE_LEAST ? segs : LATE_LEAST, kept = c->late_segs / 2;

	if (segs > UINT32_MAX / 2)
		return; /* a recording may say anything */
	lost = lost < segs ? lost : segs;
	kept = kept < most ? kept : most;
	if (c->late_segs)
		c->late_lost = (uint32_t)(c->late_lost * kept / c->late_segs);
	c->late_segs = (uint32_t)(kept + segs);
	c->late_lost += (uint32_t)lost;
}

/* Lost on the way there; or damaged, of what arrives. */
static void note_loss(struct crawl *c, const struct flow_snapshot *last, bool sends,
		      const struct crawl_counts *was, const struct crawl_counts *is)
{
	uint64_t retrans = is->retrans - was->retrans, dups = is->dups - was->dups,
		 damaged = is->damaged > was->damaged ? is->damaged - was->damaged : 0,
		 mss = last->mss ? last->mss : MSS_GUESS;

	if (is->bytes == was->bytes)
		return;	       /* tries in a silence are no share of anything */
	dups += last->retrans; /* nor at the start of one */
	if (sends)
		note_late(c, is->segs - was->segs, retrans > dups ? retrans - dups : 0);
	else
		note_late(c, (is->bytes - was->bytes) / mss + damaged, damaged);
}

static void look(struct engine *e, struct flow *f, bool sends)
{
	struct crawl *c = &f->crawl[sends];
	struct crawl_counts was = c->last, is = crawl_counts_of(&f->last, sends);
	uint64_t was_ns = c->tick_ns, dt_ns = e->now_ns - was_ns, usual = crawl_usual_bps(c);

	if (was_ns && dt_ns < TICK_NS)
		return;
	c->last = is;
	c->tick_ns = e->now_ns;
	if (!was_ns) {
		c->first_ns = e->now_ns;
		return;
	}
	note_loss(c, &f->last, sends, &was, &is);
	c->rate_bps = rate_bps(is.bytes - was.bytes, dt_ns);
	if (is_stalled(e, f, sends) || dt_ns > TICK_MAX_NS || !was_busy(&was, &is, sends, dt_ns)) {
		/* A stall tells of itself. Who has nothing to send, or is fed in order, is fine.
		 * What a program chose to send is the least that the path carries. */
		if (is.bytes > was.bytes && dt_ns < 2 * TICK_NS && (!sends || c->rate_bps > usual))
			remember(c, c->rate_bps);
		crawl_end(e, f, sends, OUTCOME_RECOVERED);
	} else if (usual && (c->rate_bps < slow_bps(c, &f->last, usual) ||
			     was_slow_since(c, is.bytes, usual, e->now_ns))) {
		low(e, f, sends, &was, was_ns);
	} else {
		remember(c, c->rate_bps);
		crawl_end(e, f, sends, OUTCOME_RECOVERED);
	}
}

void crawl_look(struct engine *e, struct flow *f)
{
	if (f->last.flags & (SNAP_OFFLINE | SNAP_WITNESS_ONLY) || f->last.state == TCP_SYN_SENT)
		return;
	for (int sends = 0; sends < 2; sends++)
		if (flow_is_transfer(e, &f->last, sends))
			look(e, f, sends);
}
