/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What comes back: errors that quote a probe, segments of the peer that answer one, errors about
 * what the kernel itself has sent. Anything else is counted or passed over, never believed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "probe/internal.h"
#include "probe/match.h"

#define USUAL_MTU   1500
#define RECEIVE_MAX 256		     /* packets a namespace in one prober_run() */
#define ACK_LATE_NS (50 * NS_PER_MS) /* beyond two round trips: a delayed ACK */

/* The flow that the segment `from` -> `to` belongs to, seen from its local end. */
static struct flow *flow_between(const struct prober *p, const struct net *net,
				 const struct endpoint *local, const struct endpoint *remote)
{
	for (int i = 0; i < p->n_flows; i++) {
		struct flow *f = p->flows[i];

		if (f->net == net && !f->released && endpoint_equal(&f->key.local, local) &&
		    endpoint_equal(&f->key.remote, remote))
			return f;
	}
	return NULL;
}

static void answered(struct prober *p, struct sent *s, enum probe_answer answer, uint8_t ttl,
		     const struct ip_addr *from, uint64_t when_ns)
{
	s->seen.answer = answer;
	s->seen.answer_ttl = ttl;
	s->seen.from = *from;
	s->seen.answered_ns = when_ns > s->seen.sent_ns ? when_ns : s->seen.sent_ns;
	s->flow = NULL;
	p->counts.answered++;
	tap_probe(p, &s->seen);
	report_probe(p, &s->seen);
}

/* Nobody but us sends from there. */
static bool is_control_port(const struct net *net, const struct endpoint *src)
{
	for (int i = 0; i < WIRE_CONTROL_PORTS; i++)
		if (src->port && src->port == wire_control_port(net->wire, src->addr.family, i))
			return true;
	return false;
}

/* The kernel's own segment came back as an error, unless the quote is not from what it has in
 * flight. */
static void icmp_for_flow(struct prober *p, const struct net *net, const struct icmp_error *e,
			  uint64_t when_ns)
{
	for (int i = 0; i < p->n_flows; i++) {
		const struct flow *f = p->flows[i];
		struct observation obs = {.type = OBS_ICMP, .now_ns = mono_ns()};

		if (f->net != net || f->released || !endpoint_equal(&f->key.remote, &e->quoted_dst))
			continue;
		if (f->key.local.port != e->quoted_src.port ||
		    seq_before(e->quoted_seq, f->snapshot.snd_una) ||
		    seq_before(f->snd_max, e->quoted_seq)) {
			p->counts.unmatched++;
			continue;
		}
		obs.icmp = (struct icmp_seen){.key = f->key,
					      .from = e->from,
					      .type = e->type,
					      .code = e->code,
					      .mtu = e->mtu};
		tap_probe(p, &(struct probe_seen){.key = f->key,
						  .kind = PROBE_KINDS,
						  .answer = error_answer(e),
						  .answered_ns = when_ns});
		p->observe(&obs, p->arg);
		return;
	}
	if (is_control_port(net, &e->quoted_src))
		p->counts.unmatched++;
}

/* The kernel may have sent another segment since a copy was made: then there is nothing to compare.
 */
static uint8_t altered(struct prober *p, const struct sent *s, const struct icmp_error *e)
{
	const struct flow *f = s->flow;
	int len;

	if (s->seen.kind == PROBE_IN_FLOW_COPY &&
	    (f->copied.seq != s->segment.seq || f->copied.ack != s->segment.ack ||
	     f->copied.tsval != s->segment.tsval))
		return 0;
	len = probe_bytes(f, s->seen.kind, &s->segment, p->again, sizeof(p->again));
	return len > 0 ? quote_altered(e, p->again, (size_t)len) : 0;
}

/*
 * Copies of one segment are alike, whoever sends them: unless the IP ID tells, only who answers
 * shows which it was. A router that was met at another TTL has seen another watcher's.
 */
static bool is_anothers_copy(const struct sent *s, const struct icmp_error *e)
{
	const struct flow *f = s->flow;
	const uint8_t ttl = s->seen.ttl;

	if (s->seen.kind != PROBE_IN_FLOW_COPY || ttl >= HOPS_MAX ||
	    (e->quoted_ip_id && e->quoted_ip_id == s->segment.ip_id))
		return false;
	if (f->router[ttl].family)
		return !addr_equal(&f->router[ttl], &e->from);
	for (int i = 1; i < HOPS_MAX; i++)
		if (addr_equal(&f->router[i], &e->from))
			return true;
	return false;
}

static void on_error(struct prober *p, const struct net *net, const struct icmp_error *e,
		     uint64_t when_ns)
{
	enum probe_answer answer = error_answer(e);
	struct sent *best = NULL;
	int best_score = 0;

	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		int score = s->flow && s->flow->net == net ? 2 * match_error(e, &s->segment) : 0;

		if (score && is_anothers_copy(s, e))
			continue;
		if (score && s->seen.ttl < HOPS_MAX &&
		    addr_equal(&s->flow->router[s->seen.ttl], &e->from))
			score++;
		/* Of equals the oldest. */
		if (score > best_score ||
		    (score && score == best_score && s->seen.sent_ns < best->seen.sent_ns)) {
			best = s;
			best_score = score;
		}
	}
	if (!best) {
		icmp_for_flow(p, net, e, when_ns);
		return;
	}
	if (answer == ANSWER_NONE)
		return;
	if (answer == ANSWER_TIME_EXCEEDED && best->flow->routers_to < best->seen.ttl)
		best->flow->routers_to = best->seen.ttl;
	if (answer == ANSWER_TIME_EXCEEDED && best->seen.ttl < HOPS_MAX) {
		const struct limit_way way = way_of(best->flow, best->seen.ttl);

		best->flow->router[best->seen.ttl] = e->from;
		limit_learn(&p->limits, &way, &e->from, mono_ns());
	}
	best->seen.altered = altered(p, best, e);
	best->seen.icmp_code = e->code;
	best->seen.mtu = e->mtu;
	best->seen.quoted_src = e->quoted_src.addr;
	answered(p, best, answer, e->ttl, &e->from, when_ns);
}

