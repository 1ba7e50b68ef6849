/* SPDX-License-Identifier: GPL-2.0-only */
/* Text from processes, kernels and files is hostile: what of it may be written as UTF-8. */
#ifndef TCPSTALL_BASE_UTF8_H
#define TCPSTALL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Length of the UTF-8 sequence at text (RFC 3629: no surrogates, no overlong forms, up to
 * U+10FFFF), or 0. text ends with NUL, which is no continuation byte, so nothing beyond the end is
 * read.
 */
int utf8_len(const char *text);

/*
 * As much of src as fits into buf, which is returned, as valid UTF-8. Bytes that are none, control
 * characters (line ends too, unless `lines`) and those that turn the direction of writing around
 * become \xNN.
 */
const char *utf8_clean(const char *src, bool lines, char *buf, size_t len);

#endif
