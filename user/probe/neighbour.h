/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is said between neighbours, as bytes from the network header on: ARP (RFC 826), neighbour
 * discovery (RFC 4861), ICMP echo. Pure functions. What is read may be cut, forged or nonsense.
 */
#ifndef TCPSTALL_PROBE_NEIGHBOUR_H
#define TCPSTALL_PROBE_NEIGHBOUR_H

#include "engine/observation.h"

#define RESOLVE_BYTES 72 /* longest question that resolve_write() makes: IPv6 and its option */

/*
 * Who has `target`? asked by `source` with hardware address `lladdr`. source.family 0: a probe that
 * claims nothing (RFC 5227 1.1; RFC 4862 5.4.2). Length; -EINVAL: no address of a known family.
 */
int resolve_write(const struct ip_addr *target, const struct ip_addr *source,
		  const uint8_t lladdr[6], uint8_t buf[RESOLVE_BYTES]);

/* Where the question goes: everybody, or the multicast group of the target (RFC 4861 2.3). */
void resolve_lladdr(const struct ip_addr *target, uint8_t ret[6]);

/* An echo request of `size` bytes of IP packet, filled with zeros. Length, or -EMSGSIZE. */
int echo_write(const struct ip_addr *source, const struct ip_addr *target, uint16_t id,
	       uint16_t seq, uint16_t size, uint8_t *buf, size_t len);

enum neighbour_said { SAID_NOTHING, SAID_ADDRESS, SAID_ECHO };

struct neighbour_message {
	struct ip_addr addr; /* that is claimed, or that answers the echo */
	uint8_t lladdr[6];   /* SAID_ADDRESS: of the claimant, as the message has it */
	uint16_t id, seq;    /* SAID_ECHO */
};

/* protocol: ETH_P_*, in host byte order. */
enum neighbour_said neighbour_read(uint16_t protocol, const uint8_t *buf, size_t len,
				   struct neighbour_message *ret);

#endif
