/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall analyze FILE...: the engine over captures. One pass, one engine and one summary a file.
 * NDJSON tells events as they happen; text keeps the worst incidents and shows them first.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze.h"
#include "base/clock.h"
#include "sensor/capture.h"
#include "sensor/frame.h"
#include "sensor/tracker.h"
#include "verb.h"
#include "view/terminal.h"
#include "view/writer.h"

#define MIN_BYTES     (64u << 10)
#define MAX_FLOWS     (1u << 20)
#define MAX_INCIDENTS 4096
#define SHOWN	      20 /* incidents in text without -v */
#define KEPT	      1000

struct analysis {
	const struct options *options;
	const char *path;
	struct capture *capture;
	struct tracker *tracker;
	struct engine *engine;
	struct writer *writer;
	int64_t first_ns, wall_offset_ns; /* since 1970; what turns engine time into wall time */
	uint64_t last_ns;
	uint64_t stalls;
	int write_err;
	found_fn found; /* instead of writing */
	void *found_arg;
	struct kept {
		struct incident incident;
		uint64_t now_ns;
	} * *kept; /* text: the worst so far, in no order */
	int n_kept;
};

/* How much time it cost; a stall counts before a slow phase. */
static uint64_t badness(const struct incident *i)
{
	uint64_t ns = i->ended_ns > i->last_progress_ns ? i->ended_ns - i->last_progress_ns : 0;

	return i->slow ? ns / 1000 : ns;
}

static void keep(struct analysis *a, const struct output *out)
{
	struct kept *k = NULL;

	if (a->n_kept < KEPT) {
		k = malloc(sizeof(*k));
		if (!k)
			return;
		a->kept[a->n_kept++] = k;
	} else {
		k = a->kept[0];
		for (int i = 1; i < a->n_kept; i++)
			if (badness(&a->kept[i]->incident) < badness(&k->incident))
				k = a->kept[i];
		if (badness(&k->incident) >= badness(out->incident))
			return;
	}
	k->incident = *out->incident;
	k->now_ns = out->now_ns;
}

static int by_badness(const void *a, const void *b)
{
	uint64_t x = badness(&(*(struct kept *const *)a)->incident);
	uint64_t y = badness(&(*(struct kept *const *)b)->incident);

	return x < y ? 1 : x > y ? -1 : 0;
}

static void tell_found(const struct analysis *a, const struct output *out)
{
	const struct found found = {
		.incident = out->incident,
		.badness = badness(out->incident),
		.now_ns = out->now_ns,
		.first_ns = a->first_ns,
	};

	a->found(&found, a->found_arg);
}

static void observe(const struct observation *obs, void *arg)
{
	struct analysis *a = arg;
	struct output out;

	engine_step(a->engine, obs);
	while (engine_next(a->engine, &out)) {
		if (out.kind == OUT_WANT)
			continue;
		a->stalls += out.kind == OUT_STALL_BEGIN;
		if (a->found) {
			if (out.kind == OUT_STALL_END || out.kind == OUT_SLOW_END)
				tell_found(a, &out);
		} else if (!a->options->json) {
			if (out.kind == OUT_STALL_END || out.kind == OUT_SLOW_END)
				keep(a, &out);
		} else if (!a->write_err) {
			a->write_err = writer_output(a->writer, &out);
		}
	}
}

static int writer_start(struct analysis *a)
{
	const struct options *o = a->options;
	char host[64] = "";
	struct writer_config config = {
		.out = stdout,
		.host = host,
		.file = a->path,
		.wall_offset_ns = a->wall_offset_ns,
		.colour = terminal_colour(STDOUT_FILENO),
		.verbose = o->verbose ? 1
			   : o->quiet ? -1
				      : 0,
	};
	static char name[64];

	gethostname(name, sizeof(name) - 1);
	config.host = name;
	return o->json ? writer_json(&config, &a->writer) : writer_text(&config, &a->writer);
}

/* Time runs from the first packet. */
static int start(struct analysis *a, int64_t first_ns)
{
	const struct options *o = a->options;
	struct engine_config config = engine_defaults();
	struct tracker_config tracking = {
		.min_bytes = options_given(o, OPT_MIN_BYTES) ? o->min_bytes : MIN_BYTES,
		.max_flows = MAX_FLOWS,
		.observe = observe,
		.arg = a,
	};
	int err;

	if (o->stall_after_ns)
		config.stall_after_ns = o->stall_after_ns;
	tracking.stall_after_ns = config.stall_after_ns;
	a->first_ns = first_ns;
	a->wall_offset_ns = first_ns - 1;
	config.min_bytes = 0; /* the tracker knows what counts */
	config.wall_offset_ns = a->wall_offset_ns;
	config.max_flows = config.max_incidents = MAX_INCIDENTS;
	config.probe = false;
	config.offline = true;
	err = engine_new(&config, &a->engine);
	if (!err)
		err = tracker_new(&tracking, &a->tracker);
	return err ? err : writer_start(a);
}

static int read_all(struct analysis *a)
{
	struct captured p;
	int err;

	while ((err = capture_next(a->capture, &p)) > 0) {
		int64_t since_ns;

		if (__builtin_expect(!a->tracker, 0)) {
			err = start(a, p.time_ns == INT64_MIN ? 0 : p.time_ns);
			if (err < 0)
				return err;
		}
		since_ns = p.time_ns == INT64_MIN ? 0 : p.time_ns - a->first_ns;
		if (since_ns >= 0 && (uint64_t)since_ns + 1 > a->last_ns)
			a->last_ns = (uint64_t)since_ns + 1;
		frame_decode(p.linktype, p.data, p.captured, p.length, tracker_slot(a->tracker));
		tracker_push(a->tracker, since_ns < 0 ? 1 : (uint64_t)since_ns + 1, p.number);
		if (__builtin_expect(a->write_err, 0))
			return 0;
	}
	return err;
}

