/* SPDX-License-Identifier: Apache-2.0 */
/* All the time of a turn is in one of its steps, and none in two. */
#include "bench/steps.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static void time_goes_to_the_step_that_ends(void **state)
{
	struct steps s;

	(void)state;
	steps_start(&s, 1000);
	steps_take(&s, STEP_BOOT, 1000);
	steps_take(&s, STEP_QUIET, 1700);
	steps_take(&s, STEP_MOVE, 2000);
	assert_int_equal(s.ns[STEP_BOOT], 0);
	assert_int_equal(s.ns[STEP_QUIET], 700);
	assert_int_equal(s.ns[STEP_MOVE], 300);
	assert_int_equal(steps_total(&s), 1000);
}

static void a_step_may_come_more_than_once(void **state)
{
	struct steps s;

	(void)state;
	steps_start(&s, 5);
	steps_take(&s, STEP_LEAVE, 10);
	steps_take(&s, STEP_VERIFY, 20);
	steps_take(&s, STEP_LEAVE, 50);
	assert_int_equal(s.ns[STEP_LEAVE], 35);
	assert_int_equal(steps_total(&s), 45);
}

static void every_step_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (enum bench_step a = 0; a < STEPS; a++) {
		assert_non_null(steps_name(a));
		for (enum bench_step b = 0; b < a; b++)
			assert_string_not_equal(steps_name(a), steps_name(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_goes_to_the_step_that_ends),
		cmocka_unit_test(a_step_may_come_more_than_once),
		cmocka_unit_test(every_step_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
