/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does a token bucket explain which packets were lost?
 *
 * A policer drops what finds too few tokens; a queue in front of a fixed rate drops what finds too
 * little room, and room comes back at that rate: the same arithmetic, told apart by the round trip,
 * which only a queue stretches. The idea of simulating the bucket is of Flach et al., "An
 * Internet-Wide Analysis of Traffic Policing" (SIGCOMM 2016); here rate and depth are fitted
 * together and flows that share the bucket are replayed together, so that pauses and cross traffic
 * do not disturb it.
 */
#ifndef TCPSTALL_SENSOR_BUCKET_H
#define TCPSTALL_SENSOR_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct passage {
	uint32_t at_us; /* ascending */
	uint16_t len;	/* bytes of the IP packet */
	bool lost;
};

struct bucket_fit {
	double rate;	  /* bytes a second */
	double low, high; /* rates from low to high explain as much */
	double depth;	  /* bytes */
	/* Youden's J: share of losses that found the bucket empty, plus share of passes that did
	 * not, less one. 1: explains everything; 0: no better than chance. */
	double score;
	double losses_explained;
	uint32_t passes, losses; /* between the first and the last loss */
};

/* false: too few losses or passes to say. */
bool bucket_fit(const struct passage *p, size_t n, struct bucket_fit *ret);

#endif
