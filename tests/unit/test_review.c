/* SPDX-License-Identifier: GPL-2.0-only */
/* What is said of the packets that were kept of a live incident. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "incident/review.h"

#define MSS 1000

static struct incident stalled(void)
{
	struct incident i = {
		.local_sends = true,
		.last_progress_ns = 10 * NS_PER_S,
		.begun_ns = 12 * NS_PER_S,
		.first = {.snd_una = 5 * MSS},
	};

	addr_parse("192.0.2.1", &i.key.local.addr);
	addr_parse("198.51.100.7", &i.key.remote.addr);
	i.key.local.port = 80;
	i.key.remote.port = 4000;
	return i;
}

/* A segment of MSS bytes that the local end sends. */
static struct kept_packet segment(uint64_t at_ns, uint32_t seq, uint8_t flags)
{
	static const uint8_t head[40] = {
		0x45,
		0,
		(40 + MSS) >> 8,
		(40 + MSS) & 255,
		0,
		0,
		0,
		0,
		64,
		6,
		0,
		0,
		192,
		0,
		2,
		1,
		198,
		51,
		100,
		7,
		0,
		80,
		4000 >> 8,
		4000 & 255,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0x50,
		0x10,
		1,
		0,
	};
	struct kept_packet p = {.role = KEPT_FLOW};

	memcpy(p.packet.data, head, sizeof(head));
	for (int k = 0; k < 4; k++)
		p.packet.data[24 + k] = (uint8_t)(seq >> (24 - 8 * k));
	p.packet.time_ns = at_ns;
	p.packet.linktype = 101;
	p.packet.captured = sizeof(head);
	p.packet.length = sizeof(head) + MSS;
	p.packet.flags = BOX_OUT | flags;
	return p;
}

static int nothing(const struct reviewed *r, void *arg)
{
	(void)r;
	(void)arg;
	return 0;
}

static uint64_t first_again(const struct kept_packet *p, size_t n)
{
	struct incident i = stalled();

	assert_int_equal(review(&i, p, n, false, nothing, NULL), 0);
	return i.capture.retrans_frame;
}

static void only_what_was_sent_before_is_a_retransmission(void **state)
{
	const struct kept_packet p[] = {
		segment(8 * NS_PER_S, 4 * MSS, 0),
		segment(8 * NS_PER_S + 1, 4 * MSS, BOX_AGAIN), /* before the last progress */
		segment(11 * NS_PER_S, 6 * MSS, 0),
		segment(11 * NS_PER_S + 1, 5 * MSS, BOX_AGAIN), /* only late: never seen before */
		segment(11 * NS_PER_S + 2, 7 * MSS, 0),
		segment(13 * NS_PER_S, 5 * MSS + MSS / 2, 0), /* half of each of two */
		segment(14 * NS_PER_S, 5 * MSS, BOX_AGAIN),
	};

	(void)state;
	assert_int_equal(first_again(p, 5), 0);
	assert_int_equal(first_again(p, 7), 6);
}

static void sequence_numbers_wrap(void **state)
{
	const uint32_t last = 0u - MSS / 2;
	const struct kept_packet p[] = {
		segment(11 * NS_PER_S, last, 0),
		segment(11 * NS_PER_S + 1, last + MSS, 0),
		segment(12 * NS_PER_S, last + MSS / 2, 0),
	};

	(void)state;
	assert_int_equal(first_again(p, 2), 0);
	assert_int_equal(first_again(p, 3), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_sent_before_is_a_retransmission),
		cmocka_unit_test(sequence_numbers_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
