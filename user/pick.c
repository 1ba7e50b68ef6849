/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One incident of a capture. A file is read twice: what a stall was is known only when it is over,
 * and keeping every packet until then would need memory for all of it.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "analyze.h"
#include "verb.h"

#define IDS_KEPT  4096 /* to name the nearest of */
#define IDS_NAMED 3

struct search {
	const char *id;
	const char *path;
	struct pick *best;
	bool found, better; /* at all; in this file */
	uint64_t badness;   /* of the best */
	char (*ids)[INCIDENT_ID];
	int n_ids;
};

static void take(const struct found *f, void *arg)
{
	struct search *s = arg;
	struct pick *best = s->best;

	if (s->n_ids < IDS_KEPT)
		memcpy(s->ids[s->n_ids++], f->incident->id, INCIDENT_ID);
	if (s->id && strcmp(s->id, f->incident->id))
		return;
	if (s->found && s->badness >= f->badness)
		return;
	s->found = s->better = true;
	s->badness = f->badness;
	best->incident = *f->incident;
	best->now_ns = f->now_ns;
	best->first_ns = f->first_ns;
	best->path = s->path;
}

static const char *id_at(int i, const void *arg)
{
	const struct search *s = arg;

	return *s->ids[i] ? s->ids[i] : NULL;
}

static void complain(struct search *s)
{
	char near[IDS_NAMED * (INCIDENT_ID + 2)] = "";
	size_t len = 0;

	if (!s->n_ids) {
		warnx("%s: no stall and no slow phase was found", s->path);
		return;
	}
	for (int i = 0; i < IDS_NAMED; i++) {
		char *id = (char *)nearest_name(s->id, s->n_ids, id_at, s);

		for (int k = 0; !id && k < s->n_ids && !len; k++)
			id = s->ids[k]; /* none is near: the first one, to show the form */
		if (!id)
			break;
		len += (size_t)snprintf(near + len, sizeof(near) - len, "%s%s", i ? ", " : "", id);
		*id = '\0'; /* named */
	}
	warnx("no incident '%s'; of %d the nearest: %s", s->id, s->n_ids, near);
}

/* What is not there at all is complained of by whoever opens it. */
static bool readable_twice(const char *path)
{
	struct stat st;

	return strcmp(path, "-") && (stat(path, &st) || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

int pick(const struct options *options, char *const *paths, int n, const char *id, struct pick *ret)
{
	struct pick *best = calloc(1, sizeof(*best));
	struct search s = {.id = id, .best = best};
	int status = STATUS_ERROR;

	s.ids = calloc(IDS_KEPT, sizeof(*s.ids));
	if (!best || !s.ids) {
		warnx("%s", strerror(ENOMEM));
		goto out;
	}
	for (int i = 0; i < n; i++) {
		struct capture_counts counts = {0};

		s.path = paths[i];
		s.better = false;
		if (!readable_twice(s.path)) {
			warnx("%s: is read twice, so it must be a file", s.path);
			status = STATUS_USAGE;
			goto out;
		}
		status = analyze_each(options, s.path, take, &s, &counts);
		if (status == STATUS_ERROR)
			goto out;
		best->cut |= status == STATUS_INCOMPLETE;
		if (s.better)
			best->counts = counts;
	}
	if (!s.found) {
		complain(&s);
		status = STATUS_USAGE;
		goto out;
	}
	*ret = *best;
	status = STATUS_DONE;
out:
	free(s.ids);
	free(best);
	return status;
}

int pick_packets(const struct pick *p, packet_fn fn, packet_fn end, void *arg)
{
	struct capture *capture = NULL;
	struct frame frame = {0};
	char why[CAPTURE_WHY_LEN];
	struct captured packet;
	uint64_t now_ns = 1;
	int err = 0;

	if (capture_open(p->path, &capture, why, sizeof(why)) < 0) {
		warnx("%s", why);
		return -EIO;
	}
	/* The clock of the first pass: since the first packet, plus one, never back. */
	while (!err && capture_next(capture, &packet) > 0) {
		int64_t since_ns = packet.time_ns == INT64_MIN ? 0 : packet.time_ns - p->first_ns;

		if (since_ns >= 0 && (uint64_t)since_ns + 1 > now_ns)
			now_ns = (uint64_t)since_ns + 1;
		frame_decode(packet.linktype, packet.data, packet.captured, packet.length, &frame);
		err = fn(capture, &packet, &frame, now_ns, arg);
	}
	if (!err && end)
		err = end(capture, NULL, NULL, now_ns, arg);
	capture_close(capture);
	return err;
}
