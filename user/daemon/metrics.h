/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters of what was found, and all of it in the text format of Prometheus, 0.0.4. */
#ifndef TCPSTALL_DAEMON_METRICS_H
#define TCPSTALL_DAEMON_METRICS_H

#include <stdio.h>

#include "engine/engine.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct monitor;
struct sinks;
struct store;

/* Stalls are counted when they end, by the cause that stood at the end. */
#define STALL_BUCKETS 11
struct tallies {
	uint64_t stalls[CAUSES];
	uint64_t bucket[STALL_BUCKETS]; /* by length; the last has no limit */
	double seconds;
};

void tallies_output(struct tallies *t, const struct output *out);

struct metrics_source {
	const struct tallies *tallies;
	const struct monitor *monitor;
	struct sinks *sinks;
	struct store *store; /* NULL: incidents are not kept */
};

void metrics_write(const struct metrics_source *source, FILE *to);

#endif
