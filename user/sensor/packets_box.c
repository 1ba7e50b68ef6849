/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Black boxes for the packet source: a ring of the last packets for each transfer, from one block
 * of memory that is fixed from the start and touched only where it is used. The box of a connection
 * that is over stays until another needs it; that of a living one is never taken away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/packets_impl.h"

#define BOXES	  512
#define N_BUCKETS 1024 /* a power of two */

struct box {
	uint64_t cookie; /* 0: was never used */
	uint64_t ended;	 /* number of its end among all ends; 0: its connection lives */
	uint64_t seen;
	int32_t next; /* in the hash chain */
};

struct boxes {
	uint32_t packets;
	struct box box[BOXES];
	int32_t bucket[N_BUCKETS];
	uint32_t top;
	uint64_t ends, without, refused; /* refused: the connection that was counted last */
	struct box_packet *packet;	 /* BOXES rings */
};

int boxes_new(uint32_t packets, struct boxes **ret)
{
	struct boxes *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->packets = packets;
	b->packet = calloc((size_t)BOXES * packets, sizeof(*b->packet));
	if (!b->packet) {
		free(b);
		return -ENOMEM;
	}
	memset(b->bucket, 0xff, sizeof(b->bucket));
	*ret = b;
	return 0;
}

void boxes_free(struct boxes *b)
{
	if (!b)
		return;
	free(b->packet);
	free(b);
}

static int32_t *bucket_of(struct boxes *b, uint64_t cookie)
{
	return &b->bucket[(cookie * 0x9e3779b97f4a7c15ull >> 32) & (N_BUCKETS - 1)];
}

static int32_t find(const struct boxes *b, uint64_t cookie)
{
	int32_t i = *bucket_of((struct boxes *)b, cookie);

	while (i >= 0 && b->box[i].cookie != cookie)
		i = b->box[i].next;
	return i;
}

static int32_t first_ended(const struct boxes *b)
{
	int32_t first = -1;

	for (int32_t i = 0; i < BOXES; i++)
		if (b->box[i].ended && (first < 0 || b->box[i].ended < b->box[first].ended))
			first = i;
	return first;
}

static int32_t take_box(struct boxes *b, uint64_t cookie)
{
	int32_t i = b->top < BOXES ? (int32_t)b->top++ : first_ended(b), *link;

	if (i < 0)
		return i;
	if (b->box[i].cookie) {
		for (link = bucket_of(b, b->box[i].cookie); *link != i; link = &b->box[*link].next)
			;
		*link = b->box[i].next;
	}
	link = bucket_of(b, cookie);
	b->box[i] = (struct box){.cookie = cookie, .next = *link};
	*link = i;
	return i;
}

bool boxes_put(struct boxes *b, uint64_t cookie, const struct box_packet *packet)
{
	int32_t i = find(b, cookie);

	if (i < 0)
		i = take_box(b, cookie);
	if (i < 0) {
		b->without += b->refused != cookie;
		b->refused = cookie;
		return false;
	}
	b->packet[(size_t)i * b->packets + b->box[i].seen++ % b->packets] = *packet;
	return true;
}

void boxes_end(struct boxes *b, uint64_t cookie)
{
	int32_t i = find(b, cookie);

	if (i >= 0 && !b->box[i].ended)
		b->box[i].ended = ++b->ends;
}

int boxes_read(const struct boxes *b, uint64_t cookie, box_fn take, void *arg,
	       struct box_counts *ret)
{
	int32_t i = find(b, cookie);
	uint64_t seen, from;

	if (i < 0)
		return -ENOENT;
	seen = b->box[i].seen;
	from = seen > b->packets ? seen - b->packets : 0;
	for (uint64_t k = from; k < seen; k++)
		take(&b->packet[(size_t)i * b->packets + k % b->packets], arg);
	*ret = (struct box_counts){.seen = seen, .overwritten = from};
	return 0;
}

struct box_capacity boxes_capacity(const struct boxes *b)
{
	return (struct box_capacity){
		.packets = b->packets,
		.boxes = BOXES,
		.bytes = (uint64_t)BOXES * b->packets * sizeof(*b->packet),
		.without = b->without,
	};
}
