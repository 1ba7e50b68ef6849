/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Phases in which a transfer crawls: progress goes on, at a ceiling or from loss to loss. A phase
 * is reported when it is over; one incident each, which does not count as a stall.
 */
#include <string.h>

#include "engine/judge.h"

static void push(struct engine *e, enum output_kind kind, uint64_t now_ns)
{
	struct output out = {.kind = kind, .now_ns = now_ns, .incident = &e->slow->pub};

	output_push(e, &out);
}

void slow_phase(struct engine *e, const struct pace_seen *p)
{
	struct stall *s = e->slow;
	struct incident *i = &s->pub;

	memset(s, 0, sizeof(*s));
	s->flow = -1;
	s->sends = true;
	i->slow = true;
	i->pace = *p;
	i->key = p->key;
	i->local_sends = true;
	i->begun_ns = i->suspected_ns = i->last_progress_ns = p->begin_ns;
	i->ended_ns = p->end_ns;
	i->rate_bps = p->rate_bps;
	i->outcome = OUTCOME_RECOVERED;
	i->last.key = p->key;
	i->last.flags = SNAP_OFFLINE;
	i->last.snd.bytes = p->bytes;
	i->last.born_ns = p->begin_ns;
	i->last.mss = (uint16_t)p->mss;
	i->last.snd_wscale = p->snd_wscale;
	i->last.bad_sacks = p->bad_sacks;
	i->last.wide_wnd = p->wide_wnd;
	i->last.cut_wnd = p->cut_wnd;
	i->first = i->last;
	i->capture.key = p->key;
	i->capture.first_frame = p->first_frame;
	i->capture.last_frame = i->capture.decide_frame = p->last_frame;
	i->capture.position = p->position;
	memcpy(i->capture.tunnel, p->tunnel, sizeof(i->capture.tunnel));
	judge(e, s, &i->verdict);
	calibrate(s, &i->verdict);
	incident_name(e, i);
	e->counts.slow++;
	push(e, OUT_SLOW_BEGIN, p->begin_ns);
	push(e, OUT_VERDICT, p->end_ns);
	push(e, OUT_SLOW_END, p->end_ns);
}
