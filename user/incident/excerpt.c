/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/excerpt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define BEFORE_NS (2 * NS_PER_S) /* of the last progress: how it went while it went */
#define AFTER_NS  (2 * NS_PER_S)
#define RESETS	  3 /* remarked on */

static union frame_addr wire_addr(const struct ip_addr *a)
{
	union frame_addr w = {0};

	memcpy(w.bytes, a->bytes, addr_len(a));
	return w;
}

static bool same(const union frame_addr *a, const union frame_addr *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

void excerpt_init(struct excerpt *e, const struct incident *i)
{
	const struct endpoint *src = i->local_sends ? &i->key.local : &i->key.remote;
	const struct endpoint *dst = i->local_sends ? &i->key.remote : &i->key.local;
	uint64_t end_ns = i->ended_ns > i->begun_ns ? i->ended_ns : i->begun_ns;

	*e = (struct excerpt){
		.incident = i,
		.src = wire_addr(&src->addr),
		.dst = wire_addr(&dst->addr),
		.sport = src->port,
		.dport = dst->port,
		.family = src->addr.family == AF_INET6 ? 6 : 4,
		.from_ns = i->last_progress_ns > BEFORE_NS ? i->last_progress_ns - BEFORE_NS : 0,
		.to_ns = end_ns + AFTER_NS,
	};
}

/* A later fragment has no ports; its first one came just before, or it is not recognised. */
static bool fragment_of(struct excerpt *e, const struct frame *f)
{
	if (f->kind == FRAME_FRAGMENT)
		return e->fragmented && f->frag_id == e->frag_id;
	if (f->has & HAS_MORE_FRAGS) {
		e->fragmented = true;
		e->frag_id = f->frag_id;
	}
	return true;
}

enum excerpt_side excerpt_side(struct excerpt *e, const struct frame *f)
{
	bool ports = f->kind != FRAME_FRAGMENT, forward, back;

	if (f->kind == FRAME_OTHER || f->family != e->family)
		return EXCERPT_NONE;
	forward = same(&f->src, &e->src) && same(&f->dst, &e->dst) &&
		  (!ports || (f->sport == e->sport && f->dport == e->dport));
	back = same(&f->src, &e->dst) && same(&f->dst, &e->src) &&
	       (!ports || (f->sport == e->dport && f->dport == e->sport));
	if (!forward && !back)
		return EXCERPT_NONE;
	if (f->kind == FRAME_ICMP)
		return EXCERPT_ICMP;
	if (!fragment_of(e, f))
		return EXCERPT_NONE;
	return forward ? EXCERPT_DATA : EXCERPT_BACK;
}

static void note(char to[EXCERPT_NOTE], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void note(char to[EXCERPT_NOTE], const char *format, ...)
{
	size_t len = strlen(to);
	va_list args;

	if (len)
		len += (size_t)snprintf(to + len, EXCERPT_NOTE - len, "; ");
	if (len >= EXCERPT_NOTE)
		return;
	va_start(args, format);
	vsnprintf(to + len, EXCERPT_NOTE - len, format, args);
	va_end(args);
}

static void window_note(struct excerpt *e, const struct frame *f, char to[EXCERPT_NOTE])
{
	bool shut = f->flags & TCP_ACK && !(f->flags & (TCP_SYN | TCP_RST)) && !f->window;

	if (f->flags & TCP_RST)
		return;
	if (shut && !e->shut)
		note(to, "window shut: the receiver has no room");
	else if (!shut && e->shut)
		note(to, "window open again");
	e->shut = shut;
}

static void reset_note(struct excerpt *e, const struct frame *f, enum excerpt_side side,
		       char to[EXCERPT_NOTE])
{
	if (!(f->flags & TCP_RST) || e->resets++ >= RESETS)
		return;
	note(to, "reset from the %s's address, TTL %u",
	     side == EXCERPT_DATA ? "sender" : "receiver", f->ttl);
}

static void icmp_note(const struct frame *f, char to[EXCERPT_NOTE])
{
	struct ip_addr from = frame_addr_of(&f->icmp_from, f->icmp_family);
	char text[ADDR_TEXT_LEN];

	note(to, "ICMP error type %u code %u from %s quotes this connection", f->icmp_type,
	     f->icmp_code, addr_text(&from, text));
	if (f->icmp_mtu)
		note(to, "next-hop MTU %u", f->icmp_mtu);
}

/* In a slow phase these are its two ends. */
void excerpt_number_note(struct excerpt *e, uint64_t number, char to[EXCERPT_NOTE])
{
	const struct capture_seen *c = &e->incident->capture;
	const char *cause = cause_info(e->incident->verdict.cause)->id;

	if (e->incident->slow) {
		if (number == c->first_frame)
			note(to, "the slow phase begins");
		if (number == c->last_frame)
			note(to, "the slow phase ends: %s", cause);
		return;
	}
	if (number == c->first_frame)
		note(to, "last progress");
	if (number == c->retrans_frame)
		note(to, "first retransmission");
	/* What decided may be time alone, told by a packet of another connection. */
	if (c->decide_frame && number >= c->decide_frame && !e->decided) {
		e->decided = true;
		note(to, "here the stall is certain: %s", cause);
	}
}

bool excerpt_takes(struct excerpt *e, const struct frame *f, enum excerpt_side side,
		   uint64_t now_ns, uint64_t number, char ret_note[EXCERPT_NOTE])
{
	const struct incident *i = e->incident;
	bool handshake = f->kind == FRAME_TCP && f->flags & TCP_SYN && now_ns < e->from_ns &&
			 (i->slow || now_ns >= i->last.born_ns);

	*ret_note = '\0';
	if (side == EXCERPT_NONE || now_ns > e->to_ns || (now_ns < e->from_ns && !handshake))
		return false;
	if (handshake)
		return true;
	excerpt_number_note(e, number, ret_note);
	if (side == EXCERPT_ICMP)
		icmp_note(f, ret_note);
	if (f->kind != FRAME_TCP)
		return true;
	if (side == EXCERPT_BACK)
		window_note(e, f, ret_note);
	reset_note(e, f, side, ret_note);
	if (!i->slow && i->outcome == OUTCOME_RECOVERED && !e->recovered && now_ns >= i->ended_ns &&
	    i->ended_ns) {
		e->recovered = true;
		note(ret_note, "it moves again");
	}
	return true;
}
