/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCPSTALL_BASE_RATE_H
#define TCPSTALL_BASE_RATE_H

#include <stdint.h>

/* Bits a second. 0 of no time; recordings may say anything, so it ends at what can be counted. */
static inline uint64_t rate_bps(uint64_t bytes, uint64_t ns)
{
	const double rate = ns ? (double)bytes * 8e9 / (double)ns : 0;

	return rate < 0x1p64 ? (uint64_t)rate : UINT64_MAX;
}

#endif
