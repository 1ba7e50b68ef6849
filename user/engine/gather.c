/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What to ask for while something is suspect.
 *
 * Probes are asked for only where the connection itself does not show the cause. A round asks every
 * hop with small and full-size packets inside the flow and with SYNs from a fresh port beside it;
 * routers limit their ICMP errors (Linux: six at once, then one a second towards one address), so a
 * round has at most five probes a hop and later rounds look at the frontier only.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "engine/judge.h"

#define FRESH_STARTS   2
#define ROUNDS	       4
#define ROUND_GAP_NS   (1500 * NS_PER_MS)
#define ANSWER_WAIT_NS (1500 * NS_PER_MS) /* the prober gives up earlier; this is if it is gone */
#define HOP_RESTS_NS                                                                               \
	(1100 * NS_PER_MS) /* the prober asks one hop no faster after the first round */
#define PROBES_A_SECOND 40
#define BUSY_S		2 /* seconds of probes that wait: who comes now does without */
#define COUNT_EVERY_NS	(100 * NS_PER_MS)
#define LONGEST_WAIT_NS (8 * NS_PER_S)
#define PROBES_A_HOP	5  /* in the first round */
#define BLIND_DISTANCE	12 /* hops to ask where the distance is unknown */
#define FRONTIER_BEHIND 3  /* hops behind the frontier that later rounds ask */
#define LOSS_AT_PEER	3  /* whose ACKs are not limited */
#define LOSS_ROUNDS	40 /* probes to each hop of a path that loses, if it is short */
#define LOSS_ENOUGH	5  /* of them, for a first look */
#define LOSS_SMALL	3  /* one round in so many is of small ones */
#define PLACE_ENOUGH	0.6
#define COPIES_A_HOP	2
#define SURE		0.95
#define SIZE_STEPS	10 /* sizes at once towards the peer, whose ACKs are not limited */
#define SIZE_STEPS_HOP	5  /* towards a router */
#define SIZE_EXACT	1
#define SMALL_V4	41 /* bytes of the IP packet of a small probe, without options */
#define SMALL_V6	61

static struct output want_for(const struct engine *e, const struct stall *s, enum want_kind kind)
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
	struct output out = want_for(e, s, kind);

	/* A scan is of all flows: one in a step is enough. */
	if (kind == WANT_SCAN && e->scan_step == e->step)
		return;
	if (kind == WANT_SCAN)
		e->scan_step = e->step;
	output_push(e, &out);
}

bool gather_affords(const struct stall *s, int probes)
{
	return s->wanted + probes <= PROBES_MAX;
}

