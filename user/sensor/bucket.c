/* SPDX-License-Identifier: GPL-2.0-only */
/* The fit: a coarse grid over rate and depth, then a fine one around the best. */
#include "sensor/bucket.h"

#include <math.h>

#define MIN_LOSSES 15
#define MIN_PASSES 15
#define SLACK	   500.0 /* bytes; for what jitters between the capture and the bucket */
#define RATES	   16	 /* coarse steps of RATE_STEP from the goodput on */
#define RATE_STEP  1.21
#define FINE_STEP  1.02
#define DEPTH_MIN  6000.0 /* below it any burst overflows: that is no limit of rate */
#define DEPTH_STEP 2.0
#define DEPTH_FINE 1.26
#define DEPTHS	   11 /* to 4 MB */

/* Replays the packets; a surprise either way puts the bucket to where it must have been. */
static void replay(const struct passage *p, size_t n, double rate, double depth,
		   struct bucket_fit *best)
{
	double tokens = 0, per_us = rate / 1e6, score;
	uint32_t hit = 0, held = 0;

	for (size_t i = 1; i < n; i++) {
		tokens += (double)(p[i].at_us - p[i - 1].at_us) * per_us;
		tokens = tokens > depth ? depth : tokens;
		if (p[i].lost) {
			hit += tokens < p[i].len + SLACK;
			tokens = tokens < p[i].len ? tokens : p[i].len;
		} else {
			held += tokens > p[i].len - SLACK;
			tokens = tokens > p[i].len ? tokens - p[i].len : 0;
		}
	}
	score = (double)hit / best->losses + (double)held / best->passes - 1;
	if (score > best->score) {
		best->score = score;
		best->rate = rate;
		best->depth = depth;
		best->losses_explained = (double)hit / best->losses;
	}
}

bool bucket_fit(const struct passage *p, size_t n, struct bucket_fit *ret)
{
	struct bucket_fit best = {.score = -1};
	double seconds, goodput, bytes = 0, middle, depth;

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
	for (int r = 0; r < RATES; r++)
		for (int d = 0; d < DEPTHS; d++)
			replay(p, n, goodput * 0.8 * pow(RATE_STEP, r),
			       DEPTH_MIN * pow(DEPTH_STEP, d), &best);
	middle = best.rate;
	depth = best.depth;
	for (int r = -5; r <= 5; r++)
		for (int d = -3; d <= 3; d++)
			replay(p, n, middle * pow(FINE_STEP, r),
			       fmax(depth * pow(DEPTH_FINE, d), DEPTH_MIN), &best);
	*ret = best;
	return true;
}
