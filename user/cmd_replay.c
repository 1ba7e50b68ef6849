/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall replay: a recording through a fresh engine and the same writers. Nothing comes from this
 * host or from the clock: engine configuration, host name and times are the recording's.
 */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/plural.h"
#include "sensor/record.h"
#include "session.h"

struct replay {
	const char *file;
	struct session session;
	struct recording *recording;
	struct recorder *copy; /* NULL: none */
	struct engine *engine;
	struct observation last;
	int output_error; /* of the writer */
	int copy_error;
	bool cut; /* there should be more of the recording */
};

/* What the engine wishes to know was granted then; the answers are in the recording. */
static void take(struct replay *p, const struct observation *obs)
{
	struct output out;

	p->last = *obs;
	if (p->copy && !p->copy_error)
		p->copy_error = recorder_write(p->copy, obs);
	engine_step(p->engine, obs); /* -ENOSPC is among its counts */
	while (engine_next(p->engine, &out)) {
		if (out.kind != OUT_WANT && !p->output_error)
			p->output_error = writer_output(p->session.writer, &out);
	}
}

static bool same_file(const char *a, const char *b)
{
	struct stat at, bt;

	return !stat(a, &at) && !stat(b, &bt) && at.st_dev == bt.st_dev && at.st_ino == bt.st_ino;
}

static int open_all(struct replay *p, const struct options *options)
{
	struct record_header header;
	char why[256];
	int r, status;

	if (options->record && same_file(options->record, p->file)) {
		warnx("--record '%s': that is the recording itself", options->record);
		return STATUS_USAGE;
	}
	r = recording_open(p->file, &p->recording, &header, why, sizeof(why));
	if (r) {
		warnx("%s: %s", p->file, why);
		return STATUS_ERROR;
	}
	p->session.config.engine = header.config;
	memcpy(p->session.host, header.host, sizeof(header.host));
	status = session_writer(&p->session);
	if (status)
		return status;
	r = engine_new(&header.config, &p->engine);
	if (r) {
		warnx("engine: %s", strerror(-r));
		return STATUS_ERROR;
	}
	if (options->record)
		r = recorder_open(options->record, &header, options->anonymize, &p->copy);
	if (r) {
		warnx("--record '%s': %s", options->record, strerror(-r));
		return STATUS_ERROR;
	}
	return STATUS_DONE;
}

static int read_all(struct replay *p)
{
	struct observation obs;
	char why[256];
	int got;

	while ((got = recording_next(p->recording, &obs, why, sizeof(why))) == 1 &&
	       p->output_error != -EPIPE)
		take(p, &obs);
	if (*why)
		warnx("%s: %s", p->file, why);
	if (p->last.type != OBS_END) {
		p->cut = true;
		if (got == 0 && !*why)
			warnx("%s: the recording was cut off", p->file);
		take(p, &(struct observation){.type = OBS_END,
					      .now_ns = p->last.now_ns,
					      .capture_end = p->session.config.engine.offline});
	}
	if (recording_ignored(p->recording))
		warnx("%s: %llu observation%s of kinds that this program does not know", p->file,
		      (unsigned long long)recording_ignored(p->recording),
		      plural(recording_ignored(p->recording)));
	return got < 0 ? STATUS_ERROR : STATUS_DONE;
}

/* The summary, and what the run as a whole comes to. */
static int finish(struct replay *p)
{
	struct summary summary = {
		.now_ns = p->last.now_ns,
		.counts = engine_counts(p->engine),
	};
	const int max = sizeof(summary.lost) / sizeof(summary.lost[0]);
	struct record_end end = {0};
	uint64_t lost = 0;
	int r;

	recording_end(p->recording, &end);
	summary.probes_sent = end.probes_sent;
	summary.answers_ignored = end.answers_ignored;
	for (int i = 0; i < end.n_lost && i < max; i++) {
		summary.lost[i].reason = end.lost[i].reason;
		summary.lost[i].count = end.lost[i].count;
		summary.n_lost = i + 1;
		lost += end.lost[i].count;
	}
	if (p->copy && !p->copy_error)
		p->copy_error = recorder_end(p->copy, &end);
	r = recorder_close(p->copy);
	p->copy = NULL;
	if (p->copy_error || r) {
		warnx("--record '%s' is incomplete: %s", p->session.options->record,
		      strerror(-(p->copy_error ? p->copy_error : r)));
		return STATUS_ERROR;
	}
	if (!p->output_error)
		p->output_error = writer_summary(p->session.writer, &summary);
	if (p->output_error && p->output_error != -EPIPE) {
		warnx("results are incomplete: %s", strerror(-p->output_error));
		return STATUS_ERROR;
	}
	if (p->session.options->strict && (p->cut || lost))
		return STATUS_INCOMPLETE;
	return summary.counts.stalls ? STATUS_STALLED : STATUS_DONE;
}

int cmd_replay(const struct options *options, int argc, char **argv)
{
	struct replay p = {.file = argv[0]};
	int status, read_status;

	(void)argc;
	status = session_prepare(&p.session, options, stdout);
	if (!status)
		status = open_all(&p, options);
	if (!status) {
		read_status = read_all(&p);
		status = finish(&p);
		status = read_status ? read_status : status;
	}
	recorder_close(p.copy);
	recording_close(p.recording);
	engine_free(p.engine);
	session_close(&p.session);
	return status;
}
