/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

#define LOOK_NS (100 * NS_PER_MS)
#define QUEUE	4096

struct ip_addr world_hop(const struct world *w, int node)
{
	uint8_t v4[4] = {203, 0, 113, (uint8_t)node},
		v6[16] = {0x20, 1, 0xd, 0xb8, [15] = (uint8_t)node};

	if (node == w->hops)
		return w->flow.key.remote.addr;
	return w->flow.key.local.addr.family == AF_INET6 ? addr_v6(v6) : addr_v4(v4);
}

static struct ip_addr host(bool v6, uint8_t which)
{
	uint8_t four[4] = {192, 0, 2, which}, six[16] = {0x20, 1, 0xd, 0xb8, 0, 1, [15] = which};

	return v6 ? addr_v6(six) : addr_v4(four);
}

void world_init(struct world *w, bool sends, bool v6)
{
	struct engine_config config = engine_defaults();
	struct flow_snapshot *f = &w->flow;
	struct direction *d;

	memset(w, 0, sizeof(*w));
	config.max_flows = 64;
	config.max_incidents = 16;
	if (engine_new(&config, &w->e))
		return;
	w->now_ns = 100 * NS_PER_S;
	w->sends = sends;
	w->hops = 5;
	w->rng = 1;
	f->key.cookie = 1;
	f->key.netns = 7;
	f->key.local = (struct endpoint){.addr = host(v6, 1), .port = 5432};
	f->key.remote = (struct endpoint){.addr = host(v6, 2), .port = 36151};
	f->born_ns = w->now_ns - 10 * NS_PER_S;
	f->state = TCP_ESTABLISHED;
	f->mss = 1448;
	f->pmtu = 1500;
	f->rtt_us = 20000;
	f->rto_us = 220000;
	f->snd_wnd = f->rcv_wnd = 1 << 20;
	f->ttl_in = 60;
	f->flags = SNAP_SACK | SNAP_TIMESTAMPS;
	d = sends ? &f->snd : &f->rcv;
	d->bytes = 100 << 20;
	d->progress_ns = w->now_ns;
	d->run_start_ns = f->born_ns;
	(sends ? &f->rcv : &f->snd)->bytes = 200;
	f->snd_una = f->snd_nxt = f->write_seq = 0xfffff000u + (uint32_t)f->snd.bytes;
	f->rcv_nxt = f->copied_seq = f->peer_nxt = 0x7000;
	f->last_in_ns = w->now_ns;
	if (sends) {
		f->snd_nxt += 64000;
		f->write_seq += 128000;
		f->unacked_segs = 44;
		f->owe_since_ns = f->born_ns;
	}
	w->route = (struct route_seen){
		.gateway = world_hop(w, 1),
		.ifindex = 2,
		.ifname = "eth0",
		.mtu = 1500,
		.lladdr = {2, 0, 0, 0, 0, 1},
		.carrier = 1,
		.speed_mbps = 1000,
		.best_mbps = 1000,
		.full_duplex = 1,
	};
	w->witness = *f;
	w->witness.key.cookie = 2;
	w->witness.key.local.port++;
	w->has_witness = true;
}

void world_free(struct world *w)
{
	engine_free(w->e);
	w->e = NULL;
}

/* nth: of several alike that were sent at once, from 0. */
static bool node_answers(struct world *w, int node, int nth)
{
	if (node < w->hops && (w->silent_hops >> node & 1))
		return false;
	if (w->icmp_burst && node < w->hops && w->answers[node] >= w->icmp_burst)
		return false;
	if (nth && node < w->hops && (w->hasty_hops >> node & 1))
		return false;
	w->answers[node]++;
	return true;
}

/* One in `one_in` is answered; all for 0 and 1, none for less. */
static bool comes_back(struct world *w, int one_in)
{
	w->rng = w->rng * 1664525u + 1013904223u;
	return one_in >= 0 && (one_in < 2 || (w->rng >> 16) % (uint32_t)one_in == 0);
}

/* One in `one_in` is lost; none for 0. By a xorshift: probes come in rounds of even length. */
static bool gets_lost(struct world *w, int one_in)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 17;
	w->rng ^= w->rng << 5;
	return one_in && w->rng % (uint32_t)one_in == 0;
}

