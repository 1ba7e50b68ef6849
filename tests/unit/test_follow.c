/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the packets of watched transfers show of their pace. The senders are as simple as can be: a
 * window a round trip, larger after each without loss, half of it after each with; what is lost
 * is sent again in the next.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/follow.h"
#include "sensor/frame.h"
#include "sensor/reconstruct.h"

#define MSS	   1400u
#define HEADERS	   40u
#define WINDOW_MAX 256
#define PAUSE_NS   (3 * NS_PER_S)
#define SPACING_NS (20 * NS_PER_US) /* of a burst */

/* The network, and who sends through it. */
struct line {
	uint64_t now_ns, rtt_ns;
	double rate, depth, tokens; /* bytes a second, bytes; rate 0: no bucket */
	uint64_t filled_ns;
	double random_loss;
	uint32_t seed;
	bool seen_at_receiver, offloads;
};

struct sender {
	struct flow_key key;
	uint32_t una, nxt, window, limit;
	bool lost[1 << 16]; /* by number of the segment: to be sent again */
};

static uint32_t drawn(struct line *l)
{
	l->seed = l->seed * 1664525u + 1013904223u;
	return l->seed >> 8;
}

static bool drops(struct line *l, uint64_t now_ns)
{
	if (l->random_loss > 0 && drawn(l) < l->random_loss * (1 << 24))
		return true;
	if (l->rate <= 0)
		return false;
	l->tokens += (double)(now_ns - l->filled_ns) / 1e9 * l->rate;
	l->tokens = fmin(l->tokens, l->depth);
	l->filled_ns = now_ns;
	if (l->tokens < MSS + HEADERS)
		return true;
	l->tokens -= MSS + HEADERS;
	return false;
}

