/* SPDX-License-Identifier: GPL-2.0-only */
/* What the service manager wants to know. Without one, or without libsystemd, nothing happens. */
#ifndef TCPSTALL_DAEMON_NOTIFY_H
#define TCPSTALL_DAEMON_NOTIFY_H

#include <stdint.h>

void notify_ready(const char *status); /* also after a reload */
void notify_reloading(void);
void notify_stopping(void);
void notify_alive(void);

/* How often notify_alive() is expected; UINT64_MAX: never. */
uint64_t notify_watchdog_ns(void);

#endif
