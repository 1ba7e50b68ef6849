/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What to ask for while something is suspect.
 *
 * Probes are asked for only where the connection itself does not show the cause, a round at a time
 * (round.c), until there is a verdict that is sure or no round would tell more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "engine/round.h"

#define FRESH_STARTS  2
#define FRESH_WAIT_NS (2 * NS_PER_S) /* what came before is not judged by any more */
#define ROUNDS	      4
#define LOOK_NS	      (100 * NS_PER_MS)
#define SURE	      0.95
#define CAUSE_ENOUGH  0.6

struct output gather_want(const struct engine *e, const struct stall *s, enum want_kind kind)
{
	struct output out = {.kind = OUT_WANT, .now_ns = e->now_ns};

	out.want.kind = kind;
	out.want.key = s->pub.key;
	out.want.local_sends = s->sends;
	out.want.inode = s->pub.last.inode;
	out.want.snapshot = s->pub.last;
	return out;
}

static void want(struct engine *e, const struct stall *s, enum want_kind kind)
{
	struct output out = gather_want(e, s, kind);

	/* A scan is of all flows: one in a step is enough. */
	if (kind == WANT_SCAN && e->scan_step == e->step)
		return;
	if (kind == WANT_SCAN)
		e->scan_step = e->step;
	output_push(e, &out);
}

/* IP packet of a full segment: what the transfer itself has been sending. */
static int full_size(const struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	int headers = last->key.remote.addr.family == AF_INET6 ? 60 : 40;

	if (last->flags & SNAP_TIMESTAMPS)
		headers += 12;
	return s->pub.first.mss ? (int)s->pub.first.mss + headers : 0;
}

void gather_start(struct engine *e, struct stall *s)
{
	s->full_size = (uint16_t)full_size(s);
	if (passes_by(s))
		return;
	want(e, s, WANT_LISTEN);
	s->listening = true;
	if (!s->host_asked) {
		want(e, s, WANT_HOST);
		s->process_due = s->pub.last.inode;
	}
	s->host_asked = true;
	want(e, s, WANT_SCAN);
	s->next_scan_ns = e->now_ns + SCAN_EVERY_NS;
}

void gather_slow(struct engine *e, struct stall *s)
{
	s->full_size = (uint16_t)full_size(s);
	want(e, s, WANT_LISTEN);
	s->listening = true;
	want(e, s, WANT_HOST);
	want(e, s, WANT_SCAN);
}

/* Until there is a verdict, for witnesses; and while it dribbles, for its recovery. */
static bool scans(const struct stall *s)
{
	return s->phase == STALL_CONFIRMED && (!s->verdict_out || s->pub.recovered_bytes);
}

static bool probing_is_due(const struct engine *e, const struct stall *s)
{
	uint64_t silence_ns = e->now_ns - s->pub.last_progress_ns;

	return s->phase != STALL_SUSPECT || silence_ns >= e->config.stall_after_ns / 4 * 3;
}

/*
 * Between two rounds the path has healed, moved or broken elsewhere. What was learnt before must
 * not be weighed against what comes now; the verdict that is out stands until a whole round says
 * more.
 */
static void start_over(struct stall *s)
{
	s->path_changed = false;
	if (s->fresh_starts == FRESH_STARTS ||
	    !round_affords(s, ROUND_A_HOP * round_reach(s) + PROBE_KINDS))
		return;
	if (!s->fresh_starts++ && !s->verdict_out)
		s->judge_until_ns += FRESH_WAIT_NS;
	for (int i = 0; i < s->pub.n_hops; i++)
		memset(s->pub.hops[i].probes, 0, sizeof(s->pub.hops[i].probes));
	memset(&s->peer, 0, sizeof(s->peer));
	memset(s->open_ns, 0, sizeof(s->open_ns));
	memset(s->shut_out, 0, sizeof(s->shut_out));
	memset(&s->pub.lead, 0, sizeof(s->pub.lead));
	s->asked = s->probing = s->sizing = s->led = false;
	s->n_sizes = 0;
	s->rounds = 1; /* what the peer said by itself was counted before the first */
}

static bool is_sure(const struct verdict *v)
{
	return v->cause != CAUSE_UNKNOWN && v->cause_confidence >= SURE;
}

/* Copies of a segment would be lost as others are. */
static bool is_loss(const struct verdict *v)
{
	return v->cause == CAUSE_PATH_LOSS && v->cause_confidence >= CAUSE_ENOUGH;
}

/* The connection itself shows the cause, but only what routers quote shows where. */
static bool probes_show_place(const struct stall *s, enum cause cause)
{
	return s->sends && cause == CAUSE_HEADER_REWRITE;
}

/*
 * When the hops have rested. A path that loses some is asked again soon after that has been told:
 * one more of each is what routers have left.
 */
static uint64_t rested_ns(const struct stall *s)
{
	const uint64_t soon_ns = s->asked_ns + HOP_RESTS_NS;

	return s->verdict_out && !s->led && s->rounds == 1 && soon_ns < s->next_round_ns &&
			       round_loss_tells(s, s->pub.verdict.cause, s->place_found)
		       ? soon_ns
		       : s->next_round_ns;
}

