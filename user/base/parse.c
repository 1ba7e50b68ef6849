/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct unit {
	const char *suffix;
	uint64_t factor;
};

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* A number with an optional fraction and one of the units. The value must fit 63 bits. */
static int parse_scaled(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	const struct unit *u;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		if (whole > INT64_MAX / 10 - 1)
			return -ERANGE;
		whole = whole * 10 + (uint64_t)(*text - '0');
	}
	if (*text == '.') {
		if (!isdigit((unsigned char)*++text))
			return -EINVAL;
		for (; isdigit((unsigned char)*text); text++) {
			if (scale >= NS_PER_S)
				continue; /* finer than anybody can mean */
			fraction = fraction * 10 + (uint64_t)(*text - '0');
			scale *= 10;
		}
	}
	for (u = units; u->suffix && strcmp(u->suffix, text); u++)
		;
	if (!u->suffix)
		return -EINVAL;
	if (whole > (uint64_t)INT64_MAX / u->factor - 1)
		return -ERANGE;
	*ret = whole * u->factor + (uint64_t)((double)fraction / (double)scale * (double)u->factor);
	return 0;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"ns", 1},
		{"us", 1000},
		{"ms", 1000000},
		{"s", NS_PER_S},
		{"m", 60 * NS_PER_S},
		{"h", 3600 * NS_PER_S},
		{"d", 86400 * NS_PER_S},
		{NULL, 0},
	};

	return parse_scaled(text, units, ret_ns);
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},	   {"k", 1ull << 10}, {"K", 1ull << 10}, {"M", 1ull << 20},
		{"G", 1ull << 30}, {"T", 1ull << 40}, {NULL, 0},
	};

	return parse_scaled(text, units, ret_bytes);
}
