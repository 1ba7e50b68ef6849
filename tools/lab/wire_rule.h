/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults of a wire that hit chosen TCP packets: by address and port, by size, one connection after
 * so many bytes, one segment and all its retransmissions, one pattern of payload.
 *
 *   drop | corrupt          the packet is lost; a bit of its payload is flipped
 *   seq | ack | tsval | tsecr  by=N is added to that field, the checksum mended (RFC 1624)
 *   window                  by=N: the window is shifted right by so much, except in a SYN
 *   [src= dst= sport= dport= over_bytes= after_bytes= segment= content=HEX]
 *
 * All rewriting rules that match are applied, in the order of their slots, before the first of the
 * others.
 */
#ifndef TCPSTALL_WIRE_RULE_H
#define TCPSTALL_WIRE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define WIRE_AB		 1u /* bit of the direction from end a to end b */
#define WIRE_BA		 2u

#define RULES_MAX	 16
#define RULE_CONNECTIONS 64 /* connections that one rule counts; the oldest make room */
#define RULE_CONTENT_MAX 32

/* A TCP packet in an Ethernet frame, as far as rules look at it. */
struct packet_view {
	struct endpoint src, dst;
	uint32_t seq;
	uint8_t *tcp; /* header and options */
	uint32_t tcp_bytes;
	uint32_t ip_bytes; /* the whole IP packet */
	uint8_t *payload;
	uint32_t payload_bytes;
};

enum rule_action {
	RULE_PASS,
	RULE_DROP,
	RULE_CORRUPT,
	RULE_SEQ,
	RULE_ACK,
	RULE_TSVAL,
	RULE_TSECR,
	RULE_WINDOW,
};

struct connection_count {
	struct endpoint src, dst;
	uint64_t bytes, segments;
	uint32_t next_seq; /* highest sequence number seen, plus one */
	uint64_t used;	   /* for replacement */
};

/* Zero in a field: any. */
struct rule {
	uint32_t id; /* 0: free */
	uint32_t directions;
	enum rule_action action;
	uint64_t by; /* for those that rewrite, modulo 2^32 */
	struct endpoint src, dst;
	uint64_t over_bytes;  /* IP packets larger than this */
	uint64_t after_bytes; /* the first connection that has sent more; from then on all its
				 packets */
	uint64_t segment; /* the n-th data segment of a connection, and whatever repeats its first
			     byte */
	uint8_t content[RULE_CONTENT_MAX];
	uint32_t content_bytes;

	struct connection_count seen[RULE_CONNECTIONS];
	uint64_t clock; /* of replacement in seen[] */
	bool bound;	/* after_bytes or segment has chosen its connection: */
	struct endpoint bound_src, bound_dst;
	uint32_t bound_seq;
	uint64_t hits;
};

struct rules {
	struct rule rule[RULES_MAX];
	uint32_t last_id;
};

/* False: no TCP packet, or one cut short. */
bool packet_parse(uint8_t *frame, size_t frame_bytes, struct packet_view *ret);

/* Words of "rule": directions, action, then key=value. Writes the number of the rule. -EINVAL,
 * -ENOSPC. */
int rule_add(struct rules *rules, char *words, uint32_t *ret_id);
int rule_delete(struct rules *rules, uint32_t id); /* -ENOENT */

/* Rewrites the packet as the rules say, and tells what is to happen to it: pass, drop, corrupt.
 * *ret_fired: the rule that has just hit for the first time, or NULL. */
enum rule_action rules_apply(struct rules *rules, uint32_t direction, const struct packet_view *p,
			     const struct rule **ret_fired);

#endif
