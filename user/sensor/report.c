/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tracker tells the engine. Each direction is a flow of its own there, its sender the
 * local end: the cookie is twice the number of the connection, plus the direction.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/tracker_impl.h"

#define WITNESSES_LOOKED_AT 65536
#define REFUSED_HOPS	    2 /* of difference between a forged reset and the peer */
#define WITNESS_NS	    (NS_PER_S / 2)
#define TIMESTAMPS_LEN	    12 /* bytes of the option, padded */
#define GIVEN_UP	    3 /* timeouts in a row without an answer: the receiver is heard no more */

static struct endpoint end_of(const struct flow_entry *e, int dir)
{
	return (struct endpoint){.addr = frame_addr_of(&e->addr[dir], e->family),
				 .port = e->port[dir]};
}

static struct flow_key key_of(const struct flow_entry *e, int dir)
{
	return (struct flow_key){
		.cookie = (uint64_t)e->number * 2 + (uint64_t)dir,
		.local = end_of(e, dir),
		.remote = end_of(e, !dir),
	};
}

/*
 * Offloads hand over several segments as one. Each end offers what its own link takes, so that the
 * smaller offer holds both ways; options come out of it (RFC 6691).
 */
static uint16_t segment_of(const struct flow_entry *e, const struct half *h)
{
	uint16_t most = e->mss > TIMESTAMPS_LEN && (h->flags & HALF_TIMESTAMPS)
				? (uint16_t)(e->mss - TIMESTAMPS_LEN)
				: e->mss;

	return most && h->mss > most ? most : h->mss;
}

uint32_t report_segs(struct tracker *t, uint32_t node, uint64_t bytes)
{
	uint16_t mss = segment_of(&t->flows[node >> 1], half_at(t, node));

	return mss ? (uint32_t)((bytes + mss - 1) / mss) : 0;
}

/* Of what the receiver sends: the routers between the sender and here count it down as well. */
static uint8_t ttl_at_sender(const struct half *h, const struct half *o)
{
	int behind = routers_behind(h->ttl);

	return (uint8_t)(o->ttl > behind ? o->ttl - behind : o->ttl);
}

struct flow_snapshot report_snapshot(struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	int dir = node & 1;
	const struct half *h = &e->half[dir], *o = &e->half[!dir];
	const struct detail *d = h->detail == NO_DETAIL ? NULL : &t->details[h->detail];
	uint16_t mss = segment_of(e, h);
	bool shut = (h->flags & HALF_SHUT) && half_out(h) <= 1;
	struct flow_snapshot s = {
		.key = key_of(e, dir),
		.snd = {.bytes = half_moved_bytes(h),
			.progress_ns = h->progress_ns,
			.run_start_ns = e->born_ns},
		.rcv = {.bytes = half_moved_bytes(o), .progress_ns = o->progress_ns},
		.born_ns = e->born_ns,
		.owe_since_ns = h->owe_ns,
		.last_in_ns = o->last_ns,
		.retrans_ns = d ? d->retrans_ns : 0,
		.snd_una = half_known_una(t, h),
		.snd_nxt = h->nxt,
		.write_seq = h->nxt + ((h->flags & HALF_SHUT) && h->una == h->nxt),
		.rcv_nxt = o->una,
		.copied_seq = o->una,
		.peer_nxt = o->nxt,
		.retrans_seq = half_known_una(t, h),
		.retrans_len = d ? d->stuck_len : 0,
		.snd_wnd = half_window(h, o),
		.mss = mss,
		.rtt_us = h->srtt_us + o->srtt_us,
		.min_rtt_us = h->min_rtt_us + o->min_rtt_us,
		.retrans = h->tries,
		.unacked_segs = shut ? 0 : half_out(h) / (mss ? mss : 1) + (half_out(h) > 0),
		.total_retrans = h->retrans,
		.dup_acks = h->dup_acks,
		.in_segs = d && d->unanswered < GIVEN_UP ? d->heard : 0,
		.wnd_shut_acks = d ? d->shut_acks : 0,
		.bad_sacks = d ? d->bad_sacks : 0,
		.state = TCP_ESTABLISHED,
		.ttl_in = ttl_at_sender(h, o),
		.flags = SNAP_OFFLINE,
	};

	if (h->flags & HALF_TIMESTAMPS)
		s.flags |= SNAP_TIMESTAMPS;
	if (half_opening(h))
		s.state = o->flags & HALF_SYN ? TCP_SYN_RECV : TCP_SYN_SENT;
	else if (h->flags & HALF_FIN)
		s.state = TCP_FIN_WAIT1;
	return s;
}

