/* SPDX-License-Identifier: GPL-2.0-only */
#include "daemon/control.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PENDING_MAX (8 << 20) /* bytes that a client may be behind; a dump is as much at most */
#define GROUPS	    1024      /* of a peer; one that is in more of them is not looked at further */

struct client {
	int fd; /* -1: free */
	char line[CONTROL_LINE];
	size_t line_len;
	enum control_request asked; /* ASKED_NONSENSE: nothing yet */
	bool closing;		    /* after what is pending */
	char *pending;
	size_t len, sent;
	bool polls_out;
};

struct control {
	int listen_fd, epoll_fd;
	gid_t group;
	bool has_group;
	const struct control_ops *ops;
	void *arg;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct client clients[CONTROL_CLIENTS];
};

enum control_request control_parse(const char *line)
{
	static const char *const words[] = {
		[ASKED_STATUS] = "status",
		[ASKED_DUMP] = "dump",
		[ASKED_JSON] = "watch json",
		[ASKED_TEXT] = "watch text",
	};

	for (int i = 0; i < ASKED_NONSENSE; i++)
		if (!strcmp(line, words[i]))
			return (enum control_request)i;
	return ASKED_NONSENSE;
}

static int make_address(const char *dir, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/" CONTROL_SOCKET, dir) >=
	    (int)sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	return 0;
}

static void let_go(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd); /* leaves the epoll set by itself */
	free(c->pending);
	*c = (struct client){.fd = -1, .asked = ASKED_NONSENSE};
}

static bool is_member(int fd, gid_t group)
{
	gid_t groups[GROUPS];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool may_ask(const struct control *c, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return !peer.uid || peer.uid == geteuid() ||
	       (c->has_group && (peer.gid == c->group || is_member(fd, c->group)));
}

static void refuse(int fd, const char *why)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "{\"v\":1,\"type\":\"error\",\"text\":\"%s\"}\n", why);

	send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void poll_for(struct control *c, struct client *client, bool out)
{
	struct epoll_event event = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0u),
				    .data.u32 = (uint32_t)(client - c->clients)};

	if (client->polls_out == out)
		return;
	client->polls_out = out;
	epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void flush(struct control *c, struct client *client)
{
	while (client->sent < client->len) {
		ssize_t n = send(client->fd, client->pending + client->sent,
				 client->len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			poll_for(c, client, true);
			return;
		}
		if (n < 0) {
			let_go(client);
			return;
		}
		client->sent += (size_t)n;
	}
	client->len = client->sent = 0;
	if (client->closing)
		let_go(client);
	else
		poll_for(c, client, false);
}

static void append(struct control *c, struct client *client, const char *text, size_t len)
{
	char *more;

	if (client->sent) {
		memmove(client->pending, client->pending + client->sent,
			client->len - client->sent);
		client->len -= client->sent;
		client->sent = 0;
	}
	more = client->len + len > PENDING_MAX ? NULL : realloc(client->pending, client->len + len);
	if (!more) {
		let_go(client);
		return;
	}
	client->pending = more;
	memcpy(more + client->len, text, len);
	client->len += len;
	flush(c, client);
}

static void answer(struct control *c, struct client *client, void (*write)(FILE *to, void *arg))
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (to)
		write(to, c->arg);
	client->closing = true;
	if (to && !fclose(to))
		append(c, client, text, len);
	else
		let_go(client);
	free(text);
}

static void on_line(struct control *c, struct client *client)
{
	client->asked = control_parse(client->line);
	switch (client->asked) {
	case ASKED_STATUS:
		answer(c, client, c->ops->status);
		break;
	case ASKED_DUMP:
		answer(c, client, c->ops->dump);
		break;
	case ASKED_JSON:
	case ASKED_TEXT:
		break;
	case ASKED_NONSENSE:
		refuse(client->fd, "there is no such request");
		let_go(client);
		break;
	}
}

/* After its request a client has nothing to say; that it closes is noticed all the same. */
static void on_input(struct control *c, struct client *client)
{
	char *end;
	ssize_t n = recv(client->fd, client->line + client->line_len,
			 sizeof(client->line) - 1 - client->line_len, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		let_go(client);
		return;
	}
	if (client->asked != ASKED_NONSENSE)
		return; /* read and forgotten */
	client->line_len += (size_t)n;
	client->line[client->line_len] = '\0';
	end = memchr(client->line, '\n', client->line_len);
	if (end) {
		*end = '\0';
		client->line_len = 0;
		on_line(c, client);
	} else if (client->line_len == sizeof(client->line) - 1) {
		refuse(client->fd, "the request is too long");
		let_go(client);
	}
}

