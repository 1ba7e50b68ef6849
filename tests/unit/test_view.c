/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What users and scripts read, byte for byte: incidents made by hand, through each writer, against
 * tests/golden/view-*. `UPDATE_GOLDEN=1 make check-unit` writes these files anew; read the diff.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/brief.h"
#include "view/format.h"
#include "view/json_stream.h"
#include "view/writer.h"

#define GOLDEN	  "tests/golden/view-"
#define WALL_NS	  1767323045000000000ll /* 2026-01-02T03:04:05Z */
#define NOW_NS	  (600 * NS_PER_S)
#define OFFSET_NS (WALL_NS - (int64_t)NOW_NS)

static struct ip_addr ip(const char *text)
{
	struct ip_addr a = {0};

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct endpoint endpoint(const char *text, uint16_t port)
{
	return (struct endpoint){.addr = ip(text), .port = port};
}

/* The backup of the first story: one hop has lost the state of one connection. */
static struct incident state_lost(void)
{
	struct incident i = {
		.id = "20260102T030405-1a2b",
		.key = {.cookie = 0x5f1, .netns = 4026531840},
		.local_sends = true,
		.begun_ns = NOW_NS,
		.last_progress_ns = NOW_NS - 2004000000,
		.bytes_at_stall = 3895070720,
		.rate_bps = 96000000,
		.n_hops = 4,
		.n_witnesses = 1,
		.probes_sent = 36,
		.process = {.pid = 12737, .comm = "postgres"},
		.route = {.ifindex = 2,
			  .ifname = "eth0",
			  .mtu = 1500,
			  .carrier = 1,
			  .speed_mbps = 1000,
			  .full_duplex = 1,
			  .lladdr = {2, 0, 0, 0, 0, 1}},
	};
	struct verdict *v = &i.verdict;
	struct flow_snapshot *s = &i.last;

	i.key.local = endpoint("192.0.2.1", 5432);
	i.key.remote = endpoint("198.51.100.7", 36151);
	i.route.gateway = ip("10.0.0.1");
	*s = (struct flow_snapshot){
		.key = i.key,
		.snd = {.bytes = 3895070720},
		.born_ns = NOW_NS - 251 * NS_PER_S,
		.snd_una = 0xffffff00,
		.snd_nxt = 0xff00,
		.write_seq = 0xff00,
		.snd_wnd = 996352,
		.mss = 1448,
		.pmtu = 1492,
		.rtt_us = 71000,
		.rto_us = 3264000,
		.backoff = 4,
		.retrans = 4,
		.state = TCP_ESTABLISHED,
	};
	i.first = *s;
	i.hops[0] = (struct hop){
		.ttl = 1,
		.address = ip("10.0.0.1"),
		.rtt_us = 310,
		.probes = {{3, 3}, {3, 3}, {3, 3}},
	};
	i.hops[1] = (struct hop){
		.ttl = 2,
		.address = ip("192.168.0.1"),
		.rtt_us = 1200,
		.probes = {{9, 9}, {3, 3}, {9, 9}},
	};
	i.hops[2] = (struct hop){.ttl = 3, .balanced = true, .probes = {{9, 0}, {3, 0}, {9, 0}}};
	i.hops[3] = (struct hop){
		.ttl = 4,
		.address = ip("198.51.100.7"),
		.is_peer = true,
		.rtt_us = 71000,
		.probes = {{9, 0}, {0, 0}, {9, 9}},
	};
	i.witnesses[0] = (struct witness){
		.key = i.key,
		.sends = true,
		.same_peer = true,
		.shared_hops = 4,
		.rate_bps = 212000,
	};
	i.witnesses[0].key.remote.port = 36152;
	*v = (struct verdict){
		.cause = CAUSE_CONNECTION_STATE_LOST,
		.cause_confidence = 0.98,
		.detail = "established; dropped after 3.6 GiB",
		.way = WAY_FORWARD,
		.where = {.kind = PLACE_HOP, .ttl = 2, .confidence = 0.97},
		.n_candidates = 2,
		.n_evidence = 6,
		.evidence =
			{
				{"in-flow-frontier", 4.2,
				 "packets of this connection get past hop 2 in 0 of 9 tries, the "
				 "control connection in 9 of 9"},
				{"witness-same-peer", 2.5,
				 "another connection to the same host goes on through the same "
				 "hops"},
				{"backoff", 0.7, "the retransmission timer has backed off 4 times"},
				{"window-open", 0.4, "the receive window is open"},
				{"no-local-drop", 0.25,
				 "this host's kernel dropped none of its "
				 "packets"},
				{"hop-3-silent", -0.1, "hop 3 answers nobody"},
			},
		.advice = "Connection tracking in 192.168.0.1 has lost or corrupted this "
			  "connection. Reconnect to continue; restart or update the router; raise "
			  "its NAT table or timeouts.",
	};
	v->where.address = v->where.near = ip("192.168.0.1");
	v->where.far = ip("203.0.113.1");
	v->candidates[0] = v->where;
	v->candidates[1] = (struct place){
		.kind = PLACE_LINK,
		.near = ip("192.168.0.1"),
		.confidence = 0.02,
	};
	return i;
}

/* Nothing is known and the program's name is an attack. */
static struct incident hostile(void)
{
	struct incident i = {
		.id = "20260102T030405-ffff",
		.key = {.cookie = 7, .netns = 4026531840},
		.begun_ns = NOW_NS,
		.last_progress_ns = NOW_NS - 90 * NS_PER_S,
		.process = {.pid = 1, .comm = "a\"\\\n\033[2J\xff\xed\xa0\x80"},
		.verdict = {.cause = CAUSE_UNKNOWN, .cause_confidence = NAN},
	};

