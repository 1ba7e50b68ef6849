/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a transfer spends its life on, and the phases in which it goes from pause to pause.
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

#include "sensor/tracker_impl.h"

#define LIFE_BYTES    4096 /* less is one flight: no life worth a look */
#define GOOD_SUMS     4	   /* times as many as bad ones */
#define FULL_LEN      1200 /* bytes; a segment as long was not all that the program had */
#define LINE	      16   /* steps of the delay line */
#define LINE_MIN_US   1000 /* a shorter way to the sender needs none */
#define QUEUE_MIN_US  5000 /* of delay, and a quarter of the round trip: above jitter */
#define DEEP_QUEUE_US 200000
#define QUEUE_BYTES   65536		/* through it, or a late ACK may look like one */
#define FLOWS_NS      (200 * NS_PER_MS) /* ACKs come at least so often through a queue */
#define HEADERS	      52		/* bytes: IPv4, TCP, timestamps */
#define PAUSES_APART  (10 * NS_PER_S)
#define STEP_NS	      (20 * NS_PER_US) /* what is shorter goes with what follows */
#define PAUSE_PART    4		       /* of stall_after: a pause that is felt */
#define WINDOW_SHARE  2		       /* half of its life */

struct step {
	uint32_t at_us, una, edge;
};

/* Pauses of one kind that follow each other closely; each of them too short for a stall. */
struct pauses {
	uint64_t begin_ns, end_ns, paused_ns, longest_ns, sent; /* sent: when they began */
	uint32_t n, first_frame, last_frame, retrans;
};

struct life {
	uint64_t since_ns, begin_ns; /* what holds it back now does so since then */
	uint64_t limited_ns[LIMITS];
	enum limit latest; /* the interval that was accounted last */
	uint64_t latest_ns;
	uint64_t small_window_ns; /* of the receive window's: it is as large as it ever was */
	uint64_t second_ns, second_sent, best_bps;
	struct pauses shut, loss;
	uint64_t queued_ns, queued_bytes; /* through a deep queue */
	uint32_t longest_us, drained;
	struct step line[LINE];
	uint32_t line_head;
	uint32_t above_us, min_above_us; /* round trip from the capture point to the sender */
	uint32_t below_us;		 /* to the receiver, latest */
	uint32_t echo, echo_us;		 /* a timestamp that the sender has yet to echo */
	uint32_t recover;		 /* RecoveryPoint of RFC 6675 */
	uint32_t first_frame, last_frame, max_window;
	uint64_t shut_since_ns;
	uint32_t shut_tries;
	uint32_t next_free;
	uint32_t good_sums, bad_sums;
	uint16_t ip_id; /* of the sender's last segment */
	bool recovering, small, echoing;
};

int life_init(struct tracker *t)
{
	t->lives = flowtab_reserve(MAX_LIVES * sizeof(*t->lives));
	t->life_free = NONE;
	return t->lives ? 0 : -ENOMEM;
}

void life_free(struct tracker *t)
{
	flowtab_release(t->lives, MAX_LIVES * sizeof(*t->lives));
}

static struct life *life_of(struct tracker *t, uint32_t node)
{
	uint32_t i = half_at(t, node)->life;

	return i >= LIFE_TOLD ? NULL : &t->lives[i];
}

void life_fetch(const struct tracker *t, const struct half *h)
{
	const char *l = (const char *)&t->lives[h->life];

	for (size_t at = 0; h->life < LIFE_TOLD && at < sizeof(struct life); at += 64)
		__builtin_prefetch(l + at, 1);
}

static uint32_t now_us(const struct tracker *t)
{
	return (uint32_t)(t->now_ns / NS_PER_US);
}

/* --- what holds it back ------------------------------------------------------------------------
 */

/* What the sender knew of the receiver: as of a round trip to it before. */
static struct step known(const struct half *h, const struct half *o, const struct life *l,
			 uint32_t at_us)
{
	struct step now = {.una = h->una, .edge = h->una + half_window(h, o)};
	uint32_t then_us = at_us - l->above_us;

	if (l->above_us < LINE_MIN_US)
		return now;
	for (uint32_t i = 0; i < LINE; i++) {
		const struct step *s = &l->line[(l->line_head - i) % LINE];

		if ((int32_t)(then_us - s->at_us) >= 0 || i == LINE - 1)
			return *s;
	}
	return now;
}

