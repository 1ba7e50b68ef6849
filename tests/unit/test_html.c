/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The report against tests/golden/report.html, hostile text, and its size.
 * `UPDATE_GOLDEN=1 make check-unit` writes the file anew; read the diff, and look at the page.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "view/html.h"

#define GOLDEN	  "tests/golden/report.html"
#define OFFSET_NS 1767323045000000000ll /* 2026-01-02T03:04:05Z */
#define S	  NS_PER_S
#define LONGEST	  (400 << 10) /* bytes, however long the incident */

static struct endpoint endpoint(const char *text, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(addr_parse(text, &e.addr), 0);
	return e;
}

static struct incident state_lost(void)
{
	struct incident i = {
		.id = "20260102T030412-1a2b",
		.local_sends = true,
		.last_progress_ns = 5 * S,
		.begun_ns = 7 * S,
		.ended_ns = 15 * S,
		.outcome = OUTCOME_RESET,
		.rate_bps = 96000000,
		.last = {.born_ns = 1 * S,
			 .snd = {.bytes = 48000000, .progress_ns = 5 * S},
			 .rtt_us = 20000},
		.n_hops = 4,
		.n_witnesses = 1,
		.process = {.pid = 12737, .comm = "postgres"},
	};
	struct verdict *v = &i.verdict;

	i.key.local = endpoint("192.0.2.1", 5432);
	i.key.remote = endpoint("198.51.100.7", 36151);
	i.last.key = i.key;
	for (int k = 0; k < 4; k++)
		i.hops[k] =
			(struct hop){.ttl = (uint8_t)(k + 1),
				     .rtt_us = 300 * (uint32_t)(k + 1),
				     .probes = {{9, k < 2 ? 9 : 0}, {3, k < 2 ? 3 : 0}, {9, 9}}};
	i.hops[0].address = endpoint("10.0.0.1", 0).addr;
	i.hops[1].address = endpoint("192.168.0.1", 0).addr;
	i.hops[3].address = i.key.remote.addr;
	i.hops[3].is_peer = true;
	i.witnesses[0] = (struct witness){
		.key = i.key,
		.sends = true,
		.same_peer = true,
		.shared_hops = 4,
		.rate_bps = 212000,
	};
	*v = (struct verdict){
		.cause = CAUSE_CONNECTION_STATE_LOST,
		.cause_confidence = 0.98,
		.detail = "established; dropped after 45.8 MiB",
		.way = WAY_FORWARD,
		.where = {.kind = PLACE_HOP, .ttl = 2, .confidence = 0.97},
		.n_evidence = 2,
		.evidence = {{"backoff", 0.7, "the retransmission timer has backed off 4 times"},
			     {"in-flow-frontier", 4.2,
			      "packets of this connection get past hop 2 in 0 of 9 tries"}},
		.advice = "Reconnect to continue; restart or update the router.",
	};
	v->where.address = i.hops[1].address;
	v->n_candidates = 1;
	v->candidates[0] = v->where;
	return i;
}

/* A segment every 100 ms until the silence, then the same one again. */
static struct trail *small_trail(const struct incident *i)
{
	struct trail *t = NULL;
	struct frame data = {.kind = FRAME_TCP, .family = 4, .flags = TCP_ACK, .payload = 120000};
	struct frame ack = {.kind = FRAME_TCP, .family = 4, .flags = TCP_ACK, .window = 8000};
	struct frame other = {.kind = FRAME_TCP,
			      .family = 4,
			      .payload = 50000,
			      .sport = 5432,
			      .dport = 36152,
			      .src = {{192, 0, 2, 1}},
			      .dst = {{198, 51, 100, 7}}};
	struct frame syn = {.kind = FRAME_TCP, .family = 4, .flags = TCP_SYN, .wscale = 7};
	struct frame syn_ack = {
		.kind = FRAME_TCP, .family = 4, .flags = TCP_SYN | TCP_ACK, .wscale = 7, .ack = 1};

