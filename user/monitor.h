/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The live event loop: sensor, prober and host room on one side, engine and writer on the other.
 * One thread, one epoll set; while nothing happens only the engine's scan period wakes it.
 */
#ifndef TCPSTALL_MONITOR_H
#define TCPSTALL_MONITOR_H

#include "sensor/blackbox.h"
#include "sensor/sensor.h"
#include "view/writer.h"

struct live;
struct monitor;
struct store;

struct monitor_config {
	struct engine_config engine; /* .probe false: forbidden, or without CAP_NET_RAW */
	struct sensor_config sensor;
	const char *host;
	const char *record; /* FILE; NULL: keep no recording */
	bool anonymize;
	uint64_t duration_ns; /* 0: no limit */
	struct store *store;  /* NULL: incidents are not kept */
	struct writer *writer;
	int out_fd; /* that the writer writes to: noticed when its reader goes; -1: do not care */
	struct live *live;	       /* redrawn each second from a full scan; NULL: none */
	struct names *names;	       /* told of the addresses that answer; NULL: none */
	int key_fd;		       /* terminal that sends 'q'; -1: none */
	int pidfd;		       /* the loop ends with this process; -1: none */
	pid_t forward_to;	       /* signals go on to this process; 0: they end the loop */
	struct guest *guest;	       /* NULL: none */
	void (*say)(const char *line); /* what goes wrong while it runs; NULL: nobody listens */
	const struct flow_filter *probe_exclude; /* no probes for these; NULL: none such */
	/* Whether this incident belongs into the store; NULL: all of them do. */
	bool (*keeps)(const struct incident *incident, void *arg);
	void *keeps_arg;
};

/* Somebody else's work in the loop. SIGHUP is the guest's, and does not end the loop. */
struct guest {
	int fd; /* ready() is called while it is readable */
	void (*ready)(struct guest *guest);
};

enum monitor_end {
	END_STOPPED, /* signal, key or time */
	END_PROCESS, /* the process of pidfd has ended */
	END_OUTPUT,  /* the results cannot be written */
};

/*
 * Opens everything and attaches; what exists already is seeded and shown to the engine once.
 * Signals that the loop handles are blocked from here on. On error ret_why holds one line for the
 * user. -EPERM, -ENOTSUP: not here; -EIO: the recording cannot be written.
 */
int monitor_new(const struct monitor_config *config, struct monitor **ret, char *ret_why,
		size_t why_len);
void monitor_free(struct monitor *m); /* NULL is fine */

/*
 * Incidents go into this store as well; it must outlive the monitor. say: what is wrong with it, a
 * line each, while the loop runs. Before monitor_run(). -ENOMEM
 */
int monitor_keep(struct monitor *m, struct store *store, void (*say)(const char *line));

/*
 * Until the end: enum monitor_end, or negative errno if the loop itself fails. Closes every open
 * stall and writes the summary.
 */
int monitor_run(struct monitor *m);

void monitor_stop(struct monitor *m); /* as a signal would */

/* As it would be told now. */
void monitor_summary(const struct monitor *m, struct summary *ret);

struct sensor_counts monitor_sensor_counts(const struct monitor *m);
void monitor_programs(const struct monitor *m, program_fn fn, void *arg);

/* As engine_each_transfer(). */
void monitor_each_transfer(const struct monitor *m,
			   bool (*fn)(const struct transfer *transfer, void *arg), void *arg);

/* What did not work, the rest going on: 0, or negative errno. */
struct monitor_errors {
	int probe;  /* no probes although they were allowed: -EPERM */
	int record; /* the recording is cut: -ENOSPC */
	int output; /* results are missing: -EPIPE, -ENOSPC */
};
struct monitor_errors monitor_errors(const struct monitor *m);

struct box_capacity monitor_boxes(const struct monitor *m);
uint64_t monitor_engine_bytes(const struct monitor *m);
struct engine_counts monitor_engine_counts(const struct monitor *m);
uint64_t monitor_lost(const struct monitor *m); /* events of any kind */

#endif