/* How far this packet gets, and what comes back. */
static void travel(struct world *w, struct probe_seen *p, bool dropped_flow)
{
	const struct world_fault *f = &w->fault;
	bool in_flow = p->kind != PROBE_CONTROL && dropped_flow, other = !in_flow;
	bool healed = f->heals_ns && p->sent_ns >= f->heals_ns;
	int target = p->ttl < w->hops ? p->ttl : w->hops;

	if (f->loops_at && p->ttl > f->loops_at) {
		if (p->ttl >= MAX_HOPS) /* meant for the peer: it goes round until its TTL ends */
			return;
		target = f->loops_at - (p->ttl - f->loops_at) % 2;
	}
	if (w->first_link_loses && !comes_back(w, p->size > 200 ? w->next_full : w->next_small))
		return;
	if (w->member_dead)
		other = p->kind == PROBE_CONTROL &&
			(w->other_ways ? w->other_ways : 0xaa) >> p->way & 1;
	if (w->member_dead && w->member_silent && target >= w->balanced && !other)
		return;
	for (int node = 1; node < target; node++) {
		bool dropped = (node == f->blackhole_at && !healed) ||
			       (w->member_dead && node == w->balanced && !other) ||
			       (in_flow && node == f->state_at) ||
			       (p->kind == PROBE_CONTROL && node == w->dead_ways_at &&
				w->dead_ways >> p->way & 1) ||
			       (node == f->mtu_at && p->size > f->mtu) ||
			       (node == f->content_at && p->kind == PROBE_IN_FLOW_COPY) ||
			       (node == f->loses_at &&
				gets_lost(w, p->size > 200 ? f->loses_full : f->loses_small));

		if (dropped)
			return;
	}
	if (f->no_route_at && target >= f->no_route_at) {
		p->answer = ANSWER_UNREACHABLE;
		p->from = world_hop(w, f->no_route_at);
		p->answered_ns = w->now_ns + NS_PER_MS;
		return;
	}
	if (target == w->hops && (f->peer_dead || (in_flow && f->state_at == w->hops)))
		return;
	if (target == w->hops && in_flow && f->reverse_at)
		return;
	if (!node_answers(w, target, p->way))
		return;
	if (f->refused_by && !in_flow && (target > f->refused_by || target == w->hops)) {
		p->answer = ANSWER_RST;
		p->from = w->flow.key.remote.addr;
		p->answered_ns = w->now_ns + NS_PER_MS;
		p->answer_ttl = (uint8_t)(64 - f->refused_by + 1);
		return;
	}
	p->from = world_hop(w, target);
	if (f->damaged_at && target > f->damaged_at && target < w->hops && in_flow)
		p->altered = f->damage;
	if (target == w->balanced && other)
		p->from.bytes[3]++;
	p->answered_ns = w->now_ns + (uint64_t)target * NS_PER_MS;
	p->answer = target < w->hops	       ? ANSWER_TIME_EXCEEDED
		    : p->kind == PROBE_CONTROL ? ANSWER_SYN_ACK
					       : ANSWER_ACK;
	p->seq = w->flow.rcv_nxt + (w->sends || f->peer_idle ? 0 : 100000);
	p->answer_ttl = (uint8_t)(64 - target + 1);
}

struct queue {
	struct observation obs[QUEUE];
	int head, tail;
};

static void queue_push(struct queue *q, const struct observation *obs)
{
	if (q->head - q->tail < QUEUE)
		q->obs[q->head++ % QUEUE] = *obs;
}

static void grant_probes(struct world *w, struct queue *q, const struct want *want)
{
	const struct flow_key *dropped = w->fault.of_witness ? &w->witness.key : &w->flow.key;

	for (int ttl = want->probe.first_ttl; ttl <= want->probe.last_ttl; ttl++) {
		for (int i = 0; i < want->probe.count; i++) {
			struct observation o = {.type = OBS_PROBE, .now_ns = w->now_ns};

			o.probe.key = want->key;
			o.probe.kind = want->probe.kind;
			o.probe.ttl = (uint8_t)ttl;
			o.probe.way = (uint8_t)i;
			o.probe.size = want->probe.size ? want->probe.size : 53;
			o.probe.sent_ns = w->now_ns;
			if (o.probe.kind == PROBE_CONTROL)
				o.probe.sent_ns += w->controls_late_ns;
			if (w->unsendable) {
				o.probe.answer = ANSWER_NOT_SENT;
				o.probe.error = ENETUNREACH;
			} else {
				travel(w, &o.probe,
				       w->fault.of_all || want->key.cookie == dropped->cookie);
				w->probes++;
			}
			if (!w->untold || ttl < MAX_HOPS)
				queue_push(q, &o);
		}
	}
}

static void tell_onlink(struct world *w, struct queue *q, const struct onlink_seen *seen)
{
	struct observation o = {.type = OBS_ONLINK, .now_ns = w->now_ns, .onlink = *seen};

	w->onlink += seen->kind != ONLINK_DONE;
	w->probes += seen->kind != ONLINK_DONE;
	queue_push(q, &o);
}

