/* SPDX-License-Identifier: GPL-2.0-only */
#include "sensor/reconstruct.h"

#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "sensor/frame.h"

#define MAC_LEN	     6
#define IP4_MIN	     20
#define IP6_MIN	     40
#define TCP_MIN	     20
#define IP4_PROTOCOL 9
#define IP6_NEXT     6
#define IP4_ID	     4
#define IP4_LEN	     2
#define IP4_TTL	     8
#define IP4_SUM	     10
#define IP4_SRC	     12
#define IP6_LEN	     4
#define IP6_HLIM     7
#define IP6_SRC	     8
#define TTL_USUAL    64 /* net.ipv4.ip_default_ttl unless somebody has changed it */

bool boxed_of(struct box_packet *p, struct boxed *ret)
{
	const size_t link = p->linktype == LINKTYPE_ETHERNET ? 2 * MAC_LEN + 2 : 0;
	struct boxed b = {.ip = p->data + link};
	size_t ip_len, total;

	if (p->captured < link + IP4_MIN)
		return false;
	b.v6 = b.ip[0] >> 4 == 6;
	ip_len = b.v6 ? IP6_MIN : (b.ip[0] & 15) * 4u;
	if ((!b.v6 && b.ip[0] >> 4 != 4) || ip_len < IP4_MIN ||
	    p->captured < link + ip_len + TCP_MIN ||
	    b.ip[b.v6 ? IP6_NEXT : IP4_PROTOCOL] != IPPROTO_TCP)
		return false;
	b.tcp = b.ip + ip_len;
	b.tcp_len = (b.tcp[12] >> 4) * 4u;
	total = link + ip_len + b.tcp_len;
	if (b.tcp_len < TCP_MIN || p->captured < total || p->length < total)
		return false;
	b.seq = be32(b.tcp + 4);
	b.ack = be32(b.tcp + 8);
	b.flags = b.tcp[13];
	b.payload = p->length - (uint32_t)total;
	*ret = b;
	return true;
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	uint8_t was[16];

	memcpy(was, a, len);
	memcpy(a, b, len);
	memcpy(b, was, len);
}

/* The way back: addresses of all layers. */
static void turn(struct box_packet *p, const struct boxed *b)
{
	const size_t len = b->v6 ? 16 : 4;
	uint8_t *src = b->ip + (b->v6 ? IP6_SRC : IP4_SRC);

	if (p->linktype == LINKTYPE_ETHERNET)
		swap(p->data, p->data + MAC_LEN, MAC_LEN);
	swap(src, src + len, len);
	swap(b->tcp, b->tcp + 2, 2);
	p->flags ^= BOX_OUT;
}

/* The segment ends with its header, of tcp_len bytes: lengths and checksums follow from that. */
static void seal(struct box_packet *p, const struct boxed *b, size_t tcp_len)
{
	const size_t ip_len = (size_t)(b->tcp - b->ip);
	uint32_t sum = (uint32_t)tcp_len + 6; /* the pseudo header: length and protocol */

	b->tcp[12] = (uint8_t)(tcp_len / 4 << 4);
	if (b->v6) {
		put_be16(b->ip + IP6_LEN, (uint16_t)(ip_len - 40 + tcp_len));
		sum = sum16(sum, b->ip + IP6_SRC, 32);
	} else {
		put_be16(b->ip + IP4_LEN, (uint16_t)(ip_len + tcp_len));
		put_be16(b->ip + IP4_ID, 0);
		put_be16(b->ip + IP4_SUM, 0);
		put_be16(b->ip + IP4_SUM, ~sum16(0, b->ip, ip_len));
		sum = sum16(sum, b->ip + IP4_SRC, 8);
	}
	put_be16(b->tcp + 16, 0);
	put_be16(b->tcp + 18, 0); /* urgent pointer */
	put_be16(b->tcp + 16, ~sum16(sum, b->tcp, tcp_len));
	p->length = (uint32_t)((size_t)(b->tcp - p->data) + tcp_len);
	p->captured = (uint8_t)p->length;
	p->flags |= BOX_RECONSTRUCTED;
}

void reconstruct_reset(struct box_packet *p)
{
	struct boxed b;
	uint32_t end;
	bool acks;

	if (!boxed_of(p, &b))
		return;
	end = b.seq + b.payload + !!(b.flags & TCP_SYN) + !!(b.flags & TCP_FIN);
	acks = b.flags & TCP_ACK;
	turn(p, &b);
	put_be32(b.tcp + 4, acks ? b.ack : 0);
	put_be32(b.tcp + 8, acks ? 0 : end);
	b.tcp[13] = acks ? TCP_RST : TCP_RST | TCP_ACK;
	put_be16(b.tcp + 14, 0);
	b.ip[b.v6 ? IP6_HLIM : IP4_TTL] = TTL_USUAL;
	seal(p, &b, TCP_MIN);
}

/* RFC 7323: the option's two values, as on the wire. */
static bool timestamps(const struct boxed *b, uint8_t ret[8])
{
	uint32_t at = TCP_MIN;

	while (at + 1 < b->tcp_len && b->tcp[at]) {
		if (b->tcp[at] == 1) {
			at++;
			continue;
		}
		if (b->tcp[at] == 8 && b->tcp[at + 1] == 10 && at + 10 <= b->tcp_len) {
			memcpy(ret, b->tcp + at + 2, 8);
			return true;
		}
		if (b->tcp[at + 1] < 2)
			return false;
		at += b->tcp[at + 1];
	}
	return false;
}

