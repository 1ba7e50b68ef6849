/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets without what they would give away. */
#ifndef TCPSTALL_INCIDENT_NAMELESS_H
#define TCPSTALL_INCIDENT_NAMELESS_H

#include "incident/kept.h"
#include "sensor/anonymize.h"
#include "sensor/frame.h"

/*
 * Addresses become others that keep their prefixes, in what ICMP quotes too; the link layer goes,
 * and so does everything behind the TCP header. The checksum of the IP header is made anew, the
 * others, which nobody can check without what is gone, become zero. false: a packet of a kind that
 * this cannot be done to.
 */
bool nameless_packet(const struct anonymizer *a, struct kept_packet *p);

/* The addresses of a decoded packet, in the same way. */
void nameless_frame(const struct anonymizer *a, struct frame *f);

#endif
