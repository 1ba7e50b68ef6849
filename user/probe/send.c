/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which probe goes when.
 *
 * The first SERVED_FLOWS flows that have something to send take turns. Within a flow one round goes
 * through all TTLs, every kind of probe in turn, before the next round begins, so that loss of some
 * seconds hits all kinds alike and one router is not asked in bursts. No router is asked faster
 * than it answers (limit.c), else silence would mean nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "probe/internal.h"
#include "probe/match.h"

#define SEND_EVERY_NS                                                                              \
	(NS_PER_S / (PROBE_RATE - 1)) /* late timers must not make it more in a second */
#define SERVED_FLOWS 8

/* Takes the next probe off a queued want. */
static void advance(struct flow *f, struct queued *q)
{
	if (q->ttl++ != q->last_ttl)
		return;
	q->ttl = q->first_ttl;
	if (++q->round == q->rounds)
		memmove(q, q + 1, (size_t)(&f->queue[--f->n_queued] - q) * sizeof(*q));
}

/* Since when, or when, this hop may be asked. The peer itself is asked at any time. */
static uint64_t hop_due(const struct prober *p, const struct flow *f, uint8_t ttl)
{
	const struct limit_way way = way_of(f, ttl);

	return ttl < HOPS_MAX ? limit_due(&p->limits, &way) : 0;
}

static void hop_asked(struct prober *p, const struct flow *f, uint8_t ttl, uint64_t now_ns)
{
	const struct limit_way way = way_of(f, ttl);

	if (ttl < HOPS_MAX)
		limit_sent(&p->limits, &way, now_ns);
}

/* The probe of this flow that comes first, NULL if each has to wait, until *ret_due then. */
static struct queued *first_queued(const struct prober *p, struct flow *f, uint64_t now_ns,
				   uint64_t *ret_due)
{
	struct queued *first = NULL;

	for (struct queued *q = f->queue; q < f->queue + f->n_queued; q++) {
		uint64_t due = f->net ? hop_due(p, f, q->ttl) : 0;

		if (due > now_ns) {
			if (due < *ret_due)
				*ret_due = due;
		} else if (!first || q->round < first->round ||
			   (q->round == first->round && q->ttl < first->ttl)) {
			first = q;
		}
	}
	return first;
}

/* Whose turn it is. NULL: nobody's before *ret_due. */
static struct flow *next_flow(const struct prober *p, uint64_t now_ns, struct queued **ret,
			      uint64_t *ret_due)
{
	struct flow *next = NULL;
	int served = 0;

	*ret_due = UINT64_MAX;
	for (int i = 0; i < p->n_flows && served < SERVED_FLOWS; i++) {
		struct flow *f = p->flows[i];
		struct queued *q;

		if (f->released || !f->n_queued)
			continue;
		served++;
		q = first_queued(p, f, now_ns, ret_due);
		if (q && (!next || f->last_sent_ns < next->last_sent_ns)) {
			next = f;
			*ret = q;
		}
	}
	return next;
}

static bool in_use(const struct prober *p, const struct flow *f, uint32_t seq)
{
	for (const struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (s->flow == f && s->seen.kind != PROBE_CONTROL && s->segment.seq == seq)
			return true;
	}
	return false;
}

/* A sequence range that no waiting probe has, if there is room for one. */
static int build_in_flow(const struct prober *p, struct flow *f, uint16_t size, uint64_t now_ns,
			 struct segment *ret)
{
	for (int tries = 0; tries < CRAFT_OFFSETS; tries++) {
		int r = craft_in_flow(&f->snapshot, &f->look, size, f->offset++, now_ns, ret);

		if (r || !in_use(p, f, ret->seq))
			return r;
	}
	return 0;
}

static int build_control(struct prober *p, struct flow *f, int port, uint64_t now_ns,
			 struct segment *ret)
{
	struct endpoint src = f->key.local;
	uint32_t seq;

	src.port = wire_control_port(f->net->wire, src.addr.family, port);
	if (!src.port)
		return -EADDRNOTAVAIL;
	if (getrandom(&seq, sizeof(seq), 0) != sizeof(seq))
		return -EIO;
	craft_control(&f->snapshot, &f->look, &src, port % WIRE_CONTROL_PORTS, seq,
		      (uint32_t)(now_ns / NS_PER_MS) + p->tsval_offset, ret);
	return 0;
}

