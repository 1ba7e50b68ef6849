/* SPDX-License-Identifier: GPL-2.0-only */
/* Verdicts on this host and its first link: carrier, neighbours, addresses, tables. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/neighbour.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

/* Nothing gets anywhere and nobody moves: what a dead first link looks like. */
static void cut_off(struct world *w, bool sends, bool v6)
{
	world_init(w, sends, v6);
	w->has_witness = false;
	w->silent_hops = ~0ull;
	w->fault.peer_dead = true;
	w->unresolved = true;
}

static bool has_evidence(const struct world *w, const char *id, const char *text)
{
	const struct verdict *v = &w->incident.verdict;

	for (int i = 0; i < v->n_evidence; i++)
		if (!strcmp(v->evidence[i].id, id) && (!text || strstr(v->evidence[i].text, text)))
			return true;
	return false;
}

static void a_lost_carrier_is_link_down_and_needs_no_probe(void **state)
{
	(void)state;
	for (int down = 0; down < 2; down++) {
		struct world w;

		cut_off(&w, true, false);
		w.route.carrier = down;
		w.route.down = down;
		world_run(&w, 4 * NS_PER_S);
		expect(&w, CAUSE_LINK_DOWN, PLACE_LINK, 0);
		assert_int_equal(w.probes, 0);
		assert_true(addr_equal(&w.incident.verdict.where.near, &w.flow.key.local.addr));
		assert_true(has_evidence(&w, down ? "interface-down" : "no-carrier", "eth0"));
		world_free(&w);
	}
}

static void a_route_that_went_with_its_interface_is_link_down(void **state)
{
	struct world w;

	(void)state;
	cut_off(&w, true, false);
	w.route.error = 101;
	w.route.carrier = 0;
	w.route.gateway.family = 0;
	w.unsendable = true;
	world_run(&w, 4 * NS_PER_S);
	expect(&w, CAUSE_LINK_DOWN, PLACE_LINK, 0);
	world_free(&w);
}

static void a_carrier_that_came_back_is_told(void **state)
{
	struct world w;

	(void)state;
	cut_off(&w, true, false);
	w.unresolved = false;
	w.no_echo = true;
	w.route.carrier_changes = 7;
	world_run(&w, 1500 * NS_PER_MS);
	w.route.carrier_changes = 9;
	world_run(&w, 6 * NS_PER_S);
	expect(&w, CAUSE_LINK_DOWN, PLACE_LINK, 0);
	assert_true(has_evidence(&w, "carrier-changed", "changed 2 times"));
	world_free(&w);
}

static void the_device_under_a_vlan_is_named(void **state)
{
	struct world w;

	(void)state;
	cut_off(&w, true, false);
	w.route.carrier = 0;
	snprintf(w.route.ifname, sizeof(w.route.ifname), "eth1.20");
	snprintf(w.route.lower, sizeof(w.route.lower), "eth1");
	world_run(&w, 4 * NS_PER_S);
	expect(&w, CAUSE_LINK_DOWN, PLACE_LINK, 0);
	assert_true(has_evidence(&w, "no-carrier", "interface eth1 "));
	world_free(&w);
}

static void the_uplink_of_a_container_is_the_second_link(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.has_witness = false;
	w.fault.blackhole_at = 1;
	w.uplink = w.route;
	w.uplink.hop = 1;
	w.uplink.carrier = 0;
	snprintf(w.uplink.ifname, sizeof(w.uplink.ifname), "wan0");
	world_run(&w, 4 * NS_PER_S);
	expect(&w, CAUSE_LINK_DOWN, PLACE_LINK, 0);
	assert_true(addr_equal(&w.incident.verdict.where.near, &w.route.gateway));
	assert_true(has_evidence(&w, "no-carrier", "wan0"));
	world_free(&w);
}

