/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCPSTALL_BASE_PLURAL_H
#define TCPSTALL_BASE_PLURAL_H

#include <stdint.h>

/* The ending of a counted noun. */
static inline const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

#endif
