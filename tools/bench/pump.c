/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pump SIZE MSS [ADDRESS]: what a write of SIZE bytes costs that is sent to ADDRESS (loopback),
 * which is this host's own, and read again. MSS 0: as it comes.
 *
 * One thread on one CPU is both ends, so that all that the stack does is done in its own CPU time.
 * For each line on standard input it prints the least ns of CPU of 20 batches, which other work on
 * the machine disturbs little.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define BATCHES	       20
#define IN_BATCH       50
#define SIZE_MAX_BYTES 65536 /* fits a socket's buffers, whatever the host's settings */

static char block[SIZE_MAX_BYTES];

static void move(int from, int to, size_t size)
{
	for (size_t sent = 0; sent < size;) {
		ssize_t n = write(from, block, size - sent);

		if (n <= 0)
			err(1, "write");
		sent += (size_t)n;
	}
	for (size_t got = 0; got < size;) {
		ssize_t n = read(to, block, size - got);

		if (n <= 0)
			err(1, "read");
		got += (size_t)n;
	}
}

static uint64_t least_ns(int from, int to, size_t size)
{
	uint64_t least = UINT64_MAX;

	for (int batch = 0; batch < BATCHES; batch++) {
		const uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		uint64_t each;

		for (int i = 0; i < IN_BATCH; i++)
			move(from, to, size);
		each = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / IN_BATCH;
		if (each < least)
			least = each;
	}
	return least;
}

/* Reno sends what it may at once; what paces would send from a timer, which is nobody's CPU time.
 */
static int tcp_socket(int mss)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) ||
	    (mss && setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss))))
		err(1, "socket");
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const size_t size = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	const int mss = argc > 2 ? atoi(argv[2]) : 0;
	socklen_t len = sizeof(at);
	int listener, from, to;
	cpu_set_t one;
	char line[64];

	if (!size || size > SIZE_MAX_BYTES || argc > 4 ||
	    (argc == 4 && inet_pton(AF_INET, argv[3], &at.sin_addr) != 1))
		errx(2, "usage: pump SIZE MSS [ADDRESS], at most %d bytes", SIZE_MAX_BYTES);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one); /* where it may not, it wanders */
	listener = tcp_socket(mss);
	if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&at, &len))
		err(1, "listen");
	from = tcp_socket(mss);
	if (connect(from, (struct sockaddr *)&at, len))
		err(1, "connect");
	to = accept(listener, NULL, NULL);
	if (to < 0)
		err(1, "accept");
	while (fgets(line, sizeof(line), stdin)) {
		printf("%llu\n", (unsigned long long)least_ns(from, to, size));
		fflush(stdout);
	}
	return 0;
}
