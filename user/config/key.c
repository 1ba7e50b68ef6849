/* SPDX-License-Identifier: GPL-2.0-only */
/* One value, from text and back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "config/table.h"
#include "sensor/filter.h"

static int parse_choice(const char *choices, const char *text)
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

static int parse_bool(const char *text)
{
	static const char *const words[][2] = {
		{"yes", "no"}, {"true", "false"}, {"on", "off"}, {"1", "0"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i][0]))
			return 1;
		if (!strcmp(text, words[i][1]))
			return 0;
	}
	return -EINVAL;
}

/* The largest unit that the value is a whole number of. */
static void scaled_text(uint64_t value, bool time, char *buf, size_t len)
{
	static const struct {
		uint64_t factor;
		const char *suffix;
	} units[][5] = {
		{{1ull << 40, "T"}, {1ull << 30, "G"}, {1 << 20, "M"}, {1 << 10, "k"}, {1, ""}},
		{{3600 * NS_PER_S, "h"},
		 {60 * NS_PER_S, "m"},
		 {NS_PER_S, "s"},
		 {NS_PER_MS, "ms"},
		 {1, "ns"}},
	};
	int i = 0;

	while (i < 4 && (!value || value % units[time][i].factor))
		i++;
	snprintf(buf, len, "%" PRIu64 "%s", value / units[time][i].factor, units[time][i].suffix);
}

static int parse_number(const struct key *k, const char *text, uint64_t *ret, char *ret_why,
			size_t why_len)
{
	static const char *const expected[] = {
		[KEY_NUMBER] = "a number",
		[KEY_SIZE] = "a size such as 64k, 1M, 2G",
		[KEY_DURATION] = "a duration such as 500ms, 2s, 5m",
	};
	char least[32], most[32];
	uint64_t value = 0;
	int err;

	if (k->type == KEY_SIZE)
		err = parse_size(text, &value);
	else if (k->type == KEY_DURATION)
		err = parse_duration(text, &value);
	else
		err = parse_u64(text, 0, UINT64_MAX, &value);
	if (!err && value >= k->min && value <= k->max) {
		*ret = value;
		return 0;
	}
	if (err && err != -ERANGE) {
		snprintf(ret_why, why_len, "is not %s", expected[k->type]);
		return -EINVAL;
	}
	if (k->type == KEY_NUMBER) {
		snprintf(least, sizeof(least), "%" PRIu64, k->min);
		snprintf(most, sizeof(most), "%" PRIu64, k->max);
	} else {
		scaled_text(k->min, k->type == KEY_DURATION, least, sizeof(least));
		scaled_text(k->max, k->type == KEY_DURATION, most, sizeof(most));
	}
	snprintf(ret_why, why_len, "is not between %s and %s", least, most);
	return -EINVAL;
}

static int parse_filter(const char *text, char *ret_why, size_t why_len)
{
	struct flow_filter *filter;
	char why[CONFIG_TEXT];

	if (!*text)
		return 0;
	if (flow_filter_new(text, &filter, why, sizeof(why))) {
		snprintf(ret_why, why_len, "is no filter: %s", why);
		return -EINVAL;
	}
	flow_filter_free(filter);
	return 0;
}

/* What could not be written back (libinih takes it for a comment), or would end somebody's line. */
static bool is_plain(const char *text)
{
	if (*text == ';')
		return false;
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

int key_parse(const struct key *k, const char *text, void *section, char *ret_why, size_t why_len)
{
	void *value = (char *)section + k->offset;
	int n;

	switch (k->type) {
	case KEY_BOOL:
		n = parse_bool(text);
		if (n < 0) {
			snprintf(ret_why, why_len, "is neither yes nor no");
			return n;
		}
		*(bool *)value = n;
		return 0;
	case KEY_CHOICE:
		n = parse_choice(k->choices, text);
		if (n < 0) {
			snprintf(ret_why, why_len, "is not one of %s", k->choices);
			return n;
		}
		*(int *)value = n;
		return 0;
	case KEY_NUMBER:
	case KEY_SIZE:
	case KEY_DURATION:
		return parse_number(k, text, value, ret_why, why_len);
	case KEY_TEXT:
	case KEY_FILTER:
		if (!is_plain(text)) {
			snprintf(ret_why, why_len,
				 "holds control characters, or begins with a semicolon");
			return -EINVAL;
		}
		if (strlen(text) >= k->size) {
			snprintf(ret_why, why_len, "is longer than %zu characters", k->size - 1);
			return -EINVAL;
		}
		if (k->type == KEY_FILTER && parse_filter(text, ret_why, why_len))
			return -EINVAL;
		strcpy(value, text);
		return 0;
	}
	return -EINVAL;
}

static void choice_text(const char *choices, int n, char *buf, size_t len)
{
	for (; n > 0 && strchr(choices, '|'); n--)
		choices = strchr(choices, '|') + 1;
	snprintf(buf, len, "%.*s", (int)strcspn(choices, "|"), choices);
}

const char *key_text(const struct key *k, const void *section, char *buf, size_t len)
{
	const void *value = (const char *)section + k->offset;

	switch (k->type) {
	case KEY_BOOL:
		snprintf(buf, len, "%s", *(const bool *)value ? "yes" : "no");
		break;
	case KEY_CHOICE:
		choice_text(k->choices, *(const int *)value, buf, len);
		break;
	case KEY_NUMBER:
		snprintf(buf, len, "%" PRIu64, *(const uint64_t *)value);
		break;
	case KEY_SIZE:
	case KEY_DURATION:
		scaled_text(*(const uint64_t *)value, k->type == KEY_DURATION, buf, len);
		break;
	case KEY_TEXT:
	case KEY_FILTER:
		snprintf(buf, len, "%s", (const char *)value);
		break;
	}
	return buf;
}

void section_defaults(const struct section *s, void *section)
{
	char why[CONFIG_TEXT];

	for (int i = 0; i < s->n_keys; i++)
		key_parse(&s->keys[i], s->keys[i].fallback, section, why, sizeof(why));
}
