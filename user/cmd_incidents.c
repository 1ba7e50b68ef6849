/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall incidents: what is in the store, the newest first. --json prints the last line that was
 * told of each.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "stored.h"
#include "verb.h"
#include "view/incidents.h"
#include "view/terminal.h"
#include "view/writer.h"

/* A duration: that long ago; or a date, or a time as it stands in JSON. */
static int parse_time(const char *name, const char *text, int64_t *ret_ns)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%SZ", "%Y-%m-%d"};
	const int64_t now_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	uint64_t ago_ns;

	if (!text)
		return STATUS_DONE;
	if (!parse_duration(text, &ago_ns)) {
		*ret_ns = ago_ns < (uint64_t)now_ns ? now_ns - (int64_t)ago_ns : 1;
		return STATUS_DONE;
	}
	for (size_t k = 0; k < sizeof(forms) / sizeof(forms[0]); k++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[k], &tm);

		if (end && !*end) {
			if (__builtin_mul_overflow(timegm(&tm), (int64_t)NS_PER_S, ret_ns))
				break; /* before 1678 or after 2261 */
			return STATUS_DONE;
		}
	}
	warnx("--%s '%s': not a time such as 2h (ago), 2026-01-02 or 2026-01-02T03:04:05Z", name,
	      text);
	return STATUS_USAGE;
}

static int parse_cause(const char *text)
{
	if (!text)
		return STATUS_DONE;
	for (int k = 0; k < CAUSES; k++)
		if (!strcmp(text, cause_info((enum cause)k)->id))
			return STATUS_DONE;
	warnx("--cause '%s': there is no such cause", text);
	return STATUS_USAGE;
}

static int parse_network(const char *text, struct archive_filter *f)
{
	char addr[ADDR_TEXT_LEN];
	size_t len;
	uint64_t bits;

	if (!text)
		return STATUS_DONE;
	len = strcspn(text, "/");
	snprintf(addr, sizeof(addr), "%.*s", (int)len, text);
	if (len >= sizeof(addr) || addr_parse(addr, &f->addr))
		goto bad;
	bits = 8 * addr_len(&f->addr);
	if (text[len] && parse_u64(text + len + 1, 0, bits, &bits))
		goto bad;
	f->bits = (unsigned int)bits;
	return STATUS_DONE;
bad:
	warnx("--address '%s': not an address or a network such as 192.0.2.0/24", text);
	return STATUS_USAGE;
}

static int parse_filter(const struct options *o, struct archive_filter *ret)
{
	struct archive_filter f = {
		.cause = o->cause,
		.port = (uint16_t)o->port,
		.comm = o->process,
	};
	int status = parse_time("since", o->since, &f.since_ns);

	if (!status)
		status = parse_time("until", o->until, &f.until_ns);
	if (!status)
		status = parse_cause(o->cause);
	if (!status)
		status = parse_network(o->address, &f);
	*ret = f;
	return status;
}

struct listing {
	bool json;
	bool heading;
	bool colour;
	uint64_t n;
};

static int list_one(const struct archived *a, const struct output *out, void *arg)
{
	struct listing *l = arg;
	const struct writer_config config = {
		.out = stdout,
		.host = a->host,
		.wall_offset_ns = a->wall_offset_ns,
	};
	struct writer *writer = NULL;
	int err;

	l->n++;
	if (!l->json) {
		if (l->n == 1 && l->heading)
			incidents_head(stdout, l->colour);
		return incidents_line(stdout, a->running, out, l->colour);
	}
	err = writer_json(&config, &writer);
	if (!err)
		err = writer_output(writer, out);
	writer_free(writer);
	return err;
}

int cmd_incidents(const struct options *options, int argc, char **argv)
{
	struct listing l = {
		.json = options->json,
		.heading = !options->quiet,
		.colour = terminal_colour(STDOUT_FILENO),
	};
	struct archive *a = NULL;
	struct archive_filter filter;
	uint64_t damaged = 0;
	int err, status = parse_filter(options, &filter);

	(void)argc;
	(void)argv;
	if (!status)
		status = stored_open(options, &a);
	if (status || !a)
		return status;
	err = archive_each(a, &filter, list_one, &l, &damaged);
	archive_close(a);
	if (err && err != -EPIPE) {
		warnx("%s", strerror(-err));
		return STATUS_ERROR;
	}
	if (damaged)
		warnx("%" PRIu64 " %s damaged and not shown", damaged,
		      damaged == 1 ? "entry is" : "entries are");
	if (!err && !l.n && !options->json && !options->quiet)
		warnx("no incident%s", options->given ? " like that" : "");
	return damaged ? STATUS_ERROR : STATUS_DONE;
}
