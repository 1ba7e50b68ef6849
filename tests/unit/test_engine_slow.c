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

#define TICK_S 2
#define FAST   (100 * 1000 * 1000u) /* bits a second */
#define CRAWL  (FAST / 25)

/* What happens in a tick beside progress. */
struct tick {
	uint32_t bps;
	uint32_t segs, retrans, runs;
	uint32_t rwnd_percent, busy_percent;
	uint32_t rtt_us, snd_wnd;
};

static void tick(struct world *w, const struct tick *t)
{
	struct observation o = {.type = OBS_SNAPSHOT};
	struct flow_snapshot *f = &w->flow;
	uint64_t bytes = (uint64_t)t->bps / 8 * TICK_S;
	uint64_t busy_us = TICK_S * 10000ull * (t->busy_percent ? t->busy_percent : 100);

	w->now_ns += TICK_S * NS_PER_S;
	f->snd.bytes += bytes;
	f->snd.progress_ns = w->now_ns;
	f->snd_una += (uint32_t)bytes;
	f->snd_nxt += (uint32_t)bytes;
	f->write_seq += (uint32_t)bytes;
	f->busy_us += busy_us;
	f->rwnd_limited_us += busy_us * t->rwnd_percent / 100;
	f->data_segs_out += t->segs;
	f->total_retrans += t->retrans;
	f->retrans_runs += t->runs;
	f->rtt_us = t->rtt_us ? t->rtt_us : 20000;
	f->min_rtt_us = 20000;
	f->snd_wnd = t->snd_wnd ? t->snd_wnd : 1 << 20;
	o.now_ns = w->now_ns;
	o.snapshot = *f;
	world_step(w, &o);
}

static void ticks(struct world *w, int n, struct tick t)
{
	for (int i = 0; i < n; i++)
		tick(w, &t);
}

static const struct tick fast = {.bps = FAST, .segs = 17000};

static void crawl(struct world *w, struct tick t)
{
	world_init(w, true, false);
	w->has_witness = false;
	ticks(w, 10, fast);
	ticks(w, 9, t);
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
	ticks(&w, 2, fast);
	assert_int_equal(w.slow_ends, 1);
	assert_int_equal(w.incident.outcome, OUTCOME_RECOVERED);
	assert_int_equal(engine_counts(w.e).slow, 1);
	assert_int_equal(engine_counts(w.e).stalls, 0);
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

/* What is left of the line differs from look to look; the queue does not. */
static void a_shaper_that_others_use_too_is_told_by_its_queue(void **state)
{
	struct tick t = {.segs = 100, .retrans = 15, .runs = 11, .rtt_us = 300000};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	ticks(&w, 10, fast);
	for (int i = 0; i < 9; i++) {
		t.bps = i % 2 ? CRAWL : CRAWL / 3;
		tick(&w, &t);
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
	ticks(&w, 10, fast);
	for (int i = 0; i < 9; i++) {
		t.rtt_us = i % 2 ? 300000 : 20000;
		tick(&w, &t);
		assert_int_not_equal(w.incident.pace.limit, PACE_SHAPER);
	}
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	world_free(&w);
}

/* 10 kB a round trip of 20 ms are 4 Mbit/s. */
/* It was enough for the way there was before. */
static void a_small_window_limits_what_is_on_the_way(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = 250000});
	ticks(&w, 9,
	      (struct tick){.bps = CRAWL,
			    .segs = 700,
			    .rwnd_percent = 95,
			    .snd_wnd = 250000,
			    .rtt_us = 400000});
	assert_int_equal(w.slow_begins, 1);
	assert_int_equal(w.incident.verdict.cause, CAUSE_WINDOW_LIMITED);
	for (uint32_t rtt_us = 390000; rtt_us > 330000; rtt_us -= 7000)
		tick(&w, &(struct tick){.bps = CRAWL,
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

/* The same number, read some bits lower: no receiver's doing. */
static void a_window_that_is_cut_is_told_from_a_small_one(void **state)
{
	static const struct {
		uint32_t wide, cut, bps;
		int slow;
		bool rewritten;
	} cases[] = {
		{64 << 20, (64 << 20) >> 8, CRAWL, 1, true},
		{(40 << 20) + 17, (40 << 20) >> 5, FAST / 4, 1, true}, /* slower, if no crawl */
		{64 << 20, 8 << 20, FAST * 9 / 10, 0, false},	       /* and does no harm */
		{64 << 20, 250000, CRAWL, 1, false}, /* Linux, its buffer made smaller */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = cases[i].wide});
		ticks(&w, 9,
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
	ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = wnd});
	for (; wnd > tick_bytes; wnd -= tick_bytes)
		ticks(&w, 1,
		      (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = wnd - tick_bytes});
	ticks(&w, 1, (struct tick){.bps = wnd / TICK_S * 8, .segs = 9000, .snd_wnd = 200000});
	ticks(&w, 9,
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
	ticks(&w, 10, fast);
	ticks(&w, 20, (struct tick){.bps = CRAWL, .segs = 700, .busy_percent = 20});
	assert_int_equal(w.slow_begins, 0);
	assert_int_equal(w.probes, 0);
	world_free(&w);
}

static void a_transfer_that_was_never_faster_does_not_crawl(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	ticks(&w, 60, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	assert_int_equal(w.slow_begins, 0);
	world_free(&w);
}

static void a_dip_of_eight_seconds_is_no_crawl(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	ticks(&w, 10, fast);
	for (int i = 0; i < 5; i++) {
		ticks(&w, 4, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
		ticks(&w, 2, fast);
	}
	assert_int_equal(w.slow_begins, 0);
	world_free(&w);
}

/* Others have come and share the line: nobody's fault. */
static void a_line_that_is_shared_is_no_crawl(void **state)
{
	struct observation o = {.type = OBS_SNAPSHOT};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	ticks(&w, 10, fast);
	for (int i = 0; i < 10; i++) {
		for (uint64_t k = 0; k < 20; k++) {
			o.now_ns = w.now_ns;
			o.snapshot = w.witness;
			o.snapshot.key.cookie = 10 + k;
			o.snapshot.snd.bytes += (uint64_t)i * TICK_S * FAST / 21 / 8;
			o.snapshot.snd.progress_ns = w.now_ns;
			o.snapshot.busy_us = (uint64_t)i * TICK_S * 1000000;
			world_step(&w, &o);
		}
		tick(&w, &(struct tick){.bps = FAST / 21, .segs = 800, .retrans = 2, .runs = 2});
	}
	assert_int_equal(w.slow_begins, 0);
	world_free(&w);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_makes_a_transfer_crawl),
		cmocka_unit_test(a_shaper_that_others_use_too_is_told_by_its_queue),
		cmocka_unit_test(a_late_answer_among_losses_is_no_queue),
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
		cmocka_unit_test(a_line_that_is_shared_is_no_crawl),
		cmocka_unit_test(a_crawl_ends_with_its_connection_and_with_the_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
