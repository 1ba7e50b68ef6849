/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rounds of probes: what is asked at once.
 *
 * The first asks every hop with small and full-size packets inside the flow and with SYNs from a
 * fresh port beside it. Routers limit their ICMP errors (Linux: six at once, then one a second
 * towards one address), so it has at most five probes a hop, fewer where others ask the same
 * routers, and later rounds look at the frontier only. A round is over when each probe has been
 * answered or given up.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "engine/round.h"

#define ROUND_GAP_NS	(1500 * NS_PER_MS)
#define ANSWER_WAIT_NS	(1500 * NS_PER_MS) /* the prober gives up earlier; this is if it is gone */
#define PROBES_A_SECOND 40
#define BUSY_S		2 /* seconds of probes that wait: who comes now does without */
#define COUNT_EVERY_NS	(100 * NS_PER_MS)
#define LONGEST_WAIT_NS (8 * NS_PER_S)
#define LONG_WAY	20 /* hops: five probes to each are 2.5 s of all that may be sent */
#define BLIND_DISTANCE	12 /* hops to ask where the distance is unknown */
#define LOSS_AT_PEER	3  /* whose ACKs are not limited */
#define LOSS_ROUNDS	40 /* probes to each hop of a path that loses, if it is short */
#define LOSS_ENOUGH	5  /* of them, for a first look */
#define LOSS_SMALL	3  /* one round in so many is of small ones */
#define COPIES_A_HOP	2
#define SIZE_STEPS	10 /* sizes at once towards the peer, whose ACKs are not limited */
#define SIZE_STEPS_HOP	5  /* towards a router */
#define SIZE_EXACT	1
#define SMALL_V4	41 /* bytes of the IP packet of a small probe, without options */
#define SMALL_V6	61

bool round_affords(const struct stall *s, int probes)
{
	return s->wanted + probes <= PROBES_MAX;
}

static void want_probes(struct engine *e, struct stall *s, enum probe_kind kind, int first_ttl,
			int last_ttl, int count, int size)
{
	struct output out = gather_want(e, s, WANT_PROBE);
	int n = (last_ttl - first_ttl + 1) * count;

	if (!round_affords(s, n))
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

bool round_in_flow_possible(const struct stall *s)
{
	return s->pub.last.state != TCP_SYN_SENT && !(s->pub.last.flags & SNAP_SECURED) &&
	       s->phase != STALL_CLOSING;
}

bool round_busy(const struct engine *e)
{
	return e->outstanding > BUSY_S * PROBES_A_SECOND;
}

void round_count(struct engine *e)
{
	if (e->now_ns < e->counted_ns + COUNT_EVERY_NS)
		return;
	e->counted_ns = e->now_ns;
	e->outstanding = 0;
	for (uint32_t i = 0; i < e->stall_top; i++)
		if (e->stalls[i].phase != STALL_FREE)
			e->outstanding += e->stalls[i].outstanding;
}

bool round_full_possible(const struct stall *s)
{
	return round_in_flow_possible(s) && s->sends && s->full_size &&
	       s->pub.last.snd.bytes > s->full_size;
}

bool round_loss_more(struct engine *e, struct stall *s)
{
	int reach = s->distance > 1 ? s->distance - 1 : 1;
	/* Bit errors hit what is large: small ones are there to compare. In a stall it may be this
	 * connection alone that is dropped. */
	bool full = round_full_possible(s) && s->rounds % LOSS_SMALL;
	bool control = s->phase != STALL_SLOW && s->rounds % 2;
	enum probe_kind kind = full ? PROBE_IN_FLOW_FULL : control ? PROBE_CONTROL : PROBE_IN_FLOW;
	int size = full ? s->full_size : 0;

	round_count(e);
	if (!e->config.probe || s->pub.route.loopback || !round_in_flow_possible(s) ||
	    !s->distance || s->rounds == LOSS_ROUNDS || round_busy(e) ||
	    !round_affords(s, reach + LOSS_AT_PEER))
		return false;
	s->rounds++;
	want_probes(e, s, kind, 1, reach, 1, size);
	want_probes(e, s, kind, END_TTL, END_TTL, LOSS_AT_PEER, size);
	s->probing = true;
	s->asked |= s->rounds >= LOSS_ENOUGH;
	return true;
}

/* It loses some, and where is open; or both ways carry packets and nothing explains the silence. */
bool round_loss_tells(const struct stall *s, enum cause cause, double place)
{
	return s->asked && s->sends && s->rounds < LOSS_ROUNDS &&
	       (cause == CAUSE_PATH_LOSS || (cause == CAUSE_UNKNOWN && s->peer.acked)) &&
	       place < PLACE_ENOUGH;
}

void round_loss(struct engine *e, struct stall *s)
{
	if (!round_loss_more(e, s))
		return;
	s->round_until_ns = e->now_ns + ANSWER_WAIT_NS + HOP_RESTS_NS; /* hops may have to rest */
	s->next_round_ns = e->now_ns + HOP_RESTS_NS;
}

int round_reach(const struct stall *s)
{
	return s->distance ? s->distance : BLIND_DISTANCE;
}

void round_begins(struct engine *e, struct stall *s)
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
void round_peer(struct engine *e, struct stall *s)
{
	want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 2, 0);
	round_begins(e, s);
}