static void want_probes(struct engine *e, struct stall *s, enum probe_kind kind, int first_ttl,
			int last_ttl, int count, int size)
{
	struct output out = want_for(e, s, WANT_PROBE);
	int n = (last_ttl - first_ttl + 1) * count;

	if (!gather_affords(s, n))
		return;
	out.want.probe.kind = kind;
	out.want.probe.first_ttl = (uint8_t)first_ttl;
	out.want.probe.last_ttl = (uint8_t)last_ttl;
	out.want.probe.count = (uint8_t)count;
	out.want.probe.size = (uint16_t)size;
	output_push(e, &out);
	s->wanted += n;
	s->outstanding += n;
	e->outstanding += n;
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

static bool in_flow_possible(const struct stall *s)
{
	return s->pub.last.state != TCP_SYN_SENT && !(s->pub.last.flags & SNAP_SECURED) &&
	       s->phase != STALL_CLOSING;
}

bool gather_busy(const struct engine *e)
{
	return e->outstanding > BUSY_S * PROBES_A_SECOND;
}

static void count_outstanding(struct engine *e)
{
	if (e->now_ns < e->counted_ns + COUNT_EVERY_NS)
		return;
	e->counted_ns = e->now_ns;
	e->outstanding = 0;
	for (uint32_t i = 0; i < e->stall_top; i++)
		if (e->stalls[i].phase != STALL_FREE)
			e->outstanding += e->stalls[i].outstanding;
}

bool gather_full_possible(const struct stall *s)
{
	return in_flow_possible(s) && s->sends && s->full_size &&
	       s->pub.last.snd.bytes > s->full_size;
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

bool gather_loss_round(struct engine *e, struct stall *s)
{
	int reach = s->distance > 1 ? s->distance - 1 : 1;
	/* Bit errors hit what is large: small ones are there to compare. */
	bool full = gather_full_possible(s) && s->rounds % LOSS_SMALL;
	enum probe_kind kind = full ? PROBE_IN_FLOW_FULL : PROBE_IN_FLOW;
	int size = full ? s->full_size : 0;

	count_outstanding(e);
	if (!e->config.probe || s->pub.route.loopback || !in_flow_possible(s) || !s->distance ||
	    s->rounds == LOSS_ROUNDS || gather_busy(e) || !gather_affords(s, reach + LOSS_AT_PEER))
		return false;
	s->rounds++;
	want_probes(e, s, kind, 1, reach, 1, size);
	want_probes(e, s, kind, END_TTL, END_TTL, LOSS_AT_PEER, size);
	s->probing = true;
	s->asked |= s->rounds >= LOSS_ENOUGH;
	return true;
}

int gather_reach(const struct stall *s)
{
	return s->distance ? s->distance : BLIND_DISTANCE;
}

static void begin_round(struct engine *e, struct stall *s)
{
	uint64_t wait_ns;

	if (!s->rounds++) {
		s->in_segs_before = s->pub.last.in_segs;
		s->dup_acks_before = s->pub.last.dup_acks;
		s->last_in_before_ns = s->pub.last.last_in_ns;
	}
	wait_ns = (uint64_t)e->outstanding * NS_PER_S / PROBES_A_SECOND; /* they take turns */
	if (wait_ns > LONGEST_WAIT_NS)
		wait_ns = LONGEST_WAIT_NS;
	s->round_until_ns = e->now_ns + ANSWER_WAIT_NS + wait_ns;
	s->next_round_ns = s->round_until_ns + ROUND_GAP_NS;
}

/* Is the peer there, and has it more to send than we got? */
static void ask_peer(struct engine *e, struct stall *s)
{
	want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 2, 0);
	begin_round(e, s);
}

static void ask_path(struct engine *e, struct stall *s)
{
	int last_ttl = gather_reach(s);

	s->probing = true;
	/* Controls go first: what the flow loses after one has passed is no outage. */
	want_probes(e, s, PROBE_CONTROL, 1, last_ttl, 2, 0);
	want_probes(e, s, PROBE_CONTROL, END_TTL, END_TTL, 1, 0);
	if (in_flow_possible(s)) {
		want_probes(e, s, PROBE_IN_FLOW, 1, last_ttl, 2, 0);
		want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 1, 0);
	}
	if (gather_full_possible(s)) {
		want_probes(e, s, PROBE_IN_FLOW_FULL, 1, last_ttl, 1, s->full_size);
		want_probes(e, s, PROBE_IN_FLOW_FULL, END_TTL, END_TTL, 1, s->full_size);
	}
	local_ask_onlink(e, s, true);
	begin_round(e, s);
}

/* Does this connection end where the one that leads ends? */
static void ask_behind(struct engine *e, struct stall *s, int frontier)
{
	int first = frontier + 1, last_ttl = first + 1;

	s->probing = true;
	if (last_ttl >= gather_reach(s))
		last_ttl = gather_reach(s);
	if (first <= last_ttl)
		want_probes(e, s, PROBE_IN_FLOW, first, last_ttl, 2, 0);
	want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 2, 0);
	begin_round(e, s);
}

/*
 * Where the budget is spent, what others found stands for this one as well; if nobody has found
 * anything yet, it waits.
 */
static void ask_path_once(struct engine *e, struct stall *s)
{
	/* What the lead found may be over, too, once s has seen that the path has changed. */
	const struct stall *lead =
		in_flow_possible(s) && !s->fresh_starts ? group_lead(e, s) : NULL;
	bool busy = gather_busy(e);

	if (!lead && busy)
		lead = group_beside(e, s);
	/* Where ways part, another connection may have met other routers; and one that reaches the
	 * peer does not tell where this one ends. */
	if (lead && lead->asked && !busy && (path_look(lead).balanced || lead->peer.acked))
		lead = NULL;
	if (!lead && !busy) {
		group_register(e, s);
		ask_path(e, s);
	} else if (lead && lead->asked && busy) {
		group_adopt(s, lead);
	} else if (lead && lead->asked) {
		ask_behind(e, s, group_follow(s, lead));
	}
}

/* A forged reset: who is so many hops away? */
static void ask_author(struct engine *e, struct stall *s)
{
	int last_ttl = s->reset_hops < MAX_DISTANCE ? s->reset_hops : MAX_DISTANCE;

	s->probing = true;
	want_probes(e, s, PROBE_CONTROL, last_ttl, last_ttl, 2, 0);
	begin_round(e, s);
}

/* A handshake was refused: from how far away, and who is there? */
static void ask_refuser(struct engine *e, struct stall *s)
{
	s->probing = true;
	want_probes(e, s, PROBE_CONTROL, 1, gather_reach(s), 1, 0);
	want_probes(e, s, PROBE_CONTROL, END_TTL, END_TTL, 2, 0);
	begin_round(e, s);
}

