/* SPDX-License-Identifier: GPL-2.0-only */
/* The store: what comes out is what went in, whatever is done to it in between. */
#include "incident/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "incident/archive.h"

#define OFFSET 1767323045000000000ll /* 2026-01-02 */

static char dir[] = "/tmp/tcpstall-test-store-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int fresh_dir(void **state)
{
	(void)state;
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return mkdir(dir, 0700);
}

static int at_end(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* An incident of this second after the first one, from 192.0.2.1:5432. */
static struct incident incident_at(unsigned int second)
{
	struct incident i = {
		.key.cookie = second + 1,
		.key.local.port = 5432,
		.key.remote.port = (uint16_t)(30000 + second),
		.local_sends = true,
		.begun_ns = ((uint64_t)second + 10) * NS_PER_S,
		.verdict.cause = CAUSE_PATH_BLACKHOLE,
	};

	addr_parse("192.0.2.1", &i.key.local.addr);
	addr_parse("198.51.100.7", &i.key.remote.addr);
	snprintf(i.process.comm, sizeof(i.process.comm), "postgres");
	i.process.pid = 7;
	i.last_progress_ns = i.begun_ns - 2 * NS_PER_S;
	snprintf(i.id, sizeof(i.id), "20260102T03%02u%02u-%04x", second / 60 % 60, second % 60,
		 second & 0xffff);
	return i;
}

static struct store *open_store(uint64_t max_bytes)
{
	const struct store_config config = {
		.dir = dir,
		.max_bytes = max_bytes,
		.max_age_ns = 100ull * 365 * 86400 * NS_PER_S,
		.host = "db1",
		.wall_offset_ns = OFFSET,
	};
	struct store *s;

	assert_int_equal(store_new(&config, &s), 0);
	return s;
}

static void put(struct store *s, enum output_kind kind, const struct incident *i, uint64_t now_ns)
{
	store_output(s, &(struct output){.kind = kind, .now_ns = now_ns, .incident = i});
}

static void put_whole(struct store *s, const struct incident *i)
{
	struct incident end = *i;

	put(s, OUT_STALL_BEGIN, i, i->begun_ns);
	put(s, OUT_VERDICT, i, i->begun_ns + 1);
	end.outcome = OUTCOME_RECOVERED;
	end.ended_ns = i->begun_ns + NS_PER_S;
	put(s, OUT_STALL_END, &end, end.ended_ns);
}

struct seen {
	int n;
	enum output_kind kinds[8];
	struct archived archived;
	struct incident last;
	char ids[512][INCIDENT_ID];
};

static int look(const struct archived *archived, const struct output *out, void *arg)
{
	struct seen *seen = arg;

	if (seen->n < 8)
		seen->kinds[seen->n] = out->kind;
	if (seen->n < 512)
		memcpy(seen->ids[seen->n], out->incident->id, INCIDENT_ID);
	seen->n++;
	seen->archived = *archived;
	seen->last = *out->incident;
	return 0;
}

static struct archive *open_archive(void)
{
	struct archive *a;
	char why[256] = "";

	if (archive_open(dir, &a, why, sizeof(why)))
		fail_msg("%s", why);
	return a;
}

static struct seen *list(const struct archive_filter *filter)
{
	static struct seen seen;
	struct archive *a = open_archive();
	uint64_t damaged;

	seen = (struct seen){0};
	assert_int_equal(archive_each(a, filter, look, &seen, &damaged), 0);
	assert_int_equal(damaged, 0);
	archive_close(a);
	return &seen;
}

/* Until the thread has something to say. */
static const char *news_of(struct store *s)
{
	static char line[512];
	struct pollfd p = {.fd = store_fd(s), .events = POLLIN};

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(store_news(s, line, sizeof(line)));
	return line;
}

static void events_come_back_in_their_order(void **state)
{
	struct incident i = incident_at(1);
	struct store *s = open_store(STORE_BYTES);
	struct seen seen = {0};
	struct archive *a;

	(void)state;
	put_whole(s, &i);
	store_free(s);
	a = open_archive();
	assert_int_equal(archive_events(a, i.id, look, &seen), 0);
	archive_close(a);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.kinds[0], OUT_STALL_BEGIN);
	assert_int_equal(seen.kinds[1], OUT_VERDICT);
	assert_int_equal(seen.kinds[2], OUT_STALL_END);
	assert_int_equal(seen.last.outcome, OUTCOME_RECOVERED);
	assert_string_equal(seen.archived.host, "db1");
	assert_int_equal(seen.archived.wall_offset_ns, OFFSET);
	assert_false(seen.archived.running);
}

