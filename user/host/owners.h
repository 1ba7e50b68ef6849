/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The processes behind sockets, looked for through /proc/PID/fd in slices: one walk answers all who
 * have asked before it began, and the event loop goes on in between.
 */
#ifndef TCPSTALL_HOST_OWNERS_H
#define TCPSTALL_HOST_OWNERS_H

#include "engine/observation.h"

#define OWNERS_ASKED_MAX 256

struct owners;

int owners_new(struct owners **ret);
void owners_free(struct owners *o); /* NULL is fine */

/* Asks who has the socket of this inode open. -ENOSPC: too many have asked; -ENOMEM. */
int owners_ask(struct owners *o, const struct flow_key *key, uint64_t inode);

bool owners_busy(const struct owners *o); /* somebody waits for an answer */

/*
 * Works for about so long, and hands over what is found out: as host_process(), .pid 0 if there is
 * none that we may see. Nothing is asked from within found().
 */
void owners_run(struct owners *o, uint64_t slice_ns,
		void (*found)(const struct process_seen *process, void *arg), void *arg);

#endif
