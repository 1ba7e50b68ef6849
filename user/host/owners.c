/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every process is looked at until time is up; kernel threads have no descriptors and cost one
 * empty directory. A walk goes on where the last slice ended: the two directory streams keep the
 * place.
 */
#include "host/owners.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/holder.h"
#include "host/host.h"

#define SEARCH_NS   NS_PER_S /* of work; then what was found has to do */
#define HOLDERS_MAX 64
#define FDS_A_LOOK  64 /* descriptors read between two looks at the clock */
#define SOCKET	    "socket:["

struct query {
	struct query *next;
	struct flow_key key;
	uint64_t inode;
	int fds[HOLDER_FDS], n_fds; /* in the process that is being looked at */
	struct holder *holders;
	int n, size;
	int looked; /* holders whose threads have been looked at */
};

struct owners {
	struct query *waiting;	/* for the next walk */
	struct query *searched; /* in the walk that goes on */
	struct query *found;	/* after it: threads are to be looked at */
	int n;
	DIR *proc, *fds; /* NULL: between walks; between processes */
	pid_t pid;
	uint64_t work_ns;
};

int owners_new(struct owners **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void query_free(struct query *q)
{
	free(q->holders);
	free(q);
}

static void free_all(struct query *q)
{
	while (q) {
		struct query *next = q->next;

		query_free(q);
		q = next;
	}
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
	*dir = NULL;
}

void owners_free(struct owners *o)
{
	if (!o)
		return;
	free_all(o->waiting);
	free_all(o->searched);
	free_all(o->found);
	close_dir(&o->fds);
	close_dir(&o->proc);
	free(o);
}

int owners_ask(struct owners *o, const struct flow_key *key, uint64_t inode)
{
	struct query *q;

	if (o->n == OWNERS_ASKED_MAX)
		return -ENOSPC;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->key = *key;
	q->inode = inode;
	q->next = o->waiting;
	o->waiting = q;
	o->n++;
	return 0;
}

bool owners_busy(const struct owners *o)
{
	return o->n;
}

static void note_descriptor(struct owners *o, const char *fd, const char *target)
{
	uint64_t inode;

	if (strncmp(target, SOCKET, sizeof(SOCKET) - 1))
		return;
	inode = strtoull(target + sizeof(SOCKET) - 1, NULL, 10);
	for (struct query *q = o->searched; q; q = q->next)
		if (q->inode == inode && q->n_fds < HOLDER_FDS)
			q->fds[q->n_fds++] = atoi(fd);
}

/* Memory that is not there costs a holder. */
static void add_holder(struct query *q, const struct holder *h)
{
	if (q->n == q->size) {
		int size = q->size ? 2 * q->size : 2;
		struct holder *more = realloc(q->holders, (size_t)size * sizeof(*more));

		if (!more)
			return;
		q->holders = more;
		q->size = size;
	}
	q->holders[q->n++] = *h;
}

static void end_process(struct owners *o)
{
	close_dir(&o->fds);
	for (struct query *q = o->searched; q; q = q->next) {
		struct holder h = {.pid = o->pid, .n_fds = q->n_fds};

		memcpy(h.fds, q->fds, sizeof(h.fds));
		if (q->n_fds && q->n < HOLDERS_MAX && holder_read(&h))
			add_holder(q, &h);
		q->n_fds = 0;
	}
}

/* false: there are no more. */
static bool next_process(struct owners *o)
{
	struct dirent *d;
	char path[32];
	uint64_t pid;

	while ((d = readdir(o->proc))) {
		if (parse_u64(d->d_name, 1, INT_MAX, &pid))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
		o->pid = (pid_t)pid;
		o->fds = opendir(path);
		return true; /* not ours to look into, or gone: the next call goes on */
	}
	return false;
}

static void read_descriptors(struct owners *o)
{
	char target[64];
	struct dirent *d;

	for (int i = 0; i < FDS_A_LOOK; i++) {
		ssize_t len;

		d = readdir(o->fds);
		if (!d) {
			end_process(o);
			return;
		}
		len = readlinkat(dirfd(o->fds), d->d_name, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		note_descriptor(o, d->d_name, target);
	}
}

static void end_walk(struct owners *o)
{
	if (o->fds)
		end_process(o);
	close_dir(&o->proc);
	o->found = o->searched;
	o->searched = NULL;
}

/* One step of the walk. */
static void walk(struct owners *o)
{
	if (!o->proc) {
		o->searched = o->waiting;
		o->waiting = NULL;
		o->work_ns = 0;
		o->proc = opendir("/proc");
	}
	if (!o->proc || o->work_ns > SEARCH_NS)
		end_walk(o);
	else if (o->fds)
		read_descriptors(o);
	else if (!next_process(o))
		end_walk(o);
}

static void choose(const struct query *q, struct process_seen *ret)
{
	const struct holder *best = NULL;

	*ret = (struct process_seen){.key = q->key, .holders = (uint32_t)q->n};
	for (int i = 0; i < q->n; i++)
		for (int j = 0; j < q->n; j++)
			q->holders[j].has_child_holder |= q->holders[j].pid == q->holders[i].parent;
	for (int i = 0; i < q->n; i++)
		if (!best || holder_rather(&q->holders[i], best))
			best = &q->holders[i];
	if (!best)
		return;
	ret->pid = (uint32_t)best->pid;
	ret->state = best->state;
	memcpy(ret->comm, best->comm, sizeof(ret->comm));
	memcpy(ret->wchan, best->wchan, sizeof(ret->wchan));
	process_pressure(best->pid, ret);
}

void owners_run(struct owners *o, uint64_t slice_ns,
		void (*found)(const struct process_seen *process, void *arg), void *arg)
{
	const uint64_t begin_ns = mono_ns();
	uint64_t now_ns = begin_ns, then_ns;

	while (o->n && now_ns - begin_ns < slice_ns) {
		struct query *q = o->found;

		if (!q) {
			walk(o);
		} else if (q->looked < q->n) {
			holder_look(&q->holders[q->looked++]);
		} else {
			struct process_seen process;

			choose(q, &process);
			o->found = q->next;
			o->n--;
			query_free(q);
			found(&process, arg);
		}
		then_ns = now_ns;
		now_ns = mono_ns();
		o->work_ns += now_ns - then_ns;
	}
}

static void keep(const struct process_seen *process, void *arg)
{
	*(struct process_seen *)arg = *process;
}

int host_process(const struct flow_key *key, uint64_t inode, struct process_seen *ret)
{
	struct process_seen process = {0};
	struct owners *o = NULL;
	int r = inode ? owners_new(&o) : -ENOENT;

	if (!r)
		r = owners_ask(o, key, inode);
	while (!r && owners_busy(o))
		owners_run(o, UINT64_MAX, keep, &process);
	owners_free(o);
	if (!r && !process.pid)
		r = -ENOENT;
	if (!r)
		*ret = process;
	return r;
}