static void remember(const struct tracker *t, const struct half *h, const struct half *o,
		     struct life *l)
{
	struct step *head = &l->line[l->line_head % LINE];

	if (l->above_us < LINE_MIN_US)
		return;
	if (now_us(t) - head->at_us >= l->above_us / (LINE - 2)) {
		head = &l->line[++l->line_head % LINE];
		head->at_us = now_us(t);
	}
	head->una = h->una;
	head->edge = h->una + half_window(h, o);
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

static bool window_known(const struct half *h, const struct half *o)
{
	return h->flags & o->flags & HALF_SYN;
}

static enum limit limit_at(const struct tracker *t, const struct half *h, const struct half *o,
			   const struct life *l, uint32_t at_us)
{
	struct step k = known(h, o, l, at_us);

	if (l->recovering)
		return deeply_queued(t, h, l) ? LIMIT_BOTTLENECK : LIMIT_LOSS_RECOVERY;
	if (h->flags & HALF_SHUT)
		return LIMIT_RECEIVER_WINDOW;
	if (seq_diff(h->nxt, k.una) <= 0)
		return LIMIT_SENDER_APP;
	if (window_known(h, o) && seq_diff(h->nxt + h->mss, k.edge) > 0)
		return queued(t, h, l) ? LIMIT_BOTTLENECK : LIMIT_RECEIVER_WINDOW;
	if (l->small)
		return LIMIT_SENDER_APP;
	return queued(t, h, l) ? LIMIT_BOTTLENECK : LIMIT_CONGESTION_WINDOW;
}

static void account(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	struct life *l = life_of(t, node);
	uint64_t ns;
	enum limit limit;

	if (!l)
		return;
	ns = t->now_ns - l->since_ns;
	l->last_frame = (uint32_t)t->frame;
	if (l->recovering && seq_diff(h->una, l->recover) >= 0)
		l->recovering = false;
	if (ns < STEP_NS)
		return;
	l->since_ns = t->now_ns;
	limit = limit_at(t, h, o, l, now_us(t) - (uint32_t)(ns / NS_PER_US));
	if (limit != LIMIT_SENDER_APP && limit_at(t, h, o, l, now_us(t)) == LIMIT_SENDER_APP) {
		/* The ACK of the last byte reached it in the meantime; then it had its chance. */
		uint64_t idle_ns = now_us(t) - l->line[l->line_head % LINE].at_us - l->above_us;

		idle_ns = idle_ns * NS_PER_US < ns ? idle_ns * NS_PER_US : ns;
		l->limited_ns[LIMIT_SENDER_APP] += idle_ns;
		ns -= idle_ns;
	}
	l->limited_ns[limit] += ns;
	if (limit == LIMIT_BOTTLENECK && deeply_queued(t, h, l)) {
		l->queued_ns += ns;
		l->queued_bytes += h->una - l->drained;
		if (below_us(t, h, l) > l->longest_us)
			l->longest_us = below_us(t, h, l);
	} else if (limit == LIMIT_SENDER_APP && ns / NS_PER_US > l->below_us) {
		l->below_us = h->min_rtt_us; /* whatever queued has drained */
	}
	l->drained = h->una;
	l->latest = limit;
	l->latest_ns = ns;
	if (limit == LIMIT_RECEIVER_WINDOW && !(h->flags & HALF_SHUT) &&
	    half_window(h, o) >= l->max_window / 2)
		l->small_window_ns += ns;
}

void life_step(struct tracker *t, uint32_t node)
{
	account(t, node);
	account(t, node ^ 1);
}

/* --- pauses ------------------------------------------------------------------------------------
 */

static void tell_pauses(struct tracker *t, uint32_t node, struct pauses *p, enum pace_limit limit)
{
	struct pace_seen seen;
	const struct half *h = half_at(t, node);
	uint64_t ns = p->end_ns - p->begin_ns, bytes = h->sent - p->sent;

	if (!p->n)
		return;
	seen = (struct pace_seen){
		.key = report_key(t, node),
		.limit = limit,
		.begin_ns = p->begin_ns,
		.end_ns = p->end_ns,
		.first_frame = p->first_frame,
		.last_frame = p->last_frame,
		.position = report_position(t, node),
		.bytes = bytes,
		.rate_bps = ns ? (uint64_t)((double)bytes * 8e9 / (double)ns) : 0,
		.usual_bps = life_best_bps(t, node),
		.segs = h->mss ? (uint32_t)(bytes / h->mss) : 0,
		.lost_segs = limit == PACE_PAUSES ? h->retrans - p->retrans : 0,
		.flows = 1,
		.bad_sums = life_bad_sums(t, node),
		.min_rtt_us = h->min_rtt_us,
		.rtt_us = h->srtt_us,
		.window_bytes = half_window(h, half_at(t, node ^ 1)),
		.pauses = p->n,
		.paused_ns = p->paused_ns,
		.longest_ns = p->longest_ns,
	};
	if (limit != PACE_PAUSES || !(h->flags & HALF_TRANSFER) ||
	    !pace_paused(t->pace, h->pace, &seen))
		report_slow(t, node, &seen);
	*p = (struct pauses){.n = 0};
}

/* Another one, which began at since_ns and is over. */
static void add_pause(struct tracker *t, uint32_t node, struct pauses *p, enum pace_limit limit,
		      uint64_t since_ns)
{
	const struct half *h = half_at(t, node);
	uint64_t ns = t->now_ns - since_ns;

	if (p->n && since_ns - p->end_ns > PAUSES_APART)
		tell_pauses(t, node, p, limit);
	if (!p->n++) {
		p->begin_ns = since_ns;
		p->first_frame = h->progress_frame;
		p->sent = h->sent - half_out(h);
		p->retrans = h->retrans - h->tries;
	}
	p->end_ns = t->now_ns;
	p->last_frame = (uint32_t)t->frame;
	p->paused_ns += ns;
	p->longest_ns = ns > p->longest_ns ? ns : p->longest_ns;
}

/* A window smaller than a segment is as good as shut (RFC 9293 3.8.6). */
static bool too_small(const struct half *h, const struct half *o)
{
	uint32_t segment = h->mss && h->mss < FULL_LEN ? h->mss : FULL_LEN;

	return window_known(h, o) ? half_window(h, o) < segment : !h->window;
}

static uint64_t felt_ns(const struct tracker *t)
{
	return t->config.stall_after_ns / PAUSE_PART;
}

/* A pause counts if the sender has tried in it, and no stall is told of it. */
void life_window(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	struct life *l = life_of(t, node);
	bool shut;

	if (!l)
		return;
	remember(t, h, o, l);
	shut = too_small(h, o);
	if (window_known(h, o) && half_window(h, o) > l->max_window)
		l->max_window = half_window(h, o);
	if (shut && !l->shut_since_ns) {
		l->shut_since_ns = t->now_ns;
		l->shut_tries = 0;
	} else if (!shut && l->shut_since_ns) {
		if (l->shut_tries && t->now_ns - l->shut_since_ns >= felt_ns(t) &&
		    t->now_ns - l->shut_since_ns < t->config.stall_after_ns)
			add_pause(t, node, &l->shut, PACE_SHUT, l->shut_since_ns);
		l->shut_since_ns = 0;
	}
}

/* More is acknowledged, after a silence of the receiver or for want of a segment. */
void life_progress(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node);
	struct life *l = life_of(t, node);
	uint64_t since_ns = half_silent_since(h);

