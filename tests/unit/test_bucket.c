/* SPDX-License-Identifier: GPL-2.0-only */
/* Rate and depth of a token bucket, from what it has let pass. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>

#include "sensor/bucket.h"

#define PACKETS 4000
#define LEN	1500

static struct passage packets[PACKETS];

/* Bursts of `burst` packets, gap_us apart and half of it more or less, through such a bucket. */
static struct bucket_fit fit_of(double rate, double depth, int burst, double gap_us)
{
	struct bucket_fit fit = {0};
	double tokens = depth, at_us = 0;
	uint32_t dice = 1;

	for (int i = 0; i < PACKETS; i++) {
		double us = 12;

		if (i % burst == 0) {
			dice = dice * 1664525 + 1013904223;
			us = gap_us * (0.5 + (dice >> 16) / 65536.0);
		}
		at_us += us;
		tokens = fmin(tokens + us * rate / 1e6, depth);
		packets[i] = (struct passage){
			.at_us = (uint32_t)at_us, .len = LEN, .lost = tokens < LEN};
		tokens -= packets[i].lost ? 0 : LEN;
	}
	assert_true(bucket_fit(packets, PACKETS, &fit));
	return fit;
}

static void assert_near(double value, double truth, double share)
{
	assert_true(value > truth * (1 - share) && value < truth * (1 + share));
}

static void packets_without_end_tell_the_rate(void **state)
{
	struct bucket_fit fit = fit_of(1.25e6, 100e3, 1, 900);

	(void)state;
	assert_true(fit.score > 0.95);
	assert_near(fit.rate, 1.25e6, 0.03);
	assert_true(fit.high < 1.1 * fit.low);
}

/* Bursts that nearly always find it full: the middle of what explains them is near, no end is. */
static void bursts_leave_a_range_and_its_middle_is_told(void **state)
{
	struct bucket_fit fit = fit_of(375e3, 8000, 9, 16000);

	(void)state;
	assert_true(fit.score > 0.999);
	assert_true(fit.low < 375e3 && fit.high > 375e3);
	assert_near(fit.rate, sqrt(fit.low * fit.high), 0.01);
	assert_near(fit.rate, 375e3, 0.1);
}

/* It is always full when a burst comes: at any rate from some rate on. */
static void a_bucket_that_is_always_full_gives_the_least_rate(void **state)
{
	struct bucket_fit fit = fit_of(1e6, 8000, 9, 50000);

	(void)state;
	assert_true(fit.score > 0.999);
	assert_true(fit.high > 4 * fit.low);
	assert_near(fit.rate, fit.low, 0.01);
	assert_true(fit.low < 1e6);
}

/* A peak so narrow that it stands between two steps of the grid. */
static void a_depth_between_two_steps_is_found(void **state)
{
	struct bucket_fit fit = fit_of(1.25e6, 21500, 80, 20000);

	(void)state;
	assert_near(fit.rate, 1.25e6, 0.1);
	assert_near(fit.depth, 21500, 0.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_without_end_tell_the_rate),
		cmocka_unit_test(bursts_leave_a_range_and_its_middle_is_told),
		cmocka_unit_test(a_bucket_that_is_always_full_gives_the_least_rate),
		cmocka_unit_test(a_depth_between_two_steps_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
