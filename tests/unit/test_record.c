/* SPDX-License-Identifier: GPL-2.0-only */
/* Recordings: what goes in comes out bit for bit, nothing hostile gets in, no name gets out. */
#include "sensor/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sensor/anonymize.h"
#include "fill.h"
#include "sensor/fields.h"

#define ROUNDS 50

static char path[] = "/tmp/tcpstall-test-record-XXXXXX";
static struct observation any_observation(enum observation_type type)
{
	struct observation obs;

	memset(&obs, 0, sizeof(obs));
	obs.type = type;
	obs.now_ns = any();
	fill(observation_table[type].fields, &obs);
	return obs;
}

static struct record_header a_header(void)
{
	struct record_header h = {.host = "db1"};

	h.config = (struct engine_config){
		.stall_after_ns = 1500000000,
		.wall_offset_ns = -17,
		.max_flows = 100,
		.max_incidents = 10,
		.offline = true,
	};
	return h;
}

static void write_text(const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void every_member_of_an_observation_is_recorded(void **state)
{
	(void)state;
#ifdef ASSERT_COVERED
	struct engine_config config;
	struct observation o;

	ASSERT_COVERED(config, engine_config_fields, &config);
	ASSERT_COVERED(o.snapshot, observation_table[OBS_SNAPSHOT].fields, &o);
	ASSERT_COVERED(o.late_since_ns, observation_table[OBS_LATE].fields, &o);
	ASSERT_COVERED(o.gone, observation_table[OBS_GONE].fields, &o);
	ASSERT_COVERED(o.reset, observation_table[OBS_RESET].fields, &o);
	ASSERT_COVERED(o.icmp, observation_table[OBS_ICMP].fields, &o);
	ASSERT_COVERED(o.drop, observation_table[OBS_DROP].fields, &o);
	ASSERT_COVERED(o.neigh, observation_table[OBS_NEIGH].fields, &o);
	ASSERT_COVERED(o.probe, observation_table[OBS_PROBE].fields, &o);
	ASSERT_COVERED(o.route, observation_table[OBS_ROUTE].fields, &o);
	ASSERT_COVERED(o.process, observation_table[OBS_PROCESS].fields, &o);
	ASSERT_COVERED(o.capture, observation_table[OBS_CAPTURE].fields, &o);
	ASSERT_COVERED(o.pace, observation_table[OBS_PACE].fields, &o);
	ASSERT_COVERED(o.life, observation_table[OBS_LIFE].fields, &o);
	ASSERT_COVERED(o.capture_end, observation_table[OBS_END].fields, &o);
#else
	print_message("the compiler has no __builtin_clear_padding\n");
	skip();
#endif
}

static void what_is_written_is_read_back_bit_for_bit(void **state)
{
	static struct observation written[ROUNDS][OBS_TYPES];
	struct record_header header = a_header(), got_header;
	struct record_end end = {.probes_sent = 62, .n_lost = 2}, got_end = {0};
	struct recorder *w;
	struct recording *r;
	struct observation got;
	char why[128];

	(void)state;
	assert_int_equal(recorder_open(path, &header, false, &w), 0);
	for (int i = 0; i < ROUNDS; i++) {
		for (int t = 0; t < OBS_TYPES; t++) {
			written[i][t] = any_observation((enum observation_type)t);
			assert_int_equal(recorder_write(w, &written[i][t]), 0);
		}
	}
	strcpy(end.lost[0].reason, "ring-buffer");
	end.lost[0].count = UINT64_MAX;
	strcpy(end.lost[1].reason, "results");
	assert_int_equal(recorder_end(w, &end), 0);
	assert_int_equal(recorder_close(w), 0);

	assert_int_equal(recording_open(path, &r, &got_header, why, sizeof(why)), 0);
	assert_false(recording_end(r, &got_end));
	assert_string_equal(got_header.host, header.host);
	assert_int_equal(got_header.config.wall_offset_ns, -17);
	assert_memory_equal(&got_header, &header, sizeof(header));
	for (int i = 0; i < ROUNDS; i++) {
		for (int t = 0; t < OBS_TYPES; t++) {
			assert_int_equal(recording_next(r, &got, why, sizeof(why)), 1);
			assert_memory_equal(&got, &written[i][t], sizeof(got));
		}
	}
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	assert_true(recording_end(r, &got_end));
	assert_memory_equal(&got_end, &end, sizeof(end));
	recording_close(r);
}

static void a_recording_is_for_its_owner_only(void **state)
{
	struct record_header header = a_header();
	struct recorder *w;
	struct stat st;

	(void)state;
	unlink(path);
	assert_int_equal(recorder_open(path, &header, false, &w), 0);
	assert_int_equal(recorder_close(w), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(recorder_open("/nonexistent/file", &header, false, &w), -ENOENT);
}

static void a_full_disk_is_told_once(void **state)
{
	const struct observation tick = any_observation(OBS_SNAPSHOT);
	struct record_header header = a_header();
	struct recorder *w;

	(void)state;
	assert_int_equal(recorder_open("/dev/full", &header, false, &w), -ENOSPC);
	assert_int_equal(recorder_open(path, &header, false, &w), 0);
	assert_int_equal(recorder_write(w, &tick), 0);
	assert_int_equal(recorder_close(w), 0);
}

#define HEADER "{\"tcpstall_recording\":1,\"config\":{\"max_flows\":9,\"max_incidents\":9}}\n"

static void what_a_newer_program_adds_is_ignored(void **state)
{
	struct record_header header;
	struct observation got;
	struct recording *r;
	char why[128];

	(void)state;
	write_text("{\"tcpstall_recording\":1,\"colour\":\"blue\","
		   "\"config\":{\"max_flows\":9,\"max_incidents\":9,\"patience\":[1]}}\n"
		   "{\"observation\":\"weather\",\"now_ns\":1,\"rain\":true}\n"
		   "{\"observation\":\"tick\",\"now_ns\":5,\"mood\":{}}\n");
	assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), 0);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 1);
	assert_int_equal(got.type, OBS_TICK);
	assert_int_equal(got.now_ns, 5);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 0);
	assert_int_equal(recording_ignored(r), 1);
	recording_close(r);

	write_text("{\"tcpstall_recording\":2}\n");
	assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "its format is version 2; this program reads up to version 1");
}

