/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was there before the sensor: connections, by running iter/tcp inside each network namespace
 * that we may enter (it shows the caller's only), and the processes below the watched one with
 * their sockets, from /proc. All of it after attaching, so that nothing falls between.
 */
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/parse.h"
#include "host/host.h"
#include "sensor/ebpf.h"
#include "tcpstall.skel.h"

#define MAX_TASKS 16384 /* as many as the maps hold */

struct task {
	uint32_t pid, parent;
	bool ours;
};

/* Runs the iterator where we are. It prints nothing; reading drives it to its end. */
static int seed_here(void *link)
{
	int fd = bpf_iter_create(bpf_link__fd(link)), err;
	char none[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, none, sizeof(none));
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

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

	while (proc && n < MAX_TASKS && (d = readdir(proc))) {
		if (parse_u64(d->d_name, 1, INT32_MAX, &pid))
			continue;
		tasks[n++] = (struct task){.pid = pid, .parent = parent_of(pid)};
	}
	if (proc)
		closedir(proc);
	return n;
}

/* Marks the root and everything below it. A pass may reach children listed before their parents. */
static void mark_ours(struct task *tasks, int n, uint32_t root)
{
	bool more = true;

	for (int i = 0; i < n; i++)
		tasks[i].ours = tasks[i].pid == root;
	while (more) {
		more = false;
		for (int i = 0; i < n; i++) {
			if (tasks[i].ours)
				continue;
			for (int k = 0; k < n && !tasks[i].ours; k++)
				tasks[i].ours = tasks[k].ours && tasks[k].pid == tasks[i].parent;
			more |= tasks[i].ours;
		}
	}
}

static void add_sockets(struct ebpf *s, uint32_t pid)
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
			bpf_map__update_elem(s->skel->maps.inodes, &inode, sizeof(inode), &pid,
					     sizeof(pid), BPF_ANY);
	}
	if (fds)
		closedir(fds);
}

int seed_processes(struct ebpf *s)
{
	struct task *tasks = calloc(MAX_TASKS, sizeof(*tasks));
	uint8_t one = 1;
	int n;

	if (!tasks)
		return -ENOMEM;
	n = list_tasks(tasks);
	mark_ours(tasks, n, s->root_pid);
	for (int i = 0; i < n; i++) {
		if (!tasks[i].ours)
			continue;
		bpf_map__update_elem(s->skel->maps.tasks, &tasks[i].pid, sizeof(tasks[i].pid), &one,
				     sizeof(one), BPF_ANY);
		add_sockets(s, tasks[i].pid);
	}
	free(tasks);
	return 0;
}

int ebpf_seed(struct sensor *sensor)
{
	const struct ebpf *s = (const struct ebpf *)sensor;
	uint64_t before = ebpf_counts(sensor).tracked;
	struct bpf_link *link;
	uint32_t self = 0, netns;
	int err, fd;

	if (!bpf_program__autoload(s->skel->progs.seed))
		return 0;
	link = bpf_program__attach_iter(s->skel->progs.seed, NULL);
	if (!link)
		return -errno;
	err = seed_here(link);
	if (!err && s->namespaces) {
		namespace_self(&self);
		namespaces_refresh(s->namespaces);
		for (int i = 0; namespaces_at(s->namespaces, i, &netns, &fd); i++)
			if (netns != self)
				namespace_call(fd, seed_here, link); /* it may have vanished */
	}
	bpf_link__destroy(link);
	return err ? err : (int)(ebpf_counts(sensor).tracked - before);
}
