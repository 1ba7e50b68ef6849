/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections over the loopback of a network namespace of our own. What goes wrong fails the test.
 */
#ifndef TCPSTALL_TESTS_LOOPBACK_H
#define TCPSTALL_TESTS_LOOPBACK_H

#include <stddef.h>
#include <stdint.h>

struct pair {
	int listener, client, server; /* sockets; -1 none */
	uint16_t port;		      /* of the listener */
};
#define NO_PAIR                                                                                    \
	{                                                                                          \
		-1, -1, -1, 0                                                                      \
	}

/* Moves this process into a namespace of its own, loopback up. Its inode; 0: not permitted. */
uint32_t loopback_namespace(void);

void listen_at(struct pair *p);
void connect_both(struct pair *p); /* and listens, if nobody does yet */
void hang_up(struct pair *p);

/* Sends from client to server, which reads it all. */
void move(struct pair *p, size_t bytes);
/* Sends until neither side's buffer takes more. */
void jam(struct pair *p);
void drain(struct pair *p);

uint64_t cookie_of(int fd);

#endif
