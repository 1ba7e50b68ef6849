/* SPDX-License-Identifier: GPL-2.0-only */
/* sensor/tracker with the engine behind it: small captures, packet by packet, and what is said. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "sensor/tracker.h"

#define MSS	 1000u
#define MS(n)	 ((uint64_t)(n)*NS_PER_MS)
#define SRC_PORT 5432
#define DST_PORT 36151

struct scene {
	struct tracker *tracker;
	struct engine *engine;
	uint64_t now_ns, number;
	uint16_t ip_id, port; /* port: of the receiver */
	uint32_t base;	      /* sequence number of the sender's first byte */
	int begins, ends, slow;
	struct incident last;
	uint64_t begin_ns;
};

static void observe(const struct observation *obs, void *arg)
{
	struct scene *s = arg;
	struct output out;

	engine_step(s->engine, obs);
	while (engine_next(s->engine, &out)) {
		if (out.kind == OUT_WANT)
			continue;
		if (out.kind == OUT_STALL_BEGIN && !s->begins++)
			s->begin_ns = out.now_ns;
		s->ends += out.kind == OUT_STALL_END;
		s->slow += out.kind == OUT_SLOW_END;
		if (out.kind == OUT_STALL_END)
			s->last = *out.incident;
	}
}

static struct scene open_scene(uint32_t base)
{
	return (struct scene){.now_ns = 1, .base = base, .port = DST_PORT};
}

static void start(struct scene *s)
{
	struct engine_config config = engine_defaults();
	struct tracker_config tracking = {
		.stall_after_ns = 2 * NS_PER_S,
		.min_bytes = 1,
		.max_flows = 64,
		.observe = observe,
		.arg = s,
	};

	config.min_bytes = 0;
	config.probe = false;
	config.offline = true;
	config.max_flows = config.max_incidents = 16;
	assert_int_equal(engine_new(&config, &s->engine), 0);
	assert_int_equal(tracker_new(&tracking, &s->tracker), 0);
}

static void finish(struct scene *s)
{
	struct observation end = {.type = OBS_END, .now_ns = s->now_ns, .capture_end = true};

	tracker_end(s->tracker);
	observe(&end, s);
	tracker_free(s->tracker);
	engine_free(s->engine);
}

static struct frame frame_of(struct scene *s, bool forward)
{
	struct frame f = {.kind = FRAME_TCP, .family = 4, .flags = TCP_ACK, .window = 60000};
	union frame_addr a = {.bytes = {192, 0, 2, 1}}, b = {.bytes = {198, 51, 100, 7}};

	f.src = forward ? a : b;
	f.dst = forward ? b : a;
	f.sport = forward ? SRC_PORT : s->port;
	f.dport = forward ? s->port : SRC_PORT;
	f.ttl = forward ? 64 : 57;
	f.wscale = 0xff;
	f.ip_id = ++s->ip_id;
	return f;
}

static void push(struct scene *s, const struct frame *f)
{
	*tracker_slot(s->tracker) = *f;
	tracker_push(s->tracker, s->now_ns, ++s->number);
}

/* After `ms`, `len` bytes from `at` on. */
static void data(struct scene *s, int ms, uint32_t at, uint32_t len)
{
	struct frame f = frame_of(s, true);

	s->now_ns += MS(ms);
	f.seq = s->base + at;
	f.ack = 1;
	f.payload = len;
	f.ip_len = (uint16_t)(len + 40);
	push(s, &f);
}

static void ack(struct scene *s, int ms, uint32_t up_to, uint16_t window)
{
	struct frame f = frame_of(s, false);

	s->now_ns += MS(ms);
	f.seq = 1;
	f.ack = s->base + up_to;
	f.window = window;
	push(s, &f);
}

static void flagged(struct scene *s, int ms, bool forward, uint32_t at, uint8_t flags)
{
	struct frame f = frame_of(s, forward);

	s->now_ns += MS(ms);
	f.seq = forward ? s->base + at : 1;
	f.ack = forward ? 1 : s->base + at;
	f.flags = flags;
	push(s, &f);
}

/* Ten segments, all acknowledged. */
static void healthy(struct scene *s)
{
	for (uint32_t i = 0; i < 10; i++) {
		data(s, 1, i * MSS, MSS);
		ack(s, 20, (i + 1) * MSS, 60000);
	}
}

static void what_is_lost_and_sent_again_is_path_loss(void **state)
{
	struct scene s = open_scene(0xffffe000u); /* the numbers wrap on the way */
	uint64_t progress_ns;

	(void)state;
	start(&s);
	healthy(&s);
	progress_ns = s.now_ns;
	data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 3; i++)
		data(&s, 1000 << i, 10 * MSS, MSS);
	ack(&s, 20, 11 * MSS, 60000);
	data(&s, 1, 11 * MSS, MSS);
	ack(&s, 20, 12 * MSS, 60000);
	finish(&s);
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
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	ack(&s, 1, 10 * MSS, 0);
	for (int i = 0; i < 4; i++) {
		data(&s, 400 << i, 10 * MSS - 1, 0);
		ack(&s, 20, 10 * MSS, 0);
	}
	ack(&s, 500, 10 * MSS, 60000);
	data(&s, 1, 10 * MSS, MSS);
	ack(&s, 20, 11 * MSS, 60000);
	finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_RECEIVER_NOT_READING);
	assert_int_equal(s.last.outcome, OUTCOME_RECOVERED);
}

