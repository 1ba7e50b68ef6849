/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clues about the one segment that is owed: everything else passes, it does not; or it arrives and
 * is not taken, because somebody on the way has damaged it or rewritten its header. Weights as in
 * clues.c.
 */
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "engine/clues.h"

#define ODD_ENOUGH 3   /* options that make no sense; one may be a stray of an old connection */
#define NO_SHIFT   3.0 /* twenty to one: who alters a scale leaves the number */
#define TRIES_MAX  20  /* more are no chance anyhow */
#define WSCALE_MAX 14  /* RFC 7323 2.3 */
#define BARE_MOST  128 /* bytes of an IP packet with hardly any data; no link takes less */

static const struct flow_snapshot *last(const struct judgement *j)
{
	return &j->s->pub.last;
}

static uint64_t dropped_here(const struct judgement *j, const char *reason)
{
	uint64_t n = 0;

	for (int i = 0; i < j->s->n_drops; i++)
		if (j->s->drops[i].inbound &&
		    !strncmp(j->s->drops[i].reason, reason, strlen(reason)))
			n += j->s->drops[i].count;
	return n;
}

static void copies_stop_short(struct judgement *j)
{
	const struct path_view *p = &j->path;
	double weight = HINT + PER_MISS * p->copy_missed;
	char at[64];

	if (!p->asked || !p->copy_missed || p->full_missed)
		return;
	weight = fmin(fmin(weight, 7), loss_excluded(j, p->copy_missed, LOSS_BY_FULL));
	if (!round_full_possible(j->s)) {
		j->cause[CAUSE_SIZE_BLACKHOLE] += weight;
		j->way = WAY_FORWARD;
		evidence(j, "copy-size", weight,
			 "copies of the segment that is owed, %u bytes, get no farther than %s; "
			 "nothing as large was ever acknowledged, small packets go on",
			 last(j)->retrans_len, node_text(j, p->copy, at, sizeof(at)));
		return;
	}
	j->cause[CAUSE_CONTENT_DROP] += weight;
	j->way = WAY_FORWARD;
	evidence(j, "copy-frontier", weight,
		 "copies of the segment that is owed get no farther than %s, other packets of the "
		 "same size and connection go on",
		 node_text(j, p->copy, at, sizeof(at)));
}

/*
 * The peer has answered full-size packets of this connection, and the owed segment was sent again
 * after that. So it is no outage that is over and waits for the timer.
 */
static void only_this_segment_fails(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);
	uint64_t trip_ns = 2 * NS_PER_US * s->rtt_us, open_ns = j->s->peer.full_ns;
	double weight = fmin(s->sacked_segs ? STRONG : CLEAR,
			     loss_excluded_once(j, (int)fmin(s->retrans, TRIES_MAX)));

	if (!j->s->sends || !open_ns || s->retrans < 3 || s->retrans_ns < open_ns + trip_ns ||
	    j->e->now_ns < s->retrans_ns + trip_ns || flow_peer_window_shut(s))
		return;
	j->cause[CAUSE_CONTENT_DROP] += weight;
	evidence(j, "same-segment", weight,
		 "the same %u bytes were sent again after the peer had answered packets as large, "
		 "and again in vain%s",
		 s->retrans_len, s->sacked_segs ? "; it has what follows them" : "");
}

/*
 * Handshake and greetings passed, the first large segment does not, and each router gets it. What
 * lies behind the last one has no room for it, most likely.
 */
static void first_large_one_fails(struct judgement *j)
{
	const struct path_view *p = &j->path;
	const struct flow_snapshot *s = last(j);
	double weight = fmin(CLEAR, loss_excluded_once(j, (int)fmin(s->retrans, TRIES_MAX)));

	if (j->s->pub.slow || !j->s->sends || !j->s->copying || !p->peer_in_flow || !p->n_known ||
	    p->copy < p->n - 1 || round_full_possible(j->s) || s->retrans < 3 ||
	    flow_peer_window_shut(s))
		return;
	j->cause[CAUSE_SIZE_BLACKHOLE] += weight;
	j->way = WAY_FORWARD;
	evidence(j, "first-large-fails", weight,
		 "every router gets the %u bytes that are owed, and the peer does not, though it "
		 "acknowledges small packets; nothing as large was ever acknowledged",
		 s->retrans_len);
}

static void sacks_make_no_sense(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (s->bad_sacks < ODD_ENOUGH)
		return;
	j->cause[CAUSE_HEADER_REWRITE] += DECISIVE;
	j->rewrite = REWRITE_SEQUENCE;
	evidence(j, "sack-shifted", DECISIVE,
		 "%u SACK blocks lie far outside of what was sent: sequence numbers are rewritten "
		 "on the way, SACK blocks are not",
		 s->bad_sacks);
}

