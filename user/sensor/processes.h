/* SPDX-License-Identifier: GPL-2.0-only */
/* A process and all below it, with the sockets that they have open, from /proc. */
#ifndef TCPSTALL_SENSOR_PROCESSES_H
#define TCPSTALL_SENSOR_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESSES_MAX 16384

/* Each process, then each of its sockets. NULL: not asked for. -ENOMEM */
int processes_below(pid_t root, void (*process)(uint32_t pid, void *arg),
		    void (*socket)(uint32_t pid, uint64_t inode, void *arg), void *arg);

/* The inodes of their sockets, a bounded set. */
struct socket_inodes;
int socket_inodes_new(struct socket_inodes **ret);
void socket_inodes_free(struct socket_inodes *s);	      /* NULL is fine */
int socket_inodes_below(struct socket_inodes *s, pid_t root); /* instead of what it held */
bool socket_inodes_have(const struct socket_inodes *s, uint64_t inode);

#endif
