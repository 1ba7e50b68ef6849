/* SPDX-License-Identifier: GPL-2.0-only */
/* What this process may do, and how to allow it. It is capabilities that count, not the user id. */
#ifndef TCPSTALL_BASE_CAPABILITY_H
#define TCPSTALL_BASE_CAPABILITY_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRANT_LEN	 160
#define CAPABILITY_TEXT	 128
#define CAPABILITY(name) (UINT64_C(1) << CAP_##name)

/* Whether CAP_* is in the effective set: capget(2). */
bool capability_held(int capability);

/*
 * Of all that this thread may do, what is in this mask of CAPABILITY() is left, and nothing beyond
 * it will come back. -errno
 */
int capability_keep(uint64_t mask);

/* None is in force until capability_keep(). -errno */
int capability_suspend(void);

/* No program that is started may have any, whoever it belongs to. -EPERM: CAP_SETPCAP is missing */
int capability_bound(void);

uint64_t capability_permitted(void);

/* "CAP_NET_RAW, CAP_SYS_ADMIN", or "none"; into buf, which is returned. */
const char *capability_text(uint64_t mask, char *buf, size_t len);

/*
 * This thread has none from now on, and no program that it starts gets any; with `files`
 * set-user-ID programs and files with capabilities still work as they are meant to (sendmail).
 */
void capability_drop(bool files);

/* The command that grants this program what it can use, into buf, which is returned. */
const char *capability_grant(char buf[GRANT_LEN]);

#endif
