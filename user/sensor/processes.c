/* SPDX-License-Identifier: GPL-2.0-only */
#include "sensor/processes.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

#define INODES_MAX 16384

struct task {
	uint32_t pid, parent;
	bool ours;
};

/* Parent of a process: field 4 of /proc/PID/stat, behind a name that may hold anything but its end.
 */
static uint32_t parent_of(uint32_t pid)
{
	char path[64], stat[512] = "";
	uint32_t parent = 0;
	const char *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fgets(stat, sizeof(stat), file)) {
		end = strrchr(stat, ')');
		if (!end || sscanf(end + 1, " %*c %" SCNu32, &parent) != 1)
			parent = 0;
	}
	fclose(file);
	return parent;
}

static int list_tasks(struct task *tasks)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	uint64_t pid;
	int n = 0;

	while (proc && n < PROCESSES_MAX && (d = readdir(proc))) {
		if (parse_u64(d->d_name, 1, INT32_MAX, &pid))
			continue;
		tasks[n++] = (struct task){.pid = pid, .parent = parent_of(pid)};
	}
	if (proc)
		closedir(proc);
	return n;
}

static int by_pid(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Marks the root and everything below it. A pass may reach children listed before their parents. */
static void mark_ours(struct task *tasks, size_t n, uint32_t root)
{
	bool more = true;

	qsort(tasks, n, sizeof(*tasks), by_pid);
	for (size_t i = 0; i < n; i++)
		tasks[i].ours = tasks[i].pid == root;
	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			const struct task key = {.pid = tasks[i].parent}, *parent;

			if (tasks[i].ours)
				continue;
			parent = bsearch(&key, tasks, n, sizeof(*tasks), by_pid);
			tasks[i].ours = parent && parent->ours;
			more |= tasks[i].ours;
		}
	}
}

static void each_socket(uint32_t pid, void (*socket)(uint32_t, uint64_t, void *), void *arg)
{
	char path[64], target[64];
	struct dirent *d;
	uint64_t inode;
	ssize_t len;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd", pid);
	fds = opendir(path);
	while (fds && (d = readdir(fds))) {
		len = readlinkat(dirfd(fds), d->d_name, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		if (sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1)
			socket(pid, inode, arg);
	}
	if (fds)
		closedir(fds);
}

int processes_below(pid_t root, void (*process)(uint32_t, void *),
		    void (*socket)(uint32_t, uint64_t, void *), void *arg)
{
	struct task *tasks = calloc(PROCESSES_MAX, sizeof(*tasks));
	int n;

	if (!tasks)
		return -ENOMEM;
	n = list_tasks(tasks);
	mark_ours(tasks, (size_t)n, (uint32_t)root);
	for (int i = 0; i < n; i++) {
		if (!tasks[i].ours)
			continue;
		if (process)
			process(tasks[i].pid, arg);
		if (socket)
			each_socket(tasks[i].pid, socket, arg);
	}
	free(tasks);
	return 0;
}

struct socket_inodes {
	uint32_t n;
	uint64_t inode[INODES_MAX];
};

int socket_inodes_new(struct socket_inodes **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void socket_inodes_free(struct socket_inodes *s)
{
	free(s);
}

static void keep_inode(uint32_t pid, uint64_t inode, void *arg)
{
	struct socket_inodes *s = arg;

	(void)pid;
	if (s->n < INODES_MAX)
		s->inode[s->n++] = inode;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int socket_inodes_below(struct socket_inodes *s, pid_t root)
{
	int err;

	s->n = 0;
	err = processes_below(root, NULL, keep_inode, s);
	qsort(s->inode, s->n, sizeof(*s->inode), by_number);
	return err;
}

bool socket_inodes_have(const struct socket_inodes *s, uint64_t inode)
{
	return inode && bsearch(&inode, s->inode, s->n, sizeof(*s->inode), by_number);
}
