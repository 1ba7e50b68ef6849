/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process of our own that keeps capabilities, so that those who parse what comes from the network
 * need none. It looks for namespaces, opens sockets in them, looks for processes, and nothing else:
 * its requests are of fixed size and its answers are descriptors and numbers. It ends with the
 * process that started it. Who has taken that process over can still listen to and send packets in
 * any namespace that the broker may enter, by the sockets that it opens; and no more.
 *
 * There is one for the whole process, as there is one set of capabilities. From broker_rely() on
 * the functions of host.h ask it by themselves. Not for several threads.
 */
#ifndef TCPSTALL_HOST_BROKER_H
#define TCPSTALL_HOST_BROKER_H

#include <sys/types.h>

#include "engine/observation.h"

/* Forks: while there is one thread, and before anything is open that it should not hold. It keeps
 * those of these capabilities (capability.h) that we have. -errno */
int broker_start(uint64_t capabilities);
void broker_stop(void); /* also if there is none */

pid_t broker_pid(void); /* 0: there is none */

/* From now on what it can do is left to it. */
void broker_rely(void);
bool broker_relied(void);

/* As namespace_socket(), namespaces_fd() and namespace_conntrack() of host.h. -ETIMEDOUT: it does
 * not answer, and is ended; -EPIPE: it has ended. */
int broker_socket(int netns_fd, int family, int type, int protocol);
int broker_netns(uint32_t netns);
int broker_conntrack(int netns_fd, uint32_t *ret_count, uint32_t *ret_max);

/* As owners_ask(), and never waits; what is found is taken with broker_found() when broker_fd() is
 * readable. -ENOSPC: so many have not been taken yet. */
int broker_owner(const struct flow_key *key, uint64_t inode);
int broker_fd(void);
int broker_found(struct process_seen *ret); /* -EAGAIN: no more for now; -EPIPE: it has ended */

#endif
