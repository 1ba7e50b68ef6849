/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a transfer spends its life on.
 *
 * Between two packets of a connection one thing holds its sender back; it is told from what was
 * known to the sender, which is not what has come past the capture point: an ACK seen there has
 * still to travel, and what it releases comes by a round trip later. So ACKs and windows go
 * through a delay line as long as the round trip between the capture point and the sender.
 * Method: T-RAT (Zhang et al., "On the Characteristics and Origins of Internet Flow Rates",
 * SIGCOMM 2002), with the classes of SNAP (Yu et al., NSDI 2011) and of the kernel's tcp_chrono.
 */
#include <errno.h>
#include <string.h>

#include "sensor/life_impl.h"

#define MAX_LIVES     (1u << 18)
#define SMALL_LIVES   (1u << 13) /* of what has moved too little to be a transfer */
#define LIFE_BYTES    4096	 /* less is one flight: no life worth a look */
#define GOOD_SUMS     4		 /* times as many as bad ones */
#define FULL_LEN      1200	 /* bytes; a segment as long was not all that the program had */
#define LINE_MIN_US   1000	 /* a shorter way to the sender needs no delay line */
#define QUEUE_MIN_US  5000	 /* of delay, and a quarter of the round trip: above jitter */
#define DEEP_QUEUE_US 200000
#define FLOWS_NS      (200 * NS_PER_MS) /* ACKs come at least so often through a queue */
#define STEP_NS	      (20 * NS_PER_US)	/* what is shorter goes with what follows */

_Static_assert(MAX_LIVES < LIFE_TOLD, "an index fits");

int life_init(struct tracker *t)
{
	t->lives = flowtab_reserve(t, MAX_LIVES * sizeof(*t->lives));
	t->life_free = NONE;
	return t->lives ? 0 : -ENOMEM;
}

void life_free(struct tracker *t)
{
	flowtab_release(t->lives, MAX_LIVES * sizeof(*t->lives));
}

void life_fetch(const struct tracker *t, const struct half *h)
{
	const char *l = (const char *)life_of(t, h);

	for (size_t at = 0; l && at < LIFE_HOT; at += 64)
		__builtin_prefetch(l + at, 1);
}

static uint32_t now_us(const struct tracker *t)
{
	return (uint32_t)(t->now_ns / NS_PER_US);
}

/* --- what holds it back ------------------------------------------------------------------------
 */

/* What the sender knew of the receiver: as of a round trip to it before. */
static struct step known(const struct half *h, const struct half *o, struct life *l, uint32_t at_us)
{
	uint32_t then_us = at_us - l->above_us, head = l->line_head, i = l->line_known;

	if (l->above_us < LINE_MIN_US)
		return (struct step){.una = h->una, .edge = h->una + half_window(h, o)};
	/* Time goes on, so it is that of the last look or soon after it. */
	if (head - i >= LINE)
		i = head - LINE + 1;
	while (i != head && (int32_t)(then_us - l->line[(i + 1) % LINE].at_us) >= 0)
		i++;
	while (head - i < LINE - 1 && (int32_t)(then_us - l->line[i % LINE].at_us) < 0)
		i--;
	l->line_known = i;
	return l->line[i % LINE];
}

static void remember(const struct tracker *t, const struct half *h, struct life *l, uint32_t window)
{
	struct step *head = &l->line[l->line_head % LINE];

	if (l->above_us < LINE_MIN_US)
		return;
	if (now_us(t) - head->at_us >= l->above_us / (LINE - 2)) {
		head = &l->line[++l->line_head % LINE];
		head->at_us = now_us(t);
	}
	head->una = h->una;
	head->edge = h->una + window;
}

/* The latest round trip to the receiver, or the one that is still to end: that may take long. */
static uint32_t below_us(const struct tracker *t, const struct half *h, const struct life *l)
{
	uint32_t age_us = now_us(t) - h->rtt_sent_us;
	bool flows = t->now_ns - h->progress_ns < FLOWS_NS;

	return (h->flags & HALF_RTT_PENDING) && flows && age_us > l->below_us ? age_us
									      : l->below_us;
}

static bool queued(const struct tracker *t, const struct half *h, const struct life *l)
{
	uint32_t least = h->min_rtt_us + l->min_above_us, below = below_us(t, h, l);
	uint32_t wait = below - h->min_rtt_us + (l->above_us - l->min_above_us);

	return h->min_rtt_us && below >= h->min_rtt_us && wait > QUEUE_MIN_US && wait > least / 4;
}

/* So long that timers expire in it (RFC 6298 2.4 asks for a second at least, Linux takes 200 ms).
 */
static bool deeply_queued(const struct tracker *t, const struct half *h, const struct life *l)
{
	uint32_t below = below_us(t, h, l);

	return h->min_rtt_us && below > 3 * h->min_rtt_us && below - h->min_rtt_us > DEEP_QUEUE_US;
}

/* The receiver allows no further segment. */
static bool window_full(const struct half *h, const struct half *o, const struct step *k)
{
	return window_known(h, o) && seq_diff(h->nxt + h->mss, k->edge) > 0;
}

