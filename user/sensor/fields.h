/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a recording holds, as tables of fields: a row a member, a table a struct. Writer, reader and
 * anonymiser walk the same tables, so a new member of an observation is one new row in fields.c.
 */
#ifndef TCPSTALL_SENSOR_FIELDS_H
#define TCPSTALL_SENSOR_FIELDS_H

#include <jansson.h>
#include "engine/engine.h"

enum field_type {
	FIELD_UNSIGNED, /* of 1, 2, 4 or 8 bytes, or an array of them */
	FIELD_SIGNED,
	FIELD_BOOL,
	FIELD_REAL,  /* double */
	FIELD_ENUM,  /* one of the words */
	FIELD_WORD,  /* the same, with a function that has the words */
	FIELD_TEXT,  /* char array, terminated, printable ASCII */
	FIELD_NAME,  /* the same of any bytes, names something of the user's */
	FIELD_PROSE, /* sentences of ours, in which addresses and names may stand */
	FIELD_MAC,
	FIELD_ADDR,   /* struct ip_addr */
	FIELD_STRUCT, /* described by a table of its own */
	FIELD_LIST, /* an array of such structs, of `unit` bytes each; zeros at its end are left out
		     */
	FIELD_PAD,  /* explicit padding, left out */
};

#define FIELD_TEXT_MAX 400 /* bytes of any text */

struct field {
	const char *name; /* NULL ends a table */
	enum field_type type;
	uint16_t offset, size; /* of the member, an array as a whole */
	uint16_t unit;	       /* bytes of one number of an array; 0: no array */
	const struct field *fields;
	const char *const *words;   /* ends with NULL */
	const char *(*word)(int i); /* NULL: there is no such value */
};

struct observation_info {
	const char *name;
	const struct field *fields; /* offsets in struct observation */
};
extern const struct field observation_time_fields[]; /* what all of them have */
extern const struct observation_info observation_table[OBS_TYPES];
extern const struct field engine_config_fields[];

/* The first line of a recording, and its last one: there `lost` is an array of losses. */
extern const struct field record_header_fields[];
extern const struct field record_end_fields[];
extern const struct field record_loss_fields[];

#define RECORD_HEADER_KEY "tcpstall_recording"
#define RECORD_TYPE_KEY	  "observation"
#define RECORD_END_KEY	  "recording_end"

/* Its key in the recording: "gone.last" in a table of struct observation is just "last". */
const char *field_key(const struct field *f);

/* Adds the members that are not zero to a JSON object. -ENOMEM. */
int fields_write(const struct field *table, const void *base, json_t *object);

/*
 * Sets the members that the object has; others stay, unknown keys are ignored. -EINVAL: a value
 * that does not fit its member; ret_why names it.
 */
int fields_read(const struct field *table, const json_t *object, void *base, char *ret_why,
		size_t why_len);

#endif