/*
 * Keeps the packet of a data segment whole, if it is one packet: offloading hands several to the
 * card at once.
 */
static void keep_copy(struct flow *f, const struct segment *out, const uint8_t *packet, size_t len)
{
	const size_t most = f->snapshot.pmtu ? f->snapshot.pmtu : USUAL_MTU;
	uint8_t *copy;

	f->copy_len = 0;
	if (len > most || out->flags & (TH_FIN | TH_URG))
		return;
	copy = realloc(f->copy, len);
	if (!copy)
		return;
	memcpy(copy, packet, len);
	f->copy = copy;
	f->copy_len = len;
	f->copied = *out;
}

/* What the kernel sends shows how the flow looks on the wire. Our own probes lie below SND.UNA. */
static void on_outgoing(const struct prober *p, const struct net *net, const struct segment *out,
			const uint8_t *packet, size_t len, uint64_t when_ns)
{
	struct flow *f = flow_between(p, net, &out->src, &out->dst);

	if (!f || out->flags & (TH_SYN | TH_RST) || seq_before(out->seq, f->snapshot.snd_una))
		return;
	f->look = (struct look){.seen = true,
				.tos = out->tos,
				.window = out->window,
				.flow_label = out->flow_label};
	if (seq_before(f->snd_max, out->seq + out->payload))
		f->snd_max = out->seq + out->payload;
	if (out->payload) {
		f->data_out_ns = when_ns;
		keep_copy(f, out, packet, len);
	}
}

/*
 * A peer without D-SACK answers an old segment with a plain ACK that tells nothing new. It can only
 * come from a probe that outlived the routers: the one that could go farthest, the oldest of
 * equals.
 */
static struct sent *plain_ack(struct prober *p, struct flow *f, const struct segment *in,
			      uint64_t when_ns)
{
	const uint64_t trip_ns = 2 * NS_PER_US * f->snapshot.rtt_us + ACK_LATE_NS;
	struct sent *best = NULL;

	if (in->ack != f->last_ack || f->sends_dsack || in->payload || in->n_sacks)
		return NULL;
	/* A peer that gets what the kernel sends and refuses it answers so as well. */
	if (when_ns < f->data_out_ns + trip_ns)
		return NULL;
	/* An answer has SEQ = SND.NXT; below RCV.NXT it is a keep-alive, or a probe of the peer's.
	 */
	if (seq_before(in->seq, f->snapshot.rcv_nxt))
		return NULL;
	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (s->flow != f || s->seen.kind == PROBE_CONTROL ||
		    s->seen.kind == PROBE_IN_FLOW_COPY || s->seen.ttl <= f->routers_to)
			continue;
		if (!best || s->seen.ttl > best->seen.ttl ||
		    (s->seen.ttl == best->seen.ttl && s->seen.sent_ns < best->seen.sent_ns))
			best = s;
	}
	return best;
}

static void on_incoming(struct prober *p, const struct net *net, const struct segment *in,
			uint64_t when_ns)
{
	enum probe_answer answer;
	struct sent *found = NULL;
	struct flow *f;

	for (struct sent *s = p->sent; s < p->sent + SENT_MAX && !found; s++) {
		if (s->flow && s->flow->net == net &&
		    match_segment(in, &s->segment, s->seen.kind, &answer))
			found = s;
	}
	f = flow_between(p, net, &in->dst, &in->src);
	if (f && in->flags & TH_ACK && !(in->flags & (TH_SYN | TH_FIN | TH_RST))) {
		if (found) {
			f->sends_dsack = true;
		} else {
			found = plain_ack(p, f, in, when_ns);
			answer = ANSWER_ACK;
		}
		f->last_ack = in->ack;
	}
	if (!found)
		return;
	found->seen.seq = answer == ANSWER_ACK ? in->seq : 0;
	answered(p, found, answer, in->ttl, &in->src.addr, when_ns);
}

void read_answers(struct prober *p, const struct net *net)
{
	for (int i = 0; i < RECEIVE_MAX && net->wire; i++) {
		struct wire_packet meta;
		struct packet packet;
		uint64_t when_ns;

		if (wire_receive(net->wire, p->buf, sizeof(p->buf), &meta))
			return;
		p->len = meta.len;
		when_ns = mono_ns();
		if (meta.realtime_ns) { /* read late or not, it came when the kernel says */
			int64_t then = meta.realtime_ns - wall_offset_ns();

			if (then > 0 && (uint64_t)then < when_ns)
				when_ns = (uint64_t)then;
		}
		packet_read(p->buf, meta.len, &packet);
		if (packet.kind == PACKET_ICMP_ERROR && !meta.outgoing)
			on_error(p, net, &packet.error, when_ns);
		else if (packet.kind == PACKET_SEGMENT && meta.outgoing)
			on_outgoing(p, net, &packet.segment, p->buf, meta.len, when_ns);
		else if (packet.kind == PACKET_SEGMENT)
			on_incoming(p, net, &packet.segment, when_ns);
	}
}
