/* SPDX-License-Identifier: GPL-2.0-only */
/* What is exported with --anonymize tells neither who nor where. */
#include "incident/nameless.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "incident/state.h"

#define MAC	  "52:54:00:12:34:56"
#define OTHER_MAC "52:54:00:12:34:57"
#define RAW_IP	  101
#define HEADERS	  60
#define PORT_SMTP 25
#define ADD_ADDR  12 /* where it begins in the options */

static void text_of(struct incident *i, const char *text)
{
	struct verdict *v = &i->verdict;

	v->n_evidence = 1;
	snprintf(v->evidence[0].text, sizeof(v->evidence[0].text), "%s", text);
}

static void sentences_tell_no_name_and_no_mac_address(void **state)
{
	struct incident_state *s = calloc(1, sizeof(*s));
	struct incident *i = &s->incident;
	const char *text = i->verdict.evidence[0].text;
	struct anonymizer a;

	(void)state;
	assert_non_null(s);
	assert_int_equal(anonymizer_init(&a), 0);
	strcpy(i->process.comm, "backupd");
	strcpy(i->route.ifname, "bond7");
	strcpy(i->route.lower, "enp3s0");
	text_of(i, "192.0.2.1 has " MAC ", then " OTHER_MAC ". backupd on bond7, enp3s0 below");
	state_anonymize(&a, &s->incident);
	assert_null(strstr(text, "192.0.2.1"));
	assert_null(strstr(text, MAC));
	assert_null(strstr(text, OTHER_MAC));
	assert_null(strstr(text, "backupd"));
	assert_null(strstr(text, "bond7"));
	assert_null(strstr(text, "enp3s0"));
	assert_non_null(strstr(text, i->process.comm));
	assert_non_null(strstr(text, i->route.lower));
	free(s);
}

static void what_only_looks_like_the_name_stays_and_the_process_has_no_number(void **state)
{
	struct incident_state *s = calloc(1, sizeof(*s));
	struct incident *i = &s->incident;
	const char *text = i->verdict.evidence[0].text;
	struct anonymizer a;

	(void)state;
	assert_non_null(s);
	assert_int_equal(anonymizer_init(&a), 0);
	strcpy(i->process.comm, "in");
	i->process.pid = 4711;
	text_of(i, "in (4711) waits in a line in minutes, in, win, in_flow");
	state_anonymize(&a, i);
	assert_int_equal(i->process.pid, 0);
	assert_null(strstr(text, "4711"));
	assert_null(strstr(text, " in "));
	assert_null(strstr(text, " in,"));
	assert_non_null(strstr(text, "a line"));
	assert_non_null(strstr(text, "minutes"));
	assert_non_null(strstr(text, "win, in_flow"));
	free(s);
}

static void a_name_whose_pseudonym_does_not_fit_is_cut_off(void **state)
{
	struct incident_state *s = calloc(1, sizeof(*s));
	struct incident *i = &s->incident;
	char *text = i->verdict.evidence[0].text;
	const size_t size = sizeof(i->verdict.evidence[0].text);
	struct anonymizer a;

	(void)state;
	assert_non_null(s);
	assert_int_equal(anonymizer_init(&a), 0);
	strcpy(i->process.comm, "sshd");
	i->verdict.n_evidence = 1;
	memset(text, '-', size - 1);
	strcpy(text + size - 5, "sshd");
	state_anonymize(&a, &s->incident);
	assert_null(strstr(text, "sshd"));
	free(s);
}

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
	struct anonymizer a;

	(void)state;
	assert_int_equal(anonymizer_init(&a), 0);
	assert_true(nameless_packet(&a, &p));
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
	struct anonymizer a;

	(void)state;
	assert_int_equal(anonymizer_init(&a), 0);
	p.packet.captured = HEADERS - 1;
	assert_true(nameless_packet(&a, &p));
	for (int k = 40 + ADD_ADDR; k < HEADERS; k++)
		assert_int_equal(p.packet.data[k], 0);
}

static void a_fragment_without_a_header_is_left_out(void **state)
{
	struct kept_packet p = segment();
	struct anonymizer a;

	(void)state;
	assert_int_equal(anonymizer_init(&a), 0);
	p.packet.data[7] = 1;
	assert_false(nameless_packet(&a, &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentences_tell_no_name_and_no_mac_address),
		cmocka_unit_test(what_only_looks_like_the_name_stays_and_the_process_has_no_number),
		cmocka_unit_test(a_name_whose_pseudonym_does_not_fit_is_cut_off),
		cmocka_unit_test(options_that_hold_addresses_go_and_the_others_stay),
		cmocka_unit_test(an_option_that_is_cut_off_goes),
		cmocka_unit_test(a_fragment_without_a_header_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
