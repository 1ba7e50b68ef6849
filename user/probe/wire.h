/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sockets that the prober has in one network namespace: raw ones to send, a packet socket to
 * listen, and a few bound TCP ports that nobody connects from, for control probes.
 */
#ifndef TCPSTALL_PROBE_WIRE_H
#define TCPSTALL_PROBE_WIRE_H

#include "probe/packet.h"

#define WIRE_PAIRS_MAX	   1000 /* port pairs listened to */
#define WIRE_CONTROL_PORTS 6	/* of each family: as many ways where routers balance by port */

struct wire;

/* Opens them in a namespace, or in the present one if netns_fd < 0. -EPERM (CAP_NET_RAW), -EMFILE.
 */
int wire_open(int netns_fd, struct wire **ret);
void wire_close(struct wire *w); /* NULL is fine */

int wire_fd(const struct wire *w); /* readable when wire_receive() has something */

/* Ports of a TCP connection, as one word of its incoming segments shows them. */
static inline uint32_t wire_pair(uint16_t local, uint16_t remote)
{
	return (uint32_t)remote << 16 | local;
}

/*
 * From now on hears short segments of these connections, what they send, answers to control ports,
 * and ICMP errors; nothing else wakes us up. -EINVAL: more than WIRE_PAIRS_MAX; -ENOMEM.
 */
int wire_listen(struct wire *w, const uint32_t *pairs, int n);

/* i-th reserved port of a family. 0: the family is not there. */
uint16_t wire_control_port(const struct wire *w, uint8_t family, int i);

/* Sends an IP packet as it is. scope: interface of a link-local destination. -errno of sendmsg().
 */
int wire_send(struct wire *w, const struct segment *s, const uint8_t *packet, size_t len,
	      uint32_t scope);

struct wire_packet {
	size_t len; /* bytes in buf, from the IP header on */
	bool outgoing;
	int64_t realtime_ns; /* when the kernel saw it; 0 unknown */
};

/* Takes one packet. -EAGAIN: there is none. */
int wire_receive(struct wire *w, uint8_t *buf, size_t size, struct wire_packet *ret);

#endif
