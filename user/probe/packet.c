/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writing probes and reading answers: IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293), timestamps
 * (RFC 7323), SACK (RFC 2018), ICMP (RFC 792) and ICMPv6 (RFC 4443) errors.
 *
 * A quote is trusted for the 8 bytes behind the IP header that RFC 792 promises: these hold both
 * ports and the sequence number. What follows may be the segment, padding or an RFC 4884 extension
 * (MPLS labels); older routers begin that after 128 bytes without saying so.
 */
#include "probe/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/icmp6.h>
#include <string.h>

#include "base/bytes.h"

#define IP4_LEN		 20
#define IP6_LEN		 40
#define TCP_LEN		 20
#define TIMESTAMPS_LEN	 12 /* NOP, NOP and the option */
#define SYN_OPTIONS_LEN	 20 /* MSS, SACK permitted, timestamps, NOP, window scale */
#define IP4_DF		 0x4000
#define IP4_OFFSET	 0x1fff
#define IP4_MORE	 0x2000
#define EXTENSIONS_MAX	 8 /* IPv6 extension headers that we walk */
#define ICMP_HEADER_LEN	 8
#define SYN_WINDOW_SCALE 7
#define QUOTE_SURE	 128 /* bytes of a quote that are no extension (RFC 4884 5) */

static uint32_t options_len(const struct segment *s)
{
	if (s->flags & TH_SYN)
		return SYN_OPTIONS_LEN;
	return s->timestamps ? TIMESTAMPS_LEN : 0;
}

uint32_t packet_header_len(const struct segment *s)
{
	return (s->dst.addr.family == AF_INET6 ? IP6_LEN : IP4_LEN) + TCP_LEN + options_len(s);
}

static uint8_t *put_timestamps(uint8_t *p, const struct segment *s)
{
	*p++ = TCPOPT_TIMESTAMP;
	*p++ = TCPOLEN_TIMESTAMP;
	put_be32(p, s->tsval);
	put_be32(p + 4, s->tsecr);
	return p + 8;
}

/* The order in which Linux writes them; see tcp_options_write(). */
static void put_options(uint8_t *p, const struct segment *s)
{
	if (s->flags & TH_SYN) {
		*p++ = TCPOPT_MAXSEG;
		*p++ = TCPOLEN_MAXSEG;
		put_be16(p, s->mss);
		p += 2;
		*p++ = TCPOPT_SACK_PERMITTED;
		*p++ = TCPOLEN_SACK_PERMITTED;
		p = put_timestamps(p, s);
		*p++ = TCPOPT_NOP;
		*p++ = TCPOPT_WINDOW;
		*p++ = TCPOLEN_WINDOW;
		*p = SYN_WINDOW_SCALE;
	} else if (s->timestamps) {
		*p++ = TCPOPT_NOP;
		*p++ = TCPOPT_NOP;
		put_timestamps(p, s);
	}
}

/* Returns the checksum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1). */
static uint32_t put_ip4(uint8_t *p, const struct segment *s, uint32_t total)
{
	p[0] = 0x45;
	p[1] = s->tos;
	put_be16(p + 2, total);
	put_be16(p + 4, s->ip_id);
	put_be16(p + 6, IP4_DF);
	p[8] = s->ttl;
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, s->src.addr.bytes, 4);
	memcpy(p + 16, s->dst.addr.bytes, 4);
	put_be16(p + 10, ~sum16(0, p, IP4_LEN) & 0xffff);
	return sum16(IPPROTO_TCP + total - IP4_LEN, p + 12, 8);
}

static uint32_t put_ip6(uint8_t *p, const struct segment *s, uint32_t total)
{
	put_be32(p, 6u << 28 | (uint32_t)s->tos << 20 | (s->flow_label & 0xfffff));
	put_be16(p + 4, total - IP6_LEN);
	p[6] = IPPROTO_TCP;
	p[7] = s->ttl;
	memcpy(p + 8, s->src.addr.bytes, 16);
	memcpy(p + 24, s->dst.addr.bytes, 16);
	return sum16(IPPROTO_TCP + total - IP6_LEN, p + 8, 32);
}

int packet_write(const struct segment *s, uint8_t *buf, size_t size)
{
	const bool v6 = s->dst.addr.family == AF_INET6;
	const uint32_t header = packet_header_len(s), ip_len = v6 ? IP6_LEN : IP4_LEN;
	uint8_t *tcp = buf + ip_len;
	uint32_t total, sum;

	if (s->payload > PACKET_MAX - header || header + s->payload > size)
		return -EMSGSIZE;
	total = header + s->payload;
	memset(buf, 0, total);

	put_be16(tcp, s->src.port);
	put_be16(tcp + 2, s->dst.port);
	put_be32(tcp + 4, s->seq);
	put_be32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)((TCP_LEN + options_len(s)) / 4 << 4);
	tcp[13] = s->flags;
	put_be16(tcp + 14, s->window);
	put_options(tcp + TCP_LEN, s);

	sum = v6 ? put_ip6(buf, s, total) : put_ip4(buf, s, total);
	put_be16(tcp + 16, ~sum16(sum, tcp, total - ip_len) & 0xffff);
	return (int)total;
}

