/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Several stalls ask the same routers, which answer only so much: what one has found stands for the
 * others as far as it can, and everybody's verdict is right.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "world.h"

#define BURST 6 /* answers of a router at once, see limit.h */

static void both_stall(struct world *w, bool v6)
{
	world_init(w, true, v6);
	w->witness_stalls = true;
}

static void most_asked(const struct world *w, int most)
{
	for (int node = 1; node < w->hops; node++)
		assert_in_range(w->answers[node], 0, most);
}

/* The second asks only the peer, whose answers are not limited. */
static void one_size_black_hole_is_asked_for_once(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct world w;

		both_stall(&w, v6);
		w.fault.mtu_at = 3;
		w.fault.mtu = 1400;
		world_run(&w, 4 * NS_PER_S);
		assert_int_equal(w.begins, 2);
		most_asked(&w, BURST);
		world_run(&w, 4 * NS_PER_S);
		expect(&w, CAUSE_SIZE_BLACKHOLE, PLACE_HOP, 3);
		assert_true(w.told[0] == CAUSE_SIZE_BLACKHOLE && w.told[1] == CAUSE_SIZE_BLACKHOLE);
		world_free(&w);
	}
}

/* The peer answers one of them and not the other: it has a trouble of its own. */
static void who_is_answered_otherwise_is_asked_for_by_itself(void **state)
{
	struct world w;

	(void)state;
	both_stall(&w, false);
	w.fault.mtu_at = 3;
	w.fault.mtu = 1400;
	w.fault.of_witness = true;
	w.fault.state_at = 2;
	world_run(&w, 9 * NS_PER_S);
	assert_int_equal(w.told[0], CAUSE_SIZE_BLACKHOLE);
	assert_int_equal(w.told[1], CAUSE_CONNECTION_STATE_LOST);
	world_free(&w);
}

/* Towards different peers: half as many probes each. */
static void two_peers_behind_the_same_routers_share_them(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		enum cause cause = i == 0   ? CAUSE_SIZE_BLACKHOLE
				   : i == 1 ? CAUSE_CONNECTION_STATE_LOST
					    : CAUSE_PATH_BLACKHOLE;
		struct world w;

		both_stall(&w, false);
		w.witness.key.remote.addr.bytes[3]++;
		w.icmp_burst = BURST;
		w.fault.mtu_at = i == 0 ? 3 : 0;
		w.fault.mtu = 1400;
		w.fault.state_at = i == 1 ? 3 : 0;
		w.fault.of_all = true;
		w.fault.blackhole_at = i == 2 ? 3 : 0;
		world_run(&w, 7 * NS_PER_S);
		assert_int_equal(w.begins, 2);
		expect(&w, cause, i == 2 ? PLACE_LINK : PLACE_HOP, i == 2 ? 0 : 3);
		assert_true(w.told[0] == cause && w.told[1] == cause);
		world_free(&w);
	}
}

static void a_dead_member_is_asked_for_once(void **state)
{
	struct world w;

	(void)state;
	both_stall(&w, false);
	w.balanced = 2;
	w.member_dead = true;
	world_run(&w, 7 * NS_PER_S);
	assert_int_equal(w.begins, 2);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, 2);
	assert_true(w.told[0] == CAUSE_PATH_BLACKHOLE && w.told[1] == CAUSE_PATH_BLACKHOLE);
	most_asked(&w, 12); /* five, six ways, and one for the other connection */
	world_free(&w);
}

/*
 * The fresh ports that are tried first happen to go the way of the flow, and end as it does. That
 * another connection to this peer moves shows that there is another way.
 */
static void a_dead_member_is_found_where_the_first_ports_go_its_way(void **state)
{
	(void)state;
	for (int silent = 0; silent < 2; silent++) {
		struct world w;

		world_init(&w, true, silent);
		w.balanced = 3;
		w.member_dead = true;
		w.member_silent = silent;
		w.other_ways = 0x30;
		world_run(&w, 7 * NS_PER_S);
		if (silent)
			expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
		else
			expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_HOP, 3);
		world_free(&w);
	}
}

/* Another connection than the one that asks ends first, with the program: it says as much. */
static void who_ends_before_it_could_ask_says_what_was_found(void **state)
{
	struct observation o = {.type = OBS_GONE};
	struct world w;

	(void)state;
	both_stall(&w, false);
	w.untold = true;
	w.fault.blackhole_at = 3;
	world_run(&w, 3 * NS_PER_S);
	assert_int_equal(w.verdicts, 0);
	assert_int_equal(w.begins, 2);
	o.now_ns = w.now_ns;
	o.gone.reason = GONE_CLOSED;
	o.gone.last = w.flow;
	world_step(&w, &o);
	o.gone.last = w.witness;
	world_step(&w, &o);
	assert_int_equal(w.ends, 2);
	assert_true(w.told[0] == CAUSE_PATH_BLACKHOLE && w.told[1] == CAUSE_PATH_BLACKHOLE);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	world_free(&w);
}

/* As far as a TTL of 64 reaches; large packets are sent to so many hops only if they tell
 * something. */
static void a_path_of_sixty_routers_is_asked_to_its_end(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		enum cause cause = i == 0   ? CAUSE_SIZE_BLACKHOLE
				   : i == 1 ? CAUSE_CONNECTION_STATE_LOST
					    : CAUSE_PATH_BLACKHOLE;
		struct world w;

		world_init(&w, true, i);
		w.hops = 63;
		w.flow.ttl_in = 2;
		w.has_witness = false;
		w.fault.mtu_at = i == 0 ? 40 : 0;
		w.fault.mtu = 1400;
		w.fault.state_at = i == 1 ? 40 : 0;
		w.fault.blackhole_at = i == 2 ? 40 : 0;
		world_run(&w, 10 * NS_PER_S);
		expect(&w, cause, i == 2 ? PLACE_LINK : PLACE_HOP, i == 2 ? 0 : 40);
		assert_true(w.probes <= 300);
		world_free(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_size_black_hole_is_asked_for_once),
		cmocka_unit_test(who_is_answered_otherwise_is_asked_for_by_itself),
		cmocka_unit_test(two_peers_behind_the_same_routers_share_them),
		cmocka_unit_test(a_dead_member_is_asked_for_once),
		cmocka_unit_test(a_dead_member_is_found_where_the_first_ports_go_its_way),
		cmocka_unit_test(who_ends_before_it_could_ask_says_what_was_found),
		cmocka_unit_test(a_path_of_sixty_routers_is_asked_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