	i.key.local = endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	i.key.remote = endpoint("2001:db8:7777:8888:9999:aaaa:bbbb:cccc", 443);
	i.last.key = i.key;
	return i;
}

static struct incident ended(void)
{
	struct incident i = state_lost();

	i.outcome = OUTCOME_RECOVERED;
	i.ended_ns = NOW_NS + 4 * NS_PER_S;
	i.recovered_bytes = 1 << 20;
	return i;
}

static struct summary totals(void)
{
	return (struct summary){
		.now_ns = NOW_NS + 5 * NS_PER_S,
		.counts = {.transfers = 3, .stalls = 2, .unrecovered = 1},
		.probes_sent = 36,
		.n_lost = 2,
		.lost = {{"ring-full", 3}, {"flow-table-full", 0}},
		.n_remarks = 1,
		.remarks = {"mid-connection"},
	};
}

typedef int (*writer_new_fn)(const struct writer_config *, struct writer **);

/* Everything above through one writer. */
static char *written(writer_new_fn new_writer, int verbose, bool colour)
{
	const struct incident lost = state_lost(), bad = hostile(), over = ended();
	const struct summary summary = totals();
	const struct output outputs[] = {
		{.kind = OUT_STALL_BEGIN, .now_ns = NOW_NS, .incident = &lost},
		{.kind = OUT_VERDICT, .now_ns = NOW_NS + 1500 * NS_PER_MS, .incident = &lost},
		{.kind = OUT_STALL_END, .now_ns = over.ended_ns, .incident = &over},
		{.kind = OUT_STALL_BEGIN, .now_ns = NOW_NS, .incident = &bad},
		{.kind = OUT_VERDICT, .now_ns = NOW_NS, .incident = &bad},
	};
	struct writer *w = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	const struct writer_config config = {
		.out = out,
		.host = "db1",
		.wall_offset_ns = OFFSET_NS,
		.verbose = verbose,
		.colour = colour,
	};

	assert_non_null(out);
	assert_int_equal(new_writer(&config, &w), 0);
	for (size_t i = 0; i < sizeof(outputs) / sizeof(*outputs); i++)
		assert_int_equal(writer_output(w, &outputs[i]), 0);
	assert_int_equal(writer_summary(w, &summary), 0);
	writer_free(w);
	fclose(out);
	return text;
}

static void update(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_golden(const char *name, const char *text)
{
	static char expected[65536];
	char path[128];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), GOLDEN "%s", name);
	if (getenv("UPDATE_GOLDEN"))
		update(path, text);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s: %s", path, strerror(errno));
	n = fread(expected, 1, sizeof(expected) - 1, f);
	fclose(f);
	expected[n] = '\0';
	assert_string_equal(text, expected);
}

static void check_golden(const char *name, writer_new_fn new_writer, int verbose, bool colour)
{
	char *text = written(new_writer, verbose, colour);

	assert_golden(name, text);
	free(text);
}

static void json_is_as_promised(void **state)
{
	(void)state;
	check_golden("json.ndjson", writer_json, 0, false);
}

static void text_is_for_people(void **state)
{
	(void)state;
	check_golden("text.txt", writer_text, 0, false);
}

static void verbose_text_says_all(void **state)
{
	(void)state;
	check_golden("verbose.txt", writer_text, 1, false);
}

static void quiet_text_is_one_line_each(void **state)
{
	(void)state;
	check_golden("quiet.txt", writer_text, -1, false);
}

static void colour_adds_escapes_and_nothing_else(void **state)
{
	char *plain = written(writer_text, 1, false), *colour = written(writer_text, 1, true);
	char *to = colour;

	(void)state;
	assert_non_null(strstr(colour, "\033["));
	for (const char *from = colour; *from;) {
		if (*from == '\033')
			from += strcspn(from, "m") + 1;
		else
			*to++ = *from++;
	}
	*to = '\0';
	assert_string_equal(plain, colour);
	free(plain);
	free(colour);
}

