/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/review.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define CLOCK_SLACK_NS                                                                             \
	NS_PER_MS /* between the program that sees progress and the one that keeps                 \
		   */

static bool is_probe(const struct kept_packet *p)
{
	return p->role == KEPT_PROBE || p->role == KEPT_ANSWER;
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

/* As its source says, or the segment at the edge of what was acknowledged for a second time. */
static bool sent_again(const struct incident *i, const struct kept_packet *p, const struct frame *f,
		       enum excerpt_side side, bool *sent_edge)
{
	bool edge = i->local_sends && f->seq == i->first.snd_una, again;

	if (f->kind != FRAME_TCP || side != EXCERPT_DATA || !f->payload)
		return false;
	again = p->packet.flags & BOX_AGAIN || (edge && *sent_edge);
	*sent_edge |= edge;
	return again;
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
	bool sent_edge = false;

	excerpt_init(&excerpt, i);
	for (size_t k = 0; k < n; k++) {
		const struct kept_packet *p = &packets[k];
		const uint64_t at_ns = p->packet.time_ns;
		enum excerpt_side side;
		struct frame f;

		if (p->role == KEPT_WITNESS && !witnesses)
			continue;
		number++;
		decode(p, &f);
		side = excerpt_side(&excerpt, &f);
		if (p->role != KEPT_FLOW || side == EXCERPT_NONE)
			continue;
		last = number;
		if (at_ns <= i->last_progress_ns + CLOCK_SLACK_NS &&
		    side == (i->local_sends ? EXCERPT_BACK : EXCERPT_DATA))
			before = number;
		if (!first && moved_last(i, &f, side))
			first = number;
		if (sent_again(i, p, &f, side, &sent_edge) && !again && at_ns > i->last_progress_ns)
			again = number;
		if (!decided && at_ns >= i->begun_ns)
			decided = number;
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

static void probe_note(const struct kept_packet *p, char note[EXCERPT_NOTE])
{
	if (p->role == KEPT_PROBE)
		snprintf(note, EXCERPT_NOTE, "%s, TTL %u", probe_text(p), p->ttl);
	else if (p->kind < PROBE_KINDS)
		snprintf(note, EXCERPT_NOTE, "answer to the %s with TTL %u: %s", probe_text(p),
			 p->ttl, answer_text(p));
	else
		snprintf(note, EXCERPT_NOTE, "%s about a %s", answer_text(p), probe_text(p));
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

	if (!(i->last.flags & SNAP_OFFLINE))
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
			probe_note(p, note);
		} else if (p->role == KEPT_FLOW) {
			excerpt_takes(&excerpt, &f, r.side, p->packet.time_ns, number, note);
			box_note(p, note);
		}
		err = fn(&r, arg);
	}
	return err;
}
