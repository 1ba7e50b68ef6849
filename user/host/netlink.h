/* SPDX-License-Identifier: GPL-2.0-only */
/* What the netlink questions of this room share. */
#ifndef TCPSTALL_HOST_NETLINK_H
#define TCPSTALL_HOST_NETLINK_H

#include <libmnl/libmnl.h>
#include "engine/observation.h"

/* A socket of rtnetlink in this namespace, or the present one if netns_fd < 0. Negative errno. */
int netlink_open(int netns_fd, struct mnl_socket **ret);

/*
 * Sends one request and hands each message of the reply to fn. The kernel answers at once, or a
 * time-out of a second ends it. dump: NLM_F_DUMP.
 */
int netlink_ask(struct mnl_socket *nl, struct nlmsghdr *request, bool dump, mnl_cb_t fn, void *arg);

/* Bounded readers: *ret stays where the attribute is too short. */
bool netlink_u32(const struct nlattr *attr, uint32_t *ret);
void netlink_text(const struct nlattr *attr, char *ret, size_t size);
struct ip_addr netlink_addr(int family, const struct nlattr *attr);

/*
 * link.c: carrier, speed, counters, queue of route->ifindex, and what lies under it. -ENODEV: the
 * interface has just gone.
 */
int netlink_link(struct mnl_socket *nl, struct route_seen *route);

#endif
