/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's configuration: what is refused is refused with one line, and what is taken is the
 * same when it is printed and read again.
 */
#include "fuzz.h"

#include <string.h>

#include "config/config.h"

static int read_bytes(const void *data, size_t size, struct config *c)
{
	FILE *file = fmemopen((void *)data, size, "r");
	char why[2048] = "";
	int err;

	if (!file)
		abort();
	config_defaults(c);
	err = config_read(file, "fuzz", c, why, sizeof(why));
	fclose(file);
	if (!err)
		err = config_finish(c, why, sizeof(why));
	if (err && (!*why || strstr(why, "\n\n") || why[strlen(why) - 1] == '\n'))
		abort();
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config first, second;
	char *text[2];
	size_t len;
	FILE *to;

	if (!size || read_bytes(data, size, &first))
		return 0;
	for (int i = 0; i < 2; i++) {
		to = open_memstream(&text[i], &len);
		if (!to)
			abort();
		config_print(i ? &second : &first, to);
		fclose(to);
		if (!i && read_bytes(text[0], len, &second))
			abort();
	}
	if (strcmp(text[0], text[1]))
		abort();
	free(text[0]);
	free(text[1]);
	return 0;
}
