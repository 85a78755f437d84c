/* SPDX-License-Identifier: Apache-2.0 */
/* The observer's arithmetic, fed with looks of a clock that is made up: bench/watch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bench/watch.h"

#define US 1000ull
#define MS 1000000ull

/* A guest whose TSC ticks once a ns and that beats each us while it runs. */
struct world {
	struct watch w;
	struct bench_slot src[2], dst[2];
	uint64_t now, tsc;
};

static void world_init(struct world *x, unsigned cpus)
{
	memset(x, 0, sizeof(*x));
	x->w.cpus = cpus;
	x->w.tsc_khz = 1000000;
	x->now = x->w.start_ns = 1000 * MS;
	x->tsc = 5 * MS;
	x->w.bucket = calloc(WATCH_BUCKETS_MAX, sizeof(*x->w.bucket));
	assert_non_null(x->w.bucket);
}

static void world_look(struct world *x, bool there)
{
	watch_look(&x->w, x->src, there ? x->dst : NULL, x->now);
}

/* Runs at @end for @ns, looked at every @every. */
static void world_run(struct world *x, int end, uint64_t ns, uint64_t every)
{
	struct bench_slot *s = end ? x->dst : x->src;

	for (uint64_t t = 0; t < ns; t += every) {
		x->now += every;
		x->tsc += every;
		for (unsigned i = 0; i < x->w.cpus; i++) {
			uint64_t was = x->src[i].heartbeat > x->dst[i].heartbeat
					       ? x->src[i].heartbeat
					       : x->dst[i].heartbeat;

			s[i].heartbeat = was + every / US;
			s[i].tsc = x->tsc;
			s[i].pages_written += every / (10 * US);
		}
		world_look(x, end);
	}
}

/* Nobody runs for @ns; the guest's clock goes on for @ticking of it. */
static void world_stop(struct world *x, uint64_t ns, uint64_t ticking, uint64_t every)
{
	for (uint64_t t = 0; t < ns; t += every) {
		x->now += every;
		world_look(x, true);
	}
	x->tsc += ticking;
}

static void world_leave(struct world *x)
{
	memcpy(x->dst, x->src, sizeof(x->dst)); /* its memory arrives, it does not run yet */
}

static void a_pause_is_found_to_within_a_look(void **state)
{
	struct world x;

	(void)state;
	world_init(&x, 1);
	world_run(&x, 0, 50 * MS, 100 * US);
	world_leave(&x);
	world_stop(&x, 30 * MS, 30 * MS, 100 * US);
	world_run(&x, 1, 50 * MS, 100 * US);
	assert_in_range(x.w.seen.moved_ns, 30 * MS - 100 * US, 30 * MS + 100 * US);
	assert_int_equal(x.w.seen.moved_ns, x.w.seen.gap_ns);
	assert_in_range(x.w.seen.moved_error_ns, 0, 101 * US);
	free(x.w.bucket);
}

static void a_pause_at_one_end_is_not_the_move(void **state)
{
	struct world x;

	(void)state;
	world_init(&x, 1);
	world_run(&x, 0, 20 * MS, 100 * US);
	world_stop(&x, 8 * MS, 8 * MS, 100 * US);
	world_run(&x, 0, 20 * MS, 100 * US);
	world_leave(&x);
	world_stop(&x, 3 * MS, 3 * MS, 100 * US);
	world_run(&x, 1, 20 * MS, 100 * US);
	assert_in_range(x.w.seen.gap_ns, 8 * MS - 100 * US, 8 * MS + 100 * US);
	assert_in_range(x.w.seen.moved_ns, 3 * MS - 100 * US, 3 * MS + 100 * US);
	free(x.w.bucket);
}

static void without_a_move_there_is_no_blackout(void **state)
{
	struct world x;

	(void)state;
	world_init(&x, 2);
	world_run(&x, 0, 500 * MS, 100 * US);
	assert_int_equal(x.w.seen.moved_ns, 0);
	assert_in_range(x.w.seen.gap_ns, 0, 101 * US);
	free(x.w.bucket);
}

static void an_observer_that_looks_late_admits_it(void **state)
{
	struct world x;

	(void)state;
	world_init(&x, 1);
	world_run(&x, 0, 20 * MS, 100 * US);
	x.src[0].heartbeat += 5000; /* it ran all the while; only nobody looked */
	x.now += 5 * MS;
	world_look(&x, false);
	assert_in_range(x.w.seen.late_ns, 5 * MS, 5 * MS);
	/* At least nothing, at most the time nobody looked. */
	assert_true(x.w.seen.gap_ns <= x.w.seen.gap_error_ns);
	free(x.w.bucket);
}

static void the_longest_of_two_vcpus_counts(void **state)
{
	struct world x;

	(void)state;
	world_init(&x, 2);
	world_run(&x, 0, 20 * MS, 100 * US);
	world_leave(&x);
	world_stop(&x, 2 * MS, 2 * MS, 100 * US);
	for (int i = 0; i < 40; i++) { /* the first goes on at once, the second 4 ms later */
		x.now += 100 * US;
		x.dst[0].heartbeat += 100;
		world_look(&x, true);
	}
	world_run(&x, 1, 20 * MS, 100 * US);
	assert_in_range(x.w.seen.moved_ns, 6 * MS - 200 * US, 6 * MS + 200 * US);
	free(x.w.bucket);
}

