/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was there before the sensor: connections, by running iter/tcp inside each network namespace
 * that we may enter (it shows the caller's only), and the processes below the watched one with
 * their sockets, from /proc. All of it after attaching, so that nothing falls between.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>
#include "host/host.h"
#include "sensor/ebpf.h"
#include "sensor/processes.h"
#include "tcpstall.skel.h"

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

static void seed_process(uint32_t pid, void *arg)
{
	const struct ebpf *s = arg;
	uint8_t one = 1;

	bpf_map__update_elem(s->skel->maps.tasks, &pid, sizeof(pid), &one, sizeof(one), BPF_ANY);
}

static void seed_socket(uint32_t pid, uint64_t inode, void *arg)
{
	const struct ebpf *s = arg;

	bpf_map__update_elem(s->skel->maps.inodes, &inode, sizeof(inode), &pid, sizeof(pid),
			     BPF_ANY);
}

int seed_processes(struct ebpf *s)
{
	return processes_below(s->root_pid, seed_process, seed_socket, s);
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