int packet_copy(const uint8_t *packet, size_t len, uint8_t ttl, uint16_t ip_id, uint8_t *buf,
		size_t size)
{
	const bool v6 = len && packet[0] >> 4 == 6;
	const size_t ip_len = v6 ? IP6_LEN : IP4_LEN;
	uint8_t *tcp = buf + ip_len;
	uint32_t sum;

	if (len > size)
		return -EMSGSIZE;
	if (len < ip_len + TCP_LEN || len > PACKET_MAX ||
	    (v6 ? packet[6] != IPPROTO_TCP || be16(packet + 4) + ip_len != len
		: packet[0] != 0x45 || packet[9] != IPPROTO_TCP || be16(packet + 2) != len ||
			     be16(packet + 6) & (IP4_OFFSET | IP4_MORE)))
		return -EINVAL;
	memcpy(buf, packet, len);
	if (v6) {
		buf[7] = ttl;
		sum = sum16((uint32_t)(IPPROTO_TCP + len - ip_len), buf + 8, 32);
	} else {
		buf[8] = ttl;
		put_be16(buf + 4, ip_id);
		put_be16(buf + 10, 0);
		put_be16(buf + 10, ~sum16(0, buf, IP4_LEN) & 0xffff);
		sum = sum16((uint32_t)(IPPROTO_TCP + len - ip_len), buf + 12, 8);
	}
	put_be16(tcp + 16, 0);
	put_be16(tcp + 16, ~sum16(sum, tcp, len - ip_len) & 0xffff);
	return (int)len;
}

/* The IP layer of a packet or of a quote. `next` points behind its headers, inside the buffer. */
struct ip_layer {
	struct segment addressing; /* addresses, TTL, TOS, flow label, IP ID */
	uint8_t protocol;
	const uint8_t *next;
	size_t len;	 /* bytes of it that are there */
	uint32_t length; /* bytes of it that the header tells */
};

static bool read_ip4(const uint8_t *p, size_t len, struct ip_layer *ret)
{
	const size_t header = len ? (size_t)(p[0] & 15) * 4 : 0;

	if (header < IP4_LEN || len < header || be16(p + 6) & IP4_OFFSET)
		return false;
	*ret = (struct ip_layer){
		.addressing = {.tos = p[1], .ip_id = be16(p + 4), .ttl = p[8]},
		.protocol = p[9],
		.next = p + header,
		.len = len - header,
		.length = be16(p + 2) > header ? be16(p + 2) - (uint32_t)header : 0,
	};
	ret->addressing.src.addr = addr_v4(p + 12);
	ret->addressing.dst.addr = addr_v4(p + 16);
	return true;
}

/* Bytes of the extension header at p, 0 if it is none that we may step over. */
static size_t extension_len(uint8_t type, const uint8_t *p, size_t len)
{
	if (len < 8)
		return 0;
	switch (type) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return ((size_t)p[1] + 1) * 8;
	case IPPROTO_AH: /* RFC 4302 2.2 */
		return ((size_t)p[1] + 2) * 4;
	case IPPROTO_FRAGMENT: /* only the first fragment has the TCP header */
		return be16(p + 2) & 0xfff8 ? 0 : 8;
	default:
		return 0;
	}
}

static bool read_ip6(const uint8_t *p, size_t len, struct ip_layer *ret)
{
	if (len < IP6_LEN)
		return false;
	*ret = (struct ip_layer){
		.addressing = {.tos = (uint8_t)(be16(p) >> 4),
			       .flow_label = be32(p) & 0xfffff,
			       .ttl = p[7]},
		.protocol = p[6],
		.next = p + IP6_LEN,
		.len = len - IP6_LEN,
		.length = be16(p + 4),
	};
	ret->addressing.src.addr = addr_v6(p + 8);
	ret->addressing.dst.addr = addr_v6(p + 24);
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		size_t skip = extension_len(ret->protocol, ret->next, ret->len);

		if (!skip || skip > ret->len || skip > ret->length)
			break;
		ret->protocol = ret->next[0];
		ret->next += skip;
		ret->len -= skip;
		ret->length -= (uint32_t)skip;
	}
	return true;
}