static void ask_path(struct engine *e, struct stall *s)
{
	int last_ttl = round_reach(s);
	/* Three and three are what a router answers at once. A long way takes long to ask. */
	bool shared = group_is_shared(e, s), is_long = last_ttl > LONG_WAY;
	int each = shared || is_long ? 1 : 2;
	/* Where segments were lost of late, those of their size show most. */
	bool lossy = each > 1 && round_full_possible(s) && loss_of_late(e, s);
	int full = lossy ? ROUND_A_HOP - 2 : 1;

	each = lossy ? 1 : each;

	s->probing = true;
	/* Controls go first: what the flow loses after one has passed is no outage. */
	want_probes(e, s, PROBE_CONTROL, 1, last_ttl, each, 0);
	want_probes(e, s, PROBE_CONTROL, END_TTL, END_TTL, 1, 0);
	if (round_in_flow_possible(s)) {
		want_probes(e, s, PROBE_IN_FLOW, 1, last_ttl, each, 0);
		want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 1, 0);
	}
	if (round_full_possible(s)) {
		if (!is_long)
			want_probes(e, s, PROBE_IN_FLOW_FULL, 1, last_ttl, full, s->full_size);
		want_probes(e, s, PROBE_IN_FLOW_FULL, END_TTL, END_TTL, is_long ? 2 : full,
			    s->full_size);
	}
	local_ask_onlink(e, s, true);
	round_begins(e, s);
	s->round_until_ns += shared ? ROUND_A_HOP * HOP_RESTS_NS : 0; /* others may go first */
}

/* The peer of a long way, whose hops were not asked with large packets, answers only small ones. */
bool round_full_tell(const struct stall *s)
{
	const struct tally *full = &s->peer.probes[PROBE_IN_FLOW_FULL];

	if (!s->asked || !s->peer.acked || !full->sent || full->answered || s->distance <= LONG_WAY)
		return false;
	for (int i = 0; i < s->pub.n_hops; i++)
		if (s->pub.hops[i].probes[PROBE_IN_FLOW_FULL].sent)
			return false;
	return round_full_possible(s) && round_affords(s, s->distance);
}

void round_full(struct engine *e, struct stall *s)
{
	want_probes(e, s, PROBE_IN_FLOW_FULL, 1, s->distance - 1, 1, s->full_size);
	round_begins(e, s);
}

/* Does this connection end where the one that leads ends? */
static void ask_behind(struct engine *e, struct stall *s, int frontier)
{
	int first = frontier + 1, last_ttl = first + 1;

	s->probing = true;
	if (last_ttl >= round_reach(s))
		last_ttl = round_reach(s);
	if (first <= last_ttl)
		want_probes(e, s, PROBE_IN_FLOW, first, last_ttl, 2, 0);
	want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 2, 0);
	round_begins(e, s);
}

