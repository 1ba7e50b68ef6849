/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP from packets: finds the directions that owe progress and make none, in captures from any
 * point of the path. Memory is bounded by the number of flows, not by packets: an entry is 272
 * bytes, and only directions that move data or lose packets have more beside it, as far as
 * there is room.
 *
 * A direction owes progress when data is unacknowledged or its window is shut, and there is
 * something to show for it: a retransmission, a hole that the receiver asks for, a window probe.
 * Data that waits for an ACK without any of these may as well be a capture without the ACKs.
 */
#ifndef TCPSTALL_SENSOR_TRACKER_H
#define TCPSTALL_SENSOR_TRACKER_H

#include "engine/observation.h"
#include "sensor/frame.h"

struct tracker;

struct tracker_packet {
	const struct frame *frame;
	uint64_t number;     /* as pushed */
	uint32_t flow;	     /* below max_flows */
	uint32_t connection; /* its number, never used again */
	int dir;
	bool transfer; /* one of its directions is */
};

struct tracker_config {
	uint64_t stall_after_ns;
	uint64_t min_bytes; /* of data seen in a direction, or it is no transfer */
	uint32_t max_flows;
	observe_fn observe;
	void *arg;
	/* Live (tracker_live.h); zero in captures. packet: one that is no duplicate was taken in.
	 */
	bool (*ours)(const struct ip_addr *addr, void *arg);
	void (*packet)(const struct tracker_packet *p, void *arg);
	uint32_t netns; /* of connections of ours */
};

struct tracker_counts {
	uint64_t packets, segments, bytes; /* TCP segments and their data */
	uint64_t connections, transfers;
	uint64_t not_tracked; /* segments of connections that found no room */
	uint64_t cut;	      /* TCP headers that were not captured whole */
	uint64_t duplicates;  /* the same packet captured twice */
	uint64_t missing;     /* bytes acknowledged that the capture does not have */
	uint64_t retransmissions, spurious, reordered, zero_windows, resets;
	uint64_t mid_connection, one_way; /* connections */
	uint64_t back_in_time;
	uint64_t lives_missed; /* transfers whose life found no room to be kept */
};

/* -ENOMEM */
int tracker_new(const struct tracker_config *config, struct tracker **ret);
void tracker_free(struct tracker *t); /* NULL is fine */

#define TRACKER_BATCH 32

/* A decoded packet. now_ns: since the first one, plus one; an older one than before counts as now.
 */
struct tracker_item {
	struct frame frame;
	uint64_t now_ns, number;
	uint32_t hash; /* frame_hash(), of FRAME_TCP only */
};

/*
 * Packets in their order. Those to come are looked at as well, so that what memory holds of their
 * flows is fetched meanwhile: the more at once the better.
 */
void tracker_work(struct tracker *t, const struct tracker_item *items, size_t n);
/*
 * The same one by one: a packet is decoded into the slot, then pushed. Up to TRACKER_BATCH wait
 * before they are worked on; tracker_end() takes the rest.
 */
struct frame *tracker_slot(struct tracker *t);
void tracker_push(struct tracker *t, uint64_t now_ns, uint64_t number);
/* The capture is over: what is still open is told. The caller sends OBS_END. */
void tracker_end(struct tracker *t);

struct tracker_counts tracker_counts(const struct tracker *t);

#endif
