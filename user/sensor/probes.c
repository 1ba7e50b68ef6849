/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Probes of a path, by whoever: ours beside an incident that was exported, those of another
 * watcher, a tcptraceroute. Inside a connection they are no segments of its stack: what they carry
 * is acknowledged already, or a copy of what is owed; taken for segments they would make a sender
 * that repeats what has arrived. Beside it they are SYNs to the same port. Most come with a TTL
 * that no host begins with, and are known by it; who answers at which TTL is told to the engine as
 * if it had asked. How our own probes are made is in probe/craft.c.
 */
#include <string.h>

#include "sensor/tracker_impl.h"

#define TIMEOUT_NS  NS_PER_S /* PROBE_TIMEOUT_NS: an answer that comes later is none */
#define TO_PEER	    0	     /* sent with the usual TTL */
#define PEER_TTL    64	     /* as the engine knows those */
#define PROBE_WAYS  6
#define ASKED_TWICE 2
#define USUAL_WAYS  2 /* fresh ports of a round; more are to tell the ways of a balancer apart */

/* --- those that are kept ---------------------------------------------------------------------
 */

static uint32_t n_kept(const struct tracker *t)
{
	return t->n_probes < PROBES_KEPT ? t->n_probes : PROBES_KEPT;
}

/* The oldest is 0. */
static struct kept_probe *kept(struct tracker *t, uint32_t i)
{
	uint32_t first = t->n_probes < PROBES_KEPT ? 0 : t->n_probes;

	return &t->probes[(first + i) % PROBES_KEPT];
}

static bool same_ends(const struct kept_probe *p, const struct frame *f)
{
	return p->dport == f->dport && p->sport == f->sport && p->family == f->family &&
	       !memcmp(&p->src, &f->src, sizeof(p->src)) &&
	       !memcmp(&p->dst, &f->dst, sizeof(p->dst));
}

static bool is_in_flow(const struct kept_probe *p)
{
	return p->kind == PROBE_IN_FLOW || p->kind == PROBE_IN_FLOW_FULL;
}

/* --- what is one --------------------------------------------------------------------------------
 */

static bool acknowledged(const struct half *h, const struct frame *f)
{
	int32_t end = seq_diff(f->seq + f->payload, h->una);

	return f->payload ? end <= 0 && end > -MAX_JUMP : seq_diff(f->seq, h->una) == -1;
}

/* Inside the connection of f. NULL: none. */
static const struct kept_probe *first_kept(struct tracker *t, const struct frame *f)
{
	for (uint32_t i = 0; i < n_kept(t); i++)
		if (is_in_flow(kept(t, i)) && same_ends(kept(t, i), f))
			return kept(t, i);
	return NULL;
}

/*
 * Nothing else is here of this connection: it was probed for another one, too. Where a stream would
 * go on, probes stay below what has been acknowledged, and begin a copy there.
 */
static enum probe_kind kind_alone(const struct kept_probe *first, const struct frame *f)
{
	bool low = f->ttl <= LOW_TTL;

	if (!first)
		return low && f->payload == 1 ? PROBE_IN_FLOW : PROBE_KINDS;
	if (seq_diff(f->seq + f->payload, first->seq + first->len) <= 0)
		return f->payload > 1 ? PROBE_IN_FLOW_FULL : PROBE_IN_FLOW;
	return low && f->seq - first->seq <= first->len ? PROBE_IN_FLOW_COPY : PROBE_KINDS;
}

/* PROBE_KINDS: none. */
static enum probe_kind kind_of(struct tracker *t, const struct flow_entry *e, int dir,
			       const struct frame *f)
{
	const struct half *h = &e->half[dir], *o = &e->half[!dir];
	bool known = e->probed >> dir & 1, low = f->ttl <= LOW_TTL;

	if (f->flags & (TCP_RST | TCP_FIN))
		return PROBE_KINDS;
	if (f->flags & TCP_SYN)
		return !(f->flags & TCP_ACK) && (low || known) ? PROBE_CONTROL : PROBE_KINDS;
	if (!(f->flags & TCP_ACK))
		return PROBE_KINDS;
	if (!(h->flags & HALF_BASED))
		return kind_alone(known ? first_kept(t, f) : NULL, f);
	low = low && h->ttl > LOW_TTL;
	if (!acknowledged(h, f))
		return low && f->payload && seq_diff(f->seq, h->una) >= 0 &&
				       seq_diff(f->seq + f->payload, h->nxt) <= 0
			       ? PROBE_IN_FLOW_COPY
			       : PROBE_KINDS;
	/* A stack repeats with the latest acknowledgement, a probe keeps behind it. */
	if (!low && (!f->payload || seq_diff(f->ack, o->una) >= 0 || (!known && f->payload > 1)))
		return PROBE_KINDS;
	return f->payload > 1 ? PROBE_IN_FLOW_FULL : PROBE_IN_FLOW;
}

