/* SPDX-License-Identifier: GPL-2.0-only */
/* Which packets of a capture belong to an incident, what is said of them, and what is drawn. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "incident/excerpt.h"
#include "incident/trail.h"

#define S      NS_PER_S
#define WSCALE 7

static struct endpoint endpoint(const char *text, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(addr_parse(text, &e.addr), 0);
	return e;
}

/* Born at 1 s, silent from 10 s to 20 s. */
static struct incident stalled(void)
{
	struct incident i = {
		.local_sends = true,
		.last_progress_ns = 10 * S,
		.begun_ns = 12 * S,
		.ended_ns = 20 * S,
		.outcome = OUTCOME_RECOVERED,
		.verdict = {.cause = CAUSE_PATH_BLACKHOLE},
		.capture = {.first_frame = 100, .retrans_frame = 110, .decide_frame = 120},
	};

	i.key.local = endpoint("192.0.2.1", 5432);
	i.key.remote = endpoint("198.51.100.7", 36151);
	i.last.born_ns = 1 * S;
	i.last.flags = SNAP_OFFLINE;
	return i;
}

static struct frame segment(bool forward, uint8_t flags, uint32_t seq, uint32_t payload)
{
	struct frame f = {
		.kind = FRAME_TCP,
		.family = 4,
		.flags = flags,
		.seq = seq,
		.payload = payload,
		.window = 100,
		.ttl = 60,
		.wscale = 0xff,
		.src = {{192, 0, 2, 1}},
		.dst = {{198, 51, 100, 7}},
		.sport = 5432,
		.dport = 36151,
	};

	if (!forward) {
		union frame_addr a = f.src;

		f.src = f.dst;
		f.dst = a;
		f.sport = 36151;
		f.dport = 5432;
	}
	return f;
}

/* What is said of a packet, or NULL if it is not taken. */
static const char *shown(struct excerpt *e, const struct frame *f, uint64_t now_ns, uint64_t number)
{
	static char note[EXCERPT_NOTE];

	return excerpt_takes(e, f, excerpt_side(e, f), now_ns, number, note) ? note : NULL;
}

static void both_directions_around_the_silence_are_taken(void **state)
{
	const struct incident i = stalled();
	struct frame data = segment(true, TCP_ACK, 1, 100), ack = segment(false, TCP_ACK, 1, 0);
	struct frame syn = segment(true, TCP_SYN, 1, 0);
	struct excerpt e;

	(void)state;
	excerpt_init(&e, &i);
	assert_int_equal(excerpt_side(&e, &data), EXCERPT_DATA);
	assert_int_equal(excerpt_side(&e, &ack), EXCERPT_BACK);
	assert_null(shown(&e, &data, 7 * S, 10));
	assert_null(shown(&e, &syn, S / 2, 1)); /* of an earlier connection */
	assert_non_null(shown(&e, &syn, 1 * S, 2));
	assert_non_null(shown(&e, &data, 9 * S, 99));
	assert_non_null(shown(&e, &ack, 15 * S, 115));
	assert_non_null(shown(&e, &data, 21 * S, 200));
	assert_null(shown(&e, &data, 23 * S, 300));
}

static void other_connections_are_left_out(void **state)
{
	const struct incident i = stalled();
	struct frame f = segment(true, TCP_ACK, 1, 100);
	struct excerpt e;

	(void)state;
	excerpt_init(&e, &i);
	f.sport++;
	assert_int_equal(excerpt_side(&e, &f), EXCERPT_NONE);
	f = segment(true, TCP_ACK, 1, 100);
	f.family = 6;
	assert_int_equal(excerpt_side(&e, &f), EXCERPT_NONE);
	f = segment(true, TCP_ACK, 1, 100);
	f.kind = FRAME_OTHER;
	assert_int_equal(excerpt_side(&e, &f), EXCERPT_NONE);
	f = segment(true, TCP_ACK, 1, 100);
	f.dst = f.src;
	assert_int_equal(excerpt_side(&e, &f), EXCERPT_NONE);
}