/* The kernel may take ten seconds to give up; two ARP requests tell earlier. */
static void a_next_hop_that_resolves_no_more_is_unreachable(void **state)
{
	static const uint16_t states[] = {NUD_REACHABLE, NUD_DELAY, NUD_FAILED};

	(void)state;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct world w;

		cut_off(&w, true, false);
		w.gateway_nud = states[i];
		w.others = 2;
		world_run(&w, 9 * NS_PER_S);
		expect(&w, CAUSE_NEIGHBOUR_UNREACHABLE, PLACE_LINK, 0);
		assert_int_equal(w.incident.verdict.where.side, SIDE_FAR);
		world_free(&w);
	}
}

/* A router that is configured by hand, or reached without resolution, need not answer ARP. */
static void a_next_hop_that_never_resolves_is_not_blamed(void **state)
{
	struct world w;

	(void)state;
	cut_off(&w, true, false);
	w.gateway_nud = NUD_PERMANENT;
	world_run(&w, 9 * NS_PER_S);
	assert_int_not_equal(w.incident.verdict.cause, CAUSE_NEIGHBOUR_UNREACHABLE);
	world_free(&w);
}

static void a_hop_that_answers_nothing_is_not_blamed_while_the_path_works(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.fault.state_at = 2;
	w.unresolved = true;
	world_run(&w, 9 * NS_PER_S);
	expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 2);
	world_free(&w);
}

/* Small ones mostly pass, large ones mostly do not; the card counts nothing. */
static void bad_port(struct world *w, bool sends)
{
	world_init(w, sends, false);
	w->has_witness = false;
	w->first_link_loses = true;
	w->next_full = 6;
	w->others = 2;
}

static void a_bad_port_is_on_the_side_where_loss_is(void **state)
{
	(void)state;
	for (int ours = 0; ours < 2; ours++) {
		struct world w;

		bad_port(&w, true);
		w.other_full = ours ? 5 : 0;
		world_run(&w, 9 * NS_PER_S);
		expect(&w, CAUSE_PATH_LOSS, PLACE_LINK, 0);
		assert_int_equal(w.incident.verdict.where.side, ours ? SIDE_NEAR : SIDE_FAR);
		assert_true(has_evidence(&w, "first-link-loses", "grows with size"));
		assert_true(has_evidence(&w, "own-link-clean", NULL));
		assert_true(w.probes <= 300);
		world_free(&w);
	}
}

static void loss_of_any_size_is_told_from_bit_errors(void **state)
{
	struct world w;

	(void)state;
	bad_port(&w, true);
	w.next_small = w.next_full = 2;
	world_run(&w, 9 * NS_PER_S);
	expect(&w, CAUSE_PATH_LOSS, PLACE_LINK, 0);
	assert_true(has_evidence(&w, "first-link-loses", "size does not matter"));
	world_free(&w);
}

static void errors_of_the_card_make_it_a_bad_link(void **state)
{
	struct world w;

	(void)state;
	bad_port(&w, true);
	w.next_small = w.next_full = 2;
	world_run(&w, 1500 * NS_PER_MS);
	w.route.rx_errors = w.route.rx_crc_errors = 40;
	world_run(&w, 9 * NS_PER_S);
	expect(&w, CAUSE_LINK_DEGRADED, PLACE_LINK, 0);
	assert_true(has_evidence(&w, "link-errors", "40 CRC"));
	world_free(&w);
}

/* The dying switch: 10 Mbit/s, half duplex, two packets in three lost. */
static void a_link_that_came_up_slow_is_degraded(void **state)
{
	struct world w;

	(void)state;
	bad_port(&w, true);
	w.route.speed_mbps = 10;
	w.route.full_duplex = 0;
	w.next_small = w.next_full = 3;
	world_run(&w, 9 * NS_PER_S);
	expect(&w, CAUSE_LINK_DEGRADED, PLACE_LINK, 0);
	assert_true(has_evidence(&w, "half-duplex", "10 Mbit/s"));
	assert_true(has_evidence(&w, "link-slow", "can do 1000"));
	world_free(&w);
}