static void keep(struct tracker *t, struct flow_entry *e, int dir, const struct frame *f,
		 enum probe_kind kind)
{
	t->probes[t->n_probes++ % PROBES_KEPT] = (struct kept_probe){
		.src = f->src,
		.dst = f->dst,
		.sport = f->sport,
		.dport = f->dport,
		.family = f->family,
		.kind = (uint8_t)kind,
		.ttl = f->ttl <= LOW_TTL ? f->ttl : TO_PEER,
		.ip_id = f->ip_id,
		.size = f->ip_len,
		.stamped = f->has & HAS_TIMESTAMPS,
		.window = f->window,
		.seq = f->seq,
		.ack = f->ack,
		.tsval = f->tsval,
		.len = f->payload,
		.sent_ns = t->now_ns,
	};
	e->probed |= 1u << dir;
}

/* --- what answers one ---------------------------------------------------------------------------
 */

static bool waits(const struct tracker *t, const struct kept_probe *p)
{
	return !p->answer && t->now_ns - p->sent_ns <= TIMEOUT_NS;
}

static bool repeats_range(const struct kept_probe *p, const struct frame *f)
{
	return f->n_sacks && f->sacks[0][0] == p->seq && f->sacks[0][1] == p->seq + p->len &&
	       seq_diff(f->ack, f->sacks[0][1]) >= 0; /* RFC 2883 4 */
}

/* Whether f, which goes the way back of p, answers it. */
static enum probe_answer answer_of(const struct kept_probe *p, const struct frame *f)
{
	uint8_t flags = f->flags & (TCP_SYN | TCP_RST | TCP_ACK);

	if (p->kind == PROBE_CONTROL && flags & TCP_ACK && f->ack == p->seq + 1)
		return flags & TCP_SYN	 ? ANSWER_SYN_ACK
		       : flags & TCP_RST ? ANSWER_RST
					 : ANSWER_NONE;
	if (!is_in_flow(p))
		return ANSWER_NONE; /* an ACK of a copy is the transfer going on */
	if (flags & TCP_RST)	    /* RFC 9293 3.5.2: its SEQ is our ACK */
		return f->seq == p->ack ? ANSWER_RST : ANSWER_NONE;
	return repeats_range(p, f) ? ANSWER_ACK : ANSWER_NONE;
}

static bool plain_ack(const struct half *h, const struct frame *f)
{
	return f->flags == TCP_ACK && !f->payload && !f->n_sacks && f->ack == h->una;
}

static void answered(struct tracker *t, struct kept_probe *p, const struct frame *f,
		     enum probe_answer answer)
{
	p->answer = (uint8_t)answer;
	p->answer_ttl = f->ttl;
	p->answered_ns = t->now_ns;
	p->answer_seq = f->seq;
	p->from = frame_addr_of(&f->src, f->family);
}

/*
 * A receiver without D-SACK answers what it has with a plain ACK that tells nothing new: that of
 * the probe that could go farthest, beyond the routers that have answered; the oldest of equals.
 */
static struct kept_probe *answers(struct tracker *t, const struct half *h, const struct frame *f)
{
	struct frame back = *f; /* as the probe went */
	struct kept_probe *best = NULL;
	bool plain = plain_ack(h, f);
	uint32_t routers = 0;