static uint8_t *put_option(uint8_t *at, uint8_t kind, uint8_t len, uint32_t value)
{
	at[0] = kind;
	at[1] = len;
	if (len == 3)
		at[2] = (uint8_t)value;
	else if (len == 4)
		put_be16(at + 2, (uint16_t)value);
	return at + len;
}

/* One of the handshake's segments, made over from any segment the same way. */
static void rewrite(struct box_packet *p, const struct settled *s, uint8_t flags, uint32_t seq,
		    uint32_t ack)
{
	const bool out = p->flags & BOX_OUT;
	uint8_t stamps[8], *at;
	struct boxed b;
	bool stamped;

	if (!boxed_of(p, &b))
		return;
	at = b.tcp + TCP_MIN;
	stamped = s->timestamps && timestamps(&b, stamps);
	put_be32(b.tcp + 4, seq);
	put_be32(b.tcp + 8, ack);
	b.tcp[13] = flags;
	if (flags & TCP_SYN) {
		put_be16(b.tcp + 14, 0xffff);
		at = put_option(at, 2, 4, out ? s->rcv_mss : s->snd_mss);
		if (s->snd_wscale || s->rcv_wscale)
			at = put_option(at, 3, 3, out ? s->rcv_wscale : s->snd_wscale);
		if (s->sack)
			at = put_option(at, 4, 2, 0);
	}
	if (stamped) {
		if (flags == TCP_SYN)
			put_be32(stamps + 4, 0);
		at = put_option(at, 8, 10, 0);
		memcpy(at - 8, stamps, 8);
	}
	while ((at - b.tcp) % 4)
		*at++ = 1; /* no operation */
	p->flags &= BOX_OUT;
	seal(p, &b, (size_t)(at - b.tcp));
}

static bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* A sequence space as far as it has been seen. */
struct lowest {
	uint32_t seq;
	bool known;
};

static void lower(struct lowest *l, uint32_t seq)
{
	if (!l->known || before(seq, l->seq))
		*l = (struct lowest){seq, true};
}

/* The first packet each way, and where the sequence numbers of either end begin. [0] in, [1] out.
 */
struct begin {
	const struct box_packet *first[2];
	struct lowest from[2];
	bool handshake;
};

static struct begin begin_of(struct box_packet *packets, uint32_t n)
{
	struct begin r = {0};

	for (uint32_t i = 0; i < n; i++) {
		const bool out = packets[i].flags & BOX_OUT;
		struct boxed b;

		if (!boxed_of(&packets[i], &b) || b.flags & TCP_RST)
			continue;
		r.handshake |= (b.flags & TCP_SYN) != 0;
		if (!r.first[out])
			r.first[out] = &packets[i];
		lower(&r.from[out], b.seq);
		if (b.flags & TCP_ACK)
			lower(&r.from[!out], b.ack);
	}
	return r;
}

/* A packet of this direction to begin with; at worst one of the other, turned around. */
static struct box_packet model(const struct begin *begin, bool out)
{
	struct box_packet p = begin->first[out] ? *begin->first[out] : *begin->first[!out];
	struct boxed b;

	if (!begin->first[out] && boxed_of(&p, &b))
		turn(&p, &b);
	return p;
}

int reconstruct_handshake(const struct flow_key *key, const struct settled *settled,
			  struct box_packet *packets, uint32_t n, struct box_packet ret[3])
{
	/* Unless it is known: of two ports the one that was chosen at random is mostly larger. */
	const bool here =
		settled->connected || (!settled->accepted && key->local.port > key->remote.port);
	const struct begin begin = begin_of(packets, n);
	uint32_t syn, reply;
	uint64_t end_ns;

	if (begin.handshake || (!begin.first[0] && !begin.first[1]) || !begin.from[0].known ||
	    !begin.from[1].known || packets[0].time_ns <= settled->rtt_ns + NS_PER_US)
		return 0;
	syn = begin.from[here].seq - 1;
	reply = begin.from[!here].seq - 1;
	ret[0] = ret[2] = model(&begin, here);
	ret[1] = model(&begin, !here);
	rewrite(&ret[0], settled, TCP_SYN, syn, 0);
	rewrite(&ret[1], settled, TCP_SYN | TCP_ACK, reply, syn + 1);
	rewrite(&ret[2], settled, TCP_ACK, syn + 1, reply + 1);

	/* Seen from here, the round trip ends with what the peer sends. */
	end_ns = packets[0].time_ns - NS_PER_US;
	ret[0].time_ns = end_ns - settled->rtt_ns;
	ret[1].time_ns = here ? end_ns : ret[0].time_ns;
	ret[2].time_ns = end_ns;
	return 3;
}

void reconstruct_addresses(const struct flow_key *key, struct box_packet *p)
{
	const bool out = p->flags & BOX_OUT;
	const struct endpoint *from = out ? &key->local : &key->remote;
	const struct endpoint *to = out ? &key->remote : &key->local;
	uint8_t *src, *dst;
	struct boxed b;
	size_t len;

	if (!boxed_of(p, &b) || b.v6 != (from->addr.family == AF_INET6))
		return;
	len = b.v6 ? 16 : 4;
	src = b.ip + (b.v6 ? IP6_SRC : IP4_SRC);
	dst = src + len;
	if (!memcmp(src, from->addr.bytes, len) && !memcmp(dst, to->addr.bytes, len) &&
	    be16(b.tcp) == from->port && be16(b.tcp + 2) == to->port)
		return;
	memcpy(src, from->addr.bytes, len);
	memcpy(dst, to->addr.bytes, len);
	put_be16(b.tcp, from->port);
	put_be16(b.tcp + 2, to->port);
	p->flags |= BOX_RECONSTRUCTED;
}
