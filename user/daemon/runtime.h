/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The directory below /run: a lock, so that there is one daemon, and the alerts that go on, so that
 * the next one does not tell them again. It is of this boot only, as CLOCK_MONOTONIC is.
 */
#ifndef TCPSTALL_DAEMON_RUNTIME_H
#define TCPSTALL_DAEMON_RUNTIME_H

#include <sys/types.h>

#include "alert/groups.h"

/* The lock's descriptor, which is held until it is closed. -EBUSY: ret_pid has it; -EACCES ... */
int runtime_lock(const char *dir, pid_t *ret_pid);

int runtime_save(const char *dir, const struct groups *groups);

/* -ENOENT: there is nothing to take over; -EINVAL: it is damaged. */
int runtime_load(const char *dir, struct groups *groups, uint64_t now_ns, uint64_t grace_ns);

#endif
