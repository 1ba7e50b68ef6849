/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads the store. Works beside processes that write to it, and changes nothing. */
#ifndef TCPSTALL_INCIDENT_ARCHIVE_H
#define TCPSTALL_INCIDENT_ARCHIVE_H

#include "engine/engine.h"
#include "incident/kept.h"
#include "incident/state.h"

#define ARCHIVE_IDS 3 /* that are named instead of one that is not there */

struct archive;

/*
 * -ENOENT: nothing has been stored there; -EPROTO: by a newer tcpstall; -EBADMSG: damaged;
 * -ENOTSUP: this build cannot; -EACCES ... ret_why is one line for the user.
 */
int archive_open(const char *dir, struct archive **ret, char *ret_why, size_t why_len);
void archive_close(struct archive *a); /* NULL is fine */

/* Of an incident, what is the same for all its events. */
struct archived {
	char id[INCIDENT_ID];
	char host[NAME_LEN]; /* that it was seen on */
	int64_t wall_offset_ns;
	bool running;	     /* the process that saw it goes on */
	bool packets;	     /* some were kept */
	uint64_t seen, lost; /* packets of its flow; of these, overwritten before they were kept */
};

/* Zero: anything. */
struct archive_filter {
	int64_t since_ns, until_ns; /* of its begin, since 1970 */
	const char *cause;
	uint16_t port;	     /* of either end */
	struct ip_addr addr; /* either end is in addr/bits */
	unsigned int bits;
	const char *comm;
};

/*
 * out is the latest event of the incident. What the process was killed over comes as the end that
 * it had, with OUTCOME_INTERRUPTED. Non-zero ends the walk.
 */
typedef int (*archive_fn)(const struct archived *archived, const struct output *out, void *arg);

/* The newest first. What fn returned, or an error of the database. Damaged entries are counted. */
int archive_each(struct archive *a, const struct archive_filter *filter, archive_fn fn, void *arg,
		 uint64_t *ret_damaged);

/* All events of one incident, in their order; as many ends as begins unless it goes on. */
int archive_events(struct archive *a, const char *id, archive_fn fn, void *arg);

/*
 * The one incident whose id begins with this. -ENOENT: there is none; ret_ids then has the
 * ret_n_ids nearest. -EEXIST: there are ret_n_ids; it has the newest of these, or all.
 */
int archive_find(struct archive *a, const char *prefix, char ret_id[INCIDENT_ID],
		 char ret_ids[ARCHIVE_IDS][INCIDENT_ID], int *ret_n_ids);

/* How many there are, and how large their packets are. */
int archive_size(struct archive *a, uint64_t *ret_incidents, uint64_t *ret_packet_bytes);

/* As kept_read(). */
int archive_packets(const struct archive *a, const char *id, struct kept_packet **ret,
		    size_t *ret_n);

#endif
