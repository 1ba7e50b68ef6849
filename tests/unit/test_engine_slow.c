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
		ticks(&w, 10, (struct tick){.bps = FAST, .segs = 17000, .snd_wnd = cases[i].wide});
		w.flow.wide_wnd = cases[i].taken_back ? cases[i].wide : 0;
		w.flow.cut_wnd = cases[i].taken_back ? cases[i].cut : 0;
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

/* Others come, and get what this one lost. */
static void shared_with_others(struct world *w, const struct tick *t)
{
	struct observation o = {.type = OBS_SNAPSHOT};

	world_init(w, true, false);
	ticks(w, 10, fast);
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
		tick(w, t);
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
	tick(&w, &t);
	assert_int_equal(w.begins, 0);
	assert_int_equal(w.releases, 0);
	ticks(&w, 2, fast);
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

static void wait(struct world *w, int tenths)
{
	for (int i = 0; i < tenths; i++) {
		w->now_ns += NS_PER_S / 10;
		world_step(w, &(struct observation){.type = OBS_TICK, .now_ns = w->now_ns});
	}
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
	wait(&w, 15);
	assert_int_equal(w.incident.verdict.cause, CAUSE_RATE_LIMIT);
	assert_true(w.incident.verdict.cause_confidence > 0.95);
	assert_int_equal(w.incident.pace.ceiling_bps, 3700000);
	assert_string_equal(w.incident.verdict.detail,
			    "policer at 3.7 Mbit/s, bursts of 20 kB pass");
	world_free(&w);

	crawl(&w, rows);
	assert_true(w.incident.verdict.cause_confidence < 0.9);
	packets_show(&w, PACE_LOSS, 0);
	wait(&w, 15);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	assert_true(w.incident.verdict.cause_confidence > 0.95);
	world_free(&w);
}

static void a_verdict_is_not_told_again_for_a_number_that_grew(void **state)
{
	struct world w;
	int told;

	(void)state;
	crawl(&w, (struct tick){.bps = CRAWL, .segs = 700, .retrans = 30, .runs = 29});
	packets_show(&w, PACE_POLICER, 3700000);
	wait(&w, 15);
	told = w.verdicts;
	packets_show(&w, PACE_POLICER, 3900000);
	wait(&w, 15);
	assert_int_equal(w.verdicts, told);
	packets_show(&w, PACE_POLICER, 5000000);
	wait(&w, 15);
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
	ticks(&w, 10, fast);
	packets_show(&w, PACE_POLICER, 3700000);
	gone.now_ns = w.now_ns;
	gone.gone.last = w.flow;
	world_step(&w, &gone);
	packets_show(&w, PACE_POLICER, 3700000);
	wait(&w, 15);
	assert_int_equal(w.slow_begins, 0);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

/* A tick in which time goes on step by step. */
static void long_tick(struct world *w, const struct tick *t)
{
	wait(w, TICK_S * 10 - 1);
	w->now_ns -= (TICK_S * 10 - 1) * NS_PER_S / 10;
	tick(w, t);
}

/* One packet in `small` or `full` is lost behind node `at`. */
static void crawl_over(struct world *w, int at, int small, int full, bool v6)
{
	const struct tick t = {.bps = CRAWL, .segs = 700, .retrans = 90, .runs = 85};

	world_init(w, true, v6);
	w->has_witness = false;
	w->hops = 7;
	w->flow.ttl_in = 64 - 6;
	w->fault.loses_at = at;
	w->fault.loses_small = small;
	w->fault.loses_full = full;
	ticks(w, 10, fast);
	for (int i = 0; i < 22; i++) {
		long_tick(w, &t);
	}
	assert_int_equal(w->slow_begins, 1);
	assert_true(w->incident.probes_sent <= 300);
	assert_int_equal(w->incident.verdict.cause, CAUSE_PATH_LOSS);
}

static bool is_behind(const struct world *w, const struct place *p, int node)
{
	struct ip_addr near = world_hop(w, node), far = world_hop(w, node + 1);

	return p->kind == PLACE_LINK && addr_equal(&p->near, &near) && addr_equal(&p->far, &far);
}

static void loss_is_placed_by_probes(void **state)
{
	int named = 0, right = 0;

	(void)state;
	for (int at = 1; at < 7; at++) {
		for (int one_in = 4; one_in <= 10; one_in += 3) {
			struct world w;

			crawl_over(&w, at, one_in, one_in, at & 1);
			named += w.incident.verdict.where.kind == PLACE_LINK;
			right += is_behind(&w, &w.incident.verdict.where, at);
			world_free(&w);
		}
	}
	assert_true(named >= 12); /* of 18 */
	assert_true(right >= named - 1);
}

static void bit_errors_are_told_by_size(void **state)
{
	struct world w;
	bool told = false;

	(void)state;
	crawl_over(&w, 3, 60, 4, false);
	assert_true(is_behind(&w, &w.incident.verdict.where, 3));
	for (int i = 0; i < w.incident.verdict.n_evidence; i++)
		told |= !strcmp(w.incident.verdict.evidence[i].id, "large-lost");
	assert_true(told);
	world_free(&w);
}

/* They answer six times, and then hardly; what lies behind them is fine. */
static void routers_that_limit_their_answers_are_not_blamed(void **state)
{
	const struct tick t = {.bps = CRAWL, .segs = 700, .retrans = 90, .runs = 85};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.icmp_burst = 6;
	ticks(&w, 10, fast);
	for (int i = 0; i < 22; i++) {
		long_tick(&w, &t);
	}
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	assert_int_equal(w.incident.verdict.where.kind, PLACE_PATH);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_makes_a_transfer_crawl),
		cmocka_unit_test(a_shaper_that_others_use_too_is_told_by_its_queue),
		cmocka_unit_test(a_late_answer_among_losses_is_no_queue),
		cmocka_unit_test(round_trips_of_what_is_lost_again_and_again_are_no_queue),
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
		cmocka_unit_test(a_pause_in_a_crawl_does_not_end_the_listening),
		cmocka_unit_test(packets_tell_a_policer_from_loss),
		cmocka_unit_test(a_verdict_is_not_told_again_for_a_number_that_grew),
		cmocka_unit_test(packets_of_what_does_not_crawl_make_no_incident),
		cmocka_unit_test(loss_is_placed_by_probes),
		cmocka_unit_test(bit_errors_are_told_by_size),
		cmocka_unit_test(routers_that_limit_their_answers_are_not_blamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
