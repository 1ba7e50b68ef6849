/* SPDX-License-Identifier: GPL-2.0-only */
/* analyze --extract: the packets around one incident, for Wireshark. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analyze.h"
#include "incident/excerpt.h"
#include "incident/pcapng.h"
#include "verb.h"
#include "version.h"
#include "view/brief.h"

struct extraction {
	struct excerpt excerpt;
	struct pcapng *out;
	const struct pick *pick;
	uint64_t packets;
};

static int write_packet(const struct captured *packet, const struct frame *frame, uint64_t now_ns,
			void *arg)
{
	struct extraction *x = arg;
	enum excerpt_side side = excerpt_side(&x->excerpt, frame);
	struct pcapng_packet out = {
		.time_ns = packet->time_ns == INT64_MIN ? 0 : packet->time_ns,
		.data = packet->data,
		.captured = packet->captured,
		.length = packet->length,
	};
	char note[EXCERPT_NOTE], name[32] = "";
	int err;

	if (!excerpt_takes(&x->excerpt, frame, side, now_ns, packet->number, note))
		return 0;
	/* Names of interfaces are not kept by the reader; their numbers tell them apart. */
	if (packet->interface)
		snprintf(name, sizeof(name), "interface %" PRIu32, packet->interface);
	err = pcapng_interface(x->out, name, packet->linktype, 0, &out.interface);
	if (err)
		return err;
	out.comment = note;
	x->packets++;
	return pcapng_packet(x->out, &out);
}

static int write_all(struct extraction *x, const char *path, bool force)
{
	const struct pick *p = x->pick;
	char *comment = NULL;
	int err = brief_text(&p->incident, p->path, p->first_ns - 1, &comment);

	if (!err)
		err = pcapng_create(path, force, comment, "tcpstall " TCPSTALL_VERSION, &x->out);
	free(comment);
	if (err)
		return err;
	err = pick_packets(p, write_packet, x);
	if (err && err != -EIO)
		return err;
	/* The reader counts what was lost for the file as a whole. */
	pcapng_lost(x->out, 0, p->counts.packets, p->counts.dropped);
	return pcapng_finish(x->out);
}

int extract(const struct options *options, int argc, char **argv)
{
	struct extraction x = {0};
	struct pick *p;
	int status, err;

	if (!options->extract || !options->output) {
		warnx(options->extract ? "--extract needs -o FILE"
				       : "-o and --force go with --extract ID");
		return STATUS_USAGE;
	}
	if (!strcmp(options->output, "-") && isatty(STDOUT_FILENO)) {
		warnx("-o -: packets are not for a terminal; pipe them, or name a file");
		return STATUS_USAGE;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		warnx("%s", strerror(ENOMEM));
		return STATUS_ERROR;
	}
	status = pick(options, argv, argc, options->extract, p);
	if (status)
		goto out;
	x.pick = p;
	excerpt_init(&x.excerpt, &p->incident);
	err = write_all(&x, options->output, options->force);
	if (err == -EEXIST) {
		warnx("%s is there already; --force replaces it", options->output);
		status = STATUS_USAGE;
	} else if (err && err != -EPIPE) {
		warnx("%s: %s", options->output, strerror(-err));
		status = STATUS_ERROR;
	}
out:
	pcapng_free(x.out);
	free(p);
	return status;
}