static void a_cut_off_last_line_ends_the_recording(void **state)
{
	struct record_header header;
	struct observation got;
	struct recording *r;
	char why[128];

	(void)state;
	write_text(HEADER "{\"observation\":\"tick\",\"now_ns\":5}\n{\"observation\":\"ti");
	assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), 0);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 1);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 0);
	assert_string_equal(why, "line 3 is cut off; the recording ends there");
	recording_close(r);

	write_text(HEADER "{\"observation\":\"tick\",\"now_ns\":5}");
	assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), 0);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 1);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	recording_close(r);
}

static void a_hostile_header_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"[]\n",
		"{}\n",
		"{\"tcpstall_recording\":",
		"{\"tcpstall_recording\":0}\n",
		"{\"tcpstall_recording\":\"1\"}\n",
		"{\"tcpstall_recording\":1}\n",
		"{\"tcpstall_recording\":1,\"config\":{\"max_flows\":4294967295}}\n",
		"{\"tcpstall_recording\":1,\"config\":[]}\n",
		"{\"tcpstall_recording\":1,\"host\":7}\n",
		"\xd4\xc3\xb2\xa1\x02\x04\n",
	};
	struct record_header header;
	struct recording *r;
	char why[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_text(bad[i]);
		why[0] = '\0';
		assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), -EINVAL);
		assert_string_not_equal(why, "");
		assert_null(strchr(why, '\n'));
	}
	assert_int_equal(recording_open("/nonexistent", &r, &header, why, sizeof(why)), -ENOENT);
	assert_int_equal(recording_open("/proc", &r, &header, why, sizeof(why)), -EIO);
}

