/* SPDX-License-Identifier: GPL-2.0-only */
/* Which [watch] section a stall belongs to: by its packets, its program, its namespace. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "daemon/selector.h"

#define PORT 5432

static struct config c;

/* The section of a transfer of our own program in our own namespace; its name. */
static const char *section_of(const struct incident *i)
{
	struct selector *s = NULL;
	int n;

	assert_int_equal(selector_new(&c, &s), 0);
	n = selector_match(s, i);
	selector_free(s);
	return c.watch[n].name;
}

static struct watch_config *add_section(const char *name)
{
	struct watch_config *w = &c.watch[c.n_watch++];

	snprintf(w->name, sizeof(w->name), "%s", name);
	return w;
}

static struct incident ours(void)
{
	struct incident i = {.local_sends = true};
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	i.key.netns = (uint32_t)st.st_ino;
	i.key.local.port = 40000;
	i.key.remote.port = PORT;
	assert_int_equal(addr_parse("192.0.2.1", &i.key.local.addr), 0);
	assert_int_equal(addr_parse("192.0.2.2", &i.key.remote.addr), 0);
	i.process.pid = (uint32_t)getpid();
	snprintf(i.process.comm, sizeof(i.process.comm), "pg_basebackup");
	return i;
}

static int fresh(void **state)
{
	(void)state;
	config_defaults(&c);
	return 0;
}

static void the_first_section_that_matches_in_all_counts(void **state)
{
	struct incident i = ours();
	struct watch_config *w = add_section("half");

	(void)state;
	assert_string_equal(section_of(&i), "half"); /* it asks for nothing */
	snprintf(w->filter, sizeof(w->filter), "port %d", PORT);
	snprintf(w->process, sizeof(w->process), "rsync");
	assert_string_equal(section_of(&i), "");
	w = add_section("whole");
	snprintf(w->filter, sizeof(w->filter), "dst port %d", PORT);
	snprintf(w->process, sizeof(w->process), "rsync, pg_*");
	add_section("later");
	assert_string_equal(section_of(&i), "whole");
	i.key.remote.port = PORT + 1;
	assert_string_equal(section_of(&i), "later");
}

static void a_program_that_is_not_known_is_none_that_is_named(void **state)
{
	struct incident i = ours();

	(void)state;
	snprintf(add_section("any")->process, CONFIG_TEXT, "*");
	snprintf(add_section("group")->cgroup, CONFIG_TEXT, "*");
	i.process.pid = 0;
	assert_string_equal(section_of(&i), "");
	i.process.pid = UINT32_MAX; /* gone since */
	c.watch[1].process[0] = 'x';
	assert_string_equal(section_of(&i), "");
}

static void a_control_group_is_that_of_the_program(void **state)
{
	char line[4096] = "", *at;
	struct incident i = ours();
	struct watch_config *w = add_section("other");
	FILE *file = fopen("/proc/self/cgroup", "re");

	(void)state;
	if (!file || !fgets(line, sizeof(line), file)) {
		print_message("no control groups here\n");
		skip();
	}
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	at = strchr(strchr(line, ':') + 1, ':') + 1;
	assert_in_range(strlen(at), 1, CONFIG_TEXT - 2);
	snprintf(w->cgroup, sizeof(w->cgroup), "%sx", at);
	assert_string_equal(section_of(&i), "");
	w = add_section("ours");
	snprintf(w->cgroup, sizeof(w->cgroup), "%s", at);
	assert_string_equal(section_of(&i), "ours");
	snprintf(w->cgroup, sizeof(w->cgroup), "%.1s*", at);
	assert_string_equal(section_of(&i), "ours");
}

static void a_namespace_is_named_by_its_inode_or_in_run_netns(void **state)
{
	struct incident i = ours();
	struct watch_config *w = add_section("ours");

	(void)state;
	snprintf(w->netns, sizeof(w->netns), "%u", i.key.netns);
	assert_string_equal(section_of(&i), "ours");
	snprintf(w->netns, sizeof(w->netns), "%u", i.key.netns + 1);
	assert_string_equal(section_of(&i), "");
	/* A name is no path: that of our namespace leads there all the same. */
	snprintf(w->netns, sizeof(w->netns), "../../proc/self/ns/net");
	assert_string_equal(section_of(&i), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_section_that_matches_in_all_counts, fresh),
		cmocka_unit_test_setup(a_program_that_is_not_known_is_none_that_is_named, fresh),
		cmocka_unit_test_setup(a_control_group_is_that_of_the_program, fresh),
		cmocka_unit_test_setup(a_namespace_is_named_by_its_inode_or_in_run_netns, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
