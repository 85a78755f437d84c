/* SPDX-License-Identifier: Apache-2.0 */
/* A move is compared with as much quiet time as it took itself, put together from short windows. */
#include "bench/quiet.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define SECOND 1000000000ull

static struct bench_run run_of(uint64_t quiet_ns, uint64_t gap_ns, uint64_t window_ns)
{
	struct bench_run r = { 0 };

	r.quiet_ns = quiet_ns;
	r.quiet_gap_ns = gap_ns;
	r.quiet_seen.gap_ns = gap_ns + 1;
	r.quiet_seen.gap_error_ns = gap_ns / 10;
	r.window_ns = window_ns;
	return r;
}

static void without_a_move_known_no_window_is_wanted(void **state)
{
	struct quiet q = { 0 };

	(void)state;
	assert_int_equal(quiet_wanted(&q, 0), 0);
	assert_int_equal(quiet_wanted(&q, 5 * SECOND), 5 * SECOND);
}

static void only_what_is_missing_is_waited_for(void **state)
{
	struct quiet q = { 0 };
	struct bench_run r = run_of(SECOND, 10, 4 * SECOND);

	(void)state;
	quiet_join(&q, &r);
	assert_int_equal(quiet_wanted(&q, 4 * SECOND), 3 * SECOND);
	r = run_of(3 * SECOND, 10, 4 * SECOND);
	quiet_join(&q, &r);
	assert_int_equal(quiet_wanted(&q, 4 * SECOND), 0);
}

static void the_worst_pause_of_enough_windows_counts_and_no_more(void **state)
{
	static const uint64_t gap[] = { 9000, 50, 70, 60 };
	struct quiet q = { 0 };
	struct bench_run r = { 0 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		r = run_of(SECOND, gap[i], 3 * SECOND);
		quiet_join(&q, &r);
	}
	/* The window of 9000 is the fourth back: three seconds do not reach it. */
	assert_int_equal(r.quiet_ns, 3 * SECOND);
	assert_int_equal(r.quiet_gap_ns, 70);
	assert_int_equal(r.quiet_seen.gap_ns, 71);
	assert_int_equal(r.quiet_seen.gap_error_ns, 7);
}

static void a_first_move_has_its_own_window_and_says_how_long(void **state)
{
	struct quiet q = { 0 };
	struct bench_run r = run_of(SECOND, 10, 7 * SECOND);

	(void)state;
	quiet_join(&q, &r);
	assert_int_equal(r.quiet_ns, SECOND);
	assert_int_equal(r.quiet_gap_ns, 10);
}

static void old_windows_are_overwritten_never_counted_twice(void **state)
{
	struct quiet q = { 0 };
	struct bench_run r = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3 * QUIET_WINDOWS; i++) {
		r = run_of(SECOND, i < QUIET_WINDOWS ? 1000 : 5, 1000 * SECOND);
		quiet_join(&q, &r);
	}
	assert_int_equal(r.quiet_ns, QUIET_WINDOWS * SECOND);
	assert_int_equal(r.quiet_gap_ns, 5);
	assert_int_equal(quiet_wanted(&q, 1000 * SECOND), (1000 - (QUIET_WINDOWS - 1)) * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_move_known_no_window_is_wanted),
		cmocka_unit_test(only_what_is_missing_is_waited_for),
		cmocka_unit_test(the_worst_pause_of_enough_windows_counts_and_no_more),
		cmocka_unit_test(a_first_move_has_its_own_window_and_says_how_long),
		cmocka_unit_test(old_windows_are_overwritten_never_counted_twice),
	};

	return cmocka_run_group_tests_name("bench_quiet", tests, NULL, NULL);
}