/* Ways part: which one does this connection take, and how far does it get? */
static void ask_own_way(struct engine *e, struct stall *s)
{
	s->probing = true;
	want_probes(e, s, PROBE_IN_FLOW, 1, round_reach(s), 1, 0);
	want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 2, 0);
	round_begins(e, s);
}

/* Does the peer, whose answers are not limited, answer this one as it answers the lead? */
static void ask_alike(struct engine *e, struct stall *s)
{
	s->probing = true;
	want_probes(e, s, PROBE_IN_FLOW, END_TTL, END_TTL, 2, 0);
	if (round_full_possible(s))
		want_probes(e, s, PROBE_IN_FLOW_FULL, END_TTL, END_TTL, 2, s->full_size);
	round_begins(e, s);
}

static void follow(struct engine *e, struct stall *s, const struct stall *lead)
{
	if (lead->peer.acked) {
		group_compare(s, lead);
		ask_alike(e, s);
	} else if (path_look(lead).balanced) {
		group_follow_path(s, lead);
		ask_own_way(e, s);
	} else {
		ask_behind(e, s, group_follow(s, lead));
	}
}

/*
 * Where the budget is spent, what others found stands for this one as well; if nobody has found
 * anything yet, it waits.
 */
void round_path(struct engine *e, struct stall *s)
{
	/* What the lead found may be over, too, once s has seen that the path has changed. */
	const struct stall *lead = round_in_flow_possible(s) && !s->fresh_starts && !s->alone
					   ? group_lead(e, s)
					   : NULL;
	bool busy = round_busy(e);

	if (!lead && busy)
		lead = group_beside(e, s);
	/* One that reaches the peer by some way does not tell which way this one goes. Nor do its
	 * packets tell of larger ones. */
	if (lead && lead->asked && !busy && lead->peer.acked &&
	    (path_look(lead).balanced || lead->full_size != s->full_size))
		lead = NULL;
	s->waiting = lead && !lead->asked;
	if (!lead && !busy) {
		group_register(e, s);
		ask_path(e, s);
	} else if (lead && lead->asked && busy) {
		group_adopt(s, lead);
	} else if (lead && lead->asked) {
		follow(e, s, lead);
	}
}

/* A forged reset: who is so many hops away? */
void round_author(struct engine *e, struct stall *s)
{
	int last_ttl = s->reset_hops < MAX_DISTANCE ? s->reset_hops : MAX_DISTANCE;

	s->probing = true;
	want_probes(e, s, PROBE_CONTROL, last_ttl, last_ttl, 2, 0);
	round_begins(e, s);
}

/* A handshake was refused: from how far away, and who is there? */
void round_refuser(struct engine *e, struct stall *s)
{
	const struct stall *other = group_last(e, s);

	s->waiting = other && other->phase != STALL_FREE && other->outstanding > 0;
	if (s->waiting)
		return;
	if (other) {
		group_adopt(s, other);
		return;
	}
	group_register(e, s);
	s->probing = true;
	want_probes(e, s, PROBE_CONTROL, 1, round_reach(s), 1, 0);
	want_probes(e, s, PROBE_CONTROL, END_TTL, END_TTL, 2, 0);
	round_begins(e, s);
}

int round_farthest(const struct stall *s, enum probe_kind kind, int n)
{
	while (n && !s->pub.hops[n - 1].probes[kind].answered)
		n--;
	return n;
}

/* From behind the last hop that this connection reaches to where others stop. */
void round_frontier(struct engine *e, struct stall *s)
{
	int known = s->distance && s->distance < s->pub.n_hops ? s->distance : s->pub.n_hops;
	int ours = round_farthest(s, PROBE_IN_FLOW, known);
	int others = round_farthest(s, PROBE_CONTROL, known);
	int first = (round_in_flow_possible(s) ? ours : others) + 1;
	int last_ttl = (ours > others ? ours : others) + (s->distance ? 1 : ROUND_BEHIND);
	int farthest = s->distance ? s->distance : MAX_DISTANCE;

	if (last_ttl > first + ROUND_BEHIND)
		last_ttl = first + ROUND_BEHIND;
	if (last_ttl > farthest)
		last_ttl = farthest;
	if (first > last_ttl)
		first = last_ttl;
	want_probes(e, s, PROBE_CONTROL, first, last_ttl, 1, 0);
	if (round_in_flow_possible(s))
		want_probes(e, s, PROBE_IN_FLOW, first, last_ttl, 1, 0);
	if (round_full_possible(s))
		want_probes(e, s, PROBE_IN_FLOW_FULL, first, last_ttl, 1, s->full_size);
	round_begins(e, s);
	s->round_until_ns += 3 * HOP_RESTS_NS;
}

