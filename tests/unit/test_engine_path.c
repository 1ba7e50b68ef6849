/* SPDX-License-Identifier: GPL-2.0-only */
/* Faults of the path: found by probes at every place, and said to be open where they are. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "world.h"

/* Every hop, both ends, both families: the hop that forgot the connection is named. */
static void lost_state_is_found_at_every_hop(void **state)
{
	(void)state;
	for (int bits = 0; bits < 4; bits++) {
		for (int at = 1; at < 4; at++) {
			struct world w;

			world_init(&w, bits & 1, bits & 2);
			w.fault.state_at = at;
			w.silent_hops = 0;
			world_run(&w, 6 * NS_PER_S);
			assert_int_equal(w.begins, 1);
			expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, at);
			assert_true(w.incident.verdict.cause_confidence > 0.9);
			assert_true(w.probes <= 300);
			assert_true(addr_equal(&w.incident.verdict.where.address,
					       &(struct ip_addr){0}) == false);
			world_free(&w);
		}
	}
}

static void the_verdict_comes_within_five_seconds(void **state)
{
	struct world w;
	uint64_t silent_since_ns;

	(void)state;
	world_init(&w, true, false);
	silent_since_ns = w.now_ns;
	w.fault.state_at = 2;
	world_run(&w, 10 * NS_PER_S);
	assert_true(w.verdict_ns - silent_since_ns <= 5 * NS_PER_S);
	world_free(&w);
}

static void a_silent_router_is_not_guilty(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.state_at = 3;
	w.silent_hops = 1 << 2; /* node 2 never answers anybody */
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 3);
	world_free(&w);
}

/* It does so before it looks at the TTL. */
static void a_router_without_a_route_has_answered(void **state)
{
	(void)state;
	for (int at = 1; at < 5; at++) {
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		w.fault.no_route_at = at;
		world_run(&w, 6 * NS_PER_S);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, at);
		assert_true(w.incident.hops[at - 1].address.family);
		assert_false(w.incident.hops[at].address.family);
		world_free(&w);
	}
}

/* Its messages are limited: what the kernel sends again uses them up. */
static void a_router_that_says_so_once_has_been_reached(void **state)
{
	struct observation o = {.type = OBS_ICMP};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.blackhole_at = 3;
	w.silent_hops = 1 << 3;
	o.icmp.key = w.flow.key;
	o.icmp.from = world_hop(&w, 3);
	o.icmp.type = 3;
	world_run(&w, 5 * NS_PER_S / 2);
	o.now_ns = w.now_ns;
	world_step(&w, &o);
	world_run(&w, 4 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, 3);
	assert_true(addr_equal(&w.incident.verdict.where.address, &o.icmp.from));
	world_free(&w);
}

static void another_way_of_a_new_connection_proves_little(void **state)
{
	struct world w;
	bool told = false;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.state_at = 2;
	w.balanced = 2;
	world_run(&w, 6 * NS_PER_S);
	assert_true(w.incident.verdict.cause_confidence < 0.7);
	for (int i = 0; i < w.incident.verdict.n_evidence; i++)
		told |= !strcmp(w.incident.verdict.evidence[i].id, "way-unmet");
	assert_true(told);
	world_free(&w);
}

static void routers_that_limit_icmp_are_not_guilty(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.state_at = 3;
	w.icmp_burst = 5;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 3);
	world_free(&w);
}

static void a_black_hole_is_a_link_between_two_hops(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, true);
	w.has_witness = false;
	w.fault.blackhole_at = 3;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	assert_true(addr_equal(&w.incident.verdict.where.near, &(struct ip_addr){0}) == false);
	world_free(&w);
}

/* Routers answer about one probe a second: two stalls on one path must not both ask all of it. */
static void stalls_towards_one_peer_are_probed_once(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.witness_stalls = true;
	w.icmp_burst = 6;
	w.fault.blackhole_at = 3;
	world_run(&w, 4 * NS_PER_S);
	assert_int_equal(w.begins, 2);
	assert_int_equal(w.verdicts, 2);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	assert_int_equal(w.incident.key.cookie, w.witness.key.cookie);
	assert_true(w.probes - w.onlink <= 36);
	world_free(&w);
}

/* The peer's own data goes on: the way back is fine, and the black hole is still one. */
static void a_black_hole_under_a_talking_peer_is_found(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.blackhole_at = 3;
	for (int i = 0; i < 12; i++) {
		w.flow.in_segs++;
		w.flow.last_in_ns = w.now_ns + NS_PER_S / 2;
		world_run(&w, NS_PER_S / 2);
	}
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	assert_int_equal(w.incident.verdict.way, WAY_FORWARD);
	world_free(&w);
}

