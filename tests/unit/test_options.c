/* SPDX-License-Identifier: GPL-2.0-only */
/* The option table and the verb table: every value typed, every error names option and value. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "options.h"
#include "verb.h"

#define ALL (~0ull >> (64 - OPTIONS))

struct line {
	char *argv[16];
	int argc;
	struct options options;
	char why[256];
};

/* Parses words up to NULL. */
static int parse(struct line *l, uint64_t allowed, bool stop_at_operand, const char *const *words)
{
	memset(l, 0, sizeof(*l));
	for (; words[l->argc]; l->argc++)
		l->argv[l->argc] = (char *)words[l->argc];
	return options_parse(allowed, stop_at_operand, l->argc, l->argv, &l->options, l->why,
			     sizeof(l->why));
}

#define PARSE(l, ...) parse(l, ALL, false, (const char *const[]){__VA_ARGS__, NULL})

static void values_are_read_by_their_type(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(PARSE(&l, "--json", "-nq", "--stall-after", "500ms", "--min-bytes=64k",
			       "--pid", "12", "-oresults", "--source=ebpf"),
			 0);
	assert_true(l.options.json && l.options.numeric && l.options.quiet);
	assert_false(l.options.verbose);
	assert_int_equal(l.options.stall_after_ns, 500000000);
	assert_int_equal(l.options.min_bytes, 65536);
	assert_int_equal(l.options.pid, 12);
	assert_string_equal(l.options.output, "results");
	assert_string_equal(l.options.source, "ebpf");
	assert_true(options_given(&l.options, OPT_PID));
	assert_false(options_given(&l.options, OPT_RECORD));
}

static void operands_keep_their_order_among_options(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(PARSE(&l, "host", "--json", "192.0.2.1", "--", "--quiet"), 3);
	assert_string_equal(l.argv[0], "host");
	assert_string_equal(l.argv[1], "192.0.2.1");
	assert_string_equal(l.argv[2], "--quiet");
	assert_false(l.options.quiet);
	/* Standard input is an operand. */
	assert_int_equal(PARSE(&l, "-"), 1);
}

static void a_command_keeps_its_own_options(void **state)
{
	const char *const words[] = {"-q", "dd", "-v", "--json", NULL};
	const char *const dashes[] = {"-q", "--", "--json", NULL};
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, ALL, true, words), 3);
	assert_true(l.options.quiet && !l.options.verbose && !l.options.json);
	assert_string_equal(l.argv[0], "dd");
	assert_string_equal(l.argv[2], "--json");
	assert_null(l.argv[3]); /* execvp() needs it */
	assert_int_equal(parse(&l, ALL, true, dashes), 1);
	assert_string_equal(l.argv[0], "--json");
}

static void errors_name_option_and_value(void **state)
{
	static const struct {
		const char *words[3];
		const char *why;
	} bad[] = {
		{{"--stall-after", "2x"},
		 "--stall-after '2x' is not a duration such as 500ms, 2s, 5m"},
		{{"--stall-after", "2"},
		 "--stall-after '2' is not a duration such as 500ms, 2s, 5m"},
		{{"--stall-after", "-1s"},
		 "--stall-after '-1s' is not a duration such as 500ms, 2s, 5m"},
		{{"--stall-after=1ns"}, "--stall-after '1ns' is not between 100ms and 1d"},
		{{"--min-bytes", "1q"}, "--min-bytes '1q' is not a size such as 64k, 1M, 2G"},
		{{"--pid", "self"}, "--pid 'self' is not a number"},
		{{"--pid", "0"}, "--pid '0' is not between 1 and 4194304"},
		{{"--pid"}, "--pid needs a value: PID"},
		{{"-o"}, "-o needs a value: FILE"},
		{{"-o", ""}, "-o: empty value"},
		{{"--json=yes"}, "--json takes no value ('yes')"},
		{{"--source", "ebp"}, "--source 'ebp' is not one of ebpf|pcap"},
		{{"--source", "ebpf|pcap"}, "--source 'ebpf|pcap' is not one of ebpf|pcap"},
		{{"--stall-atfer", "2s"},
		 "unknown option '--stall-atfer' (did you mean --stall-after?)"},
		{{"--colour"}, "unknown option '--colour'"},
		{{"-z"}, "unknown option '-z'"},
		{{"-qz"}, "unknown option '-z'"},
	};
	struct line l;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(parse(&l, ALL, false, bad[i].words), -EINVAL);
		assert_string_equal(l.why, bad[i].why);
		assert_int_equal(l.options.given, 0);
	}
}

static void an_option_that_the_verb_does_not_take_is_unknown(void **state)
{
	const char *const words[] = {"--json", NULL};
	const char *const help[] = {"--help", NULL};
	struct line l;

	(void)state;
	assert_int_equal(parse(&l, OPTION(QUIET), false, words), -EINVAL);
	assert_string_equal(l.why, "unknown option '--json'");
	assert_int_equal(parse(&l, 0, false, help), 0);
	assert_true(l.options.help);
}

static void a_long_hostile_word_is_survived(void **state)
{
	char word[4096];
	struct line l;

	(void)state;
	memset(word, 'a', sizeof(word) - 1);
	memcpy(word, "--", 2);
	word[sizeof(word) - 1] = '\0';
	assert_int_equal(PARSE(&l, word), -EINVAL);
	assert_null(verb_nearest(word));
}

static void tables_are_complete_and_unambiguous(void **state)
{
	(void)state;
	for (int i = 0; i < OPTIONS; i++) {
		const struct option_info *a = &option_table[i];

		assert_non_null(a->name);
		assert_non_null(a->help);
		assert_true((a->type == OPTION_FLAG) == !a->value);
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(a->name, option_table[k].name);
			assert_true(!a->letter || a->letter != option_table[k].letter);
		}
	}
	for (int i = 0; i < n_verbs; i++) {
		assert_non_null(verb_table[i].run);
		assert_non_null(verb_table[i].summary);
		assert_non_null(verb_table[i].operands);
		assert_ptr_equal(verb_find(verb_table[i].name), &verb_table[i]);
		assert_false(looks_like_filter(verb_table[i].name));
	}
}

static void a_filter_is_told_from_a_mistyped_verb(void **state)
{
	static const char *const filters[] = {
		"host", "port", "tcp", "192.0.2.1", "2001:db8::1", "not", "(src", "port 5432",
	};
	static const char *const mistyped[] = {"wach", "runn", "chekc", "everything"};

	(void)state;
	for (size_t i = 0; i < sizeof(filters) / sizeof(*filters); i++)
		assert_true(looks_like_filter(filters[i]));
	for (size_t i = 0; i < sizeof(mistyped) / sizeof(*mistyped); i++)
		assert_false(looks_like_filter(mistyped[i]));
	assert_string_equal(verb_nearest("verison"), "version");
	assert_string_equal(verb_nearest("prot"), "port");
	assert_null(verb_nearest("everything"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read_by_their_type),
		cmocka_unit_test(operands_keep_their_order_among_options),
		cmocka_unit_test(a_command_keeps_its_own_options),
		cmocka_unit_test(errors_name_option_and_value),
		cmocka_unit_test(an_option_that_the_verb_does_not_take_is_unknown),
		cmocka_unit_test(a_long_hostile_word_is_survived),
		cmocka_unit_test(tables_are_complete_and_unambiguous),
		cmocka_unit_test(a_filter_is_told_from_a_mistyped_verb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
