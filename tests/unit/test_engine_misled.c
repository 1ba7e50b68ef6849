/* SPDX-License-Identifier: GPL-2.0-only */
/* What could mislead the engine: odd paths, healed outages, dying witnesses, hostile answers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/tcp.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

/* The peer's segments come 3 hops, ours go 7: the hops behind the third are asked all the same. */
static void a_way_there_that_is_longer_than_back_is_walked_to_its_end(void **state)
{
	(void)state;
	for (int at = 2; at < 6; at++) {
		struct world w;

		world_init(&w, true, false);
		w.hops = 7;
		w.flow.ttl_in = 62;
		w.fault.state_at = at;
		world_run(&w, 15 * NS_PER_S);
		expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, at);
		assert_true(w.probes <= 300);
		world_free(&w);
	}
}

/* Without a connection there are control probes only: later rounds ask where those stop. */
static void an_unanswered_handshake_is_asked_at_its_frontier(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.hops = 9;
	w.has_witness = false;
	w.fault.blackhole_at = 5;
	w.flow.state = TCP_SYN_SENT;
	w.flow.flags = SNAP_NAMED;
	w.flow.snd.bytes = 0;
	w.flow.ttl_in = 0;
	w.flow.unacked_segs = 1;
	world_run(&w, 20 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	assert_int_equal(w.answers[1], 2);
	world_free(&w);
}

/* A peer that waits for its timer after an outage answers small probes too. */
static void a_receiver_does_not_take_an_outage_for_a_size_limit(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	world_run(&w, 3500 * NS_PER_MS);
	assert_int_equal(w.begins, 1);
	assert_int_not_equal(w.incident.verdict.cause, CAUSE_SIZE_BLACKHOLE);
	world_run(&w, 6 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_SIZE_BLACKHOLE);
	world_free(&w);
}

static void a_receiver_is_not_accused_of_silence_when_nothing_could_be_asked(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.unsendable = true;
	world_run(&w, 30 * NS_PER_S);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

/* With a long timer no window probe has been answered yet when ours are. */
static void a_shut_window_is_believed_when_the_peer_answers_probes(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.snd_nxt = w.flow.snd_una;
	w.flow.unacked_segs = 0;
	w.flow.snd_wnd = 0;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_RECEIVER_NOT_READING, PLACE_RECEIVER_APP, 0);
	world_free(&w);
}

/* It moved a little longer because it had not paused before; then it stopped as well. */
static void who_dies_a_moment_later_is_no_witness(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.blackhole_at = 3;
	w.witness.flags |= SNAP_WITNESS_ONLY;
	world_run(&w, 800 * NS_PER_MS);
	w.witness_stalls = true;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	assert_int_equal(w.incident.n_witnesses, 0);
	world_free(&w);
}

/* Nothing is learnt from them, so every look could ask again. */
static void witnesses_behind_silent_routers_do_not_raise_the_number_of_probes(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.silent_hops = ~0ull;
	w.fault.blackhole_at = 1;
	w.witness.key.remote.addr.bytes[3]++;
	world_run(&w, 6 * NS_PER_S);
	world_progress(&w, 1448); /* from now on there is a look every 200 ms */
	world_run(&w, 60 * NS_PER_S);
	assert_int_equal(w.ends, 0);
	assert_true(w.probes <= 300);
	world_free(&w);
}

static void an_old_router_that_tells_no_mtu_is_no_black_hole(void **state)
{
	struct observation o = {.type = OBS_ICMP};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.unsendable = true;
	w.has_witness = false;
	world_run(&w, 1500 * NS_PER_MS);
	o.now_ns = w.now_ns;
	o.icmp.key = w.flow.key;
	o.icmp.from = world_hop(&w, 2);
	o.icmp.type = 3;
	o.icmp.code = 4;
	world_step(&w, &o);
	world_run(&w, 8 * NS_PER_S);
	assert_int_equal(w.begins, 1);
	assert_int_not_equal(w.incident.verdict.cause, CAUSE_PATH_BLACKHOLE);
	world_free(&w);
}

/* As only a recording can hold it: we never ask so far. */
static void an_answer_from_beyond_the_farthest_hop_is_ignored(void **state)
{
	struct observation o = {.type = OBS_PROBE};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.ttl_in = 0;
	w.fault.state_at = 2;
	world_run(&w, 1300 * NS_PER_MS);
	o.now_ns = w.now_ns;
	o.probe.key = w.flow.key;
	o.probe.kind = PROBE_CONTROL;
	o.probe.answer = ANSWER_SYN_ACK;
	o.probe.ttl = MAX_HOPS + 1;
	o.probe.from = w.flow.key.remote.addr;
	world_step(&w, &o);
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 2);
	assert_true(w.incident.n_hops < MAX_HOPS - 1);
	world_free(&w);
}

