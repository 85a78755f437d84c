/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan sends every dirty page, none twice at once, and no zero that the target has anyway.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/migrate/plan.h"
#include "hv/migrate/xport.h"

#define PAGES (64ull << 20 >> GMEM_PAGE_SHIFT)
#define BLOCK (XPORT_BLOCK_SIZE >> GMEM_PAGE_SHIFT)

struct fixture {
	struct gmem mem;
	struct plan plan;
	struct dirty_map d;
	uint64_t *zero; /* pages that are zero */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(gmem_init(&f->mem, 64ull << 20, NULL), 0);
	assert_int_equal(plan_init(&f->plan, &f->mem, NULL), 0);
	assert_int_equal(dirty_map_init(&f->d, &f->mem, NULL), 0);
	f->zero = bitmap_new(PAGES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	plan_fini(&f->plan);
	dirty_map_fini(&f->d);
	gmem_fini(&f->mem);
	free(f->zero);
	free(f);
	return 0;
}

static bool is_zero(void *arg, uint32_t region, uint64_t page)
{
	struct fixture *f = arg;

	assert_int_equal(region, 0);
	return bitmap_test(f->zero, page);
}

static void dirty(struct fixture *f, uint64_t page, uint64_t n)
{
	bitmap_set_range(f->d.region[0].bits, page, n);
	plan_add(&f->plan, &f->d);
}

static void dirty_round(struct fixture *f, uint64_t page, uint64_t n)
{
	bitmap_set_range(f->d.region[0].bits, page, n);
	plan_add_round(&f->plan, &f->d);
	assert_int_equal(dirty_map_count(&f->d), 0);
}

static void expect_run(struct fixture *f, uint64_t page, uint32_t n, bool zero)
{
	struct plan_run run;

	assert_int_equal(plan_next(&f->plan, is_zero, f, &run), 1);
	assert_int_equal(run.page, page);
	assert_int_equal(run.pages, n);
	assert_int_equal(run.zero, zero);
}

static void expect_nothing(struct fixture *f)
{
	struct plan_run run;

	assert_int_equal(plan_next(&f->plan, is_zero, f, &run), 0);
}

static void runs_end_at_blocks(void **state)
{
	struct fixture *f = *state;

	dirty(f, 10, BLOCK);
	expect_run(f, 10, (uint32_t)BLOCK - 10, false);
	expect_run(f, BLOCK, 10, false);
	expect_nothing(f);
	assert_int_equal(f->plan.pages_sent, BLOCK);
}

static void a_page_redirtied_in_flight_is_sent_again_after_it_is_done(void **state)
{
	struct plan_run run = { 0, 5, 1, false };
	struct fixture *f = *state;

	dirty(f, 5, 1);
	expect_run(f, 5, 1, false);
	dirty(f, 5, 1);
	expect_nothing(f); /* at most one put of a page in flight */
	assert_int_equal(f->plan.todo_pages, 1);
	plan_done(&f->plan, &run);
	expect_run(f, 5, 1, false);
	assert_int_equal(f->plan.todo_pages, 0);
}

static void a_run_stops_at_a_page_in_flight(void **state)
{
	struct fixture *f = *state;

	dirty(f, 5, 1);
	expect_run(f, 5, 1, false);
	dirty(f, 3, 5);
	/* the cursor goes on behind page 5 and comes round again */
	expect_run(f, 6, 2, false);
	expect_run(f, 3, 2, false);
	expect_nothing(f);
	assert_int_equal(f->plan.todo_pages, 1);
}

static void zero_pages_never_sent_are_skipped(void **state)
{
	struct fixture *f = *state;

	bitmap_set_range(f->zero, 4, 4);
	dirty(f, 0, 12);
	expect_run(f, 0, 4, false);
	expect_run(f, 8, 4, false);
	expect_nothing(f);
	assert_int_equal(f->plan.pages_skipped, 4);
	assert_int_equal(f->plan.pages_zero, 0);
}

static void a_page_that_becomes_zero_is_sent_as_zero_once(void **state)
{
	struct plan_run run = { 0, 7, 1, false };
	struct fixture *f = *state;

	dirty(f, 7, 1);
	expect_run(f, 7, 1, false);
	plan_done(&f->plan, &run);
	bitmap_set(f->zero, 7);
	dirty(f, 7, 1);
	expect_run(f, 7, 1, true);
	plan_done(&f->plan, &run);
	dirty(f, 7, 1);
	expect_nothing(f);
	assert_int_equal(f->plan.pages_zero, 1);
	assert_int_equal(f->plan.pages_skipped, 1);
}

static void a_run_that_could_not_be_posted_comes_again(void **state)
{
	struct fixture *f = *state;
	struct plan_run run;

	dirty(f, 20, 8);
	assert_int_equal(plan_next(&f->plan, is_zero, f, &run), 1);
	plan_unpost(&f->plan, &run);
	assert_int_equal(f->plan.todo_pages, 8);
	assert_int_equal(f->plan.inflight_pages, 0);
	assert_int_equal(f->plan.pages_sent, 0);
	expect_run(f, 20, 8, false);
}

static void a_zero_that_could_not_be_posted_is_not_forgotten(void **state)
{
	struct plan_run run = { 0, 7, 1, false };
	struct fixture *f = *state;

	dirty(f, 7, 1);
	expect_run(f, 7, 1, false);
	plan_done(&f->plan, &run);
	bitmap_set(f->zero, 7);
	dirty(f, 7, 1);
	assert_int_equal(plan_next(&f->plan, is_zero, f, &run), 1);
	assert_true(run.zero);
	plan_unpost(&f->plan, &run);
	expect_run(f, 7, 1, true);
}

static void cookies_carry_runs(void **state)
{
	struct plan_run in = { 3, (1ull << 48) - 1, 64, false }, out;

	(void)state;
	out = plan_from_cookie(plan_cookie(&in));
	assert_int_equal(out.region, in.region);
	assert_int_equal(out.page, in.page);
	assert_int_equal(out.pages, in.pages);
}

/* Any order of dirtying, posting and completing: every dirty page is sent after it was dirtied. */
static void random_orders_lose_nothing(void **state)
{
	struct fixture *f = *state;
	struct plan_run flight[64];
	uint64_t *owed = bitmap_new(PAGES); /* dirtied since last posted */
	unsigned n = 0;

	srandom(4711);
	for (int i = 0; i < 20000; i++) {
		uint64_t page = (uint64_t)random() % 512;
		struct plan_run run;

		if (random() % 3 == 0) {
			bitmap_set(owed, page);
			dirty_round(f, page, 1);
			f->plan.hold = random() % 2;
		} else if (n < 64 && random() % 2 && plan_next(&f->plan, is_zero, f, &run)) {
			for (unsigned k = 0; k < n; k++) /* never twice in flight */
				assert_true(run.page + run.pages <= flight[k].page ||
					    flight[k].page + flight[k].pages <= run.page);
			bitmap_clear_range(owed, run.page, run.pages);
			flight[n++] = run;
		} else if (n) {
			unsigned k = (unsigned)random() % n;

			plan_done(&f->plan, &flight[k]);
			flight[k] = flight[--n];
		}
	}
	while (n)
		plan_done(&f->plan, &flight[--n]);
	assert_int_equal(bitmap_count(owed, PAGES), f->plan.todo_pages);
	for (uint64_t p = 0; p < 512; p++)
		assert_int_equal(bitmap_test(owed, p), bitmap_test(f->plan.todo.region[0].bits, p));
	free(owed);
}

static void a_page_dirtied_twice_running_waits_for_the_last_round(void **state)
{
	struct fixture *f = *state;

	dirty_round(f, 4, 4);
	assert_int_equal(f->plan.hot_pages, 0);
	f->plan.hold = true;
	expect_run(f, 4, 4, false);
	plan_done(&f->plan, &(struct plan_run){ 0, 4, 4, false });
	dirty_round(f, 6, 4); /* 6 and 7 for the second time */
	assert_int_equal(f->plan.hot_pages, 2);
	expect_run(f, 8, 2, false);
	expect_nothing(f);
	assert_true(plan_empty(&f->plan));
	assert_int_equal(f->plan.todo_pages, 2);
	f->plan.hold = false; /* the last one */
	assert_false(plan_empty(&f->plan));
	expect_run(f, 6, 2, false);
	assert_int_equal(f->plan.hot_pages, 0);
	assert_true(plan_empty(&f->plan));
}

static void a_hot_page_splits_the_run_it_lies_in(void **state)
{
	struct fixture *f = *state;

	dirty_round(f, 2, 1);
	f->plan.hold = true;
	dirty_round(f, 0, 5);
	expect_run(f, 0, 2, false);
	expect_run(f, 3, 2, false);
	expect_nothing(f);
}

static void a_round_without_a_write_cools_a_page_down(void **state)
{
	struct fixture *f = *state;

	dirty_round(f, 9, 1);
	dirty_round(f, 9, 1);
	assert_int_equal(f->plan.hot_pages, 1);
	dirty_round(f, 20, 1);
	assert_int_equal(f->plan.hot_pages, 0);
	f->plan.hold = true;
	expect_run(f, 9, 1, false);
	expect_run(f, 20, 1, false);
	expect_nothing(f);
}

static void what_is_planned_at_first_is_not_hot_for_that(void **state)
{
	struct fixture *f = *state;

	dirty(f, 0, 64); /* all that is allocated, sent because it is there */
	dirty_round(f, 3, 1);
	assert_int_equal(f->plan.hot_pages, 0);
	dirty_round(f, 3, 1);
	assert_int_equal(f->plan.hot_pages, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_end_at_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_page_redirtied_in_flight_is_sent_again_after_it_is_done, setup, teardown),
		cmocka_unit_test_setup_teardown(a_run_stops_at_a_page_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(zero_pages_never_sent_are_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_page_that_becomes_zero_is_sent_as_zero_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_run_that_could_not_be_posted_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_zero_that_could_not_be_posted_is_not_forgotten, setup, teardown),
		cmocka_unit_test(cookies_carry_runs),
		cmocka_unit_test_setup_teardown(random_orders_lose_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_page_dirtied_twice_running_waits_for_the_last_round, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_hot_page_splits_the_run_it_lies_in, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_round_without_a_write_cools_a_page_down, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_planned_at_first_is_not_hot_for_that, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
