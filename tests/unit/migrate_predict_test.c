/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move learns of the steps of its blackout while it copies, and the blackout that it makes
 * of them. No clock, no guest: every figure is given, so every one that comes out can be checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/mem/gmem.h"
#include "hv/migrate/estimate.h"
#include "hv/migrate/predict.h"

#define USEC 1000ull
#define MSEC 1000000ull
#define SEC  1000000000ull
#define MIB  (1ull << 20)

#define assert_near(value, want, percent)                                                          \
	assert_in_range((value), (want) * (100 - (percent)) / 100, (want) * (100 + (percent)) / 100)

/* ---- estimates ---------------------------------------------------------------------------- */

static void nothing_learned_is_no_division_by_zero(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 0);
	assert_int_equal(estimate_rate(MIB, 0), 0);
	assert_int_equal(estimate_fresh(&m, 0, SEC), 0);
	assert_int_equal(estimate_harvest_ns(&m, 100), 0);
	/* a slow link rather than a fast one */
	assert_int_equal(estimate_transfer(&m, ESTIMATE_SLOW), SEC);
	assert_true(m.stop_ns > 0);
	estimate_round(&m, 0, 0, 0);
	estimate_round(&m, 64 * MIB, 0, 0);
	estimate_harvest(&m, 0, 0, 0);
	estimate_stop(&m, 0);
	assert_int_equal(m.goodput, 0);
	assert_int_equal(m.write_rate, 0);
	assert_int_equal(estimate_fresh(&m, 0, SEC), 0);
}

/* The target has to make the pages of the first pass, which takes longer than the link does. */
static void the_first_pass_ends_with_the_second(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 50 * USEC);
	estimate_round(&m, 400 * MIB, SEC, SEC);
	assert_int_equal(m.goodput, 400 * MIB);
	estimate_round(&m, 4096, 60 * USEC, 80 * USEC); /* says nothing of the link */
	assert_int_equal(m.goodput, 400 * MIB);
	estimate_round(&m, 20 * MIB, 10 * MSEC, 10 * MSEC);
	assert_int_equal(m.goodput, 2000 * MIB);
	/* from then on none replaces all before it */
	estimate_round(&m, 10 * MIB, 10 * MSEC, 10 * MSEC);
	assert_int_equal(m.goodput, 1750 * MIB);
	estimate_round(&m, 30 * MIB, 10 * MSEC, 10 * MSEC);
	assert_int_equal(m.goodput, 3000 * MIB);
}

/* A shaped link lets a little go at once: that is true of a little. */
static void a_burst_says_nothing_of_much(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 50 * USEC);
	estimate_round(&m, 100 * MIB, SEC, SEC);
	estimate_round(&m, MIB / 2, 500 * USEC, 500 * USEC); /* 1000 MiB/s */
	assert_near(estimate_transfer(&m, MIB / 4), 250 * USEC, 1);
	assert_near(estimate_transfer(&m, MIB), MSEC, 1);
	assert_near(estimate_transfer(&m, 11 * MIB), 101 * MSEC, 1);
	/* a slow small round: it waited for something, and large ones tell better */
	estimate_init(&m, 50 * USEC);
	estimate_round(&m, 100 * MIB, SEC, SEC);
	estimate_round(&m, MIB / 2, MSEC, 50 * MSEC);
	assert_near(estimate_transfer(&m, MIB / 2), 5 * MSEC, 1);
}

static void an_answer_takes_what_it_took_at_best(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 200 * USEC);
	estimate_round(&m, 1000 * MIB, SEC, SEC);
	estimate_round(&m, 0, 0, 5 * MSEC); /* waited for a processor */
	assert_int_equal(m.answer_ns, 200 * USEC);
	estimate_round(&m, 0, 0, 120 * USEC);
	assert_int_equal(m.answer_ns, 120 * USEC);
	/* what the pages of a round took is not the answer's */
	estimate_round(&m, MIB / 2, 500 * USEC, 600 * USEC);
	assert_in_range(m.answer_ns, 1, 120 * USEC);
	/* the rendezvous did not tell */
	estimate_init(&m, 0);
	estimate_round(&m, 1000 * MIB, SEC, SEC);
	estimate_round(&m, 0, 0, 300 * USEC);
	assert_int_equal(m.answer_ns, 300 * USEC);
}

static void stopping_is_what_the_nudges_took(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 0);
	estimate_stop(&m, 40 * USEC); /* the guess counts for nothing any more */
	assert_int_equal(m.stop_ns, 40 * USEC);
	estimate_stop(&m, 80 * USEC);
	assert_int_equal(m.stop_ns, 60 * USEC);
	estimate_stop(&m, 0); /* nobody was in the guest */
	assert_int_equal(m.stop_ns, 60 * USEC);
}

