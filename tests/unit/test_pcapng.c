/* SPDX-License-Identifier: GPL-2.0-only */
/* Captures that we write, read back by libpcap and by our own reader, and files that are whole or
 * not there. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/newfile.h"
#include "base/utf8.h"
#include "incident/pcapng.h"
#include "sensor/capture.h"

#define ETHERNET 1
#define RAW_IP	 101
#define WHEN_NS	 1767323045123456789ll

static const uint8_t bytes[] = "a packet of an odd length";

struct place {
	char dir[64], path[96];
};

static int make_dir(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/test_pcapng.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/out", p->dir);
	*state = p;
	return 0;
}

static int files_in(const char *dir, bool remove_them)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		n++;
		if (remove_them)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	return n;
}

static int drop_dir(void **state)
{
	struct place *p = *state;

	files_in(p->dir, true);
	rmdir(p->dir);
	free(p);
	return 0;
}

static struct pcapng *create(const struct place *p, const char *comment)
{
	struct pcapng *w = NULL;

	assert_int_equal(pcapng_create(p->path, false, comment, "test 1", &w), 0);
	return w;
}

static void write_packet(struct pcapng *w, uint32_t interface, int64_t time_ns,
			 enum pcapng_direction direction, const char *comment)
{
	const struct pcapng_packet packet = {
		.interface = interface,
		.direction = direction,
		.time_ns = time_ns,
		.data = bytes,
		.captured = sizeof(bytes),
		.length = 1500,
		.comment = comment,
	};

	assert_int_equal(pcapng_packet(w, &packet), 0);
}

static uint32_t interface_of(struct pcapng *w, const char *name, int linktype)
{
	uint32_t n = UINT32_MAX;

	assert_int_equal(pcapng_interface(w, name, linktype, 0, &n), 0);
	return n;
}

/* The whole file; its length in ret_len. */
static uint8_t *contents(const char *path, size_t *ret_len)
{
	uint8_t *data = malloc(1 << 20);
	FILE *f = fopen(path, "r");

	assert_non_null(data);
	assert_non_null(f);
	*ret_len = fread(data, 1, 1 << 20, f);
	fclose(f);
	return data;
}

static bool holds(const struct place *p, const char *text)
{
	size_t len;
	uint8_t *data = contents(p->path, &len);
	bool found = memmem(data, len, text, strlen(text));

	free(data);
	return found;
}

static void libpcap_reads_it_back_to_the_nanosecond(void **state)
{
	const struct place *p = *state;
	struct pcapng *w = create(p, "why\nand how");
	uint32_t eth = interface_of(w, "eth0", ETHERNET);
	char why[PCAP_ERRBUF_SIZE] = "";
	struct pcap_pkthdr *h;
	const uint8_t *data;
	pcap_t *pcap;

	write_packet(w, eth, WHEN_NS, PCAPNG_OUT, "last progress");
	write_packet(w, eth, WHEN_NS + 1, PCAPNG_UNKNOWN, NULL);
	write_packet(w, eth, -5, PCAPNG_IN, "");
	pcapng_lost(w, eth, 3, 7);
	assert_int_equal(pcapng_finish(w), 0);
	pcapng_free(w);

	pcap = pcap_open_offline_with_tstamp_precision(p->path, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!pcap)
		fail_msg("%s", why);
	assert_int_equal(pcap_datalink(pcap), DLT_EN10MB);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pcap_next_ex(pcap, &h, &data), 1);
		assert_int_equal(h->ts.tv_sec, WHEN_NS / 1000000000);
		assert_int_equal(h->ts.tv_usec, WHEN_NS % 1000000000 + i);
		assert_int_equal(h->caplen, sizeof(bytes));
		assert_int_equal(h->len, 1500);
		assert_memory_equal(data, bytes, sizeof(bytes));
	}
	assert_int_equal(pcap_next_ex(pcap, &h, &data), 1);
	assert_int_equal(h->ts.tv_sec, 0);
	assert_int_equal(pcap_next_ex(pcap, &h, &data), PCAP_ERROR_BREAK);
	pcap_close(pcap);
	assert_true(holds(p, "why\nand how"));
	assert_true(holds(p, "last progress"));
	assert_int_equal(files_in(p->dir, false), 1);
}

static void each_name_and_link_type_is_an_interface(void **state)
{
	const struct place *p = *state;
	struct pcapng *w = create(p, "");
	uint32_t eth = interface_of(w, "eth0", ETHERNET), raw = interface_of(w, "eth0", RAW_IP);
	struct capture *c = NULL;
	struct captured packet;
	char why[CAPTURE_WHY_LEN];
	uint32_t n;

	assert_int_not_equal(eth, raw);
	assert_int_equal(interface_of(w, "eth0", ETHERNET), eth);
	write_packet(w, raw, WHEN_NS, PCAPNG_IN, NULL);
	write_packet(w, eth, WHEN_NS, PCAPNG_OUT, NULL);
	pcapng_lost(w, eth, 3, 7);
	pcapng_lost(w, raw, 3, 2);
	for (int i = 2; i < PCAPNG_INTERFACES; i++)
		interface_of(w, "other", 1000 + i);
	assert_int_equal(pcapng_interface(w, "one more", ETHERNET, 0, &n), -ENOSPC);
	assert_int_equal(pcapng_finish(w), 0);
	pcapng_free(w);

	assert_int_equal(capture_open(p->path, &c, why, sizeof(why)), 0);
	assert_int_equal(capture_next(c, &packet), 1);
	assert_int_equal(packet.linktype, RAW_IP);
	assert_int_equal(packet.time_ns, WHEN_NS);
	assert_int_equal(capture_next(c, &packet), 1);
	assert_int_equal(packet.linktype, ETHERNET);
	assert_int_equal(packet.captured, sizeof(bytes));
	assert_int_equal(capture_next(c, &packet), 0);
	assert_int_equal(capture_counts(c).dropped, 9);
	capture_close(c);
}

