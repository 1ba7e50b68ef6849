/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What holds a transfer back that loses packets: a ceiling (policer, shaper, a full queue) or loss
 * as such. Flows to the same receiving host are taken together, since they may share a policer;
 * for them a bounded log of what was sent and lost is kept, and judged when it is full or the
 * capture is over. Flows without loss cost nothing.
 */
#ifndef TCPSTALL_SENSOR_PACE_H
#define TCPSTALL_SENSOR_PACE_H

#include "engine/observation.h"
#include "sensor/frame.h"

struct pace;

/* One flow direction under observation: what a phase says of it beside its packets. */
struct pace_flow {
	struct flow_key key;
	enum capture_position position;
	char tunnel[TUNNEL_TEXT];
};

/* -ENOMEM */
int pace_new(observe_fn observe, void *arg, struct pace **ret);
void pace_free(struct pace *p); /* NULL is fine */

/*
 * Takes a direction in, beside the others to the same host. A handle, or 0: no room. ret_first: it
 * is the first to this host.
 */
uint32_t pace_join(struct pace *p, const struct pace_flow *flow, uint64_t now_ns, bool *ret_first);

/*
 * Pauses of it, each too short for a stall. true: they are told with the phase that they belong to;
 * false: nothing is known of this direction.
 */
bool pace_paused(struct pace *p, uint32_t handle, const struct pace_seen *pauses);
/* The same with a queue that was seen whether or not anything was lost. */
bool pace_queued(struct pace *p, uint32_t handle, const struct pace_seen *queue);
/* What it reached in its best second so far. */
void pace_usual(struct pace *p, uint32_t handle, uint64_t bps);

/* Handle 0 is fine and does nothing, here and below. */
void pace_rtt(struct pace *p, uint32_t handle, uint32_t us);
void pace_sent(struct pace *p, uint32_t handle, uint32_t seq, uint16_t ip_len, uint64_t now_ns,
	       uint64_t frame);
/* [seq, end) was seen before and has to be sent again. */
void pace_lost(struct pace *p, uint32_t handle, uint32_t seq, uint32_t end);
/* [seq, end) did not come by although what follows it did: lost before. */
void pace_hole(struct pace *p, uint32_t handle, uint32_t seq, uint32_t end, uint32_t mss,
	       uint64_t now_ns, uint64_t frame);
/* [seq, end) was not lost after all: reordered, missed by the capture, or sent again needlessly. */
void pace_unlost(struct pace *p, uint32_t handle, uint32_t seq, uint32_t end);

/* A segment came by with a bad checksum; a SACK block, of what was never sent. */
void pace_damaged(struct pace *p, uint32_t handle);
void pace_odd_sack(struct pace *p, uint32_t handle);

/* Tells what the losses show so far; the capture goes on. */
void pace_look(struct pace *p);
void pace_end(struct pace *p);

#endif
