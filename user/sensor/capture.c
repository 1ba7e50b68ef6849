/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pcap and pcapng as in draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. The file is hostile:
 * no length is believed beyond LONGEST, no more than INTERFACES are remembered.
 */
#include "sensor/capture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/frame.h"
#include "sensor/stream.h"

#define LAST_SECOND	4500000000 /* since 1970; a clock beyond is none, and sums stay in range */
#define LONGEST		(1u << 20) /* bytes of a captured packet or of a block that we look into */
#define INTERFACES	1024
#define COMMENT_LEN	4096 /* of a section, as much as we keep */

#define MAGIC_USEC	0xa1b2c3d4
#define MAGIC_NSEC	0xa1b23c4d
#define MAGIC_MODIFIED	0xa1b2cd34
#define MAGIC_PCAPNG	0x0a0d0d0a
#define MAGIC_ORDER	0x1a2b3c4d

#define BLOCK_INTERFACE 1
#define BLOCK_PACKET	2 /* obsolete, still found */
#define BLOCK_SIMPLE	3
#define BLOCK_STATS	5
#define BLOCK_ENHANCED	6

#define OPTION_COMMENT	1
#define OPTION_NAME	2 /* of an interface */
#define OPTION_FLAGS	2 /* of a packet */
#define OPTION_TSRESOL	9
#define OPTION_TSOFFSET 14
#define OPTION_IFDROP	5
#define OPTION_OSDROP	7

struct interface {
	int linktype;
	bool known;
	uint8_t tsresol;
	uint32_t snaplen;
	int64_t offset_s;
	uint64_t dropped;
	char name[32];
};

struct capture {
	struct stream *stream;
	int (*next)(struct capture *, struct captured *);
	bool swapped, modified, old_lengths;
	uint32_t frac_ns; /* pcap: nanoseconds in a unit of the fraction */
	struct interface *interfaces;
	uint32_t n_interfaces;
	struct capture_counts counts;
	char comment[COMMENT_LEN]; /* of the section */
	char path[200];
	char why[CAPTURE_WHY_LEN];
};

static int fail(struct capture *c, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct capture *c, int err, const char *format, ...)
{
	int n = snprintf(c->why, sizeof(c->why), "%s: ", c->path);
	va_list args;

	va_start(args, format);
	vsnprintf(c->why + n, sizeof(c->why) - (size_t)n, format, args);
	va_end(args);
	return err;
}

static uint32_t get32(const struct capture *c, const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return c->swapped ? __builtin_bswap32(v) : v;
}

static uint16_t get16(const struct capture *c, const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return c->swapped ? __builtin_bswap16(v) : v;
}

static int fetch(struct capture *c, size_t n, bool at_end, const uint8_t **ret)
{
	size_t got;
	int err = stream_take(c->stream, n, ret, &got);

	if (err == -EIO || err == -EBADMSG)
		return fail(c, err, "%s after packet %llu", stream_why(c->stream),
			    (unsigned long long)c->counts.packets);
	if (err < 0)
		return fail(c, err, "cannot read: %s", strerror(-err));
	if (got == n)
		return 1;
	if (!got && at_end && !stream_cut(c->stream))
		return 0;
	return fail(c, -ENODATA, "cut off in the middle, after packet %llu",
		    (unsigned long long)c->counts.packets);
}

/* n bytes, or the reason why not; at_end: the file may end here. */
static inline int need(struct capture *c, size_t n, bool at_end, const uint8_t **ret)
{
	struct stream *s = c->stream;

	if (__builtin_expect(stream_left(s) < n, 0))
		return fetch(c, n, at_end, ret);
	*ret = s->at;
	s->at += n;
	return 1;
}

static int damaged(struct capture *c, const char *what)
{
	return fail(c, -EBADMSG, "damaged after packet %llu: %s",
		    (unsigned long long)c->counts.packets, what);
}

static void add_interface(struct capture *c, struct interface i)
{
	if (c->n_interfaces == INTERFACES)
		return;
	i.known = linktype_name(i.linktype) != NULL;
	c->interfaces[c->n_interfaces++] = i;
}

/* false: its link type cannot be read. */
static bool link_known(struct capture *c, const struct interface *i)
{
	if (i->known)
		return true;
	if (!c->counts.unknown_link++)
		c->counts.unknown_linktype = i->linktype;
	return false;
}

static int pcap_header(struct capture *c, uint32_t magic)
{
	const uint8_t *h;
	struct interface i = {0};
	int err = need(c, 24, false, &h);

	if (err < 0)
		return err;
	c->swapped = magic != MAGIC_USEC && magic != MAGIC_NSEC && magic != MAGIC_MODIFIED;
	magic = c->swapped ? __builtin_bswap32(magic) : magic;
	c->frac_ns = magic == MAGIC_NSEC ? 1 : 1000;
	c->modified = magic == MAGIC_MODIFIED;
	c->old_lengths = get16(c, h + 4) == 2 && get16(c, h + 6) < 3;
	i.linktype = (int)(get32(c, h + 20) & 0x03ffffff); /* the rest says how long the FCS is */
	add_interface(c, i);
	return 0;
}

