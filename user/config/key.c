/* SPDX-License-Identifier: GPL-2.0-only */
/* One value, from text and back. */
#include <errno.h>
#include <string.h>

#include "base/quantity.h"
#include "config/table.h"
#include "sensor/filter.h"

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

static enum quantity quantity_of(const struct key *k)
{
	if (k->type == KEY_SIZE)
		return QUANTITY_SIZE;
	return k->type == KEY_DURATION ? QUANTITY_DURATION : QUANTITY_NUMBER;
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
		n = choice_parse(k->choices, text);
		if (n < 0) {
			snprintf(ret_why, why_len, "is not one of %s", k->choices);
			return n;
		}
		*(int *)value = n;
		return 0;
	case KEY_NUMBER:
	case KEY_SIZE:
	case KEY_DURATION:
		return quantity_parse(quantity_of(k), text, k->min, k->max, value, ret_why,
				      why_len);
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
	char text[QUANTITY_LEN];

	switch (k->type) {
	case KEY_BOOL:
		snprintf(buf, len, "%s", *(const bool *)value ? "yes" : "no");
		break;
	case KEY_CHOICE:
		choice_text(k->choices, *(const int *)value, buf, len);
		break;
	case KEY_NUMBER:
	case KEY_SIZE:
	case KEY_DURATION:
		snprintf(buf, len, "%s",
			 quantity_text(quantity_of(k), *(const uint64_t *)value, text));
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
