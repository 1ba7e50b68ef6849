/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stalls towards one peer are probed once. Routers answer only about one probe a second, so the
 * first stall asks the whole path, and the others take its answers over and ask only, inside their
 * own connection, whether they end at the same place.
 */
#include <string.h>

#include "engine/internal.h"

#define LEAD_FRESH_NS (10 * NS_PER_S)

struct stall *group_lead(struct engine *e, const struct stall *s)
{
	struct stall *lead = NULL;

	for (uint32_t i = 0; i < e->stall_top; i++) {
		struct stall *t = &e->stalls[i];

		if (t == s || !t->probing || t->led || t->sends != s->sends ||
		    (t->phase != STALL_SUSPECT && t->phase != STALL_CONFIRMED) ||
		    t->pub.key.netns != s->pub.key.netns ||
		    !addr_equal(&t->pub.key.remote.addr, &s->pub.key.remote.addr) ||
		    (t->asked && e->now_ns - t->asked_ns > LEAD_FRESH_NS))
			continue;
		if (!lead || t->pub.suspected_ns < lead->pub.suspected_ns)
			lead = t;
	}
	return lead;
}

int group_follow(struct stall *s, const struct stall *lead)
{
	int frontier = 0;

	s->led = true;
	s->lead_port = lead->pub.key.local.port;
	s->distance = s->distance ? s->distance : lead->distance;
	memcpy(s->pub.hops, lead->pub.hops, sizeof(s->pub.hops));
	s->pub.n_hops = lead->pub.n_hops;
	s->peer = lead->peer;
	s->peer.acked = false; /* that is for this connection to find out */
	s->peer.nxt_ns = 0;
	s->peer.probes[PROBE_IN_FLOW] = (struct tally){0};
	for (int i = 0; i < s->pub.n_hops; i++)
		if (s->pub.hops[i].probes[PROBE_IN_FLOW].answered)
			frontier = i + 1;
	for (int i = frontier; i < s->pub.n_hops; i++)
		s->pub.hops[i].probes[PROBE_IN_FLOW] = (struct tally){0};
	return frontier;
}