static void what_a_killed_run_left_open_ends_as_interrupted(void **state)
{
	struct incident i = incident_at(1);
	struct store *s = open_store(STORE_BYTES);
	struct seen *seen;

	(void)state;
	put(s, OUT_STALL_BEGIN, &i, i.begun_ns);
	store_free(s);
	seen = list(&(struct archive_filter){0});
	assert_int_equal(seen->n, 1);
	assert_int_equal(seen->kinds[0], OUT_STALL_END);
	assert_int_equal(seen->last.outcome, OUTCOME_INTERRUPTED);
}

static void what_goes_on_is_not_interrupted(void **state)
{
	struct incident i = incident_at(1);
	struct store *s = open_store(STORE_BYTES), *other = open_store(STORE_BYTES);
	struct seen *seen;

	(void)state;
	put(s, OUT_STALL_BEGIN, &i, i.begun_ns);
	put_whole(other, &(struct incident){.id = "20260102T030405-0001"});
	store_free(other);
	while (!store_counts(s).incidents)
		usleep(1000); /* until the thread is through with it */
	seen = list(&(struct archive_filter){.port = 5432});
	assert_int_equal(seen->n, 1);
	assert_int_equal(seen->kinds[0], OUT_STALL_BEGIN);
	assert_true(seen->archived.running);
	store_free(s);
}

static void incidents_are_found_by_what_is_known_of_them(void **state)
{
	struct store *s = open_store(STORE_BYTES);
	struct archive_filter f = {0};

	(void)state;
	for (unsigned int k = 0; k < 5; k++) {
		struct incident i = incident_at(k);

		put_whole(s, &i);
	}
	store_free(s);
	assert_int_equal(list(&f)->n, 5);
	assert_string_equal(list(&f)->ids[0], incident_at(4).id);
	f.port = 30003;
	assert_int_equal(list(&f)->n, 1);
	f = (struct archive_filter){.cause = "path-loss"};
	assert_int_equal(list(&f)->n, 0);
	f = (struct archive_filter){.comm = "postgres"};
	assert_int_equal(list(&f)->n, 5);
	f = (struct archive_filter){.since_ns = OFFSET + 12 * (int64_t)NS_PER_S,
				    .until_ns = OFFSET + 13 * (int64_t)NS_PER_S};
	assert_int_equal(list(&f)->n, 2);
	f = (struct archive_filter){.bits = 23};
	addr_parse("198.51.101.9", &f.addr);
	assert_int_equal(list(&f)->n, 5);
	f.bits = 24;
	assert_int_equal(list(&f)->n, 0);
}

