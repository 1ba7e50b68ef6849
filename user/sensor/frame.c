/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decoder. A cursor runs over the captured bytes; each layer either steps over its header and
 * names the next one or gives up. Steps are counted, so that nested headers cannot keep it busy.
 */
#include <netinet/in.h>

#include "sensor/frame_impl.h"

#define QUOTE_SURE	 128 /* bytes of a quote that are no extension (RFC 4884 5) */
#define PORT_GTPU	 2152
#define PORT_VXLAN	 4789
#define PORT_VXLAN_LINUX 8472

#define SUM_LONGEST	 1480 /* bytes; more was put together by the card or the kernel */

static void tcp_options(struct frame *p, const uint8_t *o, const uint8_t *end)
{
	while (o < end && *o) {
		unsigned int len;

		if (*o == 1) { /* NOP */
			o++;
			continue;
		}
		if (end - o < 2)
			return;
		len = o[1];
		if (len < 2 || (size_t)(end - o) < len)
			return;
		switch (*o) {
		case 2:
			if (len == 4)
				p->mss = be16(o + 2);
			break;
		case 3:
			if (len == 3)
				p->wscale = o[2] > 14 ? 14 : o[2]; /* RFC 7323 2.3 */
			break;
		case 4:
			p->has |= HAS_SACK_OK;
			break;
		case 5:
			for (unsigned int i = 2; i + 8 <= len && p->n_sacks < FRAME_SACKS; i += 8) {
				p->sacks[p->n_sacks][0] = be32(o + i);
				p->sacks[p->n_sacks++][1] = be32(o + i + 4);
			}
			break;
		case 8:
			if (len == 10) {
				p->has |= HAS_TIMESTAMPS;
				p->tsval = be32(o + 2);
				p->tsecr = be32(o + 6);
			}
			break;
		default:
			break;
		}
		o += len;
	}
}

/* RFC 1071: the sum of 16-bit words in any byte order, so of larger ones as well. */
static uint64_t sum_of(const uint8_t *at, size_t len, uint64_t sum)
{
	uint32_t word;

	for (; len >= sizeof(word); len -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, at, len);
	return sum + word;
}

