/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes pcap with nanoseconds. The file appears whole or not at all. */
#ifndef TCPSTALL_INCIDENT_PCAP_H
#define TCPSTALL_INCIDENT_PCAP_H

#include <stdbool.h>
#include <stdint.h>

struct pcap_file;

/* path and force as in newfile_open(). */
int pcap_file_create(const char *path, bool force, int linktype, uint32_t snaplen,
		     struct pcap_file **ret);
void pcap_file_free(struct pcap_file *p); /* not finished: no file. NULL is fine */

/* time_ns since 1970. -EIO once writing has failed; pcap_file_finish() tells why. */
int pcap_file_packet(struct pcap_file *p, int64_t time_ns, const uint8_t *data, uint32_t captured,
		     uint32_t length);
int pcap_file_finish(struct pcap_file *p);

#endif
