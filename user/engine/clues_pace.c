/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues of a phase in which a transfer crawls, of a capture or of a watched transfer: what held it
 * back. Weights as in clues.h.
 */
#include <stdio.h>

#include "engine/clues.h"

#define RANGE 1.2 /* high by low: more than a tenth to either side */

static void some_are_damaged(struct judgement *j, const struct pace_seen *p)
{
	if (p->bad_sums < 2 || p->bad_sums * 2 < p->lost_segs)
		return;
	j->cause[CAUSE_PATH_CORRUPTION] += DECISIVE + CLEAR;
	evidence(j, "checksum-bad", DECISIVE + CLEAR,
		 "%u segments came by with a bad checksum, most have a good one: they were damaged "
		 "between the sender and the capture point",
		 p->bad_sums);
}

/* A bucket that explains the losses was looked for; by the counters alone there may be one. */
static void random_loss(struct judgement *j, const struct pace_seen *p)
{
	bool tested = passes_by(j->s) || j->s->packets.limit == PACE_LOSS;
	double weight = STRONG + (tested ? CLEAR : 0);

	j->cause[CAUSE_PATH_LOSS] += weight;
	j->cause[CAUSE_RATE_LIMIT] += tested ? 0 : HINT;
	evidence(j, "loss", weight, "%u of %u segments %s lost%s", p->lost_segs, p->segs,
		 p->lost_segs == 1 ? "was" : "were", tested ? ", at no particular rate" : "");
}

/* How well its rate is known, where that is not within a tenth. */
static void rate_range(const struct pace_seen *p, char *to, size_t len)
{
	double low = (double)p->ceiling_low_bps / 1e3, high = (double)p->ceiling_high_bps / 1e3;

	*to = '\0';
	if (high > RANGE * low)
		snprintf(to, len, "; %.0f to %.0f kbit/s explain them as well", low, high);
}

static void policed(struct judgement *j, const struct pace_seen *p)
{
	double kbps = (double)p->ceiling_bps / 1e3;
	char range[80];

	/* Rows alone may be bursts of loss. */
	j->cause[CAUSE_RATE_LIMIT] += STRONG + (p->fit_permille ? CLEAR : 0);
	j->cause[CAUSE_PATH_LOSS] += p->fit_permille ? 0 : CLEAR;
	rate_range(p, range, sizeof(range));
	if (p->fit_permille)
		evidence(j, "token-bucket", STRONG + CLEAR,
			 "%u of %u segments were lost, %.0f %% of them when a bucket "
			 "filled at "
			 "%.0f kbit/s was empty%s%s",
			 p->lost_segs, p->segs, p->fit_permille / 10.0, kbps, range,
			 p->flows > 1 ? "; other connections share it" : "");
	else
		evidence(j, "lost-in-rows", STRONG,
			 "%u of %u segments were lost, several in a row each time, while "
			 "the rate stayed at %.0f kbit/s and no queue built up",
			 p->lost_segs, p->segs, kbps);
}

void weigh_pace(struct judgement *j)
{
	const struct pace_seen *p = &j->s->pub.pace;
	double kbps = (double)p->ceiling_bps / 1e3;

	switch (p->limit) {
	case PACE_POLICER:
		policed(j, p);
		break;
	case PACE_SHAPER:
		j->cause[CAUSE_RATE_LIMIT] += STRONG + CLEAR;
		evidence(
			j, "queue", STRONG + CLEAR,
			"the round trip grew from %u to %u us while data arrived at %.0f kbit/s: a "
			"queue in front of a ceiling",
			p->min_rtt_us, p->rtt_us, kbps);
		break;
	case PACE_LOSS:
		some_are_damaged(j, p);
		random_loss(j, p);
		if (p->lost_upstream * 2 > p->lost_segs)
			evidence(j, "lost-upstream", 0,
				 "%u of them between the sender and the capture point",
				 p->lost_upstream);
		break;
	case PACE_WINDOW:
		j->cause[CAUSE_WINDOW_LIMITED] += STRONG + CLEAR;
		evidence(j, "window-full", STRONG + CLEAR,
			 "for %.1f s the sender had filled the receive window of %u bytes and "
			 "waited, round trip %u us",
			 (double)p->paused_ns / 1e9, p->window_bytes, p->rtt_us);
		if (p->unscaled)
			evidence(j, "window-unscaled", HINT,
				 "one end offered window scaling, the other did not take it up%s",
				 p->cookie ? ": an old server, or one that answers with SYN cookies"
					   : "");
		break;
	case PACE_SHUT:
		j->cause[CAUSE_RECEIVER_NOT_READING] += STRONG + CLEAR;
		evidence(j, "window-shut", STRONG + CLEAR,
			 "the receive window was shut %u time%s for %.2f s in all, %.2f s at "
			 "the longest, and opened again",
			 p->pauses, plural(p->pauses), (double)p->paused_ns / 1e9,
			 (double)p->longest_ns / 1e9);
		break;
	case PACE_PAUSES:
		some_are_damaged(j, p);
		j->cause[CAUSE_PATH_LOSS] += STRONG + CLEAR;
		evidence(j, "pauses", STRONG + CLEAR,
			 "it paused %u time%s for %.2f s in all, %.2f s at the longest, until a "
			 "retransmission got through",
			 p->pauses, plural(p->pauses), (double)p->paused_ns / 1e9,
			 (double)p->longest_ns / 1e9);
		break;
	case PACE_UNKNOWN:
		break;
	}
}