static int farthest_answer(const struct stall *s, enum probe_kind kind)
{
	int n = s->pub.n_hops;

	while (n && !s->pub.hops[n - 1].probes[kind].answered)
		n--;
	return n;
}

/* From behind the last hop that this connection reaches to where others stop. */
static void ask_frontier(struct engine *e, struct stall *s)
{
	int ours = farthest_answer(s, PROBE_IN_FLOW), others = farthest_answer(s, PROBE_CONTROL);
	int first = (in_flow_possible(s) ? ours : others) + 1;
	int last_ttl = (ours > others ? ours : others) + (s->distance ? 1 : FRONTIER_BEHIND);

	if (last_ttl > first + FRONTIER_BEHIND)
		last_ttl = first + FRONTIER_BEHIND;
	if (last_ttl > MAX_DISTANCE)
		last_ttl = MAX_DISTANCE;
	if (first > last_ttl)
		first = last_ttl;
	want_probes(e, s, PROBE_CONTROL, first, last_ttl, 1, 0);
	if (in_flow_possible(s))
		want_probes(e, s, PROBE_IN_FLOW, first, last_ttl, 1, 0);
	if (gather_full_possible(s))
		want_probes(e, s, PROBE_IN_FLOW_FULL, first, last_ttl, 1, s->full_size);
	begin_round(e, s);
	s->round_until_ns += 3 * HOP_RESTS_NS;
}

/*
 * Small and full-size packets of this connection are answered by the peer, and what the kernel
 * sends again is not: then the segment itself goes along the path. Not to the peer: that is the
 * kernel's to do. So too where too little has been acknowledged for packets of full size.
 */
static bool copies_would_tell(const struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;

	return s->asked && !s->copying && s->sends && s->peer.acked &&
	       (s->peer.full_ns || !gather_full_possible(s)) && s->distance > 1 &&
	       last->retrans > 1 && last->unacked_segs && in_flow_possible(s);
}

static void ask_copies(struct engine *e, struct stall *s)
{
	s->copying = true;
	want_probes(e, s, PROBE_IN_FLOW_COPY, 1, s->distance - 1, COPIES_A_HOP, 0);
	begin_round(e, s);
	s->round_until_ns += COPIES_A_HOP * HOP_RESTS_NS;
}

/*
 * Packets of the flow end where those of a fresh port go on, and ways part before: does every
 * connection end there that goes the flow's way?
 */
static bool ways_would_tell(const struct stall *s, const struct path_view *p)
{
	return s->asked && !s->swept_at && p->balanced && p->balanced <= p->flow &&
	       p->flow < p->control && s->flow_hop[p->balanced].family &&
	       gather_affords(s, 2 * WAYS);
}

static void ask_ways(struct engine *e, struct stall *s, int ttl)
{
	s->swept_at = (uint8_t)ttl;
	want_probes(e, s, PROBE_CONTROL, ttl, ttl, WAYS, 0);
	want_probes(e, s, PROBE_CONTROL, END_TTL, END_TTL, WAYS, 0);
	begin_round(e, s);
	s->round_until_ns += WAYS * HOP_RESTS_NS;
}

/* Which TTL a full-size packet is known not to reach while a small one does; 0: none. */
static int size_target(const struct stall *s)
{
	const struct hop *h = s->pub.hops;

	if (s->peer.acked && s->peer.probes[PROBE_IN_FLOW_FULL].sent &&
	    !s->peer.probes[PROBE_IN_FLOW_FULL].answered)
		return END_TTL; /* the peer's own ACKs are not limited as ICMP is */
	for (int i = 0; i < s->pub.n_hops; i++)
		if (h[i].probes[PROBE_IN_FLOW].answered && h[i].probes[PROBE_IN_FLOW_FULL].sent &&
		    !h[i].probes[PROBE_IN_FLOW_FULL].answered)
			return i + 1;
	return 0;
}

/* A k-ary search between the largest size that passed and the smallest that did not. */
static void ask_sizes(struct engine *e, struct stall *s)
{
	int ttl = size_target(s), steps = ttl == END_TTL ? SIZE_STEPS : SIZE_STEPS_HOP, gap;

	if (!s->sizing) {
		bool v6 = s->pub.key.remote.addr.family == AF_INET6;

		s->sizing = true;
		s->size_pass =
			(v6 ? SMALL_V6 : SMALL_V4) + (s->pub.last.flags & SNAP_TIMESTAMPS ? 12 : 0);
		s->size_fail = s->full_size;
	}
	s->n_sizes = 0;
	gap = s->size_fail - s->size_pass;
	for (int i = 1; i <= steps && ttl; i++) {
		int size = s->size_pass + gap * i / (steps + 1);

		if (size <= s->size_pass || (s->n_sizes && s->size_of[s->n_sizes - 1] == size))
			continue;
		s->size_of[s->n_sizes] = (uint16_t)size;
		s->sizes[s->n_sizes++] = (struct tally){0};
		want_probes(e, s, PROBE_IN_FLOW_FULL, ttl, ttl, gap > 64 ? 1 : 2, size);
	}
	begin_round(e, s);
}

