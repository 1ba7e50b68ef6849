/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct ip_addr addr_v4(const void *four_bytes)
{
	struct ip_addr a = {.family = AF_INET};

	memcpy(a.bytes, four_bytes, 4);
	return a;
}

struct ip_addr addr_v6(const void *sixteen_bytes)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct ip_addr a = {.family = AF_INET6};

	if (!memcmp(sixteen_bytes, mapped, sizeof(mapped)))
		return addr_v4((const uint8_t *)sixteen_bytes + sizeof(mapped));
	memcpy(a.bytes, sixteen_bytes, 16);
	return a;
}

size_t addr_len(const struct ip_addr *a)
{
	return a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;
}

bool addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, addr_len(a));
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

bool addr_is_private(const struct ip_addr *a)
{
	const uint8_t *b = a->bytes;

	if (a->family == AF_INET6)
		return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
	if (a->family != AF_INET)
		return false;
	return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
	       (b[0] == 100 && (b[1] & 0xc0) == 64) || (b[0] == 169 && b[1] == 254);
}

bool addr_is_loopback(const struct ip_addr *a)
{
	static const uint8_t one[16] = {[15] = 1};

	if (a->family == AF_INET6)
		return !memcmp(a->bytes, one, sizeof(one));
	return a->family == AF_INET && a->bytes[0] == 127;
}

const char *addr_text(const struct ip_addr *a, char buf[ADDR_TEXT_LEN])
{
	if (!a->family || !inet_ntop(a->family, a->bytes, buf, ADDR_TEXT_LEN))
		snprintf(buf, ADDR_TEXT_LEN, "-");
	return buf;
}

const char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT_LEN])
{
	char addr[ADDR_TEXT_LEN];
	const bool v6 = e->addr.family == AF_INET6;

	/* An IPv6 address has at most 45 characters, so the buffer always fits. */
	snprintf(buf, ENDPOINT_TEXT_LEN, "%s%s%s:%u", v6 ? "[" : "", addr_text(&e->addr, addr),
		 v6 ? "]" : "", e->port);
	return buf;
}

int addr_parse(const char *text, struct ip_addr *ret)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*ret = addr_v4(bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*ret = addr_v6(bytes);
	else
		return -EINVAL;
	return 0;
}