static void a_value_that_does_not_fit_is_named_with_its_line(void **state)
{
	static const struct {
		const char *line, *why;
	} bad[] = {
		{"{\"observation\":7}", "line 2: does not say what it is in \"observation\""},
		{"{}", "line 2: does not say what it is in \"observation\""},
		{"[1]", "line 2: no JSON object"},
		{"{\"observation\":\"tick\",\"now_ns\":-1}",
		 "line 2: \"now_ns\" has a value that does not fit"},
		{"{\"observation\":\"tick\",\"now_ns\":1.5}",
		 "line 2: \"now_ns\" has a value that does not fit"},
		{"{\"observation\":\"tick\",\"now_ns\":\"18446744073709551616\"}",
		 "line 2: \"now_ns\" has a value that does not fit"},
		{"{\"observation\":\"tick\",\"now_ns\":99999999999999999999}",
		 "line 2: no JSON object"},
		{"{\"recording_end\":{\"probes_sent\":null}}",
		 "line 2: \"probes_sent\" has a value that does not fit"},
		{"{\"recording_end\":{\"lost\":[{\"count\":[]}]}}",
		 "line 2: \"count\" has a value that does not fit"},
		{"{\"observation\":\"reset\",\"ttl\":256}",
		 "line 2: \"ttl\" has a value that does not fit"},
		{"{\"observation\":\"reset\",\"inbound\":1}",
		 "line 2: \"inbound\" has a value that does not fit"},
		{"{\"observation\":\"reset\",\"key\":1}",
		 "line 2: \"key\" has a value that does not fit"},
		{"{\"observation\":\"gone\",\"error\":2147483648}",
		 "line 2: \"error\" has a value that does not fit"},
		{"{\"observation\":\"gone\",\"reason\":\"bored\"}",
		 "line 2: \"reason\" has a value that does not fit"},
		{"{\"observation\":\"gone\",\"reason\":1}",
		 "line 2: \"reason\" has a value that does not fit"},
		{"{\"observation\":\"icmp\",\"from\":\"192.0.2.256\"}",
		 "line 2: \"from\" has a value that does not fit"},
		{"{\"observation\":\"icmp\",\"from\":\"-\"}",
		 "line 2: \"from\" has a value that does not fit"},
		{"{\"observation\":\"neigh\",\"lladdr\":\"02:00:00:00:00\"}",
		 "line 2: \"lladdr\" has a value that does not fit"},
		{"{\"observation\":\"neigh\",\"lladdr\":\"02:00:00:00:00-01\"}",
		 "line 2: \"lladdr\" has a value that does not fit"},
		{"{\"observation\":\"neigh\",\"lladdr\":\"02:00:00:00:00:0g\"}",
		 "line 2: \"lladdr\" has a value that does not fit"},
		{"{\"observation\":\"process\",\"comm\":\"0123456789abcdef\"}",
		 "line 2: \"comm\" has a value that does not fit"},
		{"{\"observation\":\"process\",\"comm\":{\"hex\":\"0\"}}",
		 "line 2: \"comm\" has a value that does not fit"},
		{"{\"observation\":\"process\",\"comm\":{\"hex\":\"zz\"}}",
		 "line 2: \"comm\" has a value that does not fit"},
		{"{\"observation\":\"process\",\"wchan\":\"\\u001b[2J\"}",
		 "line 2: \"wchan\" has a value that does not fit"},
		{"{\"observation\":\"process\",\"comm\":null}",
		 "line 2: \"comm\" has a value that does not fit"},
		{"{\"observation\":\"process\",\"comm\":\"a\\u0000b\"}", "line 2: no JSON object"},
		{"{\"observation\":\"snapshot\",\"snapshot\":{\"snd\":{\"pauses\":[1]}}}",
		 "line 2: \"pauses\" has a value that does not fit"},
		{"{\"observation\":\"snapshot\",\"snapshot\":{\"snd\":{\"pauses\":7}}}",
		 "line 2: \"pauses\" has a value that does not fit"},
	};
	struct record_header header;
	struct observation got;
	struct recording *r;
	char text[512], why[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), HEADER "%s\n", bad[i].line);
		write_text(text);
		assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), 0);
		assert_int_equal(recording_next(r, &got, why, sizeof(why)), -EINVAL);
		assert_string_equal(why, bad[i].why);
		recording_close(r);
	}
}