static void a_next_hop_without_arp_is_the_first_link(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.blackhole_at = 0;
	w.silent_hops = ~0ull;
	w.fault.peer_dead = true;
	w.gateway_nud = 0x20; /* NUD_FAILED */
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_NEIGHBOUR_UNREACHABLE, PLACE_LINK, 0);
	assert_true(addr_equal(&w.incident.verdict.where.near, &w.flow.key.local.addr));
	world_free(&w);
}

static void a_dead_peer_behind_answering_routers_is_gone(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.peer_dead = true;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_PEER_GONE, PLACE_RECEIVER_HOST, 0);
	world_free(&w);
}

/* It has lost its next neighbour, and says "host unreachable" all the same. */
static void a_router_in_the_middle_does_not_speak_of_the_peer(void **state)
{
	struct observation o = {.type = OBS_ICMP};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.blackhole_at = 2;
	o.icmp.key = w.flow.key;
	o.icmp.from = world_hop(&w, 2);
	o.icmp.type = 3;
	o.icmp.code = 1;
	for (int i = 0; i < 6; i++) {
		world_run(&w, NS_PER_S);
		o.now_ns = w.now_ns;
		world_step(&w, &o);
	}
	world_run(&w, NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_BLACKHOLE);
	assert_true(addr_equal(&w.incident.verdict.where.near, &o.icmp.from));
	world_free(&w);
}

static void large_packets_that_vanish_are_a_size_black_hole(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.mtu_at = 2;
	w.fault.mtu = 1400;
	world_run(&w, 12 * NS_PER_S);
	expect(&w, CAUSE_SIZE_BLACKHOLE, PLACE_HOP, 2);
	assert_string_equal(w.incident.verdict.detail, "largest packet that passes: 1400 bytes");
	assert_true(w.probes <= 300);
	world_free(&w);
}

/* Not only links limit sizes: a rule of a box may do so anywhere. */
static void a_limit_is_found_however_small_it_is(void **state)
{
	static const int limits[] = {1459, 1281, 1279, 700, 576, 296, 150};
	char detail[64];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
			struct world w;

			world_init(&w, true, v6);
			w.fault.mtu_at = 3;
			w.fault.mtu = limits[i];
			world_run(&w, 15 * NS_PER_S);
			snprintf(detail, sizeof(detail), "largest packet that passes: %d bytes",
				 limits[i]);
			expect(&w, CAUSE_SIZE_BLACKHOLE, PLACE_HOP, 3);
			assert_string_equal(w.incident.verdict.detail, detail);
			world_free(&w);
		}
	}
}

/* A bare header passes, and nothing that has data in it. */
static void where_any_data_is_lost_it_is_not_the_size(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, true);
	w.fault.mtu_at = 3;
	w.fault.mtu = 80;
	world_run(&w, 15 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_CORRUPTION);
	world_free(&w);
}

/* The peer goes on repeating what this host has acknowledged: it is our ACKs that are lost. */
static void acks_that_are_lost_behind_the_last_router_are_its_doing(void **state)
{
	(void)state;
	for (int hops = 2; hops < 6; hops++) {
		struct world w;

		world_init(&w, false, hops & 1);
		w.hops = hops;
		w.flow.ttl_in = (uint8_t)(65 - hops);
		w.fault.state_at = hops - 1;
		w.flow.old_segs = 4;
		for (int i = 0; i < 12; i++) {
			w.flow.last_in_ns = w.now_ns + NS_PER_S / 2;
			world_run(&w, NS_PER_S / 2);
		}
		expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, hops - 1);
		world_free(&w);
	}
}

/* What was under way when it broke left a hole, and nothing came since. */
static void a_hole_of_before_does_not_speak_for_a_path_that_is_dead(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.has_witness = false;
	w.fault.blackhole_at = 2;
	w.flow.hole_segs = 9;
	w.flow.last_in_ns = w.now_ns + 30 * NS_PER_MS;
	world_run(&w, 8 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	world_free(&w);
}

static void lost_answers_leave_the_place_open(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.reverse_at = 2;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_PATH, 0);
	assert_int_equal(w.incident.verdict.way, WAY_UNKNOWN);
	world_free(&w);
}

/* The path heals before the sender's next timeout: later probes pass where the first ones did not.
 */
