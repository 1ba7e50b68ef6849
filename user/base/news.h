/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a thread has to tell the user: one line, of which the reader is woken up by a descriptor.
 * News that nobody has read yet is replaced by newer.
 */
#ifndef TCPSTALL_BASE_NEWS_H
#define TCPSTALL_BASE_NEWS_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#define NEWS_LEN (PATH_MAX + 256)

struct news {
	pthread_mutex_t lock;
	int fd; /* readable while there is some */
	char line[NEWS_LEN];
};

/* -EMFILE ... : n->fd is then -1, and closing it is fine. */
int news_open(struct news *n);
void news_close(struct news *n);

/* From any thread. */
void news_tell(struct news *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* false: there is none. */
bool news_take(struct news *n, char *ret_line, size_t len);

#endif
