/* SPDX-License-Identifier: GPL-2.0-only */
/* sensor/tracker with the engine behind it: how connections begin and end, and what is said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "scene.h"

#define MSS	 SCENE_MSS
#define MS(n)	 SCENE_MS(n)
#define DST_PORT SCENE_PORT

static void a_reset_counts_only_with_data_on_its_way(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_flag(&s, 10, false, 10 * MSS, TCP_RST | TCP_ACK);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);

	s = scene_open(100);
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	scene_data(&s, 1, 11 * MSS, MSS);
	scene_flag(&s, 10, false, 10 * MSS, TCP_RST | TCP_ACK);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_RESET);
	assert_int_equal(s.last.outcome, OUTCOME_RESET);

	s = scene_open(100); /* a receiver that has closed does not want the rest */
	scene_start(&s);
	scene_healthy(&s);
	scene_flag(&s, 1, false, 10 * MSS, TCP_FIN | TCP_ACK);
	scene_data(&s, 1, 10 * MSS, MSS);
	scene_flag(&s, 10, false, 10 * MSS, TCP_RST);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void the_end_of_a_connection_is_no_stall(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_flag(&s, 1, false, 10 * MSS, TCP_FIN | TCP_ACK);
	scene_data(&s, 1, 10 * MSS, 31); /* a goodbye to a program that has gone */
	for (int i = 0; i < 5; i++)
		scene_data(&s, 500 << i, 10 * MSS, 31);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void the_same_ends_may_meet_anew(void **state)
{
	struct scene s = scene_open(100);
	struct tracker_counts counts;

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_flag(&s, 1, true, 10 * MSS, TCP_FIN | TCP_ACK);
	scene_flag(&s, 1, false, 10 * MSS + 1, TCP_FIN | TCP_ACK);
	s.base = 0x70000000;
	scene_flag(&s, 60000, true, 0, TCP_SYN);
	s.base++;
	scene_healthy(&s);
	tracker_end(s.tracker);
	counts = tracker_counts(s.tracker);
	assert_int_equal(counts.connections, 2);
	assert_int_equal(counts.retransmissions, 0);
	assert_int_equal(s.begins, 0);
	tracker_free(s.tracker);
	engine_free(s.engine);
}

/* The SYN of one more connection from the sender, to this port. */
static void syn(struct scene *s, int ms, uint16_t port)
{
	struct frame f;

	s->now_ns += MS(ms);
	s->port = port;
	f = scene_frame(s, true);
	f.seq = s->base;
	f.flags = TCP_SYN;
	scene_push(s, &f);
}

static void a_connection_that_nobody_answers_is_a_stall(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	syn(&s, 0, 80);
	for (int i = 0; i < 4; i++)
		syn(&s, 1000 << i, 80);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.first.state, TCP_SYN_SENT);
	assert_int_equal(s.last.verdict.cause, CAUSE_UNKNOWN);
}

static void new_connections_that_fail_beside_old_ones_are_refused_by_the_path(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	for (uint32_t i = 0; i < 4; i++) {
		s.base = 5000;
		syn(&s, 1000 << i, DST_PORT + 1);
		s.base = 100;
		s.port = DST_PORT;
		scene_data(&s, 10, (10 + i) * MSS, MSS);
		scene_ack(&s, 20, (11 + i) * MSS, 60000);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECT_REFUSED_BY_PATH);
}

