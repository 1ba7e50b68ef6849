/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The program behind a socket, by /proc. Every process is looked at until time is up; kernel
 * threads have no descriptors and cost one empty directory. Only files are read that do not wait
 * for the process: the one that we look for may hang in its disk.
 *
 * Often several processes have the socket open: a parent and the child that serves it, or a helper
 * that inherited it by accident. What each is doing decides which one works on it; see enum rank.
 */
#include "host/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/waiting.h"

#define SEARCH_NS   (250 * NS_PER_MS)
#define HOLDERS_MAX 64
#define FDS_MAX	    8
#define THREADS_MAX 256

enum rank {
	RANK_ELSEWHERE, /* waits for its children or for new connections */
	RANK_SLEEPS,
	RANK_HELD, /* stopped, or in uninterruptible sleep: could not work on it if it wanted */
	RANK_ON_SOCKET, /* in a system call on this very socket */
};

struct holder {
	pid_t pid, parent;
	unsigned long long started; /* clock ticks since boot */
	int fds[FDS_MAX];
	int n_fds;
	enum rank rank;
	bool has_child_holder;
	char state;
	char comm[16], wchan[NAME_LEN];
};

struct stat_line {
	char state;
	char comm[16];
	int parent;
	unsigned long long started;
};

/* Length read, always terminated; negative errno. */
static ssize_t read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, buf, size - 1);
	if (len < 0)
		len = -errno;
	else
		buf[len] = '\0';
	close(fd);
	return len;
}

/* The name stands in parentheses and may itself hold any character: it ends at the last one. */
static bool read_stat(const char *path, struct stat_line *ret)
{
	char buf[1024], *open_paren, *close_paren;
	struct stat_line s = {0};
	size_t len;

	if (read_text(path, buf, sizeof(buf)) <= 0)
		return false;
	open_paren = strchr(buf, '(');
	close_paren = strrchr(buf, ')');
	if (!open_paren || !close_paren || close_paren < open_paren)
		return false;
	len = (size_t)(close_paren - open_paren - 1);
	memcpy(s.comm, open_paren + 1, len < sizeof(s.comm) ? len : sizeof(s.comm) - 1);
	/* state ppid pgrp session tty tpgid flags 4 faults 4 times prio nice threads 0 starttime */
	if (sscanf(close_paren + 1,
		   " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &s.state, &s.parent, &s.started) != 3)
		return false;
	*ret = s;
	return true;
}

static void read_wchan(const char *path, char ret[NAME_LEN])
{
	char buf[NAME_LEN];

	ret[0] = '\0';
	if (read_text(path, buf, sizeof(buf)) <= 0 || !strcmp(buf, "0"))
		return;			 /* runs, or we may not know */
	buf[strcspn(buf, ".\n")] = '\0'; /* the compiler's suffixes: .isra.0 */
	snprintf(ret, NAME_LEN, "%s", buf);
}

static enum rank rank_of(char state, const char *wchan)
{
	static const char *const elsewhere[] = {"do_wait", "inet_csk_accept"};

	if (strchr("DTt", state))
		return RANK_HELD;
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (!strcmp(wchan, elsewhere[i]))
			return RANK_ELSEWHERE;
	return RANK_SLEEPS;
}

/* The thread that tells most stands for the process; the first one where none tells more. */
static void look_at_threads(struct holder *h)
{
	pid_t tids[THREADS_MAX];
	char states[THREADS_MAX];
	bool may_block = false;
	struct stat_line stat;
	char path[64];
	struct dirent *d;
	uint64_t tid;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)h->pid);
	dir = opendir(path);
	while (dir && n < THREADS_MAX && (d = readdir(dir))) {
		if (parse_u64(d->d_name, 1, INT_MAX, &tid))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)h->pid, (int)tid);
		if (!read_stat(path, &stat))
			continue;
		/* It may sleep with its memory map locked, and reading its memory would wait too.
		 */
		may_block |= stat.state == 'D';
		states[n] = stat.state;
		tids[n++] = (pid_t)tid;
	}
	if (dir)
		closedir(dir);

	for (int i = 0; i < n; i++) {
		char wchan[NAME_LEN];
		enum rank rank;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", (int)h->pid, (int)tids[i]);
		read_wchan(path, wchan);
		rank = rank_of(states[i], wchan);
		if (thread_waits_on(h->pid, tids[i], h->fds, h->n_fds, !may_block))
			rank = RANK_ON_SOCKET;
		if (i && rank <= h->rank)
			continue;
		h->rank = rank;
		h->state = states[i];
		memcpy(h->wchan, wchan, sizeof(wchan));
	}
}