static void echoes_that_are_limited_are_no_loss(void **state)
{
	(void)state;
	for (int none = 0; none < 2; none++) {
		struct world w;

		world_init(&w, true, false);
		w.fault.state_at = 3;
		w.next_small = w.next_full = none ? 0 : 4;
		w.no_echo = none;
		world_run(&w, 9 * NS_PER_S);
		expect(&w, CAUSE_CONNECTION_STATE_LOST, PLACE_HOP, 3);
		world_free(&w);
	}
}

static void an_mtu_of_the_first_link_is_no_loss(void **state)
{
	struct world w;

	(void)state;
	bad_port(&w, true);
	w.next_full = -1;
	world_run(&w, 9 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_SIZE_BLACKHOLE);
	world_free(&w);
}

static void two_owners_of_an_address_are_named(void **state)
{
	(void)state;
	for (int own = 0; own < 2; own++) {
		struct world w;

		world_init(&w, true, false);
		w.has_witness = false;
		w.silent_hops = ~0ull;
		w.fault.peer_dead = true;
		w.no_echo = true;
		w.claimant = own ? 0 : 0x77;
		w.own_claimant = own ? 0x77 : 0;
		world_run(&w, 9 * NS_PER_S);
		expect(&w, CAUSE_ADDRESS_CONFLICT, PLACE_LINK, 0);
		assert_true(has_evidence(&w, own ? "own-address-claimed" : "next-hop-claimed-twice",
					 ":77"));
		world_free(&w);
	}
}

static void a_gateway_that_moves_back_and_forth_is_a_conflict(void **state)
{
	(void)state;
	for (int flips = 1; flips < 4; flips += 2) {
		struct world w;

		cut_off(&w, true, false);
		w.unresolved = false;
		w.no_echo = true;
		for (int i = 0; i < flips; i++) {
			struct observation o = {.type = OBS_NEIGH, .now_ns = w.now_ns};

			o.neigh.netns = w.flow.key.netns;
			o.neigh.ifindex = w.route.ifindex;
			o.neigh.addr = w.route.gateway;
			o.neigh.lladdr[5] = (uint8_t)(1 + (i & 1));
			o.neigh.old_lladdr[5] = (uint8_t)(2 - (i & 1));
			world_step(&w, &o);
		}
		world_run(&w, 9 * NS_PER_S);
		assert_true(has_evidence(&w, "next-hop-moved", NULL));
		if (flips > 1)
			expect(&w, CAUSE_ADDRESS_CONFLICT, PLACE_LINK, 0);
		else
			assert_int_not_equal(w.incident.verdict.cause, CAUSE_ADDRESS_CONFLICT);
		world_free(&w);
	}
}

static void shake_hands(struct world *w)
{
	world_init(w, true, false);
	w->flow.state = TCP_SYN_SENT;
	w->flow.flags = SNAP_NAMED;
	w->flow.snd.bytes = 0;
	w->flow.snd_nxt = w->flow.write_seq = w->flow.snd_una + 1;
	w->flow.unacked_segs = 1;
	w->flow.owe_since_ns = w->flow.snd.progress_ns;
	w->flow.ttl_in = 0;
	w->fault.blackhole_at = 2; /* for what is new; the witness moves */
}

static void new_connections_fail_where_old_ones_live(void **state)
{
	struct world w;

	(void)state;
	shake_hands(&w);
	world_run(&w, 9 * NS_PER_S);
	assert_int_equal(w.incident.verdict.cause, CAUSE_CONNECT_REFUSED_BY_PATH);
	assert_true(w.incident.verdict.where.kind == PLACE_HOP);
	assert_true(has_evidence(&w, "new-ones-fail", "1 established connection"));
	world_free(&w);
}

static void without_old_ones_it_is_a_black_hole(void **state)
{
	struct world w;

	(void)state;
	shake_hands(&w);
	w.has_witness = false;
	world_run(&w, 9 * NS_PER_S);
	assert_int_not_equal(w.incident.verdict.cause, CAUSE_CONNECT_REFUSED_BY_PATH);
	world_free(&w);
}

/*
 * Of a real peer the resets come from where it is on its other connections, and what it refuses is
 * no stall. Nor is it where nobody tells.
 */
