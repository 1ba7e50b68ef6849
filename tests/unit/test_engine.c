/* SPDX-License-Identifier: GPL-2.0-only */
/* The life of a stall: what is one, whom the two ends blame, how it ends. */
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

/* The clock comes with what is heard of others, when the machine was too busy to look. */
static void a_flow_that_moved_while_nobody_looked_is_no_stall(void **state)
{
	struct observation tick = {.type = OBS_TICK};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_run(&w, 1600 * NS_PER_MS);
	tick.now_ns = w.now_ns += 3 * NS_PER_S;
	world_step(&w, &tick);
	assert_int_equal(w.begins, 0);
	world_progress(&w, 64000);
	world_run(&w, NS_PER_S / 2);
	assert_int_equal(w.begins, 0);
	world_free(&w);
}

/* Nor the other programs of a machine that was paused. */
static void a_silence_in_which_we_were_not_run_is_no_stall(void **state)
{
	struct observation late = {.type = OBS_LATE};
	struct world w;

	(void)state;
	world_init(&w, true, false);
	world_run(&w, NS_PER_S / 2);
	late.late_since_ns = w.now_ns;
	late.now_ns = w.now_ns += 30 * NS_PER_S;
	world_step(&w, &late);
	world_run(&w, NS_PER_S);
	assert_int_equal(w.begins, 0);
	world_run(&w, 2 * NS_PER_S);
	assert_int_equal(w.begins, 1); /* a stall all the same */
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

/* Its window is shut: what the peer sends again asks whether it still is. */
static void probes_of_a_shut_window_are_no_repeats(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.flow.rcv_wnd = 0;
	w.flow.copied_seq -= 100000;
	w.flow.old_segs = 4;
	for (int i = 0; i < 12; i++) {
		w.flow.last_in_ns = w.now_ns + NS_PER_S / 2;
		world_run(&w, NS_PER_S / 2);
	}
	expect(&w, CAUSE_RECEIVER_NOT_READING, PLACE_RECEIVER_APP, 0);
	assert_int_not_equal(w.incident.verdict.way, WAY_REVERSE);
	for (int i = 0; i < w.incident.verdict.n_evidence; i++)
		assert_string_not_equal(w.incident.verdict.evidence[i].id, "peer-repeats");
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

static void reset_as(struct world *w, uint8_t ttl, uint16_t ip_id, uint16_t ip_id_usual)
{
	struct observation o = {.type = OBS_RESET, .now_ns = w->now_ns};

	o.reset.key = w->flow.key;
	o.reset.inbound = true;
	o.reset.ttl = ttl;
	o.reset.ttl_usual = w->flow.ttl_in;
	o.reset.ip_id = ip_id;
	o.reset.ip_id_usual = ip_id_usual;
	world_step(w, &o);
	memset(&o, 0, sizeof(o));
	o.type = OBS_GONE;
	o.now_ns = w->now_ns;
	o.gone.last = w->flow;
	o.gone.reason = GONE_RESET;
	w->gone = true;
	world_step(w, &o);
}

static void reset(struct world *w, uint8_t ttl)
{
	reset_as(w, ttl, 0, 0);
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

/* The peer, 5 hops away, sends with TTL 60 here. */
static void a_box_one_hop_from_the_peer_is_told_by_its_ttl(void **state)
{
	static const struct {
		bool v6;
		uint8_t ttl;
		uint16_t ip_id, ip_id_usual;
		enum place_kind kind;
		int hop;
	} cases[] = {
		{true, 61, 0, 0, PLACE_HOP, 4},
		{false, 61, 0, 700, PLACE_HOP, 4}, /* Linux: no socket, no count */
		{false, 61, 40000, 700, PLACE_HOP, 4},
		{false, 61, 702, 700, PLACE_RECEIVER_HOST, 0}, /* its count: another route */
		{true, 60, 0, 0, PLACE_RECEIVER_HOST, 0},
		{false, 60, 40000, 700, PLACE_RECEIVER_HOST, 0}, /* many start at random */
		{false, 62, 702, 700, PLACE_HOP, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world w;

		world_init(&w, true, cases[i].v6);
		reset_as(&w, cases[i].ttl, cases[i].ip_id, cases[i].ip_id_usual);
		world_run(&w, 4 * NS_PER_S);
		assert_int_equal(w.ends, 1);
		expect(&w, CAUSE_CONNECTION_RESET, cases[i].kind, cases[i].hop);
		assert_true(w.incident.verdict.where.confidence < 0.99);
		world_free(&w);
	}
}

/* Its TTL was not seen: it is laid to nobody. */
static void a_reset_of_unknown_author_is_laid_to_nobody(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	reset(&w, 0);
	world_run(&w, 4 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_RESET, PLACE_UNKNOWN, 0);
	assert_null(strstr(w.incident.verdict.advice, "device on the path"));
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

/* 10 MiB a second, looked at every second; it stops a moment after a look. */
static void the_rate_is_that_of_the_time_it_moved(void **state)
{
	(void)state;
	for (int sends = 0; sends < 2; sends++) {
		struct observation o = {.type = OBS_SNAPSHOT};
		struct direction *d;
		struct world w;

		world_init(&w, sends, false);
		d = sends ? &w.flow.snd : &w.flow.rcv;
		for (int i = 1; i <= 4; i++) {
			uint64_t moved_ns = i < 4 ? NS_PER_S : 100 * NS_PER_MS;

			w.now_ns += NS_PER_S;
			d->progress_ns += moved_ns;
			d->bytes += (10 << 20) * moved_ns / NS_PER_S;
			o.now_ns = w.now_ns;
			o.snapshot = w.flow;
			world_step(&w, &o);
		}
		w.fault.state_at = 2;
		world_run(&w, 6 * NS_PER_S);
		assert_int_equal(w.begins, 1);
		assert_in_range(w.incident.rate_bps, 83000000, 84000000);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_while_idle_is_no_stall),
		cmocka_unit_test(a_named_transfer_that_falls_idle_is_told),
		cmocka_unit_test(a_small_request_that_is_stuck_counts_if_it_was_named),
		cmocka_unit_test(a_small_named_flow_may_fall_idle),
		cmocka_unit_test(an_outage_of_one_second_is_no_stall),
		cmocka_unit_test(a_flow_that_moved_while_nobody_looked_is_no_stall),
		cmocka_unit_test(a_silence_in_which_we_were_not_run_is_no_stall),
		cmocka_unit_test(a_shut_window_that_is_answered_needs_no_probe),
		cmocka_unit_test(an_own_program_that_does_not_read_is_named),
		cmocka_unit_test(probes_of_a_shut_window_are_no_repeats),
		cmocka_unit_test(an_idle_peer_is_asked_once_and_not_reported),
		cmocka_unit_test(a_peer_that_resumes_while_it_is_asked_is_no_stall),
		cmocka_unit_test(a_peer_whose_data_never_arrives_is_a_stall),
		cmocka_unit_test(a_receiver_with_a_habit_of_pauses_is_not_asked),
		cmocka_unit_test(drops_seen_here_decide),
		cmocka_unit_test(a_reset_in_mid_transfer_has_an_author),
		cmocka_unit_test(a_box_one_hop_from_the_peer_is_told_by_its_ttl),
		cmocka_unit_test(a_reset_of_unknown_author_is_laid_to_nobody),
		cmocka_unit_test(a_reset_with_nothing_owed_is_a_goodbye),
		cmocka_unit_test(recovery_is_told_with_its_length),
		cmocka_unit_test(a_dribble_is_watched_until_it_is_recovery),
		cmocka_unit_test(full_tables_are_counted_not_overrun),
		cmocka_unit_test(the_end_closes_every_open_stall),
		cmocka_unit_test(the_rate_is_that_of_the_time_it_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
