/* SPDX-License-Identifier: GPL-2.0-only */
/* Watched transfers that crawl: who is one, what held it back, and when it is over. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "world.h"

static void crawl(struct world *w, struct tick t)
{
	world_init(w, true, false);
	w->has_witness = false;
	world_ticks(w, 10, world_fast);
	world_ticks(w, 9, t);
	assert_int_equal(w->begins, 0);
	assert_int_equal(w->slow_begins, 1);
	assert_int_equal(w->slow_ends, 0);
	assert_true(w->verdicts >= 1);
	assert_true(w->incident.slow);
}

static void loss_makes_a_transfer_crawl(void **state)
{
	struct world w;

	(void)state;
	crawl(&w, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	assert_true(w.incident.pace.rate_bps < FAST / 10);
	assert_true(w.incident.pace.usual_bps > FAST / 2 && w.incident.pace.usual_bps <= FAST);
	world_ticks(&w, 2, world_fast);
	assert_int_equal(w.slow_ends, 1);
	assert_int_equal(w.incident.outcome, OUTCOME_RECOVERED);
	assert_int_equal(engine_counts(w.e).slow, 1);
	assert_int_equal(engine_counts(w.e).stalls, 0);
	world_free(&w);
}

/* With --max-rate, say: what it chose to send is the least that the path carried. */
static void a_program_with_a_pace_of_its_own_can_crawl(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	world_ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .busy_percent = 20});
	world_ticks(&w, 9, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	world_free(&w);
}

static void a_policer_loses_in_rows_at_a_steady_rate(void **state)
{
	struct world w;

	(void)state;
	crawl(&w, (struct tick){.bps = CRAWL, .segs = 800, .retrans = 120, .runs = 12});
	assert_int_equal(w.incident.verdict.cause, CAUSE_RATE_LIMIT);
	assert_int_equal(w.incident.pace.limit, PACE_POLICER);
	assert_in_range(w.incident.pace.ceiling_bps, CRAWL * 9 / 10, CRAWL * 11 / 10);
	world_free(&w);
}

static void a_shaper_builds_a_queue(void **state)
{
	struct world w;

	(void)state;
	crawl(&w,
	      (struct tick){.bps = CRAWL, .segs = 700, .retrans = 5, .runs = 2, .rtt_us = 400000});
	assert_int_equal(w.incident.verdict.cause, CAUSE_RATE_LIMIT);
	assert_int_equal(w.incident.pace.limit, PACE_SHAPER);
	world_free(&w);
}

/* Timeouts are in the round trips: half a segment would wait in that queue. */
static void round_trips_of_what_is_lost_again_and_again_are_no_queue(void **state)
{
	struct world w;

	(void)state;
	crawl(&w,
	      (struct tick){.bps = 20000, .segs = 8, .retrans = 2, .runs = 2, .rtt_us = 400000});
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	world_free(&w);
}

/* What is left of the line differs from look to look; the queue does not. */
static void a_shaper_that_others_use_too_is_told_by_its_queue(void **state)
{
	struct tick t = {.segs = 100, .retrans = 15, .runs = 11, .rtt_us = 300000};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	world_ticks(&w, 10, world_fast);
	for (int i = 0; i < 9; i++) {
		t.bps = i % 2 ? CRAWL : CRAWL / 3;
		world_tick(&w, &t);
	}
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_RATE_LIMIT);
	assert_int_equal(w.incident.pace.limit, PACE_SHAPER);
	world_free(&w);
}

/* A long round trip now and then is no queue that stands. */
static void a_late_answer_among_losses_is_no_queue(void **state)
{
	struct tick t = {.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	world_ticks(&w, 10, world_fast);
	for (int i = 0; i < 9; i++) {
		t.rtt_us = i % 2 ? 300000 : 20000;
		world_tick(&w, &t);
		assert_int_not_equal(w.incident.pace.limit, PACE_SHAPER);
	}
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	world_free(&w);
}

/* It was enough for the way there was before. */
static void a_small_window_limits_what_is_on_the_way(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	world_ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = 250000});
	world_ticks(&w, 9,
		    (struct tick){.bps = CRAWL,
				  .segs = 700,
				  .rwnd_percent = 95,
				  .snd_wnd = 250000,
				  .rtt_us = 400000});
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_WINDOW_LIMITED);
	for (uint32_t rtt_us = 390000; rtt_us > 330000; rtt_us -= 7000)
		world_tick(&w, &(struct tick){.bps = CRAWL,
					      .segs = 700,
					      .rwnd_percent = 95,
					      .snd_wnd = 250000,
					      .rtt_us = rtt_us});
	assert_int_equal(w.verdicts, 1); /* the round trip in it is no news */
	world_free(&w);
}

