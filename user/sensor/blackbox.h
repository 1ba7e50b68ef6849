/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last packets of each transfer, headers only, kept in the kernel without waking us up. A box
 * belongs to a transfer from when it is one, and outlives its socket until it is needed for
 * another: of those that ended, the one that ended first. What a source of packets other than the
 * kernel's programs keeps is handed over the same way.
 */
#ifndef TCPSTALL_SENSOR_BLACKBOX_H
#define TCPSTALL_SENSOR_BLACKBOX_H

#include "engine/observation.h"

#define BOX_CAPTURED 128 /* bytes of a packet that are kept at most */
#define BOX_DEFAULT  256 /* packets of a transfer */
#define BOX_MAX	     4096

enum box_flag {
	BOX_OUT = 1 << 0,     /* sent by the local end of the flow */
	BOX_AGAIN = 1 << 1,   /* sequence numbers that passed before: retransmitted, or late */
	BOX_DROPPED = 1 << 2, /* this host dropped it */
	BOX_RECONSTRUCTED = 1 << 3, /* was not seen: made from what the socket knows */
	BOX_PROBE = 1 << 4,	    /* a probe of ours or its answer; the sensor does not know */
};

struct box_packet {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint32_t ifindex; /* in the flow's namespace; 0 unknown */
	uint32_t netns;
	uint32_t length;   /* bytes, link layer included; more than the MTU with offloads */
	uint16_t linktype; /* LINKTYPE_ETHERNET or LINKTYPE_RAW */
	uint8_t flags;	   /* enum box_flag */
	uint8_t captured;  /* bytes in data: headers, no payload */
	uint8_t data[BOX_CAPTURED];
};

typedef void (*box_fn)(const struct box_packet *packet, void *arg);

struct box_counts {
	uint64_t seen;	      /* packets since the flow became a transfer; reconstructed ones not */
	uint64_t overwritten; /* of these, by later ones */
	uint64_t torn;	 /* overwritten while they were read, not yet complete, or dropped before
			    they had headers */
	uint64_t unseen; /* segments received while nobody looked, after it was half closed: as
			    far as counted yet, not among those seen */
};

struct sensor;

/*
 * Hands over the packets of a flow, oldest first; after the end of its socket too. A handshake that
 * is not in the box comes first, reconstructed, so that windows can be read. -ENOENT: the flow has
 * no box (any more); -ENOTSUP: there are no boxes here.
 */
int sensor_box(struct sensor *s, const struct flow_key *key, box_fn take, void *arg,
	       struct box_counts *ret);

/* What all boxes take, fixed from the start. 0 packets: there are none, and why says so. */
struct box_capacity {
	uint32_t packets; /* in a box */
	uint32_t boxes;
	uint64_t bytes;
	uint64_t without; /* transfers that found no box free */
	const char *why;
};
struct box_capacity sensor_box_capacity(const struct sensor *s);

#endif
