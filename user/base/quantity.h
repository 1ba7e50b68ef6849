/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers, sizes, durations and words of a choice, as options and configuration take them. */
#ifndef TCPSTALL_BASE_QUANTITY_H
#define TCPSTALL_BASE_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

enum quantity {
	QUANTITY_NUMBER,
	QUANTITY_SIZE,	   /* bytes */
	QUANTITY_DURATION, /* nanoseconds */
};

#define QUANTITY_LEN 32

/*
 * Text to a value of min..max; max UINT64_MAX: no limit. -EINVAL: ret_why goes on after the text,
 * "is not between 1s and 5m"; nothing else is written.
 */
int quantity_parse(enum quantity kind, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		   char *ret_why, size_t why_len);

/* Value to text that quantity_parse() takes, in the largest unit it is a whole number of. */
const char *quantity_text(enum quantity kind, uint64_t value, char buf[static QUANTITY_LEN]);

/* Which word of `a|b|c` the text is. -EINVAL: none. */
int choice_parse(const char *choices, const char *text);

#endif