static void a_path_that_heals_does_not_change_the_verdict(void **state)
{
	(void)state;
	for (int tenths = 36; tenths < 66; tenths += 3) {
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		w.fault.blackhole_at = 3;
		world_run(&w, (uint64_t)tenths * NS_PER_S / 10);
		w.fault.blackhole_at = 0;
		world_run(&w, 8 * NS_PER_S - (uint64_t)tenths * NS_PER_S / 10);
		world_progress(&w, 64000);
		world_run(&w, NS_PER_S);
		assert_int_equal(w.incident.outcome, OUTCOME_RECOVERED);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
		world_free(&w);
	}
}

/* The routers behind it answer again, so that the dead link has a far end: not another verdict. */
static void the_far_end_of_a_link_that_healed_is_no_news(void **state)
{
	(void)state;
	for (int s = 3; s < 8; s++) {
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		w.fault.blackhole_at = 3;
		world_run(&w, (uint64_t)s * NS_PER_S + NS_PER_S / 2);
		w.fault.blackhole_at = 0;
		world_run(&w, 8 * NS_PER_S);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
		assert_int_equal(w.verdicts, 1);
		world_free(&w);
	}
}

/* One of which the near end is known, and one of which the far end is, may be two links. */
static void two_links_are_one_by_an_end_that_both_know(void **state)
{
	static const uint8_t r1[4] = {192, 0, 2, 1}, r2[4] = {192, 0, 2, 2};
	struct verdict from = {.where = {.kind = PLACE_LINK, .near = addr_v4(r1)}};
	struct verdict to = {.where = {.kind = PLACE_LINK, .far = addr_v4(r2)}};
	struct verdict whole = from;

	(void)state;
	whole.where.far = to.where.far;
	assert_true(verdict_same(&from, &whole));
	assert_true(verdict_same(&to, &whole));
	assert_false(verdict_same(&from, &to));
}

/*
 * The path heals while the flow waits for its timer; another connection to the same peer goes on at
 * once. That one moves does not mean that this one is dropped.
 */
static void who_waits_for_the_timer_is_not_dropped(void **state)
{
	const uint64_t next_try_ns = 6820 * NS_PER_MS;

	(void)state;
	for (int tenths = 36; tenths < 66; tenths += 3) {
		uint64_t heals_ns = (uint64_t)tenths * NS_PER_S / 10;
		struct observation seen = {.type = OBS_SNAPSHOT};
		struct world w;

		world_init(&w, true, tenths & 1);
		w.fault.blackhole_at = 3;
		w.fault.heals_ns = w.now_ns + heals_ns;
		w.witness_stalls = true;
		world_run(&w, heals_ns);
		w.witness_stalls = false;
		w.witness.snd.run_start_ns = w.now_ns;
		world_run(&w, next_try_ns - heals_ns);
		seen.now_ns = w.now_ns;
		seen.snapshot = w.witness;
		world_step(&w, &seen);
		seen.type = OBS_SCANNED;
		world_step(&w, &seen);
		world_progress(&w, 64000);
		world_run(&w, NS_PER_S);
		assert_int_equal(w.incident.key.cookie, w.flow.key.cookie);
		assert_int_equal(w.incident.outcome, OUTCOME_RECOVERED);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
		world_free(&w);
	}
}

/* The path heals between the probes of a first connection and those of a second one. */
static void answers_from_behind_mean_that_an_outage_is_over(void **state)
{
	(void)state;
	for (int tenths = 17; tenths < 21; tenths++) {
		struct world w;

		world_init(&w, true, tenths & 1);
		w.fault.blackhole_at = 3;
		w.fault.heals_ns = w.now_ns + (uint64_t)tenths * NS_PER_S / 10;
		world_run(&w, 600 * NS_PER_MS);
		w.witness_stalls = true; /* later */
		world_run(&w, 6 * NS_PER_S);
		assert_int_equal(w.begins, 2);
		assert_int_equal(w.incident.key.cookie, w.witness.key.cookie);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
		world_free(&w);
	}
}

/* Routers in a loop answer now and then, as their limit lets them: nothing has healed. */
static void answers_out_of_a_loop_are_no_outage_that_is_over(void **state)
{
	(void)state;
	for (int burst = 3; burst < 30; burst++) {
		struct world w;

		world_init(&w, true, burst & 1);
		w.has_witness = false;
		w.hops = 6 + burst % 3;
		w.fault.loops_at = 3;
		w.icmp_burst = burst;
		if (burst >= 16)
			w.answers[2 + (burst & 1)] = burst - 1 - burst % 3;
		world_run(&w, 4 * NS_PER_S);
		w.icmp_burst += 2;
		world_run(&w, 4 * NS_PER_S);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, 2);
		for (int i = 0; i < w.incident.verdict.n_evidence; i++)
			assert_string_not_equal(w.incident.verdict.evidence[i].id, "outage-over");
		world_free(&w);
	}
}