static void observe(struct tracker *t, const struct observation *obs)
{
	t->config.observe(obs, t->config.arg);
}

static bool is_fresh(uint8_t ttl)
{
	return !routers_behind(ttl);
}

/*
 * Near an end packets of that end have a TTL that nobody has counted down, or fewer routers behind
 * them than those of the other end, and its answers come at once. Where the two do not agree it is
 * the middle: one slow line may well lie behind the first of many routers.
 */
static enum capture_position position_of(const struct half *h, const struct half *o)
{
	int from_src = routers_behind(h->ttl), from_dst = routers_behind(o->ttl);
	uint64_t to_dst = h->min_rtt_us, to_src = o->min_rtt_us;
	bool src_fresh = is_fresh(h->ttl), dst_fresh = is_fresh(o->ttl);

	if (src_fresh != dst_fresh)
		return src_fresh ? CAPTURED_NEAR_SRC : CAPTURED_NEAR_DST;
	if (!to_dst || !to_src || (src_fresh && dst_fresh && to_dst < 1000 && to_src < 1000))
		return CAPTURED_UNKNOWN;
	if (to_dst >= 5 * to_src && (src_fresh || from_src < from_dst))
		return CAPTURED_NEAR_SRC;
	if (to_src >= 5 * to_dst && (dst_fresh || from_dst < from_src))
		return CAPTURED_NEAR_DST;
	return CAPTURED_MIDDLE;
}

/* Other connections of the two hosts, and of one of them, in the silence. */
static void look_for_witnesses(struct tracker *t, uint32_t node, struct capture_seen *c)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	int dir = node & 1;
	uint64_t since_ns = half_silent_since(&e->half[dir]) + WITNESS_NS;
	uint32_t n = t->top < WITNESSES_LOOKED_AT ? t->top : WITNESSES_LOOKED_AT;

	for (uint32_t k = 0; k < n; k++) {
		const struct flow_entry *w = &t->flows[t->top - 1 - k];

		if (!w->used || w == e || w->family != e->family)
			continue;
		for (int d = 0; d < 2; d++) {
			const struct half *h = &w->half[d];
			bool src = !memcmp(&w->addr[d], &e->addr[dir], sizeof(e->addr[0]));
			bool dst = !memcmp(&w->addr[!d], &e->addr[!dir], sizeof(e->addr[0]));
			bool moved = h->progress_ns > since_ns && h->sent &&
				     !(w->probed >> d & 1); /* what is probed is no witness */
			bool young = w->born_ns + WITNESS_NS > since_ns;

			c->opened += src && young && (h->flags & HALF_SYN) && !half_opening(h);
			if (src && dst) {
				c->same_pair += moved;
				c->stuck_beside += !moved && half_out(h) && h->tries;
			} else if (src || dst) {
				c->elsewhere += moved;
				c->stuck_elsewhere += src && half_opening(h) && h->tries;
			}
		}
	}
}