/* What can still be asked that would help; nothing while an answer is out. */
static void ask_next(struct engine *e, struct stall *s)
{
	bool rested = e->now_ns >= rested_ns(s);
	struct verdict v = {0};
	struct path_view path;
	int ttl;

	if (!s->sends && !s->rounds) {
		if (!flow_own_window_shut(&s->pub.last) && round_in_flow_possible(s))
			round_peer(e, s);
		return;
	}
	if (!s->sends && s->phase == STALL_SUSPECT)
		return;
	if (s->probing && !s->sizing && s->verdict_out && !rested)
		return;
	if (local_ask_onlink(e, s, false)) {
		round_begins(e, s);
		return;
	}
	if (s->compared && group_differs(s))
		group_leave(s);
	s->compared = false;
	path = path_look(s);
	ttl = round_ways_tell(s, &path);
	if (ttl) {
		if (!group_take_ways(e, s))
			round_ways(e, s, ttl);
		return;
	}
	if (round_full_tell(s)) {
		round_full(e, s);
		return;
	}
	judge(e, s, &v);
	if (v.cause == CAUSE_SIZE_BLACKHOLE && round_sizes_tell(s) && s->rounds < 2 * ROUNDS) {
		round_sizes(e, s);
		return;
	}
	if (is_sure(&v) &&
	    (s->probing ? v.where.confidence >= PLACE_ENOUGH : !probes_show_place(s, v.cause)))
		return;
	if (round_copies_tell(e, s) && !is_loss(&v)) {
		round_copies(e, s);
		return;
	}
	if (round_loss_tells(s, v.cause, v.where.confidence)) {
		if (rested)
			round_loss(e, s);
		return;
	}
	if (!s->probing && (!s->fresh_starts || rested))
		round_path(e, s);
	else if (s->probing && s->rounds < ROUNDS && rested && !round_busy(e) &&
		 round_affords(s, ROUND_FRONTIER))
		round_frontier(e, s);
}

void gather_more(struct engine *e, struct stall *s)
{
	if (passes_by(s))
		return;
	s->waiting = false;
	round_count(e);
	if (e->now_ns >= s->next_scan_ns && scans(s)) {
		want(e, s, WANT_SCAN);
		local_ask_again(e, s);
		s->next_scan_ns = e->now_ns + SCAN_EVERY_NS;
	}
	if (s->outstanding > 0 && e->now_ns >= s->round_until_ns) {
		s->outstanding = 0; /* the prober has lost count or is gone */
		s->onlink_due = false;
	}
	if (s->outstanding > 0 || !e->config.probe || s->pub.route.loopback)
		return;
	if (s->probing && !s->asked) {
		s->asked = true;
		s->asked_ns = e->now_ns;
	}
	if (s->path_changed)
		start_over(s);
	if (s->n_sizes)
		round_sizes_narrow(s);
	if (s->phase == STALL_CLOSING && !s->rounds && s->reset_hops)
		round_author(e, s);
	else if (s->phase == STALL_CLOSING && !s->rounds)
		round_refuser(e, s);
	else if (s->phase != STALL_CLOSING && probing_is_due(e, s))
		ask_next(e, s);
}

/* What the program does is the detail of such a verdict, and is being looked for. */
static bool program_is_due(const struct engine *e, const struct stall *s)
{
	struct verdict v = {0};

	if (!s->process_due)
		return false;
	judge(e, s, &v);
	return is_local_program(v.cause, s->sends);
}

bool gather_done(const struct engine *e, const struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	struct verdict v = {0};

	if ((s->outstanding > 0 && !s->sizing) || s->waiting || s->path_changed ||
	    program_is_due(e, s) || local_onlink_due(e, s))
		return false;
	if (passes_by(s)) /* live it is told once there was time for more than one try */
		return e->now_ns >= s->pub.begun_ns + e->config.stall_after_ns;
	if (!e->config.probe || s->probing)
		return true;
	judge(e, s, &v);
	return (is_sure(&v) && !probes_show_place(s, v.cause)) || s->pub.route.loopback ||
	       (!s->sends && s->rounds && flow_own_window_shut(last));
}

uint64_t gather_deadline(const struct engine *e, const struct stall *s)
{
	uint64_t t = UINT64_MAX,
		 probe_ns = s->pub.last_progress_ns + e->config.stall_after_ns / 4 * 3;

	if (passes_by(s) && !e->config.offline && s->phase == STALL_CONFIRMED && !s->verdict_out)
		return s->pub.begun_ns + e->config.stall_after_ns;
	if (passes_by(s))
		return t;
	if (s->outstanding > 0)
		t = s->round_until_ns;
	else if (e->config.probe && !s->rounds && probe_ns > e->now_ns)
		t = probe_ns;
	else if ((s->probing || s->fresh_starts) && rested_ns(s) > e->now_ns &&
		 (s->rounds < ROUNDS || round_loss_tells(s, s->pub.verdict.cause, s->place_found)))
		t = rested_ns(s);
	if (s->waiting &&
	    s->phase == STALL_CLOSING) /* no snapshot comes that would look after it */
		t = e->now_ns + LOOK_NS;
	if (scans(s) && s->next_scan_ns < t)
		t = s->next_scan_ns;
	return t;
}
