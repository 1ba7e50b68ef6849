/* SPDX-License-Identifier: GPL-2.0-only */
/* IP addresses and TCP endpoints of either family, as values that compare with memcmp(). */
#ifndef TCPSTALL_BASE_ADDR_H
#define TCPSTALL_BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDR_TEXT_LEN	  48 /* an IPv6 address with its terminator */
#define ENDPOINT_TEXT_LEN 56 /* [address]:port with its terminator */

/* Network byte order; IPv4 in the first four bytes, the rest zero. family 0: no address. */
struct ip_addr {
	uint8_t family; /* AF_INET, AF_INET6 or 0 */
	uint8_t pad[3];
	uint8_t bytes[16];
};

struct endpoint {
	struct ip_addr addr;
	uint16_t port; /* host byte order */
	uint16_t pad;
};

struct ip_addr addr_v4(const void *four_bytes);
struct ip_addr addr_v6(const void *sixteen_bytes); /* v4-mapped (RFC 4291 2.5.5.2) becomes IPv4 */

bool addr_equal(const struct ip_addr *a, const struct ip_addr *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* RFC 1918, RFC 6598, RFC 4193 or link-local: not routed on the internet. */
bool addr_is_private(const struct ip_addr *a);
bool addr_is_loopback(const struct ip_addr *a);

/* Bytes in an address of this family: 4, 16, or 0. */
size_t addr_len(const struct ip_addr *a);

/* Text of an address ("-" for none) into buf, which is returned. */
const char *addr_text(const struct ip_addr *a, char buf[ADDR_TEXT_LEN]);
const char *endpoint_text(const struct endpoint *e, char buf[ENDPOINT_TEXT_LEN]);

/* Parses a literal address. -EINVAL if it is none. */
int addr_parse(const char *text, struct ip_addr *ret);

#endif