static int pcap_next(struct capture *c, struct captured *ret)
{
	const struct interface *i = &c->interfaces[0];
	size_t header = c->modified ? 24 : 16;
	const uint8_t *h;
	uint32_t a, b;
	int err;

	do {
		err = need(c, header, true, &h);
		if (err <= 0)
			return err;
		ret->time_ns =
			(int64_t)get32(c, h) * 1000000000 + (int64_t)get32(c, h + 4) * c->frac_ns;
		a = get32(c, h + 8);
		b = get32(c, h + 12);
		/* Before version 2.3 the two lengths stood the other way round. */
		ret->captured = c->old_lengths ? b : a;
		ret->length = c->old_lengths ? a : b;
		if (ret->captured > LONGEST)
			return damaged(c, "a packet longer than any can be");
		err = need(c, ret->captured, false, &ret->data);
		if (err < 0)
			return err;
		c->counts.packets++;
	} while (!link_known(c, i));
	if (ret->length < ret->captured)
		ret->length = ret->captured;
	ret->linktype = i->linktype;
	ret->interface = 0;
	ret->number = c->counts.packets;
	c->counts.packets_read++;
	return 1;
}

/* Calls fn for each option in [o, end). */
static void options(const struct capture *c, const uint8_t *o, const uint8_t *end,
		    void (*fn)(const struct capture *, void *to, unsigned int, const uint8_t *,
			       unsigned int),
		    void *to)
{
	while (end - o >= 4) {
		unsigned int code = get16(c, o), len = get16(c, o + 2);

		if (!code || (size_t)(end - o - 4) < len)
			return;
		fn(c, to, code, o + 4, len);
		o += 4 + ((len + 3) & ~3u);
		if (o > end)
			return;
	}
}

static uint64_t get64(const struct capture *c, const uint8_t *p)
{
	uint64_t low = get32(c, p + (c->swapped ? 4 : 0)),
		 high = get32(c, p + (c->swapped ? 0 : 4));

	return high << 32 | low;
}

static void interface_option(const struct capture *c, void *to, unsigned int code,
			     const uint8_t *value, unsigned int len)
{
	struct interface *i = to;

	if (code == OPTION_TSRESOL && len == 1)
		i->tsresol = *value;
	else if (code == OPTION_TSOFFSET && len == 8)
		i->offset_s = (int64_t)get64(c, value);
	else if (code == OPTION_NAME)
		snprintf(i->name, sizeof(i->name), "%.*s", (int)len, (const char *)value);
}

static void stats_option(const struct capture *c, void *to, unsigned int code, const uint8_t *value,
			 unsigned int len)
{
	struct interface *i = to;

	if ((code == OPTION_IFDROP || code == OPTION_OSDROP) && len == 8)
		i->dropped = get64(c, value);
}

/* if_tsresol: a power of ten, or with the top bit of two. */
static int64_t block_time(const struct interface *i, uint64_t ticks)
{
	unsigned int power = i->tsresol & 0x7f;
	uint64_t units = 1, rest, ns;
	int64_t seconds;

	if (i->tsresol & 0x80 ? power > 63 : power > 19)
		return INT64_MIN;
	if (i->tsresol & 0x80)
		units = 1ull << power;
	else
		for (unsigned int k = 0; k < power; k++)
			units *= 10;
	rest = ticks % units;
	if (units <= 1000000000 && 1000000000 % units == 0)
		ns = rest * (1000000000 / units);
	else
		ns = (uint64_t)((double)rest * 1e9 / (double)units);
	if (ticks / units > LAST_SECOND || i->offset_s > LAST_SECOND || i->offset_s < -LAST_SECOND)
		return INT64_MIN;
	seconds = (int64_t)(ticks / units) + i->offset_s;
	if (seconds < 0 || seconds > LAST_SECOND)
		return INT64_MIN;
	return seconds * 1000000000 + (int64_t)ns;
}

static void section_option(const struct capture *c, void *to, unsigned int code,
			   const uint8_t *value, unsigned int len)
{
	(void)c;
	if (code == OPTION_COMMENT)
		snprintf(to, COMMENT_LEN, "%.*s", (int)len, (const char *)value);
}

