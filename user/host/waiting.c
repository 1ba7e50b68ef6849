/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /proc/PID/task/TID/syscall gives the number and arguments of the system call that a thread sleeps
 * in. From the arguments follow the descriptors: directly, through the arrays of poll() and
 * select() in the thread's memory, or through /proc/PID/fdinfo of an epoll descriptor. A 32-bit
 * program on a 64-bit kernel has other numbers; then a wrong guess has to meet the right descriptor
 * to matter.
 */
#include "host/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define POLL_MAX  1024 /* entries looked at */
#define EPOLL_MAX 4096 /* lines of fdinfo looked at */
#define FD_WORDS  (FD_SETSIZE / 64)

enum waits { ON_ARG0, ON_ARG0_OR_1, ON_ARG0_OR_2, ON_POLL, ON_SELECT, ON_EPOLL };

static const struct {
	long number;
	enum waits waits;
} calls[] = {
	{SYS_read, ON_ARG0},	      {SYS_readv, ON_ARG0},	    {SYS_write, ON_ARG0},
	{SYS_writev, ON_ARG0},	      {SYS_recvfrom, ON_ARG0},	    {SYS_recvmsg, ON_ARG0},
	{SYS_recvmmsg, ON_ARG0},      {SYS_sendto, ON_ARG0},	    {SYS_sendmsg, ON_ARG0},
	{SYS_sendmmsg, ON_ARG0},      {SYS_sendfile, ON_ARG0_OR_1}, {SYS_splice, ON_ARG0_OR_2},
#ifdef SYS_poll
	{SYS_poll, ON_POLL},
#endif
	{SYS_ppoll, ON_POLL},
#ifdef SYS_select
	{SYS_select, ON_SELECT},
#endif
	{SYS_pselect6, ON_SELECT},
#ifdef SYS_epoll_wait
	{SYS_epoll_wait, ON_EPOLL},
#endif
	{SYS_epoll_pwait, ON_EPOLL},
#ifdef SYS_epoll_pwait2
	{SYS_epoll_pwait2, ON_EPOLL},
#endif
};

static bool among(uint64_t fd, const int *fds, int n_fds)
{
	for (int i = 0; i < n_fds; i++)
		if (fd == (uint64_t)fds[i])
			return true;
	return false;
}

/* Bytes read from the memory of a process; less than asked for at the end of a mapping. */
static size_t peek(pid_t pid, uint64_t address, void *buf, size_t len)
{
	struct iovec here = {.iov_base = buf, .iov_len = len};
	struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = len};
	ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);

	return n < 0 ? 0 : (size_t)n;
}

static bool in_poll(pid_t pid, uint64_t address, uint64_t n, const int *fds, int n_fds)
{
	struct pollfd polled[POLL_MAX];
	size_t got;

	if (n > POLL_MAX)
		n = POLL_MAX;
	got = peek(pid, address, polled, n * sizeof(polled[0])) / sizeof(polled[0]);
	for (size_t i = 0; i < got; i++)
		if (polled[i].fd >= 0 && among((uint64_t)polled[i].fd, fds, n_fds))
			return true;
	return false;
}

/* The kernel has not written the sets back yet while it waits: they hold what was asked for. */
static bool in_select(pid_t pid, uint64_t n, const uint64_t *sets, const int *fds, int n_fds)
{
	uint64_t words[FD_WORDS];

	for (int set = 0; set < 2; set++) { /* readable, writable */
		size_t got = sets[set] ? peek(pid, sets[set], words, sizeof(words)) / 8 : 0;

		for (int i = 0; i < n_fds; i++) {
			uint64_t fd = (uint64_t)fds[i];

			if (fd < n && fd / 64 < got && words[fd / 64] >> (fd % 64) & 1)
				return true;
		}
	}
	return false;
}

static bool in_epoll(pid_t pid, uint64_t epoll, const int *fds, int n_fds)
{
	bool found = false;
	char line[256];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/fdinfo/%u", (int)pid, (unsigned int)epoll);
	f = fopen(line, "re");
	for (int i = 0; f && !found && i < EPOLL_MAX && fgets(line, sizeof(line), f); i++)
		if (!strncmp(line, "tfd:", 4))
			found = among(strtoull(line + 4, NULL, 10), fds, n_fds);
	if (f)
		fclose(f);
	return found;
}

bool thread_waits_on(pid_t pid, pid_t tid, const int *fds, int n_fds, bool memory)
{
	uint64_t args[6];
	char text[256];
	long number;
	ssize_t len;
	char *at;
	int fd;

	snprintf(text, sizeof(text), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return false;
	text[len] = '\0';

	number = strtol(text, &at, 10); /* "running": no digits */
	if (at == text || number < 0)
		return false;
	for (int i = 0; i < 6; i++) {
		char *end;

		args[i] = strtoull(at, &end, 16);
		if (end == at)
			return false;
		at = end;
	}

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].number != number)
			continue;
		switch (calls[i].waits) {
		case ON_ARG0:
			return among(args[0], fds, n_fds);
		case ON_ARG0_OR_1:
			return among(args[0], fds, n_fds) || among(args[1], fds, n_fds);
		case ON_ARG0_OR_2:
			return among(args[0], fds, n_fds) || among(args[2], fds, n_fds);
		case ON_POLL:
			return memory && in_poll(pid, args[0], args[1], fds, n_fds);
		case ON_SELECT:
			return memory && in_select(pid, args[0], args + 1, fds, n_fds);
		case ON_EPOLL:
			return in_epoll(pid, args[0], fds, n_fds);
		}
	}
	return false;
}