static void a_packet_of_no_interface_is_refused(void **state)
{
	struct pcapng *w = create(*state, "");
	const struct pcapng_packet packet = {.interface = 0, .data = bytes};

	assert_int_equal(pcapng_packet(w, &packet), -EINVAL);
	assert_int_equal(pcapng_packet(w, &(struct pcapng_packet){.interface = ~0u}), -EINVAL);
	pcapng_free(w);
}

static void hostile_text_becomes_valid_utf8(void **state)
{
	const struct place *p = *state;
	struct pcapng *w;
	char *longest = malloc(100000);
	size_t len;
	uint8_t *data;

	assert_non_null(longest);
	memset(longest, 'x', 99999);
	longest[99999] = '\0';
	w = create(p, "a\xff\033[2Jb\ncaf\xc3\xa9");
	write_packet(w, interface_of(w, "e\n\xed\xa0\x80th", ETHERNET), WHEN_NS, PCAPNG_UNKNOWN,
		     longest);
	assert_int_equal(pcapng_finish(w), 0);
	pcapng_free(w);
	assert_true(holds(p, "a\\xff\\x1b[2Jb\ncaf\xc3\xa9"));
	assert_true(holds(p, "e\\x0a\\xed\\xa0\\x80th"));
	data = contents(p->path, &len);
	assert_true(len < 20000); /* the comment was cut, not written in full */
	free(data);
	free(longest);
}

static void a_file_that_is_there_stays_unless_forced(void **state)
{
	const struct place *p = *state;
	struct newfile *f = NULL;
	struct stat st;

	assert_int_equal(newfile_open(p->path, false, &f), 0);
	fputs("old", newfile_stream(f));
	assert_int_equal(newfile_commit(f), 0);
	newfile_free(f);
	assert_int_equal(newfile_open(p->path, false, &f), -EEXIST);
	assert_true(holds(p, "old"));

	assert_int_equal(newfile_open(p->path, true, &f), 0);
	fputs("new", newfile_stream(f));
	assert_true(holds(p, "old"));
	assert_int_equal(newfile_commit(f), 0);
	newfile_free(f);
	assert_true(holds(p, "new"));
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(files_in(p->dir, false), 1);
}

static void a_file_that_came_meanwhile_is_not_replaced(void **state)
{
	const struct place *p = *state;
	struct newfile *one = NULL, *two = NULL;

	assert_int_equal(newfile_open(p->path, false, &one), 0);
	assert_int_equal(newfile_open(p->path, false, &two), 0);
	fputs("first", newfile_stream(one));
	fputs("second", newfile_stream(two));
	assert_int_equal(newfile_commit(one), 0);
	assert_int_equal(newfile_commit(two), -EEXIST);
	newfile_free(one);
	newfile_free(two);
	assert_true(holds(p, "first"));
	assert_int_equal(files_in(p->dir, false), 1);
}

static void what_is_not_committed_leaves_nothing(void **state)
{
	const struct place *p = *state;
	struct pcapng *w = create(p, "");

	pcapng_free(w);
	assert_int_equal(files_in(p->dir, false), 0);
	pcapng_free(NULL);
	newfile_free(NULL);
}

static void a_target_that_cannot_be_is_an_error(void **state)
{
	const struct place *p = *state;
	struct newfile *f = NULL;
	struct pcapng *w = NULL;

	assert_int_equal(newfile_open(p->dir, true, &f), -EISDIR);
	assert_int_equal(newfile_open("/tmp/no such directory/x", false, &f), -ENOENT);
	assert_int_equal(pcapng_create("/dev/full", false, "", "test", &w), 0);
	assert_int_equal(pcapng_finish(w), -ENOSPC);
	pcapng_free(w);
}

static void clean_text_keeps_what_is_good_and_never_cuts_a_character(void **state)
{
	char buf[64];

	(void)state;
	assert_string_equal(utf8_clean("caf\xc3\xa9 \xf0\x9f\x98\x80", false, buf, sizeof(buf)),
			    "caf\xc3\xa9 \xf0\x9f\x98\x80");
	assert_string_equal(utf8_clean("caf\xc3\xa9", false, buf, 5), "caf");
	assert_string_equal(utf8_clean("\xc3", false, buf, sizeof(buf)), "\\xc3");
	assert_string_equal(utf8_clean("a\tb\nc", true, buf, sizeof(buf)), "a\\x09b\nc");
	assert_string_equal(utf8_clean("\xe2\x80\xae!", false, buf, sizeof(buf)),
			    "\\xe2\\x80\\xae!");
	assert_string_equal(utf8_clean("\xc2\x85", false, buf, sizeof(buf)), "\\xc2\\x85");
	assert_string_equal(utf8_clean("abc", false, buf, 1), "");
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, drop_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(libpcap_reads_it_back_to_the_nanosecond),
		IN_DIR(each_name_and_link_type_is_an_interface),
		IN_DIR(a_packet_of_no_interface_is_refused),
		IN_DIR(hostile_text_becomes_valid_utf8),
		IN_DIR(a_file_that_is_there_stays_unless_forced),
		IN_DIR(a_file_that_came_meanwhile_is_not_replaced),
		IN_DIR(what_is_not_committed_leaves_nothing),
		IN_DIR(a_target_that_cannot_be_is_an_error),
		cmocka_unit_test(clean_text_keeps_what_is_good_and_never_cuts_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
