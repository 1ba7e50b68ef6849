/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/trail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

_Static_assert(MAX_WITNESSES <= TRAIL_FLOWS, "each witness has a place");

#define CONTEXT_MIN_NS (3 * NS_PER_S) /* before and after the silence */
#define CONTEXT_MAX_NS (60 * NS_PER_S)
#define CLOSE_MIN_NS   (50 * NS_PER_MS) /* around the last progress */
#define CLOSE_RTTS     10
#define SEQ_MAX_JUMP   (1u << 30) /* further than a window can reach: not of this connection */

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return value < min ? min : value > max ? max : value;
}

/* As long before the silence as it lasted, and half of that behind it. Of a slow phase less. */
static void choose_spans(struct trail *t, const struct incident *i)
{
	uint64_t end_ns = i->ended_ns > i->begun_ns ? i->ended_ns : i->begun_ns;
	uint64_t silence_ns = end_ns > i->last_progress_ns ? end_ns - i->last_progress_ns : 0;
	uint64_t before_ns =
		clamp(i->slow ? silence_ns / 4 : silence_ns, CONTEXT_MIN_NS, CONTEXT_MAX_NS);
	uint64_t rtts_ns = (uint64_t)CLOSE_RTTS * i->last.rtt_us * NS_PER_US;
	uint64_t near_ns = clamp(rtts_ns, CLOSE_MIN_NS, NS_PER_S);
	uint64_t born_ns = i->slow ? 0 : i->last.born_ns;
	uint64_t moved_ns = (i->local_sends ? &i->last.snd : &i->last.rcv)->progress_ns;

	/* The silence may be counted from later: from when something was owed. */
	if (!moved_ns || moved_ns > i->last_progress_ns)
		moved_ns = i->last_progress_ns;
	t->whole.from_ns = i->last_progress_ns > before_ns ? i->last_progress_ns - before_ns : 0;
	if (t->whole.from_ns < born_ns && born_ns <= i->last_progress_ns)
		t->whole.from_ns = born_ns;
	t->whole.to_ns = end_ns + clamp(silence_ns / 2, NS_PER_S, CONTEXT_MAX_NS);
	t->close.from_ns = moved_ns > near_ns ? moved_ns - near_ns : 0;
	t->close.to_ns = i->last_progress_ns + near_ns;
}

int trail_new(const struct incident *i, struct trail **ret)
{
	struct trail *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	choose_spans(t, i);
	*ret = t;
	return 0;
}

void trail_free(struct trail *t)
{
	free(t);
}

static int64_t unwrap(uint32_t seq, uint32_t base, int64_t near)
{
	return near + (int32_t)(seq - (base + (uint32_t)near));
}

static void mark(struct trail_plot *p, enum trail_mark kind, uint64_t now_ns, int64_t low,
		 int64_t high)
{
	struct trail_column *c;

	if (now_ns < p->from_ns || now_ns >= p->to_ns)
		return;
	c = &p->marks[kind][(unsigned __int128)(now_ns - p->from_ns) * TRAIL_COLUMNS /
			    (p->to_ns - p->from_ns)];
	if (!c->count || low < c->low)
		c->low = low;
	if (!c->count || high > c->high)
		c->high = high;
	c->last = high;
	c->count++;
	p->counts[kind]++;
}

static void draw(struct trail *t, enum trail_mark kind, uint64_t now_ns, int64_t low, int64_t high)
{
	if (low < -(int64_t)SEQ_MAX_JUMP || high - t->high > SEQ_MAX_JUMP)
		return;
	mark(&t->whole, kind, now_ns, low, high);
	mark(&t->close, kind, now_ns, low, high);
}

