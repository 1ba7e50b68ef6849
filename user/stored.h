/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the verbs over stored incidents share. They return an exit status and report errors on
 * stderr, one line each.
 */
#ifndef TCPSTALL_STORED_H
#define TCPSTALL_STORED_H

#include "incident/archive.h"
#include "options.h"

#define STORED_EVENTS 64 /* of an incident that are told of; the last one is always there */

/* --store DIR, or where incidents are by default. -ENOENT, -ENAMETOOLONG: there is no such place,
 * and buf says what was looked for. */
int stored_dir(const struct options *options, char *buf, size_t len);

/* For reading. STATUS_DONE and NULL: there is none yet at the default place. */
int stored_open(const struct options *options, struct archive **ret);

/* The incident whose id begins with this word. */
int stored_find(struct archive *a, const char *word, char ret_id[INCIDENT_ID]);

struct stored {
	struct archived archived;
	struct incident_state state; /* as it was last */
	struct stored_event {
		enum output_kind kind;
		uint64_t now_ns;
		enum cause cause;
	} events[STORED_EVENTS];
	int n_events;
	struct kept_packet *packets; /* in the order of time; none: it has none */
	size_t n_packets;
};

/* Event k is a verdict with another cause than the one before it. */
bool stored_verdict_is_new(const struct stored *s, int k);

/* Everything of the incident that this word names; on success stored_free() is needed. */
int stored_load(const struct options *options, const char *word, struct stored **ret);
void stored_free(struct stored *s); /* NULL is fine */

/*
 * The incident and its packets, all with the same key, which nobody ever sees. Packets that cannot
 * be made nameless are left out, which a line on stderr tells. Negative errno: no random key.
 */
int stored_anonymize(struct stored *s);

/* `report ID` */
int report_stored(const struct options *options, const char *word);

#endif