	back.src = f->dst;
	back.dst = f->src;
	back.sport = f->dport;
	back.dport = f->sport;
	for (uint32_t i = 0; i < n_kept(t); i++) {
		struct kept_probe *p = kept(t, i);
		enum probe_answer answer;

		if (!same_ends(p, &back))
			continue;
		if (p->answer == ANSWER_TIME_EXCEEDED && p->ttl > routers)
			routers = p->ttl;
		plain &= !p->by_range;
		if (!waits(t, p))
			continue;
		answer = answer_of(p, f);
		if (answer) {
			answered(t, p, f, answer);
			p->by_range = answer == ANSWER_ACK;
			return p;
		}
		if (is_in_flow(p) && (!best || (best->ttl && (!p->ttl || p->ttl > best->ttl))))
			best = p;
	}
	if (!plain || !best || (best->ttl && best->ttl <= routers))
		return NULL;
	answered(t, best, f, ANSWER_ACK);
	return best;
}

static void look_at_sender(struct tracker *t, uint32_t node);

enum probe_part probes_look(struct tracker *t, struct flow_entry *e, int dir, const struct frame *f)
{
	enum probe_kind kind = kind_of(t, e, dir, f);
	const struct kept_probe *p;

	if (kind < PROBE_KINDS) {
		keep(t, e, dir, f, kind);
		if (kind == PROBE_CONTROL)
			return NO_PROBE;
		look_at_sender(t, (uint32_t)(e - t->flows) * 2 + !dir);
		return IS_PROBE;
	}
	p = e->probed >> !dir & 1 ? answers(t, &e->half[!dir], f) : NULL;
	if (!p || p->kind == PROBE_CONTROL)
		return NO_PROBE;
	return f->flags & TCP_RST ? IS_PROBE : ANSWERS_PROBE; /* RFC 5961 3.2: it resets nothing */
}

static enum probe_answer error_answer(const struct frame *f)
{
	bool v6 = f->icmp_family == 6;

	if (f->icmp_type == (v6 ? 3 : 11))
		return f->icmp_code ? ANSWER_NONE : ANSWER_TIME_EXCEEDED;
	if (v6 ? f->icmp_type == 2 : f->icmp_type == 3 && f->icmp_code == 4)
		return ANSWER_TOO_BIG;
	return f->icmp_type == (v6 ? 1 : 3) ? ANSWER_UNREACHABLE : ANSWER_NONE;
}

/* Others of its TTL, between the same hosts, were answered from there. */
static bool is_router_of(struct tracker *t, const struct kept_probe *p, const struct ip_addr *from)
{
	for (uint32_t i = 0; i < n_kept(t); i++) {
		const struct kept_probe *o = kept(t, i);

		if (o->ttl == p->ttl && o->answer == ANSWER_TIME_EXCEEDED &&
		    addr_equal(&o->from, from) && !memcmp(&o->dst, &p->dst, sizeof(p->dst)))
			return true;
	}
	return false;
}

/* What the router quotes otherwise than it came by. Its addresses and ports are as they were. */
static uint8_t altered(const struct kept_probe *p, const struct frame *f)
{
	bool stamps = p->stamped && f->has & HAS_TIMESTAMPS;

	if (!f->flags)
		return 0;
	return (uint8_t)((f->ack != p->ack ? ALTERED_SEQUENCE : 0) |
			 (f->window != p->window ? ALTERED_WINDOW : 0) |
			 (stamps && f->tsval != p->tsval ? ALTERED_OPTIONS : 0));
}

/* Copies are told apart by their IP identification; IPv6 has none: then by who answers there. */
bool probes_icmp(struct tracker *t, const struct frame *f)
{
	enum probe_answer answer = error_answer(f);
	struct ip_addr from = frame_addr_of(&f->icmp_from, f->icmp_family);
	struct kept_probe *best = NULL;
	int best_score = 0;

	for (uint32_t i = 0; answer && i < n_kept(t); i++) {
		struct kept_probe *p = kept(t, i);
		int score;

		if (p->seq != f->seq || !same_ends(p, f) || !waits(t, p))
			continue;
		score = 1 + 4 * (p->ip_id && p->ip_id == f->ip_id) + 2 * is_router_of(t, p, &from);
		if (score > best_score) {
			best = p;
			best_score = score;
		}
	}
	if (!best)
		return false;
	answered(t, best, f, answer);
	best->from = from;
	best->mtu = f->icmp_mtu;
	best->code = f->icmp_code;
	best->altered = altered(best, f);
	return true;
}

/* --- to the engine ------------------------------------------------------------------------------
 */

