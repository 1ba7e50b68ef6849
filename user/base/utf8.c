/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define ESCAPE_LEN 4 /* \xNN */

int utf8_len(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	int len = p[0] < 0x80	? 1
		  : p[0] < 0xc2 ? 0
		  : p[0] < 0xe0 ? 2
		  : p[0] < 0xf0 ? 3
		  : p[0] < 0xf5 ? 4
				: 0;

	for (int i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* C0, DEL and C1 controls, and Unicode's bidirectional controls: U+200E, U+200F, U+202A to U+202E,
 * U+2066 to U+2069. */
static bool is_control(const char *text, int len)
{
	const unsigned char *p = (const unsigned char *)text;

	if (len == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (len == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (len != 3 || p[0] != 0xe2)
		return false;
	return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xaa && p[2] <= 0xae))) ||
	       (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

const char *utf8_clean(const char *src, bool lines, char *buf, size_t len)
{
	size_t at = 0;

	if (!len)
		return buf;
	while (*src) {
		int n = utf8_len(src);
		bool plain = n && (!is_control(src, n) || (lines && *src == '\n'));

		if (at + (plain ? (size_t)n : ESCAPE_LEN) >= len)
			break;
		if (plain) {
			memcpy(buf + at, src, (size_t)n);
			at += (size_t)n;
			src += n;
		} else {
			at += (size_t)snprintf(buf + at, len - at, "\\x%02x",
					       (unsigned char)*src++);
		}
	}
	buf[at] = '\0';
	return buf;
}