/* When all places are taken, the one who has not asked anything yet has to go. */
static struct client *free_place(struct control *c)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd < 0)
			return &c->clients[i];
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		if (c->clients[i].asked == ASKED_NONSENSE) {
			let_go(&c->clients[i]);
			return &c->clients[i];
		}
	}
	return NULL;
}

static void on_client(struct control *c)
{
	/* cppcheck-suppress nullPointer ; nobody asks for the address */
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN};
	struct client *client;

	if (fd < 0)
		return;
	client = may_ask(c, fd) ? free_place(c) : NULL;
	if (client) {
		client->fd = fd;
		event.data.u32 = (uint32_t)(client - c->clients);
		if (!epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &event))
			return;
		client->fd = -1;
	}
	refuse(fd, may_ask(c, fd) ? "there are too many clients" : "not permitted");
	close(fd);
}

void control_run(struct control *c)
{
	struct epoll_event events[CONTROL_CLIENTS + 1];
	int n = epoll_wait(c->epoll_fd, events, CONTROL_CLIENTS + 1, 0);

	for (int i = 0; i < n; i++) {
		struct client *client = &c->clients[events[i].data.u32 % CONTROL_CLIENTS];

		if (events[i].data.u32 == CONTROL_CLIENTS) {
			on_client(c);
			continue;
		}
		if (client->fd >= 0 && events[i].events & EPOLLOUT)
			flush(c, client);
		if (client->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT)
			on_input(c, client);
	}
}

static void tell(struct control *c, const struct output *out, enum control_request whom)
{
	char *text = NULL;
	bool any = false;
	size_t len = 0;
	FILE *to;

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		any = any || (c->clients[i].fd >= 0 && c->clients[i].asked == whom);
	to = any ? open_memstream(&text, &len) : NULL;
	if (!to)
		return;
	c->ops->result(out, whom == ASKED_JSON, to, c->arg);
	if (!fclose(to)) {
		for (int i = 0; i < CONTROL_CLIENTS; i++)
			if (c->clients[i].fd >= 0 && c->clients[i].asked == whom)
				append(c, &c->clients[i], text, len);
	}
	free(text);
}

void control_output(struct control *c, const struct output *out)
{
	tell(c, out, ASKED_JSON);
	tell(c, out, ASKED_TEXT);
}

int control_fd(const struct control *c)
{
	return c->epoll_fd;
}

int control_new(const char *dir, const char *group, const struct control_ops *ops, void *arg,
		struct control **ret)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = CONTROL_CLIENTS};
	struct control *c = calloc(1, sizeof(*c));
	const struct group *entry = *group ? getgrnam(group) : NULL;
	struct sockaddr_un address;
	int err = -ENOMEM;

	if (!c)
		return err;
	c->listen_fd = c->epoll_fd = -1;
	c->ops = ops;
	c->arg = arg;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i] = (struct client){.fd = -1, .asked = ASKED_NONSENSE};
	err = *group && !entry ? -ENOENT : make_address(dir, &address);
	if (err)
		goto out;
	c->has_group = entry;
	c->group = entry ? entry->gr_gid : 0;
	strcpy(c->path, address.sun_path);
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(c->path); /* left behind by a process that was killed; the lock is ours */
	if (c->epoll_fd < 0 || c->listen_fd < 0 ||
	    bind(c->listen_fd, (struct sockaddr *)&address, sizeof(address)) ||
	    chmod(c->path, 0666) || listen(c->listen_fd, CONTROL_CLIENTS) ||
	    epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->listen_fd, &event)) {
		err = -errno;
		goto out;
	}
	*ret = c;
	return 0;
out:
	control_free(c);
	return err;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		let_go(&c->clients[i]);
	if (c->listen_fd >= 0) {
		unlink(c->path);
		close(c->listen_fd);
	}
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	free(c);
}

int control_ask(const char *dir, const char *line)
{
	struct sockaddr_un address;
	int fd, err = make_address(dir, &address);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Whoever is refused may find the other end closed: the reason is there to be read. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    ((send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 ||
	      send(fd, "\n", 1, MSG_NOSIGNAL) < 0) &&
	     errno != EPIPE)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}
