/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Network namespaces by inode number, which is how the kernel's own structures name them.
 *
 * What is known of each is a way to open it again: a process that lives in it, or its name in
 * /run/netns. A descriptor is opened when it is asked for and at most OPEN_MAX_FDS are kept,
 * because an open descriptor keeps the namespace, and every device in it, alive. So a descriptor is
 * closed at the first refresh that finds neither a process nor a name for its namespace. The price:
 * namespaces that only a thread other than a process's first, or only a descriptor or a bind mount
 * elsewhere, holds are not known here, and one whose processes have all gone is lost although its
 * last connections may linger.
 */
#include "host/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/broker.h"

#define NAMED_DIR	"/run/netns"
#define KNOWN_MAX	4096
#define OPEN_MAX_FDS	64
#define RESCAN_AFTER_NS (100 * NS_PER_MS) /* a miss does not scan /proc again before */

struct known {
	uint32_t netns;
	pid_t pid;  /* lives in it; 0 if it has a name */
	char *name; /* in NAMED_DIR, or NULL */
	int fd;	    /* -1: not open */
	uint64_t used;
	bool seen;
};

struct namespaces {
	struct known *known;
	int n, size;
	int n_open;
	uint64_t uses;
	uint64_t scanned_ns;
};

/* Opens a path if it is a network namespace. -EINVAL if it is something else. */
static int open_netns(const char *path, uint32_t *ret_netns)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return errno == EACCES ? -EPERM : errno == ESRCH ? -ENOENT : -errno;
	/* Not a file of nsfs: ENOTTY, or whatever the device makes of an unknown request. */
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		return -EINVAL;
	}
	*ret_netns = (uint32_t)st.st_ino;
	return fd;
}

static void close_known(struct namespaces *n, struct known *k)
{
	if (k->fd < 0)
		return;
	close(k->fd);
	k->fd = -1;
	n->n_open--;
}

static int open_known(struct namespaces *n, struct known *k)
{
	struct known *oldest = NULL;
	char path[PATH_MAX];
	uint32_t netns = 0;
	int fd;

	k->used = ++n->uses;
	if (k->fd >= 0)
		return k->fd;
	if (k->name)
		snprintf(path, sizeof(path), "%s/%s", NAMED_DIR, k->name);
	else
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)k->pid);
	fd = open_netns(path, &netns);
	if (fd < 0)
		return fd;
	if (netns != k->netns) { /* the process has moved, or its number belongs to another */
		close(fd);
		return -ENOENT;
	}
	if (n->n_open >= OPEN_MAX_FDS) {
		for (int i = 0; i < n->n; i++) {
			struct known *other = &n->known[i];

			if (other->fd >= 0 && (!oldest || other->used < oldest->used))
				oldest = other;
		}
		if (oldest)
			close_known(n, oldest);
	}
	n->n_open++;
	return k->fd = fd;
}

static struct known *find(const struct namespaces *n, uint32_t netns)
{
	for (int i = 0; i < n->n; i++)
		if (n->known[i].netns == netns)
			return &n->known[i];
	return NULL;
}

/* Notes that a process or a name leads to a namespace. A name is the better way: it stays. */
static int note(struct namespaces *n, uint32_t netns, pid_t pid, const char *name)
{
	struct known *k = find(n, netns);
	char *copy = NULL;

	if (k && k->seen)
		return 0;
	if (!k && n->n >= KNOWN_MAX)
		return 0;
	if (!k && n->n == n->size) {
		int size = n->size ? 2 * n->size : 16;
		struct known *known = realloc(n->known, (size_t)size * sizeof(*known));

		if (!known)
			return -ENOMEM;
		n->known = known;
		n->size = size;
	}
	if (name) {
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
	}
	if (!k) {
		k = &n->known[n->n++];
		*k = (struct known){.netns = netns, .fd = -1};
	}
	free(k->name);
	k->name = copy;
	k->pid = pid;
	k->seen = true;
	return 0;
}

/* Files in NAMED_DIR with nothing mounted on them are left-overs of names, not namespaces. */
static int note_names(struct namespaces *n)
{
	DIR *dir = opendir(NAMED_DIR);
	char path[PATH_MAX];
	struct dirent *d;
	int r = 0;

	if (!dir)
		return 0; /* nobody has named one */
	while (!r && (d = readdir(dir))) {
		uint32_t netns = 0;
		int fd;

		snprintf(path, sizeof(path), "%s/%s", NAMED_DIR, d->d_name);
		fd = open_netns(path, &netns);
		if (fd < 0)
			continue;
		close(fd);
		r = note(n, netns, 0, d->d_name);
	}
	closedir(dir);
	return r;
}

/* A process that we may not look into, or that has just ended, is passed over. */
static int note_processes(struct namespaces *n)
{
	DIR *dir = opendir("/proc");
	char path[64];
	struct dirent *d;
	struct stat st;
	uint64_t pid;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (d = readdir(dir))) {
		if (parse_u64(d->d_name, 1, INT_MAX, &pid))
			continue;
		snprintf(path, sizeof(path), "%d/ns/net", (int)pid);
		if (!fstatat(dirfd(dir), path, &st, 0))
			r = note(n, (uint32_t)st.st_ino, (pid_t)pid, NULL);
	}
	closedir(dir);
	return r;
}

