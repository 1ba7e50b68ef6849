/* SPDX-License-Identifier: GPL-2.0-only */
/* What this machine knows, asked only around a stall: netlink, /proc. Nothing is changed. */
#ifndef TCPSTALL_HOST_HOST_H
#define TCPSTALL_HOST_HOST_H

#include "engine/observation.h"

/*
 * Route, gateway, neighbour entry and link towards the peer (rtnetlink RTM_GETROUTE, RTM_GETNEIGH,
 * RTM_GETLINK, RTM_GETQDISC; ETHTOOL_GLINKSETTINGS; nf_conntrack_count) in the network namespace of
 * netns_fd, or the present one if netns_fd < 0. ifindex: interface that the flow is known to use, 0
 * unknown; it is the scope of a link-local peer, and told of with .error if there is no route.
 * -ENETUNREACH: there is no route, or it is a blackhole or prohibits; -EPERM: we may not enter the
 * namespace.
 */
int host_route(const struct flow_key *key, uint32_t ifindex, int netns_fd, struct route_seen *ret);

#define ONLINK_NEIGHBOURS 32

struct onlink_neighbour {
	struct ip_addr addr;
	uint8_t lladdr[6];
	uint16_t nud;
};

/* An interface and those neighbours on it that the kernel believes to be there. */
struct onlink {
	bool ethernet, resolves; /* has hardware addresses; asks for them */
	uint8_t lladdr[6];	 /* its own */
	int n;
	struct onlink_neighbour neighbours[ONLINK_NEIGHBOURS];
};

/* By RTM_GETLINK and RTM_GETNEIGH; netns_fd and errors as above. */
int host_onlink(uint32_t ifindex, uint8_t family, int netns_fd, struct onlink *ret);

/*
 * The process that has the socket of this inode open, by /proc/PID/fd. Of several, the one that
 * works on it: it waits for it (/proc/PID/syscall), or else seems held up (stopped, disk), or else
 * is not the parent that passed it on. Takes a second at most; holders is then a lower bound. comm
 * may hold any bytes. -ENOENT: none that we may see. An event loop takes owners.h instead.
 */
int host_process(const struct flow_key *key, uint64_t inode, struct process_seen *ret);

/*
 * Network namespaces that processes live in or that /run/netns names, by inode: a bounded cache.
 * Call namespaces_refresh() now and then (every 10 s will do): a descriptor that the cache holds
 * keeps its namespace alive, and only a refresh notices that nobody else does.
 */
struct namespaces;
int namespaces_new(struct namespaces **ret);
void namespaces_free(struct namespaces *n);
int namespaces_refresh(struct namespaces *n); /* number of namespaces seen */
void namespaces_close(struct namespaces *n);  /* all descriptors, at once */

/*
 * A descriptor of the namespace, borrowed: good until the next call on this cache. -ENOENT: no such
 * namespace, or it has vanished; -EPERM: we may not open it. A miss looks through /proc once.
 */
int namespaces_fd(struct namespaces *n, uint32_t netns);
/* i-th namespace known, 0-based, with its descriptor as above; false past the end */
bool namespaces_at(struct namespaces *n, int i, uint32_t *ret_netns, int *ret_fd);

/*
 * NAME (in /run/netns), PATH (has a slash) or PID to an open descriptor, the caller's to close, and
 * its inode. Digits are a PID unless a namespace has that name. -ENOENT, -EINVAL, -EPERM.
 */
int namespace_open(const char *text, int *ret_fd, uint32_t *ret_netns);
/* Inode of the namespace we are in. */
int namespace_self(uint32_t *ret_netns);

/*
 * Runs fn(arg) inside a namespace, or right here if netns_fd < 0, and comes back; fn's result, or
 * -EPERM (CAP_SYS_ADMIN). A socket opened inside stays there. Only this thread moves. If the way
 * back fails the process aborts: it must not go on working in a stranger's network.
 */
int namespace_call(int netns_fd, int (*fn)(void *arg), void *arg);

/*
 * A socket that lives in a namespace, or right here if netns_fd < 0, and may be used from anywhere;
 * of broker.h, if one runs. Errors of setns(2) and socket(2).
 */
int namespace_socket(int netns_fd, int family, int type, int protocol);

/* Connections that conntrack knows there, and how many it takes. 0: it is not there. */
int namespace_conntrack(int netns_fd, uint32_t *ret_count, uint32_t *ret_max);

#endif