/* A stall of one direction ends in the step in which one of the other begins: both are told. */
static void an_end_is_told_beside_a_beginning_in_the_same_step(void **state)
{
	struct observation o = {.type = OBS_RESET};
	struct output out;
	int begins[2] = {0}, ends[2] = {0};
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.fault.blackhole_at = 2;
	world_run(&w, 4 * NS_PER_S);
	assert_int_equal(w.begins, 1);

	o.now_ns = w.now_ns;
	o.reset.key = w.flow.key;
	o.reset.inbound = true;
	engine_step(w.e, &o);
	while (engine_next(w.e, &out))
		;
	o = (struct observation){.type = OBS_GONE, .now_ns = w.now_ns};
	o.gone.last = w.flow;
	o.gone.last.snd.bytes = 100 << 20;
	o.gone.last.snd.progress_ns = w.now_ns;
	o.gone.last.write_seq += 5000;
	o.gone.reason = GONE_RESET;
	engine_step(w.e, &o);
	while (engine_next(w.e, &out)) {
		if (out.kind == OUT_STALL_BEGIN)
			begins[out.incident->local_sends]++;
		if (out.kind == OUT_STALL_END)
			ends[out.incident->local_sends]++;
	}
	assert_int_equal(begins[true], 1);
	assert_int_equal(ends[true], 1);
	assert_int_equal(begins[false], 0);
	assert_int_equal(ends[false], 1);
	world_free(&w);
}

/* The kernel's iterator may skip a flow when another one goes away beside it. */
static void a_flow_that_one_scan_passes_over_is_still_there(void **state)
{
	struct observation o = {.type = OBS_SNAPSHOT};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	o.now_ns = w.now_ns;
	o.snapshot = w.flow;
	world_step(&w, &o);
	o = (struct observation){.type = OBS_SCANNED};
	for (int scan = 1; scan < 4; scan++) {
		o.now_ns = w.now_ns + (uint64_t)scan * NS_PER_MS;
		world_step(&w, &o);
		assert_int_equal(engine_counts(w.e).flows_now, scan < 3);
	}
	world_free(&w);
}

static bool told(const struct world *w, const char *id)
{
	for (int i = 0; i < w->incident.verdict.n_evidence; i++)
		if (!strcmp(w->incident.verdict.evidence[i].id, id))
			return true;
	return false;
}

/* New connections that meet the other router pass, and so does the witness. */
static void the_dead_one_of_two_equal_routers_is_named(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.balanced = 2;
	w.member_dead = true;
	world_run(&w, 12 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, 2);
	assert_true(addr_equal(&w.incident.verdict.where.address, &(struct ip_addr){0}) == false);
	assert_int_equal(w.incident.verdict.where.address.bytes[3], 2); /* not its twin, 3 */
	assert_true(told(&w, "member-dead"));
	assert_true(w.probes <= 300);
	world_free(&w);
}

/*
 * No fresh port happens to go this connection's way, whether all others get through or not: the
 * router is named, the cause is open. A witness may go another way as well.
 */
static void a_router_that_no_other_meets_is_not_judged_firmly(void **state)
{
	(void)state;
	for (int bits = 0; bits < 8; bits++) {
		struct world w;

		world_init(&w, true, bits & 1);
		w.balanced = 3;
		w.member_dead = true;
		w.other_ways = 0xff;
		w.dead_ways_at = 3;
		w.dead_ways = bits & 2 ? 0xaa : 0;
		w.has_witness = bits & 4;
		world_run(&w, 12 * NS_PER_S);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, 3);
		assert_true(w.incident.verdict.cause_confidence < 0.7);
		assert_true(told(&w, "way-unmet"));
		world_free(&w);
	}
}

/* They meet its last router, and half of them end behind it as well: so ways part there. */
static void a_dead_way_behind_a_router_that_all_meet_is_no_lost_state(void **state)
{
	(void)state;
	for (int bits = 0; bits < 4; bits++) {
		struct world w;

		world_init(&w, true, bits & 1);
		w.balanced = 2;
		w.fault.state_at = w.dead_ways_at = 3;
		w.dead_ways = 0xaa;
		w.has_witness = bits & 2;
		world_run(&w, 12 * NS_PER_S);
		expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
		assert_true(told(&w, "member-dead"));
		world_free(&w);
	}
}

