/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine over a capture: one pass, one engine and one summary a file. No global state, so that
 * several files may be read at once.
 * NDJSON tells events as they happen; text keeps the worst incidents and shows them first.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze.h"
#include "base/clock.h"
#include "base/plural.h"
#include "sensor/capture.h"
#include "sensor/feed.h"
#include "sensor/frame.h"
#include "sensor/tracker.h"
#include "verb.h"
#include "view/brief.h"
#include "view/format.h"
#include "view/terminal.h"
#include "view/writer.h"

#define MIN_BYTES     (64u << 10)
#define MAX_FLOWS     (1u << 20)
#define MAX_INCIDENTS 4096
#define SHOWN	      20 /* incidents in text without -v */
#define KEPT	      1000
#define LIVES_KEPT    65536

struct analysis {
	const struct options *options;
	const char *path;
	struct capture *capture;
	struct tracker *tracker;
	struct engine *engine;
	struct writer *writer;
	const struct analyze_to *to;
	uint64_t bytes_told; /* to the progress */
	char host[NAME_LEN];
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
	struct life_seen *lives; /* text with --all: the longest so far */
	uint32_t n_lives, lives_room;
	uint64_t lives_seen;
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

static void complain(const struct analysis *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A line on stderr, as warnx(3) has it. */
static void complain(const struct analysis *a, const char *format, ...)
{
	va_list args;

	if (a->to->progress)
		progress_wipe(a->to->progress);
	fputs("tcpstall: ", a->to->err);
	va_start(args, format);
	vfprintf(a->to->err, format, args);
	va_end(args);
	putc('\n', a->to->err);
}

static uint64_t lasted_ns(const struct life_seen *l)
{
	return l->end_ns - l->begin_ns;
}

static int by_length(const void *a, const void *b)
{
	uint64_t x = lasted_ns(a), y = lasted_ns(b);

	return x < y ? 1 : x > y ? -1 : 0;
}

static void keep_life(struct analysis *a, const struct life_seen *life)
{
	a->lives_seen++;
	if (a->n_lives == a->lives_room) {
		uint32_t room = a->lives_room ? 2 * a->lives_room : 64;
		void *more = room > LIVES_KEPT ? NULL : realloc(a->lives, room * sizeof(*a->lives));

		if (!more)
			return; /* counted all the same */
		a->lives = more;
		a->lives_room = room;
	}
	a->lives[a->n_lives++] = *life;
}

static void write_now(struct analysis *a, const struct output *out)
{
	if (a->to->progress)
		progress_wipe(a->to->progress);
	if (!a->write_err)
		a->write_err = writer_output(a->writer, out);
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
		if (out.kind == OUT_TRANSFER) {
			if (!a->options->all || a->found)
				continue;
			if (a->options->json)
				write_now(a, &out);
			else
				keep_life(a, out.life);
		} else if (a->found) {
			if (out.kind == OUT_STALL_END || out.kind == OUT_SLOW_END)
				tell_found(a, &out);
		} else if (!a->options->json) {
			if (out.kind == OUT_STALL_END || out.kind == OUT_SLOW_END)
				keep(a, &out);
		} else if (!a->options->summary) {
			write_now(a, &out);
		}
	}
}

static int writer_start(struct analysis *a)
{
	const struct options *o = a->options;
	struct writer_config config = {
		.out = a->to->out,
		.host = a->host,
		.file = a->path,
		.wall_offset_ns = a->wall_offset_ns,
		.colour = a->to->out == stdout && terminal_colour(STDOUT_FILENO),
		.verbose = o->verbose ? 1
			   : o->quiet ? -1
				      : 0,
	};

	gethostname(a->host, sizeof(a->host) - 1);
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

static void tell_progress(struct analysis *a, uint64_t bytes)
{
	if (!a->to->progress)
		return;
	a->to->progress->done += bytes - a->bytes_told;
	a->bytes_told = bytes;
	if (a->to->alone)
		progress_draw(a->to->progress);
}

static int take_batch(struct analysis *a, const struct feed *feed, const struct feed_batch *b)
{
	int err = a->tracker ? 0 : start(a, feed_first_ns(feed));

	if (err < 0)
		return err;
	for (uint32_t i = 0; i < b->n; i++)
		if (b->items[i].now_ns > a->last_ns)
			a->last_ns = b->items[i].now_ns;
	tracker_work(a->tracker, b->items, b->n);
	tell_progress(a, b->bytes_read);
	return 0;
}

static int read_all(struct analysis *a)
{
	const struct feed_batch *batch;
	struct feed *feed;
	int err = feed_new(a->capture, &feed);

	if (err < 0)
		return err;
	while (!a->write_err && (err = feed_next(feed, &batch)) > 0) {
		err = take_batch(a, feed, batch);
		if (err < 0)
			break;
	}
	feed_free(feed);
	return err;
}

/* A line a file. */
static void write_line(struct analysis *a, const struct summary *s)
{
	const struct incident *worst = NULL;
	FILE *out = a->to->out;
	char time[FORMAT_LEN];

	for (int i = 0; i < a->n_kept; i++)
		if (!worst || badness(&a->kept[i]->incident) > badness(worst))
			worst = &a->kept[i]->incident;
	fprintf(out, "%s: %" PRIu64 " transfer%s, %" PRIu64 " stall%s, %" PRIu64 " slow in %s",
		a->path, s->counts.transfers, plural(s->counts.transfers), s->counts.stalls,
		plural(s->counts.stalls), s->counts.slow, format_duration(s->now_ns, time));
	if (worst)
		fprintf(out, "; worst: %s for %s, %s", cause_info(worst->verdict.cause)->id,
			format_duration(worst->ended_ns - worst->last_progress_ns, time),
			worst->id);
	if (s->live)
		fprintf(out, "; live: %s, %s", s->live->cause, s->live->incident);
	for (int i = 0; i < s->n_remarks; i++)
		fprintf(out, "%s %s", i ? "," : "; seen incompletely:", s->remarks[i]);
	putc('\n', out);
	a->write_err = ferror(out) ? -EPIPE : 0;
}

static void summarise(struct analysis *a, bool cut)
{
	struct tracker_counts t = tracker_counts(a->tracker);
	struct capture_counts c = capture_counts(a->capture);
	struct brief live;
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
			 {"dropped-by-capture", c.dropped},
			 {"transfers-not-followed", t.lives_missed}},
		.n_lost = 7,
		.live = brief_read(capture_comment(a->capture), &live) ? &live : NULL,
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
	s.counted = true;
	s.segments = t.segments;
	s.retransmissions = t.retransmissions;
	s.zero_windows = t.zero_windows;
	if (!a->write_err && a->options->summary && !a->options->json)
		write_line(a, &s);
	else if (!a->write_err)
		a->write_err = writer_summary(a->writer, &s);
}

static void show_kept(struct analysis *a)
{
	int shown = a->n_kept;

	if (a->n_kept)
		qsort(a->kept, (size_t)a->n_kept, sizeof(*a->kept), by_badness);
	if (!a->options->verbose && !a->options->all && shown > SHOWN)
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
		complain(a, "%s: the %d worst of %d; all with --all", a->path, shown, a->n_kept);
}

static void show_lives(struct analysis *a)
{
	if (a->n_lives)
		qsort(a->lives, a->n_lives, sizeof(*a->lives), by_length);
	for (uint32_t i = 0; i < a->n_lives; i++)
		write_now(a, &(struct output){.kind = OUT_TRANSFER, .life = &a->lives[i]});
	if (a->n_lives < a->lives_seen)
		complain(a, "%s: %u of %llu transfers; all with --json", a->path, a->n_lives,
			 (unsigned long long)a->lives_seen);
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
	if (a->to->progress)
		progress_wipe(a->to->progress);
	if (a->to->named && !a->options->json && !a->options->summary)
		fprintf(a->to->out, "%s:\n", a->path);
	if (!a->options->summary)
		show_kept(a);
	show_lives(a);
	summarise(a, cut);
	return a->write_err;
}

static bool lost_any(const struct analysis *a)
{
	struct tracker_counts t = tracker_counts(a->tracker);
	struct capture_counts c = capture_counts(a->capture);

	return t.not_tracked || t.missing || t.cut || c.dropped || c.unknown_link;
}

static int analyze(const struct options *options, const char *path, const struct analyze_to *to,
		   found_fn found, void *arg, struct capture_counts *ret_counts)
{
	struct analysis a = {
		.options = options,
		.path = path,
		.to = to,
		.found = found,
		.found_arg = arg,
	};
	char why[CAPTURE_WHY_LEN];
	int status = STATUS_ERROR, err, end;

	a.kept = calloc(KEPT, sizeof(*a.kept));
	if (!a.kept) {
		complain(&a, "%s: %s", path, strerror(ENOMEM));
		goto out;
	}
	if (capture_open(path, &a.capture, why, sizeof(why)) < 0) {
		complain(&a, "%s", why);
		goto out;
	}
	end = read_all(&a);
	if (!end && !capture_counts(a.capture).packets_read &&
	    capture_counts(a.capture).unknown_link) {
		char known[CAPTURE_WHY_LEN];

		complain(&a, "%s: link type %d cannot be read; known are %s", path,
			 capture_counts(a.capture).unknown_linktype,
			 linktypes_known(known, sizeof(known)));
		goto out;
	}
	err = finish(&a, end < 0);
	if (err == -EPIPE)
		goto done;
	if (err < 0) {
		complain(&a, "%s: %s", path, strerror(-err));
		goto out;
	}
	if (end < 0)
		complain(&a, "%s", capture_why(a.capture));
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
	free(a.lives);
	writer_free(a.writer);
	tracker_free(a.tracker);
	engine_free(a.engine);
	capture_close(a.capture);
	return status;
}

int analyze_each(const struct options *options, const char *path, found_fn found, void *arg,
		 struct capture_counts *ret_counts)
{
	const struct analyze_to to = {.out = stdout, .err = stderr};

	return analyze(options, path, &to, found, arg, ret_counts);
}

int analyze_file(const struct options *options, const char *path, const struct analyze_to *to)
{
	return analyze(options, path, to, NULL, NULL, NULL);
}
