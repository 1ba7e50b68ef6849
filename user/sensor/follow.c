/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packets of a reading wait until all boxes are read, and are then taken in the order of their
 * times. With offloads a packet in the box may be many on the wire, of which one may be lost: it is
 * cut into its segments.
 */
#include "sensor/follow.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sensor/reconstruct.h"
#include "sensor/tracker_live.h"

#define FLOWS	  64
#define NO_STALLS (3600 * NS_PER_S) /* others tell of those */
#define MSS_LEAST 76		    /* TCP_MIN_SND_MSS less its options */

struct waiting_packet {
	struct box_packet packet;
	uint32_t mss;
};

struct follow {
	struct tracker *tracker;
	uint64_t last_ns, number;
	struct waiting_packet *waiting;
	size_t n_waiting, room;
	const struct endpoint *from, *to; /* who is being looked at */
	struct pace_seen seen;		  /* of that; bytes 0: nothing */
};

/* The tracker names a direction by its sender. Pauses and windows the socket itself tells better.
 */
static void take(const struct observation *obs, void *arg)
{
	struct follow *f = arg;
	enum pace_limit limit = obs->type == OBS_PACE ? obs->pace.limit : PACE_UNKNOWN;

	if (f->from && (limit == PACE_POLICER || limit == PACE_SHAPER || limit == PACE_LOSS) &&
	    endpoint_equal(&obs->pace.key.local, f->from) &&
	    endpoint_equal(&obs->pace.key.remote, f->to))
		f->seen = obs->pace;
}

int follow_new(struct follow **ret)
{
	struct follow *f = calloc(1, sizeof(*f));
	const struct tracker_config config = {
		.stall_after_ns = NO_STALLS,
		.min_bytes = 1,
		.max_flows = FLOWS,
		.observe = take,
		.arg = f,
	};

	if (!f || tracker_new(&config, &f->tracker)) {
		free(f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	tracker_free(f->tracker);
	free(f->waiting);
	free(f);
}

void follow_packet(struct follow *f, const struct box_packet *p, uint32_t mss)
{
	if (f->n_waiting == f->room) {
		size_t room = f->room ? 2 * f->room : 256;
		void *more = reallocarray(f->waiting, room, sizeof(*f->waiting));

		if (!more)
			return; /* as if it had been overwritten */
		f->waiting = more;
		f->room = room;
	}
	f->waiting[f->n_waiting++] = (struct waiting_packet){*p, mss < MSS_LEAST ? MSS_LEAST : mss};
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = ((const struct waiting_packet *)a)->packet.time_ns,
		 y = ((const struct waiting_packet *)b)->packet.time_ns;

	return x < y ? -1 : x > y;
}

static void push(struct follow *f, struct waiting_packet *w)
{
	struct box_packet *p = &w->packet;
	struct frame whole;
	uint32_t done = 0;
	struct boxed b;

	if (!boxed_of(p, &b))
		return;
	frame_decode(p->linktype, p->data, p->captured, p->length, &whole);
	if (whole.kind != FRAME_TCP)
		return;
	f->last_ns = p->time_ns > f->last_ns ? p->time_ns : f->last_ns;
	do {
		struct frame *frame = tracker_slot(f->tracker);
		uint32_t len = b.payload - done < w->mss ? b.payload - done : w->mss;

		*frame = whole;
		frame->seq += done;
		frame->payload = len;
		frame->ip_len = (uint16_t)(b.tcp - b.ip + b.tcp_len + len);
		done += len;
		if (done < b.payload)
			frame->flags &= (uint8_t)~TCP_FIN;
		tracker_push(f->tracker, f->last_ns, ++f->number);
	} while (done < b.payload);
}

void follow_round(struct follow *f)
{
	if (f->n_waiting)
		qsort(f->waiting, f->n_waiting, sizeof(*f->waiting), by_time);
	for (size_t i = 0; i < f->n_waiting; i++)
		push(f, &f->waiting[i]);
	f->n_waiting = 0;
}

bool follow_look(struct follow *f, const struct flow_key *key, bool sends, struct pace_seen *ret)
{
	f->from = sends ? &key->local : &key->remote;
	f->to = sends ? &key->remote : &key->local;
	f->seen.bytes = 0;
	tracker_flush(f->tracker, f->last_ns);
	tracker_pace(f->tracker);
	f->from = f->to = NULL;
	if (!f->seen.bytes)
		return false;
	*ret = f->seen;
	ret->key.cookie = key->cookie;
	ret->key.netns = key->netns;
	ret->first_frame = ret->last_frame = 0;
	ret->position = CAPTURED_UNKNOWN;
	return true;
}