static void a_receiver_that_reads_slowly_is_told_from_a_small_window(void **state)
{
	struct world w;

	(void)state;
	crawl(&w, (struct tick){.bps = CRAWL, .segs = 700, .rwnd_percent = 95, .snd_wnd = 200000});
	assert_int_equal(w.incident.verdict.cause, CAUSE_RECEIVER_NOT_READING);
	world_free(&w);
}

static void a_window_below_a_segment_is_read_at_another_scale(void **state)
{
	struct world w;

	(void)state;
	crawl(&w, (struct tick){.bps = 200000, .segs = 100, .rwnd_percent = 95, .snd_wnd = 502});
	assert_int_equal(w.incident.verdict.cause, CAUSE_HEADER_REWRITE);
	world_free(&w);
}

/* Its edge has moved back to the same number, read some bits lower: no receiver's doing. */
static void a_window_that_is_cut_is_told_from_a_small_one(void **state)
{
	static const struct {
		uint32_t wide, cut, bps;
		int slow;
		bool taken_back, rewritten;
	} cases[] = {
		{64 << 20, (64 << 20) >> 8, CRAWL, 1, true, true},
		{(40 << 20) + 17, (40 << 20) >> 5, FAST / 4, 1, true, true}, /* no crawl yet */
		{19 << 18, 19 << 10, CRAWL / 10, 1, true, true},
		{64 << 20, 32 << 20, FAST * 9 / 10, 0, true, false}, /* and does no harm */
		{64 << 20, 250000, CRAWL, 1, true, false},	     /* another number */
		{64 << 20, (64 << 20) >> 8, CRAWL, 1, false, false}, /* its edge has stayed */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		w.flow.snd_wscale = 10;
		world_ticks(&w, 10,
			    (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = cases[i].wide});
		w.flow.wide_wnd = cases[i].taken_back ? cases[i].wide : 0;
		w.flow.cut_wnd = cases[i].taken_back ? cases[i].cut : 0;
		world_ticks(&w, 9,
			    (struct tick){.bps = cases[i].bps,
					  .segs = 700,
					  .rwnd_percent = 95,
					  .snd_wnd = cases[i].cut,
					  .rtt_us = 150000});
		assert_int_equal(w.slow_begins, cases[i].slow);
		assert_true((w.incident.verdict.cause == CAUSE_HEADER_REWRITE) ==
			    cases[i].rewritten);
		world_free(&w);
	}
}

/* The window closes as unread data fills the buffer: its right edge stays. */
static void a_window_that_fills_is_the_receivers(void **state)
{
	const uint32_t tick_bytes = FAST / 8 * TICK_S;
	uint32_t wnd = 64 << 20;
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	world_ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = wnd});
	for (; wnd > tick_bytes; wnd -= tick_bytes)
		world_ticks(&w, 1,
			    (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = wnd - tick_bytes});
	world_ticks(&w, 1, (struct tick){.bps = wnd / TICK_S * 8, .segs = 9000, .snd_wnd = 200000});
	world_ticks(
		&w, 9,
		(struct tick){.bps = CRAWL, .segs = 700, .rwnd_percent = 95, .snd_wnd = 200000});
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_RECEIVER_NOT_READING);
	world_free(&w);
}

static void a_program_that_sends_less_is_no_crawl(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_ticks(&w, 10, world_fast);
	world_ticks(&w, 20, (struct tick){.bps = CRAWL, .segs = 700, .busy_percent = 20});
	assert_int_equal(w.slow_begins, 0);
	assert_int_equal(w.probes, 0);
	world_free(&w);
}

