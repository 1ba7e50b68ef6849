/* SPDX-License-Identifier: GPL-2.0-only */
/* The fit: a coarse grid over rate and depth, then a fine one around the best. */
#include "sensor/bucket.h"

#include <math.h>
#include <string.h>

#define MIN_LOSSES 15
#define MIN_PASSES 15
#define SLACK	   500.0f /* bytes; for what jitters between the capture and the bucket */
#define RATES	   16	  /* coarse steps of RATE_STEP from the goodput on */
#define RATE_STEP  1.21
#define FINE_RATES 5 /* to either side */
#define FINE_STEP  1.02
#define HOPELESS   0.3
#define DEPTHS	   16
#define AT_ONCE	   2 /* rates: one alone waits for its own last step */
#define LANES                                                                                      \
	(AT_ONCE * DEPTHS) /* replayed at once; a constant, so that the compiler makes vectors */
#define DEPTH_MIN  6000.0  /* below it any burst overflows: that is no limit of rate */
#define DEPTH_STEP 1.5	   /* to 2.6 MB */
#define DEPTH_FINE 1.06

/* Buckets of some rates, each with several depths. */
struct buckets {
	float per_us[LANES], depth[LANES], tokens[LANES];
	uint32_t hit[LANES], held[LANES];
};

static void set_depths(struct buckets *b, double first, double step)
{
	for (int d = 0; d < LANES; d++)
		b->depth[d] = (float)fmax(first * pow(step, d % DEPTHS), DEPTH_MIN);
}

static void lose(struct buckets *b, float us, float len)
{
	for (int d = 0; d < LANES; d++) {
		float t = b->tokens[d] + us * b->per_us[d];

		t = t > b->depth[d] ? b->depth[d] : t;
		b->hit[d] += t < len + SLACK;
		b->tokens[d] = t < len ? t : len;
	}
}

static void pass(struct buckets *b, float us, float len)
{
	for (int d = 0; d < LANES; d++) {
		float t = b->tokens[d] + us * b->per_us[d];

		t = t > b->depth[d] ? b->depth[d] : t;
		b->held[d] += t > len - SLACK;
		t -= len;
		b->tokens[d] = t > 0 ? t : 0;
	}
}

/* Replays the packets; a surprise either way puts a bucket to where it must have been. */
static void replay(const struct passage *p, size_t n, const double rates[AT_ONCE],
		   struct buckets *b, struct bucket_fit *best)
{
	memset(b->tokens, 0, sizeof(b->tokens));
	memset(b->hit, 0, sizeof(b->hit));
	memset(b->held, 0, sizeof(b->held));
	for (int d = 0; d < LANES; d++)
		b->per_us[d] = (float)(rates[d / DEPTHS] / 1e6);
	for (size_t i = 1; i < n; i++) {
		float us = (float)(p[i].at_us - p[i - 1].at_us);

		if (p[i].lost)
			lose(b, us, p[i].len);
		else
			pass(b, us, p[i].len);
	}
	for (int d = 0; d < LANES; d++) {
		double explained = (double)b->hit[d] / best->losses;
		double score = explained + (double)b->held[d] / best->passes - 1;

		if (score <= best->score)
			continue;
		best->score = score;
		best->rate = rates[d / DEPTHS];
		best->depth = b->depth[d];
		best->losses_explained = explained;
	}
}

/* From middle * step^first on. */
static void replay_all(const struct passage *p, size_t n, double middle, double step, int first,
		       int last, struct buckets *b, struct bucket_fit *best)
{
	for (int r = first; r <= last; r += AT_ONCE) {
		double rates[AT_ONCE];

		for (int i = 0; i < AT_ONCE; i++)
			rates[i] = middle * pow(step, r + i < last ? r + i : last);
		replay(p, n, rates, b, best);
	}
}

bool bucket_fit(const struct passage *p, size_t n, struct bucket_fit *ret)
{
	struct bucket_fit best = {.score = -1};
	double seconds, goodput, bytes = 0, middle;
	struct buckets b;

	while (n && !p[0].lost) {
		p++;
		n--;
	}
	while (n && !p[n - 1].lost)
		n--;
	for (size_t i = 1; i < n; i++) {
		best.losses += p[i].lost;
		best.passes += !p[i].lost;
		bytes += p[i].lost ? 0 : p[i].len;
	}
	if (best.losses < MIN_LOSSES || best.passes < MIN_PASSES)
		return false;
	seconds = (double)(p[n - 1].at_us - p[0].at_us) / 1e6;
	if (seconds <= 0)
		return false;
	goodput = bytes / seconds;
	set_depths(&b, DEPTH_MIN, DEPTH_STEP);
	replay_all(p, n, goodput * 0.8, RATE_STEP, 0, RATES - 1, &b, &best);
	/* A finer grid finds a few hundredths more, no ceiling where there was none in sight. */
	if (best.score < HOPELESS) {
		*ret = best;
		return true;
	}
	middle = best.rate;
	set_depths(&b, best.depth / pow(DEPTH_FINE, DEPTHS / 2), DEPTH_FINE);
	replay_all(p, n, middle, FINE_STEP, -FINE_RATES, FINE_RATES, &b, &best);
	*ret = best;
	return true;
}
