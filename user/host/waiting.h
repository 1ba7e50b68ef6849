/* SPDX-License-Identifier: GPL-2.0-only */
/* What a thread's system call is waiting for. */
#ifndef TCPSTALL_HOST_WAITING_H
#define TCPSTALL_HOST_WAITING_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Whether the thread is inside a system call that transfers data over, or waits for, one of these
 * descriptors of its process. memory: its memory may be read, to see what poll() and select() were
 * given. false too where we may not know (needs CAP_SYS_PTRACE for other users' processes).
 */
bool thread_waits_on(pid_t pid, pid_t tid, const int *fds, int n_fds, bool memory);

#endif
