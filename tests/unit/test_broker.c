/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The process that keeps the capabilities: what it does for us, what it refuses, and its end.
 * Nothing that is asked of it here takes any.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/broker.h"
#include "host/host.h"

static int set_up(void **state)
{
	(void)state;
	/* Who has capabilities himself is looked at by nobody who has not. */
	if (broker_start(~UINT64_C(0)))
		return -1;
	broker_rely();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	broker_stop();
	return 0;
}

static void it_opens_sockets_that_are_ours(void **state)
{
	int fd = namespace_socket(-1, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int family = 0;
	socklen_t len = sizeof(family);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len), 0);
	assert_int_equal(family, AF_NETLINK);
	close(fd);
}

static void it_opens_nothing_else(void **state)
{
	(void)state;
	assert_int_equal(namespace_socket(-1, AF_INET, SOCK_DGRAM, 0), -EACCES);
	assert_int_equal(namespace_socket(-1, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), -EACCES);
	assert_int_equal(namespace_socket(-1, AF_PACKET, SOCK_RAW, 0), -EACCES);
	assert_int_equal(namespace_socket(-1, AF_UNIX, SOCK_STREAM, 0), -EACCES);
}

static void it_finds_our_namespace(void **state)
{
	struct namespaces *n = NULL;
	uint32_t self = 0;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(namespace_self(&self), 0);
	assert_int_equal(namespaces_new(&n), 0);
	fd = namespaces_fd(n, self);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, self);
	assert_int_equal(namespaces_fd(n, self), fd);
	assert_int_equal(namespaces_fd(n, 1), -ENOENT);
	assert_int_equal(namespaces_refresh(n), 0); /* nothing is held */
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	namespaces_free(n);
}

static void it_finds_the_process_behind_a_socket(void **state)
{
	struct process_seen found = {0};
	struct flow_key key = {.netns = 7};
	struct pollfd ready = {.fd = broker_fd(), .events = POLLIN};
	struct stat st;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(broker_found(&found), -EAGAIN);
	assert_int_equal(broker_owner(&key, st.st_ino), 0);
	assert_int_equal(poll(&ready, 1, 10000), 1);
	assert_int_equal(broker_found(&found), 0);
	assert_int_equal(found.pid, getpid());
	assert_int_equal(found.key.netns, 7);
	close(fd);
}

static void nobody_waits_for_who_asks_and_does_not_listen(void **state)
{
	struct process_seen found;
	struct flow_key key = {.netns = 7};
	struct pollfd ready = {.fd = broker_fd(), .events = POLLIN};
	int asked = 0, fd;

	(void)state;
	for (int i = 0; i < 2000; i++)
		asked += !broker_owner(&key, UINT64_MAX);
	assert_in_range(asked, 1, 1999);
	for (int i = 0; i < 10; i++) {
		fd = namespace_socket(-1, AF_INET, SOCK_STREAM, 0);
		assert_true(fd >= 0);
		close(fd);
	}
	while (asked) {
		assert_int_equal(poll(&ready, 1, 10000), 1);
		assert_int_equal(broker_found(&found), 0);
		assert_int_equal(found.pid, 0);
		asked--;
	}
}

static void one_that_does_not_answer_is_asked_once(void **state)
{
	struct process_seen found;
	const uint64_t begun_ns = mono_ns();

	(void)state;
	assert_int_equal(kill(broker_pid(), SIGSTOP), 0);
	assert_int_equal(namespace_socket(-1, AF_INET, SOCK_STREAM, 0), -ETIMEDOUT);
	for (int i = 0; i < 20; i++)
		assert_int_equal(namespace_socket(-1, AF_INET, SOCK_STREAM, 0), -EPIPE);
	assert_true(mono_ns() - begun_ns < 10 * NS_PER_S);
	assert_int_equal(broker_found(&found), -EPIPE);
	assert_int_equal(broker_pid(), 0);
}

/* What somebody could send who has taken our process over. */
static void more_descriptors_than_one_are_an_end(void **state)
{
	int fds[2] = {STDIN_FILENO, STDERR_FILENO};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	struct {
		struct flow_key key;
		uint64_t inode;
	} request = {0}; /* right but for them */
	struct iovec iov = {.iov_base = &request, .iov_len = sizeof(request)};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	struct pollfd ended = {.fd = broker_fd(), .events = POLLIN};
	struct process_seen found;

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	assert_true(sendmsg(broker_fd(), &message, 0) > 0);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	assert_int_equal(broker_found(&found), -EPIPE);
}

static void when_it_has_ended_that_is_an_error_and_no_more(void **state)
{
	struct process_seen found;
	struct pollfd ready = {.fd = broker_fd(), .events = POLLIN};

	(void)state;
	assert_int_equal(kill(broker_pid(), SIGKILL), 0);
	assert_int_equal(poll(&ready, 1, 10000), 1);
	assert_int_equal(broker_found(&found), -EPIPE);
	assert_int_equal(namespace_socket(-1, AF_INET, SOCK_STREAM, 0), -EPIPE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_opens_sockets_that_are_ours),
		TEST(it_opens_nothing_else),
		TEST(it_finds_our_namespace),
		TEST(it_finds_the_process_behind_a_socket),
		TEST(nobody_waits_for_who_asks_and_does_not_listen),
		TEST(one_that_does_not_answer_is_asked_once),
		TEST(more_descriptors_than_one_are_an_end),
		TEST(when_it_has_ended_that_is_an_error_and_no_more),
	};

	return cmocka_run_group_tests_name("broker", tests, NULL, NULL);
}