static void echoes_make_no_sense(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);

	if (s->bad_echoes < ODD_ENOUGH)
		return;
	j->cause[CAUSE_HEADER_REWRITE] += STRONG + CLEAR;
	j->rewrite = REWRITE_TIMESTAMPS;
	evidence(j, "echo-odd", STRONG + CLEAR,
		 "%u ACKs echo timestamps that this host has never sent: they are rewritten on the "
		 "way",
		 s->bad_echoes);
}

/* Each try arrives, and is answered with an ACK for what came before it (RFC 9293 3.10.7.4). */
static void tries_are_refused(struct judgement *j)
{
	const struct flow_snapshot *s = last(j);
	uint32_t dup_acks = j->s->rounds ? j->s->dup_acks_before : s->dup_acks;

	/* A segment that arrives beyond a hole is answered so as well, and sacked. */
	if (!j->s->sends || s->retrans < 2 || dup_acks < s->sacked_segs + 2 ||
	    heard_by_itself(j) < 2 || flow_peer_window_shut(s))
		return;
	j->cause[CAUSE_HEADER_REWRITE] += CLEAR + HINT;
	j->cause[CAUSE_CONTENT_DROP] -= STRONG; /* it arrives */
	j->cause[CAUSE_PATH_LOSS] -= STRONG;
	evidence(j, "refused", CLEAR + HINT,
		 "the peer answers what is sent again with %u ACKs for what came before: it gets "
		 "it and does not take it, as with a timestamp or sequence number that is not ours",
		 dup_acks);
}

static void refused_here(struct judgement *j)
{
	uint64_t paws = dropped_here(j, "TCP_RFC7323_PAWS"),
		 beyond = dropped_here(j, "TCP_OVERWINDOW") +
			  dropped_here(j, "TCP_INVALID_SEQUENCE") +
			  dropped_here(j, "TCP_INVALID_END_SEQUENCE");

	if (paws > 1) {
		j->cause[CAUSE_HEADER_REWRITE] += STRONG + HINT;
		j->rewrite = REWRITE_TIMESTAMPS;
		evidence(j, "timestamps-back", STRONG + HINT,
			 "%llu segments arrived with timestamps older than before and were refused "
			 "(RFC 7323 5)",
			 (unsigned long long)paws);
	}
	if (beyond > 2 && !j->s->sends) {
		j->cause[CAUSE_HEADER_REWRITE] += STRONG;
		j->rewrite = j->rewrite ? j->rewrite : REWRITE_WINDOW;
		evidence(j, "beyond-window", STRONG,
			 "%llu segments arrived outside the window that this host has offered: the "
			 "peer reads another one",
			 (unsigned long long)beyond);
	}
}

static void segments_arrive_damaged(struct judgement *j)
{
	uint64_t now = last(j)->csum_bad, before = j->s->csum_before;
	uint64_t dropped = dropped_here(j, "TCP_CSUM"), n = now > before ? now - before : 0;
	double share = 0, late = j->s->pub.slow ? 0 : loss_damaged(j, &share);

	if (late > 0) {
		late = fmin(late, STRONG);
		j->cause[CAUSE_PATH_CORRUPTION] += late;
		j->cause[CAUSE_SIZE_BLACKHOLE] -= CLEAR; /* large ones arrive, as they are */
		evidence(j, "damaged-before", late,
			 "in the seconds before the silence %.0f %% of the segments arrived with a "
			 "wrong checksum",
			 share * 100);
	}
	n = n > dropped ? n : dropped;
	if (n < 2)
		return;
	j->cause[CAUSE_PATH_CORRUPTION] += DECISIVE;
	if (j->s->pub.slow) /* that is how they are lost */
		j->cause[CAUSE_PATH_LOSS] -= STRONG;
	j->way = j->s->sends ? WAY_REVERSE : WAY_FORWARD;
	evidence(j, "bad-checksum", DECISIVE,
		 "%llu segment%s arrived with a wrong checksum and %s dropped",
		 (unsigned long long)n, plural(n), n == 1 ? "was" : "were");
}