/* What the peer has acknowledged meanwhile is not owed any more. */
static int build_copy(const struct flow *f, struct segment *ret)
{
	if (f->snapshot.flags & SNAP_SECURED)
		return -EACCES;
	if (!f->copy_len || !seq_before(f->last_ack, f->copied.seq + f->copied.payload))
		return -ENODATA;
	*ret = f->copied;
	return 0;
}

static int build(struct prober *p, struct flow *f, const struct queued *q, uint64_t now_ns,
		 struct segment *ret)
{
	int r;

	/* EPERM is kept for a firewall's word at sending; this is about our own sockets. */
	if (f->error)
		return f->error == -EPERM ? -EACCES : f->error;
	if (f->n_sent >= PROBE_BUDGET) {
		p->counts.over_budget++;
		return -EDQUOT;
	}
	if (q->kind == PROBE_IN_FLOW_COPY)
		r = build_copy(f, ret);
	else
		r = q->kind == PROBE_CONTROL ? build_control(p, f, q->round, now_ns, ret)
					     : build_in_flow(p, f, q->size, now_ns, ret);
	if (r)
		return r;
	ret->ttl = q->ttl;
	if (!++p->next_ip_id)
		p->next_ip_id = 1;
	ret->ip_id = p->next_ip_id;
	return 0;
}

int probe_bytes(const struct flow *f, enum probe_kind kind, const struct segment *s, uint8_t *buf,
		size_t size)
{
	return kind == PROBE_IN_FLOW_COPY
		       ? packet_copy(f->copy, f->copy_len, s->ttl, s->ip_id, buf, size)
		       : packet_write(s, buf, size);
}

static struct sent *free_slot(struct prober *p)
{
	for (struct sent *s = p->sent; s < p->sent + SENT_MAX; s++) {
		if (!s->flow)
			return s;
	}
	return NULL;
}

/* Sends one probe, or says why it did not. Whether it was tried on the wire. */
static bool send_one(struct prober *p, struct flow *f, struct queued *q, struct sent *slot)
{
	const uint64_t now_ns = mono_ns();
	struct probe_seen seen = {.key = f->key,
				  .kind = q->kind,
				  .ttl = q->ttl,
				  .size = q->size,
				  .way = q->round % WIRE_CONTROL_PORTS,
				  .sent_ns = now_ns};
	struct segment segment = {0};
	int r = build(p, f, q, now_ns, &segment);
	bool tried = false;

	if (!r)
		r = probe_bytes(f, q->kind, &segment, p->buf, sizeof(p->buf));
	if (r > 0) {
		tried = true;
		seen.size = (uint16_t)r;
		r = wire_send(f->net->wire, &segment, p->buf, (size_t)r, f->snapshot.ifindex);
		hop_asked(p, f, q->ttl, now_ns);
		f->last_sent_ns = now_ns;
	}
	advance(f, q);
	if (!r) {
		f->n_sent++;
		p->counts.sent++;
		*slot = (struct sent){.flow = f, .segment = segment, .seen = seen};
		p->len = seen.size;
		tap_probe(p, &seen);
		return true;
	}
	p->counts.send_errors += tried;
	seen.answer = ANSWER_NOT_SENT;
	seen.error = -r;
	report_probe(p, &seen);
	return tried;
}

uint64_t send_due(struct prober *p, uint64_t now_ns)
{
	for (;;) {
		struct sent *slot = free_slot(p);
		struct queued *q = NULL;
		struct flow *f;
		uint64_t due;
		bool onlink;

		f = next_flow(p, now_ns, &q, &due);
		onlink = onlink_waiting(p);
		if (!f && !onlink)
			return due;
		if (now_ns < p->next_send_ns || (!slot && !onlink))
			return p->next_send_ns > now_ns ? p->next_send_ns : now_ns + SEND_EVERY_NS;
		onlink = onlink && (!f || !slot || p->job_turn);
		if (onlink ? onlink_send_one(p) : send_one(p, f, q, slot))
			p->next_send_ns = mono_ns() + SEND_EVERY_NS;
		p->job_turn = !onlink;
	}
}
