/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall show ID: a stored incident as it was told, by the writers that told it. JSON is every
 * line of it; text has the last verdict with all of its evidence, and when what happened.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/plural.h"
#include "stored.h"
#include "verb.h"
#include "view/format.h"
#include "view/incidents.h"
#include "view/terminal.h"
#include "view/writer.h"

static int write_line(const struct archived *a, const struct output *out, void *arg)
{
	const struct writer_config config = {
		.out = stdout,
		.host = a->host,
		.wall_offset_ns = a->wall_offset_ns,
	};
	struct writer *writer = NULL;
	int err = writer_json(&config, &writer);

	(void)arg;
	if (!err)
		err = writer_output(writer, out);
	writer_free(writer);
	return err;
}

static int show_json(const struct options *options, const char *word)
{
	struct archive *a = NULL;
	char id[INCIDENT_ID];
	int err = 0, status = stored_open(options, &a);

	if (!status)
		status = a ? stored_find(a, word, id) : STATUS_USAGE;
	if (!status)
		err = archive_events(a, id, write_line, NULL);
	archive_close(a);
	if (err && err != -EPIPE) {
		warnx("%s: %s", word, strerror(-err));
		status = STATUS_ERROR;
	}
	return status;
}

static const char *event_text(const struct stored *s, const struct stored_event *e, char *buf,
			      size_t len)
{
	switch (e->kind) {
	case OUT_STALL_BEGIN:
		return "silent for long enough: a stall";
	case OUT_SLOW_BEGIN:
		return "a slow phase";
	case OUT_VERDICT:
		snprintf(buf, len, "verdict: %s", cause_info(e->cause)->id);
		return buf;
	case OUT_SLOW_END:
		return "the slow phase is over";
	default:
		return outcome_id(s->state.incident.outcome);
	}
}

static int write_timeline(const struct stored *s)
{
	const struct incident *i = &s->state.incident;
	struct moment moments[STORED_EVENTS + 2];
	char texts[STORED_EVENTS][64];
	int n = 0;

	if (i->last.born_ns)
		moments[n++] = (struct moment){i->last.born_ns, "the connection is first seen"};
	moments[n++] = (struct moment){i->last_progress_ns, "last progress"};
	for (int k = 0; k < s->n_events; k++)
		if (s->events[k].kind != OUT_VERDICT || stored_verdict_is_new(s, k))
			moments[n++] = (struct moment){
				s->events[k].now_ns,
				event_text(s, &s->events[k], texts[k], sizeof(texts[k])),
			};
	return incidents_timeline(stdout, moments, n, i->last_progress_ns,
				  s->archived.wall_offset_ns);
}

static int write_story(const struct options *options, const struct stored *s)
{
	const struct incident *i = &s->state.incident;
	struct writer_config config = {
		.out = stdout,
		.host = s->archived.host,
		.wall_offset_ns = s->archived.wall_offset_ns,
		.colour = terminal_colour(STDOUT_FILENO),
		.verbose = options->quiet ? 0 : 1,
	};
	struct output out = {.incident = i, .now_ns = s->events[s->n_events - 1].now_ns};
	struct writer *writer = NULL;
	int rows, err;

	if (isatty(STDOUT_FILENO))
		terminal_size(STDOUT_FILENO, &config.columns, &rows);
	err = writer_text(&config, &writer);
	for (int k = 0; k < s->n_events; k++)
		if (s->events[k].kind == OUT_VERDICT)
			out.now_ns = s->events[k].now_ns;
	out.kind = OUT_VERDICT;
	if (!err)
		err = writer_output(writer, &out);
	out.now_ns = s->events[s->n_events - 1].now_ns;
	out.kind = OUT_STALL_END;
	if (!err && i->ended_ns && !i->slow)
		err = writer_output(writer, &out);
	writer_free(writer);
	if (!err)
		err = write_timeline(s);
	return err;
}

/* As export writes them: without those of the witnesses, unless it is asked for these as well. */
static void write_packets(const struct stored *s)
{
	size_t own = 0, rest;

	if (!s->n_packets) {
		printf("no packets kept\n");
		return;
	}
	for (size_t k = 0; k < s->n_packets; k++)
		own += s->packets[k].role != KEPT_WITNESS;
	rest = s->n_packets - own;
	printf("%zu packet%s kept: tcpstall export %s -o %s.pcapng\n", own, plural(own),
	       s->archived.id, s->archived.id);
	if (rest)
		printf("%zu more, of the transfers beside it: --witnesses\n", rest);
}

int cmd_show(const struct options *options, int argc, char **argv)
{
	struct stored *s = NULL;
	int status, err;

	(void)argc;
	if (options->json)
		return show_json(options, argv[0]);
	status = stored_load(options, argv[0], &s);
	if (status)
		return status;
	err = write_story(options, s);
	if (!err)
		write_packets(s);
	if (!err && !s->state.incident.ended_ns)
		printf("it goes on: the process that watches it lives\n");
	stored_free(s);
	if (err && err != -EPIPE) {
		warnx("%s", strerror(-err));
		return STATUS_ERROR;
	}
	return STATUS_DONE;
}
