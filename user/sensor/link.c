/* SPDX-License-Identifier: GPL-2.0-only */
/* Link layers: each steps over its header to the IP packet inside. */
#include <stdio.h>

#include "sensor/frame_impl.h"

#define ETHERTYPE_VLAN	   0x8100
#define ETHERTYPE_MPLS	   0x8847
#define ETHERTYPE_MPLS_MC  0x8848
#define ETHERTYPE_PPPOE	   0x8864
#define ETHERTYPE_QINQ	   0x88a8
#define ETHERTYPE_QINQ_OLD 0x9100
#define PPP_IPV4	   0x0021
#define PPP_IPV6	   0x0057

static void ppp_protocol(struct cursor *c)
{
	unsigned int proto;
	const uint8_t *h;

	if (!left(c))
		return;
	if (c->at[0] & 1) { /* RFC 1661 6.5: compressed to one byte */
		proto = *take(c, 1);
	} else {
		h = take(c, 2);
		if (!h)
			return;
		proto = be16(h);
	}
	if (proto == PPP_IPV4 || proto == PPP_IPV6)
		frame_ip(c);
}

static void ppp(struct cursor *c)
{
	if (left(c) >= 2 && c->at[0] == 0xff && c->at[1] == 0x03)
		c->at += 2;
	ppp_protocol(c);
}

static void mpls(struct cursor *c)
{
	const uint8_t *label;

	do {
		label = take(c, 4);
	} while (label && !(label[2] & 1));
	if (!label || !left(c))
		return;
	if (c->at[0] >> 4 == 4 || c->at[0] >> 4 == 6) {
		frame_ip(c);
	} else if (c->at[0] >> 4 == 0 && take(c, 4)) { /* RFC 4448: a control word, then Ethernet */
		frame_ethernet(c);
	}
}

static void ethertype(struct cursor *c, unsigned int type)
{
	const uint8_t *h;

	while (++c->layers < MAX_LAYERS) {
		switch (type) {
		case ETHERTYPE_IPV4:
		case ETHERTYPE_IPV6:
			frame_ip(c);
			return;
		case ETHERTYPE_VLAN:
		case ETHERTYPE_QINQ:
		case ETHERTYPE_QINQ_OLD:
			h = take(c, 4);
			if (!h)
				return;
			type = be16(h + 2);
			continue;
		case ETHERTYPE_MPLS:
		case ETHERTYPE_MPLS_MC:
			mpls(c);
			return;
		case ETHERTYPE_PPPOE:
			if (take(c, 6))
				ppp_protocol(c);
			return;
		default:
			return;
		}
	}
}

static void llc(struct cursor *c)
{
	const uint8_t *h = take(c, 3);

	if (!h)
		return;
	if (h[0] == 0xaa && h[1] == 0xaa) {
		h = take(c, 5);
		if (h)
			ethertype(c, be16(h + 3));
	} else if (h[0] == 0x06) { /* IP over LLC, RFC 948 */
		frame_ip(c);
	} else if (h[0] == 0xfe && h[1] == 0xfe && take(c, 1)) { /* NLPID, RFC 2684 */
		frame_ip(c);
	}
}

void frame_ethernet(struct cursor *c)
{
	const uint8_t *h = take(c, 14);
	unsigned int type;

	if (!h || ++c->layers > MAX_LAYERS)
		return;
	type = be16(h + 12);
	if (__builtin_expect(type == ETHERTYPE_IPV4, 1))
		frame_ip(c);
	else if (type >= 0x600)
		ethertype(c, type);
	else
		llc(c);
}

static void raw(struct cursor *c)
{
	frame_ip(c);
}

/* The family's number differs from system to system; the first nibble of IP does not. */
static void null_loopback(struct cursor *c)
{
	if (take(c, 4))
		frame_ip(c);
}

static void sll(struct cursor *c)
{
	const uint8_t *h = take(c, 16);

	if (h)
		ethertype(c, be16(h + 14));
}

static void sll2(struct cursor *c)
{
	const uint8_t *h = take(c, 20);

	if (h)
		ethertype(c, be16(h));
}

