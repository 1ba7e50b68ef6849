/* SPDX-License-Identifier: GPL-2.0-only */
/* No router is asked more often than it answers, however many connections meet it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "probe/limit.h"

#define START_NS (100 * NS_PER_S)
#define BURST	 6 /* XRLIM_BURST_FACTOR in net/ipv4/icmp.c */

static struct ip_addr host(uint8_t net, uint8_t n)
{
	uint8_t v4[4] = {198, 51, net, n};

	return addr_v4(v4);
}

static struct limit_way way(uint8_t to, uint8_t ttl)
{
	return (struct limit_way){.netns = 7, .ttl = ttl, .to = host(100, to)};
}

static struct limits *fresh(void)
{
	struct limits *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	return l;
}

/* Sends as long as it may; how many that were. */
static int send_all(struct limits *l, const struct limit_way *w, uint64_t now_ns)
{
	int n = 0;

	while (limit_due(l, w) <= now_ns && n < 100) {
		limit_sent(l, w, now_ns);
		n++;
	}
	return n;
}

static void a_burst_and_then_one_a_second(void **state)
{
	struct limits *l = fresh();
	struct limit_way w = way(1, 3);

	(void)state;
	assert_int_equal(send_all(l, &w, START_NS), BURST);
	assert_in_range(limit_due(l, &w) - START_NS, NS_PER_S, 2 * NS_PER_S);
	assert_int_equal(send_all(l, &w, START_NS + 12 * NS_PER_S / 10), 1);
	assert_int_equal(send_all(l, &w, START_NS + 60 * NS_PER_S), BURST);
	free(l);
}

static void two_ways_through_one_router_share_what_it_answers(void **state)
{
	struct limits *l = fresh();
	struct limit_way a = way(1, 3), b = way(2, 3), elsewhere = way(2, 4);
	struct ip_addr router = host(0, 3);

	(void)state;
	/* Both begin before either knows who answers. */
	for (int i = 0; i < 2; i++) {
		limit_sent(l, &a, START_NS);
		limit_sent(l, &b, START_NS);
	}
	limit_learn(l, &a, &router, START_NS);
	limit_learn(l, &b, &router, START_NS);
	assert_int_equal(send_all(l, &b, START_NS), BURST - 4);
	assert_int_equal(send_all(l, &a, START_NS), 0);
	assert_int_equal(send_all(l, &elsewhere, START_NS), BURST);
	free(l);
}

static void another_namespace_is_another_host(void **state)
{
	struct limits *l = fresh();
	struct limit_way a = way(1, 3), b = way(1, 3);

	(void)state;
	b.netns = 8;
	assert_int_equal(send_all(l, &a, START_NS), BURST);
	assert_int_equal(send_all(l, &b, START_NS), BURST);
	free(l);
}

static void where_ways_part_each_router_pays_for_itself(void **state)
{
	struct limits *l = fresh();
	struct limit_way w = way(1, 3);
	struct ip_addr one = host(0, 3), other = host(0, 33);
	struct limit_way through_other = way(2, 3);

	(void)state;
	limit_sent(l, &w, START_NS);
	limit_learn(l, &w, &one, START_NS);
	for (int i = 0; i < 3; i++) {
		limit_sent(l, &w, START_NS);
		limit_learn(l, &w, &other, START_NS);
	}
	assert_int_equal(send_all(l, &w, START_NS), BURST - 1);
	limit_learn(l, &through_other, &other, START_NS);
	assert_int_equal(send_all(l, &through_other, START_NS), BURST - 3);
	free(l);
}

static void a_full_table_forgets_who_has_rested(void **state)
{
	struct limits *l = fresh();
	struct limit_way w = way(1, 3);

	(void)state;
	for (int i = 0; i < 20 * LIMIT_SLOTS; i++) {
		struct limit_way one = {.netns = (uint32_t)i, .ttl = 1, .to = host(1, 1)};

		limit_sent(l, &one, START_NS);
	}
	assert_int_equal(send_all(l, &w, START_NS + NS_PER_S), BURST);
	assert_int_equal(send_all(l, &w, START_NS + NS_PER_S), 0);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_and_then_one_a_second),
		cmocka_unit_test(two_ways_through_one_router_share_what_it_answers),
		cmocka_unit_test(another_namespace_is_another_host),
		cmocka_unit_test(where_ways_part_each_router_pays_for_itself),
		cmocka_unit_test(a_full_table_forgets_who_has_rested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