static struct sender sender_of(uint16_t port)
{
	return (struct sender){
		.key = {.cookie = port,
			.netns = 7,
			.local = {.addr = addr_v4((const uint8_t[]){192, 0, 2, 1}), .port = port},
			.remote = {.addr = addr_v4((const uint8_t[]){198, 51, 100, 2}),
				   .port = 5432}},
		.window = 4,
		.limit = WINDOW_MAX,
	};
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

/* As the box of either end has it. data: from the sender, else an ACK of the receiver. */
static void packet(struct follow *f, const struct line *l, const struct sender *s, bool data,
		   uint64_t now_ns, uint32_t segment, uint32_t segments)
{
	const struct endpoint *from = data ? &s->key.local : &s->key.remote,
			      *to = data ? &s->key.remote : &s->key.local;
	struct box_packet p = {
		.time_ns = now_ns,
		.linktype = LINKTYPE_RAW,
		.length = HEADERS + (data ? segments * MSS : 0),
		.flags = data == !l->seen_at_receiver ? BOX_OUT : 0,
		.captured = HEADERS,
	};

	p.data[0] = 0x45;
	put16(p.data + 2, p.length);
	put16(p.data + 4, (uint32_t)(now_ns / NS_PER_US) | 1);
	p.data[8] = 64;
	p.data[9] = IPPROTO_TCP;
	memcpy(p.data + 12, from->addr.bytes, 4);
	memcpy(p.data + 16, to->addr.bytes, 4);
	put16(p.data + 20, from->port);
	put16(p.data + 22, to->port);
	put32(p.data + 24, data ? 1 + segment * MSS : 1);
	put32(p.data + 28, data ? 1 : 1 + segment * MSS);
	p.data[32] = 5 << 4;
	p.data[33] = TCP_ACK;
	put16(p.data + 34, 0xffff);
	follow_packet(f, &p, MSS);
}

/* Sends `n` segments from there on, as one packet where the card cuts them. Whether all passed. */
static bool transmit(struct follow *f, struct line *l, struct sender *s, uint64_t now_ns,
		     uint32_t segment, uint32_t n)
{
	bool whole = true;

	for (uint32_t i = 0; i < n; i++) {
		s->lost[segment + i] = drops(l, now_ns);
		whole &= !s->lost[segment + i];
		if (l->seen_at_receiver && !s->lost[segment + i])
			packet(f, l, s, true, now_ns + i, segment + i, 1);
	}
	if (!l->seen_at_receiver)
		packet(f, l, s, true, now_ns, segment, n);
	return whole;
}

/* A round trip: what was lost first, then what is new; at its end an ACK. */
static void round_trip(struct follow *f, struct line *l, struct sender *s, uint64_t now_ns)
{
	uint32_t most = l->offloads ? 2 : 1, left = s->window, again = s->nxt;
	bool whole = true;

	for (uint32_t i = s->una; i < again && left; i++) {
		if (!s->lost[i])
			continue;
		whole &= transmit(f, l, s, now_ns, i, 1);
		now_ns += SPACING_NS;
		left--;
	}
	while (left) {
		uint32_t n = left < most ? left : most;

		whole &= transmit(f, l, s, now_ns, s->nxt, n);
		now_ns += SPACING_NS;
		s->nxt += n;
		left -= n;
	}
	while (s->una < s->nxt && !s->lost[s->una])
		s->una++;
	s->window = whole ? s->window + 1 + s->window / 8 : s->window / 2;
	s->window = s->window < 2 ? 2 : s->window > s->limit ? s->limit : s->window;
	packet(f, l, s, false, l->seen_at_receiver ? now_ns : now_ns + l->rtt_ns * 9 / 10, s->una,
	       1);
}

/* n of them, each in its part of the round trip; all but the first pause now and then. */
static void run(struct follow *f, struct line *l, struct sender *const *s, int n, int seconds)
{
	uint64_t end_ns;

	l->now_ns = l->filled_ns = NS_PER_S;
	l->tokens = l->depth;
	end_ns = l->now_ns + (uint64_t)seconds * NS_PER_S;
	for (; l->now_ns < end_ns; l->now_ns += l->rtt_ns) {
		for (int i = 0; i < n; i++)
			if (!i || l->now_ns / PAUSE_NS % 2)
				round_trip(f, l, s[i],
					   l->now_ns + l->rtt_ns * (uint64_t)i / (uint64_t)n);
		if (n == 1) /* with more, ACKs of one round come in the next */
			follow_round(f);
	}
	follow_round(f);
}

/* limit PACE_UNKNOWN: they do not tell. */
static struct pace_seen seen_of(struct line *l, uint32_t limit)
{
	static struct sender s;
	struct sender *senders[] = {&s};
	struct pace_seen seen = {0};
	struct follow *f;

	s = sender_of(40000);
	s.limit = limit;
	assert_int_equal(follow_new(&f), 0);
	run(f, l, senders, 1, 20);
	if (l->seen_at_receiver) {
		struct flow_key key = {
			.cookie = 9, .netns = 7, .local = s.key.remote, .remote = s.key.local};

		if (follow_look(f, &key, false, &seen))
			assert_int_equal(seen.key.cookie, 9);
	} else if (follow_look(f, &s.key, true, &seen)) {
		assert_int_equal(seen.key.cookie, s.key.cookie);
	}
	if (seen.limit)
		assert_true(endpoint_equal(&seen.key.local, &s.key.local));
	follow_free(f);
	return seen;
}

static void assert_near(uint64_t value, double truth, double share)
{
	assert_true((double)value > truth * (1 - share) && (double)value < truth * (1 + share));
}

static void a_policer_shows_its_rate_whatever_it_is(void **state)
{
	static const struct {
		double mbps, depth;
		int rtt_ms;
	} cases[] = {{0.4, 15000, 80}, {2.5, 20000, 45}, {7, 150000, 120}, {0.9, 40000, 260}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int offloads = 0; offloads < 2; offloads++) {
			struct line l = {.rate = cases[i].mbps * 1e6 / 8,
					 .depth = cases[i].depth,
					 .rtt_ns = (uint64_t)cases[i].rtt_ms * NS_PER_MS,
					 .offloads = offloads};
			struct pace_seen seen = seen_of(&l, WINDOW_MAX);

			assert_int_equal(seen.limit, PACE_POLICER);
			assert_near(seen.ceiling_bps, cases[i].mbps * 1e6, 0.1);
			assert_true(seen.fit_permille > 850);
		}
	}
}

