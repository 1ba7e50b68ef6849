/* SPDX-License-Identifier: GPL-2.0-only */
/* The keys of a wire's shape, each with its bound. */
#include "wire_shape.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define WORDS_MAX 512

static const struct {
	const char *name;
	size_t offset;
	uint64_t max;
} keys[] = {
	{"delay_us", offsetof(struct shape, delay_us), 10000000},
	{"jitter_us", offsetof(struct shape, jitter_us), 10000000},
	{"rate_bps", offsetof(struct shape, rate_bps), 100000000000},
	{"queue_bytes", offsetof(struct shape, queue_bytes), 1u << 30},
	{"police_bps", offsetof(struct shape, police_bps), 100000000000},
	{"police_bytes", offsetof(struct shape, police_bytes), 1u << 30},
	{"loss_ppm", offsetof(struct shape, loss_ppm), PPM},
	{"reorder_ppm", offsetof(struct shape, reorder_ppm), PPM},
	{"reorder_us", offsetof(struct shape, reorder_us), 10000000},
	{"duplicate_ppm", offsetof(struct shape, duplicate_ppm), PPM},
	{"corrupt_ppm", offsetof(struct shape, corrupt_ppm), PPM},
	{"bit_errors_ppb", offsetof(struct shape, bit_errors_ppb), 1000000},
};

static int set_key(struct shape *shape, const char *key, const char *text)
{
	uint64_t value;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i].name))
			continue;
		if (parse_u64(text, 0, keys[i].max, &value))
			return -ERANGE;
		memcpy((char *)shape + keys[i].offset, &value, sizeof(value));
		return 0;
	}
	return -EINVAL;
}

int shape_parse(struct shape *shape, const char *words)
{
	char copy[WORDS_MAX], *save = NULL, *word;
	struct shape made = *shape;

	if (strlen(words) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, words);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');
		int err;

		if (!equals)
			return -EINVAL;
		*equals = '\0';
		err = set_key(&made, word, equals + 1);
		if (err)
			return err;
	}
	*shape = made;
	return 0;
}
