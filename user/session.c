/* SPDX-License-Identifier: GPL-2.0-only */
#include "session.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/clock.h"
#include "base/plural.h"
#include "host/host.h"
#include "incident/store.h"
#include "sensor/filter.h"
#include "stored.h"
#include "view/format.h"
#include "view/live.h"
#include "view/names.h"
#include "view/terminal.h"

#define FILTER_LEN 1024

static int open_output(struct session *s, FILE *text_out)
{
	const struct options *o = s->options;

	if (!options_given(o, OPT_OUTPUT) && !o->json && text_out == stderr)
		/* A buffer of its own: a verdict leaves in one piece, not mixed with CMD's words.
		 */
		s->out = fdopen(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), "w");
	else if (!options_given(o, OPT_OUTPUT))
		s->out = o->json ? stdout : text_out;
	else
		s->out = strcmp(o->output, "-") ? fopen(o->output, "we") : stdout;
	if (!s->out) {
		warn("%s", options_given(o, OPT_OUTPUT) ? o->output : "standard error");
		return STATUS_ERROR;
	}
	if ((fcntl(fileno(s->out), F_GETFL) & O_ACCMODE) == O_RDONLY) {
		warnx("results cannot be written: the stream is closed");
		return STATUS_ERROR;
	}
	return STATUS_DONE;
}

static int open_netns(struct session *s)
{
	const char *text = s->options->netns;
	int err;

	if (!text)
		return STATUS_DONE;
	err = namespace_open(text, &s->netns_fd, &s->config.sensor.netns);
	if (!err)
		return STATUS_DONE;
	if (err == -EPERM || err == -EACCES) {
		warnx("--netns '%s': not permitted; CAP_SYS_PTRACE or root is needed", text);
		return STATUS_UNSUPPORTED;
	}
	warnx("--netns '%s': %s", text,
	      err == -EINVAL ? "is no network namespace"
			     : "no such network namespace, file or process");
	return STATUS_USAGE;
}

static bool from_packets(const struct options *o)
{
	return o->source && !strcmp(o->source, "pcap");
}

static int check_options(const struct options *o)
{
	if (o->interface && !from_packets(o)) {
		warnx("-i '%s' names an interface to take packets from: it needs --source pcap",
		      o->interface);
		return STATUS_USAGE;
	}
	if (o->anonymize && !o->record) {
		warnx("--anonymize is about a recording: it needs --record FILE");
		return STATUS_USAGE;
	}
	if (o->record && !strcmp(o->record, "-")) {
		warnx("--record needs a file: stdout is taken");
		return STATUS_USAGE;
	}
	return STATUS_DONE;
}

int session_writer(struct session *s)
{
	const struct options *o = s->options;
	const bool terminal = isatty(fileno(s->out));
	struct writer_config config = {
		.out = s->out,
		.host = s->host,
		.wall_offset_ns = s->config.engine.wall_offset_ns,
		.colour = terminal_colour(fileno(s->out)),
		.verbose = o->quiet ? -1 : o->verbose,
	};
	int err, rows;

	if (terminal)
		terminal_size(fileno(s->out), &config.columns, &rows);
	/* A script gets addresses only: names come when they come, and lines must not depend on it.
	 */
	if (terminal && !o->json && !o->numeric && !names_new(&s->names))
		config.names = s->config.names = s->names;
	err = o->json ? writer_json(&config, &s->writer) : writer_text(&config, &s->writer);
	if (err) {
		warnx("output: %s", strerror(-err));
		return STATUS_ERROR;
	}
	s->config.writer = s->writer;
	return STATUS_DONE;
}

/* The engine weighs what it is shown; it should see a silence well before it matters. */
static uint64_t suspect_after_ns(const struct engine_config *engine)
{
	const uint64_t most = 500 * NS_PER_MS, quarter = engine->stall_after_ns / 4;

	return quarter < most ? quarter : most;
}