static void an_id_is_found_by_its_beginning(void **state)
{
	struct store *s = open_store(STORE_BYTES);
	char id[INCIDENT_ID], ids[ARCHIVE_IDS][INCIDENT_ID];
	struct archive *a;
	int n;

	(void)state;
	for (unsigned int k = 0; k <= 70; k += 35) {
		struct incident i = incident_at(k);

		put_whole(s, &i);
	}
	store_free(s);
	a = open_archive();
	assert_int_equal(archive_find(a, "20260102T0301", id, ids, &n), 0);
	assert_string_equal(id, incident_at(70).id);
	assert_int_equal(archive_find(a, "2026", id, ids, &n), -EEXIST);
	assert_int_equal(n, 3);
	assert_int_equal(archive_find(a, "20260102T0300", id, ids, &n), -EEXIST);
	assert_int_equal(n, 2); /* nor is the third named among them */
	assert_string_equal(ids[0], incident_at(35).id);
	assert_string_equal(ids[1], incident_at(0).id);
	assert_int_equal(archive_find(a, "20260102T0302", id, ids, &n), -ENOENT);
	assert_int_equal(n, 3);
	assert_int_equal(archive_find(a, "", id, ids, &n), -ENOENT);
	assert_int_equal(archive_find(a, "20260120T030035-0023", id, ids, &n), -ENOENT);
	assert_string_equal(ids[0], incident_at(35).id);
	archive_close(a);
}

static void another_flow_of_the_same_id_is_counted_as_lost(void **state)
{
	struct incident one = incident_at(1), other = incident_at(2);
	struct store *s = open_store(STORE_BYTES);

	(void)state;
	memcpy(other.id, one.id, sizeof(other.id));
	put_whole(s, &one);
	put_whole(s, &other);
	store_finish(s);
	assert_int_equal(store_counts(s).incidents, 1);
	assert_int_equal(store_counts(s).incidents_lost, 1);
	assert_int_equal(store_counts(s).lost, 3);
	store_free(s);
	assert_int_equal(list(&(struct archive_filter){0})->last.key.remote.port, 30001);
}

/* As each of two processes that watch the same connections. */
static void what_another_process_keeps_is_not_lost(void **state)
{
	struct incident i = incident_at(1);
	struct store *s = open_store(STORE_BYTES), *other = open_store(STORE_BYTES);

	(void)state;
	put_whole(s, &i);
	store_finish(s);
	put_whole(other, &i);
	store_finish(other);
	assert_int_equal(store_counts(s).incidents, 1);
	assert_int_equal(store_counts(other).incidents, 0);
	assert_int_equal(store_counts(other).lost, 0);
	store_free(s);
	store_free(other);
}

static uint64_t total;

static int add_size(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (type == FTW_F)
		total += (uint64_t)st->st_size;
	return 0;
}

static uint64_t size_on_disk(void)
{
	total = 0;
	nftw(dir, add_size, 8, FTW_PHYS);
	return total;
}

#define LIMIT (2u << 20)
static void two_hundred_in_a_row_stay_within_the_limit(void **state)
{
	struct kept_packet packets[256] = {0};
	struct incident running = incident_at(0);
	struct store *s = open_store(LIMIT);
	struct seen *seen;

	(void)state;
	for (size_t k = 0; k < 256; k++) {
		packets[k].packet.captured = 100;
		packets[k].packet.time_ns = 1 + k;
	}
	put(s, OUT_STALL_BEGIN, &running, running.begun_ns);
	for (unsigned int k = 1; k <= 200; k++) {
		struct incident i = incident_at(k);

		put_whole(s, &i);
		store_packets(s, i.id, packets, 256, NULL);
		while (store_counts(s).incidents < k + 1)
			usleep(1000); /* or the queue would be full */
		assert_in_range(size_on_disk(), 0, LIMIT + LIMIT / 2);
	}
	store_free(s);
	assert_in_range(size_on_disk(), 0, LIMIT);
	seen = list(&(struct archive_filter){0});
	assert_in_range(seen->n, 10, 199);
	/* The newest are there without a gap, and the one that went on all the time. */
	for (int k = 0; k < seen->n - 1; k++)
		assert_string_equal(seen->ids[k], incident_at(200 - (unsigned int)k).id);
	assert_string_equal(seen->ids[seen->n - 1], running.id);
}

