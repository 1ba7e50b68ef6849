/* SPDX-License-Identifier: GPL-2.0-only */
/* base/parse, base/quantity: what users write, in and out of bounds. Nothing is written on error.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/quantity.h"

#define UNTOUCHED 0xdeadull

static void a_number_is_decimal_digits_within_bounds(void **state)
{
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(parse_u64("", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64("-1", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64(" 1", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64("0x1", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64("1 ", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64("10", 0, 9, &value), -ERANGE);
	assert_int_equal(parse_u64("1", 2, 9, &value), -ERANGE);
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(value, UNTOUCHED);

	assert_int_equal(parse_u64("9", 0, 9, &value), 0);
	assert_int_equal(value, 9);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
}

static void a_duration_has_a_unit_and_may_have_a_fraction(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{"0s", 0},
		{"1ns", 1},
		{"500ms", 500000000},
		{"2s", 2000000000},
		{"1.5s", 1500000000},
		{"0.000000001s", 1},
		{"0.0000000001s", 0},
		{"5m", 300000000000},
		{"1d", 86400000000000},
	};
	static const char *const bad[] = {"",	 "2",	"s",   ".5s", "1.s",
					  "-1s", "2 s", "2s ", "2S",  "1.5.5s"};
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(parse_duration(good[i].text, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
	ns = UNTOUCHED;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(parse_duration(bad[i], &ns), -EINVAL);
	assert_int_equal(parse_duration("106752d", &ns), -ERANGE);
	assert_int_equal(parse_duration("99999999999999999999s", &ns), -ERANGE);
	assert_int_equal(ns, UNTOUCHED);
}

static void a_size_counts_in_powers_of_1024(void **state)
{
	uint64_t bytes;

	(void)state;
	assert_int_equal(parse_size("1", &bytes), 0);
	assert_int_equal(bytes, 1);
	assert_int_equal(parse_size("64k", &bytes), 0);
	assert_int_equal(bytes, 65536);
	assert_int_equal(parse_size("1.5M", &bytes), 0);
	assert_int_equal(bytes, 3 << 19);
	assert_int_equal(parse_size("2G", &bytes), 0);
	assert_int_equal(bytes, 2ull << 30);

	bytes = UNTOUCHED;
	assert_int_equal(parse_size("1kB", &bytes), -EINVAL);
	assert_int_equal(parse_size("", &bytes), -EINVAL);
	assert_int_equal(parse_size("9999999T", &bytes), -ERANGE);
	assert_int_equal(bytes, UNTOUCHED);
}

static void a_quantity_says_what_would_have_been_right(void **state)
{
	static const struct {
		enum quantity kind;
		const char *text;
		uint64_t min, max;
		const char *why;
	} wrong[] = {
		{QUANTITY_NUMBER, "x", 0, UINT64_MAX, "is not a number"},
		{QUANTITY_NUMBER, "9", 1, 8, "is not between 1 and 8"},
		{QUANTITY_NUMBER, "1", 2, UINT64_MAX, "is less than 2"},
		{QUANTITY_NUMBER, "99999999999999999999", 2, UINT64_MAX,
		 "is more than can be counted"},
		{QUANTITY_SIZE, "5x", 0, UINT64_MAX, "is not a size such as 64k, 1M, 2G"},
		{QUANTITY_SIZE, "99999999T", 0, 3 << 20, "is not between 0 and 3M"},
		{QUANTITY_DURATION, "5", 0, UINT64_MAX, "is not a duration such as 500ms, 2s, 5m"},
		{QUANTITY_DURATION, "91d", NS_PER_S, 36 * 3600 * NS_PER_S,
		 "is not between 1s and 36h"},
	};
	uint64_t value = UNTOUCHED;
	char why[64];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(quantity_parse(wrong[i].kind, wrong[i].text, wrong[i].min,
						wrong[i].max, &value, why, sizeof(why)),
				 -EINVAL);
		assert_string_equal(why, wrong[i].why);
	}
	assert_int_equal(value, UNTOUCHED);
}

static void a_quantity_is_written_as_it_is_read(void **state)
{
	static const struct {
		enum quantity kind;
		const char *text;
	} right[] = {
		{QUANTITY_NUMBER, "0"},	    {QUANTITY_NUMBER, "4096"},
		{QUANTITY_SIZE, "0"},	    {QUANTITY_SIZE, "1023"},
		{QUANTITY_SIZE, "3k"},	    {QUANTITY_SIZE, "2T"},
		{QUANTITY_DURATION, "1ns"}, {QUANTITY_DURATION, "1500ms"},
		{QUANTITY_DURATION, "90d"}, {QUANTITY_DURATION, "25h"},
	};
	char text[QUANTITY_LEN], why[64];
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(quantity_parse(right[i].kind, right[i].text, 0, UINT64_MAX, &value,
						why, sizeof(why)),
				 0);
		assert_string_equal(quantity_text(right[i].kind, value, text), right[i].text);
	}
}

static void a_choice_is_one_of_its_words(void **state)
{
	(void)state;
	assert_int_equal(choice_parse("a|bc|d", "a"), 0);
	assert_int_equal(choice_parse("a|bc|d", "d"), 2);
	assert_int_equal(choice_parse("a|bc|d", "b"), -EINVAL);
	assert_int_equal(choice_parse("a|bc|d", "bc|d"), -EINVAL);
	assert_int_equal(choice_parse("a|bc|d", ""), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_decimal_digits_within_bounds),
		cmocka_unit_test(a_duration_has_a_unit_and_may_have_a_fraction),
		cmocka_unit_test(a_size_counts_in_powers_of_1024),
		cmocka_unit_test(a_quantity_says_what_would_have_been_right),
		cmocka_unit_test(a_quantity_is_written_as_it_is_read),
		cmocka_unit_test(a_choice_is_one_of_its_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
