/* SPDX-License-Identifier: GPL-2.0-only */
/* The configuration: what users write, what they get wrong, and that what is printed reads back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lines.h"
#include "base/list.h"
#include "config/config.h"

static struct config c;
static char why[2048];

static int read_text(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	int err;

	assert_non_null(file);
	config_defaults(&c);
	*why = '\0';
	err = config_read(file, "x.conf", &c, why, sizeof(why));
	fclose(file);
	return err ? err : config_finish(&c, why, sizeof(why));
}

static void needs_files(void)
{
	if (!config_supported()) {
		print_message("built without libinih\n");
		skip();
	}
}

#define assert_wrong(text, message)                                                                \
	do {                                                                                       \
		assert_int_equal(read_text(text), -EINVAL);                                        \
		assert_string_equal(why, message);                                                 \
	} while (0)

static void without_a_file_there_are_defaults(void **state)
{
	(void)state;
	config_defaults(&c);
	assert_int_equal(config_finish(&c, why, sizeof(why)), 0);
	assert_int_equal(c.n_watch, 1);
	assert_int_equal(c.n_sinks, 0);
	assert_int_equal(c.watch[0].stall_after_ns, 2 * NS_PER_S);
	assert_int_equal(c.watch[0].min_bytes, 1 << 20);
	assert_true(c.daemon.probe && c.store.keep && c.watch[0].keep);
	assert_int_equal(c.watch[0].alert, ALERT_STALLS);
	assert_string_equal(c.store.dir, "/var/lib/tcpstall");
}

static void sections_and_keys_are_read(void **state)
{
	(void)state;
	needs_files();
	assert_int_equal(read_text("# a comment\n"
				   "[daemon]\n"
				   "\tprobe = no\n"
				   "  black-box=16 ; so few\n"
				   "[watch]\nstall-after = 3s\n"
				   "[watch backups]\n"
				   "filter = port 5432 and net 192.0.2.0/24\n"
				   "process = pg_*,rsync\n"
				   "alert = all\n"
				   "[watch  replica]\n"
				   "filter = port 5433\nstall-after = 500ms\nalert = no\n"
				   "[sink ops]\ntype = webhook\nurl = https://192.0.2.9/x?a=b\n"),
			 0);
	assert_false(c.daemon.probe);
	assert_int_equal(c.daemon.black_box, 16);
	assert_int_equal(c.n_watch, 3);
	assert_string_equal(c.watch[1].name, "backups");
	assert_string_equal(c.watch[1].process, "pg_*,rsync");
	assert_int_equal(c.watch[1].alert, ALERT_ALL);
	assert_string_equal(c.watch[2].name, "replica");
	assert_int_equal(c.sink[0].type, SINK_WEBHOOK);
	assert_string_equal(c.sink[0].url, "https://192.0.2.9/x?a=b");
}

static void a_section_has_from_the_nameless_one_what_it_does_not_say(void **state)
{
	(void)state;
	needs_files();
	assert_int_equal(read_text("[watch a]\nmin-bytes = 4k\n[watch]\nstall-after = 7s\n"
				   "min-bytes = 2M\n"),
			 0);
	assert_int_equal(c.watch[1].stall_after_ns, 7 * NS_PER_S);
	assert_int_equal(c.watch[1].min_bytes, 4096);
}

static void mistakes_are_told_with_file_and_line(void **state)
{
	(void)state;
	needs_files();
	assert_wrong("[daemon]\nprobes = no\n", "x.conf:2: unknown key 'probes' in [daemon]");
	assert_wrong("[sink sl]\nkind = mail\n", "x.conf:2: unknown key 'kind' in [sink sl]");
	assert_wrong("\n\n[deamon]\n", "x.conf:3: unknown section [deamon]");
	assert_wrong("probe = no\n", "x.conf:1: 'probe' is in no section");
	assert_wrong("[daemon]\nprobe = maybe\n", "x.conf:2: probe 'maybe' is neither yes nor no");
	assert_wrong("[daemon]\n\nblack-box = 5000\n",
		     "x.conf:3: black-box '5000' is not between 0 and 4096");
	assert_wrong("[daemon]\nblack-box = -1\n", "x.conf:2: black-box '-1' is not a number");
	assert_wrong("[watch]\nstall-after = 5\n",
		     "x.conf:2: stall-after '5' is not a duration such as 500ms, 2s, 5m");
	assert_wrong("[watch]\nstall-after = 1ms\n",
		     "x.conf:2: stall-after '1ms' is not between 100ms and 1d");
	assert_wrong("[store]\nmax-size = 1k\n",
		     "x.conf:2: max-size '1k' is not between 1M and 1024T");
	assert_wrong("[daemon]\nsource = wifi\n",
		     "x.conf:2: source 'wifi' is not one of ebpf|pcap");
	assert_wrong("[daemon]\nprobe = no\nprobe = no\n", "x.conf:3: probe is given twice");
	assert_wrong("[daemon\n", "x.conf:1: the section has no end: ] is missing");
	assert_wrong("[daemon]\nprobe\n", "x.conf:2: neither [SECTION] nor KEY = VALUE");
	assert_wrong("[sink]\n", "x.conf:1: unknown section [sink]: a sink needs a name, "
				 "[sink NAME]");
	assert_wrong("[watch a b]\n",
		     "x.conf:1: 'a b' is no name: at most 47 letters, digits, - _ and .");
	assert_int_equal(read_text("[watch a]\nfilter = prot 5\n"), -EINVAL);
	assert_true(!strncmp(why, "x.conf:2: filter 'prot 5' is no filter: ", 40));
}

static void all_mistakes_are_told_and_nothing_that_follows_from_them(void **state)
{
	(void)state;
	needs_files();
	assert_wrong(
		"[deamon]\nprobe = no\n[daemon\nprobe = no\n[daemon]\nprobes = no\nprobe\n; a\n"
		"black-box = x\na ; = b\nprobe = no\n",
		"x.conf:1: unknown section [deamon]\n"
		"x.conf:3: the section has no end: ] is missing\n"
		"x.conf:6: unknown key 'probes' in [daemon]\n"
		"x.conf:7: neither [SECTION] nor KEY = VALUE\n"
		"x.conf:9: black-box 'x' is not a number\n"
		"x.conf:10: neither [SECTION] nor KEY = VALUE");
	assert_wrong("[sink a]\ntype = webhook\n[sink b]\ntype = program\n",
		     "x.conf:1: [sink a] needs url = http://... or https://...\n"
		     "x.conf:3: [sink b] needs command = /PATH ...");
}

static void mistakes_beyond_what_fits_are_counted_by_dots(void **state)
{
	char text[64] = "";

	(void)state;
	for (int i = 0; i < 10; i++)
		lines_add(text, sizeof(text), "the mistake number %d", i);
	assert_string_equal(text, "the mistake number 0\nthe mistake number 1\n...");
	*text = '\0';
	lines_add(text, 16, "longer than there is room for");
	lines_add(text, 16, "and another one");
	assert_string_equal(text, "longer than\n...");
}

static void words_of_a_list_stand_between_commas(void **state)
{
	static const char *const words[] = {"a", "tmux: server", "b"};
	const char *list = " ,a,, tmux: server ,\tb , ", *word = list;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		assert_true(list_next(&list, &word, &len));
		assert_int_equal(len, strlen(words[i]));
		assert_memory_equal(word, words[i], len);
	}
	assert_false(list_next(&list, &word, &len));
}

static void what_belongs_together_is_checked(void **state)
{
	(void)state;
	needs_files();
	assert_wrong("[watch]\nfilter = port 1\n",
		     "x.conf:2: filter needs a section with a name: [watch NAME]");
	assert_wrong("[sink a]\ntype = webhook\n",
		     "x.conf:1: [sink a] needs url = http://... or https://...");
	assert_wrong("[sink a]\ntype = mail\nurl = http://h/\nto = x\n",
		     "x.conf:1: [sink a] has no use for url: its type is mail");
	assert_int_equal(read_text("[sink a]\ntype = mail\nurl =\n"), 0);
	assert_wrong("[sink a]\nto = x\n",
		     "x.conf:1: [sink a] has no use for to: its type is journal");
	assert_wrong("[sink a]\ntype = program\ncommand = logger\n",
		     "x.conf:1: [sink a] needs command = /PATH ...");
}

static void what_does_not_fit_is_an_error_and_never_cut_off(void **state)
{
	char *text = malloc(5000);

	(void)state;
	needs_files();
	snprintf(text, 5000, "[daemon]\ngroup = %0300d\n", 7);
	assert_int_equal(read_text(text), -EINVAL);
	snprintf(text, 5000, "[daemon]\ngroup = %04000d\n", 7);
	assert_int_equal(read_text(text), -EINVAL);
	memset(text, 0, 5000);
	for (int i = 0; i < WATCH_MAX; i++)
		sprintf(text + strlen(text), "[watch w%d]\n", i);
	assert_int_equal(read_text(text), -EINVAL);
	assert_string_equal(why, "x.conf:32: more than 31 [watch] sections");
	free(text);
}

static void what_is_printed_reads_back(void **state)
{
	char *text = NULL, *again = NULL;
	struct config *first = malloc(sizeof(*first));
	size_t len;
	FILE *to;

	(void)state;
	needs_files();
	assert_int_equal(read_text("[watch]\nstall-after = 1.5s\n[watch x]\nfilter = port 9\n"
				   "[sink s]\ntype = mail\n[store]\nmax-size=1048577\n"),
			 0);
	*first = c;
	to = open_memstream(&text, &len);
	config_print(first, to);
	fclose(to);
	if (read_text(text))
		fail_msg("%s", why);
	to = open_memstream(&again, &len);
	config_print(&c, to);
	fclose(to);
	assert_string_equal(text, again);
	assert_int_equal(c.watch[1].stall_after_ns, 1500 * NS_PER_MS);
	assert_int_equal(c.store.max_bytes, 1048577);
	free(text);
	free(again);
	free(first);
}

static void the_sample_changes_nothing_and_names_every_key(void **state)
{
	static const char *const some[] = {"#probe = yes", "#stall-after = 2s", "#per-hour = 60",
					   "#[sink NAME]", "#textfile-every = 15s"};
	struct config *defaults = malloc(sizeof(*defaults));
	char *text = NULL;
	size_t len;
	FILE *to;

	(void)state;
	needs_files();
	to = open_memstream(&text, &len);
	config_print_sample(to);
	fclose(to);
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		assert_non_null(strstr(text, some[i]));
	config_defaults(defaults);
	if (read_text(text))
		fail_msg("%s", why);
	assert_memory_equal(defaults, &c, sizeof(c));
	free(text);
	free(defaults);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void later_files_count_and_a_bad_one_spoils_all(void **state)
{
	char dir[] = "/tmp/tcpstall-config-XXXXXX", path[64], sub[80], command[96];

	(void)state;
	needs_files();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/t.conf", dir);
	snprintf(sub, sizeof(sub), "%s.d", path);
	assert_int_equal(config_load(path, &c, why, sizeof(why)), -EINVAL); /* it is not there */
	assert_int_equal(mkdir(sub, 0700), 0);
	write_file(dir, "t.conf", "[daemon]\nblack-box = 1\nprobe = no\n");
	write_file(sub, "20.conf", "[daemon]\nblack-box = 20\n");
	write_file(sub, "10.conf", "[daemon]\nblack-box = 10\n");
	write_file(sub, "30.conf~", "nonsense\n");
	assert_int_equal(config_load(path, &c, why, sizeof(why)), 0);
	assert_int_equal(c.daemon.black_box, 20);
	assert_false(c.daemon.probe);

	write_file(sub, "20.conf", "[daemon]\nblack-box = 21\nbox = 3\n");
	write_file(sub, "30.conf", "[sink a]\nkind = mail\n");
	assert_int_equal(config_load(path, &c, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "t.conf.d/20.conf:3: unknown key 'box'"));
	assert_non_null(strstr(why, "t.conf.d/30.conf:2: unknown key 'kind'"));
	assert_int_equal(c.daemon.black_box, 20);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_there_are_defaults),
		cmocka_unit_test(sections_and_keys_are_read),
		cmocka_unit_test(a_section_has_from_the_nameless_one_what_it_does_not_say),
		cmocka_unit_test(mistakes_are_told_with_file_and_line),
		cmocka_unit_test(all_mistakes_are_told_and_nothing_that_follows_from_them),
		cmocka_unit_test(mistakes_beyond_what_fits_are_counted_by_dots),
		cmocka_unit_test(words_of_a_list_stand_between_commas),
		cmocka_unit_test(what_belongs_together_is_checked),
		cmocka_unit_test(what_does_not_fit_is_an_error_and_never_cut_off),
		cmocka_unit_test(what_is_printed_reads_back),
		cmocka_unit_test(the_sample_changes_nothing_and_names_every_key),
		cmocka_unit_test(later_files_count_and_a_bad_one_spoils_all),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
