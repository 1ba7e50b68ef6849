/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "probe/neighbour.h"

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = {0};

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void an_arp_request_says_who_asks(void **state)
{
	static const uint8_t expected[28] = {0,	  1, 8, 0, 6, 4, 0, 1, 2, 0, 0,	  0, 0, 7,
					     192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9};
	const struct ip_addr source = ip("192.0.2.1"), target = ip("192.0.2.9");
	struct neighbour_message m;
	uint8_t buf[RESOLVE_BYTES];

	(void)state;
	assert_int_equal(resolve_write(&target, &source, mac, buf), 28);
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_int_equal(neighbour_read(ETH_P_ARP, buf, 28, &m), SAID_ADDRESS);
	assert_true(addr_equal(&m.addr, &source));
	assert_memory_equal(m.lladdr, mac, 6);
	for (size_t len = 0; len < 28; len++)
		assert_int_equal(neighbour_read(ETH_P_ARP, buf, len, &m), SAID_NOTHING);
}

/* RFC 5227 1.1, RFC 4862 5.4.2: a question about our own address must not claim it. */
static void a_claim_is_asked_about_without_claiming(void **state)
{
	static const char *const own[] = {"192.0.2.1", "2001:db8::1"};
	static const uint8_t nothing[16];
	const struct ip_addr nobody = {0};
	uint8_t buf[RESOLVE_BYTES];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		const struct ip_addr target = ip(own[v6]);
		int len = resolve_write(&target, &nobody, mac, buf);

		assert_int_equal(len, v6 ? 64 : 28); /* no option with our hardware address */
		assert_memory_equal(buf + (v6 ? 8 : 14), nothing, v6 ? 16 : 4);
	}
}

static void an_echo_is_known_by_its_answer_only(void **state)
{
	static const char *const ends[2][2] = {{"192.0.2.1", "192.0.2.9"},
					       {"2001:db8::1", "2001:db8::9"}};
	uint8_t buf[1500];

	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		const struct ip_addr source = ip(ends[v6][0]), target = ip(ends[v6][1]);
		const uint16_t protocol = v6 ? ETH_P_IPV6 : ETH_P_IP;
		struct neighbour_message m;

		assert_int_equal(echo_write(&source, &target, 7, 300, 1500, buf, sizeof(buf)),
				 1500);
		assert_int_equal(echo_write(&source, &target, 7, 3, 1501, buf, sizeof(buf)),
				 -EMSGSIZE);
		assert_int_equal(echo_write(&source, &target, 7, 3, 20, buf, sizeof(buf)),
				 -EMSGSIZE);
		assert_int_equal(neighbour_read(protocol, buf, 1500, &m), SAID_NOTHING);
		buf[v6 ? 40 : 20] = v6 ? ICMP6_ECHO_REPLY : 0;
		assert_int_equal(neighbour_read(protocol, buf, 128, &m), SAID_ECHO);
		assert_true(addr_equal(&m.addr, &source));
		assert_int_equal(m.id, 7);
		assert_int_equal(m.seq, 300);
	}
}

/* Whatever comes: each read is of memory that ends where the packet ends. */
static void nonsense_is_read_within_its_bounds(void **state)
{
	static const uint16_t protocols[] = {ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, 0x88cc};
	struct neighbour_message m;

	(void)state;
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)random() % 96;
		uint8_t *packet = malloc(len ? len : 1);

		assert_non_null(packet);
		for (size_t k = 0; k < len; k++)
			packet[k] = (uint8_t)random();
		if (len > 6)
			packet[0] = i & 1 ? 0x45 : 0x60, packet[6] = IPPROTO_ICMPV6;
		if (len > 41)
			packet[40] = ND_NEIGHBOR_ADVERT, packet[7] = 255;
		neighbour_read(protocols[i % 4], packet, len, &m);
		free(packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_arp_request_says_who_asks),
		cmocka_unit_test(a_claim_is_asked_about_without_claiming),
		cmocka_unit_test(an_echo_is_known_by_its_answer_only),
		cmocka_unit_test(nonsense_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
