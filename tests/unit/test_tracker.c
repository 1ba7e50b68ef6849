/* SPDX-License-Identifier: GPL-2.0-only */
/* sensor/tracker with the engine behind it: small captures, packet by packet, and what is said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "scene.h"

#define MSS	 SCENE_MSS
#define MS(n)	 SCENE_MS(n)
#define DST_PORT SCENE_PORT

static void what_is_lost_and_sent_again_is_path_loss(void **state)
{
	struct scene s = scene_open(0xffffe000u); /* the numbers wrap on the way */
	uint64_t progress_ns;

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	progress_ns = s.now_ns;
	scene_data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 3; i++)
		scene_data(&s, 1000 << i, 10 * MSS, MSS);
	scene_ack(&s, 20, 11 * MSS, 60000);
	scene_data(&s, 1, 11 * MSS, MSS);
	scene_ack(&s, 20, 12 * MSS, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_LOSS);
	assert_int_equal(s.last.outcome, OUTCOME_RECOVERED);
	/* Counted from when the data was owed; over when it was acknowledged. */
	assert_true(s.last.last_progress_ns == progress_ns + MS(1));
	assert_true(s.last.ended_ns == progress_ns + MS(1 + 7000 + 20));
	assert_true(s.begin_ns >= s.last.last_progress_ns + MS(2000));
	assert_int_equal(s.last.capture.position, CAPTURED_NEAR_SRC);
	assert_int_equal(s.last.capture.stuck_seen, 4);
}

static void a_shut_window_that_is_answered_is_the_receivers(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_ack(&s, 1, 10 * MSS, 0);
	for (int i = 0; i < 4; i++) {
		scene_data(&s, 400 << i, 10 * MSS - 1, 0);
		scene_ack(&s, 20, 10 * MSS, 0);
	}
	scene_ack(&s, 500, 10 * MSS, 60000);
	scene_data(&s, 1, 10 * MSS, MSS);
	scene_ack(&s, 20, 11 * MSS, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_RECEIVER_NOT_READING);
	assert_int_equal(s.last.outcome, OUTCOME_RECOVERED);
}

static void a_capture_without_the_acks_shows_nothing(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	scene_ack(&s, 60000, 11 * MSS, 60000); /* no repeat in a minute: it had been acknowledged */
	scene_data(&s, 1, 11 * MSS, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void silence_to_the_end_is_a_black_hole(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 5; i++)
		scene_data(&s, 500 << i, 10 * MSS, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_BLACKHOLE);
	assert_int_equal(s.last.outcome, OUTCOME_CAPTURE_ENDED);
}

static void others_of_the_same_hosts_make_it_lost_state(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 5; i++) {
		scene_data(&s, 500 << i, 10 * MSS, MSS);
		s.port = DST_PORT + 1;
		scene_data(&s, 1, (uint32_t)i * MSS, MSS);
		scene_ack(&s, 20, (uint32_t)(i + 1) * MSS, 60000);
		s.port = DST_PORT;
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_STATE_LOST);
}

static void a_gap_that_the_receiver_asks_for_was_lost_upstream(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 11 * MSS, MSS); /* the one before never came by */
	scene_ack(&s, 1, 10 * MSS, 60000);
	scene_data(&s, 1, 12 * MSS, MSS);
	scene_ack(&s, 1, 10 * MSS, 60000);
	scene_data(&s, 4000, 10 * MSS, MSS);
	scene_ack(&s, 1, 13 * MSS, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_LOSS);
	assert_true(s.last.capture.upstream);
	assert_int_equal(s.last.verdict.way, WAY_FORWARD);
}

static void a_gap_of_the_capture_is_nobodys_fault(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 11 * MSS, MSS); /* the capture has lost the one before, and the ACK */
	scene_data(&s, 5000, 12 * MSS, MSS);
	scene_ack(&s, 20, 13 * MSS, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void packets_captured_twice_are_no_retransmissions(void **state)
{
	struct scene s = scene_open(100);
	struct tracker_counts counts;

	(void)state;
	scene_start(&s);
	for (uint32_t i = 0; i < 20; i++) {
		scene_data(&s, 200, i * MSS, MSS);
		s.ip_id--;
		scene_data(&s, 0, i * MSS, MSS);
		scene_ack(&s, 10, (i + 1) * MSS, 60000);
	}
	tracker_end(s.tracker);
	counts = tracker_counts(s.tracker);
	assert_int_equal(counts.duplicates, 20);
	assert_int_equal(counts.retransmissions, 0);
	tracker_free(s.tracker);
	engine_free(s.engine);
}

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

static void a_full_table_counts_what_it_turns_away(void **state)
{
	struct scene s = scene_open(100);
	struct tracker_counts counts;

	(void)state;
	scene_start(&s);
	for (int i = 0; i < 1000; i++) {
		s.port = (uint16_t)(1000 + i);
		scene_data(&s, 0, 0, MSS);
	}
	tracker_end(s.tracker);
	counts = tracker_counts(s.tracker);
	assert_int_equal(counts.connections, 64);
	assert_int_equal(counts.not_tracked, 1000 - 64);
	tracker_free(s.tracker);
	engine_free(s.engine);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lost_and_sent_again_is_path_loss),
		cmocka_unit_test(a_shut_window_that_is_answered_is_the_receivers),
		cmocka_unit_test(a_capture_without_the_acks_shows_nothing),
		cmocka_unit_test(silence_to_the_end_is_a_black_hole),
		cmocka_unit_test(others_of_the_same_hosts_make_it_lost_state),
		cmocka_unit_test(a_gap_that_the_receiver_asks_for_was_lost_upstream),
		cmocka_unit_test(a_gap_of_the_capture_is_nobodys_fault),
		cmocka_unit_test(packets_captured_twice_are_no_retransmissions),
		cmocka_unit_test(a_reset_counts_only_with_data_on_its_way),
		cmocka_unit_test(the_end_of_a_connection_is_no_stall),
		cmocka_unit_test(the_same_ends_may_meet_anew),
		cmocka_unit_test(a_full_table_counts_what_it_turns_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