static void what_matters_is_said_once(void **state)
{
	const struct incident i = stalled();
	struct frame data = segment(true, TCP_ACK, 1, 100), ack = segment(false, TCP_ACK, 1, 0);
	struct frame rst = segment(false, TCP_RST, 1, 0), icmp = segment(true, 0, 1, 0);
	struct excerpt e;

	(void)state;
	excerpt_init(&e, &i);
	assert_string_equal(shown(&e, &ack, 10 * S, 100), "last progress");
	assert_string_equal(shown(&e, &data, 11 * S, 110), "first retransmission");
	assert_string_equal(shown(&e, &data, 12 * S, 120),
			    "here the stall is certain: path-blackhole");
	ack.window = 0;
	assert_string_equal(shown(&e, &ack, 13 * S, 121), "window shut: the receiver has no room");
	assert_string_equal(shown(&e, &ack, 14 * S, 122), "");
	ack.window = 9;
	assert_string_equal(shown(&e, &ack, 15 * S, 123), "window open again");
	icmp.kind = FRAME_ICMP;
	icmp.icmp_type = 3;
	icmp.icmp_code = 4;
	icmp.icmp_mtu = 1400;
	icmp.icmp_family = 4;
	icmp.icmp_from = (union frame_addr){{203, 0, 113, 9}};
	assert_string_equal(shown(&e, &icmp, 16 * S, 124),
			    "ICMP error type 3 code 4 from 203.0.113.9 quotes this connection; "
			    "next-hop MTU 1400");
	assert_string_equal(shown(&e, &rst, 17 * S, 125),
			    "reset from the receiver's address, TTL 60");
	assert_string_equal(shown(&e, &ack, 20 * S, 126), "it moves again");
	assert_string_equal(shown(&e, &ack, 20 * S, 127), "");
}

static void fragments_follow_their_first(void **state)
{
	const struct incident i = stalled();
	struct frame first = segment(true, TCP_ACK, 1, 1400), later = first;
	struct excerpt e;

	(void)state;
	first.has = HAS_MORE_FRAGS;
	first.frag_id = later.frag_id = 77;
	later.kind = FRAME_FRAGMENT;
	later.sport = later.dport = 0;
	excerpt_init(&e, &i);
	assert_int_equal(excerpt_side(&e, &later), EXCERPT_NONE);
	assert_int_equal(excerpt_side(&e, &first), EXCERPT_DATA);
	assert_int_equal(excerpt_side(&e, &later), EXCERPT_DATA);
	later.frag_id = 78;
	assert_int_equal(excerpt_side(&e, &later), EXCERPT_NONE);
}

static uint64_t counted(const struct trail_plot *p, enum trail_mark kind)
{
	uint64_t n = 0;

	for (int k = 0; k < TRAIL_COLUMNS; k++)
		n += p->marks[kind][k].count;
	return n;
}

static const struct trail_column *only(const struct trail_plot *p, enum trail_mark kind)
{
	assert_int_equal(p->counts[kind], 1);
	for (int k = 0; k < TRAIL_COLUMNS; k++)
		if (p->marks[kind][k].count)
			return &p->marks[kind][k];
	return NULL;
}

static struct trail *trail_of(const struct incident *i)
{
	struct trail *t = NULL;

	assert_int_equal(trail_new(i, &t), 0);
	return t;
}

static void feed(struct trail *t, bool forward, const struct frame *f, uint64_t now_ns)
{
	trail_frame(t, f, forward ? EXCERPT_DATA : EXCERPT_BACK, now_ns);
}

static void sequence_numbers_wrap_and_windows_scale(void **state)
{
	const struct incident i = stalled();
	struct frame syn = segment(true, TCP_SYN, 0xfffffff0u, 0);
	struct frame syn_ack = segment(false, TCP_SYN | TCP_ACK, 5, 0);
	struct frame data = segment(true, TCP_ACK, 0xfffffff1u, 1000);
	struct frame ack = segment(false, TCP_ACK, 6, 0);
	struct trail *t = trail_of(&i);

	(void)state;
	syn.wscale = 3;
	syn_ack.wscale = WSCALE;
	syn_ack.ack = 0xfffffff1u;
	ack.ack = 0xfffffff1u + 1000;
	ack.n_sacks = 1;
	ack.sacks[0][0] = ack.ack + 500;
	ack.sacks[0][1] = ack.ack + 700;
	feed(t, true, &syn, 2 * S);
	feed(t, false, &syn_ack, 2 * S);
	assert_true(t->window_known);
	memset(&t->whole.marks, 0, sizeof(t->whole.marks));
	memset(&t->whole.counts, 0, sizeof(t->whole.counts));
	feed(t, true, &data, 10 * S);
	feed(t, false, &ack, 10 * S);
	assert_int_equal(only(&t->whole, TRAIL_DATA)->low, 0);
	assert_int_equal(only(&t->whole, TRAIL_DATA)->high, 1000);
	assert_int_equal(only(&t->whole, TRAIL_ACK)->high, 1000);
	assert_int_equal(only(&t->whole, TRAIL_WINDOW)->high, 1000 + (100 << WSCALE));
	assert_int_equal(only(&t->whole, TRAIL_SACK)->low, 1500);
	assert_int_equal(only(&t->whole, TRAIL_SACK)->high, 1700);
	feed(t, true, &data, 11 * S);
	assert_int_equal(only(&t->whole, TRAIL_AGAIN)->high, 1000);
	assert_int_equal(t->stalled.total, 1000); /* once */
	trail_free(t);
}

