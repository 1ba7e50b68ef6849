/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

static void silence_while_idle_is_no_stall(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.snd_una = w.flow.write_seq;
	w.flow.unacked_segs = 0;
	world_run(&w, 60 * NS_PER_S);
	assert_int_equal(w.begins, 0);
	assert_int_equal(w.probes, 0);
	world_free(&w);
}

static void a_named_transfer_that_falls_idle_is_told(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.snd_una = w.flow.write_seq;
	w.flow.unacked_segs = 0;
	w.flow.flags |= SNAP_NAMED;
	world_run(&w, 5 * NS_PER_S);
	assert_int_equal(w.begins, 1);
	assert_int_equal(w.probes, 0);
	expect(&w, CAUSE_SENDER_IDLE, PLACE_SENDER_APP, 0);
	world_free(&w);
}

static void a_small_request_that_is_stuck_counts_if_it_was_named(void **state)
{
	(void)state;
	for (int named = 0; named < 2; named++) {
		struct world w;

		world_init(&w, true, false);
		w.flow.snd.bytes = 300;
		w.flow.snd.run_start_ns = w.now_ns;
		w.flow.write_seq = w.flow.snd_nxt = w.flow.snd_una + 200;
		w.flow.flags |= named ? SNAP_NAMED : 0;
		w.fault.state_at = 2;
		world_run(&w, 6 * NS_PER_S);
		assert_int_equal(w.begins, named);
		if (named)
			expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 2);
		world_free(&w);
	}
}

static void a_small_named_flow_may_fall_idle(void **state)
{
	(void)state;
	for (int sends = 0; sends < 2; sends++) {
		struct world w;

		world_init(&w, sends, false);
		w.flow.snd_una = w.flow.write_seq;
		w.flow.unacked_segs = 0;
		w.flow.flags |= SNAP_NAMED;
		(sends ? &w.flow.snd : &w.flow.rcv)->bytes = 5000;
		w.fault.peer_idle = true;
		world_run(&w, 6 * NS_PER_S);
		assert_int_equal(w.begins, 0);
		world_free(&w);
	}
}

