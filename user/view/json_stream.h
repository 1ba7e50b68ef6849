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

struct json {
	FILE *out;
	bool comma; /* the next value is not the first */
};

/* key NULL: an element of a list, or the line itself. */
void json_open(struct json *j, const char *key);		      /* { */
void json_close(struct json *j);				      /* } */
void json_list_open(struct json *j, const char *key);		      /* [ */
void json_list_close(struct json *j);				      /* ] */
void json_string(struct json *j, const char *key, const char *value); /* NULL: null */
void json_u64(struct json *j, const char *key, uint64_t value);
void json_known(struct json *j, const char *key, uint64_t value); /* 0: null */
void json_real(struct json *j, const char *key, double value);	  /* four digits */
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

/* Ends the line and flushes it. 0, or what went wrong since the last call (-EPIPE, -ENOSPC ...). */
int json_line_end(struct json *j);

#endif
