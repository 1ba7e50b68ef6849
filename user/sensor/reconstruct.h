/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that no black box saw, made from what is known of them, and seen ones put right. Pure.
 */
#ifndef TCPSTALL_SENSOR_RECONSTRUCT_H
#define TCPSTALL_SENSOR_RECONSTRUCT_H

#include "sensor/blackbox.h"

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW	  101

/* A packet's headers, which lie in it. */
struct boxed {
	uint8_t *ip, *tcp;
	uint32_t tcp_len; /* bytes of the TCP header */
	uint32_t seq, ack, payload;
	uint8_t flags; /* TCP_* */
	bool v6;
};

/* false: not plain TCP over IP, or its headers are not whole. */
bool boxed_of(struct box_packet *p, struct boxed *ret);

/* What a handshake has settled. */
struct settled {
	uint16_t snd_mss, rcv_mss; /* the peer's, ours */
	uint8_t snd_wscale, rcv_wscale;
	bool timestamps, sack;
	bool connected, accepted; /* by this end; neither: not known */
	uint64_t rtt_ns;
};

/* p holds a segment of the peer, and becomes the reset that answers it (RFC 9293 3.10.7.1). */
void reconstruct_reset(struct box_packet *p);

/*
 * The three packets of the handshake. `packets`, oldest first, are the n of this flow that there
 * are; sequence numbers begin where theirs do. 3, or 0 if there is nothing to go by, or the
 * handshake is among them.
 */
int reconstruct_handshake(const struct flow_key *key, const struct settled *settled,
			  struct box_packet *packets, uint32_t n, struct box_packet ret[3]);

/*
 * Gives a packet the addresses of its flow. Others are there if this host itself translates
 * addresses: what leaves is seen behind that, what comes in before it.
 */
void reconstruct_addresses(const struct flow_key *key, struct box_packet *p);

#endif