static bool same_hosts(const struct kept_probe *p, const struct flow_entry *e, int dir)
{
	return p->family == e->family && !memcmp(&p->src, &e->addr[dir], sizeof(p->src)) &&
	       !memcmp(&p->dst, &e->addr[!dir], sizeof(p->dst));
}

static bool own(const struct kept_probe *p, const struct flow_entry *e, int dir)
{
	return p->dport == e->port[!dir] && p->sport == e->port[dir] && p->kind != PROBE_CONTROL;
}

/*
 * Beside the connection: between the same hosts, to whichever port, since one way is asked once. A
 * connection that stalls with another is asked inside only from where that one's answers ended
 * (engine/round.c, ask_behind()): what was asked inside the other before that counts for both.
 * led_below: that TTL; 0: none.
 */
static bool is_about(const struct kept_probe *p, const struct flow_entry *e, int dir,
		     uint8_t led_below)
{
	if (!same_hosts(p, e, dir))
		return false;
	return own(p, e, dir) || p->kind == PROBE_CONTROL ||
	       (is_in_flow(p) && p->ttl != TO_PEER && p->ttl < led_below);
}

/* The lowest TTL that this connection itself was asked with since then; 0: it was not. */
static uint8_t first_asked(struct tracker *t, const struct flow_entry *e, int dir,
			   uint64_t since_ns)
{
	uint8_t first = 0;

	for (uint32_t i = 0; i < n_kept(t); i++) {
		const struct kept_probe *p = kept(t, i);
		uint8_t ttl = p->ttl == TO_PEER ? PEER_TTL : p->ttl;

		if (same_hosts(p, e, dir) && own(p, e, dir) && is_in_flow(p) &&
		    p->sent_ns >= since_ns && (!first || ttl < first))
			first = ttl;
	}
	return first;
}

static uint64_t settled_ns(const struct kept_probe *p)
{
	return p->answer ? p->answered_ns : p->sent_ns + TIMEOUT_NS;
}

/* Which of the fresh ports, in the order of their first probes. */
static uint8_t way_of(uint16_t ports[PROBE_WAYS], uint16_t port)
{
	uint8_t i = 0;

	while (i < PROBE_WAYS && ports[i] && ports[i] != port)
		i++;
	if (i < PROBE_WAYS)
		ports[i] = port;
	return i;
}

/* The TTL that more fresh ports than usual were tried with since then, as on the wire; 0: none. */
static uint8_t swept(struct tracker *t, const struct flow_entry *e, int dir, uint64_t since_ns)
{
	uint16_t ports[PROBE_WAYS] = {0};
	uint8_t ttl = 0;

	for (uint32_t i = 0; i < n_kept(t); i++) {
		const struct kept_probe *p = kept(t, i);

		if (p->kind == PROBE_CONTROL && p->sent_ns >= since_ns && same_hosts(p, e, dir) &&
		    way_of(ports, p->sport) >= USUAL_WAYS && p->ttl != TO_PEER)
			ttl = p->ttl;
	}
	return ttl;
}

/* What a TTL on the wire is at the sender. */
static uint8_t ttl_at_sender(const struct half *h, uint8_t ttl)
{
	return (uint8_t)(ttl + routers_behind(h->ttl));
}

/* Those sent after since_ns, and each only once. */
static void tell(struct tracker *t, uint32_t node, uint64_t since_ns)
{
	struct half *h = half_at(t, node);
	const struct flow_entry *e = &t->flows[node >> 1];
	struct detail *d = t->n_probes ? detail_make(t, h) : NULL;
	const uint8_t led_below = d ? first_asked(t, e, node & 1, since_ns) : 0;
	const uint8_t swept_at = d ? swept(t, e, node & 1, since_ns) : 0;
	uint16_t ports[PROBE_WAYS] = {0};

	for (uint32_t i = 0; d && i < n_kept(t); i++) {
		const struct kept_probe *p = kept(t, i);
		struct observation obs = {.type = OBS_PROBE, .now_ns = t->now_ns};
		uint8_t way;

		if (!is_about(p, e, node & 1, led_below) || p->sent_ns < since_ns)
			continue;
		way = p->kind == PROBE_CONTROL ? way_of(ports, p->sport) : 0;
		/* Until this one was asked itself nobody knew that the other's count. */
		if (settled_ns(p) > t->now_ns ||
		    (settled_ns(p) <= d->probes_told_ns &&
		     (d->led || !is_in_flow(p) || own(p, e, node & 1))))
			continue;
		obs.probe = (struct probe_seen){
			.key = report_key(t, node),
			.kind = (enum probe_kind)p->kind,
			.answer = (enum probe_answer)p->answer,
			.ttl = p->ttl ? ttl_at_sender(h, p->ttl) : PEER_TTL,
			.answer_ttl = p->answer_ttl,
			.icmp_code = p->code,
			.altered = p->altered,
			.way = way,
			.swept = swept_at ? ttl_at_sender(h, swept_at) : 0,
			.size = p->size,
			.mtu = p->mtu,
			.seq = p->answer_seq,
			.from = p->from,
			.sent_ns = p->sent_ns,
			.answered_ns = p->answered_ns,
		};
		t->config.observe(&obs, t->config.arg);
	}
	if (d) {
		d->probes_told_ns = t->now_ns;
		d->led = led_below != 0;
	}
}

