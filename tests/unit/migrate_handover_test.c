/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hand-over proven on the machines themselves: every transition is the one of
 * tests/model/handover.table, which the Promela model runs; and in every schedule of two hosts with
 * one fault at any point, and in random ones with two, there is never a second runner, never a
 * start from a state that is not the newest, and in the end one runner or a named doubt. Broken on
 * purpose between the machines and the world, the violation is found. Run from the project's root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/handover_search.h"
#include "tests/lib/handover_table.h"

/* ---- the machines are the table's --------------------------------------------------------- */

static void the_machines_do_what_the_table_says(void **state)
{
	struct table t;
	struct err e;

	(void)state;
	if (table_load(&t, "tests/model/handover.table", &e))
		fail_msg("%s", e.msg);
	for (unsigned arbiter = 0; arbiter < 2; arbiter++) {
		if (table_compare_source(&t, arbiter, &e) || table_compare_target(&t, arbiter, &e))
			fail_msg("%s", e.msg);
	}
	for (unsigned i = 0; i < t.rows; i++) {
		if (!t.row[i].used)
			fail_msg("line %u of the table is no transition of the machines",
				t.row[i].line);
	}
	print_message("# %u rows, %u transitions compared\n", t.rows, t.compared);
}

/* ---- every schedule ----------------------------------------------------------------------- */

static void expect_none(struct world_params p, search_end *end)
{
	struct search s;

	search_all(&s, &p, end);
	print_message(
		"# %s, %u fault(s), %s: %llu states, %.3g schedules, %llu ends, at most %u steps\n",
		p.arbiter ? "arbiter" : "no arbiter", p.faults,
		p.patient ? "limits pass last" : "limits pass at any time",
		(unsigned long long)s.states, s.schedules, (unsigned long long)s.ends, s.longest);
	if (s.violation)
		search_print(&s);
	assert_null(s.violation);
	assert_true(s.ends > 0);
}

static void without_a_fault_the_guest_moves(void **state)
{
	(void)state;
	expect_none((struct world_params){ .arbiter = true, .patient = true }, world_moved);
	expect_none((struct world_params){ .patient = true }, world_moved);
}

static void one_fault_anywhere_with_an_arbiter(void **state)
{
	(void)state;
	expect_none(
		(struct world_params){ .arbiter = true, .patient = true, .faults = 1 }, world_fine);
	expect_none((struct world_params){ .arbiter = true, .faults = 1 }, world_fine);
}

static void one_fault_anywhere_without_an_arbiter(void **state)
{
	(void)state;
	expect_none((struct world_params){ .patient = true, .faults = 1 }, world_fine);
	expect_none((struct world_params){ .faults = 1 }, world_fine);
}

/* ---- two faults, by seed ------------------------------------------------------------------ */

#define SEEDS         8
#define RUNS_PER_SEED 2500

static void two_faults_anywhere_never_make_two_runners(void **state)
{
	(void)state;
	expect_none((struct world_params){ .arbiter = true, .patient = true, .faults = 2 }, NULL);
	expect_none((struct world_params){ .faults = 2 }, NULL);
}

static void two_random_faults_never_make_two_runners(void **state)
{
	unsigned long long steps = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		for (unsigned how = 0; how < 4; how++) {
			struct world_params p = {
				.arbiter = how & 1, .patient = how & 2, .faults = 2
			};
			struct search s;

			search_random(&s, &p, NULL, RUNS_PER_SEED, seed);
			steps += s.states;
			if (s.violation) {
				print_message("# seed %llu, arbiter %d, patient %d\n",
					(unsigned long long)seed, p.arbiter, p.patient);
				search_print(&s);
			}
			assert_null(s.violation);
		}
	}
	print_message("# %u schedules, %llu steps\n", SEEDS * 4 * RUNS_PER_SEED, steps);
}

/* ---- broken on purpose -------------------------------------------------------------------- */

static void expect_found(struct world_params p, search_end *end, const char *violation)
{
	struct search s;

	search_all(&s, &p, end);
	assert_non_null(s.violation);
	print_message("# %s: found after %llu states\n", s.violation, (unsigned long long)s.states);
	if (violation)
		assert_string_equal(s.violation, violation);
}

static void a_lock_released_after_commit_is_found(void **state)
{
	(void)state;
	expect_found(
		(struct world_params){
			.arbiter = true, .patient = true, .broken = WORLD_RELEASE_LATE },
		world_moved, NULL);
}

static void a_target_that_thaws_early_is_found(void **state)
{
	struct world_params p = { .patient = true, .faults = 1, .broken = WORLD_TARGET_EARLY };

	(void)state;
	expect_found(p, world_fine, "two runners");
	p.arbiter = true;
	expect_found(p, world_fine, NULL);
}

static void a_source_that_thaws_early_is_found(void **state)
{
	struct world_params p = { .patient = true, .faults = 1, .broken = WORLD_SOURCE_EARLY };

	(void)state;
	expect_found(p, world_fine, "two runners");
	p.arbiter = true;
	expect_found(p, world_fine, NULL);
}

static void an_ignored_epoch_is_found(void **state)
{
	struct world_params p = { .arbiter = true, .faults = 1, .broken = WORLD_NO_EPOCH };

	(void)state;
	expect_found(p, world_fine, NULL);
	p.patient = true;
	expect_found(p, world_fine, NULL);
}

static void a_record_written_without_the_lock_is_found(void **state)
{
	(void)state;
	expect_found(
		(struct world_params){
			.arbiter = true, .patient = true, .faults = 1, .broken = WORLD_NO_FENCE },
		world_fine, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_machines_do_what_the_table_says),
		cmocka_unit_test(without_a_fault_the_guest_moves),
		cmocka_unit_test(one_fault_anywhere_with_an_arbiter),
		cmocka_unit_test(one_fault_anywhere_without_an_arbiter),
		cmocka_unit_test(two_faults_anywhere_never_make_two_runners),
		cmocka_unit_test(two_random_faults_never_make_two_runners),
		cmocka_unit_test(a_lock_released_after_commit_is_found),
		cmocka_unit_test(a_target_that_thaws_early_is_found),
		cmocka_unit_test(a_source_that_thaws_early_is_found),
		cmocka_unit_test(an_ignored_epoch_is_found),
		cmocka_unit_test(a_record_written_without_the_lock_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