/*
 * It has sent all that a narrow window takes and waits for room, or with less than a segment of it
 * for its timer (RFC 9293 3.8.6.2.1).
 */
static bool narrow_full(const struct half *h, const struct life *l, const struct step *k)
{
	return l->narrowed && l->filled && (l->shut_since_ns || seq_diff(h->nxt, k->una) > 0);
}

/* Nothing holds it back, as far as the sender knew then. */
static bool idle_at(const struct half *h, const struct half *o, const struct life *l,
		    const struct step *k)
{
	return seq_diff(h->nxt, k->una) <= 0 || (l->small && !window_full(h, o, k));
}

static enum limit limit_at(const struct tracker *t, const struct half *h, const struct half *o,
			   const struct life *l, const struct step *k)
{
	if (l->recovering)
		return deeply_queued(t, h, l) ? LIMIT_BOTTLENECK : LIMIT_LOSS_RECOVERY;
	if ((h->flags & HALF_SHUT) || narrow_full(h, l, k))
		return LIMIT_RECEIVER_WINDOW;
	if (idle_at(h, o, l, k))
		return LIMIT_SENDER_APP;
	if (queued(t, h, l))
		return LIMIT_BOTTLENECK;
	return window_full(h, o, k) ? LIMIT_RECEIVER_WINDOW : LIMIT_CONGESTION_WINDOW;
}

/* The ACK of the last byte reached it in the meantime: for how long was it idle since? */
static uint64_t idle_ns(const struct tracker *t, const struct half *h, const struct half *o,
			struct life *l, uint64_t ns)
{
	const struct step *head = &l->line[l->line_head % LINE];
	struct step k;
	uint64_t idle;

	if (l->recovering || (h->flags & HALF_SHUT) || l->above_us < LINE_MIN_US)
		return 0; /* nothing has changed in the meantime */
	k = known(h, o, l, now_us(t));
	if (!idle_at(h, o, l, &k) || narrow_full(h, l, &k))
		return 0;
	idle = (now_us(t) - head->at_us - l->above_us) * NS_PER_US;
	return idle < ns ? idle : ns;
}

/* ns have passed since the last interval. */
static void interval(struct tracker *t, const struct half *h, const struct half *o, struct life *l,
		     uint64_t ns)
{
	struct step k = known(h, o, l, now_us(t) - (uint32_t)(ns / NS_PER_US));
	enum limit limit = limit_at(t, h, o, l, &k);

	l->since_ns = t->now_ns;
	if (limit != LIMIT_SENDER_APP) {
		uint64_t idle = idle_ns(t, h, o, l, ns);

		l->limited_ns[LIMIT_SENDER_APP] += idle;
		ns -= idle;
	}
	l->limited_ns[limit] += ns;
	if (l->draining) /* the ACK that began this interval told what came until then */
		l->queued_bytes += h->una - l->drained;
	l->draining = limit == LIMIT_BOTTLENECK && deeply_queued(t, h, l);
	if (l->draining) {
		l->queued_ns += ns;
		if (below_us(t, h, l) > l->longest_us)
			l->longest_us = below_us(t, h, l);
	} else if (limit == LIMIT_SENDER_APP && ns / NS_PER_US > l->below_us) {
		l->below_us = h->min_rtt_us; /* whatever queued has drained */
	}
	l->drained = h->una;
	l->latest = limit;
	l->latest_ns = ns;
	if (limit != LIMIT_RECEIVER_WINDOW || (h->flags & HALF_SHUT))
		return;
	if (l->narrowed)
		l->narrow.full_ns += ns;
	else if (half_window(h, o) >= l->max_window / 2)
		l->small_window_ns += ns;
}

void life_account(struct tracker *t, const struct half *h, const struct half *o)
{
	struct life *l = &t->lives[h->life];
	uint64_t ns = t->now_ns - l->since_ns;

	l->last_frame = (uint32_t)t->frame;
	if (l->recovering && seq_diff(h->una, l->recover) >= 0)
		l->recovering = false;
	if (ns >= STEP_NS)
		interval(t, h, o, l, ns);
}

/* --- data ----------------------------------------------------------------------------------------
 */

/* A record for it; what is no transfer yet has to leave room for those that are. */
static struct life *take(struct tracker *t, struct half *h)
{
	if (!(h->flags & HALF_TRANSFER) && t->n_lives >= SMALL_LIVES)
		return NULL;
	if (t->life_free != NONE) {
		h->life = t->life_free & LIFE_NONE;
		t->life_free = t->lives[h->life].next_free;
	} else if (t->life_top < MAX_LIVES) {
		h->life = t->life_top++ & LIFE_NONE;
	} else {
		t->counts.lives_missed++;
		return NULL;
	}
	t->n_lives++;
	return &t->lives[h->life];
}

void life_release(struct tracker *t, struct half *h)
{
	t->lives[h->life].next_free = t->life_free;
	t->life_free = h->life;
	t->n_lives--;
}

