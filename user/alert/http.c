/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A POST by libcurl, driven from the thread's own poll(). It is over when the header of the answer
 * has come: only its status counts. Its body is not waited for, and no redirect is followed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_CURL
#include <curl/curl.h>
#endif

#include "alert/delivery.h"
#include "base/clock.h"
#include "version.h"

#ifdef HAVE_CURL
#define SECRET_MAX 1024

struct http_delivery {
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	bool answered; /* the status and all of the header are here */
	char error[CURL_ERROR_SIZE];
};

/* Line by line. An empty one ends the header, or that of a 100 Continue before it. */
static size_t take_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_delivery *h = arg;
	long status = 0;

	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	if (size * n > 0 && (*line == '\r' || *line == '\n') && status >= 200)
		h->answered = true;
	return size * n;
}

/* To take none of it ends the transfer. */
static size_t refuse_body(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)size;
	(void)n;
	(void)arg;
	return 0;
}

/* What the file says goes behind "Authorization:"; nobody else may see it on a command line. */
static int add_authorization(struct http_delivery *h, const char *path)
{
	char header[SECRET_MAX + 32] = "Authorization: ";
	const size_t len = strlen(header);
	FILE *file = fopen(path, "re");
	struct curl_slist *more;
	bool read;

	if (!file)
		return -errno;
	read = fgets(header + len, SECRET_MAX, file);
	fclose(file);
	if (!read)
		return -ENODATA;
	header[strcspn(header, "\r\n")] = '\0';
	more = curl_slist_append(h->headers, header);
	if (!more)
		return -ENOMEM;
	h->headers = more;
	return 0;
}

static void configure(struct http_delivery *h, const struct sink_config *sink, const char *url,
		      const char *body)
{
	const long timeout_ms = (long)(sink->timeout_ns / NS_PER_MS);
	CURL *e = h->easy;

	curl_easy_setopt(e, CURLOPT_URL, url);
	curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->headers);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "tcpstall/" TCPSTALL_VERSION);
	curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's are no answer */
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, refuse_body);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, h->error);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout_ms);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(e, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	if (*sink->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, sink->ca_file);
}

int http_begin(const struct sink_config *sink, const char *path, const char *body,
	       struct http_delivery **ret)
{
	struct http_delivery *h = calloc(1, sizeof(*h));
	char url[sizeof(sink->url) + 64];
	size_t len = strlen(sink->url);
	int err = -ENOMEM, running;

	if (!h)
		return err;
	while (*path && len && sink->url[len - 1] == '/')
		len--;
	snprintf(url, sizeof(url), "%.*s%s", (int)len, sink->url, path);
	h->multi = curl_multi_init();
	h->easy = curl_easy_init();
	h->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!h->multi || !h->easy || !h->headers)
		goto out;
	err = *sink->authorization_file ? add_authorization(h, sink->authorization_file) : 0;
	if (err)
		goto out;
	configure(h, sink, url, body);
	err = -EIO;
	if (curl_multi_add_handle(h->multi, h->easy) || curl_multi_perform(h->multi, &running))
		goto out;
	*ret = h;
	return 0;
out:
	http_end(h);
	return err;
}

int http_fds(const struct http_delivery *h, struct pollfd fds[DELIVERY_FDS])
{
	fd_set in, out, except;
	int max = -1, n = 0;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&except);
	curl_multi_fdset(h->multi, &in, &out, &except, &max);
	for (int fd = 0; fd <= max && n < DELIVERY_FDS; fd++) {
		const short events = (short)((FD_ISSET(fd, &in) ? POLLIN : 0) |
					     (FD_ISSET(fd, &out) ? POLLOUT : 0));

		if (events)
			fds[n++] = (struct pollfd){.fd = fd, .events = events};
	}
	return n;
}

/* While a name is looked up there may be nothing to wait for but time. */
uint64_t http_wake_ns(const struct http_delivery *h, uint64_t now_ns)
{
	long timeout_ms = -1;

	curl_multi_timeout(h->multi, &timeout_ms);
	if (timeout_ms < 0 || timeout_ms > 1000)
		timeout_ms = 1000;
	return now_ns + (uint64_t)timeout_ms * NS_PER_MS;
}

static enum delivery_state status_of(const struct http_delivery *h, CURLcode code, char *why)
{
	long status = 0;

	if (h->answered)
		curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
		return DELIVERY_DONE;
	if (status)
		snprintf(why, DELIVERY_WHY, "HTTP status %ld", status);
	else
		snprintf(why, DELIVERY_WHY, "%.150s",
			 *h->error ? h->error : curl_easy_strerror(code));
	/* RFC 9110 15.5: what the client did wrong it will do wrong again, but for these */
	if (status >= 300 && status < 500 && status != 408 && status != 425 && status != 429)
		return DELIVERY_NEVER;
	return DELIVERY_LATER;
}

enum delivery_state http_step(struct http_delivery *h, char why[DELIVERY_WHY])
{
	const CURLMsg *message;
	int running = 0, left;

	if (curl_multi_perform(h->multi, &running)) {
		snprintf(why, DELIVERY_WHY, "libcurl failed");
		return DELIVERY_LATER;
	}
	if (h->answered)
		return status_of(h, CURLE_OK, why);
	while ((message = curl_multi_info_read(h->multi, &left))) {
		if (message->msg == CURLMSG_DONE)
			return status_of(h, message->data.result, why);
	}
	return DELIVERY_GOES_ON;
}

void http_end(struct http_delivery *h)
{
	if (!h)
		return;
	if (h->multi && h->easy)
		curl_multi_remove_handle(h->multi, h->easy);
	curl_easy_cleanup(h->easy);
	curl_multi_cleanup(h->multi);
	curl_slist_free_all(h->headers);
	free(h);
}
#else
int http_begin(const struct sink_config *sink, const char *path, const char *body,
	       struct http_delivery **ret)
{
	(void)sink;
	(void)path;
	(void)body;
	(void)ret;
	return -ENOTSUP;
}

int http_fds(const struct http_delivery *h, struct pollfd fds[DELIVERY_FDS])
{
	(void)h;
	(void)fds;
	return 0;
}

uint64_t http_wake_ns(const struct http_delivery *h, uint64_t now_ns)
{
	(void)h;
	return now_ns;
}

enum delivery_state http_step(struct http_delivery *h, char why[DELIVERY_WHY])
{
	(void)h;
	snprintf(why, DELIVERY_WHY, "not in this build");
	return DELIVERY_NEVER;
}

void http_end(struct http_delivery *h)
{
	(void)h;
}
#endif
