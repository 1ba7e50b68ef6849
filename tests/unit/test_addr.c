/* SPDX-License-Identifier: GPL-2.0-only */
/* base/addr: addresses are values, whatever way they were written. */
#include "base/addr.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	memset(&a, 0xff, sizeof(a)); /* nothing of it may show through */
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void an_address_reads_as_it_was_written(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0", "192.0.2.1",	  "255.255.255.255",
		"::",	   "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	};
	char buf[ADDR_TEXT_LEN];

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct ip_addr a = addr(texts[i]);

		assert_string_equal(addr_text(&a, buf), texts[i]);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = {
		"",	     "1",    "192.0.2",	      "192.0.2.256", "192.0.2.1 ", " 192.0.2.1",
		"0x7f.1",    ":",    "2001:db8::1::", "fe80::1%lo",  "[::1]",	   "192.0.2.1/24",
		"1.2.3.4:5", "host",
	};
	struct ip_addr untouched = {.family = 77}, a = untouched;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(addr_parse(bad[i], &a), -EINVAL);
	assert_memory_equal(&a, &untouched, sizeof(a));
}

static void a_mapped_address_is_ipv4(void **state)
{
	struct ip_addr mapped = addr("::ffff:192.0.2.1"), plain = addr("192.0.2.1");
	struct ip_addr compatible = addr("::192.0.2.1");

	(void)state;
	assert_int_equal(mapped.family, AF_INET);
	assert_memory_equal(&mapped, &plain, sizeof(plain));
	assert_int_equal(compatible.family, AF_INET6);
	assert_false(addr_equal(&compatible, &plain));
}

static void addresses_differ_by_family_and_bytes(void **state)
{
	struct ip_addr none = {0}, a = addr("0.0.0.0"), b = addr("::"), c = addr("::1");
	struct endpoint e = {.addr = c, .port = 80}, f = e;

	(void)state;
	assert_true(addr_equal(&none, &none));
	assert_false(addr_equal(&none, &a));
	assert_false(addr_equal(&a, &b));
	assert_false(addr_equal(&b, &c));
	assert_true(endpoint_equal(&e, &f));
	f.port = 81;
	assert_false(endpoint_equal(&e, &f));
	assert_int_equal(addr_len(&none), 0);
	assert_int_equal(addr_len(&a), 4);
	assert_int_equal(addr_len(&b), 16);
}

static void private_ranges_have_sharp_edges(void **state)
{
	static const char *const inside[] = {
		"10.0.0.0",    "10.255.255.255", "172.16.0.0",	    "172.31.255.255",
		"192.168.0.0", "100.64.0.0",	 "100.127.255.255", "169.254.1.1",
		"fc00::",      "fdff::1",	 "fe80::1",	    "febf::1",
	};
	static const char *const outside[] = {
		"9.255.255.255", "11.0.0.0",	    "172.15.255.255",
		"172.32.0.0",	 "192.167.255.255", "192.169.0.0",
		"100.63.0.0",	 "100.128.0.0",	    "127.0.0.1",
		"fbff::1",	 "fe00::1",	    "fec0::1",
		"::1",		 "2001:db8::1",
	};
	struct ip_addr a = {0};

	(void)state;
	assert_false(addr_is_private(&a));
	for (size_t i = 0; i < COUNT(inside); i++) {
		a = addr(inside[i]);
		assert_true(addr_is_private(&a));
	}
	for (size_t i = 0; i < COUNT(outside); i++) {
		a = addr(outside[i]);
		assert_false(addr_is_private(&a));
	}
}

static void loopback_is_a_net_in_ipv4_and_an_address_in_ipv6(void **state)
{
	struct ip_addr a = addr("127.255.0.1"), b = addr("128.0.0.1"), c = addr("::1"),
		       d = addr("::2"), e = {0};

	(void)state;
	assert_true(addr_is_loopback(&a));
	assert_false(addr_is_loopback(&b));
	assert_true(addr_is_loopback(&c));
	assert_false(addr_is_loopback(&d));
	assert_false(addr_is_loopback(&e));
}

static void the_longest_endpoint_fits(void **state)
{
	struct endpoint e = {.port = 65535};
	char buf[ENDPOINT_TEXT_LEN];

	(void)state;
	e.addr = addr("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255");
	assert_string_equal(endpoint_text(&e, buf),
			    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	e.addr = addr("192.0.2.1");
	assert_string_equal(endpoint_text(&e, buf), "192.0.2.1:65535");
	e = (struct endpoint){0};
	assert_string_equal(endpoint_text(&e, buf), "-:0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_reads_as_it_was_written),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(a_mapped_address_is_ipv4),
		cmocka_unit_test(addresses_differ_by_family_and_bytes),
		cmocka_unit_test(private_ranges_have_sharp_edges),
		cmocka_unit_test(loopback_is_a_net_in_ipv4_and_an_address_in_ipv6),
		cmocka_unit_test(the_longest_endpoint_fits),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
