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
#define FINE_RATES 12 /* fine ones around the best of these */
#define FINE_STEP  1.02
#define EDGE_STEP  1.01 /* how well the edges of a range of rates are known */
#define WIDE	   4	/* high by low: the middle of that says little */
#define TURNS	   32
#define HOPELESS   0.3
#define FINE_MORE  0.1 /* what a finer grid may add to a score */
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

/*
 * Replays the packets for two rates; a surprise either way puts a bucket to where it must have
 * been. ret_fits: of each rate the best depth. What they know of the packets is set already.
 */
static void replay(const struct passage *p, size_t n, const double rates[AT_ONCE],
		   struct buckets *b, struct bucket_fit ret_fits[AT_ONCE])
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
		struct bucket_fit *fit = &ret_fits[d / DEPTHS];
		double explained = (double)b->hit[d] / fit->losses;
		double score = explained + (double)b->held[d] / fit->passes - 1;

		if (d % DEPTHS && score <= fit->score)
			continue;
		fit->score = score;
		fit->rate = rates[d / DEPTHS];
		fit->depth = b->depth[d];
		fit->losses_explained = explained;
	}
}

/* n_fits rates from `rate` on. */
static void replay_all(const struct passage *p, size_t n, double rate, double step,
		       struct buckets *b, struct bucket_fit *fits, int n_fits)
{
	for (int i = 0; i < n_fits; i += AT_ONCE) {
		const double rates[AT_ONCE] = {rate * pow(step, i), rate * pow(step, i + 1)};

		replay(p, n, rates, b, &fits[i]);
	}
}

/* From a step of the coarse grid to a better one near it. */
static struct bucket_fit refine(const struct passage *p, size_t n, struct bucket_fit best,
				struct buckets *b)
{
	struct bucket_fit fits[FINE_RATES];

	for (int i = 0; i < FINE_RATES; i++)
		fits[i] = best;
	set_depths(b, best.depth / pow(DEPTH_FINE, DEPTHS / 2), DEPTH_FINE);
	replay_all(p, n, best.rate / pow(FINE_STEP, FINE_RATES / 2), FINE_STEP, b, fits,
		   FINE_RATES);
	for (int i = 0; i < FINE_RATES; i++)
		if (fits[i].score > best.score)
			best = fits[i];
	return best;
}

/*
 * Packets that come in bursts leave a range of rates that explain them equally well: what lies
 * between two bursts fills a small bucket at any of them. The middle of that range is taken; of one
 * too wide for that its low end: tokens came as fast as that at least.
 */
static void take_middle(const struct passage *p, size_t n, struct buckets *b,
			struct bucket_fit *best)
{
	struct bucket_fit fits[AT_ONCE] = {*best, *best};
	double rates[AT_ONCE], step = RATE_STEP;

	best->low = best->high = best->rate;
	set_depths(b, best->depth / pow(DEPTH_FINE, DEPTHS / 2), DEPTH_FINE);
	for (int turn = 0; turn < TURNS && step > EDGE_STEP; turn++) {
		bool moved = false;

		rates[0] = best->low / step;
		rates[1] = best->high * step;
		replay(p, n, rates, b, fits);
		if (fits[0].score >= best->score) {
			best->low = rates[0];
			moved = true;
		}
		if (fits[1].score >= best->score) {
			best->high = rates[1];
			moved = true;
		}
		if (!moved)
			step = sqrt(step);
	}
	rates[0] = rates[1] =
		best->high > WIDE * best->low ? best->low : sqrt(best->low * best->high);
	replay(p, n, rates, b, fits);
	if (fits[0].score < best->score)
		return;
	fits[0].low = best->low;
	fits[0].high = best->high;
	*best = fits[0];
}

bool bucket_fit(const struct passage *p, size_t n, struct bucket_fit *ret)
{
	struct bucket_fit fits[RATES], none = {0}, best;
	double seconds, least, bytes = 0;
	struct buckets b;

	while (n && !p[0].lost) {
		p++;
		n--;
	}
	while (n && !p[n - 1].lost)
		n--;
	for (size_t i = 1; i < n; i++) {
		none.losses += p[i].lost;
		none.passes += !p[i].lost;
		bytes += p[i].lost ? 0 : p[i].len;
	}
	if (none.losses < MIN_LOSSES || none.passes < MIN_PASSES)
		return false;
	seconds = (double)(p[n - 1].at_us - p[0].at_us) / 1e6;
	if (seconds <= 0)
		return false;
	for (int i = 0; i < RATES; i++)
		fits[i] = none;
	set_depths(&b, DEPTH_MIN, DEPTH_STEP);
	replay_all(p, n, bytes / seconds * 0.8, RATE_STEP, &b, fits, RATES);
	best = fits[0];
	for (int i = 1; i < RATES; i++)
		if (fits[i].score > best.score)
			best = fits[i];
	/* A finer grid finds a few hundredths more, no ceiling where there was none in sight. */
	if (best.score < HOPELESS) {
		*ret = best;
		return true;
	}
	least = best.score - FINE_MORE;
	for (int i = 0; i < RATES; i++) {
		struct bucket_fit finer;

		if (fits[i].score < least)
			continue;
		finer = refine(p, n, fits[i], &b);
		if (finer.score > best.score)
			best = finer;
	}
	take_middle(p, n, &b, &best);
	*ret = best;
	return true;
}