/* Takes the answers of the last step in: a size passes if anything of it, or above it, came
 * through. */
static void narrow_sizes(struct stall *s)
{
	for (int i = 0; i < s->n_sizes; i++)
		if (s->sizes[i].answered && s->size_of[i] > s->size_pass)
			s->size_pass = s->size_of[i];
	for (int i = s->n_sizes - 1; i >= 0; i--)
		if (!s->sizes[i].answered && s->sizes[i].sent && s->size_of[i] > s->size_pass)
			s->size_fail = s->size_of[i];
	s->n_sizes = 0;
	s->dirty = true;
}

static bool size_is_exact(const struct stall *s)
{
	return s->sizing && s->size_fail - s->size_pass <= SIZE_EXACT;
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
	    !gather_affords(s, PROBES_A_HOP * gather_reach(s) + PROBE_KINDS))
		return;
	s->fresh_starts++;
	for (int i = 0; i < s->pub.n_hops; i++)
		memset(s->pub.hops[i].probes, 0, sizeof(s->pub.hops[i].probes));
	memset(&s->peer, 0, sizeof(s->peer));
	memset(s->open_ns, 0, sizeof(s->open_ns));
	memset(s->shut_out, 0, sizeof(s->shut_out));
	s->asked = s->probing = s->sizing = s->led = false;
	s->n_sizes = 0;
	s->rounds = 1; /* what the peer said by itself was counted before the first */
}

static bool is_sure(const struct verdict *v)
{
	return v->cause != CAUSE_UNKNOWN && v->cause_confidence >= SURE;
}

/* The connection itself shows the cause, but only what routers quote shows where. */
static bool probes_show_place(const struct stall *s, enum cause cause)
{
	return s->sends && cause == CAUSE_HEADER_REWRITE;
}

/* What can still be asked that would help; nothing while an answer is out. */
static void ask_next(struct engine *e, struct stall *s)
{
	bool rested = e->now_ns >= s->next_round_ns;
	struct verdict v = {0};
	struct path_view path;

	if (!s->sends && !s->rounds) {
		if (!flow_own_window_shut(&s->pub.last) && in_flow_possible(s))
			ask_peer(e, s);
		return;
	}
	if (!s->sends && s->phase == STALL_SUSPECT)
		return;
	if (s->probing && !s->sizing && s->verdict_out && !rested)
		return;
	if (local_ask_onlink(e, s, false)) {
		begin_round(e, s);
		return;
	}
	path = path_look(s);
	if (ways_would_tell(s, &path)) {
		ask_ways(e, s, path.balanced);
		return;
	}
	judge(e, s, &v);
	if (v.cause == CAUSE_SIZE_BLACKHOLE && s->full_size && size_target(s) &&
	    !size_is_exact(s) && !s->too_big_mtu && s->rounds < 2 * ROUNDS) {
		ask_sizes(e, s);
		return;
	}
	if (is_sure(&v) &&
	    (s->probing ? v.where.confidence >= PLACE_ENOUGH : !probes_show_place(s, v.cause)))
		return;
	if (copies_would_tell(s)) {
		ask_copies(e, s);
		return;
	}
	if (!s->probing && (!s->fresh_starts || rested))
		ask_path_once(e, s);
	else if (s->probing && s->rounds < ROUNDS && rested && !gather_busy(e) &&
		 gather_affords(s, PROBE_KINDS * (FRONTIER_BEHIND + 1)))
		ask_frontier(e, s);
}

void gather_more(struct engine *e, struct stall *s)
{
	if (passes_by(s))
		return;
	count_outstanding(e);
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
		narrow_sizes(s);
	if (s->phase == STALL_CLOSING && !s->rounds && s->reset_hops)
		ask_author(e, s);
	else if (s->phase == STALL_CLOSING && !s->rounds)
		ask_refuser(e, s);
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

	if ((s->outstanding > 0 && !s->sizing) || s->path_changed || program_is_due(e, s) ||
	    local_onlink_due(e, s))
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
	else if ((s->probing || s->fresh_starts) && s->rounds < ROUNDS &&
		 s->next_round_ns > e->now_ns)
		t = s->next_round_ns;
	if (scans(s) && s->next_scan_ns < t)
		t = s->next_scan_ns;
	return t;
}