static void what_is_too_old_goes(void **state)
{
	struct store_config config = {
		.dir = dir,
		.max_bytes = STORE_BYTES,
		.max_age_ns = 3600 * NS_PER_S,
		.host = "db1",
		.wall_offset_ns = wall_offset_ns(),
	};
	struct incident old = incident_at(1), young = incident_at(2);
	struct store *s;

	(void)state;
	old.begun_ns = mono_ns() - 3601 * NS_PER_S;
	young.begun_ns = mono_ns();
	assert_int_equal(store_new(&config, &s), 0);
	put_whole(s, &old);
	put_whole(s, &young);
	store_free(s);
	assert_int_equal(list(&(struct archive_filter){0})->n, 1);
	assert_string_equal(list(&(struct archive_filter){0})->ids[0], young.id);
}

static void write_file(const char *name, const char *text, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void a_damaged_database_is_moved_aside(void **state)
{
	static const char junk[5000] = "this is no database";
	struct incident i = incident_at(1);
	struct archive *a;
	struct store *s;
	char why[256];

	(void)state;
	write_file("incidents.db", junk, sizeof(junk));
	assert_int_equal(archive_open(dir, &a, why, sizeof(why)), -EBADMSG);
	s = open_store(STORE_BYTES);
	assert_non_null(strstr(news_of(s), "damaged: moved to"));
	put_whole(s, &i);
	store_free(s);
	assert_int_equal(list(&(struct archive_filter){0})->n, 1);
}

static void the_directory_may_be_a_link(void **state)
{
	struct incident i = incident_at(1);
	struct store *s;
	char real[64];

	(void)state;
	snprintf(real, sizeof(real), "%s-real", dir);
	assert_int_equal(rename(dir, real), 0);
	assert_int_equal(symlink(real, dir), 0);
	s = open_store(STORE_BYTES);
	put_whole(s, &i);
	store_free(s);
	assert_int_equal(list(&(struct archive_filter){0})->n, 1);
	nftw(real, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void a_newer_store_is_refused_and_left_alone(void **state)
{
	struct incident i = incident_at(1);
	struct store *s = open_store(STORE_BYTES);
	char path[256], why[256];
	struct archive *a;
	uint8_t version[4] = {0, 0, 0, 99}; /* user_version: bytes 60 to 63 of the file */
	int fd;

	(void)state;
	put_whole(s, &i);
	store_free(s);
	snprintf(path, sizeof(path), "%s/incidents.db", dir);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, version, 4, 60), 4);
	assert_int_equal(archive_open(dir, &a, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "newer"));
	s = open_store(STORE_BYTES);
	assert_non_null(strstr(news_of(s), "newer"));
	put_whole(s, &i);
	store_finish(s);
	assert_int_equal(store_counts(s).incidents_lost, 1);
	assert_int_equal(store_counts(s).lost, 3);
	assert_non_null(strstr(news_of(s), "1 incident was not kept"));
	store_free(s);
	assert_int_equal(pread(fd, version, 4, 60), 4);
	assert_int_equal(version[3], 99);
	close(fd);
}

static void packets_come_back_in_order_each_once(void **state)
{
	struct incident i = incident_at(1);
	struct store *s = open_store(STORE_BYTES);
	const struct box_counts counts = {.seen = 9, .overwritten = 2, .torn = 1, .unseen = 4};
	struct kept_packet p[3] = {0}, *back;
	struct seen seen = {0};
	struct archive *a;
	size_t n;

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		p[k].packet.time_ns = 10 - k;
		p[k].packet.captured = 60;
		p[k].packet.data[3] = (uint8_t)k;
	}
	put_whole(s, &i);
	store_packets(s, i.id, p, 3, &counts);
	store_packets(s, i.id, p + 1, 2, &counts);
	store_packets(s, "20260102T030405-ffff", p, 3, NULL); /* of no incident */
	store_packets(s, "../../etc/passwd", p, 3, NULL);
	store_free(s);
	a = open_archive();
	assert_int_equal(archive_packets(a, i.id, &back, &n), 0);
	assert_int_equal(n, 3);
	for (size_t k = 0; k < 3; k++)
		assert_int_equal(back[k].packet.data[3], 2 - k);
	free(back);
	assert_int_equal(archive_events(a, i.id, look, &seen), 0);
	assert_int_equal(seen.archived.seen, 13);
	assert_int_equal(seen.archived.lost, 7);
	archive_close(a);
}

