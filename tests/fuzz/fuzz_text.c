/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What users write: numbers, durations, sizes, addresses, command lines (words between zero bytes)
 * and filters. Of what /proc says: stat lines, whose names anybody chooses, and wait channels.
 */
#include "fuzz.h"

#include <string.h>

#include "base/addr.h"
#include "base/parse.h"
#include "host/holder.c"
#include "options.h"
#include "sensor/filter.h"

#define WORDS 32

static void read_options(char *text, size_t size)
{
	char *argv[WORDS + 1] = {NULL}, why[256];
	struct options options;
	int argc = 0;

	for (char *at = text; at < text + size && argc < WORDS; at += strlen(at) + 1)
		argv[argc++] = at;
	if (options_parse(UINT64_MAX, false, argc, argv, &options, why, sizeof(why)) > argc)
		abort();
}

static void read_filter(const char *text)
{
	struct flow_key key = {.local = {.port = 1}, .remote = {.port = 2}};
	struct flow_filter *filter;
	char why[512];

	if (flow_filter_new(text, &filter, why, sizeof(why)))
		return;
	key.local.addr = key.remote.addr = addr_v4((const uint8_t[]){192, 0, 2, 1});
	flow_filter_matches(filter, &key, true);
	flow_filter_free(filter);
}

static void read_proc(const uint8_t *data, size_t size)
{
	char path[FUZZ_PATH], wchan[NAME_LEN];
	int fd = fuzz_file(data, size, path);
	struct stat_line line;

	if (read_stat(path, &line) && strnlen(line.comm, sizeof(line.comm)) == sizeof(line.comm))
		abort();
	read_wchan(path, wchan);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	uint64_t n;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	parse_u64(text, 0, UINT64_MAX, &n);
	parse_duration(text, &n);
	parse_size(text, &n);
	if (size < 1000)
		read_filter(text);
	read_proc(data, size);
	read_options(text, size);
	free(text);
	return 0;
}