static void an_outage_of_one_second_is_no_stall(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_run(&w, 1200 * NS_PER_MS);
	world_progress(&w, 64000);
	world_run(&w, NS_PER_S / 2);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

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
		told |= !strcmp(w.incident.verdict.evidence[i].id, "load-balanced");
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

static void a_shut_window_that_is_answered_needs_no_probe(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.snd_nxt = w.flow.snd_una;
	w.flow.unacked_segs = 0;
	w.flow.snd_wnd = 0;
	for (int i = 0; i < 8; i++) {
		w.flow.in_segs++;
		w.flow.wnd_shut_acks++;
		w.flow.last_in_ns = w.now_ns + NS_PER_S / 2;
		world_run(&w, NS_PER_S / 2);
	}
	expect(&w, CAUSE_RECEIVER_NOT_READING, PLACE_RECEIVER_APP, 0);
	assert_int_equal(w.probes, 0);
	world_free(&w);
}

static void an_own_program_that_does_not_read_is_named(void **state)
{
	struct observation o = {.type = OBS_PROCESS};
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.flow.rcv_wnd = 0;
	w.flow.copied_seq -= 100000;
	world_run(&w, 1500 * NS_PER_MS);
	o.now_ns = w.now_ns;
	o.process.key = w.flow.key;
	o.process.pid = 42;
	o.process.state = 'T';
	strcpy(o.process.comm, "restore");
	world_step(&w, &o);
	world_run(&w, 4 * NS_PER_S);
	expect(&w, CAUSE_RECEIVER_NOT_READING, PLACE_RECEIVER_APP, 0);
	assert_string_equal(w.incident.verdict.detail,
			    "restore (42) is stopped by a signal or a debugger");
	world_free(&w);
}

static void an_idle_peer_is_asked_once_and_not_reported(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.fault.peer_idle = true;
	world_run(&w, 60 * NS_PER_S);
	assert_int_equal(w.begins, 0);
	assert_int_equal(w.probes, 2);
	world_free(&w);
}

/* The answer to our question overtakes nothing: what the peer has just sent arrives after it. */
static void a_peer_that_resumes_while_it_is_asked_is_no_stall(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	world_run(&w, 2200 * NS_PER_MS); /* asked at 1.5 s; the answer shows 100,000 bytes more */
	assert_int_equal(w.probes, 2);
	world_progress(&w, 100000);
	w.fault.peer_idle = true;
	world_run(&w, 10 * NS_PER_S);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

static void a_peer_whose_data_never_arrives_is_a_stall(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	world_run(&w, 8 * NS_PER_S);
	assert_int_equal(w.begins, 1);
	assert_int_equal(w.incident.verdict.way, WAY_FORWARD);
	world_free(&w);
}

static void a_receiver_with_a_habit_of_pauses_is_not_asked(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.flow.rcv.pauses[PAUSE_BUCKETS - 1] = 5;
	world_run(&w, 30 * NS_PER_S);
	assert_int_equal(w.begins, 0);
	assert_int_equal(w.probes, 0);
	world_free(&w);
}

static void drops_seen_here_decide(void **state)
{
	struct observation o = {.type = OBS_DROP};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_run(&w, 1300 * NS_PER_MS);
	o.now_ns = w.now_ns;
	o.drop.key = w.flow.key;
	o.drop.count = 2;
	strcpy(o.drop.reason, "NETFILTER_DROP");
	strcpy(o.drop.function, "nft_do_chain");
	world_step(&w, &o);
	world_run(&w, 3 * NS_PER_S);
	expect(&w, CAUSE_LOCAL_DROP, PLACE_SENDER_HOST, 0);
	assert_string_equal(w.incident.verdict.detail, "NETFILTER_DROP in nft_do_chain, outgoing");
	world_free(&w);
}

static void reset(struct world *w, uint8_t ttl)
{
	struct observation o = {.type = OBS_RESET, .now_ns = w->now_ns};

	o.reset.key = w->flow.key;
	o.reset.inbound = true;
	o.reset.ttl = ttl;
	o.reset.ttl_usual = w->flow.ttl_in;
	world_step(w, &o);
	memset(&o, 0, sizeof(o));
	o.type = OBS_GONE;
	o.now_ns = w->now_ns;
	o.gone.last = w->flow;
	o.gone.reason = GONE_RESET;
	w->gone = true;
	world_step(w, &o);
}

static void a_reset_in_mid_transfer_has_an_author(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	reset(&w, 60);
	assert_int_equal(w.begins, 1);
	assert_int_equal(w.ends, 1);
	assert_int_equal(engine_counts(w.e).transfers, 1);
	expect(&w, CAUSE_CONNECTION_RESET, PLACE_RECEIVER_HOST, 0);
	world_free(&w);

	world_init(&w, true, false);
	reset(&w, 63);
	world_run(&w, 4 * NS_PER_S);
	assert_int_equal(w.ends, 1);
	expect(&w, CAUSE_CONNECTION_RESET, PLACE_HOP, 2);
	assert_true(addr_equal(&w.incident.verdict.where.address, &(struct ip_addr){0}) == false);
	assert_int_equal(w.incident.outcome, OUTCOME_RESET);
	world_free(&w);
}

static void a_reset_with_nothing_owed_is_a_goodbye(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.snd_una = w.flow.write_seq;
	reset(&w, 60);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

static void recovery_is_told_with_its_length(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.blackhole_at = 2;
	world_run(&w, 6 * NS_PER_S);
	w.fault.blackhole_at = 0;
	world_progress(&w, 64000);
	world_run(&w, NS_PER_S);
	assert_int_equal(w.ends, 1);
	assert_int_equal(w.incident.outcome, OUTCOME_RECOVERED);
	assert_int_equal((w.incident.ended_ns - w.incident.last_progress_ns) / NS_PER_S, 6);
	assert_int_equal(w.incident.recovered_bytes, 64000);
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

/* The first bytes after a stall may be the stuck segment trickling through. */
static void a_dribble_is_watched_until_it_is_recovery(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.blackhole_at = 2;
	world_run(&w, 5 * NS_PER_S);
	w.fault.blackhole_at = 0;
	world_progress(&w, 1448);
	world_run(&w, NS_PER_S);
	assert_int_equal(w.ends, 0);
	world_progress(&w, 64000);
	world_run(&w, NS_PER_S);
	assert_int_equal(w.ends, 1);
	assert_int_equal(w.incident.outcome, OUTCOME_RECOVERED);
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

static void full_tables_are_counted_not_overrun(void **state)
{
	struct engine_config config = engine_defaults();
	struct observation o = {.type = OBS_SNAPSHOT};
	struct engine_counts counts;
	struct world w;
	struct output out;

	(void)state;
	world_init(&w, true, false);
	engine_free(w.e);
	config.max_flows = 8;
	config.max_incidents = 4;
	assert_int_equal(engine_new(&config, &w.e), 0);
	for (int i = 0; i < 20; i++) {
		o.now_ns = w.now_ns + 5 * NS_PER_S;
		o.snapshot = w.flow;
		o.snapshot.key.cookie = 100 + (uint64_t)i;
		engine_step(w.e, &o);
		while (engine_next(w.e, &out))
			;
	}
	counts = engine_counts(w.e);
	assert_int_equal(counts.flows_now, 8);
	assert_int_equal(counts.flows_not_tracked, 12);
	assert_int_equal(counts.stalls, 4);
	assert_true(counts.incidents_not_tracked >= 4);
	world_free(&w);
}

static void the_end_closes_every_open_stall(void **state)
{
	struct observation o = {.type = OBS_END};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.state_at = 2;
	world_run(&w, 2500 * NS_PER_MS);
	assert_int_equal(w.begins, 1);
	o.now_ns = w.now_ns;
	world_step(&w, &o);
	assert_int_equal(w.ends, 1);
	assert_true(w.verdicts >= 1);
	assert_int_equal(w.incident.outcome, OUTCOME_WATCH_ENDED);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_while_idle_is_no_stall),
		cmocka_unit_test(a_named_transfer_that_falls_idle_is_told),
		cmocka_unit_test(a_small_request_that_is_stuck_counts_if_it_was_named),
		cmocka_unit_test(a_small_named_flow_may_fall_idle),
		cmocka_unit_test(an_outage_of_one_second_is_no_stall),
		cmocka_unit_test(lost_state_is_found_at_every_hop),
		cmocka_unit_test(the_verdict_comes_within_five_seconds),
		cmocka_unit_test(a_silent_router_is_not_guilty),
		cmocka_unit_test(another_way_of_a_new_connection_proves_little),
		cmocka_unit_test(routers_that_limit_icmp_are_not_guilty),
		cmocka_unit_test(a_black_hole_is_a_link_between_two_hops),
		cmocka_unit_test(stalls_towards_one_peer_are_probed_once),
		cmocka_unit_test(a_black_hole_under_a_talking_peer_is_found),
		cmocka_unit_test(a_next_hop_without_arp_is_the_first_link),
		cmocka_unit_test(a_dead_peer_behind_answering_routers_is_gone),
		cmocka_unit_test(large_packets_that_vanish_are_a_size_black_hole),
		cmocka_unit_test(lost_answers_leave_the_place_open),
		cmocka_unit_test(a_shut_window_that_is_answered_needs_no_probe),
		cmocka_unit_test(an_own_program_that_does_not_read_is_named),
		cmocka_unit_test(an_idle_peer_is_asked_once_and_not_reported),
		cmocka_unit_test(a_peer_that_resumes_while_it_is_asked_is_no_stall),
		cmocka_unit_test(a_peer_whose_data_never_arrives_is_a_stall),
		cmocka_unit_test(a_receiver_with_a_habit_of_pauses_is_not_asked),
		cmocka_unit_test(drops_seen_here_decide),
		cmocka_unit_test(a_reset_in_mid_transfer_has_an_author),
		cmocka_unit_test(a_reset_with_nothing_owed_is_a_goodbye),
		cmocka_unit_test(recovery_is_told_with_its_length),
		cmocka_unit_test(a_path_that_heals_does_not_change_the_verdict),
		cmocka_unit_test(a_dribble_is_watched_until_it_is_recovery),
		cmocka_unit_test(without_probes_the_cause_is_said_to_be_open),
		cmocka_unit_test(full_tables_are_counted_not_overrun),
		cmocka_unit_test(the_end_closes_every_open_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
