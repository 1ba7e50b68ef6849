/* SPDX-License-Identifier: GPL-2.0-only */
/* Paths that lose some of everything: what is chance there, and what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "world.h"

#define LOOK_S 2
#define SEEDS  24

/* The transfer goes on for some looks; of `segs` in each, `lost` are sent again. */
static void moves(struct world *w, int looks, uint32_t segs, uint32_t lost)
{
	struct observation o = {.type = OBS_SNAPSHOT};
	struct flow_snapshot *f = &w->flow;

	for (int i = 0; i < looks; i++) {
		uint32_t bytes = (segs - lost) * f->mss;

		w->now_ns += LOOK_S * NS_PER_S;
		f->snd.bytes += bytes;
		f->snd.progress_ns = f->last_in_ns = w->now_ns;
		f->snd_una += bytes;
		f->snd_nxt += bytes;
		f->write_seq += bytes;
		f->busy_us += LOOK_S * 1000000;
		f->data_segs_out += segs;
		f->total_retrans += lost;
		f->retrans = f->backoff = 0;
		f->rto_us = 220000;
		w->witness.snd.bytes += bytes;
		w->witness.snd.progress_ns = w->now_ns;
		o.now_ns = w->now_ns;
		o.snapshot = *f;
		world_step(w, &o);
	}
}

/* Node 3 or the link behind it loses one packet in so many, and the transfer falls silent. */
static void lossy(struct world *w, uint32_t seed, int small, int full)
{
	world_init(w, true, seed & 1);
	w->rng = (seed * 747796405u + 2891336453u) | 1;
	w->hops = 6;
	w->flow.ttl_in = 64 - 5;
	w->has_witness = seed & 2;
	w->fault.loses_at = 3;
	w->fault.loses_small = small;
	w->fault.loses_full = full;
	moves(w, 6, 3000, 1);
	moves(w, 4, 80, 24);
	w->flow.retrans_len = 1448;
	w->flow.sacked_segs = seed & 4 ? 2 : 0;
}

static bool on_link_behind(const struct world *w, int node)
{
	const struct place *p = &w->incident.verdict.where;
	struct ip_addr near = world_hop(w, node), far = world_hop(w, node + 1);

	return p->kind == PLACE_LINK && addr_equal(&p->near, &near) && addr_equal(&p->far, &far);
}

static bool behind(const struct world *w, int node)
{
	const struct place *p = &w->incident.verdict.where;

	return on_link_behind(w, node) ||
	       (p->kind == PLACE_HOP && (p->ttl == node || p->ttl == node + 1));
}

/* The place may be any. */
static void expect_cause(struct world *w, enum cause cause)
{
	expect(w, cause, w->incident.verdict.where.kind, w->incident.verdict.where.ttl);
}

/* Retransmissions are lost as well, large probes too: no one segment, and no size, is to blame. */
static void what_is_lost_again_and_again_is_no_refused_segment(void **state)
{
	int placed = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		lossy(&w, seed, seed % 3 ? 3 : 0, 3);
		world_run(&w, 6 * NS_PER_S);
		assert_int_equal(w.begins, 1);
		expect_cause(&w, CAUSE_PATH_LOSS);
		world_run(&w, 14 * NS_PER_S);
		expect_cause(&w, CAUSE_PATH_LOSS);
		placed += behind(&w, 3) || behind(&w, 2);
		assert_true(w.probes <= 300);
		world_free(&w);
	}
	assert_true(placed * 10 >= SEEDS * 8);
}

/* All that it loses now is more than the loss before explains. */
static void loss_before_does_not_hide_what_came_then(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		lossy(&w, seed, 20, 20);
		if (seed & 16)
			moves(&w, 6, 500, 25);
		w.fault.state_at = seed & 8 ? 2 : 0;
		w.fault.blackhole_at = seed & 8 ? 0 : 2;
		w.has_witness = seed & 8;
		world_run(&w, 14 * NS_PER_S);
		expect_cause(&w, seed & 8 ? CAUSE_CONNECTION_STATE_LOST : CAUSE_PATH_BLACKHOLE);
		world_free(&w);
	}
}