static void a_line_without_end_is_refused(void **state)
{
	struct record_header header;
	struct observation got;
	struct recording *r;
	char why[128];
	FILE *f;

	(void)state;
	write_text(HEADER);
	f = fopen(path, "ae");
	for (int i = 0; i <= RECORD_LINE_MAX; i++)
		putc('[', f);
	fclose(f);
	assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), 0);
	assert_int_equal(recording_next(r, &got, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "line 2: longer than 65536 bytes");
	recording_close(r);
}

/* Changes one byte of a good recording at a time; nothing but clean refusals may come of it. */
static void a_damaged_recording_never_harms(void **state)
{
	static char good[16384], text[sizeof(good)];
	struct record_header header = a_header();
	struct observation obs;
	struct recorder *w;
	struct recording *r;
	char why[128];
	size_t len;
	FILE *f;

	(void)state;
	assert_int_equal(recorder_open(path, &header, false, &w), 0);
	for (int t = 0; t < OBS_TYPES; t++) {
		obs = any_observation((enum observation_type)t);
		assert_int_equal(recorder_write(w, &obs), 0);
	}
	assert_int_equal(recorder_close(w), 0);
	f = fopen(path, "re");
	len = fread(good, 1, sizeof(good), f);
	fclose(f);
	assert_true(len > 1000 && len < sizeof(good));

	for (int i = 0; i < 2000; i++) {
		int got;

		memcpy(text, good, len);
		text[any() % len] = (char)any();
		if (i % 2)
			text[any() % len] = "0123456789-\"{}[],:"[any() % 18];
		f = fopen(path, "we");
		fwrite(text, 1, len, f);
		fclose(f);
		if (recording_open(path, &r, &header, why, sizeof(why)))
			continue;
		do
			got = recording_next(r, &obs, why, sizeof(why));
		while (got == 1);
		assert_true(got == 0 || got == -EINVAL);
		recording_close(r);
	}
}

static void siphash_is_that_of_its_paper(void **state)
{
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint8_t input[15];

	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)i;
	assert_true(siphash(key, input, sizeof(input)) == 0xa129ca6149be45e5);
}

static unsigned int common(const struct ip_addr *a, const struct ip_addr *b)
{
	unsigned int i = 0;

	while (i < 8 * addr_len(a) && !((a->bytes[i / 8] ^ b->bytes[i / 8]) >> (7 - i % 8) & 1))
		i++;
	return i;
}

static void anonymous_addresses_keep_prefixes_and_class(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0",	 "127.0.0.1",	  "10.1.2.3",	 "10.1.2.4",	"10.200.0.1",
		"172.16.0.1",	 "172.32.0.1",	  "192.168.1.1", "192.0.2.7",	"192.0.2.200",
		"198.51.100.50", "100.64.0.1",	  "100.128.0.1", "169.254.1.1", "224.0.0.1",
		"8.8.4.4",	 "9.255.255.255", "11.0.0.0",	 "223.1.1.1",	"126.1.1.1",
	};
	static const char *const texts6[] = {
		"::",	   "::1",	 "2001:db8::1", "2001:db8::2", "2001:db8:1::1",
		"fd00::1", "fd00::2",	 "fe80::1",	"febf::1",     "fec0::1",
		"ff02::1", "64:ff9b::1", "2600::1",	"2a00:1::1",   "::2",
	};
	struct ip_addr in[35], out[35];
	struct anonymizer a;
	int n = 0, changed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(addr_parse(texts[i], &in[n++]), 0);
	for (size_t i = 0; i < sizeof(texts6) / sizeof(texts6[0]); i++)
		assert_int_equal(addr_parse(texts6[i], &in[n++]), 0);

	for (int round = 0; round < 100; round++) {
		assert_int_equal(anonymizer_init(&a), 0);
		for (int i = 0; i < n; i++)
			out[i] = anonymize_addr(&a, &in[i]);
		for (int i = 0; i < n; i++) {
			assert_int_equal(out[i].family, in[i].family);
			assert_int_equal(addr_is_private(&out[i]), addr_is_private(&in[i]));
			assert_int_equal(addr_is_loopback(&out[i]), addr_is_loopback(&in[i]));
			changed += !addr_equal(&out[i], &in[i]);
			for (int j = 0; j < n; j++)
				if (in[i].family == in[j].family)
					assert_int_equal(common(&out[i], &out[j]),
							 common(&in[i], &in[j]));
		}
	}
	assert_true(changed > 100 * (n - 4) * 9 / 10); /* 0.0.0.0, ::, ::1 and ::2 stay */
}