int session_prepare(struct session *s, const struct options *options, FILE *text_out)
{
	struct engine_config engine = engine_defaults();
	int status;

	*s = (struct session){.options = options, .netns_fd = -1};
	if (options_given(options, OPT_STALL_AFTER))
		engine.stall_after_ns = options->stall_after_ns;
	if (options_given(options, OPT_MIN_BYTES))
		engine.min_bytes = options->min_bytes;
	engine.wall_offset_ns = wall_offset_ns();
	engine.probe = !options->no_probe;
	if (gethostname(s->host, sizeof(s->host) - 1))
		s->host[0] = '\0';

	s->config = (struct monitor_config){
		.engine = engine,
		.sensor =
			{
				.min_bytes = engine.min_bytes,
				.suspect_after_ns = suspect_after_ns(&engine),
				.stall_after_ns = engine.stall_after_ns,
				.interfaces = !from_packets(options) ? NULL
					      : options->interface   ? options->interface
								     : "any",
			},
		.host = s->host,
		.record = options->record,
		.anonymize = options->anonymize,
		.duration_ns = options->duration_ns,
		.key_fd = -1,
		.pidfd = -1,
		.out_fd = -1,
	};
	status = check_options(options);
	if (!status)
		status = open_netns(s);
	return status ? status : open_output(s, text_out);
}

int session_filter(struct session *s, int argc, char **argv)
{
	char text[FILTER_LEN] = "", why[256];
	size_t len = 0;

	for (int i = 0; i < argc; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
					argv[i]);
		if (len >= sizeof(text)) {
			warnx("FILTER is longer than %d characters", FILTER_LEN - 1);
			return STATUS_USAGE;
		}
	}
	if (!len)
		return STATUS_DONE;
	if (flow_filter_new(text, &s->filter, why, sizeof(why))) {
		warnx("FILTER %s", why);
		return STATUS_USAGE;
	}
	s->config.sensor.filter = s->filter;
	return STATUS_DONE;
}

uint64_t session_kernel_memory(const struct session *s)
{
	DIR *dir = opendir("/proc/self/fdinfo");
	const struct dirent *d;
	uint64_t sum = 0, bytes;
	char line[128];

	for (const char *i = s->config.sensor.interfaces; i; i = strchr(i + 1, ','))
		sum += SENSOR_RING_BYTES;
	while (dir && (d = readdir(dir))) {
		int fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_CLOEXEC);
		FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
				sum += bytes;
		}
		if (f)
			fclose(f);
		else if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
	return sum;
}

static void say(const char *line)
{
	warnx("%s", line);
}

/* Detection goes on without. What is said of it: where, or "". */
static const char *open_store(struct session *s, char dir[PATH_MAX])
{
	const struct options *o = s->options;
	const struct store_config config = {
		.dir = dir,
		.max_bytes = options_given(o, OPT_STORE_SIZE) ? o->store_bytes : STORE_BYTES,
		.max_age_ns = options_given(o, OPT_STORE_AGE) ? o->store_age_ns : STORE_AGE_NS,
		.host = s->host,
		.wall_offset_ns = s->config.engine.wall_offset_ns,
	};
	int err;

	if (o->no_store || (!store_supported() && !o->store))
		return "";
	err = stored_dir(o, dir, PATH_MAX);
	if (!err)
		err = store_make_dir(dir);
	if (!err)
		err = store_new(&config, &s->store);
	if (!err)
		err = monitor_keep(s->monitor, s->store, say);
	if (!err)
		return dir;
	warnx("incidents are not kept: %s: %s", dir, strerror(-err));
	return "";
}

static void where_text(const struct session *s, char *buf, size_t len)
{
	const char *netns = s->options->netns;

	if (from_packets(s->options))
		snprintf(buf, len, "packets of %s%s%s", s->config.sensor.interfaces,
			 netns ? " in network namespace " : "", netns ? netns : "");
	else if (netns)
		snprintf(buf, len, "network namespace %s", netns);
	else
		snprintf(buf, len, "all network namespaces");
}

/* Without a store as well: the packets of a transfer that crawls are looked at (pacing.c). */
static uint32_t box_packets(const struct options *o)
{
	return options_given(o, OPT_BLACK_BOX) ? (uint32_t)o->box_packets : BOX_DEFAULT;
}

static void say_boxes(const struct session *s)
{
	const struct box_capacity boxes = monitor_boxes(s->monitor);
	char bytes[FORMAT_LEN];

	if (!boxes.packets && s->config.sensor.box_packets)
		warnx("incidents have no packets of their transfers, and policers are hard to tell "
		      "from loss: no black boxes: %s",
		      boxes.why);
	else if (boxes.packets && s->options->verbose)
		warnx("black boxes: the last %" PRIu32 " packets of %" PRIu32 " transfers, %s",
		      boxes.packets, boxes.boxes, format_bytes(boxes.bytes, bytes));
}