void report_tunnel(const struct tracker *t, uint32_t node, char ret[TUNNEL_TEXT])
{
	const struct flow_entry *e = &t->flows[node >> 1];
	const struct tunnel *u = &t->tunnels[e->tunnel ? e->tunnel - 1 : 0];
	struct ip_addr ends[2];
	char id[16] = "", src[ADDR_TEXT_LEN], dst[ADDR_TEXT_LEN];

	*ret = '\0';
	if (!e->tunnel)
		return;
	if (e->tunnel == TUNNEL_UNKNOWN) {
		snprintf(ret, TUNNEL_TEXT, "a tunnel");
		return;
	}
	ends[0] = frame_addr_of(&u->src, u->family);
	ends[1] = frame_addr_of(&u->dst, u->family);
	if (u->id)
		snprintf(id, sizeof(id), " %u", u->id);
	snprintf(ret, TUNNEL_TEXT, "%s%s, %s to %s", tunnel_name(u->kind), id,
		 addr_text(&ends[node & 1], src), addr_text(&ends[!(node & 1)], dst));
}

struct capture_seen report_capture(struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	int dir = node & 1;
	const struct half *h = &e->half[dir], *o = &e->half[!dir];
	const struct detail *d = h->detail == NO_DETAIL ? NULL : &t->details[h->detail];
	struct capture_seen c = {
		.key = key_of(e, dir),
		.first_frame = h->progress_frame ? h->progress_frame : e->first_frame,
		.last_frame = e->last_frame,
		.decide_frame = e->last_frame,
		.position = position_of(h, o),
		.one_way = !(o->flags & HALF_SEEN),
		.missing = h->flags & HALF_MISSING,
		.mid_connection = !(h->flags & o->flags & HALF_SYN),
		.receiver_closed = o->flags & HALF_FIN,
		.sender_closed = h->flags & HALF_FIN,
		.tries = h->tries,
		.heard = half_opening(h) ? h->heard
			 : d		 ? d->heard
					 : 0,
		.dup_acks = h->dup_acks,
		.passed_len = h->passed,
	};

	c.on_link = (c.position == CAPTURED_NEAR_SRC && is_fresh(h->ttl)) ||
		    (c.position == CAPTURED_NEAR_DST && is_fresh(o->ttl));
	if (d) {
		bool hole_first = d->n_holes && d->holes[0].seq == h->una;

		c.retrans_frame = d->retrans_frame;
		c.upstream = d->upstream || hole_first;
		c.stuck_len = d->stuck_len;
		c.stuck_seen = d->stuck_seen + !c.upstream;
		c.repeats = d->repeats;
		c.acks_lost = half_known_una(t, h) != h->una;
		c.sacked_bytes = d->sacked_bytes;
		c.sacked_longest = d->sacked_longest;
		c.refused = d->refused;
		c.unanswered = d->unanswered;
		c.bad_sums = life_bad_sums(t, node) ? d->bad_sums : 0;
		c.resumed_len = d->resumed_len;
	}
	report_tunnel(t, node, c.tunnel);
	look_for_witnesses(t, node, &c);
	return c;
}

static void tell(struct tracker *t, uint32_t node, uint64_t now_ns, const struct capture_seen *c)
{
	struct observation obs = {.type = OBS_CAPTURE, .now_ns = now_ns, .capture = *c};

	observe(t, &obs);
	obs = (struct observation){.type = OBS_SNAPSHOT, .now_ns = now_ns};
	obs.snapshot = report_snapshot(t, node);
	observe(t, &obs);
	probes_tell(t, node);
}

void report_again(struct tracker *t, uint32_t node)
{
	struct capture_seen c = report_capture(t, node);

	tell(t, node, t->now_ns, &c);
}

/* ICMP errors that came in the silence, before it was known to be one. */
static void tell_kept_icmp(struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];

	for (int i = 0; i < ICMP_KEPT; i++) {
		struct kept_icmp *k = &t->icmp[i];
		struct observation obs = {.type = OBS_ICMP, .now_ns = t->now_ns, .icmp = k->seen};

		if (k->number == e->number && k->dir == (node & 1) &&
		    k->now_ns >= half_silent_since(&e->half[node & 1]))
			observe(t, &obs);
	}
}