static void a_cut_packets_file_is_good_up_to_there(void **state)
{
	struct kept_packet p[2] = {{.packet = {.time_ns = 1, .captured = 60}},
				   {.packet = {.time_ns = 2, .captured = 60}}};
	struct kept_packet *back;
	char path[256];
	struct stat st;
	size_t n;

	(void)state;
	snprintf(path, sizeof(path), "%s/p", dir);
	assert_int_equal(kept_read(path, &back, &n), -ENOENT);
	assert_int_equal(kept_append(path, p, 2), 0);
	stat(path, &st);
	for (off_t len = st.st_size - 1; len > 0; len--) {
		assert_int_equal(truncate(path, len), 0);
		int err = kept_read(path, &back, &n);

		/* Between two records nobody can tell that there were more. */
		assert_true(err == -ENODATA || (!err && n <= 1));
		free(back);
	}
	write_file("p", "something else altogether", 25);
	assert_int_equal(kept_read(path, &back, &n), -EBADMSG);
}

static void a_fifo_in_the_store_keeps_nobody_waiting(void **state)
{
	struct kept_packet p = {.packet = {.time_ns = 1, .captured = 60}}, *back;
	struct archive *a;
	struct store *s;
	char path[256], why[256];
	size_t n;

	(void)state;
	snprintf(path, sizeof(path), "%s/p", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(kept_read(path, &back, &n), -EBADMSG);
	assert_int_equal(kept_append(path, &p, 1), -EINVAL);
	snprintf(path, sizeof(path), "%s/incidents.db", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(archive_open(dir, &a, why, sizeof(why)), -EBADMSG);
	s = open_store(STORE_BYTES);
	assert_non_null(strstr(news_of(s), "damaged: moved to"));
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(events_come_back_in_their_order, fresh_dir),
		cmocka_unit_test_setup(what_a_killed_run_left_open_ends_as_interrupted, fresh_dir),
		cmocka_unit_test_setup(what_goes_on_is_not_interrupted, fresh_dir),
		cmocka_unit_test_setup(incidents_are_found_by_what_is_known_of_them, fresh_dir),
		cmocka_unit_test_setup(an_id_is_found_by_its_beginning, fresh_dir),
		cmocka_unit_test_setup(another_flow_of_the_same_id_is_counted_as_lost, fresh_dir),
		cmocka_unit_test_setup(what_another_process_keeps_is_not_lost, fresh_dir),
		cmocka_unit_test_setup(two_hundred_in_a_row_stay_within_the_limit, fresh_dir),
		cmocka_unit_test_setup(what_is_too_old_goes, fresh_dir),
		cmocka_unit_test_setup(a_damaged_database_is_moved_aside, fresh_dir),
		cmocka_unit_test_setup(the_directory_may_be_a_link, fresh_dir),
		cmocka_unit_test_setup(a_newer_store_is_refused_and_left_alone, fresh_dir),
		cmocka_unit_test_setup(packets_come_back_in_order_each_once, fresh_dir),
		cmocka_unit_test_setup(a_cut_packets_file_is_good_up_to_there, fresh_dir),
		cmocka_unit_test_setup(a_fifo_in_the_store_keeps_nobody_waiting, fresh_dir),
	};

	if (!store_supported()) {
		puts("1..0 # SKIP built without SQLite");
		return 0;
	}
	if (!mkdtemp(dir))
		return 1;
	return cmocka_run_group_tests(tests, NULL, at_end);
}