/* h: its type and length, which can be read only in the order that follows them. */
static int section_header(struct capture *c, const uint8_t *h)
{
	const uint8_t *body;
	uint32_t order, len;
	uint8_t size[4];
	int err;

	memcpy(size, h + 4, sizeof(size));
	err = need(c, sizeof(order), false, &body);
	if (err < 0)
		return err;
	memcpy(&order, body, sizeof(order));
	if (order != MAGIC_ORDER && order != __builtin_bswap32(MAGIC_ORDER))
		return damaged(c, "a section in no byte order");
	c->swapped = order != MAGIC_ORDER;
	c->n_interfaces = 0;
	*c->comment = '\0';
	len = get32(c, size);
	if (len < 28 || (len & 3))
		return damaged(c, "a section header of impossible length");
	len -= 12;
	if (len > LONGEST) /* need() says why it cannot */
		return stream_skip(c->stream, len) < 0 ? need(c, 1, false, &body) : 0;
	err = need(c, len, false, &body);
	if (err > 0) /* behind version and length; the length stands once more at the end */
		options(c, body + 12, body + len - 4, section_option, c->comment);
	return err;
}

static void interface_block(struct capture *c, const uint8_t *body, size_t len)
{
	struct interface i = {.tsresol = 6};

	if (len < 8)
		return;
	i.linktype = get16(c, body);
	i.snaplen = get32(c, body + 4);
	options(c, body + 8, body + len, interface_option, &i);
	add_interface(c, i);
}

static void stats_block(struct capture *c, const uint8_t *body, size_t len)
{
	uint32_t n;

	if (len < 12)
		return;
	n = get32(c, body);
	if (n >= c->n_interfaces)
		return;
	c->counts.dropped -= c->interfaces[n].dropped;
	options(c, body + 12, body + len, stats_option, &c->interfaces[n]);
	c->counts.dropped += c->interfaces[n].dropped;
}

/* A packet block of one of the three kinds. 1: there is a packet for the caller. */
static int packet_block(struct capture *c, uint32_t type, const uint8_t *body, size_t len,
			struct captured *ret)
{
	size_t header = type == BLOCK_SIMPLE ? 4 : 20;
	const struct interface *i;

	c->counts.packets++;
	if (len < header)
		return damaged(c, "a packet block without its header");
	ret->interface = type == BLOCK_SIMPLE	? 0
			 : type == BLOCK_PACKET ? get16(c, body)
						: get32(c, body);
	if (ret->interface >= c->n_interfaces)
		return damaged(c, "a packet of an interface that is not described");
	i = &c->interfaces[ret->interface];
	if (type == BLOCK_SIMPLE) {
		ret->length = get32(c, body);
		ret->captured = ret->length;
		if (i->snaplen && ret->captured > i->snaplen)
			ret->captured = i->snaplen;
		if (ret->captured > len - header)
			ret->captured = (uint32_t)(len - header);
		ret->time_ns = INT64_MIN;
	} else {
		ret->captured = get32(c, body + 12);
		ret->length = get32(c, body + 16);
		ret->time_ns =
			block_time(i, (uint64_t)get32(c, body + 4) << 32 | get32(c, body + 8));
	}
	if (ret->captured > len - header)
		return damaged(c, "a packet longer than its block");
	if (ret->length < ret->captured)
		ret->length = ret->captured;
	ret->data = body + header;
	ret->options_end = type == BLOCK_ENHANCED ? body + len : NULL;
	ret->linktype = i->linktype;
	ret->number = c->counts.packets;
	if (!link_known(c, i))
		return 0;
	c->counts.packets_read++;
	return 1;
}

static int block_next(struct capture *c, struct captured *ret)
{
	const uint8_t *h, *body;
	uint32_t type, len;
	int err;

	for (;;) {
		err = need(c, 8, true, &h);
		if (err <= 0)
			return err;
		type = get32(c, h);
		if (type == MAGIC_PCAPNG) {
			err = section_header(c, h);
			if (err < 0)
				return err;
			continue;
		}
		len = get32(c, h + 4);
		if (len < 12 || (len & 3))
			return damaged(c, "a block of impossible length");
		len -= 8;
		if (type != BLOCK_INTERFACE && type != BLOCK_PACKET && type != BLOCK_SIMPLE &&
		    type != BLOCK_STATS && type != BLOCK_ENHANCED) {
			if (stream_skip(c->stream, len) < 0)
				return need(c, 1, false, &body);
			continue;
		}
		if (len > LONGEST)
			return damaged(c, "a block longer than any packet can be");
		err = need(c, len, false, &body);
		if (err < 0)
			return err;
		len -= 4; /* the length once more */
		if (type == BLOCK_INTERFACE) {
			interface_block(c, body, len);
		} else if (type == BLOCK_STATS) {
			stats_block(c, body, len);
		} else {
			err = packet_block(c, type, body, len, ret);
			if (err)
				return err;
		}
	}
}

