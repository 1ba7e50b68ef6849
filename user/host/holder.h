/* SPDX-License-Identifier: GPL-2.0-only */
/* One process that has a socket open, and what it is doing with it. */
#ifndef TCPSTALL_HOST_HOLDER_H
#define TCPSTALL_HOST_HOLDER_H

#include <sys/types.h>
#include "engine/observation.h"

#define HOLDER_FDS 8

enum rank {
	RANK_ELSEWHERE, /* waits for its children or for new connections */
	RANK_SLEEPS,
	RANK_HELD, /* stopped, or in uninterruptible sleep: could not work on it if it wanted */
	RANK_ON_SOCKET, /* in a system call on this very socket */
};

struct holder {
	pid_t pid, parent;
	unsigned long long started; /* clock ticks since boot */
	int fds[HOLDER_FDS];	    /* that lead to the socket, the first few */
	int n_fds;
	enum rank rank;
	bool has_child_holder;
	char state;
	char comm[16], wchan[NAME_LEN];
};

/* Name, parent, state. false: it has just ended. */
bool holder_read(struct holder *h);

/* The thread that tells most stands for the process; the first one where none tells more. */
void holder_look(struct holder *h);

/* Whether a works on the socket rather than b. A parent that passed it on does not. */
bool holder_rather(const struct holder *a, const struct holder *b);

/* pressure.c: CPU limit of its cgroup, and pressure stall information. What is not there stays 0.
 */
void process_pressure(pid_t pid, struct process_seen *ret);

#endif
