/* SPDX-License-Identifier: GPL-2.0-only */
#include "loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host.h"

void listen_at(struct pair *p)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(p->listener, 1), 0);
	assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
	p->port = ntohs(at.sin_port);
}

void connect_both(struct pair *p)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	if (p->listener < 0)
		listen_at(p);
	at.sin_port = htons(p->port);
	p->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p->client, (struct sockaddr *)&at, sizeof(at)), 0);
	p->server =
		accept4(p->listener, (struct sockaddr *)&at, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(p->server >= 0);
	assert_int_equal(fcntl(p->client, F_SETFL, O_NONBLOCK), 0);
}

static char block[16384];

/* Sends from client to server, which reads it all. */
void move(struct pair *p, size_t bytes)
{
	size_t sent = 0, got = 0;

	while (got < bytes) {
		size_t left = bytes - sent < sizeof(block) ? bytes - sent : sizeof(block);
		ssize_t n = left ? send(p->client, block, left, 0) : 0;
		struct pollfd poller = {.fd = p->server, .events = POLLIN};

		sent += n > 0 ? n : 0;
		assert_true(poll(&poller, 1, 5000) == 1);
		n = recv(p->server, block, sizeof(block), 0);
		got += n > 0 ? n : 0;
	}
}

/* Sends until neither side's buffer takes more. */
void jam(struct pair *p)
{
	struct pollfd poller = {.fd = p->client, .events = POLLOUT};

	while (poll(&poller, 1, 50) == 1)
		while (send(p->client, block, sizeof(block), 0) > 0)
			;
}

void drain(struct pair *p)
{
	struct pollfd poller = {.fd = p->server, .events = POLLIN};

	while (poll(&poller, 1, 300) == 1 && recv(p->server, block, sizeof(block), 0) > 0)
		;
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static int loopback_up(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

uint32_t loopback_namespace(void)
{
	uint32_t netns = 0;

	if (!unshare(CLONE_NEWNET) && !loopback_up())
		namespace_self(&netns);
	return netns;
}

void hang_up(struct pair *p)
{
	const int fds[] = {p->listener, p->client, p->server};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*p = (struct pair)NO_PAIR;
}