/* RFC 9293 3.1 with the pseudo-header of RFC 791 or RFC 8200 8.1. */
static bool sum_is_good(const struct frame *p, const uint8_t *segment, uint32_t len)
{
	size_t addr = p->family == 4 ? 4 : 16;
	uint64_t sum = __builtin_bswap32(IPPROTO_TCP) + (uint64_t)__builtin_bswap32(len);

	sum = sum_of(p->src.bytes, addr, sum);
	sum = sum_of(p->dst.bytes, addr, sum);
	sum = sum_of(segment, len, sum);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* left: bytes of the segment that were captured, here and below. */
static inline void check_sum(struct frame *p, const uint8_t *segment, uint32_t len, size_t left)
{
	bool fresh = p->ttl == 64 || p->ttl == 128 || p->ttl == 255;

	if (!fresh && p->payload && len <= SUM_LONGEST && left >= len && !(p->has & HAS_MORE_FRAGS))
		p->has |= sum_is_good(p, segment, len) ? HAS_GOOD_SUM : HAS_BAD_SUM;
}

/* ip_payload: bytes behind the IP header, as the header says. */
static inline void tcp(struct frame *p, const uint8_t *t, size_t left, uint32_t ip_payload)
{
	unsigned int header, got;

	p->kind = FRAME_CUT;
	if (left < 4)
		return;
	p->sport = be16(t);
	p->dport = be16(t + 2);
	if (left < 16)
		return;
	header = (t[12] >> 4) * 4;
	if (header < 20 || header > ip_payload)
		return;
	p->kind = FRAME_TCP;
	p->seq = be32(t + 4);
	p->ack = be32(t + 8);
	p->flags = t[13];
	p->window = be16(t + 14);
	p->payload = ip_payload - header;
	check_sum(p, t, ip_payload, left);
	got = left < header ? (unsigned int)left : header;
	if (got == header)
		p->has |= HAS_OPTIONS;
	if (got == 32 && be32(t + 20) == 0x0101080a) { /* what nearly every segment has */
		p->has |= HAS_TIMESTAMPS;
		p->tsval = be32(t + 24);
		p->tsecr = be32(t + 28);
	} else if (got > 20) {
		tcp_options(p, t + 20, t + got);
	}
}

static void tunnelled(struct cursor *c, enum tunnel_kind kind, uint32_t id)
{
	struct frame *p = c->p;

	if (p->tunnel)
		return;
	p->tunnel = kind;
	p->tunnel_id = id;
	p->outer_src = p->src;
	p->outer_dst = p->dst;
	p->outer_family = p->family;
}

/* RFC 2784, RFC 2890; ERSPAN types I and II carry an Ethernet frame. */
static void gre(struct cursor *c)
{
	const uint8_t *g = take(c, 4);
	unsigned int flags, type;
	uint32_t key = 0;

	if (!g)
		return;
	flags = be16(g);
	type = be16(g + 2);
	if ((flags & 7) || (flags & 0x4000)) /* another version, source routes */
		return;
	if ((flags & 0x8000) && !take(c, 4))
		return;
	if (flags & 0x2000) {
		const uint8_t *k = take(c, 4);

		if (!k)
			return;
		key = be32(k);
	}
	if ((flags & 0x1000) && !take(c, 4))
		return;
	tunnelled(c, TUNNEL_GRE, key);
	if (type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6)
		frame_ip(c);
	else if (type == ETHERTYPE_TEB)
		frame_ethernet(c);
	else if (type == ETHERTYPE_ERSPAN && (!(flags & 0x1000) || take(c, 8)))
		frame_ethernet(c);
}

/* 3GPP TS 29.281 5.1: message type 255 is a user packet. */
static void gtpu(struct cursor *c)
{
	const uint8_t *g = take(c, 8), *x;
	uint32_t teid;
	int next;

	if (!g || (g[0] & 0xf0) != 0x30 || g[1] != 0xff)
		return;
	teid = be32(g + 4);
	if (g[0] & 7) {
		x = take(c, 4);
		if (!x)
			return;
		next = g[0] & 4 ? x[3] : 0;
		for (int i = 0; next && i < MAX_LAYERS; i++) {
			size_t len = left(c) ? c->at[0] * 4u : 0;

			x = len >= 4 ? take(c, len) : NULL;
			if (!x)
				return;
			next = x[len - 1];
		}
	}
	tunnelled(c, TUNNEL_GTPU, teid);
	frame_ip(c);
}

static void udp(struct cursor *c)
{
	const uint8_t *u = take(c, 8), *v;
	unsigned int from, to;

	if (!u)
		return;
	from = be16(u);
	to = be16(u + 2);
	if (to == PORT_GTPU || from == PORT_GTPU) {
		gtpu(c);
	} else if (to == PORT_VXLAN || to == PORT_VXLAN_LINUX) {
		v = take(c, 8);
		if (!v || !(v[0] & 0x08)) /* RFC 7348: the VNI must be valid */
			return;
		tunnelled(c, TUNNEL_VXLAN, be32(v + 4) >> 8);
		frame_ethernet(c);
	}
}

/* Most routers quote more than the eight bytes of TCP that RFC 792 asks for. */
static void quoted_more(struct frame *p, const uint8_t *t, size_t len)
{
	size_t header = len < 20 ? 0 : (t[12] >> 4) * 4u;

	if (header < 20)
		return;
	p->ack = be32(t + 8);
	p->flags = t[13];
	p->window = be16(t + 14);
	if (header > 20 && header <= len)
		tcp_options(p, t + 20, t + header);
}

/* What an ICMP error quotes: an IP header and at least eight bytes of TCP. */
static void quoted(struct cursor *c, const struct frame *icmp)
{
	struct frame *p = c->p;
	const uint8_t *q = c->at;
	size_t header;

	if (left(c) < 20)
		return;
	if (q[0] >> 4 == 4) {
		header = (q[0] & 15) * 4u;
		if (header < 20 || q[9] != 6 || (be16(q + 6) & 0x1fff) || left(c) < header + 8)
			return;
		p->family = 4;
		p->src = p->dst = (union frame_addr){.words = {0}};
		memcpy(p->src.bytes, q + 12, 4);
		memcpy(p->dst.bytes, q + 16, 4);
		p->ip_len = be16(q + 2);
		p->ip_id = be16(q + 4);
	} else if (q[0] >> 4 == 6) {
		header = 40;
		if (left(c) < header + 8 || q[6] != 6)
			return;
		p->family = 6;
		memcpy(p->src.bytes, q + 8, 16);
		memcpy(p->dst.bytes, q + 24, 16);
		p->ip_len = (uint16_t)(be16(q + 4) > 65495 ? 65535 : be16(q + 4) + 40);
	} else {
		return;
	}
	p->icmp_from = icmp->src;
	p->icmp_family = icmp->family;
	p->sport = be16(q + header);
	p->dport = be16(q + header + 2);
	p->seq = be32(q + header + 4);
	p->kind = FRAME_ICMP;
	quoted_more(p, q + header, (left(c) < QUOTE_SURE ? left(c) : QUOTE_SURE) - header);
}

static void icmp(struct cursor *c)
{
	struct frame outer = *c->p;
	const uint8_t *i = take(c, 8);
	bool error;

	if (!i)
		return;
	if (outer.family == 4)
		error = i[0] == 3 || i[0] == 4 || i[0] == 11 || i[0] == 12;
	else
		error = i[0] >= 1 && i[0] <= 4;
	if (!error)
		return;
	c->p->icmp_type = i[0];
	c->p->icmp_code = i[1];
	c->p->icmp_mtu = 0;
	if (outer.family == 4 && i[0] == 3 && i[1] == 4)
		c->p->icmp_mtu = be16(i + 6);
	else if (outer.family == 6 && i[0] == 2)
		c->p->icmp_mtu = be32(i + 4);
	quoted(c, &outer);
}

/* What IP carries; length: bytes of it by the IP header. */
static void transport(struct cursor *c, int proto, uint32_t length)
{
	if (__builtin_expect(proto == 6, 1)) {
		tcp(c->p, c->at, left(c), length);
		return;
	}
	switch (proto) {
	case 17:
		udp(c);
		break;
	case 1:
	case 58:
		icmp(c);
		break;
	case 4:
	case 41:
		tunnelled(c, TUNNEL_IPIP, 0);
		frame_ip(c);
		break;
	case 47:
		gre(c);
		break;
	default:
		break;
	}
}

/* A fragment: the first one goes on with what follows, of a later one only the length is told. */
static void fragment(struct cursor *c, int proto, uint32_t offset, bool more, uint32_t length)
{
	struct frame *p = c->p;

	if (more)
		p->has |= HAS_MORE_FRAGS;
	if (!offset) {
		transport(c, proto, length);
	} else if (proto == 6) {
		p->kind = FRAME_FRAGMENT;
		p->payload = length;
	}
}

/* RFC 3168 5: the last two bits of the traffic class. */
static const uint8_t ecn[4] = {0, HAS_ECT, HAS_ECT, HAS_ECT | HAS_CE};

/* In one store: the hash reads it back as words. */
static inline void set_v4(union frame_addr *a, const uint8_t *p)
{
	union frame_addr v4 = {.words = {0}};

	memcpy(v4.bytes, p, 4);
	a->words[0] = v4.words[0];
	a->words[1] = 0;
}

static inline void ipv4_header(struct frame *p, const uint8_t *h, uint32_t total)
{
	p->family = 4;
	set_v4(&p->src, h + 12);
	set_v4(&p->dst, h + 16);
	p->ttl = h[8];
	p->ip_id = be16(h + 4);
	p->ip_len = (uint16_t)(total > 65535 ? 65535 : total);
	p->has = ecn[h[1] & 3];
}

static void ipv4(struct cursor *c)
{
	const uint8_t *h = c->at;
	struct frame *p = c->p;
	unsigned int header, total, frag;

	if (left(c) < 20)
		return;
	header = (h[0] & 15) * 4u;
	if (header < 20 || left(c) < header)
		return;
	total = be16(h + 2);
	if (!total) /* a segment still to be cut by the NIC */
		total = (uint32_t)(c->wire_end - h);
	if (total < header)
		return;
	ipv4_header(p, h, total);
	if ((size_t)(c->end - h) > total) /* padding of short frames is no data */
		c->end = h + total;
	c->at += header;
	frag = be16(h + 6) & 0x3fff;
	if (__builtin_expect(!frag, 1)) {
		transport(c, h[9], total - header);
	} else {
		p->frag_id = p->ip_id;
		fragment(c, h[9], (frag & 0x1fff) * 8, frag & 0x2000, total - header);
	}
}

/* RFC 8200 4: extension headers before the payload. */
static void ipv6(struct cursor *c)
{
	const uint8_t *h = take(c, 40), *x;
	struct frame *p = c->p;
	uint32_t length, used;
	int next;

	if (!h)
		return;
	length = be16(h + 4);
	if (!length)
		length = c->wire_end > c->at ? (uint32_t)(c->wire_end - c->at) : 0;
	p->family = 6;
	memcpy(p->src.bytes, h + 8, 16);
	memcpy(p->dst.bytes, h + 24, 16);
	p->ttl = h[7];
	p->ip_id = 0;
	p->ip_len = (uint16_t)(length > 65495 ? 65535 : length + 40);
	p->has = ecn[h[1] >> 4 & 3];
	if (left(c) > length)
		c->end = c->at + length;
	next = h[6];
	for (int i = 0; i < MAX_LAYERS; i++) {
		uint32_t len = 8;

		switch (next) {
		case 0:	 /* hop-by-hop */
		case 43: /* routing */
		case 60: /* destination */
		case 51: /* authentication, RFC 4302 */
			if (left(c) < 8)
				return;
			len = next == 51 ? (c->at[1] + 2u) * 4 : (c->at[1] + 1u) * 8;
			x = take(c, len);
			break;
		case 44: /* fragment */
			x = take(c, len);
			if (!x || len > length)
				return;
			if (be16(x + 2) & 0xfff9) {
				p->frag_id = be32(x + 4);
				fragment(c, x[0], be16(x + 2) & 0xfff8, x[3] & 1, length - 8);
				return;
			}
			break;
		default:
			transport(c, next, length);
			return;
		}
		used = len;
		if (!x || used > length)
			return;
		length -= used;
		next = x[0];
	}
}

void frame_ip(struct cursor *c)
{
	if (!left(c) || ++c->layers > MAX_LAYERS)
		return;
	if (c->at[0] >> 4 == 4)
		ipv4(c);
	else if (c->at[0] >> 4 == 6)
		ipv6(c);
}

/* What nearly every packet is: Ethernet, IPv4 without options or fragments, TCP. */
static inline bool is_plain(const uint8_t *data, uint32_t captured)
{
	return captured >= 34 && be16(data + 12) == ETHERTYPE_IPV4 && data[14] == 0x45 &&
	       data[23] == 6 && !(be16(data + 20) & 0x3fff) && be16(data + 16) >= 20;
}

static inline void plain(const uint8_t *data, uint32_t captured, struct frame *p)
{
	const uint8_t *h = data + 14;
	uint32_t total = be16(h + 2);
	size_t ip = captured - 14 < total ? captured - 14 : total; /* the rest is padding */

	ipv4_header(p, h, total);
	tcp(p, h + 20, ip - 20, total - 20);
}

void frame_decode(int linktype, const uint8_t *data, uint32_t captured, uint32_t length,
		  struct frame *ret)
{
	struct cursor c;

	/* Addresses and what is only read for its own kind stay as they are. */
	ret->kind = FRAME_OTHER;
	ret->flags = ret->has = ret->n_sacks = ret->tunnel = 0;
	ret->wscale = 0xff;
	ret->mss = 0;
	ret->payload = 0;
	ret->tsval = ret->tsecr = 0;
	if (linktype == 1 && __builtin_expect(is_plain(data, captured), 1)) {
		plain(data, captured, ret);
		return;
	}
	c = (struct cursor){
		.at = data,
		.end = data + captured,
		.wire_end = data + (length > captured ? length : captured),
		.p = ret,
	};
	if (linktype == 1)
		frame_ethernet(&c);
	else
		frame_link(&c, linktype);
}

struct ip_addr frame_addr_of(const union frame_addr *a, uint8_t family)
{
	return family == 6 ? addr_v6(a->bytes) : addr_v4(a->bytes);
}

const char *tunnel_name(enum tunnel_kind kind)
{
	static const char *const names[] = {
		[TUNNEL_NONE] = "none",	 [TUNNEL_GRE] = "gre",	     [TUNNEL_VXLAN] = "vxlan",
		[TUNNEL_GTPU] = "gtp-u", [TUNNEL_IPIP] = "ip-in-ip",
	};

	return names[kind];
}
