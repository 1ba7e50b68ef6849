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
#include "target.h"
#include "verb.h"
#include "version.h"
#include "view/brief.h"

struct extraction {
	struct excerpt excerpt;
	struct pcapng *out;
	const struct pick *pick;
	struct source {
		bool used;
		uint32_t from;		  /* interface of the capture */
	} sources[PCAPNG_INTERFACES];	  /* by interface of the excerpt */
	uint64_t seen[PCAPNG_INTERFACES]; /* packets, by interface of the capture */
};

static int write_packet(const struct capture *capture, const struct captured *packet,
			const struct frame *frame, uint64_t now_ns, void *arg)
{
	static const enum pcapng_direction directions[] = {
		[CAPTURED_EITHER] = PCAPNG_UNKNOWN,
		[CAPTURED_IN] = PCAPNG_IN,
		[CAPTURED_OUT] = PCAPNG_OUT,
	};
	struct extraction *x = arg;
	enum excerpt_side side = excerpt_side(&x->excerpt, frame);
	struct pcapng_packet out = {
		.time_ns = packet->time_ns == INT64_MIN ? 0 : packet->time_ns,
		.data = packet->data,
		.captured = packet->captured,
		.length = packet->length,
	};
	char note[EXCERPT_NOTE], number[32] = "";
	const char *name;
	struct source *source;
	uint64_t dropped;
	int err;

	if (packet->interface < PCAPNG_INTERFACES)
		x->seen[packet->interface]++;
	if (!excerpt_takes(&x->excerpt, frame, side, now_ns, packet->number, note))
		return 0;
	name = capture_interface(capture, packet->interface, &dropped);
	if (!*name && packet->interface) /* then its number tells it apart */
		snprintf(number, sizeof(number), "interface %" PRIu32, packet->interface);
	err = pcapng_interface(x->out, *name ? name : number, packet->linktype, 0, &out.interface);
	if (err)
		return err;
	out.comment = note;
	out.direction = directions[capture_way(capture, packet)];
	source = &x->sources[out.interface];
	source->used = true;
	source->from = packet->interface;
	return pcapng_packet(x->out, &out);
}

/* What each interface has lost stands at the end of a capture. */
static int write_lost(const struct capture *capture, const struct captured *packet,
		      const struct frame *frame, uint64_t now_ns, void *arg)
{
	struct extraction *x = arg;

	(void)packet, (void)frame, (void)now_ns;
	for (uint32_t i = 0; i < PCAPNG_INTERFACES; i++) {
		const struct source *source = &x->sources[i];
		uint64_t dropped;

		if (!source->used)
			continue;
		capture_interface(capture, source->from, &dropped);
		pcapng_lost(x->out, i, source->from < PCAPNG_INTERFACES ? x->seen[source->from] : 0,
			    dropped);
	}
	return 0;
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
	err = pick_packets(p, write_packet, write_lost, x);
	if (err && err != -EIO)
		return err;
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
	status = target_check_packets(options->output);
	if (status)
		return status;
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
	status = target_status(options->output, err);
	if (!status && p->cut)
		status = STATUS_INCOMPLETE;
out:
	pcapng_free(x.out);
	free(p);
	return status;
}
