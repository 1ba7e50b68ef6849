/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A box holds the last few hundred packets: at the rates of a transfer that crawls, those of some
 * tenths of a second. What is overwritten before it is read all the same is missing as it may be in
 * a capture, and no loss.
 */
#include "pacing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/follow.h"

#define FOLLOWED 16
#define EVERY_NS (100 * NS_PER_MS)
#define ASKED_NS (10 * NS_PER_S) /* the engine asks every few seconds while it wants to know */

struct followed {
	struct flow_key key;
	uint32_t mss;
	uint64_t last_ns;  /* of the packets taken in */
	uint64_t asked_ns; /* 0: free */
};

struct pacing {
	observe_fn observe;
	void *arg;
	struct follow *follow; /* NULL: nobody is followed */
	struct followed followed[FOLLOWED];
};

int pacing_new(observe_fn observe, void *arg, struct pacing **ret)
{
	struct pacing *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->observe = observe;
	p->arg = arg;
	*ret = p;
	return 0;
}

void pacing_free(struct pacing *p)
{
	if (!p)
		return;
	follow_free(p->follow);
	free(p);
}

struct reading {
	struct follow *follow;
	struct followed *of;
	uint64_t newest_ns;
};

static void take(const struct box_packet *packet, void *arg)
{
	struct reading *r = arg;

	if (packet->time_ns <= r->of->last_ns)
		return; /* it was there the last time */
	if (packet->time_ns > r->newest_ns)
		r->newest_ns = packet->time_ns;
	follow_packet(r->follow, packet, r->of->mss);
}

static void read_boxes(struct pacing *p, struct sensor *sensor)
{
	for (struct followed *f = p->followed; f < p->followed + FOLLOWED; f++) {
		struct reading r = {.follow = p->follow, .of = f};
		struct box_counts counts;

		if (f->asked_ns && !sensor_box(sensor, &f->key, take, &r, &counts) && r.newest_ns)
			f->last_ns = r.newest_ns;
	}
	follow_round(p->follow);
}

/* NULL: there is no room. */
static struct followed *followed_of(struct pacing *p, const struct want *want)
{
	struct followed *unused = NULL;

	for (struct followed *f = p->followed; f < p->followed + FOLLOWED; f++) {
		if (f->asked_ns && f->key.cookie == want->key.cookie &&
		    f->key.netns == want->key.netns)
			return f;
		if (!f->asked_ns && !unused)
			unused = f;
	}
	if (unused)
		*unused = (struct followed){.key = want->key, .mss = want->snapshot.mss};
	return unused;
}

void pacing_want(struct pacing *p, const struct want *want, struct sensor *sensor, uint64_t now_ns)
{
	struct observation obs = {.type = OBS_PACE};
	struct followed *f = followed_of(p, want);

	if (!f || (!p->follow && follow_new(&p->follow)))
		return;
	f->asked_ns = now_ns;
	if (want->beside)
		return;
	read_boxes(p, sensor);
	obs.now_ns = mono_ns();
	if (follow_look(p->follow, &want->key, want->local_sends, &obs.pace))
		p->observe(&obs, p->arg);
}

uint64_t pacing_run(struct pacing *p, struct sensor *sensor, uint64_t now_ns)
{
	bool any = false;

	for (struct followed *f = p->followed; f < p->followed + FOLLOWED; f++) {
		if (f->asked_ns && now_ns >= f->asked_ns + ASKED_NS)
			f->asked_ns = 0;
		any |= f->asked_ns;
	}
	if (!any) {
		follow_free(p->follow);
		p->follow = NULL;
		return UINT64_MAX;
	}
	read_boxes(p, sensor);
	return now_ns + EVERY_NS;
}
