/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Only files are read that do not wait for the process: the one that we look for may hang in its
 * disk. Often several processes have the socket open: a parent and the child that serves it, or a
 * helper that inherited it by accident. What each is doing decides which one works on it.
 */
#include "host/holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "host/waiting.h"

#define THREADS_MAX 256

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

void holder_look(struct holder *h)
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

bool holder_read(struct holder *h)
{
	struct stat_line stat;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)h->pid);
	if (!read_stat(path, &stat))
		return false;
	h->parent = stat.parent;
	h->started = stat.started;
	h->state = stat.state;
	memcpy(h->comm, stat.comm, sizeof(h->comm));
	return true;
}

bool holder_rather(const struct holder *a, const struct holder *b)
{
	if (a->rank != b->rank)
		return a->rank > b->rank;
	if (a->has_child_holder != b->has_child_holder)
		return !a->has_child_holder;
	return a->started > b->started;
}
