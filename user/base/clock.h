/* SPDX-License-Identifier: GPL-2.0-only */
/* One clock: CLOCK_MONOTONIC nanoseconds. Wall time exists at output only. */
#ifndef TCPSTALL_BASE_CLOCK_H
#define TCPSTALL_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline uint64_t mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* What to add to a CLOCK_MONOTONIC time to get CLOCK_REALTIME. */
static inline int64_t wall_offset_ns(void)
{
	return (int64_t)(clock_ns(CLOCK_REALTIME) - mono_ns());
}

#endif