static void say_start(const struct session *s, const char *kept)
{
	const uint64_t now = monitor_engine_counts(s->monitor).transfers;
	const pid_t root = s->config.sensor.root_pid;
	char what[64], where[128], after[FORMAT_LEN], bytes[FORMAT_LEN], memory[FORMAT_LEN],
		grant[GRANT_LEN];
	int err = monitor_errors(s->monitor).probe;

	if (err)
		warnx("no probes, so hops cannot be named: %s (CAP_NET_RAW missing; %s)",
		      strerror(-err), capability_grant(grant));
	if (!s->options->netns && !from_packets(s->options) && !capability_held(CAP_SYS_ADMIN))
		warnx("no probes in other network namespaces, and what is older than this watch is "
		      "not seen there: CAP_SYS_ADMIN missing");
	if (s->options->quiet)
		return;
	say_boxes(s);
	if (root)
		snprintf(what, sizeof(what), "process %d and its children", (int)root);
	else if (s->filter)
		snprintf(what, sizeof(what), "%" PRIu64 " matching connection%s", now, plural(now));
	else
		snprintf(what, sizeof(what), "%" PRIu64 " transfer%s of %s or more", now,
			 plural(now), format_bytes(s->config.engine.min_bytes, bytes));
	where_text(s, where, sizeof(where));
	warnx("watching %s in %s; a stall is %s of silence; kernel memory %s%s%s%s", what, where,
	      format_duration(s->config.engine.stall_after_ns, after),
	      format_bytes(session_kernel_memory(s), memory),
	      s->options->no_probe	 ? "; no probes"
	      : from_packets(s->options) ? "; no probes where neither end is this host"
					 : "",
	      *kept ? "; incidents are kept in " : "", kept);
}

int session_start(struct session *s)
{
	char why[256], dir[PATH_MAX];
	int err, status = session_writer(s);

	if (status)
		return status;
	s->config.live = s->live;
	s->config.out_fd = fileno(s->out);
	s->config.sensor.box_packets = box_packets(s->options);
	err = monitor_new(&s->config, &s->monitor, why, sizeof(why));
	if (err) {
		const bool here = err != -EPERM && err != -ENOTSUP,
			   packets = from_packets(s->options);

		warnx("%s%s%s", why, here ? "" : "; see tcpstall check",
		      here || packets ? ""
				      : ", or try --source pcap, which needs CAP_NET_RAW only");
		if (err == -ENODEV || err == -ENETDOWN || err == -EINVAL)
			return STATUS_USAGE;
		return here ? STATUS_ERROR : STATUS_UNSUPPORTED;
	}
	say_start(s, open_store(s, dir));
	return STATUS_DONE;
}

int session_run(struct session *s, int *ret_end)
{
	const int end = monitor_run(s->monitor);
	const struct monitor_errors errors = monitor_errors(s->monitor);

	if (end < 0)
		warnx("event loop: %s", strerror(-end));
	if (errors.record)
		warnx("--record '%s' is incomplete: %s", s->options->record,
		      strerror(-errors.record));
	/* A reader that has seen enough, such as head(1), is nothing to complain about. */
	if (errors.output && errors.output != -EPIPE)
		warnx("results are incomplete: %s", strerror(-errors.output));
	*ret_end = end;
	if (end < 0 || errors.record || (errors.output && errors.output != -EPIPE))
		return STATUS_ERROR;
	if (s->options->strict && monitor_lost(s->monitor))
		return STATUS_INCOMPLETE;
	return monitor_engine_counts(s->monitor).stalls ? STATUS_STALLED : STATUS_DONE;
}

void session_close(struct session *s)
{
	monitor_free(s->monitor);
	store_free(s->store);
	live_free(s->live);
	writer_free(s->writer);
	names_free(s->names);
	flow_filter_free(s->filter);
	if (s->out && s->out != stdout && s->out != stderr)
		fclose(s->out);
	if (s->netns_fd >= 0)
		close(s->netns_fd);
}
