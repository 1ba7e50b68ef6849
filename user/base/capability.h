/* SPDX-License-Identifier: GPL-2.0-only */
/* What this process may do, and how to allow it. It is capabilities that count, not the user id. */
#ifndef TCPSTALL_BASE_CAPABILITY_H
#define TCPSTALL_BASE_CAPABILITY_H

#include <linux/capability.h>
#include <stdbool.h>

#define GRANT_LEN 160

/* Whether CAP_* is in the effective set: capget(2). */
bool capability_held(int capability);

/*
 * This thread has none from now on, and no program that it starts gets any; with `files`
 * set-user-ID programs and files with capabilities still work as they are meant to (sendmail).
 */
void capability_drop(bool files);

/* The command that grants this program what it can use, into buf, which is returned. */
const char *capability_grant(char buf[GRANT_LEN]);

#endif