/* A third is lost on the way to where nothing gets farther: that is not what stops it. */
static void loss_on_the_way_does_not_hide_where_it_ends(void **state)
{
	int blackhole = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		world_init(&w, true, seed & 1);
		w.rng = (seed * 747796405u + 2891336453u) | 1;
		w.has_witness = false;
		w.fault.loses_at = 1;
		w.fault.loses_small = w.fault.loses_full = 3;
		w.fault.blackhole_at = 4;
		world_run(&w, 9 * NS_PER_S);
		blackhole += w.incident.verdict.cause == CAUSE_PATH_BLACKHOLE ||
			     w.incident.verdict.cause == CAUSE_PEER_GONE;
		world_free(&w);
	}
	assert_true(blackhole * 10 >= SEEDS * 9);
}

/* No probe is lost, and tries are in vain: so it was with a third of all segments before. */
static void a_row_of_losses_is_chance_where_a_third_is_lost(void **state)
{
	struct world w;

	(void)state;
	lossy(&w, 4, 0, 0);
	assert_int_not_equal(w.flow.sacked_segs, 0);
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_PATH_LOSS, PLACE_PATH, 0);
	world_free(&w);
}

/* The place is open when the cause is told: more is asked as soon as routers answer again. */
static void a_loss_without_a_place_is_asked_about_soon(void **state)
{
	int open = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= 4 * SEEDS; seed++) {
		struct world w;
		int probes;

		lossy(&w, seed, 3, 3);
		while (!w.verdicts)
			world_run(&w, NS_PER_S / 10);
		probes = w.probes;
		if (w.incident.verdict.where.kind == PLACE_PATH) {
			open++;
			world_run(&w, 1500 * NS_PER_MS);
			assert_true(w.probes > probes);
		}
		world_free(&w);
	}
	assert_int_not_equal(open, 0);
}

/* Half of all large packets are lost: a router that answers none of three has not got them. */
static void routers_that_seem_to_answer_no_large_probe_count(void **state)
{
	int placed = 0, misplaced = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= 8 * SEEDS; seed++) {
		struct world w;

		world_init(&w, true, seed & 1);
		w.rng = (seed * 747796405u + 2891336453u) | 1;
		w.hops = 8;
		w.flow.ttl_in = 64 - 7;
		w.has_witness = seed & 2;
		w.fault.loses_at = 3;
		w.fault.loses_full = 2;
		moves(&w, 6, 3000, 1);
		w.flow.retrans_len = 1448;
		world_run(&w, 6 * NS_PER_S);
		placed += behind(&w, 3);
		misplaced += w.incident.verdict.where.kind == PLACE_LINK && !on_link_behind(&w, 3);
		world_free(&w);
	}
	assert_true(placed * 4 >= 8 * SEEDS);
	assert_true(misplaced * 5 <= placed);
}

/* Nothing was known of its loss; the flow's probes are lost behind a node, others there as well. */
static void probes_alone_tell_loss_from_one_connection_that_is_dropped(void **state)
{
	int loss = 0, state_lost = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		lossy(&w, seed, 2, 2);
		w.flow.key.cookie = w.flow.key.local.port = 77;
		world_run(&w, 15 * NS_PER_S);
		loss += w.incident.verdict.cause == CAUSE_PATH_LOSS;
		state_lost += w.incident.verdict.cause == CAUSE_CONNECTION_STATE_LOST;
		world_free(&w);
	}
	assert_true(loss * 4 >= SEEDS * 3);
	assert_int_equal(state_lost, 0);
}

/* Half of all is lost from one moment to the next: what the transfer lost before tells nothing. */
static void loss_may_begin_with_the_silence(void **state)
{
	int loss = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= 4 * SEEDS; seed++) {
		struct world w;

		world_init(&w, true, seed & 1);
		w.rng = (seed * 747796405u + 2891336453u) | 1;
		w.has_witness = seed & 2;
		w.fault.loses_at = 3;
		w.fault.loses_small = w.fault.loses_full = 2;
		moves(&w, 6, 3000, 1);
		w.flow.retrans_len = 1448;
		world_run(&w, 6 * NS_PER_S);
		loss += w.incident.verdict.cause == CAUSE_PATH_LOSS;
		world_free(&w);
	}
	assert_true(loss * 10 >= 4 * SEEDS * 8);
}