void probes_tell(struct tracker *t, uint32_t node)
{
	tell(t, node, half_silent_since(half_at(t, node)));
}

/* --- a receiver that asks -----------------------------------------------------------------------
 * A silent sender behind a fault looks idle. Where its receiver asks and hears nothing it is not.
 */

static uint32_t *asking(struct tracker *t, uint32_t node)
{
	uint32_t i = 0;

	while (i < t->n_asking && t->asking[i] != node)
		i++;
	return i < t->n_asking ? &t->asking[i] : NULL;
}

static void tell_asking(struct tracker *t, uint32_t node, bool recovered)
{
	struct observation obs = {.type = OBS_CAPTURE, .now_ns = t->now_ns};

	obs.capture = report_capture(t, node);
	obs.capture.key = report_key(t, node ^ 1);
	obs.capture.local_receives = true;
	obs.capture.recovered = recovered;
	t->config.observe(&obs, t->config.arg);
	obs = (struct observation){.type = OBS_SNAPSHOT, .now_ns = t->now_ns};
	obs.snapshot = report_snapshot(t, node ^ 1);
	t->config.observe(&obs, t->config.arg);
	if (!recovered)
		tell(t, node ^ 1, half_at(t, node)->progress_ns);
}

/* A sender that answers, and has sent nothing that did not arrive, is idle. */
static bool in_vain(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node);
	uint32_t unanswered = 0;

	for (uint32_t i = 0; i < n_kept(t); i++) {
		const struct kept_probe *p = kept(t, i);

		if (!is_in_flow(p) || !is_about(p, &t->flows[node >> 1], !(node & 1), 0) ||
		    p->sent_ns < h->progress_ns || settled_ns(p) > t->now_ns)
			continue;
		if (p->answer == ANSWER_ACK && seq_diff(p->answer_seq, h->una) <= 0)
			return false;
		unanswered += !p->answer;
	}
	return unanswered >= ASKED_TWICE;
}

/* The other half of `node` asks. */
static void look_at_sender(struct tracker *t, uint32_t node)
{
	const struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);

	if (!(h->flags & HALF_TRANSFER) || ((h->flags | o->flags) & (HALF_RESET | HALF_OPEN)) ||
	    (h->flags & HALF_FIN) || half_owes(t, node) || live_is_ours(t, node) ||
	    t->now_ns - h->progress_ns < t->config.stall_after_ns || !in_vain(t, node))
		return;
	if (!asking(t, node)) {
		if (t->n_asking == ASKING)
			return;
		t->asking[t->n_asking++] = node;
	}
	tell_asking(t, node, false);
}

void probes_over(struct tracker *t, uint32_t node, bool recovered, enum gone_reason reason)
{
	uint32_t *at = asking(t, node);
	struct observation obs = {.type = OBS_GONE, .now_ns = t->now_ns};

	if (!at)
		return;
	*at = t->asking[--t->n_asking];
	tell_asking(t, node, recovered);
	obs.gone.last = report_snapshot(t, node ^ 1);
	obs.gone.reason = reason;
	t->config.observe(&obs, t->config.arg);
}

void probes_end(struct tracker *t)
{
	for (uint32_t node = 0; t->n_probes && node < 2 * t->top; node++)
		if (t->flows[node >> 1].used && t->flows[node >> 1].probed >> !(node & 1) & 1)
			look_at_sender(t, node);
}
