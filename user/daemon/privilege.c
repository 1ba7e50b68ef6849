/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs are attached, maps and rings are open: none of that needs a capability any more. New
 * sockets for probes do (CAP_NET_RAW), in the namespace of the stalled connection. Capabilities are
 * each thread's own; this is called while there is one thread.
 */
#include "daemon/privilege.h"

#include <errno.h>
#include <string.h>
#ifdef HAVE_CAPNG
#include <cap-ng.h>
#endif

#ifdef HAVE_CAPNG
bool privilege_supported(void)
{
	return true;
}

static bool is_kept(const struct config *c, unsigned int capability)
{
	switch (capability) {
	case CAP_NET_RAW:
		return c->daemon.probe || c->daemon.source == SOURCE_PCAP;
	case CAP_SYS_ADMIN:
		return c->daemon.namespaces;
	case CAP_SYS_PTRACE:
	case CAP_DAC_READ_SEARCH:
		return c->daemon.processes;
	default:
		return false;
	}
}

int privilege_drop(const struct config *config, char *ret_kept, size_t len)
{
	unsigned int kept[8];
	int n = 0;

	*ret_kept = '\0';
	capng_get_caps_process();
	for (unsigned int c = 0; c <= CAP_LAST_CAP && n < 8; c++) {
		if (is_kept(config, c) && capng_have_capability(CAPNG_PERMITTED, c))
			kept[n++] = c;
	}
	capng_clear(CAPNG_SELECT_BOTH);
	for (int i = 0; i < n; i++) {
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
		snprintf(ret_kept + strlen(ret_kept), len - strlen(ret_kept), "%s%s", i ? ", " : "",
			 capng_capability_to_name(kept[i]));
	}
	capng_apply(CAPNG_SELECT_BOUNDS); /* where CAP_SETPCAP allows it */
	return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}
#else
bool privilege_supported(void)
{
	return false;
}

int privilege_drop(const struct config *config, char *ret_kept, size_t len)
{
	(void)config;
	snprintf(ret_kept, len, "all it had");
	return -ENOTSUP;
}
#endif
