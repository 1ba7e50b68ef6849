/* SPDX-License-Identifier: GPL-2.0-only */
/* What a transfer waits for over its life, and the phases in which it goes from pause to pause. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "scene.h"

#define MSS SCENE_MSS

static double share(const struct scene *s, enum limit limit)
{
	return (double)s->life.limited_ns[limit] / (double)s->life.judged_ns;
}

/* `rounds` flights of n segments, each acknowledged a round trip of `ms` later. */
static uint32_t flights(struct scene *s, uint32_t at, int rounds, uint32_t n, int ms,
			uint16_t window)
{
	for (int k = 0; k < rounds; k++) {
		for (uint32_t i = 0; i < n; i++, at += MSS)
			scene_data(s, 0, at, MSS);
		scene_ack(s, ms, at, window);
	}
	return at;
}

static void a_program_that_writes_now_and_then_limits_itself(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at = 0;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	for (int i = 0; i < 50; i++) {
		at = flights(&s, at, 1, 5, 20, 60000);
		s.now_ns += SCENE_MS(180);
	}
	scene_finish(&s);
	assert_int_equal(s.life.bytes, 250 * MSS);
	assert_true(share(&s, LIMIT_SENDER_APP) > 0.8);
	assert_int_equal(s.begins + s.slow, 0);
}

static void a_window_without_scale_limits_a_long_path(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_connect(&s, 100, 7, 0xff);
	flights(&s, 0, 60, 60, 100, 60000);
	scene_finish(&s);
	assert_true(share(&s, LIMIT_RECEIVER_WINDOW) > 0.9);
	assert_int_equal(s.life.max_window_bytes, 60000);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_WINDOW_LIMITED);
	assert_true(s.last.pace.unscaled);
	assert_int_equal(s.last.verdict.where.kind, PLACE_RECEIVER_HOST);
}

/* The window of the handshake counts until another is seen. */
static void who_is_never_answered_waits_for_no_window(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	for (uint32_t i = 0; i < 10; i++)
		scene_data(&s, 0, i * MSS, MSS);
	scene_data(&s, 6000, 0, MSS);
	scene_finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.slow, 0);
}

static void a_window_with_room_leaves_it_to_the_congestion_window(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_connect(&s, 100, 7, 7);
	flights(&s, 0, 60, 60, 100, 60000); /* times 128 */
	scene_finish(&s);
	assert_true(share(&s, LIMIT_CONGESTION_WINDOW) > 0.9);
	assert_int_equal(s.slow, 0);
}

static void a_window_of_unknown_scale_is_not_small(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	flights(&s, 0, 60, 60, 100, 400);
	scene_finish(&s);
	assert_true(share(&s, LIMIT_RECEIVER_WINDOW) < 0.1);
	assert_true(s.life.mid_connection);
	assert_int_equal(s.slow, 0);
}

static void a_queue_makes_it_the_bottleneck(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 5, 10, 20, 60000);
	flights(&s, at, 50, 50, 90, 60000); /* the round trip has grown */
	scene_finish(&s);
	assert_true(share(&s, LIMIT_BOTTLENECK) > 0.9);
}

/* At the receiver ACKs go out at once; what they release comes a round trip later. */
static void near_the_receiver_waiting_for_the_path_is_no_idleness(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;
	uint32_t at = 0;

	(void)state;
	scene_start(&s);
	f = scene_frame(&s, true);
	f.seq = s.base++;
	f.flags = TCP_SYN;
	f.wscale = 7;
	scene_push(&s, &f);
	f = scene_frame(&s, false);
	f.ack = s.base;
	f.flags = TCP_SYN | TCP_ACK;
	f.wscale = 7;
	scene_push(&s, &f);
	scene_data(&s, 100, 0, 0);
	for (int k = 0; k < 60; k++) {
		for (int i = 0; i < 20; i++, at += MSS) {
			scene_data(&s, 0, at, MSS);
			scene_ack(&s, 0, at + MSS, 60000);
		}
		s.now_ns += SCENE_MS(100);
	}
	scene_finish(&s);
	assert_true(share(&s, LIMIT_CONGESTION_WINDOW) > 0.8);
	assert_true(share(&s, LIMIT_SENDER_APP) < 0.15);
}