static bool read_ip(const uint8_t *p, size_t len, struct ip_layer *ret)
{
	switch (len ? p[0] >> 4 : 0) {
	case 4:
		return read_ip4(p, len, ret);
	case 6:
		return read_ip6(p, len, ret);
	default:
		return false;
	}
}

static void read_option(uint8_t kind, const uint8_t *p, size_t len, struct segment *ret)
{
	switch (kind) {
	case TCPOPT_MAXSEG:
		if (len == 2)
			ret->mss = be16(p);
		break;
	case TCPOPT_TIMESTAMP:
		if (len == 8) {
			ret->timestamps = true;
			ret->tsval = be32(p);
			ret->tsecr = be32(p + 4);
		}
		break;
	case TCPOPT_SACK:
		for (; len >= 8 && ret->n_sacks < PACKET_SACKS_MAX; p += 8, len -= 8) {
			ret->sacks[ret->n_sacks].start = be32(p);
			ret->sacks[ret->n_sacks++].end = be32(p + 4);
		}
		break;
	}
}

static void read_options(const uint8_t *p, size_t len, struct segment *ret)
{
	while (len && p[0] != TCPOPT_EOL) {
		size_t step = 1;

		if (p[0] != TCPOPT_NOP) {
			if (len < 2 || p[1] < 2 || p[1] > len)
				return;
			step = p[1];
			read_option(p[0], p + 2, step - 2, ret);
		}
		p += step;
		len -= step;
	}
}

static bool read_segment(const struct ip_layer *ip, struct segment *ret)
{
	const uint8_t *p = ip->next;
	size_t header;

	if (ip->len < TCP_LEN)
		return false;
	header = (size_t)(p[12] >> 4) * 4;
	if (header < TCP_LEN || header > ip->length)
		return false;
	*ret = ip->addressing;
	ret->src.port = be16(p);
	ret->dst.port = be16(p + 2);
	ret->seq = be32(p + 4);
	ret->ack = be32(p + 8);
	ret->flags = p[13] & 0x3f;
	ret->window = be16(p + 14);
	ret->payload = ip->length - (uint32_t)header;
	read_options(p + TCP_LEN, (header < ip->len ? header : ip->len) - TCP_LEN, ret);
	return true;
}

static bool is_error(uint8_t protocol, uint8_t type)
{
	if (protocol == IPPROTO_ICMP)
		return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED;
	return type >= ICMP6_DST_UNREACH && type <= ICMP6_PARAM_PROB;
}

static bool read_error(const struct ip_layer *ip, struct icmp_error *ret)
{
	const uint8_t *p = ip->next;
	struct ip_layer quote;
	size_t headers, sure;

	if (ip->len < ICMP_HEADER_LEN || !is_error(ip->protocol, p[0]))
		return false;
	if (!read_ip(p + ICMP_HEADER_LEN, ip->len - ICMP_HEADER_LEN, &quote))
		return false;
	if (quote.protocol != IPPROTO_TCP || quote.len < 8)
		return false;
	headers = (size_t)(quote.next - p) - ICMP_HEADER_LEN;
	sure = headers + 8 > QUOTE_SURE ? 8 : QUOTE_SURE - headers;
	*ret = (struct icmp_error){
		.from = ip->addressing.src.addr,
		.ttl = ip->addressing.ttl,
		.type = p[0],
		.code = p[1],
		.quoted_src = {.addr = quote.addressing.src.addr, .port = be16(quote.next)},
		.quoted_dst = {.addr = quote.addressing.dst.addr, .port = be16(quote.next + 2)},
		.quoted_ip_id = quote.addressing.ip_id,
		.quoted_seq = be32(quote.next + 4),
		.quote = quote.next,
		.quote_len = quote.len < sure ? quote.len : sure,
	};
	if (ip->protocol == IPPROTO_ICMPV6 && p[0] == ICMP6_PACKET_TOO_BIG)
		ret->mtu = be32(p + 4);
	else if (ip->protocol == IPPROTO_ICMP && p[0] == ICMP_DEST_UNREACH &&
		 p[1] == ICMP_FRAG_NEEDED)
		ret->mtu = be16(p + 6); /* RFC 1191 4 */
	return true;
}

void packet_read(const uint8_t *buf, size_t len, struct packet *ret)
{
	const uint8_t icmp = len && buf[0] >> 4 == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	struct ip_layer ip;

	*ret = (struct packet){.kind = PACKET_OTHER};
	if (!read_ip(buf, len, &ip))
		return;
	if (ip.protocol == IPPROTO_TCP && read_segment(&ip, &ret->segment))
		ret->kind = PACKET_SEGMENT;
	else if (ip.protocol == icmp && read_error(&ip, &ret->error))
		ret->kind = PACKET_ICMP_ERROR;
}
