/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets of a capture in batches. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sensor/feed.h"

#define HEADERS 54u /* Ethernet, IPv4, TCP */

static void write_header(FILE *out)
{
	static const uint32_t header[6] = {0xa1b23c4d, 0x00040002, 0, 0, 96, 1};

	fwrite(header, sizeof(header), 1, out);
}

static void write_packet(FILE *out, uint32_t n)
{
	const uint32_t header[4] = {1000 + n / 1000, n % 1000, HEADERS, HEADERS};
	uint8_t p[HEADERS] = {
		[12] = 0x08, [14] = 0x45, [17] = 40,  [22] = 64,   [23] = 6, [26] = 192,
		[28] = 2,    [29] = 1,	  [30] = 192, [32] = 2,	   [33] = 2, [35] = 80,
		[37] = 81,   [46] = 0x50, [47] = 16,  [48] = 0xff,
	};

	p[41] = (uint8_t)n;
	p[40] = (uint8_t)(n >> 8);
	p[39] = (uint8_t)(n >> 16);
	fwrite(header, sizeof(header), 1, out);
	fwrite(p, sizeof(p), 1, out);
}

/* Of an open file or pipe. */
static struct capture *open_fd(int fd)
{
	char path[32], why[CAPTURE_WHY_LEN];
	struct capture *c = NULL;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(capture_open(path, &c, why, sizeof(why)), 0);
	return c;
}

/* How many came, each as it was written; what feed_next() returned at the end. */
static uint32_t read_all(struct capture *c, int *ret_end)
{
	const struct feed_batch *b;
	struct feed *feed;
	uint32_t n = 0;

	assert_int_equal(feed_new(c, &feed), 0);
	while ((*ret_end = feed_next(feed, &b)) > 0) {
		assert_in_range(b->n, 1, FEED_BATCH);
		for (uint32_t i = 0; i < b->n; i++, n++) {
			const struct tracker_item *item = &b->items[i];
			uint64_t at_ns = (uint64_t)(n / 1000) * 1000000000 + n % 1000;

			assert_int_equal(item->frame.kind, FRAME_TCP);
			assert_int_equal(item->frame.seq, n);
			assert_int_equal(item->number, n + 1);
			assert_int_equal(item->now_ns, at_ns + 1);
			assert_int_equal(item->hash, frame_hash(&item->frame));
		}
	}
	assert_int_equal(feed_first_ns(feed), n ? 1000000000000 : 0);
	assert_int_equal(feed_next(feed, &b), *ret_end);
	feed_free(feed);
	return n;
}

static void every_packet_comes_once_and_in_order(void **state)
{
	static const uint32_t counts[] = {0, 1, FEED_BATCH, 20 * FEED_BATCH + 7};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		FILE *file = tmpfile();
		struct capture *c;
		int end;

		write_header(file);
		for (uint32_t n = 0; n < counts[i]; n++)
			write_packet(file, n);
		fflush(file);
		c = open_fd(fileno(file));
		assert_int_equal(read_all(c, &end), counts[i]);
		assert_int_equal(end, 0);
		assert_int_equal(capture_counts(c).packets_read, counts[i]);
		capture_close(c);
		fclose(file);
	}
}

static void a_file_that_is_cut_gives_what_it_has(void **state)
{
	FILE *file = tmpfile();
	struct capture *c;
	int end;

	(void)state;
	write_header(file);
	for (uint32_t n = 0; n < 3000; n++)
		write_packet(file, n);
	fflush(file);
	assert_int_equal(ftruncate(fileno(file), ftello(file) - 9), 0);
	c = open_fd(fileno(file));
	assert_int_equal(read_all(c, &end), 2999);
	assert_int_equal(end, -ENODATA);
	assert_non_null(strstr(capture_why(c), "cut off"));
	capture_close(c);
	fclose(file);
}

/* What a pipe has brought is handed out although its writer is silent now. */
static void a_packet_does_not_wait_for_those_behind_it(void **state)
{
	const struct feed_batch *b;
	struct capture *c;
	struct feed *feed;
	int fd[2];
	FILE *out;

	(void)state;
	assert_int_equal(pipe(fd), 0);
	out = fdopen(fd[1], "w");
	write_header(out);
	for (uint32_t n = 0; n < 5; n++)
		write_packet(out, n);
	fflush(out);
	c = open_fd(fd[0]);
	assert_int_equal(feed_new(c, &feed), 0);
	assert_int_equal(feed_next(feed, &b), 1);
	assert_int_equal(b->n, 5);
	write_packet(out, 5);
	fflush(out);
	assert_int_equal(feed_next(feed, &b), 1);
	assert_int_equal(b->n, 1);
	feed_free(feed);
	capture_close(c);
	fclose(out);
	close(fd[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_comes_once_and_in_order),
		cmocka_unit_test(a_file_that_is_cut_gives_what_it_has),
		cmocka_unit_test(a_packet_does_not_wait_for_those_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
