/* SPDX-License-Identifier: GPL-2.0-only */
#include "daemon/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>
#ifdef HAVE_MICROHTTPD
#include <microhttpd.h>
#endif

#include "base/addr.h"
#include "base/clock.h"
#include "base/parse.h"
#include "daemon/metrics.h"

#define CONNECTIONS_MAX 16
#define TIMEOUT_S	10
#define UNIX_PREFIX	"unix:"

#ifdef HAVE_MICROHTTPD
struct http {
	struct MHD_Daemon *daemon;
	const struct http_ops *ops;
	void *arg;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "": TCP */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

bool http_supported(void)
{
	return true;
}

static int parse_unix(const char *path, union address *ret, socklen_t *ret_len)
{
	if (*path != '/' || strlen(path) >= sizeof(ret->local.sun_path))
		return -EINVAL;
	ret->local.sun_family = AF_UNIX;
	strcpy(ret->local.sun_path, path);
	*ret_len = sizeof(ret->local);
	return 0;
}

static int parse_listen(const char *text, union address *ret, socklen_t *ret_len)
{
	char host[ADDR_TEXT_LEN + 2];
	const char *colon = strrchr(text, ':');
	struct ip_addr addr;
	uint64_t port;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return parse_unix(text + strlen(UNIX_PREFIX), ret, ret_len);
	if (!colon || parse_u64(colon + 1, 1, 65535, &port))
		return -EINVAL;
	len = (size_t)(colon - text);
	if (len >= sizeof(host))
		return -EINVAL;
	if (len > 2 && text[0] == '[' && text[len - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, text + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)len, text);
	if (addr_parse(host, &addr))
		return -EINVAL;
	if (addr.family == AF_INET6) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons((uint16_t)port);
		memcpy(&ret->v6.sin6_addr, addr.bytes, sizeof(ret->v6.sin6_addr));
		*ret_len = sizeof(ret->v6);
	} else {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons((uint16_t)port);
		memcpy(&ret->v4.sin_addr, addr.bytes, sizeof(ret->v4.sin_addr));
		*ret_len = sizeof(ret->v4);
	}
	return 0;
}

bool http_can_listen(const char *listen_text)
{
	union address address;
	socklen_t len;

	return !parse_listen(listen_text, &address, &len);
}

/* The socket that a process before us has left behind is in the way. */
static int open_socket(const union address *address, socklen_t len)
{
	const int on = 1;
	int err, fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (address->any.sa_family == AF_UNIX)
		unlink(address->local.sun_path);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &address->any, len) || listen(fd, CONNECTIONS_MAX)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned int status,
			       const char *type, char *body, size_t len)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_len, void **state)
{
	static int seen;
	const bool metrics = !strcmp(url, "/metrics");
	unsigned int status = MHD_HTTP_OK;
	const char *trouble = NULL;
	struct http *h = arg;
	char *body = NULL;
	size_t len;
	FILE *to;

	(void)version;
	(void)data;
	if (!*state) { /* headers only, so far */
		*state = &seen;
		return MHD_YES;
	}
	if (*data_len) { /* nobody reads it */
		*data_len = 0;
		return MHD_YES;
	}
	to = open_memstream(&body, &len);
	if (!to)
		return MHD_NO;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		status = MHD_HTTP_METHOD_NOT_ALLOWED;
		fputs("only GET\n", to);
	} else if (metrics) {
		h->ops->metrics(to, h->arg);
	} else if (!strcmp(url, "/healthz")) {
		trouble = h->ops->trouble(h->arg);
		status = trouble ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
		fprintf(to, "%s\n", trouble ? trouble : "ok");
	} else {
		status = MHD_HTTP_NOT_FOUND;
		fputs("/metrics and /healthz\n", to);
	}
	if (fclose(to)) {
		free(body);
		return MHD_NO;
	}
	return respond(connection, status,
		       metrics && status == MHD_HTTP_OK ? METRICS_TYPE
							: "text/plain; charset=utf-8",
		       body, len);
}

int http_new(const char *listen_text, const struct http_ops *ops, void *arg, struct http **ret)
{
	union address address;
	socklen_t len;
	struct http *h;
	int fd, err = parse_listen(listen_text, &address, &len);

	if (err)
		return err;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	fd = open_socket(&address, len);
	if (fd < 0) {
		free(h);
		return fd;
	}
	h->ops = ops;
	h->arg = arg;
	h->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, handle, h, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(16 << 10), MHD_OPTION_END);
	if (!h->daemon) {
		close(fd);
		free(h);
		return -EIO;
	}
	if (address.any.sa_family == AF_UNIX) {
		strcpy(h->path, address.local.sun_path);
		chmod(h->path, 0666); /* there is nothing secret about it */
	}
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	if (*h->path)
		unlink(h->path);
	free(h);
}

int http_fd(const struct http *h)
{
	return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

static unsigned int connections(const struct http *h)
{
	return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/*
 * With all connections taken the library no longer waits for new ones. It looks whether it may
 * again when it is run, not when one has ended.
 */
uint64_t http_run(struct http *h, uint64_t now_ns)
{
	const unsigned int before = connections(h);
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(h->daemon);
	if (connections(h) < before)
		return now_ns;
	if (MHD_get_timeout(h->daemon, &timeout_ms) != MHD_YES)
		return UINT64_MAX;
	return now_ns + timeout_ms * NS_PER_MS;
}
#else
bool http_supported(void)
{
	return false;
}

bool http_can_listen(const char *listen)
{
	(void)listen;
	return false;
}

int http_new(const char *listen, const struct http_ops *ops, void *arg, struct http **ret)
{
	(void)listen;
	(void)ops;
	(void)arg;
	(void)ret;
	return -ENOTSUP;
}

void http_free(struct http *h)
{
	(void)h;
}

int http_fd(const struct http *h)
{
	(void)h;
	return -1;
}

uint64_t http_run(struct http *h, uint64_t now_ns)
{
	(void)h;
	(void)now_ns;
	return UINT64_MAX;
}
#endif