	assert_int_equal(trail_new(i, &t), 0);
	trail_frame(t, &syn, EXCERPT_DATA, 1 * S);
	trail_frame(t, &syn_ack, EXCERPT_BACK, 1 * S);
	data.seq = 1;
	for (uint64_t now_ns = 1 * S; now_ns <= 16 * S; now_ns += 100 * NS_PER_MS) {
		trail_frame(t, &other, EXCERPT_NONE, now_ns);
		other.seq += other.payload;
		if (now_ns > 5 * S && now_ns % (2 * S))
			continue;
		trail_frame(t, &data, EXCERPT_DATA, now_ns);
		if (now_ns > 5 * S)
			continue;
		data.seq += now_ns < 5 * S ? data.payload : 0;
		ack.ack = data.seq;
		trail_frame(t, &ack, EXCERPT_BACK, now_ns + 20 * NS_PER_MS);
	}
	return t;
}

static char *written(const struct html_report *r, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	assert_non_null(out);
	assert_int_equal(html_write(out, r), 0);
	fclose(out);
	return text;
}

static struct html_report report_of(const struct incident *i, const struct trail *t)
{
	struct html_report r = {
		.incident = i,
		.trail = t,
		.file = "backup.pcap",
		.program = "tcpstall test",
		.wall_offset_ns = OFFSET_NS,
		.n_notes = 2,
		.notes = {{100, 5 * S, "last progress"}, {110, 6 * S, "first retransmission"}},
	};

	return r;
}

static void the_page_is_as_agreed(void **state)
{
	const struct incident i = state_lost();
	struct trail *t = small_trail(&i);
	const struct html_report r = report_of(&i, t);
	size_t len, n;
	char *text = written(&r, &len), *expected = malloc(LONGEST);
	FILE *f;

	(void)state;
	assert_non_null(expected);
	if (getenv("UPDATE_GOLDEN")) {
		f = fopen(GOLDEN, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(text, 1, len, f), len);
		assert_int_equal(fclose(f), 0);
	}
	f = fopen(GOLDEN, "r");
	if (!f)
		fail_msg(GOLDEN ": %s", strerror(errno));
	n = fread(expected, 1, LONGEST - 1, f);
	expected[n] = '\0';
	fclose(f);
	assert_string_equal(text, expected);
	free(expected);
	free(text);
	trail_free(t);
}

static void hostile_text_stays_text(void **state)
{
	static const char attack[] = "</pre><script>alert(1)</script>\"'&<img src=x>\xff\033[2J"
				     "\xe2\x80\xae";
	struct incident i = state_lost();
	struct html_report r = report_of(&i, NULL);
	size_t len;
	char *text;

	(void)state;
	snprintf(i.process.comm, sizeof(i.process.comm), "<b>\xff\n");
	snprintf(i.verdict.detail, sizeof(i.verdict.detail), "%s", attack);
	snprintf(i.verdict.advice, sizeof(i.verdict.advice), "%s", attack);
	snprintf(i.verdict.evidence[0].text, EVIDENCE_TEXT, "%s", attack);
	snprintf(i.capture.tunnel, sizeof(i.capture.tunnel), "%s", "<i>\"</i>");
	snprintf(r.notes[0].text, EXCERPT_NOTE, "%s", attack);
	i.verdict.cause_confidence = i.verdict.evidence[1].weight = NAN;
	r.file = attack;
	text = written(&r, &len);
	assert_int_equal(strlen(text), len);
	assert_null(strstr(text, "<script>alert"));
	assert_null(strstr(text, "<img"));
	assert_null(strstr(text, "<b>\\"));
	assert_null(strstr(text, "<i>"));
	assert_null(strstr(text, "nan"));
	assert_non_null(strstr(text, "&lt;img src=x&gt;\\xff\\x1b[2J\\xe2\\x80\\xae"));
	for (const char *p = text; *p; p += utf8_len(p))
		assert_true(utf8_len(p) && (*p == '\n' || *p < 0 || *p >= ' '));
	free(text);
}

static void nothing_is_fetched(void **state)
{
	const struct incident i = state_lost();
	struct trail *t = small_trail(&i);
	const struct html_report r = report_of(&i, t);
	size_t len;
	char *text = written(&r, &len);

	(void)state;
	assert_null(strstr(text, "http:"));
	assert_null(strstr(text, "https:"));
	assert_null(strstr(text, " src="));
	assert_null(strstr(text, "@import"));
	assert_null(strstr(text, "<link"));
	assert_non_null(strstr(text, "default-src 'none'"));
	free(text);
	trail_free(t);
}

