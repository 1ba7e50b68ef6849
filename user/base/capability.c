/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/capability.h"

#include <stdint.h>
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

void capability_drop(bool files)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0}};

	syscall(SYS_capset, &header, none); /* less is always allowed */
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