void report_stall(struct tracker *t, uint32_t node, uint64_t now_ns)
{
	struct half *h = half_at(t, node);
	struct capture_seen c;

	if (live_is_ours(t, node))
		return;
	if (half_opening(h) && !handshake_told(t, node))
		return;
	if (!(h->flags & HALF_TRANSFER) && !half_opening(h))
		return;
	probes_over(t, node, false, GONE_CLOSED);
	c = report_capture(t, node);
	wheel_open(t, node);
	tell(t, node, now_ns, &c);
	tell_kept_icmp(t, node);
}

void report_before(struct tracker *t, uint32_t node, bool recovered, bool jumped)
{
	struct capture_seen c = report_capture(t, node);

	c.recovered = recovered;
	c.jumped = jumped;
	tell(t, node, t->now_ns, &c);
}

static void forget(struct tracker *t, uint32_t node, enum gone_reason reason)
{
	struct observation obs = {.type = OBS_GONE, .now_ns = t->now_ns};

	obs.gone.last = report_snapshot(t, node);
	obs.gone.reason = reason;
	observe(t, &obs);
	wheel_disarm(t, node);
}

void report_recovered(struct tracker *t, uint32_t node)
{
	struct observation obs = {.type = OBS_SNAPSHOT, .now_ns = t->now_ns};

	obs.snapshot = report_snapshot(t, node);
	observe(t, &obs);
	forget(t, node, GONE_CLOSED);
	if (half_out(half_at(t, node)))
		wheel_arm(t, node, t->now_ns + t->config.stall_after_ns);
}

void report_gone(struct tracker *t, uint32_t node, enum gone_reason reason)
{
	struct capture_seen c = report_capture(t, node);

	tell(t, node, t->now_ns, &c);
	forget(t, node, reason);
}

/* A transfer that was not silent for long is ended by this reset, of either end or in its name. */
void report_reset(struct tracker *t, uint32_t node, const struct frame *f)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	bool inbound = !memcmp(&f->dst, &e->addr[node & 1], sizeof(f->dst)) &&
		       f->dport == e->port[node & 1];
	uint32_t author = inbound ? node ^ 1 : node;
	struct capture_seen c;
	struct observation obs = {.type = OBS_RESET, .now_ns = t->now_ns};

	if (!(half_at(t, node)->flags & HALF_TRANSFER) || live_is_ours(t, node))
		return;
	half_at(t, node)->flags |= HALF_ABORTED;
	c = report_capture(t, node);
	obs.reset = (struct reset_seen){
		.key = c.key,
		.inbound = inbound,
		.ttl = f->ttl,
		.ttl_usual = half_at(t, author)->ttl,
		.ip_id = f->ip_id,
		.ip_id_usual = life_ip_id(t, author),
		.seq = f->seq,
	};
	observe(t, &obs);
	obs = (struct observation){.type = OBS_CAPTURE, .now_ns = t->now_ns, .capture = c};
	observe(t, &obs);
	forget(t, node, GONE_RESET);
}

/* The TTL of what a host sends, from its other connections; 0: it has none here. */
static uint8_t ttl_of_host(const struct tracker *t, const struct flow_entry *e, int dir)
{
	uint32_t n = t->top < WITNESSES_LOOKED_AT ? t->top : WITNESSES_LOOKED_AT;

	for (uint32_t k = 0; k < n; k++) {
		const struct flow_entry *w = &t->flows[t->top - 1 - k];

		for (int d = 0; d < 2 && w->used && w != e && w->family == e->family; d++)
			if (w->half[d].sent && w->half[d].ttl &&
			    !memcmp(&w->addr[d], &e->addr[dir], sizeof(e->addr[0])))
				return w->half[d].ttl;
	}
	return 0;
}

/* The SYN of `node` was answered by a reset. A closed port answers so; a box on the way that has no
 * room does as well, and is told by the distance that the reset has come. */