static void ask_neighbour(struct world *w, struct queue *q, const struct want *want,
			  struct ip_addr addr, bool next_hop, int resolves, int echoes)
{
	struct onlink_seen seen = {.key = want->key, .addr = addr, .next_hop = next_hop};

	seen.kind = ONLINK_RESOLVE;
	for (int i = 0; i < resolves; i++) {
		seen.answered = !next_hop || (!w->unresolved && comes_back(w, w->next_small));
		memcpy(seen.lladdr, w->route.lladdr, 6);
		seen.lladdr[5] = addr.bytes[3];
		if (!seen.answered)
			memset(seen.lladdr, 0, 6);
		if (next_hop && w->claimant) {
			memcpy(seen.other_lladdr, w->route.lladdr, 6);
			seen.other_lladdr[5] = w->claimant;
		}
		tell_onlink(w, q, &seen);
	}
	memset(seen.lladdr, 0, 6);
	memset(seen.other_lladdr, 0, 6);
	seen.kind = ONLINK_ECHO;
	for (int i = 0; i < 2 * echoes; i++) {
		int small = next_hop ? w->next_small : w->other_small;
		int full = next_hop ? w->next_full : w->other_full;

		seen.full = i & 1;
		seen.size = seen.full ? want->onlink.size : 84;
		seen.answered = !(next_hop && (w->no_echo || w->unresolved)) &&
				comes_back(w, seen.full ? full : small);
		tell_onlink(w, q, &seen);
	}
}

static void grant_onlink(struct world *w, struct queue *q, const struct want *want)
{
	struct onlink_seen seen = {.key = want->key, .kind = ONLINK_CLAIM};
	bool close = want->onlink.close;

	seen.addr = want->key.local.addr;
	if (!close && w->own_claimant) {
		seen.answered = true;
		seen.lladdr[5] = w->own_claimant;
	}
	if (!close)
		tell_onlink(w, q, &seen);
	ask_neighbour(w, q, want, want->onlink.next_hop, true, 2, close ? 10 : 2);
	for (int i = 0; close && i < w->others; i++) {
		struct ip_addr addr = world_hop(w, 100 + i);

		ask_neighbour(w, q, want, addr, false, 1, 4);
	}
	seen = (struct onlink_seen){.key = want->key, .kind = ONLINK_DONE};
	tell_onlink(w, q, &seen);
}

static void grant(struct world *w, struct queue *q, const struct want *want)
{
	struct observation o = {.now_ns = w->now_ns};

	switch (want->kind) {
	case WANT_SCAN:
		o.type = OBS_SNAPSHOT;
		o.snapshot = w->flow;
		if (!w->gone)
			queue_push(q, &o);
		if (w->has_witness) {
			o.snapshot = w->witness;
			queue_push(q, &o);
		}
		o.type = OBS_SCANNED;
		queue_push(q, &o);
		break;
	case WANT_HOST:
		o.type = OBS_ROUTE;
		o.route = w->route;
		o.route.key = want->key;
		o.route.nud = w->gateway_nud;
		queue_push(q, &o);
		if (w->uplink.hop) {
			o.route = w->uplink;
			o.route.key = want->key;
			queue_push(q, &o);
		}
		break;
	case WANT_ONLINK:
		grant_onlink(w, q, want);
		break;
	case WANT_PROBE:
		grant_probes(w, q, want);
		break;
	case WANT_RELEASE:
		w->releases++;
		break;
	case WANT_LISTEN:
	case WANT_PACE:
		break;
	}
}

void world_step(struct world *w, const struct observation *obs)
{
	static struct queue q;
	struct output out;

	q.head = q.tail = 0;
	queue_push(&q, obs);
	while (q.tail < q.head) {
		struct observation o = q.obs[q.tail++ % QUEUE];

		engine_step(w->e, &o);
		while (engine_next(w->e, &out)) {
			w->begins += out.kind == OUT_STALL_BEGIN;
			w->verdicts += out.kind == OUT_VERDICT;
			w->ends += out.kind == OUT_STALL_END;
			w->slow_begins += out.kind == OUT_SLOW_BEGIN;
			w->slow_ends += out.kind == OUT_SLOW_END;
			if (out.kind == OUT_VERDICT && !w->verdict_ns)
				w->verdict_ns = w->now_ns;
			if (out.kind == OUT_VERDICT)
				w->told[out.incident->key.cookie != w->flow.key.cookie] =
					out.incident->verdict.cause;
			if (out.kind == OUT_WANT)
				grant(w, &q, &out.want);
			else
				w->incident = *out.incident;
		}
	}
}

