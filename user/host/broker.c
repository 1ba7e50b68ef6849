/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two pairs of sockets: on one each request is answered before the next, on the other processes are
 * asked for and told of when they are found. Of those no more are under way than the socket holds,
 * so neither end ever waits for the other to read. What comes in is from a process that may have
 * been taken over: a length that is not right, or a socket that is not in the table, is refused. It
 * may name any namespace; what it may do there is what the table says.
 */
#include "host/broker.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/clock.h"
#include "host/host.h"
#include "host/owners.h"

#define NAME	   "tcpstall-broker" /* 15 characters, as prctl(2) takes them */
#define SLICE_NS   (4 * NS_PER_MS)   /* for processes, before a request is looked at again */
#define QUIET_MS   1		     /* requests come in rows: processes wait for a gap */
/* Asked for and not taken yet; some 270 answers are as much as net.core.wmem_default holds. */
#define OWNERS_MAX (OWNERS_ASKED_MAX / 2)

enum request_kind { ASK_SOCKET, ASK_NETNS, ASK_CONNTRACK };

struct request {
	uint32_t number; /* so that a late answer is not taken for that of another */
	uint32_t kind;
	uint32_t netns;			/* ASK_NETNS */
	int32_t family, type, protocol; /* ASK_SOCKET */
};

struct reply {
	uint32_t number;
	int32_t error; /* 0, or negative errno */
	uint32_t count, max;
};

struct owner_request {
	struct flow_key key;
	uint64_t inode;
};

static struct {
	pid_t pid; /* 0: there is none */
	int ask_fd, owner_fd;
	uint32_t number;
	int asked; /* for processes, and not taken yet */
	bool relied;
} broker;

/* --- messages ---------------------------------------------------------------------------------
 */

/* fd -1: none goes along. */
static int send_message(int to, const void *data, size_t len, int fd, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(to, &message, MSG_NOSIGNAL | flags) >= 0)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno; /* it ended with something unread */
}

/* Takes the only descriptor of a message; what is more is closed: there is room for two of them. */
static int take_descriptor(struct msghdr *message, int *ret_fd)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fds[2], n = 0;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (n > 2)
		return -EBADMSG; /* it cannot be */
	if (n)
		memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
	if (n == 1)
		*ret_fd = fds[0];
	for (int i = 0; n > 1 && i < n; i++)
		close(fds[i]);
	return n > 1 ? -EBADMSG : 0;
}

/* Exactly len bytes and one descriptor at most. -EPIPE: the other end is gone. */
static int receive_message(int from, void *data, size_t len, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = len};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;
	int err;

	*ret_fd = -1;
	do
		n = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : errno == ECONNRESET ? -EPIPE : -errno;
	err = take_descriptor(&message, ret_fd);
	if (!err && (size_t)n == len && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 0;
	if (*ret_fd >= 0)
		close(*ret_fd);
	*ret_fd = -1;
	return n ? -EBADMSG : -EPIPE;
}

/* --- the broker -------------------------------------------------------------------------------
 */

/* What the prober (wire.c, onlink.c), netlink.c and the keeper open. */
static bool is_allowed(const struct request *r)
{
	static const struct {
		int family, type, protocol;
	} table[] = {
		{AF_PACKET, SOCK_DGRAM, 0}, {AF_INET, SOCK_RAW, IPPROTO_RAW},
		{AF_INET, SOCK_STREAM, 0},  {AF_INET6, SOCK_RAW, IPPROTO_RAW},
		{AF_INET6, SOCK_STREAM, 0}, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (r->family == table[i].family &&
		    (r->type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == table[i].type &&
		    r->protocol == table[i].protocol)
			return true;
	return false;
}

/* A descriptor to send along, -1: none. */
static int serve_request(struct namespaces *n, const struct request *r, int netns_fd,
			 struct reply *reply)
{
	int fd = -EINVAL;

	switch (r->kind) {
	case ASK_SOCKET:
		fd = is_allowed(r) ? namespace_socket(netns_fd, r->family, r->type, r->protocol)
				   : -EACCES;
		break;
	case ASK_NETNS:
		fd = namespaces_fd(n, r->netns);
		if (fd >= 0)
			fd = dup(fd); /* it is closed when it is sent */
		namespaces_close(n);
		break;
	case ASK_CONNTRACK:
		reply->error = namespace_conntrack(netns_fd, &reply->count, &reply->max);
		return -1;
	}
	reply->error = fd < 0 ? fd : 0;
	return fd < 0 ? -1 : fd;
}

static int answer(struct namespaces *n, int ask_fd)
{
	struct request request;
	struct reply reply = {0};
	int netns_fd, fd, err = receive_message(ask_fd, &request, sizeof(request), &netns_fd);

	if (err)
		return err;
	reply.number = request.number;
	fd = serve_request(n, &request, netns_fd, &reply);
	err = send_message(ask_fd, &reply, sizeof(reply), fd, 0);
	if (fd >= 0)
		close(fd);
	if (netns_fd >= 0)
		close(netns_fd);
	return err;
}

static void tell_owner(const struct process_seen *process, void *arg)
{
	send_message(*(const int *)arg, process, sizeof(*process), -1, MSG_DONTWAIT);
}

static int take_owner(struct owners *o, int owner_fd)
{
	struct owner_request request;
	int fd, err = receive_message(owner_fd, &request, sizeof(request), &fd);

	if (fd >= 0)
		close(fd);
	if (err)
		return err;
	if (owners_ask(o, &request.key, request.inode))
		tell_owner(&(struct process_seen){.key = request.key}, &owner_fd);
	return 0;
}

/* Until the other end is closed, or says what it never would. */
static void serve(int ask_fd, int owner_fd)
{
	struct pollfd fds[2] = {{.fd = ask_fd, .events = POLLIN},
				{.fd = owner_fd, .events = POLLIN}};
	struct namespaces *n = NULL;
	struct owners *o = NULL;
	int err = namespaces_new(&n), ready = 0;

	err = err ? err : owners_new(&o);
	while (!err) {
		ready = poll(fds, 2, !owners_busy(o) ? -1 : ready ? QUIET_MS : 0);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			break;
		if (!ready)
			owners_run(o, SLICE_NS, tell_owner, &owner_fd);
		if (fds[0].revents)
			err = answer(n, ask_fd);
		if (!err && fds[1].revents)
			err = take_owner(o, owner_fd);
	}
	owners_free(o);
	namespaces_free(n);
}

/* Signals to the whole group are for the other process, whose end is also ours. */
static void become_broker(uint64_t capabilities, int ask_fd, int owner_fd)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, NAME);
	prctl(PR_SET_DUMPABLE, 0); /* not even by another process of our user */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!capability_keep(capabilities))
		serve(ask_fd, owner_fd);
	_exit(0);
}

