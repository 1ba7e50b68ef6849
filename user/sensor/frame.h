/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One captured packet, from the link layer to TCP. Pure: no state, no allocation; every length in
 * the packet is taken for a lie until it fits into what was captured. Snapped packets keep their
 * lengths from the IP header; only what lies in the captured bytes is read.
 *
 * Looked through: 802.1Q and 802.1ad tags, MPLS, PPPoE sessions, LLC/SNAP, 802.11 data frames, GRE,
 * ERSPAN, VXLAN, GTP-U and IP in IP. The innermost IP packet is the one reported.
 */
#ifndef TCPSTALL_SENSOR_FRAME_H
#define TCPSTALL_SENSOR_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define FRAME_SACKS 4

enum frame_kind {
	FRAME_OTHER,	/* nothing of ours */
	FRAME_CUT,	/* TCP, but snapped or malformed before the end of its fixed header */
	FRAME_TCP,	/* a segment, or the first fragment of one */
	FRAME_FRAGMENT, /* a later fragment of something that may be a segment */
	FRAME_ICMP, /* an ICMP error; what follows is the segment that it quotes. flags 0: cut */
};

enum frame_has {
	HAS_TIMESTAMPS = 1 << 0,
	HAS_SACK_OK = 1 << 1,	 /* RFC 2018 SACK-permitted */
	HAS_OPTIONS = 1 << 2,	 /* the whole option area was captured */
	HAS_MORE_FRAGS = 1 << 3, /* more fragments of this packet follow */
	HAS_ECT = 1 << 4,
	HAS_CE = 1 << 5,
	/* TCP's checksum, of whole segments that a router has passed on; else neither is set. Cards
	 * and virtual links may leave it to be filled in later, so a bad one alone says nothing. */
	HAS_GOOD_SUM = 1 << 6,
	HAS_BAD_SUM = 1 << 7,
};

enum tunnel_kind { TUNNEL_NONE, TUNNEL_GRE, TUNNEL_VXLAN, TUNNEL_GTPU, TUNNEL_IPIP };
const char *tunnel_name(enum tunnel_kind kind);

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* Bytes as on the wire; IPv4 fills the first four, the rest is zero. */
union frame_addr {
	uint8_t bytes[16];
	uint64_t words[2];
};

struct frame {
	union frame_addr src, dst;
	uint16_t sport, dport; /* host byte order, like all that follows */
	uint8_t kind, family;  /* enum frame_kind; 4 or 6 */
	uint8_t flags, has;    /* TCP_*, enum frame_has */
	uint32_t seq, ack;
	uint32_t payload; /* bytes of TCP data (fragments: of IP payload) by the IP header */
	uint16_t window;  /* not scaled */
	uint16_t ip_id;	  /* 0 in IPv6; FRAME_ICMP: of the segment that is quoted */
	uint16_t ip_len;  /* of the whole IP packet, 65535 if more */
	uint16_t mss;	  /* 0: no such option */
	uint8_t ttl, n_sacks;
	uint8_t wscale; /* 0xff: no such option */
	uint8_t tunnel; /* enum tunnel_kind, the outermost */
	uint32_t tsval, tsecr;
	uint32_t sacks[FRAME_SACKS][2];
	uint32_t frag_id;   /* fragments: identification */
	uint32_t tunnel_id; /* VNI, TEID or GRE key; 0 none */
	union frame_addr outer_src, outer_dst;
	uint8_t outer_family, icmp_type, icmp_code, icmp_family;
	uint32_t icmp_mtu;
	union frame_addr icmp_from;
};

/*
 * captured bytes of a packet that was `length` long on the wire. linktype as in pcap files
 * (LINKTYPE_*). The result is always set; a kind other than FRAME_OTHER has addresses and, unless
 * it is a later fragment, ports.
 */
void frame_decode(int linktype, const uint8_t *data, uint32_t captured, uint32_t length,
		  struct frame *ret);

/*
 * Of the two ends, the same for both directions. The two halves of a product of 128 bits stir well
 * enough that addresses counted up, with ports counted up beside them, fall apart.
 */
static inline uint32_t frame_hash(const struct frame *f)
{
	uint64_t a = f->src.words[0] ^ f->dst.words[0], b = f->src.words[1] ^ f->dst.words[1];
	uint64_t ports = (uint64_t)(f->sport ^ f->dport) << 32 | (uint32_t)(f->sport + f->dport);
	unsigned __int128 m = (unsigned __int128)(a ^ b << 1 ^ 0x9e3779b97f4a7c15ull) *
			      (ports ^ b ^ 0xbf58476d1ce4e5b9ull);

	return (uint32_t)(m >> 64) ^ (uint32_t)(m >> 32);
}

/* NULL: this link type cannot be read. */
const char *linktype_name(int linktype);
/* Names of all that can, "Ethernet, raw IP ...". */
const char *linktypes_known(char *buf, size_t len);

struct ip_addr frame_addr_of(const union frame_addr *a, uint8_t family);

#endif
