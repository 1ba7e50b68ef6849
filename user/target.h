/* SPDX-License-Identifier: GPL-2.0-only */
/* -o FILE of the verbs that write one. */
#ifndef TCPSTALL_TARGET_H
#define TCPSTALL_TARGET_H

/* STATUS_USAGE, told on stderr: packets would go to a terminal. */
int target_check_packets(const char *path);

/* What err, from writing FILE, means: an exit status, told on stderr. Whose reader has left is
 * done. */
int target_status(const char *path, int err);

#endif