static void pauses_too_short_for_a_stall_make_a_slow_phase(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 10, 10, 20, 60000);
	for (int k = 0; k < 4; k++) {
		scene_data(&s, 0, at, MSS);
		scene_data(&s, 800, at, MSS); /* the timer */
		at += MSS;
		scene_ack(&s, 20, at, 60000);
		at = flights(&s, at, 10, 10, 20, 60000);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_LOSS);
	assert_int_equal(s.last.pace.pauses, 4);
	assert_true(s.last.pace.paused_ns == SCENE_MS(4 * 820));
	assert_true(s.last.pace.longest_ns == SCENE_MS(820));
	assert_int_equal(s.last.pace.lost_segs, 4);
	assert_true(share(&s, LIMIT_LOSS_RECOVERY) > 0.5);
}

static void a_window_that_shuts_briefly_is_slow_and_the_receivers(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 10, 10, 20, 60000);
	scene_ack(&s, 0, at, 0);
	for (int k = 0; k < 3; k++) {
		scene_data(&s, 300, at - 1, 0);
		scene_ack(&s, 20, at, 0);
	}
	scene_ack(&s, 100, at, 60000);
	flights(&s, at, 10, 10, 20, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_RECEIVER_NOT_READING);
	assert_int_equal(s.last.pace.pauses, 1);
}

/* `n` times `len` bytes and their ACK a while later. */
static void trickle(struct scene *s, uint32_t at, int n, uint32_t len, int ms, uint16_t window)
{
	for (; n; n--, at += len) {
		scene_data(s, 0, at, len);
		scene_ack(s, ms, at + len, window);
	}
}

static void a_window_that_is_taken_back_to_less_than_a_segment_is_read_wrongly(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 60, 10, 20, 60000);
	scene_ack(&s, 0, at, 5);
	trickle(&s, at, 40, 5 << 7, 200, 5);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_HEADER_REWRITE);
	assert_int_equal(s.last.pace.wide_wnd, 60000 << 7);
	assert_int_equal(s.last.pace.cut_wnd, 5 << 7);
}

static void a_window_that_was_used_up_and_stays_small_is_the_receivers(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 0, 0);
	at = flights(&s, 0, 60, 50, 20, 60000);
	at = flights(&s, at, 1, 50, 20, 10000); /* its right edge stays */
	flights(&s, at, 60, 10, 100, 10000);
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_WINDOW_LIMITED);
	assert_int_equal(s.last.verdict.where.kind, PLACE_RECEIVER_HOST);
	assert_int_equal(s.last.pace.window_bytes, 10000);
	assert_int_equal(s.last.pace.cut_wnd, 0);
}

static void who_sends_less_than_a_small_window_takes_is_not_held_back_by_it(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 60, 10, 20, 60000);
	scene_ack(&s, 0, at, 5);
	trickle(&s, at, 40, 100, 200, 5);
	scene_finish(&s);
	assert_int_equal(s.begins + s.slow, 0);
}

static void who_rests_after_what_filled_a_small_window_rests_by_itself(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 0, 0);
	at = flights(&s, 0, 60, 50, 20, 60000);
	at = flights(&s, at, 1, 50, 20, 7 * MSS);
	for (int i = 0; i < 6; i++) {
		at = flights(&s, at, 1, 7, 20, 7 * MSS);
		s.now_ns += SCENE_MS(3000);
	}
	flights(&s, at, 1, 7, 20, 7 * MSS);
	scene_finish(&s);
	assert_int_equal(s.begins + s.slow, 0);
	assert_true(share(&s, LIMIT_SENDER_APP) > 0.8);
}

static void a_phase_ends_with_the_last_packet_of_its_connection(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 0, 0);
	at = flights(&s, 0, 60, 20, 20, 60000);
	at = flights(&s, at, 1, 53, 20, 7 * MSS);
	flights(&s, at, 500, 7, 20, 7 * MSS); /* a third of its best */
	s.now_ns += SCENE_MS(9500);
	s.port++;
	f = scene_frame(&s, true);
	f.flags = TCP_SYN;
	scene_push(&s, &f);
	scene_finish(&s);
	assert_int_equal(s.begins + s.slow, 0);
}

