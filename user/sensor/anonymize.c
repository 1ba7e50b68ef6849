/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bit i of an address is flipped or not by a keyed hash of the i bits before it, so equal prefixes
 * stay equal and the map is one to one. Along the way to one of the `fixed` ranges no bit is
 * flipped: whatever is inside stays inside and whatever leaves it stays outside. The first bits of
 * a public address are thereby given away: as many as it shares with such a range, and one.
 */
#include "sensor/anonymize.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define MAC_LEN 17 /* of its text */

static const struct range {
	uint8_t family;
	uint8_t bits;
	uint8_t prefix[16];
} fixed[] = {
	{AF_INET, 32, {0}}, /* 0.0.0.0 */
	{AF_INET, 8, {10}},	      {AF_INET, 10, {100, 64}}, {AF_INET, 8, {127}},
	{AF_INET, 16, {169, 254}},    {AF_INET, 12, {172, 16}}, {AF_INET, 16, {192, 168}},
	{AF_INET, 4, {224}},	      {AF_INET6, 128, {0}}, /* :: */
	{AF_INET6, 128, {[15] = 1}},			    /* ::1 */
	{AF_INET6, 7, {0xfc}},				    /* RFC 4193 */
	{AF_INET6, 10, {0xfe, 0x80}},			    /* link-local */
	{AF_INET6, 8, {0xff}},
};

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32) + v[3];
		v[2] += v[1];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

uint64_t siphash(const uint64_t key[2], const void *data, size_t len)
{
	const uint8_t *at = data;
	uint64_t word, v[4] = {
			       key[0] ^ 0x736f6d6570736575,
			       key[1] ^ 0x646f72616e646f6d,
			       key[0] ^ 0x6c7967656e657261,
			       key[1] ^ 0x7465646279746573,
		       };

	for (size_t left = len;; left -= 8, at += 8) {
		bool last = left < 8;

		word = 0;
		memcpy(&word, at, last ? left : 8);
		word = le64toh(word);
		if (last)
			word |= (uint64_t)len << 56;
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
		if (last)
			break;
	}
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int anonymizer_init(struct anonymizer *a)
{
	struct anonymizer fresh;

	if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
		return -errno;
	*a = fresh;
	return 0;
}

static bool bit(const uint8_t *bytes, unsigned int i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

static unsigned int common_bits(const uint8_t *a, const uint8_t *b, unsigned int max)
{
	unsigned int i = 0;

	while (i < max && bit(a, i) == bit(b, i))
		i++;
	return i;
}

/* Number of leading bits that must stay. */
static unsigned int kept_bits(const struct ip_addr *addr)
{
	unsigned int keep = 0;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		const struct range *r = &fixed[i];
		unsigned int common;

		if (r->family != addr->family)
			continue;
		common = common_bits(addr->bytes, r->prefix, r->bits);
		if (common < r->bits)
			common++; /* the bit that leaves the range */
		if (common > keep)
			keep = common;
	}
	return keep;
}

struct ip_addr anonymize_addr(const struct anonymizer *a, const struct ip_addr *addr)
{
	unsigned int bits = 8 * (unsigned int)addr_len(addr);
	struct ip_addr ret = *addr;
	struct {
		uint8_t family, length, prefix[16];
	} input = {.family = addr->family};

	/* Ahead of bit i, input.prefix holds the first i bits of the address. */
	for (unsigned int i = 0, keep = kept_bits(addr); i < bits; i++) {
		uint8_t mask = (uint8_t)(0x80 >> i % 8);

		input.length = (uint8_t)i;
		if (i >= keep && siphash(a->key, &input, sizeof(input)) & 1)
			ret.bytes[i / 8] ^= mask;
		input.prefix[i / 8] |= addr->bytes[i / 8] & mask;
	}
	return ret;
}

static void anonymize_name(const struct anonymizer *a, char *name, size_t size)
{
	size_t len = strnlen(name, size);

	if (!len)
		return;
	len = (size_t)snprintf(name, size, "anon-%08x", (unsigned int)siphash(a->key, name, len));
	if (len < size)
		memset(name + len, 0, size - len);
}

/* Locally administered, unicast: no vendor's. None stays none. */
static void anonymize_mac(const struct anonymizer *a, uint8_t mac[6])
{
	static const uint8_t none[6];
	uint64_t hash;

	if (!memcmp(mac, none, sizeof(none)))
		return;
	hash = siphash(a->key, mac, 6);
	memcpy(mac, &hash, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}

/* An address of `len` bytes at text; a port behind an IPv4 address is no part of it. */
static size_t address_at(const char *text, size_t len, struct ip_addr *ret)
{
	char word[ADDR_TEXT_LEN];

	for (; len > 1; len--) { /* a full stop or colon may follow */
		if (len >= sizeof(word))
			continue;
		memcpy(word, text, len);
		word[len] = '\0';
		if (!addr_parse(word, ret))
			return len;
	}
	return 0;
}

static bool mac_at(const char *text, size_t len, uint8_t ret[6])
{
	int taken = 0;

	return len >= MAC_LEN &&
	       sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &ret[0], &ret[1], &ret[2],
		      &ret[3], &ret[4], &ret[5], &taken) == 6 &&
	       taken == MAC_LEN;
}

void anonymize_prose(const struct anonymizer *a, char *text, size_t size)
{
	char *copy = strndup(text, size - 1);
	size_t at = 0;

	text[0] = '\0';
	for (const char *p = copy; p && *p;) {
		size_t len = strspn(p, "0123456789abcdef:."), taken;
		char word[ADDR_TEXT_LEN];
		struct ip_addr addr;
		uint8_t mac[6];

		taken = address_at(p, len, &addr);
		if (!taken && mac_at(p, len, mac)) {
			taken = MAC_LEN;
			anonymize_mac(a, mac);
			snprintf(word, sizeof(word), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
				 mac[1], mac[2], mac[3], mac[4], mac[5]);
		} else if (taken) {
			addr = anonymize_addr(a, &addr);
			addr_text(&addr, word);
		} else {
			/* As a whole: its end alone may look like an address. */
			taken = len ? len : 1;
			if (taken >= sizeof(word))
				taken = sizeof(word) - 1;
			memcpy(word, p, taken);
			word[taken] = '\0';
		}
		p += taken;
		at += (size_t)snprintf(text + at, size - at, "%s", word);
		if (at >= size)
			break;
	}
	free(copy);
}

void anonymize_fields(const struct anonymizer *a, const struct field *table, void *base)
{
	for (const struct field *f = table; f->name; f++) {
		uint8_t *at = (uint8_t *)base + f->offset;

		switch (f->type) {
		case FIELD_ADDR:
			*(struct ip_addr *)at = anonymize_addr(a, (const struct ip_addr *)at);
			break;
		case FIELD_MAC:
			anonymize_mac(a, at);
			break;
		case FIELD_NAME:
			anonymize_name(a, (char *)at, f->size);
			break;
		case FIELD_PROSE:
			anonymize_prose(a, (char *)at, f->size);
			break;
		case FIELD_STRUCT:
			anonymize_fields(a, f->fields, at);
			break;
		case FIELD_LIST:
			for (size_t i = 0; i < f->size; i += f->unit)
				anonymize_fields(a, f->fields, at + i);
			break;
		default:
			break;
		}
	}
}