/* Number of descriptors of a process that lead to the socket, the first few of them in fds. */
static int find_fds(pid_t pid, const char *link, int fds[FDS_MAX], uint64_t give_up_ns)
{
	size_t len = strlen(link);
	char target[64], path[32];
	struct dirent *d;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	for (unsigned int looked = 0; n < FDS_MAX && (d = readdir(dir)); looked++) {
		ssize_t got;

		if (looked % 256 == 255 && mono_ns() > give_up_ns)
			break;
		got = readlinkat(dirfd(dir), d->d_name, target, sizeof(target));
		if (got == (ssize_t)len && !memcmp(target, link, len))
			fds[n++] = atoi(d->d_name);
	}
	closedir(dir);
	return n;
}

/* Number of processes that have the socket open, what is known of the first HOLDERS_MAX in ret. */
static int find_holders(uint64_t inode, struct holder *ret)
{
	uint64_t give_up_ns = mono_ns() + SEARCH_NS;
	DIR *dir = opendir("/proc");
	struct stat_line stat;
	char link[40], path[64];
	struct dirent *d;
	uint64_t pid;
	int n = 0;

	if (!dir)
		return -errno;
	snprintf(link, sizeof(link), "socket:[%llu]", (unsigned long long)inode);
	while (n < HOLDERS_MAX && (d = readdir(dir))) {
		struct holder h = {0};

		if (parse_u64(d->d_name, 1, INT_MAX, &pid))
			continue;
		if (mono_ns() > give_up_ns)
			break;
		h.n_fds = find_fds((pid_t)pid, link, h.fds, give_up_ns);
		if (!h.n_fds)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		if (!read_stat(path, &stat))
			continue; /* has just ended */
		h.pid = (pid_t)pid;
		h.parent = stat.parent;
		h.started = stat.started;
		h.state = stat.state;
		memcpy(h.comm, stat.comm, sizeof(h.comm));
		ret[n++] = h;
	}
	closedir(dir);
	return n;
}

/* Whether a works on the socket rather than b. A parent that passed it on does not. */
static bool rather(const struct holder *a, const struct holder *b)
{
	if (a->rank != b->rank)
		return a->rank > b->rank;
	if (a->has_child_holder != b->has_child_holder)
		return !a->has_child_holder;
	return a->started > b->started;
}

int host_process(const struct flow_key *key, uint64_t inode, struct process_seen *ret)
{
	struct holder holders[HOLDERS_MAX] = {0};
	const struct holder *best = NULL;
	int n;

	if (!inode)
		return -ENOENT;
	n = find_holders(inode, holders);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		look_at_threads(&holders[i]);
		for (int j = 0; j < n; j++)
			if (holders[j].pid == holders[i].parent)
				holders[j].has_child_holder = true;
	}
	for (int i = 0; i < n; i++)
		if (!best || rather(&holders[i], best))
			best = &holders[i];
	if (!best)
		return -ENOENT;
	*ret = (struct process_seen){
		.key = *key,
		.pid = (uint32_t)best->pid,
		.state = best->state,
		.holders = (uint32_t)n,
	};
	memcpy(ret->comm, best->comm, sizeof(ret->comm));
	memcpy(ret->wchan, best->wchan, sizeof(ret->wchan));
	return 0;
}