static void a_refusal_has_an_author(void **state)
{
	enum { PEER, ROUTER, NOBODY_TELLS };

	(void)state;
	for (int author = PEER; author <= NOBODY_TELLS; author++) {
		struct observation o = {.type = OBS_RESET};
		struct world w;

		shake_hands(&w);
		w.fault.blackhole_at = author == NOBODY_TELLS ? 1 : 0;
		w.fault.refused_by = author == ROUTER ? 2 : w.hops;
		w.witness.ttl_in = 60; /* 5 hops */
		world_run(&w, NS_PER_S / 2);
		o.now_ns = w.now_ns;
		o.reset.key = w.flow.key;
		o.reset.inbound = true;
		world_step(&w, &o);
		o = (struct observation){.type = OBS_GONE, .now_ns = w.now_ns};
		o.gone.last = w.flow;
		o.gone.reason = GONE_RESET;
		w.gone = true;
		world_step(&w, &o);
		world_run(&w, 4 * NS_PER_S);
		assert_int_equal(w.begins, author == ROUTER);
		assert_int_equal(w.ends, author == ROUTER);
		assert_int_equal(w.verdicts, author == ROUTER);
		if (author == ROUTER)
			expect(&w, CAUSE_CONNECT_REFUSED_BY_PATH, PLACE_HOP, 2);
		world_free(&w);
	}
}

static void a_tunnel_has_no_neighbours_to_blame(void **state)
{
	struct world w;

	(void)state;
	cut_off(&w, true, false);
	snprintf(w.route.kind, sizeof(w.route.kind), "vxlan");
	world_run(&w, 9 * NS_PER_S);
	expect(&w, CAUSE_PATH_BLACKHOLE, PLACE_LINK, 0);
	world_free(&w);
}

static void a_full_table_of_this_host_is_named(void **state)
{
	struct world w;

	(void)state;
	shake_hands(&w);
	w.fault.blackhole_at = 0;
	w.has_witness = false;
	w.unsendable = true;
	w.route.conntrack_count = w.route.conntrack_max = 4096;
	world_run(&w, 9 * NS_PER_S);
	expect(&w, CAUSE_LOCAL_DROP, PLACE_SENDER_HOST, 0);
	assert_true(has_evidence(&w, "conntrack-full", "4096 of 4096"));
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_carrier_is_link_down_and_needs_no_probe),
		cmocka_unit_test(a_route_that_went_with_its_interface_is_link_down),
		cmocka_unit_test(a_carrier_that_came_back_is_told),
		cmocka_unit_test(the_device_under_a_vlan_is_named),
		cmocka_unit_test(the_uplink_of_a_container_is_the_second_link),
		cmocka_unit_test(a_next_hop_that_resolves_no_more_is_unreachable),
		cmocka_unit_test(a_next_hop_that_never_resolves_is_not_blamed),
		cmocka_unit_test(a_hop_that_answers_nothing_is_not_blamed_while_the_path_works),
		cmocka_unit_test(a_bad_port_is_on_the_side_where_loss_is),
		cmocka_unit_test(loss_of_any_size_is_told_from_bit_errors),
		cmocka_unit_test(errors_of_the_card_make_it_a_bad_link),
		cmocka_unit_test(a_link_that_came_up_slow_is_degraded),
		cmocka_unit_test(echoes_that_are_limited_are_no_loss),
		cmocka_unit_test(an_mtu_of_the_first_link_is_no_loss),
		cmocka_unit_test(two_owners_of_an_address_are_named),
		cmocka_unit_test(a_gateway_that_moves_back_and_forth_is_a_conflict),
		cmocka_unit_test(new_connections_fail_where_old_ones_live),
		cmocka_unit_test(without_old_ones_it_is_a_black_hole),
		cmocka_unit_test(a_refusal_has_an_author),
		cmocka_unit_test(a_tunnel_has_no_neighbours_to_blame),
		cmocka_unit_test(a_full_table_of_this_host_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
