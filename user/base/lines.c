/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/lines.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORE "\n..."

void lines_add(char *text, size_t size, const char *format, ...)
{
	const size_t len = strlen(text), more = strlen(MORE);
	char line[LINES_LEN];
	va_list args;

	if (len >= more && !strcmp(text + len - more, MORE))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!len) /* one is told whatever its length */
		snprintf(text, size - more, "%s", line);
	else if (len + 1 + strlen(line) + more < size)
		snprintf(text + len, size - len, "\n%s", line);
	else
		memcpy(text + len, MORE, sizeof(MORE));
}

void lines_warn(const char *prefix, const char *text)
{
	while (*text) {
		const int len = (int)strcspn(text, "\n");

		warnx("%s%.*s", prefix, len, text);
		text += len + (text[len] == '\n');
	}
}
