/* SPDX-License-Identifier: GPL-2.0-only */
#include "view/names.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct name {
	struct ip_addr addr;
	char text[HOST_NAME]; /* valid below `done` */
};

/* Entries are appended and never change once the thread has done them. */
struct names {
	pthread_mutex_t lock; /* n, done, stop */
	pthread_cond_t more;
	pthread_t thread;
	int n, done;
	bool stop, busy;
	struct name entry[NAMES_MAX];
};

static void look_up(const struct ip_addr *addr, char text[HOST_NAME])
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const bool is_v4 = addr->family == AF_INET;

	memcpy(&v4.sin_addr, addr->bytes, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, addr->bytes, sizeof(v6.sin6_addr));
	if (getnameinfo(is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
			is_v4 ? sizeof(v4) : sizeof(v6), text, HOST_NAME, NULL, 0, NI_NAMEREQD))
		text[0] = '\0';
}

static void *resolver(void *arg)
{
	struct names *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		char text[HOST_NAME] = "";
		struct ip_addr addr;

		if (n->done == n->n) {
			pthread_cond_wait(&n->more, &n->lock);
			continue;
		}
		addr = n->entry[n->done].addr;
		n->busy = true;
		pthread_mutex_unlock(&n->lock);
		look_up(&addr, text);
		pthread_mutex_lock(&n->lock);
		n->busy = false;
		memcpy(n->entry[n->done].text, text, sizeof(text));
		n->done++;
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int names_new(struct names **ret)
{
	struct names *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->more, NULL);
	err = pthread_create(&n->thread, NULL, resolver, n);
	if (err) {
		free(n);
		return -err;
	}
	*ret = n;
	return 0;
}

static int find(const struct names *n, const struct ip_addr *addr)
{
	for (int i = 0; i < n->n; i++) {
		if (addr_equal(&n->entry[i].addr, addr))
			return i;
	}
	return -1;
}

void names_want(struct names *n, const struct ip_addr *addr)
{
	if (!n || !addr->family)
		return;
	pthread_mutex_lock(&n->lock);
	if (n->n < NAMES_MAX && find(n, addr) < 0) {
		n->entry[n->n++].addr = *addr;
		pthread_cond_signal(&n->more);
	}
	pthread_mutex_unlock(&n->lock);
}

const char *names_get(struct names *n, const struct ip_addr *addr, char buf[HOST_NAME])
{
	int i;

	buf[0] = '\0';
	if (!n || !addr->family)
		return buf;
	pthread_mutex_lock(&n->lock);
	i = find(n, addr);
	if (i >= 0 && i < n->done)
		memcpy(buf, n->entry[i].text, HOST_NAME);
	pthread_mutex_unlock(&n->lock);
	return buf;
}

void names_free(struct names *n)
{
	bool busy;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	busy = n->busy;
	pthread_cond_signal(&n->more);
	pthread_mutex_unlock(&n->lock);
	if (busy) {
		pthread_detach(n->thread);
		return;
	}
	pthread_join(n->thread, NULL);
	pthread_cond_destroy(&n->more);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
