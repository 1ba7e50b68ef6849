/* SPDX-License-Identifier: GPL-2.0-only */
#include "sensor/tracker_live.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/tracker_impl.h"

#define RUN_GAP_NS   NS_PER_S /* as the kernel's side has it */
#define PAUSE_MIN_NS (64 * NS_PER_MS)
#define IDLE_NS	     (120 * NS_PER_S) /* nobody says goodbye on a path that has changed */
#define DEAD_NS	     (300 * NS_PER_S) /* TCP_RTO_MAX is 120 s: nobody tries any more */
#define AGAIN_NS     NS_PER_S	      /* how often news of a stall that passes by is told */
#define MIN_RTO_US   200000	      /* TCP_RTO_MIN */

enum { OURS_UNKNOWN, OURS_NONE, OURS_FIRST, OURS_SECOND };

/* Beside a flow: the rhythm of its directions, and the timestamps that each end has shown last. */
struct live_flow {
	uint32_t number; /* of the connection */
	uint8_t ours;
	bool told; /* that it is over */
	uint64_t again_ns;
	struct live_half {
		uint64_t progress_ns, run_start_ns, run_start_bytes;
		uint64_t tsval_ns;
		uint32_t tsval;
		uint16_t pauses[PAUSE_BUCKETS];
	} half[2];
};

int live_init(struct tracker *t)
{
	t->live = calloc(t->config.max_flows, sizeof(*t->live));
	return t->live ? 0 : -ENOMEM;
}

static struct live_flow *live_of(struct tracker *t, uint32_t flow)
{
	const struct flow_entry *e = &t->flows[flow];
	struct live_flow *l = &t->live[flow];
	struct ip_addr first, second;

	if (l->number == e->number)
		return l;
	first = frame_addr_of(&e->addr[0], e->family);
	second = frame_addr_of(&e->addr[1], e->family);
	*l = (struct live_flow){.number = e->number, .ours = OURS_NONE};
	if (t->config.ours(&second, t->config.arg))
		l->ours = OURS_SECOND;
	if (t->config.ours(&first, t->config.arg))
		l->ours = OURS_FIRST; /* of two of ours the one that spoke first */
	return l;
}

bool live_is_ours(struct tracker *t, uint32_t node)
{
	return t->live && live_of(t, node >> 1)->ours != OURS_NONE;
}

void tracker_disown(struct tracker *t, uint32_t flow)
{
	live_of(t, flow)->ours = OURS_NONE;
}

/* The buckets of struct direction: [64 ms, 128 ms), [128 ms, 256 ms) ... */
static void note_pause(struct live_half *l, uint64_t gap_ns)
{
	int i = 0;

	if (gap_ns < PAUSE_MIN_NS)
		return;
	for (gap_ns /= 2 * PAUSE_MIN_NS; gap_ns && i < PAUSE_BUCKETS - 1; gap_ns /= 2)
		i++;
	count16(&l->pauses[i]);
}

static void note_progress(struct live_half *l, const struct half *h)
{
	uint64_t gap_ns = h->progress_ns - l->progress_ns;

	if (!gap_ns)
		return;
	if (l->progress_ns)
		note_pause(l, gap_ns);
	if (!l->progress_ns || gap_ns >= RUN_GAP_NS) {
		l->run_start_ns = h->progress_ns;
		l->run_start_bytes = half_moved_bytes(h);
	}
	l->progress_ns = h->progress_ns;
}

/* It comes from the peer of `node`, which is our end. */
static void note_reset(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct observation obs = {.type = OBS_RESET, .now_ns = t->now_ns};

	obs.reset = (struct reset_seen){
		.key = report_snapshot(t, node).key,
		.inbound = true,
		.ttl = f->ttl,
		.ttl_usual = half_at(t, node ^ 1)->ttl,
		.ip_id = f->ip_id,
		.seq = f->seq,
	};
	obs.reset.key.netns = t->config.netns;
	t->config.observe(&obs, t->config.arg);
}

void live_packet(struct tracker *t, uint32_t node, const struct frame *f)
{
	uint32_t flow = node >> 1;
	struct live_flow *l = live_of(t, flow);
	const struct flow_entry *e = &t->flows[flow];
	int dir = node & 1;

	l->told &= ((e->half[0].flags | e->half[1].flags) & HALF_RESET) != 0;
	for (int d = 0; d < 2; d++)
		note_progress(&l->half[d], &e->half[d]);
	if (f->has & HAS_TIMESTAMPS) {
		l->half[dir].tsval = f->tsval;
		l->half[dir].tsval_ns = t->now_ns;
	}
	if (f->flags & TCP_RST && l->ours == (dir ? OURS_FIRST : OURS_SECOND))
		note_reset(t, node ^ 1, f);
	if (t->config.packet)
		t->config.packet(
			&(struct tracker_packet){
				.frame = f,
				.number = t->frame,
				.flow = flow,
				.connection = e->number,
				.dir = dir,
				.transfer = (e->half[0].flags | e->half[1].flags) & HALF_TRANSFER,
			},
			t->config.arg);
}

void tracker_flush(struct tracker *t, uint64_t now_ns)
{
	tracker_drain(t);
	if (now_ns <= t->now_ns)
		return;
	t->now_ns = now_ns;
	if (now_ns - t->wheel_ns >= t->slot_ns)
		wheel_advance(t, now_ns, half_silent);
}

