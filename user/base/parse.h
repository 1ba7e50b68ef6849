/* SPDX-License-Identifier: GPL-2.0-only */
/* Bounded parsers of what users write. -EINVAL, -ERANGE; nothing is written on error. */
#ifndef TCPSTALL_BASE_PARSE_H
#define TCPSTALL_BASE_PARSE_H

#include <stdint.h>

/* Decimal digits only, min <= value <= max. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* 500ms, 2s, 5m, 1h; a fraction is fine (1.5s). Nanoseconds. */
int parse_duration(const char *text, uint64_t *ret_ns);

/* 64k, 1M, 2G in powers of 1024; no suffix means bytes. */
int parse_size(const char *text, uint64_t *ret_bytes);

#endif
