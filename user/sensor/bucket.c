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
#define DEPTHS	   16	  /* replayed at once; a constant, so that the compiler makes vectors */
#define DEPTH_MIN  6000.0 /* below it any burst overflows: that is no limit of rate */
#define DEPTH_STEP 1.5	  /* to 2.6 MB */
#define DEPTH_FINE 1.06

/* Buckets of one rate and several depths. */
struct buckets {
	float depth[DEPTHS], tokens[DEPTHS];
	uint32_t hit[DEPTHS], held[DEPTHS];
};

static void set_depths(struct buckets *b, double first, double step)
{
	for (int d = 0; d < DEPTHS; d++)
		b->depth[d] = (float)fmax(first * pow(step, d), DEPTH_MIN);
}

static void lose(struct buckets *b, float added, float len)
{
	for (int d = 0; d < DEPTHS; d++) {
		float t = b->tokens[d] + added;

		t = t > b->depth[d] ? b->depth[d] : t;
		b->hit[d] += t < len + SLACK;
		b->tokens[d] = t < len ? t : len;
	}
}

static void pass(struct buckets *b, float added, float len)
{
	for (int d = 0; d < DEPTHS; d++) {
		float t = b->tokens[d] + added;

		t = t > b->depth[d] ? b->depth[d] : t;
		b->held[d] += t > len - SLACK;
		t -= len;
		b->tokens[d] = t > 0 ? t : 0;
	}
}

/* Replays the packets; a surprise either way puts a bucket to where it must have been. */
static void replay(const struct passage *p, size_t n, double rate, struct buckets *b,
		   struct bucket_fit *best)
{
	float per_us = (float)(rate / 1e6);

	memset(b->tokens, 0, sizeof(b->tokens));
	memset(b->hit, 0, sizeof(b->hit));
	memset(b->held, 0, sizeof(b->held));
	for (size_t i = 1; i < n; i++) {
		float added = (float)(p[i].at_us - p[i - 1].at_us) * per_us;

		if (p[i].lost)
			lose(b, added, p[i].len);
		else
			pass(b, added, p[i].len);
	}
	for (int d = 0; d < DEPTHS; d++) {
		double explained = (double)b->hit[d] / best->losses;
		double score = explained + (double)b->held[d] / best->passes - 1;

		if (score <= best->score)
			continue;
		best->score = score;
		best->rate = rate;
		best->depth = b->depth[d];
		best->losses_explained = explained;
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
	for (int r = 0; r < RATES; r++)
		replay(p, n, goodput * 0.8 * pow(RATE_STEP, r), &b, &best);
	/* A finer grid finds a few hundredths more, no ceiling where there was none in sight. */
	if (best.score < HOPELESS) {
		*ret = best;
		return true;
	}
	middle = best.rate;
	set_depths(&b, best.depth / pow(DEPTH_FINE, DEPTHS / 2), DEPTH_FINE);
	for (int r = -FINE_RATES; r <= FINE_RATES; r++)
		replay(p, n, middle * pow(FINE_STEP, r), &b, &best);
	*ret = best;
	return true;
}