void namespaces_close(struct namespaces *n)
{
	for (int i = 0; i < n->n; i++)
		close_known(n, &n->known[i]);
}

/* The broker looks again each time that it is asked. */
static int forget_all(struct namespaces *n)
{
	namespaces_close(n);
	for (int i = 0; i < n->n; i++)
		free(n->known[i].name);
	n->n = 0;
	return 0;
}

int namespaces_refresh(struct namespaces *n)
{
	int r, kept = 0;

	if (broker_relied())
		return forget_all(n);
	for (int i = 0; i < n->n; i++)
		n->known[i].seen = false;
	r = note_names(n);
	if (!r)
		r = note_processes(n);
	n->scanned_ns = mono_ns();
	if (r)
		return r; /* what has not been looked for is not forgotten */

	for (int i = 0; i < n->n; i++) {
		struct known *k = &n->known[i];

		if (k->seen) {
			n->known[kept++] = *k;
			continue;
		}
		close_known(n, k);
		free(k->name);
	}
	n->n = kept;
	return kept;
}

static int fd_of_broker(struct namespaces *n, uint32_t netns)
{
	struct known *k = find(n, netns);
	int fd, r;

	if (k && k->fd >= 0)
		return k->fd;
	if (n->n_open >= OPEN_MAX_FDS || n->n == KNOWN_MAX)
		forget_all(n);
	fd = broker_netns(netns);
	if (fd < 0)
		return fd;
	r = note(n, netns, 0, NULL);
	if (r) {
		close(fd);
		return r;
	}
	n->n_open++;
	return find(n, netns)->fd = fd;
}

int namespaces_fd(struct namespaces *n, uint32_t netns)
{
	struct known *k = find(n, netns);
	int fd;

	if (broker_relied())
		return fd_of_broker(n, netns);
	fd = k ? open_known(n, k) : -ENOENT;
	if (fd >= 0 || mono_ns() - n->scanned_ns < RESCAN_AFTER_NS)
		return fd;
	fd = namespaces_refresh(n);
	if (fd < 0)
		return fd;
	k = find(n, netns);
	return k ? open_known(n, k) : -ENOENT;
}

bool namespaces_at(struct namespaces *n, int i, uint32_t *ret_netns, int *ret_fd)
{
	if (i < 0 || i >= n->n)
		return false;
	*ret_netns = n->known[i].netns;
	*ret_fd = open_known(n, &n->known[i]);
	return true;
}

int namespaces_new(struct namespaces **ret)
{
	struct namespaces *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	r = namespaces_refresh(n);
	if (r < 0) {
		namespaces_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void namespaces_free(struct namespaces *n)
{
	if (!n)
		return;
	forget_all(n);
	free(n->known);
	free(n);
}

int namespace_open(const char *text, int *ret_fd, uint32_t *ret_netns)
{
	char path[PATH_MAX];
	uint64_t pid;
	int fd, len;

	if (!*text || !strcmp(text, ".") || !strcmp(text, ".."))
		return -EINVAL;
	if (strchr(text, '/'))
		len = snprintf(path, sizeof(path), "%s", text);
	else
		len = snprintf(path, sizeof(path), "%s/%s", NAMED_DIR, text);
	if (len >= (int)sizeof(path))
		return -EINVAL;
	fd = open_netns(path, ret_netns);
	if (fd == -ENOENT && !parse_u64(text, 1, INT_MAX, &pid)) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
		fd = open_netns(path, ret_netns);
	}
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int namespace_self(uint32_t *ret_netns)
{
	struct stat st;

	if (stat("/proc/thread-self/ns/net", &st))
		return -errno;
	*ret_netns = (uint32_t)st.st_ino;
	return 0;
}

int namespace_call(int netns_fd, int (*fn)(void *arg), void *arg)
{
	struct stat there, here;
	int home, r;

	if (netns_fd < 0)
		return fn(arg);
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return -errno;
	if (fstat(netns_fd, &there) || fstat(home, &here)) {
		r = -errno;
	} else if (there.st_ino == here.st_ino && there.st_dev == here.st_dev) {
		r = fn(arg); /* needs no privilege */
	} else if (setns(netns_fd, CLONE_NEWNET)) {
		r = -errno;
	} else {
		r = fn(arg);
		if (setns(home, CLONE_NEWNET))
			abort(); /* whatever came next would happen to somebody else's network */
	}
	close(home);
	return r;
}

struct socket_wanted {
	int family, type, protocol, fd;
};

static int open_socket(void *arg)
{
	struct socket_wanted *w = arg;

	w->fd = socket(w->family, w->type, w->protocol);
	return w->fd < 0 ? -errno : 0;
}

int namespace_socket(int netns_fd, int family, int type, int protocol)
{
	struct socket_wanted wanted = {family, type, protocol, -1};
	int r;

	if (broker_relied())
		return broker_socket(netns_fd, family, type, protocol);
	r = namespace_call(netns_fd, open_socket, &wanted);
	return r ? r : wanted.fd;
}
