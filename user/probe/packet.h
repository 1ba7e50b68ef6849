/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP segments and ICMP errors as bytes, from the IP header on. Pure functions: no socket, no
 * clock. What is read may be cut, forged or nonsense; nothing outside buf[0..len) is touched.
 */
#ifndef TCPSTALL_PROBE_PACKET_H
#define TCPSTALL_PROBE_PACKET_H

#include <netinet/tcp.h>
#include "base/addr.h"

#define PACKET_MAX	 65535
#define PACKET_SACKS_MAX 4

/* A TCP segment with the parts of its IP header that matter to us. Host byte order. */
struct segment {
	struct endpoint src, dst;
	uint32_t flow_label; /* IPv6, 20 bits */
	uint16_t ip_id;	     /* IPv4 */
	uint8_t ttl, tos;    /* hop limit and traffic class */
	uint8_t flags;	     /* TH_* */
	uint8_t n_sacks;     /* read only */
	uint16_t window;     /* as on the wire, not scaled */
	uint16_t mss;	     /* option of a SYN; 0: none */
	uint32_t seq, ack;
	uint32_t payload; /* bytes */
	bool timestamps;  /* RFC 7323 */
	uint32_t tsval, tsecr;
	struct {
		uint32_t start, end;
	} sacks[PACKET_SACKS_MAX];
};

/* An ICMP or ICMPv6 error and the TCP segment that it quotes. */
struct icmp_error {
	struct ip_addr from;
	uint8_t ttl; /* of the error itself */
	uint8_t type, code;
	uint32_t mtu; /* "fragmentation needed", "packet too big"; 0 otherwise */
	struct endpoint quoted_src, quoted_dst;
	uint16_t quoted_ip_id; /* IPv4; 0 on IPv6 */
	uint32_t quoted_seq;
	const uint8_t
		*quote;	  /* the quoted TCP header and what follows, in the buffer that was read */
	size_t quote_len; /* at least 8; what is surely no RFC 4884 extension */
};

enum packet_kind { PACKET_OTHER, PACKET_SEGMENT, PACKET_ICMP_ERROR };

struct packet {
	enum packet_kind kind;
	union {
		struct segment segment;
		struct icmp_error error;
	};
};

/* Bytes of IP and TCP headers that packet_write() will make, options included. */
uint32_t packet_header_len(const struct segment *s);

/*
 * Writes an IP packet with don't-fragment set, checksums, and a payload of zeros. A SYN gets the
 * options of an ordinary Linux SYN. Its length, or -EMSGSIZE.
 */
int packet_write(const struct segment *s, uint8_t *buf, size_t size);

/*
 * Writes a copy of an IP packet of TCP with another TTL and IP ID. The segment stays as it is but
 * for its checksum, which the card may not have filled in yet. Its length; -EINVAL: not a whole
 * packet of TCP without fragments; -EMSGSIZE.
 */
int packet_copy(const uint8_t *packet, size_t len, uint8_t ttl, uint16_t ip_id, uint8_t *buf,
		size_t size);

/* Reads one IP packet, which may be cut. What is neither TCP nor an error about TCP is
 * PACKET_OTHER. */
void packet_read(const uint8_t *buf, size_t len, struct packet *ret);

#endif
