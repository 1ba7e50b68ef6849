/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket: bytes of a client, in pieces (a zero byte ends one), with results that come
 * in between. Whatever it sends, the next client is answered.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/control.h"

static void status(FILE *to, void *arg)
{
	(void)arg;
	fputs("{\"type\":\"status\"}\n", to);
}

static void result(const struct output *out, bool json, FILE *to, void *arg)
{
	(void)out;
	(void)arg;
	fputs(json ? "{}\n" : "text\n", to);
}

static const struct control_ops ops = {status, status, result};

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/" CONTROL_SOCKET, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		abort();
	return fd;
}

static void answered(struct control *control, const char *path)
{
	int fd = control_ask(path, "status");
	char text[64] = "";

	for (int i = 0; i < 3; i++) /* to come in, to be read, to be let go */
		control_run(control);
	if (fd < 0 || recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) <= 0 ||
	    strcmp(text, "{\"type\":\"status\"}\n"))
		abort();
	close(fd);
	control_run(control);
}

static char dir[] = "/tmp/tcpstall-fuzz-XXXXXX";
static struct control *c;

static void clean_up(void)
{
	control_free(c);
	c = NULL;
	rmdir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct output out = {0};
	int fd;

	if (!c && (!mkdtemp(dir) || control_new(dir, "", &ops, NULL, &c) || atexit(clean_up)))
		abort();
	fd = connect_to(dir);
	control_run(c);
	while (size) {
		const uint8_t *end = memchr(data, 0, size);
		const size_t len = end ? (size_t)(end - data) : size;

		if (send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		control_run(c);
		control_output(c, &out);
		data += len + !!end;
		size -= len + !!end;
	}
	answered(c, dir);
	close(fd);
	control_run(c);
	return 0;
}