void life_begin(struct tracker *t, struct half *h, const struct half *o)
{
	uint32_t window = half_window(h, o);
	struct life *l;

	if (h->sent < LIFE_BYTES || !(o->flags & HALF_SEEN))
		return;
	l = take(t, h);
	if (!l)
		return;
	*l = (struct life){
		.since_ns = t->now_ns,
		.begin_ns = t->now_ns,
		.second_ns = t->now_ns,
		.first_frame = (uint32_t)t->frame,
		.second_sent = h->sent,
		.drained = h->una,
		.above_us = o->min_rtt_us,
		.min_above_us = o->min_rtt_us,
		.below_us = h->min_rtt_us,
		.max_window = window_known(h, o) ? window : 0,
	};
	for (uint32_t i = 0; i < LINE; i++)
		l->line[i] = (struct step){now_us(t), h->una, h->una + window};
}

static void best_second(struct tracker *t, const struct half *h, struct life *l)
{
	uint64_t ns = t->now_ns - l->second_ns, bps;

	bps = rate_bps(h->sent - l->second_sent, ns);
	if (bps > l->best_bps) {
		l->best_bps = bps;
		pace_usual(t->pace, h->pace, bps);
	}
	l->second_ns = t->now_ns;
	l->second_sent = h->sent;
}

void life_data(struct tracker *t, const struct half *h, const struct half *o, const struct frame *f)
{
	struct life *l = &t->lives[h->life];
	uint32_t full = h->mss < FULL_LEN ? h->mss : FULL_LEN;

	if (l->echoing && (f->has & HAS_TIMESTAMPS) && (int32_t)(f->tsecr - l->echo) >= 0) {
		l->echoing = false;
		if (!l->small) { /* or it had nothing to send at once */
			l->above_us = now_us(t) - l->echo_us;
			if (!l->min_above_us || l->above_us < l->min_above_us)
				l->min_above_us = l->above_us;
		}
	}
	l->small = f->payload < full;
	l->filled = l->narrowed && seq_diff(h->nxt, h->una + half_window(h, o)) >= 0;
	l->ip_id = f->ip_id;
	if (t->now_ns - l->second_ns >= NS_PER_S)
		best_second(t, h, l);
}

void life_tried(struct tracker *t, uint32_t node)
{
	struct life *l = life_of(t, half_at(t, node));

	if (!l)
		return;
	l->shut_tries++;
	if ((half_at(t, node)->flags & HALF_SHUT) || l->recovering)
		return;
	/* Until now it has waited for its timer (RFC 6298), whatever it looked like. */
	l->limited_ns[l->latest] -= l->latest_ns;
	l->limited_ns[LIMIT_LOSS_RECOVERY] += l->latest_ns;
	l->latest_ns = 0;
}

/* Something is missing: until all that is out now is acknowledged it recovers from that. */
void life_lost(struct tracker *t, uint32_t node)
{
	struct life *l = life_of(t, half_at(t, node));

	if (!l || l->recovering)
		return;
	l->recovering = true;
	l->recover = half_at(t, node)->nxt;
}

void life_found(struct tracker *t, uint32_t node)
{
	struct life *l = life_of(t, half_at(t, node));

	if (l)
		l->recovering = false;
}

/* --- acknowledgements ----------------------------------------------------------------------------
 */

void life_acked(struct tracker *t, uint32_t node, const struct frame *f, uint32_t wide)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	struct life *l = &t->lives[h->life];
	uint32_t window = half_window(h, o);

	if (!l->echoing && (f->has & HAS_TIMESTAMPS) && f->tsval != l->echo) {
		l->echo = f->tsval;
		l->echo_us = now_us(t);
		l->echoing = true;
	}
	remember(t, h, l, window);
	if (window > l->max_window && window_known(h, o))
		l->max_window = window;
	pauses_window(t, node, l, window);
	if (l->narrowed || window < l->max_window / NARROW_PART)
		narrow_window(t, node, l, window, wide);
}

void life_rtt(struct tracker *t, const struct half *h, uint32_t us)
{
	t->lives[h->life].below_us = us;
}

/* --- what others ask -----------------------------------------------------------------------------
 */

uint64_t life_best_bps(struct tracker *t, uint32_t node)
{
	const struct life *l = life_of(t, half_at(t, node));

	return l ? l->best_bps : 0;
}

void life_sum(struct tracker *t, uint32_t node, bool good)
{
	struct life *l = life_of(t, half_at(t, node));

	if (l)
		*(good ? &l->good_sums : &l->bad_sums) += 1;
}

uint32_t life_bad_sums(struct tracker *t, uint32_t node)
{
	const struct life *l = life_of(t, half_at(t, node));

	return l && l->good_sums / GOOD_SUMS > l->bad_sums ? l->bad_sums : 0;
}

uint16_t life_ip_id(struct tracker *t, uint32_t node)
{
	const struct life *l = life_of(t, half_at(t, node));

	return l ? l->ip_id : 0;
}