/*
 * Small and full-size packets of this connection are answered by the peer, and what the kernel
 * sends again is not: then the segment itself goes along the path. Not to the peer: that is the
 * kernel's to do. So too where too little has been acknowledged for packets of full size.
 */
bool round_copies_tell(const struct engine *e, const struct stall *s)
{
	const struct flow_snapshot *last = &s->pub.last;
	/* It was sent again in vain: once, and there was time for an answer, or more often. */
	bool refused =
		last->retrans > 1 ||
		(last->retrans && e->now_ns >= last->retrans_ns + 2 * NS_PER_US * last->rtt_us);

	return s->asked && !s->copying && s->sends && s->peer.acked &&
	       (s->peer.full_ns || !round_full_possible(s)) && s->distance > 1 && refused &&
	       last->unacked_segs && round_in_flow_possible(s);
}

void round_copies(struct engine *e, struct stall *s)
{
	s->copying = true;
	want_probes(e, s, PROBE_IN_FLOW_COPY, 1, s->distance - 1, COPIES_A_HOP, 0);
	round_begins(e, s);
	s->round_until_ns += COPIES_A_HOP * HOP_RESTS_NS;
}

static bool same_peer_moves(const struct stall *s)
{
	for (int i = 0; i < s->pub.n_witnesses; i++)
		if (s->pub.witnesses[i].same_peer)
			return true;
	return false;
}

/*
 * Does every connection end there that goes the flow's way? That is asked where packets of the flow
 * end, those of a fresh port go on, and ways part before. So too where nothing goes on while
 * another connection to this peer moves: it may go another way, and the fresh ports may not. Where
 * all meet one router there, ways may part right behind it. Returns the TTL to ask; 0: it would not
 * tell.
 */
int round_ways_tell(const struct stall *s, const struct path_view *p)
{
	if (!s->asked || !p->flow || p->flow >= p->n || !round_affords(s, 2 * WAYS))
		return 0;
	if (s->swept_at) {
		bool some = s->ways_passed && s->ways_passed != s->ways_sent;

		return some && (p->mixed || !p->balanced) && s->swept_at == p->flow &&
				       p->flow + 1 < p->n
			       ? p->flow + 1
			       : 0;
	}
	if (p->balanced && p->balanced <= p->flow && p->flow < p->control) {
		/* Who meets the flow's last router there is like it, whichever way it came. */
		int at = s->flow_hop[p->flow].family ? p->flow : p->balanced;

		return s->flow_hop[at].family ? at : 0;
	}
	return p->flow == p->control && p->beyond_missed > 1 && same_peer_moves(s) ? p->flow : 0;
}

/* Towards the peer only once: a port keeps its way. */
void round_ways(struct engine *e, struct stall *s, int ttl)
{
	const bool again = s->swept_at;

	s->swept_at = (uint8_t)ttl;
	memset(s->way_hop, 0, sizeof(s->way_hop));
	want_probes(e, s, PROBE_CONTROL, ttl, ttl, WAYS, 0);
	if (!again)
		want_probes(e, s, PROBE_CONTROL, END_TTL, END_TTL, WAYS, 0);
	round_begins(e, s);
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
void round_sizes(struct engine *e, struct stall *s)
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
	round_begins(e, s);
}

/* Takes the answers of the last step in: a size passes if anything of it, or above it, came
 * through. */
void round_sizes_narrow(struct stall *s)
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

bool round_sizes_tell(const struct stall *s)
{
	bool exact = s->sizing && s->size_fail - s->size_pass <= SIZE_EXACT;

	return s->full_size && !s->too_big_mtu && !exact && size_target(s);
}
