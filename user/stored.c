/* SPDX-License-Identifier: GPL-2.0-only */
#include "stored.h"

#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "incident/nameless.h"
#include "incident/store.h"
#include "verb.h"

int stored_dir(const struct options *options, char *buf, size_t len)
{
	int err = 0, n;

	if (!options->store) {
		err = store_default_dir(buf, len);
		if (err)
			snprintf(buf, len, "~/.local/state/tcpstall");
		return err;
	}
	n = snprintf(buf, len, "%s", options->store);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

static int failed(const char *line, int err)
{
	warnx("%s", line);
	return err == -ENOTSUP ? STATUS_UNSUPPORTED : STATUS_ERROR;
}

int stored_open(const struct options *options, struct archive **ret)
{
	char dir[PATH_MAX], why[PATH_MAX + 128];
	struct archive *a = NULL;
	int err = stored_dir(options, dir, sizeof(dir));

	if (err) {
		snprintf(why, sizeof(why), "%s: %s", dir, strerror(-err));
		return failed(why, err);
	}
	err = archive_open(dir, &a, why, sizeof(why));
	if (err == -ENOENT && !options->store) {
		warnx("%s", why); /* nobody has watched yet: no error */
		err = 0;
	}
	if (err)
		return failed(why, err);
	*ret = a;
	return STATUS_DONE;
}

static void name_ids(bool several, const char *word, char ids[][INCIDENT_ID], int n)
{
	const int named = n < ARCHIVE_IDS ? n : ARCHIVE_IDS;
	char list[ARCHIVE_IDS * (INCIDENT_ID + 2) + 1] = "";
	size_t len = 0;

	for (int k = 0; k < named; k++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", k ? ", " : "",
					ids[k]);
	if (several)
		warnx("several incidents begin with '%s': %s%s", word, list,
		      n > named ? " ..." : "");
	else
		warnx("no incident '%s'; the nearest: %s", word, list);
}

int stored_find(struct archive *a, const char *word, char ret_id[INCIDENT_ID])
{
	char ids[ARCHIVE_IDS][INCIDENT_ID];
	int n = 0, err = archive_find(a, word, ret_id, ids, &n);

	if (!err)
		return STATUS_DONE;
	if (err == -EEXIST)
		name_ids(true, word, ids, n);
	else if (err == -ENOENT && n)
		name_ids(false, word, ids, n);
	else if (err == -ENOENT)
		warnx("no incident '%s': none is stored", word);
	else
		return failed(strerror(-err), err);
	return STATUS_USAGE;
}

static int keep_event(const struct archived *archived, const struct output *out, void *arg)
{
	const struct verdict *v = &out->incident->verdict;
	struct stored *s = arg;
	int at = s->n_events < STORED_EVENTS ? s->n_events++ : STORED_EVENTS - 1;

	s->events[at] = (struct stored_event){out->kind, out->now_ns, v->cause};
	s->archived = *archived;
	s->state.incident = *out->incident;
	/* The words of the evidence lie in what the walk has read; they are taken along. */
	for (int k = 0; k < v->n_evidence; k++) {
		snprintf(s->state.ids[k], sizeof(s->state.ids[k]), "%s", v->evidence[k].id);
		s->state.incident.verdict.evidence[k].id = s->state.ids[k];
	}
	return 0;
}

static int load(struct archive *a, const char *id, struct stored *s)
{
	int err = archive_events(a, id, keep_event, s);

	if (err) {
		warnx("%s: %s", id, err == -EBADMSG ? "its entry is damaged" : strerror(-err));
		return STATUS_ERROR;
	}
	err = archive_packets(a, id, &s->packets, &s->n_packets);
	if (err == -ENOENT && s->archived.packets)
		warnx("%s: the file of its packets is missing", id);
	else if (err == -ENODATA || err == -EBADMSG)
		warnx("%s: the file of its packets is %s", id,
		      err == -ENODATA ? "cut off; what is left is used" : "damaged");
	else if (err && err != -ENOENT)
		warnx("%s: its packets: %s", id, strerror(-err));
	return STATUS_DONE;
}

bool stored_verdict_is_new(const struct stored *s, int k)
{
	if (s->events[k].kind != OUT_VERDICT)
		return false;
	for (int before = k - 1; before >= 0; before--)
		if (s->events[before].kind == OUT_VERDICT)
			return s->events[before].cause != s->events[k].cause;
	return true;
}

int stored_load(const struct options *options, const char *word, struct stored **ret)
{
	struct stored *s = calloc(1, sizeof(*s));
	struct archive *a = NULL;
	char id[INCIDENT_ID];
	int status = STATUS_ERROR;

	if (!s) {
		warnx("%s", strerror(ENOMEM));
		return status;
	}
	status = stored_open(options, &a);
	if (!status)
		status = a ? stored_find(a, word, id) : STATUS_USAGE;
	if (!status)
		status = load(a, id, s);
	archive_close(a);
	if (status) {
		stored_free(s);
		return status;
	}
	*ret = s;
	return STATUS_DONE;
}

int stored_anonymize(struct stored *s)
{
	struct anonymizer a;
	size_t n = 0, left;
	int err = anonymizer_init(&a);

	if (err)
		return err;
	state_anonymize(&a, &s->state.incident);
	for (size_t k = 0; k < s->n_packets; k++) {
		s->packets[n] = s->packets[k];
		n += nameless_packet(&a, &s->packets[n]);
	}
	left = s->n_packets - n;
	if (left)
		warnx("%zu packet%s left out: could not be made nameless", left,
		      left == 1 ? " is" : "s are");
	s->n_packets = n;
	return 0;
}

void stored_free(struct stored *s)
{
	if (!s)
		return;
	free(s->packets);
	free(s);
}