void report_refused(struct tracker *t, uint32_t node, const struct frame *f)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	struct observation obs = {.type = OBS_RESET, .now_ns = t->now_ns};
	uint8_t usual;

	if (!handshake_told(t, node))
		return;
	usual = ttl_of_host(t, e, !(node & 1));
	if (!usual || abs((int)usual - (int)f->ttl) < REFUSED_HOPS)
		return;
	obs.reset = (struct reset_seen){
		.key = key_of(e, node & 1),
		.inbound = true,
		.ttl = f->ttl,
		.ttl_usual = usual,
		.ip_id = f->ip_id,
		.seq = f->seq,
	};
	observe(t, &obs);
	obs = (struct observation){.type = OBS_CAPTURE, .now_ns = t->now_ns};
	obs.capture = report_capture(t, node);
	observe(t, &obs);
	forget(t, node, GONE_RESET);
}

void report_icmp(struct tracker *t, struct flow_entry *e, int dir, const struct frame *f)
{
	struct half *h = &e->half[dir];
	struct kept_icmp *k = &t->icmp[t->next_icmp++ % ICMP_KEPT];
	struct observation obs = {.type = OBS_ICMP, .now_ns = t->now_ns};

	/* A quote of what this connection never sent is forged or of an earlier one. */
	if (seq_diff(f->seq, h->nxt) > 0 || seq_diff(f->seq, h->una) < -MAX_JUMP)
		return;
	*k = (struct kept_icmp){.number = e->number, .dir = (uint8_t)dir, .now_ns = t->now_ns};
	k->seen = (struct icmp_seen){
		.key = key_of(e, dir),
		.from = frame_addr_of(&f->icmp_from, f->icmp_family),
		.type = f->icmp_type,
		.code = f->icmp_code,
		.mtu = f->icmp_mtu,
	};
	obs.icmp = k->seen;
	if (h->flags & HALF_OPEN)
		observe(t, &obs);
}

struct flow_key report_key(const struct tracker *t, uint32_t node)
{
	return key_of(&t->flows[node >> 1], node & 1);
}

enum capture_position report_position(const struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];

	return position_of(&e->half[node & 1], &e->half[!(node & 1)]);
}

void report_slow(struct tracker *t, uint32_t node, const struct pace_seen *p)
{
	struct observation obs = {.type = OBS_PACE, .now_ns = t->now_ns, .pace = *p};

	report_tunnel(t, node, obs.pace.tunnel);
	if (half_at(t, node)->flags & HALF_TRANSFER)
		observe(t, &obs);
}

bool report_too_big(const struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];

	for (int i = 0; i < ICMP_KEPT; i++) {
		const struct kept_icmp *k = &t->icmp[i];

		if (k->number == e->number && k->dir == (node & 1) && k->seen.mtu &&
		    k->now_ns >= half_silent_since(&e->half[node & 1]))
			return true;
	}
	return false;
}

#define PACE_BYTES (16u << 10) /* a flow that has moved less shares no ceiling worth a look */

static void pace_one(struct tracker *t, uint32_t node, bool *ret_first)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	int dir = node & 1;
	struct pace_flow flow = {
		.key = key_of(e, dir),
		.position = position_of(&e->half[dir], &e->half[!dir]),
	};

	report_tunnel(t, node, flow.tunnel);
	*ret_first = false;
	if (!e->half[dir].pace)
		t->flows[node >> 1].half[dir].pace =
			pace_join(t->pace, &flow, t->now_ns, ret_first);
	pace_usual(t->pace, e->half[dir].pace, life_best_bps(t, node));
}

void report_pace(struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	uint32_t n = t->top < WITNESSES_LOOKED_AT ? t->top : WITNESSES_LOOKED_AT;
	bool first;

	if (live_is_ours(t, node))
		return;
	pace_one(t, node, &first);
	for (uint32_t k = 0; first && k < n; k++) {
		const struct flow_entry *w = &t->flows[t->top - 1 - k];
		uint32_t beside = (uint32_t)(w - t->flows) * 2;

		for (uint32_t d = 0; d < 2 && w->used && w->family == e->family; d++) {
			bool none;

			if (w->half[d].sent >= PACE_BYTES &&
			    !memcmp(&w->addr[!d], &e->addr[!(node & 1)], sizeof(e->addr[0])))
				pace_one(t, beside + d, &none);
		}
	}
}