static void a_transfer_that_was_never_faster_does_not_crawl(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_ticks(&w, 60, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	assert_int_equal(w.slow_begins, 0);
	world_free(&w);
}

static void a_dip_of_eight_seconds_is_no_crawl(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_ticks(&w, 10, world_fast);
	for (int i = 0; i < 5; i++) {
		world_ticks(&w, 4,
			    (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
		world_ticks(&w, 2, world_fast);
	}
	assert_int_equal(w.slow_begins, 0);
	world_free(&w);
}

/* A look at an eighth does not end a crawl at a 25th; one at a quarter does, or many at an eighth.
 */
static void a_burst_does_not_end_what_was_slow_all_along(void **state)
{
	const struct tick slow = {.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29};
	struct tick burst = slow;

	(void)state;
	for (int kind = 0; kind < 3; kind++) {
		struct world w;

		burst.bps = kind == 1 ? FAST / 7 : FAST / 8;
		world_init(&w, true, false);
		w.has_witness = false;
		world_ticks(&w, 10, world_fast);
		for (int i = 0; i < 4; i++) {
			world_ticks(&w, kind == 2 ? 1 : 3 + kind, slow);
			world_ticks(&w, kind == 2 ? 3 : 1, burst);
		}
		assert_int_equal(w.slow_begins, !kind);
		world_free(&w);
	}
}

/* Others come, and get what this one lost. */
static void shared_with_others(struct world *w, const struct tick *t)
{
	struct observation o = {.type = OBS_SNAPSHOT};

	world_init(w, true, false);
	world_ticks(w, 10, world_fast);
	for (int i = 0; i < 10; i++) {
		for (uint64_t k = 0; k < 20; k++) {
			o.now_ns = w->now_ns;
			o.snapshot = w->witness;
			o.snapshot.key.cookie = 10 + k;
			o.snapshot.snd.bytes += (uint64_t)i * TICK_S * FAST / 21 / 8;
			o.snapshot.snd.progress_ns = w->now_ns;
			o.snapshot.busy_us = (uint64_t)i * TICK_S * 1000000;
			world_step(w, &o);
		}
		world_tick(w, t);
	}
}

/* They share the line: nobody's fault. Unless it is held back by what they do not suffer from. */
static void a_line_that_is_shared_is_no_crawl(void **state)
{
	static const struct {
		struct tick t;
		int slow;
	} cases[] = {
		{{.bps = FAST / 21, .segs = 800, .retrans = 2, .runs = 2}, 0},
		{{.bps = FAST / 21, .segs = 800, .retrans = 200, .runs = 190}, 1},
		{{.bps = FAST / 21, .segs = 800, .rwnd_percent = 95, .snd_wnd = 10000}, 1},
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		shared_with_others(&w, &cases[i].t);
		assert_int_equal(w.slow_begins, cases[i].slow);
		world_free(&w);
	}
}

static void a_crawl_ends_with_its_connection_and_with_the_watch(void **state)
{
	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		struct observation o = {.type = gone ? OBS_GONE : OBS_END};
		struct world w;

		crawl(&w, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
		o.now_ns = w.now_ns;
		if (gone) {
			o.gone.last = w.flow;
			o.gone.reason = GONE_CLOSED;
		}
		world_step(&w, &o);
		assert_int_equal(w.slow_ends, 1);
		assert_int_equal(w.incident.outcome, gone ? OUTCOME_CLOSED : OUTCOME_WATCH_ENDED);
		world_free(&w);
	}
}

/* It is listened to as long as one of its incidents is open: damaged segments count. */
static void a_pause_in_a_crawl_does_not_end_the_listening(void **state)
{
	const struct tick t = {.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29};
	struct world w;

	(void)state;
	crawl(&w, t);
	w.flow.busy_us += 1500000;
	world_run(&w, 1500 * NS_PER_MS); /* it is suspected, and goes on */
	world_tick(&w, &t);
	assert_int_equal(w.begins, 0);
	assert_int_equal(w.releases, 0);
	world_ticks(&w, 2, world_fast);
	assert_int_equal(w.slow_ends, 1);
	assert_int_equal(w.releases, 1);
	world_free(&w);
}

/* As the sensor tells it, from the packets. */
static void packets_show(struct world *w, enum pace_limit limit, uint64_t ceiling_bps)
{
	struct observation o = {.type = OBS_PACE, .now_ns = w->now_ns};

	o.pace = (struct pace_seen){
		.key = w->flow.key,
		.limit = limit,
		.ceiling_bps = ceiling_bps,
		.burst_bytes = limit == PACE_POLICER ? 20000 : 0,
		.fit_permille = limit == PACE_POLICER ? 960 : 0,
		.segs = 900,
		.lost_segs = 60,
		.bytes = 1000000,
		.flows = 1,
	};
	if (!w->sends) {
		o.pace.key.local = w->flow.key.remote;
		o.pace.key.remote = w->flow.key.local;
	}
	world_step(w, &o);
}

/* By the counters each is what the other is by the packets. */
static void packets_tell_a_policer_from_loss(void **state)
{
	const struct tick single = {.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29},
			  rows = {.bps = CRAWL, .segs = 800, .retrans = 120, .runs = 12};
	struct world w;

	(void)state;
	crawl(&w, single);
	packets_show(&w, PACE_POLICER, 3700000);
	world_wait(&w, 15);
	assert_int_equal(w.incident.verdict.cause, CAUSE_RATE_LIMIT);
	assert_true(w.incident.verdict.cause_confidence > 0.95);
	assert_int_equal(w.incident.pace.ceiling_bps, 3700000);
	assert_string_equal(w.incident.verdict.detail,
			    "policer at 3.7 Mbit/s, bursts of 20 kB pass");
	world_free(&w);

	crawl(&w, rows);
	assert_true(w.incident.verdict.cause_confidence < 0.9);
	packets_show(&w, PACE_LOSS, 0);
	world_wait(&w, 15);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	assert_true(w.incident.verdict.cause_confidence > 0.95);
	world_free(&w);
}

/* What passed before the policer began is in what its packets show first. */
static void a_ceiling_far_above_what_arrives_is_not_told(void **state)
{
	struct world w;

	(void)state;
	crawl(&w, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	packets_show(&w, PACE_POLICER, 20 * CRAWL);
	world_wait(&w, 15);
	assert_int_equal(w.incident.verdict.cause, CAUSE_RATE_LIMIT);
	assert_true(w.incident.verdict.cause_confidence < 0.9);
	assert_in_range(w.incident.pace.ceiling_bps, CRAWL * 9 / 10, CRAWL * 12 / 10);
	assert_null(strstr(w.incident.verdict.detail, "bursts"));
	world_free(&w);
}

static void a_verdict_is_not_told_again_for_a_number_that_grew(void **state)
{
	struct world w;
	int told;

	(void)state;
	crawl(&w, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	packets_show(&w, PACE_POLICER, 3700000);
	world_wait(&w, 15);
	told = w.verdicts;
	packets_show(&w, PACE_POLICER, 3900000);
	world_wait(&w, 15);
	assert_int_equal(w.verdicts, told);
	packets_show(&w, PACE_POLICER, 5000000);
	world_wait(&w, 15);
	assert_int_equal(w.verdicts, told + 1);
	world_free(&w);
}

/* Its answer was on the way when it ended. */
static void packets_of_what_does_not_crawl_make_no_incident(void **state)
{
	struct observation gone = {.type = OBS_GONE};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_ticks(&w, 10, world_fast);
	packets_show(&w, PACE_POLICER, 3700000);
	gone.now_ns = w.now_ns;
	gone.gone.last = w.flow;
	world_step(&w, &gone);
	packets_show(&w, PACE_POLICER, 3700000);
	world_wait(&w, 15);
	assert_int_equal(w.slow_begins, 0);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_makes_a_transfer_crawl),
		cmocka_unit_test(a_shaper_that_others_use_too_is_told_by_its_queue),
		cmocka_unit_test(a_late_answer_among_losses_is_no_queue),
		cmocka_unit_test(round_trips_of_what_is_lost_again_and_again_are_no_queue),
		cmocka_unit_test(a_program_with_a_pace_of_its_own_can_crawl),
		cmocka_unit_test(a_policer_loses_in_rows_at_a_steady_rate),
		cmocka_unit_test(a_shaper_builds_a_queue),
		cmocka_unit_test(a_small_window_limits_what_is_on_the_way),
		cmocka_unit_test(a_receiver_that_reads_slowly_is_told_from_a_small_window),
		cmocka_unit_test(a_window_below_a_segment_is_read_at_another_scale),
		cmocka_unit_test(a_window_that_is_cut_is_told_from_a_small_one),
		cmocka_unit_test(a_window_that_fills_is_the_receivers),
		cmocka_unit_test(a_program_that_sends_less_is_no_crawl),
		cmocka_unit_test(a_transfer_that_was_never_faster_does_not_crawl),
		cmocka_unit_test(a_dip_of_eight_seconds_is_no_crawl),
		cmocka_unit_test(a_burst_does_not_end_what_was_slow_all_along),
		cmocka_unit_test(a_line_that_is_shared_is_no_crawl),
		cmocka_unit_test(a_crawl_ends_with_its_connection_and_with_the_watch),
		cmocka_unit_test(a_pause_in_a_crawl_does_not_end_the_listening),
		cmocka_unit_test(packets_tell_a_policer_from_loss),
		cmocka_unit_test(a_ceiling_far_above_what_arrives_is_not_told),
		cmocka_unit_test(a_verdict_is_not_told_again_for_a_number_that_grew),
		cmocka_unit_test(packets_of_what_does_not_crawl_make_no_incident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
