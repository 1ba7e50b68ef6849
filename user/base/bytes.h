/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers as they stand in packets: network byte order, at any address. */
#ifndef TCPSTALL_BASE_BYTES_H
#define TCPSTALL_BASE_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline void put_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, v >> 16);
	put_be16(p + 2, v);
}

/* Adds to the Internet checksum's sum, folded to 16 bits; the checksum is its complement: RFC 1071.
 * What has an odd length is the last. */
static inline uint32_t sum16(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t total = sum;
	uint16_t word;

	for (; len > 1; p += 2, len -= 2) {
		memcpy(&word, p, sizeof(word));
		total += be16toh(word);
	}
	if (len)
		total += (uint64_t)p[0] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

#endif
