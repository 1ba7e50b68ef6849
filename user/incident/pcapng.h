/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes pcapng (draft-ietf-opsawg-pcapng) for Wireshark, tshark, capinfos, tcpdump and ourselves:
 * one section with a comment, an interface for each name and link type, packets with direction and
 * comment, and at the end what each interface lost. Text is hostile and leaves as valid UTF-8.
 * The file appears whole or not at all.
 */
#ifndef TCPSTALL_INCIDENT_PCAPNG_H
#define TCPSTALL_INCIDENT_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>

#define PCAPNG_INTERFACES 64

struct pcapng;

enum pcapng_direction { PCAPNG_UNKNOWN, PCAPNG_IN, PCAPNG_OUT };

struct pcapng_packet {
	uint32_t interface; /* from pcapng_interface() */
	enum pcapng_direction direction;
	int64_t time_ns; /* since 1970; what is older is written as 1970 */
	const uint8_t *data;
	uint32_t captured, length; /* bytes in data, bytes on the wire */
	const char *comment;	   /* NULL or "": none */
};

/*
 * path and force as in newfile_open(). comment is the section's, lines ended by '\n'; application
 * is our name and version.
 */
int pcapng_create(const char *path, bool force, const char *comment, const char *application,
		  struct pcapng **ret);
void pcapng_free(struct pcapng *p); /* not finished: no file. NULL is fine */

/*
 * The number of the interface of this name (NULL: unknown) and link type (LINKTYPE_*), described at
 * its first use. snaplen: 0 no limit. -ENOSPC: more than PCAPNG_INTERFACES.
 */
int pcapng_interface(struct pcapng *p, const char *name, int linktype, uint32_t snaplen,
		     uint32_t *ret_interface);
/* -EIO once writing has failed; pcapng_finish() tells why. */
int pcapng_packet(struct pcapng *p, const struct pcapng_packet *k);
/* Packets that this interface saw and lost, for the statistics at the end. */
void pcapng_lost(struct pcapng *p, uint32_t interface, uint64_t seen, uint64_t lost);

/* Statistics, then the file gets its name. -ENOSPC, -EPIPE, -EEXIST ... */
int pcapng_finish(struct pcapng *p);

#endif