static void a_harvest_costs_so_much_and_so_much_a_page(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 0);
	estimate_harvest(&m, 0, 10 * USEC, SEC);
	estimate_harvest(&m, 1000, 210 * USEC, SEC);
	assert_near(estimate_harvest_ns(&m, 0), 10 * USEC, 1);
	assert_near(estimate_harvest_ns(&m, 500), 110 * USEC, 1);
	estimate_harvest(&m, 10, 5 * MSEC, SEC); /* waited */
	assert_near(estimate_harvest_ns(&m, 500), 110 * USEC, 1);
}

/*
 * A working set of 10000 pages, written evenly. What a round finds of it flattens out; what the
 * guest writes until it has stopped does not.
 */
static void a_guest_that_rewrites_is_seen_to_write_faster(void **state)
{
	/* found in 20 ms at 1, 2 and 100 million pages/s: 1 - e^-n of them, n = 2, 4, 200 */
	static const uint64_t found[] = { 8647, 9817, 10000 };
	uint64_t last = 0;
	struct estimate m;

	(void)state;
	estimate_init(&m, 0);
	estimate_harvest(&m, 10000, MSEC, SEC);
	estimate_harvest(&m, 8647, MSEC, 20 * MSEC);
	assert_near(m.write_rate, 1000000, 20);
	for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
		estimate_harvest(&m, found[i], MSEC, 20 * MSEC);
		assert_true(m.write_rate > last); /* more is seen as more, but never without end */
		last = m.write_rate;
	}
	assert_near(last, 1250000, 1);
	/* little of it: next to none was written twice */
	estimate_harvest(&m, 100, MSEC, MSEC);
	assert_near(m.write_rate, 100000, 2);
}

static void what_is_to_be_sent_anyway_is_not_fresh(void **state)
{
	struct estimate m;

	(void)state;
	estimate_init(&m, 0);
	estimate_harvest(&m, 10000, MSEC, SEC);
	estimate_harvest(&m, 100, MSEC, MSEC);
	assert_near(estimate_fresh(&m, 0, MSEC), 100, 3);
	assert_near(estimate_fresh(&m, 5000, MSEC), 50, 5);
	assert_int_equal(estimate_fresh(&m, 10000, MSEC), 0);
	assert_int_equal(estimate_fresh(&m, 20000, MSEC), 0);
	assert_int_equal(estimate_fresh(&m, 0, 0), 0);
	/* never more than there is */
	assert_int_equal(estimate_fresh(&m, 4000, 100 * SEC), 6000);
}

static void a_switchover_is_cold(void **state)
{
	uint64_t cold[] = { 230, 120, 115 }, waited[] = { 9000, 118, 120 },
		 warm[] = { 90, 5000, 80 }, one[] = { 70 };

	(void)state;
	assert_int_equal(estimate_cold(cold, 3), 230);
	assert_int_equal(estimate_cold(waited, 3), 360);
	assert_int_equal(estimate_cold(warm, 3), 90);
	assert_int_equal(estimate_cold(one, 1), 70);
	assert_int_equal(estimate_cold(one, 0), 0);
}

/* ---- the blackout ------------------------------------------------------------------------- */

/* A source that has learned: 1000 MiB/s, an answer in 100 us, 1 ms in all but the pages. */
static void predict_source(struct source *s)
{
	static const struct source_params params = { .downtime_limit_ns = 10 * MSEC,
		.rtt_ns = 100 * USEC };

	source_init(s, &params);
	estimate_round(&s->learned, 1000 * MIB, SEC, SEC);
	estimate_stop(&s->learned, 100 * USEC);
	estimate_harvest(&s->learned, 0, 50 * USEC, SEC);
	s->pace = 1000 * MIB;
	s->save_ns = 200 * USEC;
	s->load_ns = 300 * USEC;
	s->state_bytes = MIB / 16;
}

static uint64_t predict_sum(const struct mig_blackout *b)
{
	return b->stop_ns + b->harvest_ns + b->residual_ns + b->save_ns + b->send_ns + b->start_ns;
}

static void steps_add_up_to_the_whole(void **state)
{
	struct mig_blackout b;
	struct source s;

	(void)state;
	predict_source(&s);
	predict_blackout(&s, &b);
	assert_int_equal(b.stop_ns, 100 * USEC);
	assert_int_equal(b.harvest_ns, 50 * USEC);
	assert_int_equal(b.residual_ns, 0);
	assert_int_equal(b.save_ns, 200 * USEC);
	assert_int_equal(b.load_ns, 300 * USEC);
	assert_near(b.send_ns, 300 * USEC + 100 * USEC + 62 * USEC, 1);
	assert_int_equal(b.start_ns, 100 * USEC);
	assert_int_equal(b.total_ns, predict_sum(&b));
	s.residual_pages = 4 * MIB / GMEM_PAGE_SIZE;
	predict_blackout(&s, &b);
	assert_near(b.residual_ns, 4 * MSEC, 1);
	assert_int_equal(b.total_ns, predict_sum(&b));
}