	if (!l || (h->flags & HALF_OPEN) || l->shut_since_ns || !h->tries)
		return;
	if (t->now_ns - since_ns >= felt_ns(t) && !report_too_big(t, node))
		add_pause(t, node, &l->loss, PACE_PAUSES, since_ns);
}

void life_tried(struct tracker *t, uint32_t node)
{
	struct life *l = life_of(t, node);

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
	struct life *l = life_of(t, node);

	if (!l || l->recovering)
		return;
	l->recovering = true;
	l->recover = half_at(t, node)->nxt;
}

void life_found(struct tracker *t, uint32_t node)
{
	if (life_of(t, node))
		life_of(t, node)->recovering = false;
}

/* --- data and acknowledgements ------------------------------------------------------------------
 */

static void begin(struct tracker *t, uint32_t node)
{
	struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	struct life *l;

	if (h->sent < LIFE_BYTES || !(o->flags & HALF_SEEN) || h->life == LIFE_TOLD)
		return;
	if (t->life_free != NONE) {
		h->life = t->life_free;
		t->life_free = t->lives[h->life].next_free;
	} else if (t->life_top < MAX_LIVES) {
		h->life = t->life_top++;
	} else {
		t->counts.lives_missed++;
		return;
	}
	l = &t->lives[h->life];
	memset(l, 0, sizeof(*l));
	l->since_ns = l->begin_ns = l->second_ns = t->now_ns;
	l->first_frame = (uint32_t)t->frame;
	l->second_sent = h->sent;
	l->drained = h->una;
	l->above_us = l->min_above_us = o->min_rtt_us;
	l->below_us = h->min_rtt_us;
	l->max_window = window_known(h, o) ? half_window(h, o) : 0;
	for (uint32_t i = 0; i < LINE; i++)
		l->line[i] = (struct step){now_us(t), h->una, h->una + half_window(h, o)};
}

