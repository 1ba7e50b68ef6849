/* SPDX-License-Identifier: GPL-2.0-only */
/* All that is wrong, and not only what was found first: a text of lines, as many as fit. */
#ifndef TCPSTALL_BASE_LINES_H
#define TCPSTALL_BASE_LINES_H

#include <stddef.h>

#define LINES_LEN 4096 /* a size that takes what somebody will read */

/* Appends one; text is "" at first. What does not fit is told by a last line of "...". */
void lines_add(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Warns of each, behind `prefix`. */
void lines_warn(const char *prefix, const char *text);

#endif
