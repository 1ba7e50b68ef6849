/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where observations come from. Live: eBPF programs on TCP tracepoints, or the packets of some
 * interfaces. Who holds a sensor does not know which it is.
 */
#ifndef TCPSTALL_SENSOR_SENSOR_H
#define TCPSTALL_SENSOR_SENSOR_H

#include <sys/types.h>
#include "engine/engine.h"

struct sensor;
struct namespaces;
struct flow_filter;

struct sensor_config {
	uint64_t min_bytes; /* the kernel keeps state only beside sockets that moved as much */
	uint64_t suspect_after_ns; /* report transfers silent for longer */
	uint64_t stall_after_ns;   /* packets: of connections that pass by */
	uint32_t netns;		   /* 0: all */
	const char
		*interfaces; /* names, separated by commas, or "any": their packets; NULL: eBPF */
	pid_t root_pid;	     /* watch this process and its descendants only; 0: all */
	const struct flow_filter *filter; /* NULL: all; flows that match are named */
	const char *btf_path;		  /* NULL: the running kernel's */
	const char *without;		  /* comma-separated program names not to load (tests) */
	uint32_t box_packets;		  /* of a black box (blackbox.h), a power of two is made of
					     it; 0: none */
};

/*
 * eBPF: loads and attaches what this kernel allows; a program that does not load costs its feature
 * only. -EPERM, -ENOTSUP (no BTF, no tracing programs). Packets: -EPERM, -ENODEV (no such
 * interface). On error ret_why holds one line for the user.
 */
int sensor_open(const struct sensor_config *config, struct namespaces *namespaces,
		observe_fn observe, void *arg, struct sensor **ret, char *ret_why, size_t why_len);
void sensor_close(struct sensor *s); /* NULL is fine */

/* Seeds from connections that exist already, in every namespace we may enter. Number seeded. */
int sensor_seed(struct sensor *s);

/* Descriptor to poll for events, and the handler. */
int sensor_fd(const struct sensor *s);
int sensor_read(struct sensor *s);

/* Looks for silence: reports suspects and those that recovered. all: every transfer, then
 * OBS_SCANNED. */
int sensor_scan(struct sensor *s, bool all);

#define SENSOR_RING_BYTES (8 << 20) /* packets: kernel memory for each interface */

#define SENSOR_LISTEN_MAX 64
/*
 * Report packet drops of this flow from now on, with each scan; at most SENSOR_LISTEN_MAX flows.
 * -ENOSPC
 */
int sensor_listen(struct sensor *s, const struct flow_key *key);
int sensor_release(struct sensor *s, const struct flow_key *key);

#define SENSOR_LOST_REASONS 6
struct sensor_counts {
	uint64_t tracked, visited, events;
	uint64_t retransmissions; /* of tracked flows; packets: not counted */
	struct {
		const char *reason;
		uint64_t count;
	} lost[SENSOR_LOST_REASONS];
};
struct sensor_counts sensor_counts(const struct sensor *s);

/* What each kernel program has cost; while the kernel counts it (sysctl kernel.bpf_stats_enabled).
 */
typedef void (*program_fn)(const char *name, uint64_t run_ns, void *arg);
void sensor_programs(const struct sensor *s, program_fn fn, void *arg);

/* One line of `tcpstall check`. */
struct feature {
	const char *name;
	bool ok;
	char why[160]; /* empty if ok */
	char fix[160];
};
/* Tries each program by itself. Number of features written. */
int sensor_check(struct feature *ret, int max);

#endif