static void the_largest_page_is_bounded(void **state)
{
	struct incident i = state_lost();
	struct trail *t = small_trail(&i);
	struct html_report r = report_of(&i, t);
	size_t len;

	(void)state;
	i.n_hops = MAX_HOPS;
	i.n_witnesses = MAX_WITNESSES;
	i.verdict.n_candidates = MAX_CANDIDATES;
	i.verdict.n_evidence = MAX_EVIDENCE;
	for (int k = 0; k < MAX_EVIDENCE; k++) {
		i.verdict.evidence[k].id = "id";
		memset(i.verdict.evidence[k].text, '&', EVIDENCE_TEXT - 1);
	}
	for (int k = 0; k < MAX_HOPS; k++)
		i.hops[k].ttl = (uint8_t)(k + 1);
	memset(i.verdict.advice, '<', ADVICE_TEXT - 1);
	r.n_notes = HTML_NOTES;
	r.more_notes = UINT64_MAX;
	for (int k = 0; k < HTML_NOTES; k++)
		memset(r.notes[k].text, '"', EXCERPT_NOTE - 1);
	for (int kind = 0; kind < TRAIL_MARKS; kind++) {
		t->whole.counts[kind] = t->close.counts[kind] = UINT64_MAX;
		for (int k = 0; k < TRAIL_COLUMNS; k++)
			t->whole.marks[kind][k] = t->close.marks[kind][k] = (struct trail_column){
				.count = UINT32_MAX,
				.low = INT32_MIN,
				.high = INT64_MAX / 4,
				.last = k,
			};
	}
	free(written(&r, &len));
	assert_true(len < LONGEST);
	trail_free(t);
}

/* As the text tells it. */
static void an_open_place_is_shown_with_all_that_it_may_be(void **state)
{
	struct incident i = state_lost();
	struct html_report r = report_of(&i, NULL);
	struct verdict *v = &i.verdict;
	size_t len;
	char *text;

	(void)state;
	v->where = (struct place){.kind = PLACE_PATH, .confidence = 0.9};
	v->n_candidates = 2;
	v->candidates[0] = (struct place){.kind = PLACE_SENDER_HOST, .confidence = 0.38};
	v->candidates[1] = (struct place){.kind = PLACE_HOP, .ttl = 2, .confidence = 0.12};
	v->candidates[1].address = i.hops[1].address;
	text = written(&r, &len);
	assert_non_null(strstr(text, "; likeliest on the sending host"));
	assert_non_null(strstr(text, "38 %, at hop 2"));
	assert_non_null(strstr(text, "38 % here"));
	assert_non_null(strstr(text, "12 % here"));
	free(text);
}

static void an_incident_of_which_nothing_is_known_has_a_page(void **state)
{
	const struct incident empty = {.verdict = {.cause_confidence = NAN}};
	struct incident slow = state_lost();
	struct trail *t = NULL;
	struct html_report r = {.incident = &empty, .program = "tcpstall"};
	size_t len;

	(void)state;
	free(written(&r, &len));
	assert_int_equal(trail_new(&empty, &t), 0);
	r.trail = t;
	free(written(&r, &len));
	trail_free(t);
	slow.slow = true;
	slow.n_hops = 0;
	slow.verdict.where.kind = PLACE_PATH;
	t = small_trail(&slow);
	r = report_of(&slow, t);
	free(written(&r, &len));
	trail_free(t);
}

static void a_reader_that_is_gone_is_an_error(void **state)
{
	const struct incident i = state_lost();
	const struct html_report r = report_of(&i, NULL);
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	assert_int_equal(html_write(full, &r), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_is_as_agreed),
		cmocka_unit_test(hostile_text_stays_text),
		cmocka_unit_test(nothing_is_fetched),
		cmocka_unit_test(the_largest_page_is_bounded),
		cmocka_unit_test(an_open_place_is_shown_with_all_that_it_may_be),
		cmocka_unit_test(an_incident_of_which_nothing_is_known_has_a_page),
		cmocka_unit_test(a_reader_that_is_gone_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
