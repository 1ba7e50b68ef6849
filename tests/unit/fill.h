/* SPDX-License-Identifier: GPL-2.0-only */
/* Structs with anything in them that their tables of fields allow. */
#ifndef TCPSTALL_TESTS_FILL_H
#define TCPSTALL_TESTS_FILL_H

#include "sensor/fields.h"

uint64_t any(void);
struct ip_addr any_addr(void);
/* Three of four members; base is zero before. */
void fill(const struct field *table, void *base);

/* Every byte of a struct that the compiler does not call padding belongs to a field. */
void clear_fields(const struct field *table, void *base);
void assert_zero(const void *at, size_t size);

#if __has_builtin(__builtin_clear_padding)
#define ASSERT_COVERED(object, table, base)                                                        \
	do {                                                                                       \
		memset(&(object), 0xff, sizeof(object));                                           \
		__builtin_clear_padding(&(object));                                                \
		clear_fields(table, base);                                                         \
		assert_zero(&(object), sizeof(object));                                            \
	} while (0)
#endif

#endif