/* Ways part, meet again, and then one connection is dropped: all others meet who drops it. */
static void a_way_that_parts_before_does_not_hide_lost_state(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.balanced = 2;
	w.fault.state_at = 3;
	world_run(&w, 8 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 3);
	assert_true(w.incident.verdict.cause_confidence > 0.9);
	assert_true(told(&w, "same-way-passes"));
	world_free(&w);
}

static void a_route_that_changes_in_the_stall_is_told(void **state)
{
	struct observation o = {.type = OBS_PROBE};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.blackhole_at = 3;
	w.has_witness = false;
	world_run(&w, 4 * NS_PER_S);
	o.now_ns = w.now_ns;
	o.probe.key = w.flow.key;
	o.probe.kind = PROBE_IN_FLOW;
	o.probe.answer = ANSWER_TIME_EXCEEDED;
	o.probe.ttl = 2;
	o.probe.from = world_hop(&w, 1);
	o.probe.from.bytes[3] = 77; /* once; then it is the old one again */
	o.probe.sent_ns = w.now_ns;
	o.probe.answered_ns = w.now_ns + NS_PER_MS;
	world_step(&w, &o);
	world_run(&w, 6 * NS_PER_S);
	assert_true(told(&w, "route-changed"));
	world_free(&w);
}

/* Far behind the hops that are asked something is dead: the last that was asked is not it. */
static void where_nothing_was_asked_is_no_frontier(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.hops = 63;
	w.flow.ttl_in = 0; /* nor is it known how far that is */
	w.has_witness = false;
	w.fault.blackhole_at = 40;
	world_run(&w, 15 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_PATH, 0);
	world_free(&w);
}

static void odd_lengths_of_path_accuse_nobody_wrongly(void **state)
{
	static const int lengths[] = {40, 62, 63};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct world w;

		world_init(&w, true, false);
		w.hops = lengths[i];
		w.flow.ttl_in = 0;
		w.has_witness = false;
		w.fault.state_at = 4;
		world_run(&w, 15 * NS_PER_S);
		expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 4);
		assert_true(w.probes <= 300);
		world_free(&w);
	}
}

static void who_answers_nothing_is_not_accused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.silent_hops = ~0ull;
	w.fault.peer_dead = true;
	world_run(&w, 15 * NS_PER_S);
	assert_int_equal(w.begins, 1);
	assert_int_not_equal(w.incident.verdict.where.kind, PLACE_HOP);
	assert_true(w.probes <= 300);
	world_free(&w);
}

/* Between hops that answer stand some that never do: it may be each of them, and none is named. */
static void a_stretch_of_silent_routers_is_left_open(void **state)
{
	static const struct {
		int state_at, silent_hops, first, last;
	} cases[] = {
		{2, 1 << 2, 1, 3},	    {1, 1 << 2, 1, 3}, {1, 1 << 1, 1, 2},
		{2, 1 << 1 | 1 << 2, 1, 3}, {4, 1 << 4, 3, 5}, {3, 1 << 3 | 1 << 4, 2, 5},
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		const struct verdict *v;
		struct world w;
		int n = cases[i / 2].last - cases[i / 2].first + 1;

		world_init(&w, i & 1, false);
		w.fault.state_at = cases[i / 2].state_at;
		w.silent_hops = (uint64_t)cases[i / 2].silent_hops;
		world_run(&w, 6 * NS_PER_S);
		expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_PATH, 0);
		v = &w.incident.verdict;
		assert_int_equal(v->n_candidates, n);
		for (int k = 0; k < n; k++) {
			int node = cases[i / 2].first + k;

			assert_int_equal(v->candidates[k].kind, node < w.hops ? PLACE_HOP
								: w.sends     ? PLACE_RECEIVER_HOST
									      : PLACE_SENDER_HOST);
			assert_int_equal(v->candidates[k].ttl, node < w.hops ? node : 0);
			assert_true(v->candidates[k].confidence == v->candidates[0].confidence);
		}
		assert_non_null(strstr(v->advice, "a device on the path"));
		assert_null(strstr(v->evidence[0].text, "no farther than"));
		world_free(&w);
	}
}

