/* SPDX-License-Identifier: GPL-2.0-only */
/* What life.c, pauses.c and life_report.c share; for nobody else. */
#ifndef TCPSTALL_SENSOR_LIFE_IMPL_H
#define TCPSTALL_SENSOR_LIFE_IMPL_H

#include "base/rate.h"
#include "sensor/tracker_impl.h"

#define NARROW_PART 4 /* of the largest window */

#define LINE	    16 /* steps of the delay line; a power of two */

struct step {
	uint32_t at_us, una, edge;
};

/* Pauses of one kind that follow each other closely; each of them too short for a stall. */
struct pauses {
	uint64_t begin_ns, end_ns, paused_ns, longest_ns, sent; /* sent: when they began */
	uint32_t n, first_frame, last_frame, retrans;
};

/* The window is a small part of what it was, is never shut, and hardly changes. */
struct narrow {
	uint64_t begin_ns, full_ns, sent; /* full_ns: of it, the sender was held back by that */
	uint32_t low, high, first_frame;
	uint32_t wide, cut; /* it began with the right edge moving back, from one ACK to the next */
};

/* Of a direction that is more than an exchange. */
struct life {
	/* What every packet looks at, in one line of the cache. */
	uint64_t since_ns; /* what holds it back now does so since then */
	uint64_t shut_since_ns, second_ns;
	uint32_t last_frame, max_window, line_head;
	uint32_t recover;	/* RecoveryPoint of RFC 6675 */
	uint32_t above_us;	/* round trip from the capture point to the sender */
	uint32_t below_us;	/* to the receiver, latest */
	uint32_t echo, echo_us; /* a timestamp that the sender has yet to echo */
	uint16_t ip_id;		/* of the sender's last segment */
	bool recovering, small, echoing;
	bool narrowed, filled; /* filled: it has sent all that the narrow window takes */
	uint8_t latest;	       /* enum limit: the interval that was accounted last */

	/* What each interval looks at. */
	uint64_t latest_ns;
	uint64_t limited_ns[LIMITS];
	uint32_t drained, min_above_us;
	uint32_t line_known;	/* the step that was looked up last */
	bool draining;		/* through a deep queue in the latest interval */
	struct step line[LINE]; /* head and known count on, modulo its length */

	uint64_t begin_ns, second_sent, best_bps;
	uint64_t small_window_ns; /* of the receive window's: it is as large as it ever was */
	struct pauses shut, loss;
	struct narrow narrow;		  /* if narrowed */
	uint64_t queued_ns, queued_bytes; /* through a deep queue */
	uint32_t longest_us, first_frame, shut_tries;
	uint32_t good_sums, bad_sums;
	uint32_t next_free;
} __attribute__((aligned(64)));
#define LIFE_HOT offsetof(struct life, begin_ns) /* what each interval looks at ends there */
_Static_assert(offsetof(struct life, latest_ns) == 64, "one line of the cache");

static inline struct life *life_of(const struct tracker *t, const struct half *h)
{
	return h->life < LIFE_TOLD ? &t->lives[h->life] : NULL;
}

/* Both SYNs were seen: it is known how windows are scaled. */
static inline bool window_known(const struct half *h, const struct half *o)
{
	return h->flags & o->flags & HALF_SYN;
}

void life_release(struct tracker *t, struct half *h); /* its record */

/* pauses.c: una and the window are up to date; what is left of them is told. */
void pauses_window(struct tracker *t, uint32_t node, struct life *l, uint32_t window);
/* The same of a window that is small, or was until now. */
void narrow_window(struct tracker *t, uint32_t node, struct life *l, uint32_t window,
		   uint32_t wide);
void narrow_end(struct tracker *t, uint32_t node, struct life *l, uint64_t end_ns);
void pauses_end(struct tracker *t, uint32_t node, struct life *l);

#endif