/* Bytes that reach beyond all that was seen before. */
static void rate(const struct trail *t, struct trail_rate *r, const struct frame *f,
		 uint64_t now_ns)
{
	int64_t end = (int64_t)f->seq + f->payload, grown = f->payload;

	if (r->begun) {
		end = r->high + (int32_t)((uint32_t)end - (uint32_t)r->high);
		grown = end - r->high;
	}
	if (!f->payload || grown <= 0 || grown > SEQ_MAX_JUMP)
		return;
	if (grown > f->payload)
		grown = f->payload; /* what the capture has lost is not guessed */
	r->begun = true;
	r->high = end;
	if (now_ns < t->whole.from_ns || now_ns >= t->whole.to_ns)
		return;
	r->total += (uint64_t)grown;
	r->bytes[(unsigned __int128)(now_ns - t->whole.from_ns) * TRAIL_BINS /
		 (t->whole.to_ns - t->whole.from_ns)] += (uint64_t)grown;
}

static struct frame_ends ends_of(const struct frame *f)
{
	return (struct frame_ends){f->src, f->dst, f->sport, f->dport, f->family, {0}};
}

/* Another connection. Those that begin first get a place of their own. */
static void other(struct trail *t, const struct frame *f, uint64_t now_ns)
{
	struct frame_ends ends;

	if (!f->payload || f->kind != FRAME_TCP || now_ns < t->whole.from_ns ||
	    now_ns >= t->whole.to_ns)
		return;
	ends = ends_of(f);
	for (int i = 0; i < TRAIL_FLOWS; i++) {
		struct trail_rate *r = &t->others[i];

		if (!r->used) {
			r->used = true;
			r->ends = ends;
		}
		if (!memcmp(&r->ends, &ends, sizeof(ends))) {
			rate(t, r, f, now_ns);
			return;
		}
	}
	t->rest.begun = false; /* many connections: each segment counts */
	rate(t, &t->rest, f, now_ns);
}

/* As the tracker does: another interface's copy has the same identification and numbers. */
static bool is_duplicate(struct trail *t, const struct frame *f, enum excerpt_side side)
{
	uint32_t print = f->seq * 0x9e3779b1u ^ f->ack * 0x85ebca6bu ^
			 ((uint32_t)f->ip_id << 16 | f->window) * 0xc2b2ae35u ^
			 (f->payload << 8 | f->flags) * 0x27d4eb2fu ^ f->tsval ^ (uint32_t)side;

	if (!f->ip_id)
		return false;
	for (int i = 0; i < 8; i++) {
		if (t->prints[i] == print) {
			t->duplicates++;
			return true;
		}
	}
	t->prints[t->next_print++ % 8] = print;
	return false;
}

/* RFC 7323 2.2: scaling holds only if both ends offer it. */
static void handshake(struct trail *t, const struct frame *f, enum excerpt_side side)
{
	t->syn_sides |= (uint8_t)(side == EXCERPT_DATA ? 1 : 2);
	if (side == EXCERPT_DATA)
		t->src_scale = f->wscale;
	else
		t->dst_scale = f->wscale;
	t->window_known = t->syn_sides == 3;
}

