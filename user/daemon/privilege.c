/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capabilities are each thread's own: threads that begin after privilege_drop() have none either.
 * For the programs that are started (sinks) the bounding set is emptied, or no_new_privs set where
 * that takes a privilege we do not have. sendmail is the exception: it is a set-user-ID program as
 * a rule, and would not be of use without what comes with that.
 */
#include "daemon/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/capability.h"
#include "host/broker.h"

/* What has to do with packets, with other namespaces, with other users' processes. */
static uint64_t wanted_of(const struct config *c)
{
	uint64_t mask = 0;

	if (c->daemon.probe)
		mask |= CAPABILITY(NET_RAW);
	if (c->daemon.namespaces)
		mask |= CAPABILITY(SYS_ADMIN) | CAPABILITY(SYS_PTRACE);
	if (c->daemon.processes)
		mask |= CAPABILITY(SYS_PTRACE) | CAPABILITY(DAC_READ_SEARCH);
	return mask;
}

/*
 * With kernel.unprivileged_bpf_disabled kernels before 6.0 want CAP_BPF for whatever is asked of a
 * map, however it was come by (commit c8644cd0efe7). Nothing is meant by the request but its error.
 */
static bool maps_need_capability(void)
{
	union bpf_attr attr = {.map_fd = ~0u};

	return syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) && errno == EPERM;
}

int privilege_part(const struct config *config, uint64_t *ret)
{
	*ret = wanted_of(config) & capability_permitted();
	return *ret ? broker_start(*ret) : 0;
}

bool privilege_of_programs(const struct config *c)
{
	for (int i = 0; i < c->n_sinks; i++)
		if (c->sink[i].type == SINK_MAIL)
			return true;
	return false;
}

bool privilege_suits(const struct config *old, const struct config *config)
{
	return privilege_of_programs(old) || !privilege_of_programs(config);
}

/* What one gives up is its own. */
static bool is_alone(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *d;
	int n = 0;

	while (dir && (d = readdir(dir)))
		n += d->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n <= 1;
}

int privilege_drop(const struct config *config)
{
	int err;

	if (!is_alone())
		return -EBUSY;
	if (!privilege_of_programs(config) && capability_bound())
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	err = capability_suspend(); /* to try it without */
	if (!err)
		err = capability_keep(maps_need_capability() ? CAPABILITY(BPF) : 0);
	if (!err)
		broker_rely();
	return err;
}
