/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host names of addresses, looked up by a thread of its own: a slow resolver never holds up
 * detection. Ask early with names_want(); names_get() tells what is known by then. Bounded: no more
 * than NAMES_MAX addresses in the life of the program.
 */
#ifndef TCPSTALL_VIEW_NAMES_H
#define TCPSTALL_VIEW_NAMES_H

#include "base/addr.h"

#define NAMES_MAX 512
#define HOST_NAME 64

struct names;

/* -ENOMEM, -EAGAIN. Block signals before: the thread inherits the mask. */
int names_new(struct names **ret);

void names_want(struct names *n, const struct ip_addr *addr); /* NULL n is fine */

/* Into buf, which is returned: the name, or "" for none, not known yet, or no look-ups at all. */
const char *names_get(struct names *n, const struct ip_addr *addr, char buf[HOST_NAME]);

/*
 * Frees nothing while a look-up hangs, as nobody can stop the resolver; the process is about to
 * end.
 */
void names_free(struct names *n);

#endif
