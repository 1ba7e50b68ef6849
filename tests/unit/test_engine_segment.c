/* SPDX-License-Identifier: GPL-2.0-only */
/* One segment that never passes, and boxes that damage or rewrite what they forward. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "world.h"

static bool told(const struct world *w, const char *id)
{
	for (int i = 0; i < w->incident.verdict.n_evidence; i++)
		if (!strcmp(w->incident.verdict.evidence[i].id, id))
			return true;
	return false;
}

static void a_segment_that_is_dropped_for_its_content_is_traced_to_the_hop(void **state)
{
	(void)state;
	for (int at = 1; at < 4; at++) {
		struct world w;

		world_init(&w, true, at & 1);
		w.fault.content_at = at;
		w.flow.retrans_len = 1448;
		world_run(&w, 8 * NS_PER_S);
		expect(&w, CAUSE_CONTENT_DROP, PLACE_HOP, at);
		assert_true(told(&w, "copy-frontier"));
		assert_true(w.probes <= 300);
		world_free(&w);
	}
}

/* Nothing as large was acknowledged yet: no other packet could have shown that it is the size. */
static void the_first_large_segment_that_stops_short_is_a_matter_of_size(void **state)
{
	(void)state;
	for (int at = 1; at < 4; at++) {
		struct world w;

		world_init(&w, true, at & 1);
		w.fault.content_at = at;
		w.flow.snd.bytes = 700;
		w.flow.flags |= SNAP_NAMED;
		w.flow.retrans_len = 1448;
		world_run(&w, 9 * NS_PER_S);
		expect(&w, CAUSE_SIZE_BLACKHOLE, PLACE_HOP, at);
		assert_true(told(&w, "copy-size"));
		world_free(&w);
	}
}

/* As behind a tunnel of the last router: a few bytes pass, then nothing. Each router gets it. */
static void the_first_large_segment_that_only_the_peer_lacks_is_a_matter_of_size(void **state)
{
	(void)state;
	for (int bits = 0; bits < 4; bits++) {
		const struct verdict *v;
		struct world w;

		world_init(&w, true, bits & 1);
		w.has_witness = bits & 2;
		w.flow.snd.bytes = 5;
		w.flow.flags |= SNAP_NAMED;
		w.flow.retrans_len = 1428;
		w.fault.content_at = w.hops - 1;
		world_run(&w, 9 * NS_PER_S);
		v = &w.incident.verdict;
		expect(&w, CAUSE_SIZE_BLACKHOLE, PLACE_PATH, 0);
		assert_true(v->cause_confidence < 0.9);
		assert_int_equal(v->candidates[0].kind == PLACE_HOP ? v->candidates[0].ttl : 0,
				 v->candidates[0].kind == PLACE_HOP ? w.hops - 1 : 0);
		world_free(&w);
	}
}

/* A long round trip: by the time of the verdict the segment has been sent again only once. */
static void one_retransmission_that_had_its_time_is_enough(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.content_at = 2;
	w.flow.snd.bytes = 700;
	w.flow.flags |= SNAP_NAMED;
	w.flow.retrans_len = 1448;
	w.flow.rtt_us = 620000;
	w.flow.rto_us = 1800000;
	w.timeout_ns = 2500 * NS_PER_MS;
	world_run(&w, 6500 * NS_PER_MS);
	assert_int_equal(w.flow.retrans, 1);
	expect(&w, CAUSE_SIZE_BLACKHOLE, PLACE_HOP, 2);
	world_free(&w);
}

/* It passes all routers, and everything else is answered: no hop is accused. */
static void a_segment_that_only_the_peer_could_have_dropped_accuses_no_hop(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.retrans_len = 1448;
	world_run(&w, 9 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_CONTENT_DROP);
	assert_int_not_equal(w.incident.verdict.where.kind, PLACE_HOP);
	assert_true(w.incident.verdict.cause_confidence < 0.95);
	world_free(&w);
}

/* The path has healed, the kernel's timer has not run yet: not the segment's fault. */
static void a_timer_that_has_not_run_yet_is_no_content_drop(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.blackhole_at = 2;
	world_run(&w, 1600 * NS_PER_MS); /* the third retransmission was at 1.54 s */
	w.fault.blackhole_at = 0;
	world_run(&w, 1600 * NS_PER_MS); /* the fourth is to come at 3.3 s */
	assert_int_equal(w.begins, 1);
	assert_int_not_equal(w.incident.verdict.cause, CAUSE_CONTENT_DROP);
	world_free(&w);
}

static void shifted_sack_blocks_are_a_rewrite_and_quotes_show_where(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.bad_sacks = 12;
	w.fault.damaged_at = 2;
	w.fault.damage = ALTERED_SEQUENCE;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_HEADER_REWRITE, PLACE_HOP, 2);
	world_free(&w);

	world_init(&w, true, false);
	w.flow.bad_sacks = 12;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_HEADER_REWRITE, PLACE_PATH, 0);
	world_free(&w);
}

