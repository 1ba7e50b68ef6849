/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One producer, one consumer, and between them a ring. Each batch belongs to one side at a time: in
 * [out, in) to the consumer, which gives the oldest back when it asks for the next.
 */
#include "sensor/feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define RING  8
#define HALF  (RING / 2) /* batches, for which who waits is woken: for each would be too often */
#define SMALL 64	 /* packets of a batch of nobody else: it stays in the first cache */

struct feed {
	struct capture *capture;
	bool ahead, timed; /* timed: first_ns is known */
	int64_t first_ns;
	uint32_t room;	  /* packets of a batch */
	uint32_t in, out; /* batches that were filled, and given back */
	bool lent, stop;  /* the oldest is with the caller; nobody wants more */
	int end;	  /* <= 0: nothing comes behind what is in the ring */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct feed_batch *ring;
};

/* At least one packet, unless the capture ends, and no more than come without waiting. */
static int fill(struct feed *f, struct feed_batch *b)
{
	struct captured p;
	int err = 1;

	b->n = 0;
	while (b->n < f->room && (!b->n || capture_at_hand(f->capture))) {
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

/* It is cancelled only while it reads: that may take for ever. */
static void *read_ahead(void *arg)
{
	struct feed *f = arg;
	int err = 1, old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	pthread_mutex_lock(&f->lock);
	while (err > 0 && !f->stop) {
		const struct feed_batch *b = &f->ring[f->in % RING];

		if (f->in - f->out == RING) {
			pthread_cond_wait(&f->changed, &f->lock);
			continue;
		}
		pthread_mutex_unlock(&f->lock);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
		err = fill(f, &f->ring[f->in % RING]);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
		pthread_mutex_lock(&f->lock);
		f->in++;
		f->end = err;
		if (err <= 0 || b->n < f->room || f->in - f->out == HALF)
			pthread_cond_signal(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int feed_new(struct capture *c, bool ahead, struct feed **ret)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->ring = calloc(ahead ? RING : 1, sizeof(*f->ring));
	if (!f->ring) {
		free(f);
		return -ENOMEM;
	}
	f->capture = c;
	f->end = 1;
	f->room = ahead ? FEED_BATCH : SMALL;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->ahead = ahead && !pthread_create(&f->thread, NULL, read_ahead, f);
	*ret = f;
	return 0;
}

void feed_free(struct feed *f)
{
	if (!f)
		return;
	if (f->ahead) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_signal(&f->changed);
		pthread_mutex_unlock(&f->lock);
		pthread_cancel(f->thread);
		pthread_join(f->thread, NULL);
	}
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f->ring);
	free(f);
}

static int next_ahead(struct feed *f, const struct feed_batch **ret)
{
	const struct feed_batch *b = NULL;
	int end;

	pthread_mutex_lock(&f->lock);
	if (f->lent) {
		f->out++;
		if (f->in - f->out == HALF)
			pthread_cond_signal(&f->changed);
	}
	while (f->in == f->out && f->end > 0)
		pthread_cond_wait(&f->changed, &f->lock);
	f->lent = f->in != f->out;
	if (f->lent)
		b = &f->ring[f->out % RING];
	end = f->end;
	pthread_mutex_unlock(&f->lock);
	if (!b || !b->n)
		return end;
	*ret = b;
	return 1;
}

int feed_next(struct feed *f, const struct feed_batch **ret)
{
	if (f->ahead)
		return next_ahead(f, ret);
	if (f->end > 0)
		f->end = fill(f, &f->ring[0]);
	else
		return f->end;
	*ret = &f->ring[0];
	return f->ring[0].n ? 1 : f->end;
}

int64_t feed_first_ns(const struct feed *f)
{
	return f->first_ns;
}
