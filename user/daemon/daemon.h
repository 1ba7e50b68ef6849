/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The monitor, watching day and night: what it finds goes to alerts, metrics and whoever asks over
 * the control socket. One thread does all of it; only the store and the sinks have their own.
 */
#ifndef TCPSTALL_DAEMON_DAEMON_H
#define TCPSTALL_DAEMON_DAEMON_H

#include "config/config.h"
#include "options.h"

/*
 * Watches until it is asked to end. options: of the command line; path: of the configuration, NULL
 * the usual one. Reports errors on stderr, one line each, and returns an exit status.
 */
int daemon_run(const struct options *options, const char *path, const struct config *config);

/* check.c: a line for all that is wrong with it on this host, and in this build; 0 or -EINVAL. */
int daemon_check(const struct config *config, char *ret_why, size_t why_len);

#endif