static void work_is_counted_in_buckets_over_both_ends(void **state)
{
	struct world x;
	const struct watch_bucket *b;

	(void)state;
	world_init(&x, 1);
	world_run(&x, 0, 100 * MS, 100 * US);
	world_leave(&x);
	world_stop(&x, 30 * MS, 30 * MS, 100 * US);
	world_run(&x, 1, 100 * MS, 100 * US);
	b = x.w.bucket;
	assert_in_range(x.w.buckets, 23, 24);
	assert_int_equal(b[5].pages - b[4].pages, 1000); /* 100 a ms */
	assert_int_equal(b[12].pages - b[11].pages, 0);
	assert_int_equal(b[20].pages - b[19].pages, 1000);
	free(x.w.bucket);
}

static void a_clock_that_lost_time_is_found_out(void **state)
{
	uint64_t moved, start;
	struct world x;
	int64_t lost = 0;

	(void)state;
	world_init(&x, 1);
	x.w.tsc_khz = 1000400; /* what the guest was told is not quite true */
	start = x.now;
	world_run(&x, 0, 900 * MS, 100 * US);
	world_leave(&x);
	moved = x.now;
	world_stop(&x, 30 * MS, 12 * MS, 100 * US);
	world_run(&x, 1, 300 * MS, 100 * US);
	assert_true(watch_lost(&x.w, (struct watch_span){ start, moved },
		(struct watch_span){ moved - 300 * MS, moved },
		(struct watch_span){ moved + 40 * MS, x.now }, &lost));
	assert_in_range(lost, 18 * MS - 20 * US, 18 * MS + 20 * US);
	free(x.w.bucket);
}

static void a_rate_from_late_readings_is_no_lost_clock(void **state)
{
	struct watch_span rate, before, after;
	struct world x;
	int64_t lost = -1;

	(void)state;
	world_init(&x, 1);
	rate.from = x.now;
	world_run(&x, 0, 300 * MS, 100 * US);
	/* Until the end of the window the guest runs 20 ms before it is seen to. */
	x.now += 20 * MS;
	world_run(&x, 0, 600 * MS, 100 * US);
	rate.to = x.now;
	x.tsc += 20 * MS;
	before.from = x.now;
	world_run(&x, 0, 50 * MS, 100 * US);
	before.to = x.now;
	world_run(&x, 0, 2000 * MS, 100 * US);
	world_leave(&x);
	after.from = x.now;
	world_run(&x, 1, 300 * MS, 100 * US);
	after.to = x.now;
	assert_true(watch_lost(&x.w, rate, before, after, &lost));
	assert_in_range(lost + (int64_t)MS, MS - 20 * US, MS + 20 * US);
	free(x.w.bucket);
}

static void the_next_move_is_watched_from_where_the_last_one_went(void **state)
{
	struct world x;

	(void)state;
	world_init(&x, 1);
	x.w.arrival = calloc(1, sizeof(*x.w.arrival));
	assert_non_null(x.w.arrival);
	x.w.arrived = true;
	x.w.fd[0] = 3;
	x.w.fd[1] = 4;
	x.w.off[1] = 4096;
	world_run(&x, 0, 20 * MS, 100 * US);
	world_leave(&x);
	world_stop(&x, 5 * MS, 5 * MS, 100 * US);
	world_run(&x, 1, 20 * MS, 100 * US);
	watch_next(&x.w);
	assert_int_equal(x.w.fd[0], 4);
	assert_int_equal(x.w.fd[1], -1);
	assert_int_equal(x.w.off[0], 4096);
	assert_false(x.w.arrived);
	watch_window(&x.w);
	memcpy(x.src, x.dst, sizeof(x.src));
	memset(x.dst, 0, sizeof(x.dst));
	world_run(&x, 0, 20 * MS, 100 * US);
	assert_int_equal(x.w.seen.moved_ns, 0); /* it has gone nowhere yet */
	world_leave(&x);
	world_stop(&x, 7 * MS, 7 * MS, 100 * US);
	world_run(&x, 1, 20 * MS, 100 * US);
	assert_in_range(x.w.seen.moved_ns, 7 * MS - 100 * US, 7 * MS + 100 * US);
	free(x.w.arrival);
	free(x.w.bucket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_from_late_readings_is_no_lost_clock),
		cmocka_unit_test(the_next_move_is_watched_from_where_the_last_one_went),
		cmocka_unit_test(a_pause_is_found_to_within_a_look),
		cmocka_unit_test(a_pause_at_one_end_is_not_the_move),
		cmocka_unit_test(without_a_move_there_is_no_blackout),
		cmocka_unit_test(an_observer_that_looks_late_admits_it),
		cmocka_unit_test(the_longest_of_two_vcpus_counts),
		cmocka_unit_test(work_is_counted_in_buckets_over_both_ends),
		cmocka_unit_test(a_clock_that_lost_time_is_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
