/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files daemon*.c share; for nobody else. */
#ifndef TCPSTALL_DAEMON_DAEMON_IMPL_H
#define TCPSTALL_DAEMON_DAEMON_IMPL_H

#include "alert/groups.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/http.h"
#include "daemon/metrics.h"
#include "daemon/selector.h"
#include "session.h"

enum daemon_source {
	DAEMON_TIMER,
	DAEMON_SIGNAL,
	DAEMON_CLOCK,
	DAEMON_SINKS,
	DAEMON_HTTP,
	DAEMON_CONTROL,
};

struct daemon {
	struct guest guest; /* first: what the monitor holds; its descriptor is our epoll set */
	struct config *config;
	const char *path;	/* of the configuration; NULL: the usual one */
	struct options options; /* as the configuration has them */
	struct session session;
	struct writer *writer; /* to stdout or -o FILE; NULL: nobody asked */
	struct selector *selector;
	struct flow_filter *exclude; /* no probes for these; NULL */
	struct groups *groups;
	struct sinks *sinks;
	struct control *control;
	struct http *http; /* NULL: not asked for */
	struct tallies tallies;
	int timer_fd, clock_fd, signal_fd, lock_fd;
	int64_t wall_offset_ns; /* as it is now */
	uint64_t started_ns, lines_lost;
	uint64_t broker_may; /* CAPABILITY()s of the broker */
	uint64_t watchdog_ns, alive_ns, textfile_ns, http_ns;
	uint64_t doors_ns; /* when control socket and metrics are looked at again; UINT64_MAX: they
			      are */
	bool unsaved;
	int save_error, textfile_error; /* that were told last */
};

int daemon_add(struct daemon *d, int fd, enum daemon_source source);

/* daemon_config.c: as if it had been said on a command line; and on SIGHUP. */
struct options daemon_options(const struct options *given, const struct config *c);
void daemon_hangup(struct daemon *d);

/* daemon_tell.c: what the daemon says of itself. */
extern const struct control_ops daemon_control_ops;
extern const struct http_ops daemon_http_ops;
void daemon_textfile(struct daemon *d);
void daemon_say_start(const struct daemon *d);

/* The descriptor becomes readable when the wall clock is set. */
int clock_watch(int fd);

#endif
