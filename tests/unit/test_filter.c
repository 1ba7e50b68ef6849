/* SPDX-License-Identifier: GPL-2.0-only */
/* FILTER is matched against addresses and ports of one direction of a transfer. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "sensor/filter.h"

static struct flow_key flow(const char *local, uint16_t local_port, const char *remote,
			    uint16_t remote_port)
{
	struct flow_key key = {.local.port = local_port, .remote.port = remote_port};

	assert_int_equal(addr_parse(local, &key.local.addr), 0);
	assert_int_equal(addr_parse(remote, &key.remote.addr), 0);
	return key;
}

static bool matches(const char *text, const struct flow_key *key, bool local_sends)
{
	struct flow_filter *f = NULL;
	char why[256] = "";
	bool is;

	if (flow_filter_new(text, &f, why, sizeof(why)))
		fail_msg("%s", why);
	is = flow_filter_matches(f, key, local_sends);
	flow_filter_free(f);
	return is;
}

static void hosts_and_ports_match(void **state)
{
	const struct flow_key key = flow("192.0.2.1", 5432, "198.51.100.7", 36151);
	static const struct {
		const char *text;
		bool sent, received;
	} cases[] = {
		{"host 192.0.2.1", true, true},
		{"host 192.0.2.2", false, false},
		{"src host 192.0.2.1", true, false},
		{"dst host 192.0.2.1", false, true},
		{"port 5432", true, true},
		{"src port 5432", true, false},
		{"dst port 5432", false, true},
		{"dst port 36151 and src net 192.0.2.0/24", true, false},
		{"portrange 36000-37000", true, true},
		{"net 198.51.100.0/24", true, true},
		{"not port 22", true, true},
		{"tcp", true, true},
		{"ip", true, true},
		{"ip6", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (matches(cases[i].text, &key, true) != cases[i].sent ||
		    matches(cases[i].text, &key, false) != cases[i].received)
			fail_msg("%s", cases[i].text);
	}
}

static void what_no_transfer_can_match_is_refused(void **state)
{
	static const char *const texts[] = {
		"udp",
		"len > 100",
		"greater 200",
		"tcp[13] & 2 != 0",
		"icmp or udp port 53",
		"port 80 and udp",
	};
	static const char *const fine[] = {
		"less 100",
		"ip6",
		"not udp",
		"port 80 or udp",
		"tcp[tcpflags] & tcp-ack != 0",
		"net 10.0.0.0/8 and not host 10.0.0.1",
		"tcp[0:2] > 1023",
		"ip6 host 2001:db8::1",
	};
	struct flow_filter *f = NULL;
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (flow_filter_new(texts[i], &f, why, sizeof(why)) != -EINVAL ||
		    !strstr(why, texts[i]))
			fail_msg("%s", texts[i]);
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		if (flow_filter_new(fine[i], &f, why, sizeof(why)))
			fail_msg("%s: %s", fine[i], why);
		flow_filter_free(f);
	}
}

static void ipv6_addresses_match(void **state)
{
	const struct flow_key key = flow("2001:db8::1", 40000, "2001:db8:1::7", 443);

	(void)state;
	assert_true(matches("ip6 host 2001:db8::1", &key, true));
	assert_true(matches("dst host 2001:db8:1::7 and dst port 443", &key, true));
	assert_false(matches("dst host 2001:db8:1::7", &key, false));
	assert_true(matches("net 2001:db8:1::/48", &key, false));
	assert_false(matches("ip", &key, true));
}

static void a_mapped_address_is_ipv4(void **state)
{
	const struct flow_key key = flow("::ffff:192.0.2.1", 80, "::ffff:192.0.2.2", 81);

	(void)state;
	assert_true(matches("ip host 192.0.2.1 and src port 80", &key, true));
}

static void no_filter_matches_everything(void **state)
{
	const struct flow_key key = flow("192.0.2.1", 1, "192.0.2.2", 2);

	(void)state;
	assert_true(flow_filter_matches(NULL, &key, true));
	flow_filter_free(NULL);
}

static void an_unknown_family_matches_nothing(void **state)
{
	const struct flow_key key = {0};

	(void)state;
	assert_false(matches("", &key, true));
}

static void a_bad_filter_is_refused_with_libpcaps_message(void **state)
{
	static const char *const bad[] = {"port 70000", "host", "(port 1", "ether src 1:2:3:4:5:6"};
	struct flow_filter *f = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char why[256] = "";

		assert_int_equal(flow_filter_new(bad[i], &f, why, sizeof(why)), -EINVAL);
		assert_null(f);
		assert_non_null(strstr(why, bad[i]));
		assert_true(strlen(why) > strlen(bad[i]) + 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_and_ports_match),
		cmocka_unit_test(what_no_transfer_can_match_is_refused),
		cmocka_unit_test(ipv6_addresses_match),
		cmocka_unit_test(a_mapped_address_is_ipv4),
		cmocka_unit_test(no_filter_matches_everything),
		cmocka_unit_test(an_unknown_family_matches_nothing),
		cmocka_unit_test(a_bad_filter_is_refused_with_libpcaps_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