static void refused_and_single_syns_are_no_stalls(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	for (uint16_t port = 1; port < 40; port++) {
		syn(&s, 1, port);
		if (port & 1)
			scene_flag(&s, 1, false, 1, TCP_RST | TCP_ACK);
	}
	s.now_ns += MS(60000);
	syn(&s, 1, 40);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void a_search_for_open_ports_is_told_a_few_times(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	for (int i = 0; i < 3; i++)
		for (uint16_t port = 1; port < 60; port++)
			syn(&s, i && port == 1 ? 3000 : 1, port);
	scene_finish(&s);
	assert_true(s.begins > 0 && s.begins <= 8);
}

/* What the peer sends elsewhere comes with TTL 57. */
static void a_refusal_from_nearer_by_is_not_the_peers(void **state)
{
	struct frame f;

	(void)state;
	for (int forged = 0; forged < 2; forged++) {
		struct scene s = scene_open(100);

		scene_start(&s);
		scene_healthy(&s);
		scene_flag(&s, 1, false, 10 * MSS, TCP_ACK | TCP_PSH);
		f = scene_frame(&s, false);
		f.seq = 1;
		f.ack = s.base + 10 * MSS;
		f.payload = 10;
		scene_push(&s, &f);
		syn(&s, 10, DST_PORT + 1);
		f = scene_frame(&s, false);
		f.ack = s.base + 1;
		f.flags = TCP_RST | TCP_ACK;
		f.ttl = forged ? 63 : 57;
		scene_push(&s, &f);
		scene_finish(&s);
		assert_int_equal(s.begins, forged);
		if (forged)
			assert_int_equal(s.last.verdict.cause, CAUSE_CONNECT_REFUSED_BY_PATH);
	}
}

static void a_sender_that_has_given_up_has_timed_out(void **state)
{
	struct scene s = scene_open(100);
	uint64_t tried_ns;

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 4; i++)
		scene_data(&s, 1000 << i, 10 * MSS, MSS);
	tried_ns = s.now_ns;
	for (int i = 0; i < 600; i++) { /* another connection lives on */
		s.port = DST_PORT + 1;
		scene_data(&s, 1000, (uint32_t)i * MSS, MSS);
		scene_ack(&s, 1, (uint32_t)(i + 1) * MSS, 60000);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.outcome, OUTCOME_TIMED_OUT);
	assert_true(s.last.ended_ns < tried_ns + MS(60000));
}

/* TTL 64 is the sender's, 57 the receiver's. */
static void reset_from(struct scene *s, bool forward, uint32_t at, uint8_t ttl)
{
	struct frame f = scene_frame(s, forward);

	s->now_ns += MS(1);
	f.seq = forward ? s->base + at : 1;
	f.flags = TCP_RST;
	f.ttl = ttl;
	scene_push(s, &f);
}

static void a_reset_in_the_name_of_either_end_is_told_by_its_distance(void **state)
{
	static const struct {
		bool forward;
		uint8_t ttl;
		int begins;
		bool forged;
	} cases[] = {
		{true, 64, 0, false}, /* the sender itself has ended it */
		{true, 60, 1, true},
		{false, 57, 1, false},
		{false, 62, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct scene s = scene_open(100);

		scene_start(&s);
		scene_healthy(&s);
		scene_data(&s, 1, 10 * MSS, MSS);
		reset_from(&s, cases[i].forward, 11 * MSS, cases[i].ttl);
		scene_finish(&s);
		assert_int_equal(s.begins, cases[i].begins);
		if (!s.begins)
			continue;
		assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_RESET);
		assert_int_equal(s.last.verdict.where.kind,
				 cases[i].forged ? PLACE_HOP : PLACE_RECEIVER_HOST);
	}
}

static void data_that_meets_a_reset_near_the_receiver_was_cut_off(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_flag(&s, 1, false, 10 * MSS, TCP_RST | TCP_ACK); /* all that came is acknowledged */
	for (uint32_t i = 0; i < 3; i++) {
		scene_data(&s, 1, (10 + i) * MSS, MSS);
		reset_from(&s, false, 0, 57);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_RESET);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_counts_only_with_data_on_its_way),
		cmocka_unit_test(the_end_of_a_connection_is_no_stall),
		cmocka_unit_test(the_same_ends_may_meet_anew),
		cmocka_unit_test(a_connection_that_nobody_answers_is_a_stall),
		cmocka_unit_test(new_connections_that_fail_beside_old_ones_are_refused_by_the_path),
		cmocka_unit_test(refused_and_single_syns_are_no_stalls),
		cmocka_unit_test(a_search_for_open_ports_is_told_a_few_times),
		cmocka_unit_test(a_refusal_from_nearer_by_is_not_the_peers),
		cmocka_unit_test(a_sender_that_has_given_up_has_timed_out),
		cmocka_unit_test(a_reset_in_the_name_of_either_end_is_told_by_its_distance),
		cmocka_unit_test(data_that_meets_a_reset_near_the_receiver_was_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
