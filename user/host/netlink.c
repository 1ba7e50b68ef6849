/* SPDX-License-Identifier: GPL-2.0-only */
#include "host/netlink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "host/host.h"

/* A link message without its virtual functions stays well below; a dump comes in such pieces. */
#define REPLY_BYTES 32768

int netlink_open(int netns_fd, struct mnl_socket **ret)
{
	int fd = namespace_socket(netns_fd, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r;

	if (fd < 0)
		return fd;
	*ret = mnl_socket_fdopen(fd);
	if (*ret)
		return 0;
	r = -errno;
	close(fd);
	return r;
}

int netlink_ask(struct mnl_socket *nl, struct nlmsghdr *request, bool dump, mnl_cb_t fn, void *arg)
{
	static const struct timeval patience = {.tv_sec = 1};
	char reply[REPLY_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t len;
	int r = MNL_CB_OK;

	request->nlmsg_flags |= NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK);
	request->nlmsg_seq = 1;
	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		len = mnl_socket_recvfrom(nl, reply, sizeof(reply));
		if (len < 0)
			return -errno;
		r = mnl_cb_run(reply, (size_t)len, 1, 0, fn, arg);
	}
	return r < 0 ? -errno : 0;
}

bool netlink_u32(const struct nlattr *attr, uint32_t *ret)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
		return false;
	*ret = mnl_attr_get_u32(attr);
	return true;
}

void netlink_text(const struct nlattr *attr, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s", (int)mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
}

struct ip_addr netlink_addr(int family, const struct nlattr *attr)
{
	const void *bytes = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	if (family == AF_INET && len >= 4)
		return addr_v4(bytes);
	if (family == AF_INET6 && len >= 16)
		return addr_v6(bytes);
	return (struct ip_addr){0};
}
