/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host room against the kernel it runs on: namespaces made here and thrown away, sockets on
 * their loopback. What needs a privilege that we lack is skipped.
 */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

/* A child that lives in a network namespace of its own until it is told to end. */
struct inhabitant {
	pid_t pid;
	uint32_t netns;
	int hold; /* closing it ends the child */
};

static bool inhabit(struct inhabitant *in)
{
	int hold[2], told[2];
	uint32_t netns = 0;

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	in->pid = fork();
	assert_true(in->pid >= 0);
	if (!in->pid) {
		char c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(hold[1]);
		if (!unshare(CLONE_NEWNET))
			namespace_self(&netns);
		if (write(told[1], &netns, sizeof(netns)) != sizeof(netns))
			_exit(1);
		while (read(hold[0], &c, 1) > 0)
			;
		_exit(0);
	}
	close(hold[0]);
	close(told[1]);
	in->hold = hold[1];
	assert_int_equal(read(told[0], &in->netns, sizeof(in->netns)), sizeof(in->netns));
	close(told[0]);
	return in->netns != 0;
}

static void leave(struct inhabitant *in)
{
	close(in->hold);
	waitpid(in->pid, NULL, 0);
}

static int self_at(void *arg)
{
	return namespace_self(arg);
}

static void a_namespace_is_found_entered_and_left(void **state)
{
	struct namespaces *n;
	struct inhabitant in;
	uint32_t before, inside = 0, after;
	bool found = false;
	int fd;

	(void)state;
	if (!inhabit(&in)) {
		leave(&in);
		print_message("unshare(CLONE_NEWNET) is not permitted\n");
		skip();
	}
	assert_int_equal(namespaces_new(&n), 0);
	fd = namespaces_fd(n, in.netns);
	assert_true(fd >= 0);
	assert_int_equal(namespace_self(&before), 0);
	assert_int_equal(namespace_call(fd, self_at, &inside), 0);
	assert_int_equal(namespace_self(&after), 0);
	assert_int_equal(inside, in.netns);
	assert_int_equal(before, after);
	assert_int_not_equal(before, inside);

	for (int i = 0;; i++) {
		uint32_t netns;

		if (!namespaces_at(n, i, &netns, &fd))
			break;
		found |= netns == in.netns && fd >= 0;
	}
	assert_true(found);
	leave(&in);
	namespaces_free(n);
}

static void a_namespace_is_let_go_when_its_processes_are_gone(void **state)
{
	struct namespaces *n;
	struct inhabitant in;

	(void)state;
	if (!inhabit(&in)) {
		leave(&in);
		skip();
	}
	assert_int_equal(namespaces_new(&n), 0);
	assert_true(namespaces_fd(n, in.netns) >= 0);
	leave(&in);
	assert_true(namespaces_refresh(n) > 0);
	assert_int_equal(namespaces_fd(n, in.netns), -ENOENT);
	namespaces_free(n);
}

static void a_namespace_younger_than_the_cache_is_found(void **state)
{
	const struct timespec pause = {.tv_nsec = 10 * NS_PER_MS};
	uint64_t give_up_ns = mono_ns() + 10 * NS_PER_S;
	struct namespaces *n;
	struct inhabitant in;

	(void)state;
	assert_int_equal(namespaces_new(&n), 0);
	if (!inhabit(&in)) {
		leave(&in);
		namespaces_free(n);
		skip();
	}
	/* /proc is not scanned again at once, so that misses stay cheap. */
	while (namespaces_fd(n, in.netns) == -ENOENT && mono_ns() < give_up_ns)
		nanosleep(&pause, NULL);
	assert_true(namespaces_fd(n, in.netns) >= 0);
	leave(&in);
	namespaces_free(n);
}

static void a_vanished_process_gives_no_namespace(void **state)
{
	struct namespaces *n;
	struct inhabitant in;

	(void)state;
	if (!inhabit(&in)) {
		leave(&in);
		skip();
	}
	assert_int_equal(namespaces_new(&n), 0);
	leave(&in);
	assert_int_equal(namespaces_fd(n, in.netns), -ENOENT);
	namespaces_free(n);
}

static void a_namespace_is_opened_by_pid_and_by_path(void **state)
{
	uint32_t self, netns = 0;
	char text[64];
	int fd = -1;

	(void)state;
	assert_int_equal(namespace_self(&self), 0);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	assert_int_equal(namespace_open(text, &fd, &netns), 0);
	assert_int_equal(netns, self);
	close(fd);
	assert_int_equal(namespace_open("/proc/self/ns/net", &fd, &netns), 0);
	assert_int_equal(netns, self);
	close(fd);
}

static void what_is_no_network_namespace_is_refused(void **state)
{
	uint32_t netns = 7;
	int fd = -7;

	(void)state;
	assert_int_equal(namespace_open("", &fd, &netns), -EINVAL);
	assert_int_equal(namespace_open("..", &fd, &netns), -EINVAL);
	assert_int_equal(namespace_open("/proc/self/ns/mnt", &fd, &netns), -EINVAL);
	assert_int_equal(namespace_open("/dev/null", &fd, &netns), -EINVAL);
	assert_int_equal(namespace_open("/proc", &fd, &netns), -EINVAL);
	assert_int_equal(namespace_open("no-such-namespace", &fd, &netns), -ENOENT);
	assert_int_equal(namespace_open("4194305", &fd, &netns), -ENOENT); /* above PID_MAX_LIMIT */
	assert_int_equal(namespace_open("99999999999999999999", &fd, &netns), -ENOENT);
	assert_int_equal(fd, -7);
	assert_int_equal(netns, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_namespace_is_found_entered_and_left),
		cmocka_unit_test(a_namespace_is_let_go_when_its_processes_are_gone),
		cmocka_unit_test(a_namespace_younger_than_the_cache_is_found),
		cmocka_unit_test(a_vanished_process_gives_no_namespace),
		cmocka_unit_test(a_namespace_is_opened_by_pid_and_by_path),
		cmocka_unit_test(what_is_no_network_namespace_is_refused),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