static void best_second(struct tracker *t, const struct half *h, struct life *l)
{
	uint64_t ns = t->now_ns - l->second_ns, bps;

	if (ns < NS_PER_S)
		return;
	bps = (uint64_t)((double)(h->sent - l->second_sent) * 8e9 / (double)ns);
	if (bps > l->best_bps) {
		l->best_bps = bps;
		pace_usual(t->pace, h->pace, bps);
	}
	l->second_ns = t->now_ns;
	l->second_sent = h->sent;
}

void life_sent(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node);
	struct life *l;
	uint32_t full = h->mss < FULL_LEN ? h->mss : FULL_LEN;

	if (h->life == NONE)
		begin(t, node);
	l = life_of(t, node);
	if (!l)
		return;
	if (l->echoing && (f->has & HAS_TIMESTAMPS) && (int32_t)(f->tsecr - l->echo) >= 0) {
		l->echoing = false;
		if (!l->small) { /* or it had nothing to send at once */
			l->above_us = now_us(t) - l->echo_us;
			if (!l->min_above_us || l->above_us < l->min_above_us)
				l->min_above_us = l->above_us;
		}
	}
	l->small = f->payload < full;
	l->ip_id = f->ip_id;
	best_second(t, h, l);
}

/* f comes from the receiver of `node`. */
void life_acked(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct life *l = life_of(t, node);

	if (!l || l->echoing || !(f->has & HAS_TIMESTAMPS) || f->tsval == l->echo)
		return;
	l->echo = f->tsval;
	l->echo_us = now_us(t);
	l->echoing = true;
}

void life_rtt(struct tracker *t, uint32_t node, uint32_t us)
{
	struct life *l = life_of(t, node);

	if (l)
		l->below_us = us;
}

uint64_t life_best_bps(struct tracker *t, uint32_t node)
{
	return life_of(t, node) ? life_of(t, node)->best_bps : 0;
}

void life_sum(struct tracker *t, uint32_t node, bool good)
{
	struct life *l = life_of(t, node);

	if (l)
		*(good ? &l->good_sums : &l->bad_sums) += 1;
}

uint32_t life_bad_sums(struct tracker *t, uint32_t node)
{
	const struct life *l = life_of(t, node);

	return l && l->good_sums / GOOD_SUMS > l->bad_sums ? l->bad_sums : 0;
}

uint16_t life_ip_id(struct tracker *t, uint32_t node)
{
	return life_of(t, node) ? life_of(t, node)->ip_id : 0;
}

/* --- the end ------------------------------------------------------------------------------------
 */

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
		.rate_bps = (uint64_t)((double)h->sent * 8e9 / (double)ns),
		.usual_bps = l->best_bps,
		.segs = h->mss ? (uint32_t)(h->sent / h->mss) : 0,
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
	seen.unscaled = (h->wscale == 0xff) != (o->wscale == 0xff);
	seen.paused_ns = l->small_window_ns;
	seen.cookie = seen.unscaled && e->opener < 2 && e->half[!e->opener].wscale == 0xff;
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
	struct life *l = life_of(t, node);

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
		tell_pauses(t, node, &l->shut, PACE_SHUT);
		tell_pauses(t, node, &l->loss, PACE_PAUSES);
		tell_window(t, node, l);
		tell_queue(t, node, l);
		l->next_free = t->life_free;
		t->life_free = h->life;
	}
	h->life = LIFE_TOLD;
	if (h->flags & HALF_TRANSFER)
		t->config.observe(&obs, t->config.arg);
}
