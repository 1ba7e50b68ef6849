/* SPDX-License-Identifier: GPL-2.0-only */
/* tcpstall report ID: a stored incident as one HTML page. */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/newfile.h"
#include "incident/review.h"
#include "stored.h"
#include "target.h"
#include "verb.h"
#include "version.h"
#include "view/html.h"

struct page {
	struct stored *stored;
	struct trail *trail;
	struct html_report report;
	bool probed;
};

static void add_note(struct html_report *r, uint64_t frame, uint64_t now_ns, const char *text)
{
	struct html_note *n = &r->notes[r->n_notes];

	if (r->n_notes == HTML_NOTES) {
		r->more_notes++;
		return;
	}
	r->n_notes++;
	n->frame = frame;
	n->now_ns = now_ns;
	snprintf(n->text, sizeof(n->text), "%s", text);
}

/* Probes are told of hop by hop, in the picture of the path. */
static int draw_packet(const struct reviewed *r, void *arg)
{
	const uint64_t at_ns = r->packet->packet.time_ns;
	struct page *p = arg;

	if (r->packet->role == KEPT_FLOW) {
		trail_frame(p->trail, r->frame, r->side, at_ns);
		if (*r->note && !(r->packet->packet.flags & BOX_RECONSTRUCTED))
			add_note(&p->report, r->number, at_ns, r->note);
	} else if (r->packet->role >= KEPT_PROBE && !p->probed) {
		p->probed = true;
		add_note(&p->report, r->number, at_ns, "the first probe is sent");
	}
	return 0;
}

static void note_verdicts(struct page *p)
{
	const struct stored *s = p->stored;
	char text[EXCERPT_NOTE];

	for (int k = 0; k < s->n_events; k++) {
		if (!stored_verdict_is_new(s, k))
			continue;
		snprintf(text, sizeof(text), "verdict: %s", cause_info(s->events[k].cause)->id);
		add_note(&p->report, 0, s->events[k].now_ns, text);
	}
}

static int write_page(const struct options *options, struct page *p)
{
	struct newfile *file = NULL;
	struct stored *s = p->stored;
	int err = trail_new(&s->state.incident, &p->trail);

	if (err)
		return err;
	note_verdicts(p);
	err = review(&s->state.incident, s->packets, s->n_packets, false, draw_packet, p);
	if (!err)
		err = newfile_open(options->output, options->force, &file);
	if (err)
		return err;
	trail_averages(p->trail, &s->state.incident);
	p->report.incident = &s->state.incident;
	p->report.trail = p->trail;
	p->report.kept = s->n_packets;
	p->report.program = "tcpstall " TCPSTALL_VERSION;
	p->report.wall_offset_ns = s->archived.wall_offset_ns;
	err = html_write(newfile_stream(file), &p->report);
	if (!err)
		err = newfile_commit(file);
	newfile_free(file);
	return err;
}

int report_stored(const struct options *options, const char *word)
{
	struct page *p = calloc(1, sizeof(*p));
	int err = 0, status = STATUS_ERROR;

	if (!p) {
		warnx("%s", strerror(ENOMEM));
		return status;
	}
	status = stored_load(options, word, &p->stored);
	if (!status && options->anonymize)
		err = stored_anonymize(p->stored);
	if (!status && !err)
		err = write_page(options, p);
	if (!status)
		status = target_status(options->output, err);
	trail_free(p->trail);
	stored_free(p->stored);
	free(p);
	return status;
}