/* The watch ends before this silence was asked about; the path was said to lose some before. */
static void a_path_that_loses_is_remembered(void **state)
{
	int loss = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct observation o = {.type = OBS_END};
		struct world w;

		lossy(&w, seed, 3, 3);
		world_run(&w, 20 * NS_PER_S);
		moves(&w, 5, 3000, 1);
		w.unsendable = true;
		while (w.begins < 2)
			world_run(&w, NS_PER_S / 10);
		o.now_ns = w.now_ns;
		world_step(&w, &o);
		assert_int_equal(w.ends, 2);
		loss += w.incident.verdict.cause == CAUSE_PATH_LOSS;
		world_free(&w);
	}
	assert_true(loss * 4 >= SEEDS);
}

/* What comes in has one or two hops less to go; where the peer seems to be is a router that is
 * mute.
 */
static void a_mute_router_is_no_peer_that_loses_some(void **state)
{
	(void)state;
	for (int bits = 0; bits < 16; bits++) {
		struct world w;

		world_init(&w, true, false);
		w.hops = 6;
		w.flow.ttl_in = bits & 1 ? 60 : 61;
		w.silent_hops = bits & 1 ? 1 << 5 : 1 << 5 | 1 << 4;
		w.has_witness = bits & 2;
		w.flow.retrans_len = 1448;
		w.fault.content_at = bits / 4 == 1 ? 3 : 0;
		w.fault.mtu_at = bits / 4 == 2 ? 3 : 0;
		w.fault.mtu = 1400;
		w.fault.state_at = bits / 4 == 3 ? 2 : 0;
		world_run(&w, 9 * NS_PER_S);
		assert_int_equal(w.begins, 1);
		assert_int_not_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
		world_free(&w);
	}
}

/* Where it loses was found out in one silence; the next is shorter. */
static void what_probes_found_stands_for_the_next_silence(void **state)
{
	int placed = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		lossy(&w, seed, 3, 3);
		world_run(&w, 20 * NS_PER_S);
		moves(&w, 3, 80, 24);
		world_run(&w, 3500 * NS_PER_MS);
		assert_int_equal(w.begins, 2);
		expect_cause(&w, CAUSE_PATH_LOSS);
		placed += behind(&w, 3) || behind(&w, 2);
		world_free(&w);
	}
	assert_true(placed * 10 >= SEEDS * 9);
}

static void loss_on_a_degraded_link_is_its_symptom(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		lossy(&w, seed, 0, 0);
		w.route.speed_mbps = 10;
		w.route.full_duplex = 0;
		w.first_link_loses = true;
		w.next_small = w.next_full = 2;
		world_run(&w, 9 * NS_PER_S);
		expect(&w, CAUSE_LINK_DEGRADED, PLACE_LINK, 0);
		world_free(&w);
	}
}

/* A tick in which time goes on step by step. */
static void long_tick(struct world *w, const struct tick *t)
{
	world_wait(w, TICK_S * 10 - 1);
	w->now_ns -= (TICK_S * 10 - 1) * NS_PER_S / 10;
	world_tick(w, t);
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
	world_ticks(w, 10, world_fast);
	for (int i = 0; i < 22; i++)
		long_tick(w, &t);
	assert_int_equal(w->slow_begins, 1);
	assert_true(w->incident.probes_sent <= 300);
	assert_int_equal(w->incident.verdict.cause, CAUSE_PATH_LOSS);
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
			right += on_link_behind(&w, at);
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
	assert_true(on_link_behind(&w, 3));
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
	world_ticks(&w, 10, world_fast);
	for (int i = 0; i < 22; i++)
		long_tick(&w, &t);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_LOSS);
	assert_int_equal(w.incident.verdict.where.kind, PLACE_PATH);
	world_free(&w);
}

/*
 * Somebody else on this host traces routes as well, and has used up what routers answer: of two
 * probes that follow each other they answer one. All that goes farther arrives.
 */
