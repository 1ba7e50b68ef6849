/* SPDX-License-Identifier: GPL-2.0-only */
/* sensor/tracker with the engine behind it: small captures, packet by packet, and what is said. */
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

static void data_sent_again_behind_its_ack_has_lost_the_acks(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	for (int i = 0; i < 4; i++) {
		scene_data(&s, 500 << i, 8 * MSS, 2 * MSS);
		scene_ack(&s, 1, 10 * MSS, 60000);
	}
	scene_data(&s, 300, 10 * MSS, MSS);
	scene_ack(&s, 20, 11 * MSS, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.way, WAY_REVERSE);
	assert_int_equal(s.last.outcome, OUTCOME_RECOVERED);
	/* Here the sender's TTL is fresh: they came as far as its own link. */
	assert_int_equal(s.last.verdict.where.kind, PLACE_SENDER_HOST);
}

static void sack(struct scene *s, int ms, uint32_t up_to, uint32_t from, uint32_t to)
{
	struct frame f = scene_frame(s, false);

	s->now_ns += MS(ms);
	f.seq = 1;
	f.ack = s->base + up_to;
	f.n_sacks = 1;
	f.sacks[0][0] = s->base + from;
	f.sacks[0][1] = s->base + to;
	scene_push(s, &f);
}

static void one_segment_that_never_arrives_while_all_others_do_is_its_content(void **state)
{
	struct scene s = scene_open(0xffff0000u);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, 5 * MSS);
	sack(&s, 20, 10 * MSS, 11 * MSS, 15 * MSS);
	for (int i = 0; i < 5; i++)
		scene_data(&s, 300 << i, 10 * MSS, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONTENT_DROP);
}

/* Of what was under way at the end some arrives; after that nobody is heard. */
static void a_hole_before_the_silence_is_no_sign_of_life(void **state)
{
	struct scene s = scene_open(0xffff0000u);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, 9 * MSS);
	for (uint32_t i = 0; i < 4; i++)
		sack(&s, 10, 10 * MSS, 11 * MSS, (12 + i) * MSS);
	for (int i = 0; i < 5; i++)
		scene_data(&s, 300 << i, 10 * MSS, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_BLACKHOLE);
}

static void tries_that_arrive_and_are_not_taken_were_rewritten(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, 3 * MSS);
	for (int i = 0; i < 5; i++) {
		scene_data(&s, 300 << i, 10 * MSS, MSS);
		scene_ack(&s, 20, 10 * MSS, 60000);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.capture.refused, 5);
	assert_int_equal(s.last.verdict.cause, CAUSE_HEADER_REWRITE);
}

static void a_needless_timeout_is_no_stall(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 300, 9 * MSS, MSS);
	scene_ack(&s, 1, 10 * MSS, 60000);
	s.now_ns += MS(60000);
	scene_data(&s, 1, 10 * MSS, MSS);
	scene_ack(&s, 20, 11 * MSS, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
}

static void the_router_that_says_so_is_the_place(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	f = scene_frame(&s, true); /* as quoted */
	f.kind = FRAME_ICMP;
	f.seq = s.base + 10 * MSS;
	f.icmp_type = 3;
	f.icmp_family = 4;
	f.icmp_from.bytes[0] = 10;
	scene_push(&s, &f);
	for (int i = 0; i < 4; i++)
		scene_data(&s, 500 << i, 10 * MSS, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_BLACKHOLE);
	assert_int_equal(s.last.verdict.where.kind, PLACE_HOP);
	assert_int_equal(s.last.verdict.where.address.family, AF_INET);
}

/* The clock that confirms a stall may run on the packets of others. */
static void the_frame_of_a_verdict_is_the_flows_own(void **state)
{
	struct scene s = scene_open(100);
	uint64_t own;

	(void)state;
	scene_start(&s);
	scene_healthy(&s);
	scene_data(&s, 1, 10 * MSS, MSS);
	scene_data(&s, 500, 10 * MSS, MSS);
	own = s.number;
	for (uint32_t i = 0; i < 50; i++) {
		s.port = DST_PORT + 1;
		scene_data(&s, 50, i * MSS, MSS);
		scene_ack(&s, 1, (i + 1) * MSS, 60000);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.capture.decide_frame, own);
}

static void the_tunnel_of_a_flow_is_named_with_its_ends(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;

	(void)state;
	scene_start(&s);
	for (int i = 0; i < 4; i++) {
		f = scene_frame(&s, true);
		s.now_ns += MS(1000);
		f.seq = s.base;
		f.payload = MSS;
		f.tunnel = TUNNEL_VXLAN;
		f.tunnel_id = 42;
		f.outer_family = 4;
		f.outer_src = (union frame_addr){.bytes = {10, 0, 0, 1}};
		f.outer_dst = (union frame_addr){.bytes = {10, 0, 0, 2}};
		scene_push(&s, &f);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_string_equal(s.last.capture.tunnel, "vxlan 42, 10.0.0.1 to 10.0.0.2");
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
		cmocka_unit_test(a_full_table_counts_what_it_turns_away),
		cmocka_unit_test(data_sent_again_behind_its_ack_has_lost_the_acks),
		cmocka_unit_test(one_segment_that_never_arrives_while_all_others_do_is_its_content),
		cmocka_unit_test(a_hole_before_the_silence_is_no_sign_of_life),
		cmocka_unit_test(tries_that_arrive_and_are_not_taken_were_rewritten),
		cmocka_unit_test(a_needless_timeout_is_no_stall),
		cmocka_unit_test(the_router_that_says_so_is_the_place),
		cmocka_unit_test(the_frame_of_a_verdict_is_the_flows_own),
		cmocka_unit_test(the_tunnel_of_a_flow_is_named_with_its_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
