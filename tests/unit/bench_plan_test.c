/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of values become cases, and a machine that is too small is told so: bench/plan.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/plan.h"

static void lists_multiply_and_keep_their_order(void **state)
{
	struct bench_plan p;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(bench_plan_init(&p, &e), 0);
	assert_int_equal(p.ncases, 1);
	assert_int_equal(bench_plan_set(&p, "workset", "8M,64M", &e), 0);
	assert_int_equal(bench_plan_set(&p, "rate", "200000,0", &e), 0);
	assert_int_equal(bench_plan_set(&p, "vcpus", "2", &e), 0);
	assert_int_equal(p.ncases, 4);
	assert_int_equal(p.cases[0].workset, 8 << 20);
	assert_int_equal(p.cases[0].rate, 200000);
	assert_int_equal(p.cases[1].workset, 8 << 20);
	assert_int_equal(p.cases[1].rate, 0);
	assert_int_equal(p.cases[3].workset, 64 << 20);
	assert_int_equal(p.cases[3].rate, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(p.cases[i].vcpus, 2);
	bench_plan_fini(&p);
}

static void transports_and_modes_are_systems_not_cases(void **state)
{
	struct bench_plan p;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(bench_plan_init(&p, &e), 0);
	assert_int_equal(p.modes, 3); /* postcopy is measured when it is asked for */
	for (unsigned i = 0; i < p.modes; i++)
		assert_string_not_equal(p.mode[i], "postcopy");
	assert_int_equal(bench_plan_set(&p, "peer-mode", "all", &e), 0);
	assert_int_equal(p.modes, 4);
	assert_string_equal(p.mode[3], "postcopy");
	assert_int_equal(bench_plan_set(&p, "transport", "tcp,uring", &e), 0);
	assert_int_equal(bench_plan_set(&p, "peer-mode", "multifd", &e), 0);
	assert_int_equal(p.transports, 2);
	assert_string_equal(p.transport[1], "uring");
	assert_int_equal(p.modes, 1);
	assert_int_equal(p.ncases, 1);
	bench_plan_fini(&p);
}

static void what_is_no_good_is_named(void **state)
{
	static const struct {
		const char *option, *value, *named;
	} bad[] = { { "workset", "8M,banana", "banana" }, { "workset", "8M,", "--workset" },
		{ "runs", "0", "--runs" }, { "peer", "xen", "xen" },
		{ "peer-mode", "precopy,warp", "warp" }, { "warm-up", "-1", "--warm-up" },
		{ "pin", "0,99999", "99999" }, { "pin-observer", "x", "--pin-observer" },
		{ "rate",
			"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,"
			"28,29,30,31,32,33",
			"--rate" },
		{ "colour", "red", "colour" } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bench_plan p;
		struct err e = { 0 };

		assert_int_equal(bench_plan_init(&p, &e), 0);
		assert_int_equal(bench_plan_set(&p, bad[i].option, bad[i].value, &e), -EINVAL);
		assert_non_null(strstr(e.msg, bad[i].named));
		bench_plan_fini(&p);
	}
}

static void too_many_cases_are_refused(void **state)
{
	struct bench_plan p;
	struct err e = { 0 };
	const char *sixteen = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16";

	(void)state;
	assert_int_equal(bench_plan_init(&p, &e), 0);
	assert_int_equal(bench_plan_set(&p, "vcpus", sixteen, &e), 0);
	assert_int_equal(bench_plan_set(&p, "rate", sixteen, &e), 0);
	assert_int_equal(bench_plan_set(&p, "pattern", "hot,uniform", &e), -EINVAL);
	bench_plan_fini(&p);
}

static void a_guest_this_machine_cannot_hold_is_refused(void **state)
{
	struct bench_plan p;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(bench_plan_init(&p, &e), 0);
	assert_int_equal(bench_plan_set(&p, "memory", "64M,8192G", &e), 0);
	assert_int_equal(bench_plan_check(&p, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, "this machine has"));
	assert_int_equal(bench_plan_set(&p, "fill", "64M", &e), 0); /* hardly touched: it fits */
	assert_int_equal(bench_plan_check(&p, &e), 0);
	/* More vCPUs than processors are slow, not impossible: the campaign says so. */
	assert_int_equal(bench_plan_set(&p, "vcpus", "64", &e), 0);
	assert_int_equal(bench_plan_check(&p, &e), 0);
	bench_plan_fini(&p);
}

static void a_turn_is_short_unless_there_are_many_moves(void **state)
{
	static const struct {
		unsigned runs, warm_ups, turn;
	} of[] = { { 1, 0, 1 }, { 5, 1, 1 }, { 9, 1, 2 }, { 20, 1, 4 }, { 500, 1, PLAN_TURN_MAX } };
	struct bench_plan p;

	(void)state;
	assert_int_equal(bench_plan_init(&p, NULL), 0);
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		p.runs = of[i].runs;
		p.warm_ups = of[i].warm_ups;
		assert_int_equal(bench_plan_turn(&p), of[i].turn);
	}
	bench_plan_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_multiply_and_keep_their_order),
		cmocka_unit_test(transports_and_modes_are_systems_not_cases),
		cmocka_unit_test(what_is_no_good_is_named),
		cmocka_unit_test(a_turn_is_short_unless_there_are_many_moves),
		cmocka_unit_test(too_many_cases_are_refused),
		cmocka_unit_test(a_guest_this_machine_cannot_hold_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