static bool contains(const char *file, const char *text)
{
	char line[RECORD_LINE_MAX];
	FILE *f = fopen(file, "re");
	bool found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, text) != NULL;
	fclose(f);
	return found;
}

static void an_anonymous_recording_holds_no_names(void **state)
{
	struct record_header header = a_header();
	struct observation route = {.type = OBS_ROUTE}, process = {.type = OBS_PROCESS}, got[2];
	static const uint8_t mac[6] = {0x3c, 0x52, 0x82, 1, 2, 3}, none[6];
	struct recorder *w;
	struct recording *r;
	char why[128];

	(void)state;
	assert_int_equal(addr_parse("203.0.113.77", &route.route.key.local.addr), 0);
	route.route.key.local.port = 4711;
	route.route.gateway = route.route.key.local.addr;
	strcpy(route.route.ifname, "customer7");
	strcpy(route.route.kind, "wireguard");
	memcpy(route.route.lladdr, mac, sizeof(mac));
	process.process.key = route.route.key;
	strcpy(process.process.comm, "secret-project");
	strcpy(process.process.wchan, "tcp_recvmsg");
	strcpy(header.host, "db1.example.net");

	assert_int_equal(recorder_open(path, &header, true, &w), 0);
	assert_int_equal(recorder_write(w, &route), 0);
	assert_int_equal(recorder_write(w, &process), 0);
	assert_int_equal(recorder_close(w), 0);
	assert_false(contains(path, "203.0.113.77"));
	assert_false(contains(path, "customer7"));
	assert_false(contains(path, "secret"));
	assert_false(contains(path, "example.net"));
	assert_false(contains(path, "3c:52:82"));
	assert_false(contains(path, "01:02:03"));

	assert_int_equal(recording_open(path, &r, &header, why, sizeof(why)), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(recording_next(r, &got[i], why, sizeof(why)), 1);
	recording_close(r);
	assert_memory_equal(&got[0].route.key, &got[1].process.key, sizeof(got[0].route.key));
	assert_true(addr_equal(&got[0].route.gateway, &got[0].route.key.local.addr));
	assert_int_equal(got[0].route.key.local.port, 4711);
	assert_string_equal(got[0].route.kind, "wireguard");
	assert_string_equal(got[1].process.wchan, "tcp_recvmsg");
	assert_memory_not_equal(got[0].route.lladdr, none, sizeof(none));
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_of_an_observation_is_recorded),
		cmocka_unit_test(what_is_written_is_read_back_bit_for_bit),
		cmocka_unit_test(a_recording_is_for_its_owner_only),
		cmocka_unit_test(a_full_disk_is_told_once),
		cmocka_unit_test(what_a_newer_program_adds_is_ignored),
		cmocka_unit_test(a_cut_off_last_line_ends_the_recording),
		cmocka_unit_test(a_hostile_header_is_refused),
		cmocka_unit_test(a_value_that_does_not_fit_is_named_with_its_line),
		cmocka_unit_test(a_line_without_end_is_refused),
		cmocka_unit_test(a_damaged_recording_never_harms),
		cmocka_unit_test(siphash_is_that_of_its_paper),
		cmocka_unit_test(anonymous_addresses_keep_prefixes_and_class),
		cmocka_unit_test(an_anonymous_recording_holds_no_names),
	};

	return cmocka_run_group_tests_name("record", tests, make_file, remove_file);
}
