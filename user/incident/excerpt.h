/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packets of a capture belong to an incident, and what those of them mean that matter. Pure,
 * of fixed size; packets are shown to it in the order of the file.
 *
 * Taken: segments of the connection, both directions, and ICMP errors that quote it, from a little
 * before the last progress to a little after the end; and its handshake, whenever that was, since
 * without it nobody can read the windows.
 */
#ifndef TCPSTALL_INCIDENT_EXCERPT_H
#define TCPSTALL_INCIDENT_EXCERPT_H

#include "engine/verdict.h"
#include "sensor/frame.h"

#define EXCERPT_NOTE 256

enum excerpt_side {
	EXCERPT_NONE, /* not of this connection */
	EXCERPT_DATA, /* sent by the sender of the stalled direction */
	EXCERPT_BACK, /* sent by its receiver */
	EXCERPT_ICMP, /* quotes a segment of either */
};

struct excerpt {
	const struct incident *incident;
	union frame_addr src, dst;
	uint16_t sport, dport;
	uint8_t family;
	uint64_t from_ns, to_ns;
	bool shut, decided, recovered; /* what has been remarked on already */
	uint32_t resets;
	uint32_t frag_id; /* of the last segment that came in fragments */
	bool fragmented;
};

/* The incident must outlive it. */
void excerpt_init(struct excerpt *e, const struct incident *incident);

/* Which way a packet goes; whatever its time. */
enum excerpt_side excerpt_side(struct excerpt *e, const struct frame *f);

/*
 * Whether this packet belongs into the excerpt. side as told by excerpt_side(); now_ns and number
 * as in the incident. ret_note: why it matters, or "".
 */
bool excerpt_takes(struct excerpt *e, const struct frame *f, enum excerpt_side side,
		   uint64_t now_ns, uint64_t number, char ret_note[EXCERPT_NOTE]);

/* Adds what the incident says of the packet of this number, which may be of no connection. */
void excerpt_number_note(struct excerpt *e, uint64_t number, char to[EXCERPT_NOTE]);

#endif
