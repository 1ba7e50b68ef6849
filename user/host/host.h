/* SPDX-License-Identifier: GPL-2.0-only */
/* What this machine knows, asked only around a stall: netlink, /proc. Nothing is changed. */
#ifndef TCPSTALL_HOST_HOST_H
#define TCPSTALL_HOST_HOST_H

#include "engine/observation.h"

/*
 * Route, gateway, neighbour entry and link towards the peer (rtnetlink RTM_GETROUTE, RTM_GETNEIGH,
 * RTM_GETLINK; ethtool over netlink), in the network namespace of netns_fd, or the present one if
 * netns_fd < 0. -ENETUNREACH: there is no route.
 */
int host_route(const struct flow_key *key, int netns_fd, struct route_seen *ret);

/*
 * The process that has the socket of this inode open, by /proc/PID/fd. Of several, the one that
 * seems to work on it: not its parent. -ENOENT: none that we may see.
 */
int host_process(const struct flow_key *key, uint64_t inode, struct process_seen *ret);

/*
 * Network namespaces that processes live in, by inode: a bounded cache of descriptors.
 * namespaces_fd(): borrowed descriptor, -ENOENT if it has vanished.
 */
struct namespaces;
int namespaces_new(struct namespaces **ret);
void namespaces_free(struct namespaces *n);
int namespaces_refresh(struct namespaces *n); /* number of namespaces seen */
int namespaces_fd(struct namespaces *n, uint32_t netns);
/* i-th namespace known, 0-based; false past the end */
bool namespaces_at(const struct namespaces *n, int i, uint32_t *ret_netns, int *ret_fd);

/* NAME (/run/netns), PATH or PID to an open descriptor and its inode. -ENOENT, -EINVAL, -EPERM. */
int namespace_open(const char *text, int *ret_fd, uint32_t *ret_netns);
/* Inode of the namespace we are in. */
int namespace_self(uint32_t *ret_netns);

#endif
