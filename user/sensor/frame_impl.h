/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two halves of the decoder share; for nobody else. */
#ifndef TCPSTALL_SENSOR_FRAME_IMPL_H
#define TCPSTALL_SENSOR_FRAME_IMPL_H

#include <string.h>

#include "base/bytes.h"
#include "sensor/frame.h"

#define MAX_LAYERS	 32 /* headers in one packet */

#define ETHERTYPE_IPV4	 0x0800
#define ETHERTYPE_TEB	 0x6558
#define ETHERTYPE_IPV6	 0x86dd
#define ETHERTYPE_ERSPAN 0x88be

struct cursor {
	const uint8_t *at, *end;
	const uint8_t *wire_end; /* where the packet ended on the wire; may lie behind `end` */
	struct frame *p;
	int layers;
};

static inline size_t left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* Steps over n bytes; NULL if they were not all captured. */
static inline const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *at = c->at;

	if (left(c) < n)
		return NULL;
	c->at += n;
	return at;
}

/* frame.c: from an IP header on. link.c: from an Ethernet header on, and from any link type. */
void frame_ip(struct cursor *c);
void frame_ethernet(struct cursor *c);
void frame_link(struct cursor *c, int linktype);

#endif
