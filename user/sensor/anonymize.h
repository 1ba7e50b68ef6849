/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes observations nameless, the same way all through one recording.
 *
 * Addresses keep their structure: two that share a prefix of n bits share one of n bits afterwards,
 * so networks stay networks (prefix-preserving, as Crypto-PAn by Xu, Fan, Ammar and Moon does), and
 * private, link-local, loopback and multicast ranges are mapped onto themselves, because verdicts
 * look at that. Port numbers, counters and times stay. Names and MAC addresses become pseudonyms.
 */
#ifndef TCPSTALL_SENSOR_ANONYMIZE_H
#define TCPSTALL_SENSOR_ANONYMIZE_H

#include "sensor/fields.h"

struct anonymizer {
	uint64_t key[2];
};

/* A fresh random key. Negative errno if the kernel has none to give. */
int anonymizer_init(struct anonymizer *a);

struct ip_addr anonymize_addr(const struct anonymizer *a, const struct ip_addr *addr);

/* Changes the members of base that this table calls addresses, MAC addresses and names. */
void anonymize_fields(const struct anonymizer *a, const struct field *table, void *base);

/* Changes the addresses and MAC addresses in a text, in place; what then does not fit into size is
 * cut off. */
void anonymize_prose(const struct anonymizer *a, char *text, size_t size);

/* SipHash-2-4 (Aumasson and Bernstein): 64 bits that only who has the key can tell. */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

#endif
