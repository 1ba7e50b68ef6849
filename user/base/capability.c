/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/capability.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool capability_held(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return false;
	return data[capability / 32].effective & 1u << capability % 32;
}

uint64_t capability_permitted(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return 0;
	return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

/* The inheritable set is empty then, and with it the ambient one: capabilities(7). */
static int set(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)effective, .permitted = (uint32_t)permitted},
		{.effective = (uint32_t)(effective >> 32),
		 .permitted = (uint32_t)(permitted >> 32)},
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

int capability_keep(uint64_t mask)
{
	const uint64_t left = mask & capability_permitted();

	return set(left, left);
}

int capability_suspend(void)
{
	return set(0, capability_permitted());
}

int capability_bound(void)
{
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0))
			return -errno;
	return 0;
}

const char *capability_text(uint64_t mask, char *buf, size_t len)
{
	static const struct {
		int number;
		const char *name;
	} known[] = {
		{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
		{CAP_NET_RAW, "CAP_NET_RAW"},
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{CAP_BPF, "CAP_BPF"},
	};
	size_t used = 0;

	snprintf(buf, len, "none");
	for (size_t i = 0; i < sizeof(known) / sizeof(*known) && used < len; i++)
		if (mask & UINT64_C(1) << known[i].number)
			used += (size_t)snprintf(buf + used, len - used, "%s%s", used ? ", " : "",
						 known[i].name);
	return buf;
}

void capability_drop(bool files)
{
	capability_keep(0);
	if (!files)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

const char *capability_grant(char buf[GRANT_LEN])
{
	char self[80] = "tcpstall";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0)
		self[n] = '\0';
	snprintf(buf, GRANT_LEN,
		 "sudo, or: setcap cap_bpf,cap_perfmon,cap_sys_admin,cap_net_raw+ep %s", self);
	return buf;
}
