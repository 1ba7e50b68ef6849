/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/review.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define CLOCK_SLACK_NS                                                                             \
	NS_PER_MS /* between the program that sees progress and the one that keeps                 \
		   */

#define SPANS	 64	    /* holes of the sequence space that are remembered */
#define SPAN_MAX (1u << 30) /* before comparisons wrap */

/* Sequence numbers that the packets so far carried, merged; the oldest are forgotten first. */
struct span {
	uint32_t from, to;
};

struct sent {
	struct span spans[SPANS];
	int n;
};

static bool is_probe(const struct kept_packet *p)
{
	return p->role >= KEPT_PROBE;
}

static void decode(const struct kept_packet *p, struct frame *f)
{
	const struct box_packet *b = &p->packet;

	frame_decode(b->linktype, b->data, b->captured, b->length, f);
}

/* The packet that moved the stalled direction as far as it got. */
static bool moved_last(const struct incident *i, const struct frame *f, enum excerpt_side side)
{
	if (f->kind != FRAME_TCP)
		return false;
	if (i->local_sends)
		return side == EXCERPT_BACK && f->flags & TCP_ACK && f->ack == i->first.snd_una;
	return side == EXCERPT_DATA && f->payload && f->seq + f->payload == i->first.rcv_nxt;
}

/* Whether a byte of [from, to) was in the file before; and remembers it. */
static bool seen_before(struct sent *s, uint32_t from, uint32_t to)
{
	struct span whole = {from, to};
	bool before = false;
	int n = 0;

	for (int k = 0; k < s->n; k++) {
		const struct span *old = &s->spans[k];

		before |= (int32_t)(old->to - from) > 0 && (int32_t)(to - old->from) > 0;
		if ((int32_t)(old->to - from) < 0 || (int32_t)(to - old->from) < 0) {
			s->spans[n++] = *old;
			continue;
		}
		if ((int32_t)(old->from - whole.from) < 0)
			whole.from = old->from;
		if ((int32_t)(old->to - whole.to) > 0)
			whole.to = old->to;
	}
	if (whole.to - whole.from > SPAN_MAX)
		whole.from = whole.to - SPAN_MAX;
	if (n == SPANS)
		memmove(s->spans, s->spans + 1, (size_t)--n * sizeof(s->spans[0]));
	s->spans[n++] = whole;
	s->n = n;
	return before;
}

/* What only came late, out of order, was not sent again: the first time must be in the file. */
static bool sent_again(struct sent *sent, const struct frame *f, enum excerpt_side side)
{
	return f->kind == FRAME_TCP && side == EXCERPT_DATA && f->payload &&
	       seen_before(sent, f->seq, f->seq + f->payload);
}

/*
 * Fills in what a capture's tracker would have told by number. One that none of the packets shows
 * stays 0: the box may have been overwritten since.
 */
static void find_frames(struct incident *i, const struct kept_packet *packets, size_t n,
			bool witnesses)
{
	struct capture_seen *c = &i->capture;
	uint64_t number = 0, before = 0, first = 0, again = 0, decided = 0, last = 0;
	struct excerpt excerpt;
	struct sent sent = {.n = 0};
	bool seen = false;

	excerpt_init(&excerpt, i);
	for (size_t k = 0; k < n; k++) {
		const struct kept_packet *p = &packets[k];
		const uint64_t at_ns = p->packet.time_ns;
		enum excerpt_side side;
		struct frame f;

		if (p->role == KEPT_WITNESS && !witnesses)
			continue;
		number++;
		/* A probe may be all that is there after the stall is certain. */
		if (!decided && p->role != KEPT_WITNESS && at_ns >= i->begun_ns)
			decided = number;
		decode(p, &f);
		side = excerpt_side(&excerpt, &f);
		if (p->role != KEPT_FLOW || side == EXCERPT_NONE)
			continue;
		last = number;
		if (i->slow) { /* where it begins shows only if something came before */
			if (at_ns >= i->last_progress_ns && !first && seen)
				first = number;
			seen = true;
			continue;
		}
		if (at_ns <= i->last_progress_ns + CLOCK_SLACK_NS &&
		    side == (i->local_sends ? EXCERPT_BACK : EXCERPT_DATA))
			before = number;
		if (!first && moved_last(i, &f, side))
			first = number;
		if (sent_again(&sent, &f, side) && !again && at_ns > i->last_progress_ns)
			again = number;
	}
	c->first_frame = first ? first : before;
	c->retrans_frame = again;
	c->decide_frame = decided;
	c->last_frame = last;
}

