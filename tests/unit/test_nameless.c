/* SPDX-License-Identifier: GPL-2.0-only */
/* The packets that are exported with --anonymize tell neither who nor where. */
#include "incident/nameless.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define RAW_IP	  101
#define HEADERS	  60
#define PORT_SMTP 25
#define ADD_ADDR  12 /* where it begins in the options */

/* A segment of 40 bytes of TCP header: MSS, NOP, NOP, SACK permitted, ... , ADD_ADDR. */
static struct kept_packet segment(void)
{
	static const uint8_t options[20] = {2, 4, 5,  180, 1,	 1, 4,	 2, 3, 3,
					    7, 1, 30, 8,   0x30, 1, 192, 0, 2, 99};
	struct kept_packet p = {.packet = {.linktype = RAW_IP, .captured = HEADERS}};
	uint8_t *ip = p.packet.data, *tcp = ip + 20;

	ip[0] = 0x45;
	ip[3] = HEADERS;
	ip[9] = 6;
	memcpy(ip + 12, (const uint8_t[]){192, 0, 2, 1, 192, 0, 2, 2}, 8);
	tcp[3] = PORT_SMTP;
	tcp[12] = 10 << 4;
	memcpy(tcp + 20, options, sizeof(options));
	p.packet.length = HEADERS;
	return p;
}

static void options_that_hold_addresses_go_and_the_others_stay(void **state)
{
	struct kept_packet p = segment(), before = p;
	uint8_t *options = p.packet.data + 40;
	const struct anonymizer *a = *state;

	assert_true(nameless_packet(a, &p));
	assert_int_equal(p.packet.captured, HEADERS);
	assert_int_equal(p.packet.data[23], PORT_SMTP);
	assert_memory_not_equal(p.packet.data + 12, before.packet.data + 12, 4);
	assert_memory_equal(options, before.packet.data + 40, ADD_ADDR);
	for (int k = ADD_ADDR; k < 20; k++)
		assert_int_equal(options[k], 1);
}

static void an_option_that_is_cut_off_goes(void **state)
{
	struct kept_packet p = segment();
	const struct anonymizer *a = *state;

	p.packet.captured = HEADERS - 1;
	assert_true(nameless_packet(a, &p));
	for (int k = 40 + ADD_ADDR; k < HEADERS; k++)
		assert_int_equal(p.packet.data[k], 0);
}

static void a_fragment_without_a_header_is_left_out(void **state)
{
	struct kept_packet p = segment();
	const struct anonymizer *a = *state;

	p.packet.data[7] = 1;
	assert_false(nameless_packet(a, &p));
}

static int with_a_key(void **state)
{
	static struct anonymizer a;

	*state = &a;
	return anonymizer_init(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_that_hold_addresses_go_and_the_others_stay),
		cmocka_unit_test(an_option_that_is_cut_off_goes),
		cmocka_unit_test(a_fragment_without_a_header_is_left_out),
	};

	return cmocka_run_group_tests(tests, with_a_key, NULL);
}