void world_progress(struct world *w, uint64_t bytes)
{
	struct direction *d = w->sends ? &w->flow.snd : &w->flow.rcv;

	d->bytes += bytes;
	d->run_start_ns = d->progress_ns = w->now_ns;
	if (w->sends)
		w->flow.snd_una += (uint32_t)bytes;
	else
		w->flow.rcv_nxt += (uint32_t)bytes;
}

/* Timeouts as the kernel makes them, doubling. */
static void retransmit(struct world *w)
{
	struct flow_snapshot *f = &w->flow;
	uint64_t first_ns = w->timeout_ns ? w->timeout_ns : 220 * NS_PER_MS;
	uint64_t due_ns = f->snd.progress_ns + (((uint64_t)1 << (f->retrans + 1)) - 1) * first_ns;

	if (!w->sends || !f->unacked_segs || w->now_ns < due_ns)
		return;
	f->retrans++;
	f->backoff++;
	f->rto_us *= 2;
	f->retrans_ns = w->now_ns;
}

void world_run(struct world *w, uint64_t ns)
{
	struct direction *d = w->sends ? &w->witness.snd : &w->witness.rcv;

	for (uint64_t end_ns = w->now_ns + ns; w->now_ns < end_ns;) {
		struct observation o = {.type = OBS_SNAPSHOT};

		w->now_ns += LOOK_NS;
		if (!w->witness_stalls) {
			d->bytes += 1 << 20;
			d->progress_ns = w->now_ns;
		}
		retransmit(w);
		o.now_ns = w->now_ns;
		o.snapshot = w->flow;
		if (w->gone)
			o.type = OBS_TICK;
		world_step(w, &o);
		if (w->witness_stalls) {
			o.snapshot = w->witness;
			o.snapshot.retrans = w->flow.retrans;
			o.snapshot.retrans_ns = w->flow.retrans_ns;
			world_step(w, &o);
		}
	}
}

const struct tick world_fast = {.bps = FAST, .segs = 17000};

void world_tick(struct world *w, const struct tick *t)
{
	struct observation o = {.type = OBS_SNAPSHOT};
	struct flow_snapshot *f = &w->flow;
	uint64_t bytes = (uint64_t)t->bps / 8 * TICK_S;
	uint64_t busy_us = TICK_S * 10000ull * (t->busy_percent ? t->busy_percent : 100);

	w->now_ns += TICK_S * NS_PER_S;
	f->snd.bytes += bytes;
	f->snd.progress_ns = w->now_ns;
	f->snd_una += (uint32_t)bytes;
	f->snd_nxt += (uint32_t)bytes;
	f->write_seq += (uint32_t)bytes;
	f->busy_us += busy_us;
	f->rwnd_limited_us += busy_us * t->rwnd_percent / 100;
	f->data_segs_out += t->segs;
	f->total_retrans += t->retrans;
	f->retrans_runs += t->runs;
	f->rtt_us = t->rtt_us ? t->rtt_us : 20000;
	f->min_rtt_us = 20000;
	f->snd_wnd = t->snd_wnd ? t->snd_wnd : 1 << 20;
	o.now_ns = w->now_ns;
	o.snapshot = *f;
	world_step(w, &o);
}

void world_ticks(struct world *w, int n, struct tick t)
{
	for (int i = 0; i < n; i++)
		world_tick(w, &t);
}

void world_wait(struct world *w, int tenths)
{
	for (int i = 0; i < tenths; i++) {
		w->now_ns += NS_PER_S / 10;
		world_step(w, &(struct observation){.type = OBS_TICK, .now_ns = w->now_ns});
	}
}

void expect(struct world *w, enum cause cause, enum place_kind kind, int ttl)
{
	const struct verdict *v = &w->incident.verdict;

	if (v->cause != cause || v->where.kind != kind || v->where.ttl != ttl) {
		print_error("got %s %.2f at %s %u %.2f (%s)\n", cause_info(v->cause)->id,
			    v->cause_confidence, place_kind_id(v->where.kind), v->where.ttl,
			    v->where.confidence, v->detail);
		for (int i = 0; i < v->n_evidence; i++)
			print_error("  %5.1f %s: %s\n", v->evidence[i].weight, v->evidence[i].id,
				    v->evidence[i].text);
		for (int i = 0; i < w->incident.n_neighbours; i++) {
			const struct neighbour *n = &w->incident.neighbours[i];

			print_error("  neighbour %d: %u/%u %u/%u %u/%u\n", i, n->resolve.answered,
				    n->resolve.sent, n->small.answered, n->small.sent,
				    n->full.answered, n->full.sent);
		}
	}
	assert_int_equal(v->cause, cause);
	assert_int_equal(v->where.kind, kind);
	assert_int_equal(v->where.ttl, ttl);
}