static const char *answer_text(const struct kept_packet *p)
{
	static const char *const texts[] = {
		[ANSWER_TIME_EXCEEDED] = "time exceeded",
		[ANSWER_UNREACHABLE] = "unreachable",
		[ANSWER_TOO_BIG] = "too big",
		[ANSWER_ACK] = "the peer's ACK",
		[ANSWER_SYN_ACK] = "the peer's SYN-ACK",
		[ANSWER_RST] = "a reset",
	};
	const char *text = p->answer < sizeof(texts) / sizeof(texts[0]) ? texts[p->answer] : NULL;

	return text ? text : "an ICMP error";
}

static const char *probe_text(const struct kept_packet *p)
{
	switch (p->kind) {
	case PROBE_CONTROL:
		return "control probe";
	case PROBE_IN_FLOW_FULL:
		return "full-size probe in the flow";
	case PROBE_KINDS:
		return "segment of the flow's own";
	default:
		return "probe in the flow";
	}
}

static void probe_note(const struct kept_packet *p, const struct incident *i,
		       char note[EXCERPT_NOTE])
{
	const bool leads = p->role >= KEPT_LEAD_PROBE;
	int len;

	if (p->role == KEPT_PROBE || p->role == KEPT_LEAD_PROBE)
		len = snprintf(note, EXCERPT_NOTE, "%s, TTL %u", probe_text(p), p->ttl);
	else if (p->kind < PROBE_KINDS)
		len = snprintf(note, EXCERPT_NOTE, "answer to the %s with TTL %u: %s",
			       probe_text(p), p->ttl, answer_text(p));
	else
		len = snprintf(note, EXCERPT_NOTE, "%s about a %s", answer_text(p), probe_text(p));
	if (leads && len < EXCERPT_NOTE)
		snprintf(note + len, EXCERPT_NOTE - (size_t)len,
			 "; for the connection from port %u, which stalls as well",
			 i->lead.local.port);
}

static void box_note(const struct kept_packet *p, char note[EXCERPT_NOTE])
{
	const size_t len = strlen(note);
	const char *what = p->packet.flags & BOX_RECONSTRUCTED
				   ? "not captured: reconstructed from the state of the socket"
			   : p->packet.flags & BOX_DROPPED ? "dropped by this host"
							   : "";

	if (*what)
		snprintf(note + len, EXCERPT_NOTE - len, "%s%s", len ? "; " : "", what);
}

int review(struct incident *i, const struct kept_packet *packets, size_t n, bool witnesses,
	   review_fn fn, void *arg)
{
	struct excerpt excerpt;
	uint64_t number = 0;
	int err = 0;

	find_frames(i, packets, n, witnesses);
	excerpt_init(&excerpt, i);
	excerpt.from_ns = 0; /* all that was kept is shown */
	excerpt.to_ns = UINT64_MAX;
	for (size_t k = 0; k < n && !err; k++) {
		const struct kept_packet *p = &packets[k];
		char note[EXCERPT_NOTE] = "";
		struct reviewed r = {.packet = p, .note = note};
		struct frame f;

		if (p->role == KEPT_WITNESS && !witnesses)
			continue;
		decode(p, &f);
		r.frame = &f;
		r.number = ++number;
		r.side = excerpt_side(&excerpt, &f);
		if (is_probe(p)) {
			probe_note(p, i, note);
			excerpt_number_note(&excerpt, number, note);
		} else if (p->role == KEPT_FLOW) {
			excerpt_takes(&excerpt, &f, r.side, p->packet.time_ns, number, note);
			box_note(p, note);
		}
		err = fn(&r, arg);
	}
	return err;
}