/* The same of probes: those of the flow were lost before the path healed, those beside it not. */
static void what_is_lost_before_others_pass_is_no_lost_state(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct world w;

		world_init(&w, true, v6);
		w.has_witness = false;
		w.controls_late_ns = 30 * NS_PER_MS;
		w.fault.blackhole_at = 3;
		while (!w.probes) { /* it heals between the two kinds */
			w.fault.heals_ns = w.now_ns + NS_PER_S / 10 + 1;
			world_run(&w, NS_PER_S / 10);
		}
		world_run(&w, 4 * NS_PER_S);
		assert_int_not_equal(w.incident.verdict.cause, CAUSE_CONNECTION_STATE_LOST);
		world_free(&w);
	}
}

/* One connection is dropped, another stalls for a reason of its own and reaches the peer. */
static void who_reaches_the_peer_does_not_speak_for_another(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.witness_stalls = true;
	w.fault.state_at = 2;
	w.fault.of_witness = true;
	world_run(&w, 8 * NS_PER_S);
	assert_int_equal(w.begins, 2);
	assert_int_equal(w.incident.key.cookie, w.witness.key.cookie);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 2);
	world_free(&w);
}

/* What was found of the first connection that is dropped is no word about large packets of another.
 */
static void who_follows_takes_over_nothing_of_the_leads_own(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.witness_stalls = true;
	w.fault.state_at = 2;
	for (int i = 0; i < 40; i++) {
		world_run(&w, NS_PER_S / 5);
		if (w.incident.key.cookie == w.witness.key.cookie)
			assert_int_not_equal(w.incident.verdict.cause, CAUSE_SIZE_BLACKHOLE);
	}
	assert_int_equal(w.begins, 2);
	world_free(&w);
}

static void without_probes_the_cause_is_said_to_be_open(void **state)
{
	struct engine_config config = engine_defaults();
	struct world w;

	(void)state;
	world_init(&w, true, false);
	engine_free(w.e);
	config.probe = false;
	config.max_flows = config.max_incidents = 16;
	assert_int_equal(engine_new(&config, &w.e), 0);
	w.fault.state_at = 2;
	world_run(&w, 8 * NS_PER_S);
	assert_int_equal(w.probes, 0);
	assert_int_equal(w.begins, 1);
	assert_int_equal(w.verdicts, 1);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_state_is_found_at_every_hop),
		cmocka_unit_test(the_verdict_comes_within_five_seconds),
		cmocka_unit_test(a_silent_router_is_not_guilty),
		cmocka_unit_test(a_router_without_a_route_has_answered),
		cmocka_unit_test(a_router_that_says_so_once_has_been_reached),
		cmocka_unit_test(another_way_of_a_new_connection_proves_little),
		cmocka_unit_test(routers_that_limit_icmp_are_not_guilty),
		cmocka_unit_test(a_black_hole_is_a_link_between_two_hops),
		cmocka_unit_test(stalls_towards_one_peer_are_probed_once),
		cmocka_unit_test(a_black_hole_under_a_talking_peer_is_found),
		cmocka_unit_test(a_next_hop_without_arp_is_the_first_link),
		cmocka_unit_test(a_dead_peer_behind_answering_routers_is_gone),
		cmocka_unit_test(a_router_in_the_middle_does_not_speak_of_the_peer),
		cmocka_unit_test(large_packets_that_vanish_are_a_size_black_hole),
		cmocka_unit_test(a_limit_is_found_however_small_it_is),
		cmocka_unit_test(where_any_data_is_lost_it_is_not_the_size),
		cmocka_unit_test(acks_that_are_lost_behind_the_last_router_are_its_doing),
		cmocka_unit_test(a_hole_of_before_does_not_speak_for_a_path_that_is_dead),
		cmocka_unit_test(lost_answers_leave_the_place_open),
		cmocka_unit_test(a_path_that_heals_does_not_change_the_verdict),
		cmocka_unit_test(the_far_end_of_a_link_that_healed_is_no_news),
		cmocka_unit_test(two_links_are_one_by_an_end_that_both_know),
		cmocka_unit_test(who_waits_for_the_timer_is_not_dropped),
		cmocka_unit_test(answers_from_behind_mean_that_an_outage_is_over),
		cmocka_unit_test(answers_out_of_a_loop_are_no_outage_that_is_over),
		cmocka_unit_test(what_is_lost_before_others_pass_is_no_lost_state),
		cmocka_unit_test(who_reaches_the_peer_does_not_speak_for_another),
		cmocka_unit_test(who_follows_takes_over_nothing_of_the_leads_own),
		cmocka_unit_test(without_probes_the_cause_is_said_to_be_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