static void what_routers_do_not_answer_is_not_lost(void **state)
{
	static const enum cause causes[] = {CAUSE_HEADER_REWRITE, CAUSE_PATH_BLACKHOLE,
					    CAUSE_CONNECTION_STATE_LOST, CAUSE_CONTENT_DROP};

	(void)state;
	for (int i = 0; i < 4 * 16; i++) {
		static const uint64_t hasty[] = {~0ull, 1 << 1 | 1 << 2, 1 << 2 | 1 << 3, 1 << 3};
		enum cause cause = causes[i / 16];
		struct world w;

		world_init(&w, true, i & 1);
		w.has_witness = i & 2 && cause != CAUSE_PATH_BLACKHOLE;
		w.hasty_hops = hasty[i / 4 % 4];
		w.flow.retrans_len = 1448;
		w.fault.blackhole_at = cause == CAUSE_PATH_BLACKHOLE ? 3 : 0;
		w.fault.state_at = cause == CAUSE_CONNECTION_STATE_LOST ? 3 : 0;
		w.fault.content_at = cause == CAUSE_CONTENT_DROP ? 3 : 0;
		for (int s = 0; s < 6; s++) {
			if (cause == CAUSE_HEADER_REWRITE) { /* each try is refused */
				w.flow.in_segs += 20;
				w.flow.dup_acks += 20;
				w.flow.last_in_ns = w.now_ns + NS_PER_S;
			}
			world_run(&w, NS_PER_S);
		}
		expect_cause(&w, cause);
		world_free(&w);
	}
}

/* Half is lost behind the last router, and routers are asked too fast: not the first link loses. */
static void routers_that_limit_do_not_move_a_loss_to_the_first_link(void **state)
{
	int first = 0, loss = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= 4 * SEEDS; seed++) {
		const struct place *where;
		struct world w;

		lossy(&w, seed, 2, 2);
		w.fault.loses_at = w.hops - 1;
		w.hasty_hops = seed & 8 ? ~0ull : 1 << 1 | 1 << 2;
		world_run(&w, 9 * NS_PER_S);
		where = &w.incident.verdict.where;
		loss += w.incident.verdict.cause == CAUSE_PATH_LOSS;
		first += where->kind == PLACE_LINK &&
			 addr_equal(&where->near, &w.flow.key.local.addr);
		world_free(&w);
	}
	assert_true(loss * 10 >= 4 * SEEDS * 8);
	assert_true(first * 20 <= 4 * SEEDS);
}

/* A quarter of the probes is lost as well; but what is sent again arrives, and is answered. */
static void what_the_peer_refuses_has_arrived(void **state)
{
	int rewrite = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		struct world w;

		world_init(&w, true, seed & 1);
		w.rng = (seed * 747796405u + 2891336453u) | 1;
		w.has_witness = seed & 2;
		w.fault.loses_at = 2;
		w.fault.loses_small = w.fault.loses_full = 4;
		w.flow.retrans_len = 1448;
		for (int s = 0; s < 6; s++) {
			w.flow.in_segs += 20;
			w.flow.dup_acks += 20;
			w.flow.last_in_ns = w.now_ns + NS_PER_S;
			world_run(&w, NS_PER_S);
		}
		rewrite += w.incident.verdict.cause == CAUSE_HEADER_REWRITE;
		world_free(&w);
	}
	assert_true(rewrite * 10 >= SEEDS * 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lost_again_and_again_is_no_refused_segment),
		cmocka_unit_test(loss_before_does_not_hide_what_came_then),
		cmocka_unit_test(loss_on_the_way_does_not_hide_where_it_ends),
		cmocka_unit_test(a_row_of_losses_is_chance_where_a_third_is_lost),
		cmocka_unit_test(a_loss_without_a_place_is_asked_about_soon),
		cmocka_unit_test(routers_that_seem_to_answer_no_large_probe_count),
		cmocka_unit_test(probes_alone_tell_loss_from_one_connection_that_is_dropped),
		cmocka_unit_test(loss_may_begin_with_the_silence),
		cmocka_unit_test(a_path_that_loses_is_remembered),
		cmocka_unit_test(a_mute_router_is_no_peer_that_loses_some),
		cmocka_unit_test(what_probes_found_stands_for_the_next_silence),
		cmocka_unit_test(loss_on_a_degraded_link_is_its_symptom),
		cmocka_unit_test(loss_is_placed_by_probes),
		cmocka_unit_test(bit_errors_are_told_by_size),
		cmocka_unit_test(routers_that_limit_their_answers_are_not_blamed),
		cmocka_unit_test(what_routers_do_not_answer_is_not_lost),
		cmocka_unit_test(routers_that_limit_do_not_move_a_loss_to_the_first_link),
		cmocka_unit_test(what_the_peer_refuses_has_arrived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