static void a_capture_without_the_acks_shows_nothing(void **state)
{
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	data(&s, 1, 10 * MSS, MSS);
	ack(&s, 60000, 11 * MSS, 60000); /* no repeat in a minute: it had been acknowledged */
	data(&s, 1, 11 * MSS, MSS);
	finish(&s);
	assert_int_equal(s.begins, 0);
}

static void silence_to_the_end_is_a_black_hole(void **state)
{
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 5; i++)
		data(&s, 500 << i, 10 * MSS, MSS);
	finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_BLACKHOLE);
	assert_int_equal(s.last.outcome, OUTCOME_CAPTURE_ENDED);
}

static void others_of_the_same_hosts_make_it_lost_state(void **state)
{
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	data(&s, 1, 10 * MSS, MSS);
	for (int i = 0; i < 5; i++) {
		data(&s, 500 << i, 10 * MSS, MSS);
		s.port = DST_PORT + 1;
		data(&s, 1, (uint32_t)i * MSS, MSS);
		ack(&s, 20, (uint32_t)(i + 1) * MSS, 60000);
		s.port = DST_PORT;
	}
	finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_STATE_LOST);
}

static void a_gap_that_the_receiver_asks_for_was_lost_upstream(void **state)
{
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	data(&s, 1, 11 * MSS, MSS); /* the one before never came by */
	ack(&s, 1, 10 * MSS, 60000);
	data(&s, 1, 12 * MSS, MSS);
	ack(&s, 1, 10 * MSS, 60000);
	data(&s, 4000, 10 * MSS, MSS);
	ack(&s, 1, 13 * MSS, 60000);
	finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_PATH_LOSS);
	assert_true(s.last.capture.upstream);
	assert_int_equal(s.last.verdict.way, WAY_FORWARD);
}

static void a_gap_of_the_capture_is_nobodys_fault(void **state)
{
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	data(&s, 1, 11 * MSS, MSS); /* the capture has lost the one before, and the ACK */
	data(&s, 5000, 12 * MSS, MSS);
	ack(&s, 20, 13 * MSS, 60000);
	finish(&s);
	assert_int_equal(s.begins, 0);
}

static void packets_captured_twice_are_no_retransmissions(void **state)
{
	struct scene s = open_scene(100);
	struct tracker_counts counts;

	(void)state;
	start(&s);
	for (uint32_t i = 0; i < 20; i++) {
		data(&s, 200, i * MSS, MSS);
		s.ip_id--;
		data(&s, 0, i * MSS, MSS);
		ack(&s, 10, (i + 1) * MSS, 60000);
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
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	flagged(&s, 10, false, 10 * MSS, TCP_RST | TCP_ACK);
	finish(&s);
	assert_int_equal(s.begins, 0);

	s = open_scene(100);
	start(&s);
	healthy(&s);
	data(&s, 1, 10 * MSS, MSS);
	data(&s, 1, 11 * MSS, MSS);
	flagged(&s, 10, false, 10 * MSS, TCP_RST | TCP_ACK);
	finish(&s);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.last.verdict.cause, CAUSE_CONNECTION_RESET);
	assert_int_equal(s.last.outcome, OUTCOME_RESET);

	s = open_scene(100); /* a receiver that has closed does not want the rest */
	start(&s);
	healthy(&s);
	flagged(&s, 1, false, 10 * MSS, TCP_FIN | TCP_ACK);
	data(&s, 1, 10 * MSS, MSS);
	flagged(&s, 10, false, 10 * MSS, TCP_RST);
	finish(&s);
	assert_int_equal(s.begins, 0);
}

static void the_end_of_a_connection_is_no_stall(void **state)
{
	struct scene s = open_scene(100);

	(void)state;
	start(&s);
	healthy(&s);
	flagged(&s, 1, false, 10 * MSS, TCP_FIN | TCP_ACK);
	data(&s, 1, 10 * MSS, 31); /* a goodbye to a program that has gone */
	for (int i = 0; i < 5; i++)
		data(&s, 500 << i, 10 * MSS, 31);
	finish(&s);
	assert_int_equal(s.begins, 0);
}

static void the_same_ends_may_meet_anew(void **state)
{
	struct scene s = open_scene(100);
	struct tracker_counts counts;

	(void)state;
	start(&s);
	healthy(&s);
	flagged(&s, 1, true, 10 * MSS, TCP_FIN | TCP_ACK);
	flagged(&s, 1, false, 10 * MSS + 1, TCP_FIN | TCP_ACK);
	s.base = 0x70000000;
	flagged(&s, 60000, true, 0, TCP_SYN);
	s.base++;
	healthy(&s);
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
	struct scene s = open_scene(100);
	struct tracker_counts counts;

	(void)state;
	start(&s);
	for (int i = 0; i < 1000; i++) {
		s.port = (uint16_t)(1000 + i);
		data(&s, 0, 0, MSS);
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
