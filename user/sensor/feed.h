/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packets of a capture, decoded, in batches for the tracker. A packet that has arrived through
 * a pipe does not wait for those behind it.
 */
#ifndef TCPSTALL_SENSOR_FEED_H
#define TCPSTALL_SENSOR_FEED_H

#include "sensor/capture.h"
#include "sensor/tracker.h"

#define FEED_BATCH 64

struct feed;

struct feed_batch {
	uint32_t n;
	uint64_t bytes_read; /* of the file as stored, behind these packets */
	struct tracker_item items[FEED_BATCH];
};

int feed_new(struct capture *c, struct feed **ret); /* -ENOMEM */
void feed_free(struct feed *f);			    /* NULL is fine; the capture stays */

/* 1 and packets, valid until the next call; at the end what capture_next() has returned. */
int feed_next(struct feed *f, const struct feed_batch **ret);
/* Of the first packet: since 1970, 0 if it does not say. Times of the items count from here. */
int64_t feed_first_ns(const struct feed *f);

#endif