/* Routers do not look at the TCP checksum: their quotes show what reached them. */
static void quotes_differ(struct judgement *j)
{
	const struct stall *s = j->s;
	char at[64];

	if (s->altered_at[ALTERED_AT_PAYLOAD]) {
		j->cause[CAUSE_PATH_CORRUPTION] += STRONG + CLEAR;
		j->way = WAY_FORWARD;
		evidence(j, "quote-damaged", STRONG + CLEAR,
			 "%s quotes other bytes than this host has sent",
			 node_text(j, s->altered_at[ALTERED_AT_PAYLOAD], at, sizeof(at)));
	}
	if (s->altered_at[ALTERED_AT_HEADER]) {
		/* Randomised sequence numbers alone are common and do no harm. */
		j->cause[CAUSE_HEADER_REWRITE] += HINT;
		evidence(j, "quote-rewritten", HINT,
			 "%s quotes another TCP header than this host has sent",
			 node_text(j, s->altered_at[ALTERED_AT_HEADER], at, sizeof(at)));
	}
}

/*
 * Whatever carries data is lost, a bare header passes. Boxes may drop what is far below the least
 * MTU of a link (RFC 791, RFC 8200 5): only the search down to the header tells.
 */
static void even_small_ones_fail(struct judgement *j)
{
	const struct stall *s = j->s;

	if (!s->sizing || s->size_fail > BARE_MOST)
		return;
	j->cause[CAUSE_SIZE_BLACKHOLE] -= STRONG;
	j->cause[CAUSE_PATH_CORRUPTION] += STRONG;
	evidence(j, "data-fails", STRONG,
		 "packets of %u bytes do not pass either: it is the data, not the size",
		 s->size_fail);
}

/* A receiver opens its window by a segment at least, or keeps it shut (RFC 9293 3.8.6.2.2). */
static void window_is_silly(struct judgement *j)
{
	const struct pace_seen *p = &j->s->pub.pace;

	if (!j->s->pub.slow || !j->s->sends || !p->window_bytes ||
	    p->window_bytes >= last(j)->mss || (p->limit != PACE_WINDOW && p->limit != PACE_SHUT))
		return;
	j->cause[CAUSE_HEADER_REWRITE] += DECISIVE + HINT;
	j->rewrite = REWRITE_WINDOW;
	evidence(j, "silly-window", DECISIVE + HINT,
		 "the window never exceeds %u bytes, less than a segment, and is never shut: no "
		 "receiver offers that, it is read at another scale (shift %u)",
		 p->window_bytes, last(j)->snd_wscale);
}

/*
 * Whether the window is what it was, read some bits lower, as by a box that strips or alters its
 * scale: the log-odds that this is no chance. What is read may differ by one from what was written,
 * for some data came between; so the ratio of two windows is near a power of two in 3 of `is` cases
 * of an octave.
 */
static double looks_shifted(const struct flow_snapshot *s)
{
	uint32_t was = s->wide_wnd >> (s->snd_wscale & 15), is = s->cut_wnd >> (s->snd_wscale & 15);

	for (int bits = 1; is && bits <= WSCALE_MAX; bits++)
		if (was >> bits <= is + 1 && is <= (was >> bits) + 1)
			return fmax(log(is * M_LN2 / 3), 0);
	return -NO_SHIFT;
}

/* A receiver does not take back what it has offered, see taken_back() in bpf/progress.h. */
static void window_was_taken_back(struct judgement *j)
{
	const struct pace_seen *p = &j->s->pub.pace;
	const struct flow_snapshot *s = last(j);
	double shifted = looks_shifted(s), weight;

	if (!j->s->pub.slow || !j->s->sends || !s->cut_wnd ||
	    (p->limit != PACE_WINDOW && p->limit != PACE_SHUT))
		return;
	weight = STRONG + CLEAR + (shifted < CLEAR ? shifted : CLEAR);
	j->cause[CAUSE_HEADER_REWRITE] += weight;
	j->rewrite = REWRITE_WINDOW;
	evidence(j, "window-taken-back", weight,
		 "from one ACK to the next the window went from %u to %u bytes and its right edge "
		 "back%s",
		 s->wide_wnd, s->cut_wnd,
		 shifted > 0 ? ": the same number, read some bits lower" : "");
}

void weigh_rewriting(struct judgement *j)
{
	sacks_make_no_sense(j);
	echoes_make_no_sense(j);
	window_is_silly(j);
	window_was_taken_back(j);
}

void weigh_segment(struct judgement *j)
{
	static void (*const clues[])(struct judgement *) = {
		copies_stop_short,	 first_large_one_fails, only_this_segment_fails,
		weigh_rewriting,	 tries_are_refused,	refused_here,
		segments_arrive_damaged, quotes_differ,		even_small_ones_fail,
	};

	for (size_t i = 0; i < sizeof(clues) / sizeof(*clues); i++)
		clues[i](j);
}

void weigh_passing_probes(struct judgement *j)
{
	copies_stop_short(j);
	only_this_segment_fails(j);
	quotes_differ(j);
}
