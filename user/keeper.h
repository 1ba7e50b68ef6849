/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Puts incidents into the store together with their packets: those of the transfer and of its
 * witnesses from the black boxes, those of the prober as it sends and receives them.
 */
#ifndef TCPSTALL_KEEPER_H
#define TCPSTALL_KEEPER_H

#include "incident/store.h"
#include "probe/probe.h"
#include "sensor/sensor.h"

struct keeper;

struct keeper_config {
	struct store *store;
	struct prober *prober;			    /* NULL: none */
	int (*netns_fd)(uint32_t netns, void *arg); /* as prober_new() takes it */
	void *arg;
};

/* -ENOMEM. The prober's packets come here from now on. */
int keeper_new(const struct keeper_config *config, struct keeper **ret);
void keeper_free(struct keeper *k); /* NULL is fine */

/* Any output of the engine. Reads no packets: it may be called while the sensor is at work. */
void keeper_output(struct keeper *k, const struct output *out);

/* What had no room: its bounds are fixed. */
struct keeper_counts {
	uint64_t without_packets; /* incidents: too many at once */
	uint64_t packets_lost;	  /* among them probes, before their incident began */
};
struct keeper_counts keeper_counts(const struct keeper *k);

/* Reads the packets that the last outputs ask for. */
void keeper_run(struct keeper *k, struct sensor *sensor);

#endif