static void c_hdlc(struct cursor *c)
{
	const uint8_t *h = take(c, 4);

	if (h)
		ethertype(c, be16(h + 2));
}

static void slip(struct cursor *c)
{
	if (take(c, 16))
		frame_ip(c);
}

/* RFC 2427: Q.922 address, control, NLPID; or the ethertype that Cisco puts there. */
static void frame_relay(struct cursor *c)
{
	const uint8_t *h = take(c, 4);

	if (!h)
		return;
	if (h[2] == 0x03 && h[3] == 0xcc) {
		frame_ip(c);
	} else if (h[2] == 0x03 && h[3] == 0x00) {
		h = take(c, 6);
		if (h)
			ethertype(c, be16(h + 4));
	} else {
		ethertype(c, be16(h + 2));
	}
}

static void fddi(struct cursor *c)
{
	if (take(c, 13))
		llc(c);
}

/* IEEE 802.11 data frames that are not encrypted. */
static void wifi(struct cursor *c)
{
	const uint8_t *h = c->at;
	size_t len = 24;

	if (left(c) < len || (h[0] & 0x0c) != 0x08 || (h[0] & 0x40) || (h[1] & 0x40))
		return;
	if ((h[1] & 3) == 3)
		len += 6;
	if (h[0] & 0x80) {
		len += 2;
		if (h[1] & 0x80)
			len += 4;
	}
	if (take(c, len))
		llc(c);
}

static void radiotap(struct cursor *c)
{
	const uint8_t *h = c->at;

	if (left(c) < 8 || !take(c, (size_t)(h[2] | h[3] << 8)))
		return;
	wifi(c);
}

/* Attributes as in netlink; number 9 is the packet. */
static void nflog(struct cursor *c)
{
	if (!take(c, 4))
		return;
	for (int i = 0; i < MAX_LAYERS && left(c) >= 4; i++) {
		size_t len = (size_t)(c->at[0] | c->at[1] << 8);
		unsigned int type = (unsigned int)(c->at[2] | c->at[3] << 8) & 0x7fff;

		if (len < 4)
			return;
		if (type == 9) {
			c->at += 4;
			frame_ip(c);
			return;
		}
		if (!take(c, (len + 3) & ~(size_t)3))
			return;
	}
}

static const struct link {
	int type;
	const char *name;
	void (*decode)(struct cursor *);
} links[] = {
	{1, "Ethernet", frame_ethernet},
	{0, "BSD loopback", null_loopback},
	{108, "OpenBSD loopback", null_loopback},
	{101, "raw IP", raw},
	{12, "raw IP", raw},
	{14, "raw IP", raw},
	{228, "raw IPv4", raw},
	{229, "raw IPv6", raw},
	{113, "Linux cooked", sll},
	{276, "Linux cooked v2", sll2},
	{9, "PPP", ppp},
	{50, "PPP", ppp},
	{166, "PPP", ppp},
	{104, "Cisco HDLC", c_hdlc},
	{107, "Frame Relay", frame_relay},
	{8, "SLIP", slip},
	{10, "FDDI", fddi},
	{100, "LLC over ATM", llc},
	{105, "802.11", wifi},
	{127, "802.11 with radiotap", radiotap},
	{239, "NFLOG", nflog},
};
#define N_LINKS (sizeof(links) / sizeof(*links))

static const struct link *link_find(int linktype)
{
	for (size_t i = 0; i < N_LINKS; i++)
		if (links[i].type == linktype)
			return &links[i];
	return NULL;
}

const char *linktype_name(int linktype)
{
	const struct link *link = link_find(linktype);

	return link ? link->name : NULL;
}

const char *linktypes_known(char *buf, size_t len)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < N_LINKS; i++) {
		if (i && !strcmp(links[i].name, links[i - 1].name))
			continue;
		used += (size_t)snprintf(buf + used, len - used, "%s%s", used ? ", " : "",
					 links[i].name);
		if (used >= len)
			break;
	}
	return buf;
}

void frame_link(struct cursor *c, int linktype)
{
	const struct link *link = link_find(linktype);

	if (link)
		link->decode(c);
}