static double doubt_in(const struct verdict *v, int ttl)
{
	for (int i = 0; i < v->n_candidates; i++)
		if (v->candidates[i].kind == PLACE_HOP && v->candidates[i].ttl == ttl)
			return v->candidates[i].confidence;
	return 0;
}

/* It may drop what is for the peer; not if it says that it asks for the peer in vain. */
static void the_last_router_is_not_cleared_of_a_silent_peer(void **state)
{
	(void)state;
	for (int bits = 0; bits < 8; bits++) {
		struct observation o = {.type = OBS_ICMP};
		bool v6 = bits & 2, in_vain = bits & 4;
		const struct verdict *v;
		struct world w;

		world_init(&w, bits & 1, v6);
		w.has_witness = false;
		w.fault.peer_dead = true;
		o.icmp.key = w.flow.key;
		o.icmp.from = world_hop(&w, w.hops - 1);
		o.icmp.type = v6 ? 1 : 3;
		o.icmp.code = v6 ? 3 : 1;
		for (int i = 0; i < 7; i++) {
			world_run(&w, NS_PER_S);
			o.now_ns = w.now_ns;
			if (in_vain)
				world_step(&w, &o);
		}
		v = &w.incident.verdict;
		assert_int_equal(v->cause, CAUSE_PEER_GONE);
		assert_int_equal(v->where.kind, w.sends ? PLACE_RECEIVER_HOST : PLACE_SENDER_HOST);
		if (in_vain)
			assert_true(doubt_in(v, w.hops - 1) == 0);
		else
			assert_true(doubt_in(v, w.hops - 1) > 0.15);
		assert_non_null(strstr(v->advice, "last router drops"));
		world_free(&w);
	}
}

/* Every router answers in the flow, the peer does not: the last one may drop what goes there. */
static void the_last_router_is_likelier_than_a_peer_that_others_reach(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		const struct verdict *v;
		struct world w;
		double peer = 0;

		world_init(&w, true, v6);
		w.fault.state_at = w.hops - 1;
		world_run(&w, 6 * NS_PER_S);
		v = &w.incident.verdict;
		assert_int_equal(v->cause, CAUSE_CONNECTION_STATE_LOST);
		for (int i = 0; i < v->n_candidates; i++)
			if (v->candidates[i].kind == PLACE_RECEIVER_HOST)
				peer = v->candidates[i].confidence;
		assert_true(peer > 0);
		assert_true(doubt_in(v, w.hops - 1) > peer);
		assert_true(doubt_in(v, w.hops - 1) > doubt_in(v, 1));
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_way_there_that_is_longer_than_back_is_walked_to_its_end),
		cmocka_unit_test(an_unanswered_handshake_is_asked_at_its_frontier),
		cmocka_unit_test(a_receiver_does_not_take_an_outage_for_a_size_limit),
		cmocka_unit_test(a_receiver_is_not_accused_of_silence_when_nothing_could_be_asked),
		cmocka_unit_test(a_shut_window_is_believed_when_the_peer_answers_probes),
		cmocka_unit_test(who_dies_a_moment_later_is_no_witness),
		cmocka_unit_test(witnesses_behind_silent_routers_do_not_raise_the_number_of_probes),
		cmocka_unit_test(an_old_router_that_tells_no_mtu_is_no_black_hole),
		cmocka_unit_test(an_answer_from_beyond_the_farthest_hop_is_ignored),
		cmocka_unit_test(an_end_is_told_beside_a_beginning_in_the_same_step),
		cmocka_unit_test(a_flow_that_one_scan_passes_over_is_still_there),
		cmocka_unit_test(the_dead_one_of_two_equal_routers_is_named),
		cmocka_unit_test(a_router_that_no_other_meets_is_not_judged_firmly),
		cmocka_unit_test(a_dead_way_behind_a_router_that_all_meet_is_no_lost_state),
		cmocka_unit_test(a_way_that_parts_before_does_not_hide_lost_state),
		cmocka_unit_test(a_route_that_changes_in_the_stall_is_told),
		cmocka_unit_test(where_nothing_was_asked_is_no_frontier),
		cmocka_unit_test(odd_lengths_of_path_accuse_nobody_wrongly),
		cmocka_unit_test(who_answers_nothing_is_not_accused),
		cmocka_unit_test(a_stretch_of_silent_routers_is_left_open),
		cmocka_unit_test(the_last_router_is_not_cleared_of_a_silent_peer),
		cmocka_unit_test(the_last_router_is_likelier_than_a_peer_that_others_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
