/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections that do not come about: a SYN or SYN-ACK that is sent again and again. One that is
 * refused at once is an answer, and no stall, unless somebody else than the peer has refused it.
 *
 * Who tries many different ends in vain is looking for open doors, or answers a flood of forged
 * SYNs; that is told a few times and no more.
 */
#include <string.h>

#include "sensor/tracker_impl.h"

#define TOLD_MOST 8

bool half_opening(const struct half *h)
{
	return (h->flags & (HALF_SYN | HALF_FIN)) == HALF_SYN && !h->sent && h->nxt - h->una == 1;
}

/* A SYN-ACK counts if somebody waits for it: forged SYNs and clients that are gone do not. */
bool handshake_shown(const struct half *h, const struct half *o)
{
	return o->flags & HALF_SYN ? h->tries && h->heard : h->tries > 1;
}

/* A SYN of `node`, with or without ACK; the numbers of its half are set. */
void handshake_syn(struct tracker *t, uint32_t node, const struct frame *f)
{
	struct half *h = half_at(t, node), *o = half_at(t, node ^ 1);

	if (half_opening(o) && !(f->flags & TCP_ACK))
		count16(&o->heard); /* it has not heard the SYN-ACK, or not yet */
	if (!half_opening(h) || f->seq != h->una)
		return;
	if (!h->owe_ns) {
		h->owe_ns = t->now_ns;
		h->progress_frame = (uint32_t)t->frame;
	} else {
		struct detail *d = detail_make(t, h);

		count16(&h->tries);
		h->retrans++;
		t->counts.retransmissions++;
		h->flags &= (uint16_t)~HALF_RTT_PENDING; /* Karn */
		if (d) {
			d->retrans_frame = d->retrans_frame ? d->retrans_frame : (uint32_t)t->frame;
			d->retrans_ns = t->now_ns;
			d->stuck_seen++;
		}
	}
	sequence_show(t, node);
}

bool handshake_told(struct tracker *t, uint32_t node)
{
	const struct flow_entry *e = &t->flows[node >> 1];
	const union frame_addr *src = &e->addr[node & 1], *dst = &e->addr[!(node & 1)];
	uint64_t hash = (src->words[0] ^ src->words[1] << 1) * 0x9e3779b97f4a7c15ull;
	struct dialer *d = &t->dialers[(hash >> 32) % DIALERS];

	if (memcmp(&d->src, src, sizeof(*src))) {
		*d = (struct dialer){.src = *src};
	} else if (!memcmp(&d->dst, dst, sizeof(*dst)) && d->port == e->port[!(node & 1)]) {
		return true;
	}
	d->dst = *dst;
	d->port = e->port[!(node & 1)];
	d->ends += d->ends <= TOLD_MOST;
	return d->ends <= TOLD_MOST;
}