/* What it loses in the middle of a burst: the end of one nobody misses before it is sent again. */
static void a_receiver_sees_the_gaps(void **state)
{
	struct line l = {.rate = 7e6 / 8,
			 .depth = 150000,
			 .rtt_ns = 120 * NS_PER_MS,
			 .seen_at_receiver = true};
	struct pace_seen seen = seen_of(&l, WINDOW_MAX);

	(void)state;
	assert_int_equal(seen.limit, PACE_POLICER);
	assert_near(seen.ceiling_bps, 7e6, 0.1);
}

static void loss_at_random_is_no_policer(void **state)
{
	static const double loss[] = {0.02, 0.08, 0.2, 0.4};

	int told = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(loss) / sizeof(*loss); i++) {
		for (uint32_t seed = 1; seed <= 10; seed++) {
			struct line l = {.random_loss = loss[i],
					 .rtt_ns = (seed * 17) * NS_PER_MS,
					 .seed = seed * 7919,
					 .offloads = seed & 1};
			struct pace_seen seen = seen_of(&l, WINDOW_MAX);

			assert_true(seen.limit == PACE_LOSS || seen.limit == PACE_UNKNOWN);
			assert_int_equal(seen.ceiling_bps, 0);
			told += seen.limit == PACE_LOSS;
		}
	}
	assert_true(told > 35); /* of 40 */
}

/* Each alone finds the bucket empty for reasons of the other. */
static void transfers_that_share_a_policer_are_judged_together(void **state)
{
	static struct sender a, b;
	struct sender *senders[] = {&a, &b};
	struct line l = {.rate = 1.6e6 / 8, .depth = 25000, .rtt_ns = 35 * NS_PER_MS};
	struct pace_seen seen;
	struct follow *f;

	(void)state;
	a = sender_of(40001);
	b = sender_of(40002);
	assert_int_equal(follow_new(&f), 0);
	run(f, &l, senders, 2, 20);
	assert_true(follow_look(f, &a.key, true, &seen));
	assert_int_equal(seen.limit, PACE_POLICER);
	assert_int_equal(seen.flows, 2);
	assert_near(seen.ceiling_bps, 1.6e6, 0.1);
	follow_free(f);
}

static void what_loses_nothing_is_not_told(void **state)
{
	static struct sender s;
	struct sender *senders[] = {&s};
	struct line l = {.rtt_ns = 20 * NS_PER_MS};
	struct pace_seen seen;
	struct follow *f;

	(void)state;
	s = sender_of(40003);
	s.limit = 8;
	assert_int_equal(follow_new(&f), 0);
	assert_false(follow_look(f, &s.key, true, &seen));
	run(f, &l, senders, 1, 5);
	assert_false(follow_look(f, &s.key, true, &seen));
	follow_free(f);
}

/* KiB of memory of our own that are in use; 0: the kernel does not say. */
static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/*
 * The tables of a capture are made for tens of thousands of connections, in huge pages: two would
 * be 4 MiB. Sanitizers take memory of their own.
 */
static void a_few_transfers_take_little_memory(void **state)
{
	static struct sender s;
	struct sender *senders[] = {&s};
	struct line l = {.rtt_ns = 20 * NS_PER_MS};
	const long before_kib = resident_kib();
	struct follow *f;

	(void)state;
	s = sender_of(40004);
	assert_int_equal(follow_new(&f), 0);
	run(f, &l, senders, 1, 5);
	assert_in_range(resident_kib(), 0, before_kib + 3 * 1024);
	follow_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policer_shows_its_rate_whatever_it_is),
		cmocka_unit_test(a_receiver_sees_the_gaps),
		cmocka_unit_test(loss_at_random_is_no_policer),
		cmocka_unit_test(transfers_that_share_a_policer_are_judged_together),
		cmocka_unit_test(what_loses_nothing_is_not_told),
		cmocka_unit_test(a_few_transfers_take_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