void tracker_pace(struct tracker *t)
{
	pace_look(t->pace);
}

static bool fin_acked(const struct half *h)
{
	return (h->flags & HALF_FIN) && h->una == h->nxt;
}

static uint8_t state_of(const struct half *us, const struct half *peer)
{
	if (!(peer->flags & HALF_SEEN) && (us->flags & HALF_SYN))
		return TCP_SYN_SENT;
	if (us->flags & HALF_FIN && peer->flags & HALF_FIN)
		return TCP_LAST_ACK;
	if (us->flags & HALF_FIN)
		return fin_acked(us) ? TCP_FIN_WAIT2 : TCP_FIN_WAIT1;
	return peer->flags & HALF_FIN ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

static struct direction direction_of(const struct half *h, const struct live_half *l)
{
	struct direction d = {
		.bytes = half_moved_bytes(h),
		.progress_ns = h->progress_ns,
		.run_start_ns = l->run_start_ns,
		.run_start_bytes = l->run_start_bytes,
	};

	memcpy(d.pauses, l->pauses, sizeof(d.pauses));
	return d;
}

/*
 * What the socket knows, from what it has sent and got. Its timer is not seen: the one of RFC 6298,
 * doubled for each retransmission.
 */
static struct flow_snapshot own_snapshot(struct tracker *t, uint32_t node)
{
	const struct live_flow *l = &t->live[node >> 1];
	const struct half *us = half_at(t, node), *peer = half_at(t, node ^ 1);
	const struct live_half *lu = &l->half[node & 1], *lp = &l->half[!(node & 1)];
	const struct detail *d = peer->detail == NO_DETAIL ? NULL : &t->details[peer->detail];
	struct flow_snapshot s = report_snapshot(t, node);
	uint32_t rto_us = 2 * s.rtt_us > MIN_RTO_US ? 2 * s.rtt_us : MIN_RTO_US;

	s.key.netns = t->config.netns;
	s.snd = direction_of(us, lu);
	s.rcv = direction_of(peer, lp);
	s.state = state_of(us, peer);
	s.rcv_wnd = half_window(peer, us);
	s.flags = us->flags & peer->flags & HALF_TIMESTAMPS ? SNAP_TIMESTAMPS : 0;
	s.tsoffset = lu->tsval - (uint32_t)(lu->tsval_ns / NS_PER_MS);
	s.ts_recent = lp->tsval;
	s.backoff = us->tries < 8 ? us->tries : 8;
	s.rto_us = rto_us << s.backoff;
	if (d && d->n_holes && d->holes[0].seq == peer->una)
		s.hole_segs = (peer->nxt - d->holes[0].end) / (peer->mss ? peer->mss : 1) + 1;
	if (d)
		s.old_segs = d->repeats;
	return s;
}

static bool is_idle(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	uint64_t quiet_ns = t->now_ns - (h->last_ns > o->last_ns ? h->last_ns : o->last_ns);

	if (half_owes(t, node) || half_owes(t, node ^ 1))
		return quiet_ns > DEAD_NS;
	return quiet_ns > IDLE_NS;
}

static void each_own(struct tracker *t, uint32_t node, struct live_flow *l,
		     void (*fn)(const struct tracked *, void *), void *arg)
{
	const struct half *us = half_at(t, node), *peer = half_at(t, node ^ 1);
	bool reset = (us->flags | peer->flags) & HALF_RESET;
	struct tracked f = {
		.flow = node >> 1,
		.ours = true,
		.over = reset || (fin_acked(us) && fin_acked(peer)) || is_idle(t, node),
		.reason = reset		       ? GONE_RESET
			  : half_owes(t, node) ? GONE_TIMED_OUT
					       : GONE_CLOSED,
	};

	if (t->config.min_bytes && !((us->flags | peer->flags) & HALF_TRANSFER))
		return;
	if (f.over && l->told)
		return;
	l->told = f.over;
	f.snapshot = own_snapshot(t, node);
	fn(&f, arg);
}

static void each_passing(struct tracker *t, uint32_t node,
			 void (*fn)(const struct tracked *, void *), void *arg)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);
	struct tracked f = {.flow = node >> 1};

	if (h->flags & HALF_OPEN) {
		struct live_flow *l = &t->live[node >> 1];

		if (is_idle(t, node)) {
			report_gone(t, node, GONE_TIMED_OUT);
		} else if (t->now_ns >= l->again_ns) {
			l->again_ns = t->now_ns + AGAIN_NS;
			report_again(t, node);
		}
		return;
	}
	if (!(h->flags & HALF_TRANSFER) || ((h->flags | o->flags) & HALF_RESET) || fin_acked(h) ||
	    is_idle(t, node))
		return;
	f.snapshot = report_snapshot(t, node);
	fn(&f, arg);
}

void tracker_each(struct tracker *t, void (*fn)(const struct tracked *, void *), void *arg)
{
	for (uint32_t i = 0; i < t->top; i++) {
		struct live_flow *l;

		if (!t->flows[i].used)
			continue;
		l = live_of(t, i);
		if (l->ours == OURS_NONE) {
			each_passing(t, 2 * i, fn, arg);
			each_passing(t, 2 * i + 1, fn, arg);
		} else {
			each_own(t, 2 * i + (l->ours == OURS_SECOND), l, fn, arg);
		}
	}
}
