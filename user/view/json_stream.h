/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * JSON written straight to a stream, one object a line. Keys keep the order they are written in. A
 * string is hostile: control characters are escaped, bytes that are no UTF-8 become U+FFFD. A
 * number that is no number becomes null.
 */
#ifndef TCPSTALL_VIEW_JSON_STREAM_H
#define TCPSTALL_VIEW_JSON_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct jsonw {
	FILE *out;
	bool comma; /* the next value is not the first */
};

/* key NULL: an element of a list, or the line itself. */
void jsonw_open(struct jsonw *j, const char *key);			/* { */
void jsonw_close(struct jsonw *j);					/* } */
void jsonw_list_open(struct jsonw *j, const char *key);			/* [ */
void jsonw_list_close(struct jsonw *j);					/* ] */
void jsonw_string(struct jsonw *j, const char *key, const char *value); /* NULL: null */
void jsonw_u64(struct jsonw *j, const char *key, uint64_t value);
void jsonw_known(struct jsonw *j, const char *key, uint64_t value); /* 0: null */
void jsonw_real(struct jsonw *j, const char *key, double value);    /* four digits */
void jsonw_bool(struct jsonw *j, const char *key, bool value);
void jsonw_null(struct jsonw *j, const char *key);
void jsonw_raw(struct jsonw *j, const char *key, const char *json); /* JSON already */

/* Begins a line with what each one has: version, type, time of both clocks and host. */
void jsonw_line_open(struct jsonw *j, const char *type, uint64_t now_ns, int64_t wall_offset_ns,
		     const char *host);
/* Ends the line and flushes it. 0, or what went wrong since the last call (-EPIPE, -ENOSPC ...). */
int jsonw_line_end(struct jsonw *j);

#endif