static void a_box_that_randomises_sequence_numbers_well_is_not_accused(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.damaged_at = 2;
	w.fault.damage = ALTERED_SEQUENCE;
	w.fault.state_at = 3;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 3);
	world_free(&w);
}

static void echoes_of_timestamps_never_sent_are_a_rewrite(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.flow.bad_echoes = 5;
	world_run(&w, 6 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_HEADER_REWRITE);
	assert_string_equal(w.incident.verdict.detail, "timestamps are changed");
	world_free(&w);
}

/* What it had sacked before makes no difference. */
static void a_peer_that_refuses_each_try_points_at_the_header(void **state)
{
	(void)state;
	for (uint32_t sacked = 0; sacked <= 8; sacked += 4) {
		bool refused = sacked < 8; /* the ACKs were for that */
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		w.flow.sacked_segs = sacked;
		w.flow.in_segs = w.flow.dup_acks = 6;
		for (int i = 0; i < 8; i++) {
			w.flow.in_segs++;
			w.flow.dup_acks++;
			w.flow.last_in_ns = w.now_ns + NS_PER_S;
			world_run(&w, NS_PER_S);
		}
		assert_true((w.incident.verdict.cause == CAUSE_HEADER_REWRITE) == refused);
		assert_true(told(&w, "refused") == refused);
		world_free(&w);
	}
}

static void damaged_segments_are_told_by_who_receives_them(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, false, false);
	w.flow.csum_bad = 40; /* long ago */
	world_run(&w, 1200 * NS_PER_MS);
	w.flow.csum_bad = 44;
	world_run(&w, 8 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_CORRUPTION);
	assert_int_equal(w.incident.verdict.way, WAY_FORWARD);
	world_free(&w);
}

/* What is sent again in the silence may get lost for other reasons, or not be sent at all. */
static void damage_before_the_silence_counts(void **state)
{
	struct observation o = {.type = OBS_SNAPSHOT};
	struct world w;

	(void)state;
	world_init(&w, false, false);
	for (int i = 0; i < 6; i++) {
		w.now_ns += 2 * NS_PER_S;
		w.flow.rcv.bytes += 150000;
		w.flow.rcv_nxt += 150000;
		w.flow.copied_seq = w.flow.peer_nxt = w.flow.rcv_nxt;
		w.flow.rcv.progress_ns = w.flow.last_in_ns = w.now_ns;
		w.flow.csum_bad += i ? 30 : 0;
		o.now_ns = w.now_ns;
		o.snapshot = w.flow;
		world_step(&w, &o);
	}
	world_run(&w, 9 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_PATH_CORRUPTION);
	assert_true(told(&w, "damaged-before"));
	world_free(&w);
}

static void a_quote_of_other_bytes_names_the_box_that_damages(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.damaged_at = 3;
	w.fault.damage = ALTERED_PAYLOAD;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_PATH_CORRUPTION, PLACE_HOP, 3);
	world_free(&w);
}

static void timestamps_that_go_back_are_told_by_who_refuses_them(void **state)
{
	struct observation o = {.type = OBS_DROP};
	struct world w;

	(void)state;
	world_init(&w, false, false);
	world_run(&w, 1300 * NS_PER_MS);
	o.now_ns = w.now_ns;
	o.drop.key = w.flow.key;
	o.drop.inbound = true;
	o.drop.count = 3;
	strcpy(o.drop.reason, "TCP_RFC7323_PAWS");
	world_step(&w, &o);
	world_run(&w, 6 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_HEADER_REWRITE);
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_segment_that_is_dropped_for_its_content_is_traced_to_the_hop),
		cmocka_unit_test(the_first_large_segment_that_stops_short_is_a_matter_of_size),
		cmocka_unit_test(
			the_first_large_segment_that_only_the_peer_lacks_is_a_matter_of_size),
		cmocka_unit_test(one_retransmission_that_had_its_time_is_enough),
		cmocka_unit_test(a_segment_that_only_the_peer_could_have_dropped_accuses_no_hop),
		cmocka_unit_test(a_timer_that_has_not_run_yet_is_no_content_drop),
		cmocka_unit_test(shifted_sack_blocks_are_a_rewrite_and_quotes_show_where),
		cmocka_unit_test(a_box_that_randomises_sequence_numbers_well_is_not_accused),
		cmocka_unit_test(echoes_of_timestamps_never_sent_are_a_rewrite),
		cmocka_unit_test(a_peer_that_refuses_each_try_points_at_the_header),
		cmocka_unit_test(damaged_segments_are_told_by_who_receives_them),
		cmocka_unit_test(damage_before_the_silence_counts),
		cmocka_unit_test(a_quote_of_other_bytes_names_the_box_that_damages),
		cmocka_unit_test(timestamps_that_go_back_are_told_by_who_refuses_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
