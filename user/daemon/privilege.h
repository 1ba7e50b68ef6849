/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon may still do once everything is open. */
#ifndef TCPSTALL_DAEMON_PRIVILEGE_H
#define TCPSTALL_DAEMON_PRIVILEGE_H

#include "config/config.h"

bool privilege_supported(void);

/*
 * Gives up, for good and for every program that we start, all capabilities but those that the
 * configuration keeps. Threads that begin later have none more. ret_kept: their names. -EPERM
 */
int privilege_drop(const struct config *config, char *ret_kept, size_t len);

#endif
