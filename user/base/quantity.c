/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"

static int parse(enum quantity kind, const char *text, uint64_t *ret)
{
	switch (kind) {
	case QUANTITY_SIZE:
		return parse_size(text, ret);
	case QUANTITY_DURATION:
		return parse_duration(text, ret);
	case QUANTITY_NUMBER:
		break;
	}
	return parse_u64(text, 0, UINT64_MAX, ret);
}

int quantity_parse(enum quantity kind, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
		   char *ret_why, size_t why_len)
{
	static const char *const expected[] = {
		[QUANTITY_NUMBER] = "a number",
		[QUANTITY_SIZE] = "a size such as 64k, 1M, 2G",
		[QUANTITY_DURATION] = "a duration such as 500ms, 2s, 5m",
	};
	char least[QUANTITY_LEN], most[QUANTITY_LEN];
	uint64_t value = UINT64_MAX;
	const int err = parse(kind, text, &value);

	if (!err && value >= min && value <= max) {
		*ret = value;
		return 0;
	}
	quantity_text(kind, min, least);
	if (err && err != -ERANGE)
		snprintf(ret_why, why_len, "is not %s", expected[kind]);
	else if (max < UINT64_MAX)
		snprintf(ret_why, why_len, "is not between %s and %s", least,
			 quantity_text(kind, max, most));
	else if (value < min)
		snprintf(ret_why, why_len, "is less than %s", least);
	else
		snprintf(ret_why, why_len, "is more than can be counted");
	return -EINVAL;
}

const char *quantity_text(enum quantity kind, uint64_t value, char buf[static QUANTITY_LEN])
{
	static const struct {
		uint64_t factor;
		const char *suffix;
	} units[][6] = {
		[QUANTITY_NUMBER] = {{1, ""}},
		[QUANTITY_SIZE] = {{1ull << 40, "T"},
				   {1ull << 30, "G"},
				   {1 << 20, "M"},
				   {1 << 10, "k"},
				   {1, ""}},
		[QUANTITY_DURATION] = {{24 * 3600 * NS_PER_S, "d"},
				       {3600 * NS_PER_S, "h"},
				       {60 * NS_PER_S, "m"},
				       {NS_PER_S, "s"},
				       {NS_PER_MS, "ms"},
				       {1, "ns"}},
	};
	int i = 0;

	while (units[kind][i].factor > 1 && (!value || value % units[kind][i].factor))
		i++;
	snprintf(buf, QUANTITY_LEN, "%" PRIu64 "%s", value / units[kind][i].factor,
		 units[kind][i].suffix);
	return buf;
}

int choice_parse(const char *choices, const char *text)
{
	const size_t len = strlen(text);
	int i = 0;

	for (const char *c = choices; c; c = strchr(c, '|'), i++) {
		c += *c == '|';
		if (len == strcspn(c, "|") && !strncmp(c, text, len))
			return i;
	}
	return -EINVAL;
}
