/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What routers are willing to answer. Pure: no clock.
 *
 * A router limits the ICMP errors that it sends to one host, whichever connection they are about
 * (RFC 1812 4.3.2.8, RFC 4443 2.4 (f); Linux: 6 at once, then one a second, see
 * inet_peer_xrlim_allow()). Asked no faster, its silence means something.
 *
 * Who answers at a TTL shows with the first answer. Until then what goes to one address with one
 * TTL is counted together, after it what meets one router, whatever the address.
 */
#ifndef TCPSTALL_PROBE_LIMIT_H
#define TCPSTALL_PROBE_LIMIT_H

#include "base/addr.h"

#define LIMIT_SLOTS 512

/* One router, or one TTL on the way to an address. */
struct account {
	struct ip_addr addr;   /* of the router, or of where probes go */
	struct ip_addr router; /* who answers at `ttl` on the way to addr; family 0: not known */
	uint64_t free_ns;      /* virtual schedule (GCRA): when nothing is used up any more */
	uint32_t netns;
	uint8_t ttl; /* 0: addr is a router */
	bool used;
	uint8_t pad[2];
};

struct limits {
	struct account slot[LIMIT_SLOTS]; /* bounded: who is free first makes room */
};

/* Where a probe goes. */
struct limit_way {
	uint32_t netns;
	uint8_t ttl;
	struct ip_addr to;
};

/* When a probe may be sent there; 0, or in the past: now. */
uint64_t limit_due(const struct limits *l, const struct limit_way *way);

/* One is sent. */
void limit_sent(struct limits *l, const struct limit_way *way, uint64_t now_ns);

/* One was answered by this router, which is laid to its account, whoever it was sent to. */
void limit_learn(struct limits *l, const struct limit_way *way, const struct ip_addr *router,
		 uint64_t now_ns);

#endif