static void every_line_of_text_fits_100_columns_and_is_printable(void **state)
{
	char *text = written(writer_text, 1, false);

	(void)state;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		assert_true(strlen(line) <= 100);
		for (const char *p = line; *p; p++)
			assert_true(*p >= ' ' && *p <= '~');
	}
	free(text);
}

static void every_line_of_json_parses_and_has_the_common_keys(void **state)
{
	static const char *const keys[] = {"v", "type", "ts", "mono_ns", "host"};
	char *text = written(writer_json, 0, false);

	(void)state;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		json_error_t error;
		json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

		if (!object)
			fail_msg("%s: %s", error.text, line);
		for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
			assert_non_null(json_object_get(object, keys[i]));
		json_decref(object);
	}
	free(text);
}

static void a_reader_that_is_gone_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	const struct writer_config config = {.out = full, .host = "db1"};
	const struct summary summary = totals();
	struct writer *json = NULL, *text = NULL;

	(void)state;
	assert_non_null(full);
	assert_int_equal(writer_json(&config, &json), 0);
	assert_int_equal(writer_text(&config, &text), 0);
	assert_int_equal(writer_summary(json, &summary), -ENOSPC);
	assert_int_equal(writer_summary(text, &summary), -ENOSPC);
	writer_free(json);
	writer_free(text);
	fclose(full);
}

static void numbers_read_well(void **state)
{
	static const struct {
		uint64_t value;
		const char *bytes, *rate, *duration;
	} table[] = {
		{0, "0 B", "0 bit/s", "0 us"},
		{999, "999 B", "999 bit/s", "0 us"},
		{1023, "1023 B", "1.02 kbit/s", "1 us"},
		{1024, "1.00 KiB", "1.02 kbit/s", "1 us"},
		{1048575, "1.00 MiB", "1.05 Mbit/s", "1.0 ms"},
		{71000000, "67.7 MiB", "71.0 Mbit/s", "71 ms"},
		{999999999, "954 MiB", "1.00 Gbit/s", "999 ms"},
		{2004000000, "1.87 GiB", "2.00 Gbit/s", "2.0 s"},
		{59999999999, "55.9 GiB", "60.0 Gbit/s", "59.9 s"},
		{60000000000, "55.9 GiB", "60.0 Gbit/s", "1 min 0 s"},
		{3600000000000, "3.27 TiB", "3.60 Tbit/s", "1 h 0 min"},
		{UINT64_MAX, "16384 PiB", "18446744 Tbit/s", "213503 d 23 h"},
	};
	char buf[FORMAT_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		assert_string_equal(format_bytes(table[i].value, buf), table[i].bytes);
		assert_string_equal(format_rate(table[i].value, buf), table[i].rate);
		assert_string_equal(format_duration(table[i].value, buf), table[i].duration);
	}
}

static void a_brief_is_read_again(void **state)
{
	struct incident i = state_lost();
	struct brief b;
	char *text;

	(void)state;
	assert_int_equal(brief_text(&i, NULL, OFFSET_NS, &text), 0);
	assert_true(brief_read(text, &b));
	free(text);
	assert_string_equal(b.incident, i.id);
	assert_string_equal(b.cause, "connection-state-lost");
	assert_string_equal(b.place, "at hop 2 (192.168.0.1)");
	assert_string_equal(b.dst, "198.51.100.7:36151");
	assert_string_equal(b.moved, "3.63 GiB");
}

static void a_brief_of_anybody_is_harmless(void **state)
{
	struct brief b;

	(void)state;
	assert_false(brief_read("", &b));
	assert_false(brief_read("The transfer from nowhere\nincident: 1\ncause: 2\nplace: 3", &b));
	assert_false(brief_read("The transfer from a to b\nincident: 1\ncause: 2", &b));
	assert_true(brief_read(
		"The transfer from \033[1m to \xff\nincident: \033\ncause: ,\nplace: %", &b));
	assert_string_equal(b.src, "\\x1b[1m");
	assert_string_equal(b.dst, "\\xff");
	assert_string_equal(b.incident, "\\x1b");
	assert_string_equal(b.place, "%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_as_promised),
		cmocka_unit_test(text_is_for_people),
		cmocka_unit_test(verbose_text_says_all),
		cmocka_unit_test(quiet_text_is_one_line_each),
		cmocka_unit_test(colour_adds_escapes_and_nothing_else),
		cmocka_unit_test(every_line_of_text_fits_100_columns_and_is_printable),
		cmocka_unit_test(every_line_of_json_parses_and_has_the_common_keys),
		cmocka_unit_test(a_reader_that_is_gone_is_an_error),
		cmocka_unit_test(numbers_read_well),
		cmocka_unit_test(a_brief_is_read_again),
		cmocka_unit_test(a_brief_of_anybody_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