static void summarise(struct analysis *a, bool cut)
{
	struct tracker_counts t = tracker_counts(a->tracker);
	struct capture_counts c = capture_counts(a->capture);
	struct summary s = {
		.now_ns = a->last_ns ? a->last_ns : 1,
		.counts = engine_counts(a->engine),
		.lost = {{"not-tracked", t.not_tracked},
			 {"incidents-not-tracked",
			  engine_counts(a->engine).incidents_not_tracked +
				  engine_counts(a->engine).flows_not_tracked},
			 {"outputs", engine_counts(a->engine).outputs_lost},
			 {"header-cut", t.cut},
			 {"unknown-link-type", c.unknown_link},
			 {"dropped-by-capture", c.dropped}},
		.n_lost = 6,
	};
	const struct {
		const char *remark;
		bool holds;
	} remarks[] = {
		{"one-direction", t.one_way},
		{"missing-packets", t.missing},
		{"mid-connection", t.mid_connection},
		{"duplicates", t.duplicates},
		{"cut", cut},
	};

	for (size_t i = 0; i < sizeof(remarks) / sizeof(*remarks); i++)
		if (remarks[i].holds)
			s.remarks[s.n_remarks++] = remarks[i].remark;
	s.counts.transfers = t.transfers;
	if (!a->write_err)
		a->write_err = writer_summary(a->writer, &s);
}

static void show_kept(struct analysis *a)
{
	int shown = a->n_kept;

	if (a->n_kept)
		qsort(a->kept, (size_t)a->n_kept, sizeof(*a->kept), by_badness);
	if (!a->options->verbose && shown > SHOWN)
		shown = SHOWN;
	for (int i = 0; i < shown && !a->write_err; i++) {
		struct output out = {.kind = OUT_VERDICT, .now_ns = a->kept[i]->now_ns};

		out.incident = &a->kept[i]->incident;
		a->write_err = writer_output(a->writer, &out);
		if (out.incident->slow || a->write_err)
			continue;
		out.kind = OUT_STALL_END;
		a->write_err = writer_output(a->writer, &out);
	}
	if (shown < a->n_kept && !a->options->quiet)
		warnx("%s: the %d worst of %d; all with -v", a->path, shown, a->n_kept);
}

static int finish(struct analysis *a, bool cut)
{
	struct observation end = {.type = OBS_END, .now_ns = a->last_ns, .capture_end = true};
	int err = a->tracker ? 0 : start(a, 0);

	if (err < 0)
		return err;
	tracker_end(a->tracker);
	observe(&end, a);
	if (a->found)
		return 0;
	show_kept(a);
	summarise(a, cut);
	return a->write_err;
}

static bool lost_any(const struct analysis *a)
{
	struct tracker_counts t = tracker_counts(a->tracker);
	struct capture_counts c = capture_counts(a->capture);

	return t.not_tracked || t.missing || t.cut || c.dropped || c.unknown_link;
}

int analyze_each(const struct options *options, const char *path, found_fn found, void *arg,
		 struct capture_counts *ret_counts)
{
	struct analysis a = {
		.options = options,
		.path = path,
		.found = found,
		.found_arg = arg,
	};
	char why[CAPTURE_WHY_LEN];
	int status = STATUS_ERROR, err, end;

	a.kept = calloc(KEPT, sizeof(*a.kept));
	if (!a.kept) {
		warnx("%s: %s", path, strerror(ENOMEM));
		goto out;
	}
	if (capture_open(path, &a.capture, why, sizeof(why)) < 0) {
		warnx("%s", why);
		goto out;
	}
	end = read_all(&a);
	if (!end && !capture_counts(a.capture).packets_read &&
	    capture_counts(a.capture).unknown_link) {
		char known[CAPTURE_WHY_LEN];

		warnx("%s: link type %d cannot be read; known are %s", path,
		      capture_counts(a.capture).unknown_linktype,
		      linktypes_known(known, sizeof(known)));
		goto out;
	}
	err = finish(&a, end < 0);
	if (err == -EPIPE)
		goto done;
	if (err < 0) {
		warnx("%s: %s", path, strerror(-err));
		goto out;
	}
	if (end < 0)
		warnx("%s", capture_why(a.capture));
done:
	status = a.stalls ? STATUS_STALLED : STATUS_DONE;
	if (end < 0 || (options->strict && lost_any(&a)))
		status = STATUS_INCOMPLETE;
	if (ret_counts)
		*ret_counts = capture_counts(a.capture);
out:
	for (int i = 0; i < a.n_kept; i++)
		free(a.kept[i]);
	free(a.kept);
	writer_free(a.writer);
	tracker_free(a.tracker);
	engine_free(a.engine);
	capture_close(a.capture);
	return status;
}

/* Of several files the status that matters most: an error, then incomplete, then stalls. */
int cmd_analyze(const struct options *options, int argc, char **argv)
{
	static const int rank[] = {
		[STATUS_DONE] = 0,
		[STATUS_STALLED] = 1,
		[STATUS_INCOMPLETE] = 2,
		[STATUS_ERROR] = 3,
	};
	int status = STATUS_DONE;

	if (options->extract || options->output || options->force)
		return extract(options, argc, argv);
	for (int i = 0; i < argc; i++) {
		int one = analyze_each(options, argv[i], NULL, NULL, NULL);

		if (rank[one] > rank[status])
			status = one;
	}
	return status;
}
