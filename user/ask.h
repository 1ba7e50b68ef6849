/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs that ask a running daemon. They return an exit status and report errors on stderr. */
#ifndef TCPSTALL_ASK_H
#define TCPSTALL_ASK_H

#include "options.h"

/* `watch --daemon` */
int ask_daemon_to_watch(const struct options *options, int argc);

#endif
