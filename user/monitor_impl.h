/* SPDX-License-Identifier: GPL-2.0-only */
/* What the event loop (monitor.c) and its opening (monitor_open.c) share; for nobody else. */
#ifndef TCPSTALL_MONITOR_IMPL_H
#define TCPSTALL_MONITOR_IMPL_H

#include "monitor.h"

#define WANTS_MAX 4096

enum source {
	FROM_SENSOR,
	FROM_PROBER,
	FROM_TIMER,
	FROM_SIGNAL,
	FROM_KEY,
	FROM_PROCESS,
	FROM_OUTPUT,
	FROM_STORE,
	FROM_BROKER,
	FROM_GUEST
};

struct monitor {
	struct monitor_config config;
	struct namespaces *namespaces;
	struct inquiry *inquiry;
	struct pacing *pacing;
	struct prober *prober; /* NULL: not permitted */
	struct engine *engine;
	struct recorder *recorder; /* NULL: none */
	struct store *store;	   /* NULL: incidents are not kept */
	struct keeper *keeper;
	void (*say)(const char *line);
	struct sensor *sensor;
	int epoll_fd, timer_fd, signal_fd;

	struct want want[WANTS_MAX]; /* ring */
	unsigned int first_want, n_wants;
	bool scan_wanted; /* of all flows */
	uint64_t wants_lost, not_listened;

	uint64_t end_ns;			     /* UINT64_MAX: never */
	uint64_t scanned_ns, drawn_ns, refreshed_ns; /* when it was last done */
	uint64_t due_ns;			     /* when it is to be run again */
	uint64_t prober_ns, pacing_ns;		     /* when they want to run */
	struct monitor_errors errors;
	bool ended;
	enum monitor_end result;
};

void monitor_observe(const struct observation *obs, void *arg); /* an observe_fn */

#endif
