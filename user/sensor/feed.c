/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One batch, filled again and again. It is small so that it stays in the first cache from the
 * decoder to the tracker.
 */
#include "sensor/feed.h"

#include <errno.h>
#include <stdlib.h>

struct feed {
	struct capture *capture;
	bool timed; /* first_ns is known */
	int64_t first_ns;
	int end; /* <= 0: nothing comes behind the batch */
	struct feed_batch batch;
};

/* At least one packet, unless the capture ends, and no more than come without waiting. */
static int fill(struct feed *f)
{
	struct feed_batch *b = &f->batch;
	struct captured p;
	int err = 1;

	b->n = 0;
	while (b->n < FEED_BATCH && (!b->n || capture_at_hand(f->capture))) {
		struct tracker_item *item = &b->items[b->n];
		int64_t since_ns;

		err = capture_next(f->capture, &p);
		if (err <= 0)
			break;
		if (__builtin_expect(!f->timed, 0)) {
			f->timed = true;
			f->first_ns = p.time_ns == INT64_MIN ? 0 : p.time_ns;
		}
		since_ns = p.time_ns == INT64_MIN ? 0 : p.time_ns - f->first_ns;
		frame_decode(p.linktype, p.data, p.captured, p.length, &item->frame);
		item->now_ns = since_ns < 0 ? 1 : (uint64_t)since_ns + 1;
		item->number = p.number;
		item->hash = frame_hash(&item->frame);
		b->n++;
	}
	b->bytes_read = capture_counts(f->capture).bytes_read;
	return err;
}

int feed_new(struct capture *c, struct feed **ret)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->capture = c;
	f->end = 1;
	*ret = f;
	return 0;
}

void feed_free(struct feed *f)
{
	free(f);
}

int feed_next(struct feed *f, const struct feed_batch **ret)
{
	if (f->end <= 0)
		return f->end;
	f->end = fill(f);
	if (!f->batch.n)
		return f->end;
	*ret = &f->batch;
	return 1;
}

int64_t feed_first_ns(const struct feed *f)
{
	return f->first_ns;
}
