/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps incidents on disk as they happen: a database and, beside it, a file of packets for each. A
 * thread of its own writes; whoever hands something over never waits for the disk. What the disk
 * does not take waits in a bounded queue, and what finds no room there is counted as lost. Several
 * processes may write to the same directory, and readers always work (archive.h).
 */
#ifndef TCPSTALL_INCIDENT_STORE_H
#define TCPSTALL_INCIDENT_STORE_H

#include "engine/engine.h"
#include "incident/kept.h"

#define STORE_BYTES  (256ull << 20) /* defaults of the limits */
#define STORE_AGE_NS (90ull * 86400 * 1000000000)

struct store;

/* Nothing but what ids are made of, but no stdin's "-": it is printed, and becomes a file's name.
 */
bool store_is_id(const char *word);

struct store_config {
	const char *dir;     /* made if it is not there */
	uint64_t max_bytes;  /* the oldest go beyond that, but never one that goes on */
	uint64_t max_age_ns; /* since its begin */
	const char *host;
	int64_t wall_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
};

/* Whether this build can. */
bool store_supported(void);

/*
 * Where incidents are kept if nothing else is said: /var/lib/tcpstall for root, else
 * $XDG_STATE_HOME/tcpstall or ~/.local/state/tcpstall. -ENOENT: there is no home; -ENAMETOOLONG.
 */
int store_default_dir(char *buf, size_t len);

/* The directory and what is above it, for its owner only. -EACCES, -EROFS, -ENOTDIR ... */
int store_make_dir(const char *dir);

/* -ENOTSUP: not in this build; -ENOMEM, -EAGAIN. What is wrong with the disk comes as news. */
int store_new(const struct store_config *config, struct store **ret);

/*
 * Writes what still waits, if the disk takes it, for a few seconds at most; what it did not take is
 * counted as lost, and told as news. Whatever is handed over later is lost. NULL is fine.
 */
void store_finish(struct store *s);
/* Finishes it, if that has not been done. NULL is fine. */
void store_free(struct store *s);

/* Any output of the engine; those that are about no incident are ignored. NULL is fine. */
void store_output(struct store *s, const struct output *out);

/* Packets of an incident that was handed over before. counts: of its flow, or NULL. */
void store_packets(struct store *s, const char *incident, const struct kept_packet *packets,
		   size_t n, const struct box_counts *counts);

/* Readable while there is news: one line for the user about what does not work, or works again. */
int store_fd(const struct store *s);
bool store_news(struct store *s, char *ret_line, size_t len);

struct store_counts {
	uint64_t incidents;	 /* begun by us and written */
	uint64_t lost;		 /* outputs and packet lists that were not kept */
	uint64_t incidents_lost; /* begins among them */
};
struct store_counts store_counts(struct store *s);

#endif
