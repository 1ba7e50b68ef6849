/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/news.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

int news_open(struct news *n)
{
	pthread_mutex_init(&n->lock, NULL);
	*n->line = '\0';
	n->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return n->fd < 0 ? -errno : 0;
}

void news_close(struct news *n)
{
	if (n->fd >= 0)
		close(n->fd);
}

void news_tell(struct news *n, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&n->lock);
	va_start(args, format);
	vsnprintf(n->line, sizeof(n->line), format, args);
	va_end(args);
	pthread_mutex_unlock(&n->lock);
	eventfd_write(n->fd, 1);
}

bool news_take(struct news *n, char *ret_line, size_t len)
{
	eventfd_t times;
	bool any;

	eventfd_read(n->fd, &times);
	pthread_mutex_lock(&n->lock);
	any = *n->line;
	if (any)
		snprintf(ret_line, len, "%s", n->line);
	*n->line = '\0';
	pthread_mutex_unlock(&n->lock);
	return any;
}
