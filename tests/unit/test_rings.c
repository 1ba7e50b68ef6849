/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets of several interfaces come in the order of their time. Two taps in a network namespace of
 * our own; frames are written into them by turns.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sensor/packets_impl.h"

#define FRAMES	   60
#define ETHERTYPE  0x88b5 /* for experiments (IEEE 802) */
#define PATIENCE_S 10
#define TURN_MS	   20

struct seen {
	int n;
	uint8_t order[4 * FRAMES];
	uint64_t last_ns;
	bool back_in_time;
};

static int open_tap(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), s, err;

	if (fd < 0)
		return -1;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &r)) {
		close(fd);
		return -1;
	}
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r.ifr_flags = IFF_UP;
	err = ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
	assert_int_equal(err, 0);
	return fd;
}

static void take(const struct ring_packet *p, void *arg)
{
	struct seen *seen = arg;

	if (p->captured < 60 || p->data[12] != ETHERTYPE >> 8 || p->data[13] != (ETHERTYPE & 0xff))
		return; /* of the kernel's own */
	seen->back_in_time |= p->now_ns < seen->last_ns;
	seen->last_ns = p->now_ns;
	if (seen->n < (int)sizeof(seen->order))
		seen->order[seen->n++] = p->data[14];
}

static void write_frame(int fd, int number)
{
	uint8_t frame[60] = {[0] = 0xff, [6] = 2, [12] = ETHERTYPE >> 8, [13] = ETHERTYPE & 0xff};

	frame[14] = (uint8_t)number;
	assert_int_equal(write(fd, frame, sizeof(frame)), sizeof(frame));
}

static void several_interfaces_are_read_in_the_order_of_time(void **state)
{
	struct seen seen = {0};
	struct rings *rings;
	char why[200];
	int tap[2] = {-1, -1};

	(void)state;
	if (!unshare(CLONE_NEWNET))
		tap[0] = open_tap("one");
	if (tap[0] < 0)
		skip();
	tap[1] = open_tap("two");
	assert_true(tap[1] >= 0);
	assert_int_equal(rings_open("one,two", -1, take, &seen, &rings, why, sizeof(why)), 0);
	for (int i = 0; i < FRAMES; i++)
		write_frame(tap[i % 2], i);
	for (int i = 0; i < PATIENCE_S * 1000 / TURN_MS && seen.n < FRAMES; i++) {
		struct pollfd poller = {.fd = rings_fd(rings), .events = POLLIN};

		poll(&poller, 1, TURN_MS); /* what is held back becomes due with time alone */
		assert_int_equal(rings_read(rings), 0);
	}
	assert_int_equal(seen.n, FRAMES);
	assert_false(seen.back_in_time);
	for (int i = 0; i < FRAMES; i++)
		assert_int_equal(seen.order[i], i);
	assert_int_equal(rings_counts(rings).dropped, 0);
	close(tap[0]);
	close(tap[1]);
	rings_close(rings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_interfaces_are_read_in_the_order_of_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