int capture_next(struct capture *c, struct captured *ret)
{
	return c->next(c, ret);
}

bool capture_at_hand(const struct capture *c)
{
	const uint8_t *h = c->stream->at;
	size_t left = stream_left(c->stream), header = c->modified ? 24 : 16;

	if (c->next == block_next)
		return left >= 8 && left >= get32(c, h + 4);
	return left >= header && left - header >= get32(c, h + (c->old_lengths ? 12 : 8));
}

/* A file that ends within its header: fail() has said so. */
static int nothing_next(struct capture *c, struct captured *ret)
{
	(void)c;
	(void)ret;
	return -ENODATA;
}

/* The file begins with as much of a magic number as it has bytes. */
static bool begins_as(uint32_t magic, const uint8_t *start, size_t len)
{
	uint32_t swapped = __builtin_bswap32(magic);

	return !memcmp(start, &magic, len) || !memcmp(start, &swapped, len);
}

/* The format by the first bytes of the file, and what its header says. */
static int find_format(struct capture *c)
{
	static const uint32_t magics[] = {MAGIC_PCAPNG, MAGIC_USEC, MAGIC_NSEC, MAGIC_MODIFIED};
	const uint8_t *start;
	uint32_t magic;
	size_t len = 0, i = 0;
	int err = stream_peek(c->stream, sizeof(magic), &start, &len);

	if (err < 0)
		return fail(c, err, "%s", stream_why(c->stream));
	if (!len && !stream_cut(c->stream))
		return fail(c, -EINVAL, "empty, not a capture");
	while (i < sizeof(magics) / sizeof(*magics) && !begins_as(magics[i], start, len))
		i++;
	if (i == sizeof(magics) / sizeof(*magics))
		return fail(c, -EINVAL, "neither pcap nor pcapng");
	if (len == sizeof(magic) && magics[i] == MAGIC_PCAPNG) {
		c->next = block_next;
		return 0;
	}
	c->next = pcap_next;
	memcpy(&magic, start, len);
	err = len < sizeof(magic) ? need(c, sizeof(magic), false, &start) : pcap_header(c, magic);
	if (err == -ENODATA) {
		c->next = nothing_next;
		return 0;
	}
	if (!err && !c->interfaces[0].known) {
		char known[300];

		return fail(c, -EINVAL, "link type %d cannot be read; known are %s",
			    c->interfaces[0].linktype, linktypes_known(known, sizeof(known)));
	}
	return err;
}

int capture_open(const char *path, struct capture **ret, char *ret_why, size_t why_len)
{
	struct capture *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		goto out;
	c->interfaces = calloc(INTERFACES, sizeof(*c->interfaces));
	if (!c->interfaces)
		goto out;
	snprintf(c->path, sizeof(c->path), "%s", strcmp(path, "-") ? path : "standard input");
	err = stream_open(path, LONGEST, &c->stream);
	if (err < 0) {
		fail(c, err, "%s",
		     err == -EISDIR ? "is a directory; name the capture files in it"
				    : strerror(-err));
		goto out;
	}
	err = find_format(c);
out:
	if (err < 0) {
		snprintf(ret_why, why_len, "%s", c && *c->why ? c->why : strerror(-err));
		capture_close(c);
		return err;
	}
	*ret = c;
	return 0;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	stream_close(c->stream);
	free(c->interfaces);
	free(c);
}

const char *capture_why(const struct capture *c)
{
	return c->why;
}

struct capture_counts capture_counts(const struct capture *c)
{
	struct capture_counts counts = c->counts;

	counts.bytes_read = stream_position(c->stream);
	return counts;
}

static void packet_option(const struct capture *c, void *to, unsigned int code,
			  const uint8_t *value, unsigned int len)
{
	uint32_t *flags = to;

	if (code == OPTION_FLAGS && len == 4)
		*flags = get32(c, value);
}

enum captured_way capture_way(const struct capture *c, const struct captured *p)
{
	static const enum captured_way ways[] = {CAPTURED_EITHER, CAPTURED_IN, CAPTURED_OUT,
						 CAPTURED_EITHER};
	uint32_t flags = 0;
	size_t padded = ((size_t)p->captured + 3) & ~(size_t)3;

	if (!p->options_end || (size_t)(p->options_end - p->data) < padded)
		return CAPTURED_EITHER;
	options(c, p->data + padded, p->options_end, packet_option, &flags);
	return ways[flags & 3];
}

const char *capture_comment(const struct capture *c)
{
	return c->comment;
}

const char *capture_interface(const struct capture *c, uint32_t interface, uint64_t *ret_dropped)
{
	const bool known = interface < c->n_interfaces;

	*ret_dropped = known ? c->interfaces[interface].dropped : 0;
	return known ? c->interfaces[interface].name : "";
}
