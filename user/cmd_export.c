/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tcpstall export ID -o FILE: the packets of a stored incident, for Wireshark. The file has one
 * link type: Ethernet if any of its packets came with that, and then those that came without get
 * the addresses that the flow's own packets of that direction have; raw IP otherwise.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "incident/pcap.h"
#include "incident/pcapng.h"
#include "incident/review.h"
#include "stored.h"
#include "target.h"
#include "verb.h"
#include "version.h"
#include "view/brief.h"

#define LINKTYPE_ETHERNET 1
#define LINKTYPE_RAW	  101
#define ETHERNET_LEN	  14

struct export
{
	struct stored *stored;
	struct pcapng *pcapng; /* one of these two */
	struct pcap_file *pcap;
	int linktype;
	uint32_t snaplen;
	uint8_t macs[2][12];	   /* of packets in and out, that the flow's own have */
	char interface[KEPT_NAME]; /* of packets that came without: the last that was named */
	uint64_t packets;
};

/* What all packets of the file have in common. */
static void choose_link(struct export *x)
{
	x->linktype = LINKTYPE_RAW;
	for (size_t k = 0; k < x->stored->n_packets; k++) {
		const struct kept_packet *p = &x->stored->packets[k];

		if (*p->interface && !*x->interface)
			memcpy(x->interface, p->interface, sizeof(x->interface));
		if (p->packet.linktype != LINKTYPE_ETHERNET || p->packet.captured < ETHERNET_LEN)
			continue;
		x->linktype = LINKTYPE_ETHERNET;
		if (p->role == KEPT_FLOW)
			memcpy(x->macs[!!(p->packet.flags & BOX_OUT)], p->packet.data, 12);
	}
	x->snaplen = BOX_CAPTURED + ETHERNET_LEN;
}

/* The packet as the file's link type has it; bytes, or 0: it cannot be. */
static uint32_t frame_bytes(const struct export *x, const struct box_packet *b,
			    uint8_t buf[BOX_CAPTURED + ETHERNET_LEN], uint32_t *ret_length)
{
	static const uint8_t ethertypes[2][2] = {{0x08, 0x00}, {0x86, 0xdd}};

	*ret_length = b->length;
	if (b->linktype == x->linktype) {
		memcpy(buf, b->data, b->captured);
		return b->captured;
	}
	if (b->linktype != LINKTYPE_RAW || !b->captured)
		return 0;
	memcpy(buf, x->macs[!!(b->flags & BOX_OUT)], 12);
	memcpy(buf + 12, ethertypes[b->data[0] >> 4 == 6], 2);
	memcpy(buf + ETHERNET_LEN, b->data, b->captured);
	*ret_length += ETHERNET_LEN;
	return b->captured + ETHERNET_LEN;
}

static int write_packet(const struct reviewed *r, void *arg)
{
	struct export *x = arg;
	const struct kept_packet *kept = r->packet;
	uint8_t buf[BOX_CAPTURED + ETHERNET_LEN];
	struct pcapng_packet out = {
		.direction = kept->packet.flags & BOX_OUT ? PCAPNG_OUT : PCAPNG_IN,
		.time_ns = (int64_t)kept->packet.time_ns + x->stored->archived.wall_offset_ns,
		.data = buf,
		.comment = r->note,
	};
	int err;

	out.captured = frame_bytes(x, &kept->packet, buf, &out.length);
	if (!out.captured)
		return 0;
	x->packets++;
	if (x->pcap)
		return pcap_file_packet(x->pcap, out.time_ns, buf, out.captured, out.length);
	if (*kept->interface)
		memcpy(x->interface, kept->interface, sizeof(x->interface));
	err = pcapng_interface(x->pcapng, x->interface, x->linktype, x->snaplen, &out.interface);
	return err ? err : pcapng_packet(x->pcapng, &out);
}

static int create(struct export *x, const struct options *o)
{
	const struct stored *s = x->stored;
	char *comment = NULL;
	int err;

	if (o->pcap)
		return pcap_file_create(o->output, o->force, x->linktype, x->snaplen, &x->pcap);
	err = brief_text(&s->state.incident, NULL, s->archived.wall_offset_ns, &comment);
	if (!err)
		err = pcapng_create(o->output, o->force, comment, "tcpstall " TCPSTALL_VERSION,
				    &x->pcapng);
	free(comment);
	return err;
}

static int write_file(struct export *x, const struct options *o)
{
	struct stored *s = x->stored;
	int err;

	choose_link(x);
	err = create(x, o);
	if (!err)
		err = review(&s->state.incident, s->packets, s->n_packets, o->witnesses,
			     write_packet, x);
	if (err)
		return err;
	if (x->pcap)
		return pcap_file_finish(x->pcap);
	pcapng_lost(x->pcapng, 0, s->archived.seen, s->archived.lost);
	return pcapng_finish(x->pcapng);
}

int cmd_export(const struct options *options, int argc, char **argv)
{
	struct export x = {0};
	int status, err = 0;

	(void)argc;
	if (!options->output) {
		warnx("export needs -o FILE; see tcpstall help export");
		return STATUS_USAGE;
	}
	status = target_check_packets(options->output);
	if (status)
		return status;
	status = stored_load(options, argv[0], &x.stored);
	if (status)
		return status;
	if (!x.stored->n_packets) {
		warnx("%s: no packets were kept of it", x.stored->archived.id);
		status = STATUS_ERROR;
		goto out;
	}
	if (options->anonymize)
		err = stored_anonymize(x.stored);
	if (!err)
		err = write_file(&x, options);
	status = target_status(options->output, err);
out:
	pcapng_free(x.pcapng);
	pcap_file_free(x.pcap);
	stored_free(x.stored);
	return status;
}
