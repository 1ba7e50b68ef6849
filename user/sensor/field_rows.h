/* SPDX-License-Identifier: GPL-2.0-only */
/* The rows that tables of fields are made of; for the files that hold such tables. */
#ifndef TCPSTALL_SENSOR_FIELD_ROWS_H
#define TCPSTALL_SENSOR_FIELD_ROWS_H

#include <stddef.h>
#include "sensor/fields.h"

/* clang-format off */
#define MEMBER(s, m)	  .name = #m, .offset = offsetof(s, m), .size = sizeof(((s *)0)->m)
#define NUMBER(s, m)	  {MEMBER(s, m), .type = FIELD_UNSIGNED}
#define NUMBERS(s, m)	  {MEMBER(s, m), .type = FIELD_UNSIGNED, .unit = sizeof(((s *)0)->m[0])}
#define INTEGER(s, m)	  {MEMBER(s, m), .type = FIELD_SIGNED}
#define BOOLEAN(s, m)	  {MEMBER(s, m), .type = FIELD_BOOL}
#define WORD(s, m, w)	  {MEMBER(s, m), .type = FIELD_ENUM, .words = (w)}
#define TEXT(s, m)	  {MEMBER(s, m), .type = FIELD_TEXT}
#define NAME(s, m)	  {MEMBER(s, m), .type = FIELD_NAME}
#define PROSE(s, m)	  {MEMBER(s, m), .type = FIELD_PROSE}
#define MAC(s, m)	  {MEMBER(s, m), .type = FIELD_MAC}
#define ADDR(s, m)	  {MEMBER(s, m), .type = FIELD_ADDR}
#define PART(s, m, table) {MEMBER(s, m), .type = FIELD_STRUCT, .fields = (table)}
#define REAL(s, m)	  {MEMBER(s, m), .type = FIELD_REAL}
#define KIND(s, m, f)	  {MEMBER(s, m), .type = FIELD_WORD, .word = (f)}
#define LIST(s, m, table) \
	{MEMBER(s, m), .type = FIELD_LIST, .unit = sizeof(((s *)0)->m[0]), .fields = (table)}
#define PAD(s, m)	  {MEMBER(s, m), .type = FIELD_PAD}
#define END		  {.name = NULL}
/* clang-format on */

extern const struct field key_fields[]; /* of struct flow_key */

#endif
