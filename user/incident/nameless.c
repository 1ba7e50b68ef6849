/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/nameless.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/bytes.h"

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW	  101
#define ETHERNET_LEN	  14
#define IP_MIN		  20
#define IP_NOP		  1
#define IP_OFFSET	  0x1fff /* of a fragment */
#define IP6_LEN		  40
#define TCP_MIN		  20
#define ICMP_LEN	  8
#define PORTS_AND_SEQ	  8 /* what ICMP must quote of TCP: RFC 792 */

static void rename_v4(const struct anonymizer *a, uint8_t *at)
{
	struct ip_addr addr = addr_v4(at);

	addr = anonymize_addr(a, &addr);
	memcpy(at, addr.bytes, 4);
}

/* Not addr_v6(): that makes IPv4 of a mapped address. */
static void rename_v6(const struct anonymizer *a, uint8_t *at)
{
	struct ip_addr addr = {.family = AF_INET6};

	memcpy(addr.bytes, at, 16);
	addr = anonymize_addr(a, &addr);
	memcpy(at, addr.bytes, 16);
}

/* The IP header at p: its protocol and length. 0: none that can be dealt with. */
static size_t rename_ip(const struct anonymizer *a, uint8_t *p, size_t len, uint8_t *ret_protocol)
{
	size_t header;

	if (len >= IP6_LEN && p[0] >> 4 == 6) {
		rename_v6(a, p + 8);
		rename_v6(a, p + 24);
		*ret_protocol = p[6];
		return IP6_LEN;
	}
	header = len ? (size_t)(p[0] & 15) * 4 : 0;
	if (len < IP_MIN || p[0] >> 4 != 4 || header < IP_MIN || header > len)
		return 0;
	if (be16(p + 6) & IP_OFFSET) /* what follows is payload */
		return 0;
	rename_v4(a, p + 12);
	rename_v4(a, p + 16);
	memset(p + IP_MIN, IP_NOP, header - IP_MIN); /* a record of the route has addresses */
	put_be16(p + 10, 0);
	put_be16(p + 10, ~sum16(0, p, header));
	*ret_protocol = p[9];
	return header;
}

/*
 * Options that say how the connection works stay. Others may hold an address (ADD_ADDR of
 * Multipath TCP, RFC 8684; what load balancers put in) or a secret (a cookie of Fast Open).
 */
static void clean_options(uint8_t *p, size_t len)
{
	size_t k = 0;

	while (k < len && p[k] != TCPOPT_EOL) {
		size_t size = p[k] == TCPOPT_NOP ? 1 : k + 1 < len ? p[k + 1] : 0;
		bool stays = p[k] <= TCPOPT_SACK || p[k] == TCPOPT_TIMESTAMP;

		if (!size || size > len - k)
			break; /* cut off, or nonsense */
		if (!stays)
			memset(p + k, TCPOPT_NOP, size);
		k += size;
	}
	memset(p + k, TCPOPT_EOL, len - k);
}

/* How much of a TCP header of `len` bytes at p may stay. */
static size_t clean_tcp(uint8_t *p, size_t len)
{
	const size_t header = len > 12 ? (size_t)(p[12] >> 4) * 4 : len;

	if (header < len)
		len = header;
	if (len >= 18)
		put_be16(p + 16, 0);
	if (len > TCP_MIN)
		clean_options(p + TCP_MIN, len - TCP_MIN);
	return len;
}

static size_t clean_icmp(const struct anonymizer *a, uint8_t *p, size_t len)
{
	uint8_t protocol;
	size_t quoted;

	if (len < ICMP_LEN)
		return 0;
	put_be16(p + 2, 0);
	quoted = rename_ip(a, p + ICMP_LEN, len - ICMP_LEN, &protocol);
	if (!quoted)
		return ICMP_LEN;
	quoted += ICMP_LEN;
	return len < quoted + PORTS_AND_SEQ ? len : quoted + PORTS_AND_SEQ;
}

static void rename_wire(const struct anonymizer *a, union frame_addr *addr, uint8_t family)
{
	if (family == 4)
		rename_v4(a, addr->bytes);
	else if (family == 6)
		rename_v6(a, addr->bytes);
}

void nameless_frame(const struct anonymizer *a, struct frame *f)
{
	rename_wire(a, &f->src, f->family);
	rename_wire(a, &f->dst, f->family);
	rename_wire(a, &f->icmp_from, f->icmp_family);
}

bool nameless_packet(const struct anonymizer *a, struct kept_packet *p)
{
	struct box_packet *b = &p->packet;
	uint8_t protocol, *rest;
	size_t header, left;

	if (b->linktype == LINKTYPE_ETHERNET) {
		const uint16_t type = b->captured >= ETHERNET_LEN ? be16(b->data + 12) : 0;

		if (type != 0x0800 && type != 0x86dd)
			return false;
		b->captured = (uint8_t)(b->captured - ETHERNET_LEN);
		b->length -= b->length > ETHERNET_LEN ? ETHERNET_LEN : 0;
		memmove(b->data, b->data + ETHERNET_LEN, b->captured);
		b->linktype = LINKTYPE_RAW;
	}
	header = rename_ip(a, b->data, b->captured, &protocol);
	if (!header)
		return false;
	rest = b->data + header;
	left = b->captured - header;
	if (protocol == IPPROTO_TCP)
		left = clean_tcp(rest, left);
	else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		left = clean_icmp(a, rest, left);
	else
		return false;
	b->captured = (uint8_t)(header + left);
	memset(b->data + b->captured, 0, sizeof(b->data) - b->captured);
	*p->interface = '\0';
	return true;
}