/* --- those who ask ----------------------------------------------------------------------------
 */

int broker_start(uint64_t capabilities)
{
	static const struct timeval patience = {.tv_sec = 2};
	static const int room = OWNERS_MAX * 1024; /* for each answer that may be under way */
	int ask[2] = {-1, -1}, owner[2] = {-1, -1}, err = 0;
	pid_t pid = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ask) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, owner) ||
	    setsockopt(owner[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ||
	    setsockopt(ask[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(ask[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    (pid = fork()) < 0)
		err = -errno;
	if (!pid) {
		close(ask[0]);
		close(owner[0]);
		become_broker(capabilities, ask[1], owner[1]);
	}
	for (int i = err ? 0 : 1; i < 2; i++) {
		if (ask[i] >= 0)
			close(ask[i]);
		if (owner[i] >= 0)
			close(owner[i]);
	}
	if (err)
		return err;
	broker.ask_fd = ask[0];
	broker.owner_fd = owner[0];
	broker.asked = 0;
	broker.pid = pid;
	return 0;
}

/* It has no state to lose. It may be in a sleep that nothing ends: that is not waited for. */
static void end_broker(void)
{
	if (!broker.pid)
		return;
	close(broker.ask_fd);
	close(broker.owner_fd);
	kill(broker.pid, SIGKILL);
	for (int i = 0; i < 100 && !waitpid(broker.pid, NULL, WNOHANG); i++)
		poll(NULL, 0, 1);
	broker.pid = 0;
}

void broker_stop(void)
{
	end_broker();
	broker.relied = false;
}

void broker_rely(void)
{
	broker.relied = broker.pid != 0;
}

bool broker_relied(void)
{
	return broker.relied;
}

pid_t broker_pid(void)
{
	return broker.pid;
}

/* ret_fd NULL: none is expected. */
static int ask(struct request *request, int netns_fd, struct reply *reply, int *ret_fd)
{
	int fd, err;

	if (!broker.pid)
		return -EPIPE;
	request->number = ++broker.number;
	err = send_message(broker.ask_fd, request, sizeof(*request), netns_fd, 0);
	if (err == -EAGAIN)
		err = -ETIMEDOUT;
	while (!err) {
		err = receive_message(broker.ask_fd, reply, sizeof(*reply), &fd);
		if (err)
			break;
		if (reply->number == request->number && ret_fd && fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
		if (fd >= 0)
			close(fd);
		if (reply->number == request->number)
			return reply->error ? reply->error : ret_fd ? -EPROTO : 0;
	}
	/* Who does not answer once is not asked again: each time would be two seconds. */
	if (err == -ETIMEDOUT)
		kill(broker.pid, SIGKILL);
	return err;
}

int broker_socket(int netns_fd, int family, int type, int protocol)
{
	struct request request = {
		.kind = ASK_SOCKET, .family = family, .type = type, .protocol = protocol};
	struct reply reply;
	int fd = -1, err = ask(&request, netns_fd, &reply, &fd);

	return err ? err : fd;
}

int broker_netns(uint32_t netns)
{
	struct request request = {.kind = ASK_NETNS, .netns = netns};
	struct reply reply;
	int fd = -1, err = ask(&request, -1, &reply, &fd);

	return err ? err : fd;
}

int broker_conntrack(int netns_fd, uint32_t *ret_count, uint32_t *ret_max)
{
	struct request request = {.kind = ASK_CONNTRACK};
	struct reply reply;
	int err = ask(&request, netns_fd, &reply, NULL);

	if (err)
		return err;
	*ret_count = reply.count;
	*ret_max = reply.max;
	return 0;
}

int broker_owner(const struct flow_key *key, uint64_t inode)
{
	struct owner_request request;
	int err;

	if (!broker.pid)
		return -EPIPE;
	if (broker.asked == OWNERS_MAX)
		return -ENOSPC;
	memset(&request, 0, sizeof(request)); /* padding too: it goes to another process */
	request.key = *key;
	request.inode = inode;
	err = send_message(broker.owner_fd, &request, sizeof(request), -1, MSG_DONTWAIT);
	broker.asked += !err;
	return err;
}

int broker_fd(void)
{
	return broker.owner_fd;
}

int broker_found(struct process_seen *ret)
{
	ssize_t n = broker.pid ? recv(broker.owner_fd, ret, sizeof(*ret), MSG_DONTWAIT) : 0;

	if (n == (ssize_t)sizeof(*ret)) {
		broker.asked--;
		return 0;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	end_broker();
	return -EPIPE;
}
