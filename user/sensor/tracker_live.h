/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracker on live packets. Connections that only pass by are told of as in a capture, each
 * direction a flow of its own. A connection with an end on this host is one flow, as a sensor
 * inside the kernel would tell of it: the local end is ours, and silence is weighed by the engine.
 */
#ifndef TCPSTALL_SENSOR_TRACKER_LIVE_H
#define TCPSTALL_SENSOR_TRACKER_LIVE_H

#include "sensor/tracker.h"

/* Works on all that was pushed, and lets time go on to now_ns. */
void tracker_flush(struct tracker *t, uint64_t now_ns);

/* Tells what the losses of each transfer show so far (OBS_PACE); those that show nothing yet are
 * not told. */
void tracker_pace(struct tracker *t);

struct tracked {
	uint32_t flow; /* below max_flows; that of a connection which is over is used again */
	bool ours;
	bool over; /* told once */
	enum gone_reason reason;
	struct flow_snapshot snapshot; /* netns 0: the caller knows */
};

/*
 * Every transfer that is not over, and once each that has come to its end since the last call; of
 * those that pass by and are stalled, what is new goes to observe() instead.
 */
void tracker_each(struct tracker *t, void (*fn)(const struct tracked *f, void *arg), void *arg);

/* Calls it off: this address is ours, but no socket here has the connection (NAT, a proxy in
 * front).
 */
void tracker_disown(struct tracker *t, uint32_t flow);

#endif
