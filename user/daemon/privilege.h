/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may do what. The process that watches, which reads what comes from the network, from programs
 * and from whoever connects to it, gives up everything once its programs are attached. What takes
 * privilege later is done by another process on request (host/broker.h).
 */
#ifndef TCPSTALL_DAEMON_PRIVILEGE_H
#define TCPSTALL_DAEMON_PRIVILEGE_H

#include "config/config.h"

/* First of all: there is one thread, and nothing is open. ret: CAPABILITY()s of the other. -errno
 */
int privilege_part(const struct config *config, uint64_t *ret);

/*
 * Once everything is attached, while there is still one thread (-EBUSY). For good, and for all
 * programs that are started; but a configuration with a sink of type mail leaves those what
 * set-user-ID and root give them, since sendmail is of no use without. -errno
 */
int privilege_drop(const struct config *config);

bool privilege_of_programs(const struct config *config); /* they are left some, see above */

/* It can be taken without a restart: no sink of it needs what is gone. */
bool privilege_suits(const struct config *old, const struct config *config);

#endif