static void without_a_handshake_only_a_shut_window_is_drawn(void **state)
{
	const struct incident i = stalled();
	struct frame ack = segment(false, TCP_ACK, 6, 0);
	struct trail *t = trail_of(&i);

	(void)state;
	ack.ack = 1000;
	feed(t, false, &ack, 10 * S);
	assert_int_equal(t->whole.counts[TRAIL_WINDOW], 0);
	ack.window = 0;
	feed(t, false, &ack, 10 * S);
	assert_int_equal(t->whole.counts[TRAIL_WINDOW], 1);
	trail_free(t);
}

static void any_number_of_packets_fits_and_each_is_counted(void **state)
{
	const struct incident i = stalled();
	struct frame data = segment(true, TCP_ACK, 1, 1448), other = data;
	struct trail *t = trail_of(&i);
	uint64_t seen = 0, moved = 0;

	(void)state;
	for (uint32_t n = 0; n < 100000; n++) {
		uint64_t now_ns = n * (30 * S / 100000);

		data.ip_id = (uint16_t)(n + 1);
		seen += now_ns >= t->whole.from_ns && now_ns < t->whole.to_ns;
		feed(t, true, &data, now_ns);
		data.seq += data.payload;
		other.sport = (uint16_t)n;
		trail_frame(t, &other, EXCERPT_NONE, now_ns);
	}
	assert_int_equal(t->whole.counts[TRAIL_DATA], seen);
	assert_int_equal(counted(&t->whole, TRAIL_DATA), seen);
	assert_int_equal(t->stalled.total, seen * data.payload);
	for (int k = 0; k < TRAIL_FLOWS; k++)
		moved += t->others[k].total;
	assert_true(moved + t->rest.total <= seen * data.payload);
	assert_true(t->rest.total > 0);
	trail_free(t);
}

static void a_copy_from_another_interface_counts_once(void **state)
{
	const struct incident i = stalled();
	struct frame data = segment(true, TCP_ACK, 1, 1448);
	struct trail *t = trail_of(&i);

	(void)state;
	data.ip_id = 9;
	feed(t, true, &data, 10 * S);
	feed(t, true, &data, 10 * S + 1000);
	assert_int_equal(t->whole.counts[TRAIL_AGAIN], 0);
	assert_int_equal(t->duplicates, 1);
	trail_free(t);
}

static void wild_numbers_draw_nothing(void **state)
{
	const struct incident i = stalled();
	struct frame data = segment(true, TCP_ACK, 1, 1448);
	struct trail *t = trail_of(&i);

	(void)state;
	feed(t, true, &data, 10 * S);
	data.seq += 0x7fffff00u;
	feed(t, true, &data, 10 * S);
	assert_int_equal(t->whole.counts[TRAIL_DATA], 1);
	trail_free(t);
	trail_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_around_the_silence_are_taken),
		cmocka_unit_test(other_connections_are_left_out),
		cmocka_unit_test(what_matters_is_said_once),
		cmocka_unit_test(fragments_follow_their_first),
		cmocka_unit_test(sequence_numbers_wrap_and_windows_scale),
		cmocka_unit_test(without_a_handshake_only_a_shut_window_is_drawn),
		cmocka_unit_test(any_number_of_packets_fits_and_each_is_counted),
		cmocka_unit_test(a_copy_from_another_interface_counts_once),
		cmocka_unit_test(wild_numbers_draw_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
