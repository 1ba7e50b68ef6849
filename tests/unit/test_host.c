/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host room against the kernel it runs on: namespaces made here and thrown away, sockets on
 * their loopback. What needs a privilege that we lack is skipped.
 */
#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
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

/* setup: a shell command that it runs there first, or NULL. false: not permitted. */
static bool inhabit(struct inhabitant *in, const char *setup)
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
		if (netns && setup && system(setup))
			_exit(1);
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
	if (!inhabit(&in, NULL)) {
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
	if (!inhabit(&in, NULL)) {
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
	if (!inhabit(&in, NULL)) {
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
	if (!inhabit(&in, NULL)) {
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

static struct flow_key flow(const char *local, const char *remote, uint16_t remote_port)
{
	struct flow_key key = {.local.port = 40000, .remote.port = remote_port};

	assert_int_equal(addr_parse(local, &key.local.addr), 0);
	assert_int_equal(addr_parse(remote, &key.remote.addr), 0);
	return key;
}

static void assert_addr(const struct ip_addr *addr, const char *text)
{
	char buf[ADDR_TEXT_LEN];

	assert_string_equal(addr_text(addr, buf), text);
}

static const char network[] = "set -e\n"
			      "ip link set lo up\n"
			      "ip link add inside mtu 1400 type veth peer name outside\n"
			      "ip link set outside up\n"
			      "ip link set inside up\n"
			      "ip link add half up type veth peer name other\n"
			      "ip addr add 192.0.2.2/24 dev inside\n"
			      "ip addr add 2001:db8::2/64 dev inside nodad\n"
			      "ip addr add 198.51.100.1/24 dev half\n"
			      "ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01"
			      " nud stale dev inside\n"
			      "ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:02"
			      " nud permanent dev inside\n"
			      "ip route add default via 192.0.2.1\n"
			      "ip route add default via 2001:db8::1\n"
			      "ip route add 203.0.113.0/25 via inet6 2001:db8::1 mtu lock 1280\n"
			      "ip route add blackhole 203.0.113.128/26\n"
			      "ip route add prohibit 203.0.113.192/26\n";

static void a_route_names_gateway_neighbour_and_link(void **state)
{
	static const uint8_t first[6] = {2, 0, 0, 0, 0, 1}, second[6] = {2, 0, 0, 0, 0, 2};
	struct namespaces *n;
	struct flow_key key;
	struct route_seen r;
	struct inhabitant in;
	int fd;

	(void)state;
	if (!inhabit(&in, network)) {
		leave(&in);
		print_message("unshare(CLONE_NEWNET) is not permitted\n");
		skip();
	}
	assert_int_equal(namespaces_new(&n), 0);
	fd = namespaces_fd(n, in.netns);
	assert_true(fd >= 0);

	key = flow("192.0.2.2", "198.18.0.1", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_memory_equal(&r.key, &key, sizeof(key));
	assert_addr(&r.gateway, "192.0.2.1");
	assert_string_equal(r.ifname, "inside");
	assert_string_equal(r.kind, "veth");
	assert_int_equal(r.mtu, 1400);
	assert_int_equal(r.path_mtu, 0);
	assert_int_equal(r.carrier, 1);
	assert_int_equal(r.speed_mbps, 10000); /* what a veth says of itself */
	assert_int_equal(r.full_duplex, 1);
	assert_int_equal(r.nud, 0x04);
	assert_memory_equal(r.lladdr, first, sizeof(first));
	assert_false(r.loopback);

	key = flow("2001:db8::2", "2001:db8:1::1", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_addr(&r.gateway, "2001:db8::1");
	assert_int_equal(r.nud, 0x80);
	assert_memory_equal(r.lladdr, second, sizeof(second));

	/* On link; nobody has asked for its neighbour entry yet. */
	key = flow("192.0.2.2", "192.0.2.77", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_int_equal(r.gateway.family, 0);
	assert_int_equal(r.nud, 0);

	key = flow("192.0.2.2", "203.0.113.1", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_addr(&r.gateway, "2001:db8::1");
	assert_int_equal(r.path_mtu, 1280);
	assert_memory_equal(r.lladdr, second, sizeof(second));

	/* An address that this host no longer has. */
	key = flow("192.0.2.99", "198.18.0.1", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_addr(&r.gateway, "192.0.2.1");

	key = flow("198.51.100.1", "198.51.100.2", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_string_equal(r.ifname, "half");
	assert_int_equal(r.carrier, 0);

	key = flow("192.0.2.2", "192.0.2.2", 80);
	assert_int_equal(host_route(&key, 0, fd, &r), 0);
	assert_true(r.loopback);

	leave(&in);
	namespaces_free(n);
}

static void a_peer_without_a_route_is_unreachable(void **state)
{
	static const char *const peers[] = {"203.0.113.129", "203.0.113.193"};
	struct namespaces *n;
	struct flow_key key;
	struct route_seen r;
	struct inhabitant in;
	int fd;

	(void)state;
	if (!inhabit(&in, network)) {
		leave(&in);
		skip();
	}
	assert_int_equal(namespaces_new(&n), 0);
	fd = namespaces_fd(n, in.netns);
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		key = flow("192.0.2.2", peers[i], 80);
		assert_int_equal(host_route(&key, 0, fd, &r), -ENETUNREACH);
	}
	memset(&key, 0, sizeof(key));
	assert_int_equal(host_route(&key, 0, fd, &r), -EINVAL);
	leave(&in);
	namespaces_free(n);
}

static void next_hops_that_share_the_load_are_chosen_by_port(void **state)
{
	static const char balanced[] = "set -e\n"
				       "ip link add near up type veth peer name far\n"
				       "ip link set far up\n"
				       "ip addr add 192.0.2.2/24 dev near\n"
				       "sysctl -qw net.ipv4.fib_multipath_hash_policy=1\n"
				       "ip route add default nexthop via 192.0.2.1 dev near"
				       " nexthop via 192.0.2.3 dev near\n";
	int first = 0, second = 0, fd;
	struct namespaces *n;
	struct inhabitant in;
	struct route_seen r;

	(void)state;
	if (!inhabit(&in, balanced)) {
		leave(&in);
		skip();
	}
	assert_int_equal(namespaces_new(&n), 0);
	fd = namespaces_fd(n, in.netns);
	for (uint16_t port = 1000; port < 1064; port++) {
		struct flow_key key = flow("192.0.2.2", "198.18.0.1", port);
		struct ip_addr gateway;

		assert_int_equal(host_route(&key, 0, fd, &r), 0);
		gateway = r.gateway;
		assert_int_equal(host_route(&key, 0, fd, &r), 0);
		assert_true(addr_equal(&gateway, &r.gateway));
		first += gateway.bytes[3] == 1;
		second += gateway.bytes[3] == 3;
	}
	assert_int_equal(first + second, 64);
	assert_true(first > 0 && second > 0);
	leave(&in);
	namespaces_free(n);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void wait_in_recv(int fd)
{
	char c;

	recv(fd, &c, 1, 0);
}

static void wait_in_poll(int fd)
{
	struct pollfd fds[] = {{.fd = -1}, {.fd = fd, .events = POLLIN}};

	poll(fds, 2, -1);
}

static void wait_in_select(int fd)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	select(fd + 1, NULL, &set, NULL, NULL);
	pause();
}

static void wait_in_epoll(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	epoll_wait(epoll, &event, 1, -1);
}

static void wait_for_nothing(int fd)
{
	(void)fd;
	pause();
}

static void stop(int fd)
{
	(void)fd;
	raise(SIGSTOP);
}

/* A child called NAME that has inherited the socket and waits. */
static pid_t holder(void (*wait_in)(int fd), int fd, const char *name)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		wait_in(fd);
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Asks until the answer is PID in this state: a child needs a moment to get where it waits, and a
 * search may run out of time on a busy machine. The last answer is one of after that moment.
 */
static void await_process(uint64_t inode, pid_t pid, char state, struct process_seen *ret)
{
	const struct timespec pause_for = {.tv_nsec = 5 * NS_PER_MS};
	uint64_t give_up_ns = mono_ns() + 10 * NS_PER_S;
	const struct flow_key key = {.cookie = 5};

	do {
		int r = host_process(&key, inode, ret);

		assert_true(!r || r == -ENOENT);
		if (!r && ret->pid == (uint32_t)pid && ret->state == state &&
		    !host_process(&key, inode, ret))
			return;
		nanosleep(&pause_for, NULL);
	} while (mono_ns() < give_up_ns);
	assert_int_equal(ret->pid, pid);
	assert_int_equal(ret->state, state);
}

static void the_process_that_waits_on_the_socket_is_chosen(void **state)
{
	static void (*const waits[])(int) = {wait_in_recv, wait_in_poll, wait_in_epoll};
	struct process_seen p;
	int pair[2], accidental[2];
	pid_t worker, helper;

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, accidental), 0);
		worker = holder(waits[i], pair[0], "worker");
		helper = holder(wait_in_poll, accidental[0], "helper"); /* younger, and inherits */
		await_process(inode_of(pair[0]), worker, 'S', &p);
		assert_int_equal(p.holders, 3); /* this one too */
		assert_string_equal(p.comm, "worker");
		assert_int_equal(p.key.cookie, 5);
		await_process(inode_of(accidental[0]), helper, 'S', &p);
		end(worker);
		end(helper);
		for (int j = 0; j < 2; j++) {
			close(pair[j]);
			close(accidental[j]);
		}
	}
}

static void a_process_in_select_is_chosen(void **state)
{
	struct process_seen p;
	pid_t worker, helper;
	char byte = 0;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	while (write(pair[0], &byte, 1) == 1) /* until it is not writable */
		;
	worker = holder(wait_in_select, pair[0], "worker");
	helper = holder(wait_for_nothing, pair[0], "helper");
	await_process(inode_of(pair[0]), worker, 'S', &p);
	end(worker);
	end(helper);
	close(pair[0]);
	close(pair[1]);
}

static void a_stopped_process_is_said_to_be_stopped(void **state)
{
	struct process_seen p;
	int pair[2];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = holder(stop, pair[0], "stops");
	await_process(inode_of(pair[0]), pid, 'T', &p);
	assert_string_equal(p.comm, "stops");
	end(pid);
	close(pair[0]);
	close(pair[1]);
}

static void a_name_may_hold_any_character(void **state)
{
	static const char name[] = "a) S 1 (\x1b[31m\n";
	struct process_seen p;
	int pair[2];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = holder(wait_in_recv, pair[0], name);
	await_process(inode_of(pair[0]), pid, 'S', &p);
	assert_memory_equal(p.comm, name, 14);
	end(pid);
	close(pair[0]);
	close(pair[1]);
}

static void a_socket_that_nobody_holds_has_no_process(void **state)
{
	const struct flow_key key = {0};
	struct process_seen p;
	uint64_t inode;
	int fd;

	(void)state;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	inode = inode_of(fd);
	assert_int_equal(host_process(&key, inode, &p), 0);
	assert_int_equal(p.pid, getpid());
	assert_int_equal(p.holders, 1);
	close(fd);
	assert_int_equal(host_process(&key, inode, &p), -ENOENT);
	assert_int_equal(host_process(&key, 0, &p), -ENOENT);
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
		cmocka_unit_test(a_route_names_gateway_neighbour_and_link),
		cmocka_unit_test(a_peer_without_a_route_is_unreachable),
		cmocka_unit_test(next_hops_that_share_the_load_are_chosen_by_port),
		cmocka_unit_test(the_process_that_waits_on_the_socket_is_chosen),
		cmocka_unit_test(a_process_in_select_is_chosen),
		cmocka_unit_test(a_stopped_process_is_said_to_be_stopped),
		cmocka_unit_test(a_name_may_hold_any_character),
		cmocka_unit_test(a_socket_that_nobody_holds_has_no_process),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