static void an_ack_that_was_overtaken_takes_no_window_back(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 0, 0);
	at = flights(&s, 0, 60, 50, 20, 60000);
	scene_ack(&s, 0, at, 30000);
	scene_ack(&s, 0, at, 60000);
	at = flights(&s, at, 1, 50, 20, 10000);
	flights(&s, at, 60, 10, 100, 10000);
	scene_finish(&s);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_WINDOW_LIMITED);
	assert_int_equal(s.last.pace.cut_wnd, 0);
}

static void sacks_of_what_was_never_sent_are_a_box_on_the_way(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 10, 10, 20, 60000);
	for (int k = 0; k < 4; k++) {
		struct frame f = scene_frame(&s, false);

		scene_data(&s, 0, at, MSS);
		scene_data(&s, 0, at + MSS, MSS);
		f.seq = 1;
		f.ack = s.base + at;
		f.n_sacks = 1;
		f.sacks[0][0] = f.ack + MSS + (1u << 30);
		f.sacks[0][1] = f.sacks[0][0] + MSS;
		s.now_ns += SCENE_MS(20);
		scene_push(&s, &f);
		scene_data(&s, 800, at, MSS);
		at += 2 * MSS;
		scene_ack(&s, 20, at, 60000);
		at = flights(&s, at, 10, 10, 20, 60000);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.pace.limit, PACE_PAUSES);
	assert_int_equal(s.last.verdict.cause, CAUSE_HEADER_REWRITE);
}

static void a_router_that_asks_for_smaller_packets_loses_nothing(void **state)
{
	struct scene s = scene_open(100);
	struct frame f;
	uint32_t at;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 10, 10, 20, 60000);
	scene_data(&s, 0, at, MSS);
	f = scene_frame(&s, true); /* as quoted */
	f.kind = FRAME_ICMP;
	f.seq = s.base + at;
	f.icmp_type = 3;
	f.icmp_code = 4;
	f.icmp_mtu = 900;
	f.icmp_family = 4;
	f.icmp_from.bytes[0] = 10;
	scene_push(&s, &f);
	scene_data(&s, 800, at, MSS);
	scene_ack(&s, 20, at + MSS, 60000);
	flights(&s, at + MSS, 5, 10, 20, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins + s.slow, 0);
}

/* 100 segments wait in a queue that lets one out every 10 ms; nothing is lost. */
static void a_deep_queue_without_loss_is_a_rate_limit(void **state)
{
	struct scene s = scene_open(100);
	uint32_t at, acked;

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	at = flights(&s, 0, 5, 4, 20, 60000);
	acked = at;
	for (int i = 0; i < 100; i++, at += MSS)
		scene_data(&s, 0, at, MSS);
	for (int i = 0; i < 900; i++, at += MSS) {
		acked += MSS;
		scene_ack(&s, 10, acked, 60000);
		scene_data(&s, 0, at, MSS);
	}
	scene_finish(&s);
	assert_int_equal(s.begins, 0);
	assert_int_equal(s.slow, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_RATE_LIMIT);
	assert_int_equal(s.last.pace.limit, PACE_SHAPER);
	assert_true(s.last.pace.ceiling_bps > 760000 && s.last.pace.ceiling_bps < 880000);
}

/* Its ACK comes with the next request: the capture has not got the one before. */
static void an_ack_that_is_missing_is_no_queue(void **state)
{
	struct scene s = scene_open(100);

	(void)state;
	scene_start(&s);
	scene_connect(&s, 20, 7, 7);
	flights(&s, 0, 10, 1, 20, 60000);
	flights(&s, 10 * MSS, 10, 1, 60000, 60000);
	scene_finish(&s);
	assert_int_equal(s.begins + s.slow, 0);
}

static void summed(struct scene *s, int ms, uint32_t at, bool good)
{
	struct frame f = scene_frame(s, true);

	s->now_ns += SCENE_MS(ms);
	f.seq = s->base + at;
	f.ack = 1;
	f.payload = MSS;
	f.ip_len = MSS + 40;
	f.has |= good ? HAS_GOOD_SUM : HAS_BAD_SUM;
	scene_push(s, &f);
}

