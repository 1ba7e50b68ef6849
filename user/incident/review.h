/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Goes through the packets that were kept of an incident, as excerpt.h does through a capture: who
 * sent each, and what it means. What the engine says by time is found again among the packets.
 */
#ifndef TCPSTALL_INCIDENT_REVIEW_H
#define TCPSTALL_INCIDENT_REVIEW_H

#include "incident/excerpt.h"
#include "incident/kept.h"

struct reviewed {
	const struct kept_packet *packet;
	const struct frame *frame;
	enum excerpt_side side; /* EXCERPT_NONE: of a witness, or of a probe beside the flow */
	uint64_t number;	/* from 1, of those that are shown */
	const char *note;	/* why it matters, or "" */
};

/* Non-zero ends the walk. */
typedef int (*review_fn)(const struct reviewed *packet, void *arg);

/*
 * witnesses: shows theirs too. Sets the frames of incident->capture: the numbers of these packets.
 * What fn returned.
 */
int review(struct incident *incident, const struct kept_packet *packets, size_t n, bool witnesses,
	   review_fn fn, void *arg);

#endif
