/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall report FILE [ID]: an incident of a capture as one HTML page. Without FILE, one of the
 * store: stored_report.c.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze.h"
#include "base/newfile.h"
#include "incident/nameless.h"
#include "incident/state.h"
#include "stored.h"
#include "target.h"
#include "verb.h"
#include "version.h"
#include "view/html.h"

struct drawing {
	bool anonymous;
	struct anonymizer anonymizer;
	struct excerpt excerpt;
	struct trail *trail;
	struct html_report report;
};

static int draw_packet(const struct capture *capture, const struct captured *packet,
		       const struct frame *frame, uint64_t now_ns, void *arg)
{
	struct drawing *d = arg;
	struct html_report *r = &d->report;
	struct frame shown = *frame;
	enum excerpt_side side;
	char note[EXCERPT_NOTE];

	(void)capture;
	if (d->anonymous)
		nameless_frame(&d->anonymizer, &shown);
	side = excerpt_side(&d->excerpt, &shown);
	trail_frame(d->trail, &shown, side, now_ns);
	if (!excerpt_takes(&d->excerpt, &shown, side, now_ns, packet->number, note) || !*note)
		return 0;
	if (r->n_notes < HTML_NOTES) {
		struct html_note *n = &r->notes[r->n_notes++];

		n->frame = packet->number;
		n->now_ns = now_ns;
		memcpy(n->text, note, sizeof(note));
	} else {
		r->more_notes++;
	}
	return 0;
}

/* Everything that is drawn then has the new addresses: the name of the file could tell as much. */
static int make_nameless(struct drawing *d, struct pick *p)
{
	int err = anonymizer_init(&d->anonymizer);

	if (err)
		return err;
	d->anonymous = true;
	d->report.file = "CAPTURE";
	state_anonymize(&d->anonymizer, &p->incident);
	return 0;
}

/* The target is opened first: nobody wants to wait for a large file to hear that it is there. */
static int write_page(const struct options *options, struct drawing *d, const struct pick *p)
{
	struct newfile *file = NULL;
	int err = newfile_open(options->output, options->force, &file);

	if (err)
		return err;
	err = pick_packets(p, draw_packet, NULL, d);
	if (!err)
		err = html_write(newfile_stream(file), &d->report);
	if (!err)
		err = newfile_commit(file);
	newfile_free(file);
	return err;
}

/* Nor does it look like the name of one: it must be an id. */
static bool is_no_file(const char *word)
{
	return access(word, F_OK) && strcmp(word, "-") && !strpbrk(word, "/.");
}

int cmd_report(const struct options *options, int argc, char **argv)
{
	struct drawing *d;
	struct pick *p;
	int status, err;

	if (!options->output) {
		warnx("report needs -o FILE; see tcpstall help report");
		return STATUS_USAGE;
	}
	if (argc == 1 && is_no_file(argv[0]))
		return report_stored(options, argv[0]);
	d = calloc(1, sizeof(*d));
	p = calloc(1, sizeof(*p));
	if (!d || !p) {
		warnx("%s", strerror(ENOMEM));
		status = STATUS_ERROR;
		goto out;
	}
	status = pick(options, argv, 1, argc > 1 ? argv[1] : NULL, p);
	if (status)
		goto out;
	d->report.file = p->path;
	err = options->anonymize ? make_nameless(d, p) : 0;
	excerpt_init(&d->excerpt, &p->incident);
	if (!err)
		err = trail_new(&p->incident, &d->trail);
	d->report.incident = &p->incident;
	d->report.trail = d->trail;
	d->report.program = "tcpstall " TCPSTALL_VERSION;
	d->report.wall_offset_ns = p->first_ns - 1;
	if (!err)
		err = write_page(options, d, p);
	status = target_status(options->output, err);
	if (!status && p->cut)
		status = STATUS_INCOMPLETE;
out:
	if (d)
		trail_free(d->trail);
	free(d);
	free(p);
	return status;
}
