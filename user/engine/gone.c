/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of a connection: it ends its stalls, and a reset in the middle of a transfer is one
 * itself, however short the silence. Where somebody else may have written the reset, or a router
 * refuses a handshake, the end of the incident waits until probes have told who.
 */
#include <netinet/tcp.h>
#include <stdlib.h>

#include "engine/internal.h"

#define CLOSING_WAIT_NS (3 * NS_PER_S)
#define ABORT_QUIET_NS	NS_PER_S

/* Hops between who wrote the reset and who writes the segments; 0: none, or not known. */
static int reset_offset(const struct reset_seen *r)
{
	int usual = hops_from_ttl(r->ttl_usual), seen = hops_from_ttl(r->ttl);

	return usual && seen ? abs(usual - seen) : 0;
}

/*
 * It was written elsewhere than what the peer writes. A route that has just changed makes one hop
 * of difference, too: it is the peer's if it goes on with the peer's count of packets.
 */
static bool is_forged(const struct reset_seen *r)
{
	bool goes_on =
		r->ip_id && r->ip_id_usual && (uint16_t)(r->ip_id - r->ip_id_usual) <= IP_ID_STEP;

	return reset_offset(r) > 1 || (reset_offset(r) == 1 && !goes_on);
}

/*
 * A reset in the middle of a transfer. At the sender: data was on its way. At the receiver nothing
 * tells an abort from an impolite goodbye, unless somebody else wrote the reset or the user cares.
 */
static bool aborted(const struct engine *e, const struct flow *f, bool sends)
{
	const struct flow_snapshot *last = &f->last;
	const struct direction *d = flow_dir(last, sends);

	if (!f->reset_known || !flow_is_transfer(e, last, sends))
		return false;
	if (!f->reset.inbound) /* a sender may end it; who does so in its name is another matter */
		return sends && (last->flags & SNAP_OFFLINE) && reset_offset(&f->reset) > 1;
	if (sends)
		return owed_bytes(last) > 0;
	if (last->flags & SNAP_OFFLINE)
		return false; /* the other direction is a flow of its own there */
	return e->now_ns - d->progress_ns < ABORT_QUIET_NS &&
	       (reset_offset(&f->reset) > 1 || (last->flags & SNAP_NAMED));
}

static void note_reset(struct stall *s, const struct flow *f)
{
	if (!f->reset_known || (!f->reset.inbound && !(f->last.flags & SNAP_OFFLINE)))
		return;
	s->reset = true;
	s->reset_seen = f->reset;
	s->reset_forged = is_forged(&f->reset);
	s->reset_hops = (uint8_t)hops_from_ttl(f->reset.ttl);
	s->dirty = true;
}

/* By the peer, which is its right and no stall, or by a router. */
static bool was_refused(const struct stall *s)
{
	return s->reset && s->pub.last.state == TCP_SYN_SENT && !passes_by(s);
}

/* Live, the kernel does not show the TTL of a reset that answers a SYN: probes find out. */
static bool may_be_a_router(const struct stall *s)
{
	return was_refused(s) && !s->pub.route.loopback &&
	       !addr_is_loopback(&s->pub.key.remote.addr);
}

void stall_gone(struct engine *e, struct flow *f, const struct flow_gone *gone)
{
	static const enum outcome outcomes[] = {
		[GONE_CLOSED] = OUTCOME_CLOSED,
		[GONE_RESET] = OUTCOME_RESET,
		[GONE_TIMED_OUT] = OUTCOME_TIMED_OUT,
	};

	for (int sends = 0; sends < 2; sends++) {
		int32_t at = f->stall[sends];
		bool begins = at < 0 || e->stalls[at].phase == STALL_SUSPECT;
		struct stall *s;

		crawl_end(e, f, sends, outcomes[gone->reason]);
		if (begins && gone->reason == GONE_RESET && aborted(e, f, sends) &&
		    (at >= 0 || stall_take(e, f, sends))) {
			s = &e->stalls[f->stall[sends]];
			note_reset(s, f);
			s->untold = was_refused(s);
			stall_confirm(e, s);
		}
		if (f->stall[sends] < 0)
			continue;
		s = &e->stalls[f->stall[sends]];
		s->pub.last = gone->last;
		if (!passes_by(s))
			note_reset(s, f);
		if (s->phase == STALL_CONFIRMED && (s->reset_forged || may_be_a_router(s)) &&
		    !s->verdict_out && e->config.probe) {
			/* Who wrote it answers to a probe of its distance; the end waits for that.
			 */
			s->phase = STALL_CLOSING;
			e->closing++;
			s->end_as = outcomes[gone->reason];
			s->end_ns = e->now_ns + CLOSING_WAIT_NS;
			s->pub.ended_ns = e->now_ns;
			s->flow = -1;
			f->stall[sends] = -1;
			gather_start(e, s);
			stall_tick(e, s);
		} else {
			stall_close(e, s, outcomes[gone->reason], e->now_ns);
		}
	}
}