static void data(struct trail *t, const struct frame *f, uint64_t now_ns)
{
	uint32_t seq = f->seq + !!(f->flags & TCP_SYN);
	int64_t low, end;

	if (!t->based || (f->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		t->based = true;
		t->base = seq;
		t->high = 0;
	}
	if (!f->payload)
		return;
	low = unwrap(seq, t->base, t->high);
	end = low + f->payload;
	if (low >= t->high) {
		draw(t, TRAIL_DATA, now_ns, low, end);
	} else {
		draw(t, TRAIL_AGAIN, now_ns, low, end < t->high ? end : t->high);
		if (end > t->high)
			draw(t, TRAIL_DATA, now_ns, t->high, end);
	}
	if (end > t->high && end - t->high < SEQ_MAX_JUMP)
		t->high = end;
}

static void acknowledged(struct trail *t, const struct frame *f, uint64_t now_ns)
{
	bool scaled = t->src_scale != 0xff && t->dst_scale != 0xff;
	int64_t ack;

	if (!(f->flags & TCP_ACK) || f->flags & TCP_RST)
		return;
	if (!t->based) {
		t->based = true;
		t->base = f->ack;
	}
	ack = unwrap(f->ack, t->base, t->high);
	draw(t, TRAIL_ACK, now_ns, ack, ack);
	if (f->flags & TCP_SYN)
		return;
	if (t->window_known || !f->window) {
		int64_t edge = ack + ((int64_t)f->window << (scaled ? t->dst_scale : 0));

		draw(t, TRAIL_WINDOW, now_ns, edge, edge);
	}
	for (int i = 0; i < f->n_sacks && i < FRAME_SACKS; i++) {
		int64_t left = unwrap(f->sacks[i][0], t->base, t->high);
		int64_t right = unwrap(f->sacks[i][1], t->base, t->high);

		if (left < right && left >= ack) /* below: a D-SACK, RFC 2883 */
			draw(t, TRAIL_SACK, now_ns, left, right);
	}
}

void trail_frame(struct trail *t, const struct frame *f, enum excerpt_side side, uint64_t now_ns)
{
	t->last_ns = now_ns;
	if (side == EXCERPT_NONE) {
		other(t, f, now_ns);
		return;
	}
	if (f->kind != FRAME_TCP || is_duplicate(t, f, side))
		return;
	if (f->flags & TCP_SYN)
		handshake(t, f, side);
	if (side == EXCERPT_DATA) {
		data(t, f, now_ns);
		rate(t, &t->stalled, f, now_ns);
	} else {
		acknowledged(t, f, now_ns);
	}
}

static void average(const struct trail *t, struct trail_rate *r, uint64_t rate_bps,
		    uint64_t from_ns, uint64_t to_ns)
{
	const double bin_ns = (double)(t->whole.to_ns - t->whole.from_ns) / TRAIL_BINS;
	const double per_ns = (double)rate_bps / 8 / NS_PER_S;

	for (int k = 0; k < TRAIL_BINS; k++) {
		double begin = (double)t->whole.from_ns + k * bin_ns, end = begin + bin_ns;

		begin = begin > (double)from_ns ? begin : (double)from_ns;
		end = end < (double)to_ns ? end : (double)to_ns;
		if (end <= begin)
			continue;
		r->bytes[k] = (uint64_t)((end - begin) * per_ns);
		r->total += r->bytes[k];
	}
}

static struct frame_ends witness_ends(const struct witness *w)
{
	const struct endpoint *src = w->sends ? &w->key.local : &w->key.remote;
	const struct endpoint *dst = w->sends ? &w->key.remote : &w->key.local;
	struct frame_ends ends = {
		.sport = src->port,
		.dport = dst->port,
		.family = src->addr.family == AF_INET6 ? 6 : 4,
	};

	memcpy(ends.src.bytes, src->addr.bytes, addr_len(&src->addr));
	memcpy(ends.dst.bytes, dst->addr.bytes, addr_len(&dst->addr));
	return ends;
}

void trail_averages(struct trail *t, const struct incident *i)
{
	const struct direction *d = i->local_sends ? &i->first.snd : &i->first.rcv;
	const uint64_t end_ns = i->ended_ns ? i->ended_ns : t->whole.to_ns;
	const uint64_t began_ns = d->run_start_ns ? d->run_start_ns : i->first.born_ns;

	t->averages = true;
	memset(&t->stalled, 0, sizeof(t->stalled));
	memset(t->others, 0, sizeof(t->others));
	memset(&t->rest, 0, sizeof(t->rest));
	if (i->slow) {
		average(t, &t->stalled, i->pace.usual_bps, t->whole.from_ns, i->last_progress_ns);
		average(t, &t->stalled, i->pace.rate_bps, i->last_progress_ns, end_ns);
	} else {
		average(t, &t->stalled, i->rate_bps, began_ns, i->last_progress_ns);
	}
	for (int k = 0; k < i->n_witnesses; k++) {
		t->others[k].used = true;
		t->others[k].ends = witness_ends(&i->witnesses[k]);
		average(t, &t->others[k], i->witnesses[k].rate_bps, i->last_progress_ns, end_ns);
	}
}
