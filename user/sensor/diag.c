/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP sockets by sock_diag(7), which needs no privilege: what a packet does not show, such as data
 * that waits for the program to read it, and the inode that leads to the program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "host/host.h"
#include "sensor/packets_impl.h"

#define REPLY_BYTES 32768
#define NO_COOKIE   UINT32_MAX /* INET_DIAG_NOCOOKIE */

struct diag {
	struct mnl_socket *nl;
	uint32_t seq;
};

struct answer {
	struct diag_socket socket;
	bool found;
};

static int open_here(void *ret)
{
	*(struct mnl_socket **)ret = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	return *(struct mnl_socket **)ret ? 0 : -errno;
}

int diag_open(int netns_fd, struct diag **ret)
{
	static const struct timeval patience = {.tv_sec = 1};
	struct diag *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	err = namespace_call(netns_fd, open_here, &d->nl);
	if (!err && mnl_socket_bind(d->nl, 0, MNL_SOCKET_AUTOPID))
		err = -errno;
	if (!err && setsockopt(mnl_socket_get_fd(d->nl), SOL_SOCKET, SO_RCVTIMEO, &patience,
			       sizeof(patience)))
		err = -errno;
	if (err) {
		diag_close(d);
		return err;
	}
	*ret = d;
	return 0;
}

void diag_close(struct diag *d)
{
	if (!d)
		return;
	if (d->nl)
		mnl_socket_close(d->nl);
	free(d);
}

static int take_info(const struct nlattr *attr, void *arg)
{
	struct diag_socket *s = arg;
	struct tcp_info info = {0};
	size_t len = mnl_attr_get_payload_len(attr); /* older kernels tell less */

	if (mnl_attr_get_type(attr) != INET_DIAG_INFO)
		return MNL_CB_OK;
	memcpy(&info, mnl_attr_get_payload(attr), len < sizeof(info) ? len : sizeof(info));
	s->unsent = info.tcpi_notsent_bytes;
	s->mss = info.tcpi_snd_mss;
	s->rto_us = info.tcpi_rto;
	s->backoff = info.tcpi_backoff;
	s->pmtu = info.tcpi_pmtu;
	s->rtt_us = info.tcpi_rtt;
	s->rttvar_us = info.tcpi_rttvar;
	s->snd_wnd = info.tcpi_snd_wnd;
	return MNL_CB_OK;
}

static int take_socket(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct answer *a = arg;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return MNL_CB_OK;
	a->found = true;
	a->socket.inode = m->idiag_inode;
	a->socket.unread = m->idiag_rqueue;
	mnl_attr_parse(nlh, sizeof(*m), take_info, &a->socket);
	return MNL_CB_OK;
}

static int ask(struct diag *d, const struct inet_diag_req_v2 *what, struct answer *ret)
{
	char buf[REPLY_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *nlh;
	unsigned int port = mnl_socket_get_portid(d->nl);
	int r = MNL_CB_OK;

	/* An answer that came too late for its question would be taken for the next one's. */
	while (recv(mnl_socket_get_fd(d->nl), buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = ++d->seq;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(*what)), what, sizeof(*what));
	if (mnl_socket_sendto(d->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(d->nl, buf, sizeof(buf));

		if (len < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)len, d->seq, port, take_socket, ret);
	}
	return r < 0 ? -errno : 0;
}

int diag_find(struct diag *d, const struct flow_key *key, struct diag_socket *ret)
{
	struct answer answer = {0};
	struct inet_diag_req_v2 what = {
		.sdiag_family = key->local.addr.family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1u << (INET_DIAG_INFO - 1),
		.idiag_states = UINT32_MAX,
		.id = {.idiag_sport = htons(key->local.port),
		       .idiag_dport = htons(key->remote.port),
		       .idiag_cookie = {NO_COOKIE, NO_COOKIE}},
	};
	int err;

	memcpy(what.id.idiag_src, key->local.addr.bytes, addr_len(&key->local.addr));
	memcpy(what.id.idiag_dst, key->remote.addr.bytes, addr_len(&key->remote.addr));
	err = ask(d, &what, &answer);
	if (!err && !answer.found)
		err = -ENOENT;
	if (!err)
		*ret = answer.socket;
	return err;
}
