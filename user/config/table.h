/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of keys, for the files of this room. */
#ifndef TCPSTALL_CONFIG_TABLE_H
#define TCPSTALL_CONFIG_TABLE_H

#include "config/config.h"

enum key_type {
	KEY_BOOL,     /* bool: yes, no */
	KEY_NUMBER,   /* uint64_t */
	KEY_SIZE,     /* uint64_t, bytes */
	KEY_DURATION, /* uint64_t, nanoseconds */
	KEY_TEXT,     /* char[] */
	KEY_FILTER,   /* char[], pcap-filter(7) */
	KEY_CHOICE,   /* int: which of the words */
};

enum section_kind {
	SECTION_DAEMON,
	SECTION_STORE,
	SECTION_WATCH,
	SECTION_ALERTS,
	SECTION_SINK,
	SECTION_METRICS,
	SECTIONS
};

struct key {
	const char *name;
	enum key_type type;
	unsigned int types;   /* of sinks, 1 << enum sink_type, that it is for; 0: all */
	size_t offset, size;  /* of the member, in the struct of its section */
	const char *fallback; /* as it would be written in a file */
	uint64_t min, max;    /* of numbers */
	const char *choices;  /* KEY_CHOICE: a|b, in the order of the enum */
	const char *help;     /* sentences */
	size_t place; /* of another member, which keeps FILE:LINE in CONFIG_TEXT; 0: none does */
};

struct section {
	const char *name;
	const char *help;
	const struct key *keys;
	size_t offset; /* of the first in struct config */
	size_t given;  /* of the bits, in the struct of the section */
	int n_keys;
	bool named;    /* [name NAME], any number of them */
	bool nameless; /* [name] is fine */
};

/* The keys of [watch NAME] that say which transfers it is about: the first ones. */
#define SELECTORS 4

extern const struct section config_sections[SECTIONS];

/* Text to value. -EINVAL: ret_why says what would have been right. */
int key_parse(const struct key *k, const char *text, void *section, char *ret_why, size_t why_len);

/* Value to text that key_parse() takes, into buf, which is returned. */
const char *key_text(const struct key *k, const void *section, char *buf, size_t len);

/* All keys of a section as their fallbacks say. */
void section_defaults(const struct section *s, void *section);

#endif
