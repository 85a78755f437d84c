/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics say what the samples carry and no more: bench/stats.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/stats.h"

static void no_samples_give_zeros(void **state)
{
	struct stats s;

	(void)state;
	stats_of(NULL, 0, &s);
	assert_int_equal(s.n, 0);
	assert_false(s.has_p99);
	assert_true(s.min == 0 && s.median == 0 && s.max == 0);
}

static void median_of_odd_is_the_middle_and_of_even_the_mean(void **state)
{
	double odd[] = { 9, 1, 5 }, even[] = { 4, 1, 3, 2 };
	struct stats s;

	(void)state;
	stats_of(odd, 3, &s);
	assert_true(s.min == 1 && s.median == 5 && s.max == 9);
	stats_of(even, 4, &s);
	assert_true(s.min == 1 && s.median == 2.5 && s.max == 4);
}

static void p99_needs_a_hundred_samples(void **state)
{
	double v[200];
	struct stats s;

	(void)state;
	for (int i = 0; i < 200; i++)
		v[i] = 200 - i;
	stats_of(v, 99, &s);
	assert_false(s.has_p99);
	for (int i = 0; i < 200; i++)
		v[i] = 200 - i;
	stats_of(v, 200, &s);
	assert_true(s.has_p99);
	assert_true(s.p99 == 198); /* nearest rank: the 198th of 200 */
	assert_true(s.max == 200);
	for (int i = 0; i < 100; i++)
		v[i] = i + 1;
	stats_of(v, 100, &s);
	assert_true(s.p99 == 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_samples_give_zeros),
		cmocka_unit_test(median_of_odd_is_the_middle_and_of_even_the_mean),
		cmocka_unit_test(p99_needs_a_hundred_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
