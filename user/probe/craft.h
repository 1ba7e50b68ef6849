/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a probe is made of: the safety promise of probe.h as two pure functions.
 */
#ifndef TCPSTALL_PROBE_CRAFT_H
#define TCPSTALL_PROBE_CRAFT_H

#include "engine/observation.h"
#include "probe/packet.h"

#define CRAFT_OFFSETS 64 /* different sequence ranges that the probes of one flow take in turn */

/* What routers may hash and boxes may check, as the flow's own packets show it. */
struct look {
	bool seen; /* otherwise the rest is zero */
	uint8_t tos;
	uint16_t window;
	uint32_t flow_label;
};

/*
 * A segment inside the flow: one byte, or as many as make an IP packet of `size` bytes (size > 0).
 * offset: counts the probes of a flow. The sequence range ends offset % CRAFT_OFFSETS bytes below
 * SND.UNA, or nearer if fewer bytes were acknowledged; those with the same range have another ACK.
 * -EPERM: the flow is signed (TCP-MD5, TCP-AO), the peer would not take it; -ENODATA: fewer bytes
 * acknowledged than asked for; -ENOTCONN: in the handshake; -EINVAL: size has no room for a byte.
 */
int craft_in_flow(const struct flow_snapshot *s, const struct look *look, uint16_t size,
		  uint32_t offset, uint64_t now_ns, struct segment *ret);

/*
 * A SYN as Linux sends it, from src, the way-th of the fresh ports, to the flow's remote end.
 * Routers that hash the IPv6 flow label (RFC 6438) send way 0 after the flow and others perhaps
 * elsewhere.
 */
void craft_control(const struct flow_snapshot *s, const struct look *look,
		   const struct endpoint *src, int way, uint32_t seq, uint32_t tsval,
		   struct segment *ret);

#endif