/* Before the first round there is nothing but what the target said. */
static void a_move_that_has_sent_nothing_predicts_all_the_same(void **state)
{
	static const struct source_params params = { .downtime_limit_ns = 10 * MSEC };
	struct mig_blackout b;
	struct source s;

	(void)state;
	source_init(&s, &params);
	s.save_ns = 200 * USEC;
	s.load_ns = 300 * USEC;
	s.state_bytes = 10000;
	predict_blackout(&s, &b);
	assert_int_equal(b.total_ns, predict_sum(&b));
	assert_in_range(b.total_ns, 600 * USEC, MSEC);
	assert_false(predict_impossible(&s));
	assert_false(predict_worth_a_round(&s)); /* rate 0: another round would find nothing */
}

/* Posted at once, and then on its way: the time is the next step's, and the whole is the same. */
static void what_is_under_way_is_waited_for_behind_the_state(void **state)
{
	struct mig_blackout b, queued;
	struct source s;

	(void)state;
	predict_source(&s);
	s.residual_pages = 4 * MIB / GMEM_PAGE_SIZE;
	predict_blackout(&s, &b);
	s.learned.posting = 250;
	predict_blackout(&s, &queued);
	assert_near(queued.residual_ns, MSEC, 1);
	assert_near(queued.send_ns, b.send_ns + 3 * MSEC, 1);
	assert_near(queued.total_ns, b.total_ns, 1);
}

/* What the guest writes until it has stopped is sent as well, and more of it the longer that takes.
 */
static void a_slow_stop_leaves_more_to_send(void **state)
{
	struct mig_blackout b, slow;
	struct source s;

	(void)state;
	predict_source(&s);
	estimate_harvest(&s.learned, 25600, 50 * USEC, 2 * SEC);
	estimate_harvest(&s.learned, 256, 50 * USEC, MSEC); /* 1 MiB each ms */
	predict_blackout(&s, &b);
	s.learned.stop_ns = 4100 * USEC;
	predict_blackout(&s, &slow);
	assert_near(slow.total_ns - b.total_ns, 8 * MSEC, 5); /* 4 to stop, 4 MiB at 1000 MiB/s */
}

/* A throttled guest writes less, and the last round, which was throttled, says so. */
static void a_throttled_guest_leaves_less(void **state)
{
	struct source s;
	uint64_t before;

	(void)state;
	predict_source(&s);
	estimate_harvest(&s.learned, 25600, 50 * USEC, SEC);
	before = estimate_fresh(&s.learned, 0, MSEC);
	s.share = SOURCE_SHARE_LEAST;
	estimate_harvest(&s.learned, 256, 50 * USEC, SEC);
	assert_true(before > 0);
	assert_in_range(estimate_fresh(&s.learned, 0, MSEC), 0, before / 50);
	assert_true(predict_share(&s) >= SOURCE_SHARE_LEAST);
}

/* The prediction is what decides: a limit below it is not met by sending nothing. */
static void a_limit_below_the_fixed_cost_is_impossible(void **state)
{
	struct mig_blackout b;
	struct source s;

	(void)state;
	predict_source(&s);
	predict_blackout(&s, &b);
	s.params.downtime_limit_ns = b.total_ns;
	assert_false(predict_impossible(&s));
	s.params.downtime_limit_ns = b.total_ns - 1;
	assert_true(predict_impossible(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_learned_is_no_division_by_zero),
		cmocka_unit_test(the_first_pass_ends_with_the_second),
		cmocka_unit_test(a_burst_says_nothing_of_much),
		cmocka_unit_test(an_answer_takes_what_it_took_at_best),
		cmocka_unit_test(stopping_is_what_the_nudges_took),
		cmocka_unit_test(a_harvest_costs_so_much_and_so_much_a_page),
		cmocka_unit_test(a_guest_that_rewrites_is_seen_to_write_faster),
		cmocka_unit_test(what_is_to_be_sent_anyway_is_not_fresh),
		cmocka_unit_test(a_switchover_is_cold),
		cmocka_unit_test(steps_add_up_to_the_whole),
		cmocka_unit_test(a_move_that_has_sent_nothing_predicts_all_the_same),
		cmocka_unit_test(what_is_under_way_is_waited_for_behind_the_state),
		cmocka_unit_test(a_slow_stop_leaves_more_to_send),
		cmocka_unit_test(a_throttled_guest_leaves_less),
		cmocka_unit_test(a_limit_below_the_fixed_cost_is_impossible),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