/* Where no sum is good they are still to be made, and say nothing. */
static void what_comes_by_damaged_was_damaged_on_the_way(void **state)
{
	(void)state;
	for (int good = 0; good < 2; good++) {
		struct scene s = scene_open(100);

		scene_start(&s);
		for (uint32_t i = 0; i < 60; i++) {
			summed(&s, 1, i * MSS, good);
			scene_ack(&s, 20, (i + 1) * MSS, 60000);
		}
		for (int i = 0; i < 5; i++)
			summed(&s, 300 << i, 60 * MSS, false);
		scene_finish(&s);
		assert_int_equal(s.begins, 1);
		assert_int_equal(s.last.verdict.cause == CAUSE_PATH_CORRUPTION, good);
	}
}

static void keep_life(const struct observation *obs, void *arg)
{
	if (obs->type == OBS_LIFE)
		*(struct life_seen *)arg = obs->life;
}

/* One segment of the flow with this port, and its ACK a millisecond later. */
static void exchange(struct scene *s, uint16_t port, uint32_t at)
{
	struct frame f;

	s->port = port;
	for (int forward = 1; forward >= 0; forward--) {
		f = scene_frame(s, forward);
		f.seq = forward ? s->base + at : f.seq;
		f.ack = forward ? f.ack : s->base + at + MSS;
		f.payload = forward ? MSS : 0;
		scene_push(s, &f);
		s->now_ns += NS_PER_MS;
	}
}

static void a_crowd_of_small_flows_leaves_room_for_the_life_of_a_transfer(void **state)
{
	struct scene s = scene_open(100);
	struct life_seen life = {0};
	struct tracker_config config = {
		.stall_after_ns = 2 * NS_PER_S,
		.min_bytes = 65536,
		.max_flows = 65536,
		.observe = keep_life,
		.arg = &life,
	};

	(void)state;
	assert_int_equal(tracker_new(&config, &s.tracker), 0);
	for (uint32_t port = 1; port < 40000; port++)
		for (uint32_t i = 0; i < 6; i++)
			exchange(&s, (uint16_t)port, i * MSS);
	for (uint32_t i = 0; i < 200; i++)
		exchange(&s, 50000, i * MSS);
	tracker_end(s.tracker);
	assert_int_equal(tracker_counts(s.tracker).transfers, 1);
	assert_int_equal(tracker_counts(s.tracker).lives_missed, 0);
	assert_int_equal(life.bytes, 200 * MSS);
	/* It had to become one first. */
	assert_in_range(life.judged_ns, 200 * NS_PER_MS, 300 * NS_PER_MS);
	tracker_free(s.tracker);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_that_writes_now_and_then_limits_itself),
		cmocka_unit_test(a_window_without_scale_limits_a_long_path),
		cmocka_unit_test(who_is_never_answered_waits_for_no_window),
		cmocka_unit_test(a_window_with_room_leaves_it_to_the_congestion_window),
		cmocka_unit_test(a_window_of_unknown_scale_is_not_small),
		cmocka_unit_test(a_queue_makes_it_the_bottleneck),
		cmocka_unit_test(near_the_receiver_waiting_for_the_path_is_no_idleness),
		cmocka_unit_test(pauses_too_short_for_a_stall_make_a_slow_phase),
		cmocka_unit_test(a_window_that_shuts_briefly_is_slow_and_the_receivers),
		cmocka_unit_test(
			a_window_that_is_taken_back_to_less_than_a_segment_is_read_wrongly),
		cmocka_unit_test(a_window_that_was_used_up_and_stays_small_is_the_receivers),
		cmocka_unit_test(who_sends_less_than_a_small_window_takes_is_not_held_back_by_it),
		cmocka_unit_test(who_rests_after_what_filled_a_small_window_rests_by_itself),
		cmocka_unit_test(a_phase_ends_with_the_last_packet_of_its_connection),
		cmocka_unit_test(an_ack_that_was_overtaken_takes_no_window_back),
		cmocka_unit_test(sacks_of_what_was_never_sent_are_a_box_on_the_way),
		cmocka_unit_test(a_router_that_asks_for_smaller_packets_loses_nothing),
		cmocka_unit_test(a_deep_queue_without_loss_is_a_rate_limit),
		cmocka_unit_test(an_ack_that_is_missing_is_no_queue),
		cmocka_unit_test(what_comes_by_damaged_was_damaged_on_the_way),
		cmocka_unit_test(a_crowd_of_small_flows_leaves_room_for_the_life_of_a_transfer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
