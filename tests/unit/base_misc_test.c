/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small tools everything stands on: sizes and durations as people write them, bitmaps, errors
 * with context, the event loop.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "hv/base/loop.h"
#include "hv/base/size.h"
#include "hv/base/urgency.h"

static void sizes_are_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "0", 0 }, { "4096", 4096 }, { "64K", 65536 }, { "1G", 1ull << 30 },
		{ "12GiB", 12ull << 30 }, { "2t", 2ull << 40 },
		{ "16777215T", 16777215ull << 40 } };
	static const char *const bad[] = { "", "G", "-1G", "1.5G", "1X", "1GG", " 1G", "16777216T",
		"99999999999999999999" };
	struct err e;
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(size_parse(good[i].text, &v, &e), 0);
		assert_int_equal(v, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(size_parse(bad[i], &v, &e), -EINVAL);
		assert_non_null(strstr(e.msg, bad[i]));
	}
}

static void durations_have_units_and_default_to_milliseconds(void **state)
{
	struct err e;
	uint64_t v;

	(void)state;
	assert_int_equal(duration_parse("10", &v, &e), 0);
	assert_int_equal(v, 10000000);
	assert_int_equal(duration_parse("1.5s", &v, &e), 0);
	assert_int_equal(v, 1500000000);
	assert_int_equal(duration_parse("300us", &v, &e), 0);
	assert_int_equal(v, 300000);
	assert_int_equal(duration_parse("1h", &v, &e), -EINVAL);
	assert_int_equal(duration_parse("-1s", &v, &e), -EINVAL);
	assert_int_equal(duration_parse("1e300s", &v, &e), -EINVAL);
}

static void numbers_outside_their_range_name_it(void **state)
{
	struct err e;
	uint64_t v;

	(void)state;
	assert_int_equal(number_parse("64", "--cpus", 1, 254, &v, &e), 0);
	assert_int_equal(v, 64);
	assert_int_equal(number_parse("255", "--cpus", 1, 254, &v, &e), -EINVAL);
	assert_string_equal(e.msg, "--cpus '255' is not a whole number from 1 to 254");
	assert_int_equal(number_parse("2x", "--cpus", 1, 254, &v, &e), -EINVAL);
	assert_int_equal(number_parse("", "--cpus", 1, 254, &v, &e), -EINVAL);
}

/* Ranges and searches against the obvious bit-by-bit version. */
static void bitmaps_agree_with_a_slow_one(void **state)
{
	enum { BITS = 300 };
	uint64_t *m = bitmap_new(BITS);
	bool slow[BITS] = { false };

	(void)state;
	srandom(42);
	for (int round = 0; round < 2000; round++) {
		size_t from = (size_t)random() % BITS, n = (size_t)random() % (BITS - from + 1);
		bool set = random() % 2;
		size_t count = 0, next_set = BITS, next_clear = BITS;

		(set ? bitmap_set_range : bitmap_clear_range)(m, from, n);
		for (size_t i = from; i < from + n; i++)
			slow[i] = set;
		from = (size_t)random() % BITS;
		for (size_t i = BITS; i-- > 0;) {
			count += slow[i];
			if (i >= from && slow[i])
				next_set = i;
			if (i >= from && !slow[i])
				next_clear = i;
		}
		assert_int_equal(bitmap_count(m, BITS), count);
		assert_int_equal(bitmap_next_set(m, BITS, from), next_set);
		assert_int_equal(bitmap_next_clear(m, BITS, from), next_clear);
	}
	free(m);
}

static void or_counts_what_is_new(void **state)
{
	uint64_t *a = bitmap_new(128), *b = bitmap_new(128);

	(void)state;
	bitmap_set_range(a, 0, 10);
	bitmap_set_range(b, 5, 100);
	assert_int_equal(bitmap_or(a, b, 128), 95);
	assert_int_equal(bitmap_count(a, 128), 105);
	free(a);
	free(b);
}

static void errors_gather_context_on_the_way_up(void **state)
{
	struct err e = { 0 };
	char big[2 * ERR_MSG_MAX];

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_errno(&e, "cannot open '%s'", "/x"), -ENOENT);
	assert_int_equal(err_wrap(&e, "kernel"), -ENOENT);
	assert_string_equal(e.msg, "kernel: cannot open '/x': No such file or directory");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(err_set(&e, -EINVAL, "%s", big), -EINVAL);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_int_equal(err_set(NULL, -EINVAL, "nobody listens"), -EINVAL);
}

struct loop_fixture {
	struct loop *l;
	int a[2], b[2];
	int ran;
};

/* Whoever runs first ends the other's watch and its own. */
static void loop_first(void *arg, uint32_t events)
{
	struct loop_fixture *f = arg;

	(void)events;
	f->ran++;
	loop_del(f->l, f->a[0]);
	loop_del(f->l, f->b[0]);
	loop_stop(f->l, 7);
}

static void a_watch_deleted_in_a_callback_is_not_called(void **state)
{
	struct loop_fixture f = { 0 };
	struct err e;

	(void)state;
	f.l = loop_new(&e);
	assert_int_equal(pipe(f.a) | pipe(f.b), 0);
	assert_int_equal(loop_add(f.l, f.a[0], EPOLLIN, loop_first, &f, &e), 0);
	assert_int_equal(loop_add(f.l, f.b[0], EPOLLIN, loop_first, &f, &e), 0);
	assert_int_equal(write(f.a[1], "x", 1) + write(f.b[1], "x", 1), 2);
	assert_int_equal(loop_run(f.l), 7);
	assert_int_equal(f.ran, 1);
	assert_int_equal(loop_once(f.l, 0), 0);
	loop_free(f.l);
	close(f.a[0]);
	close(f.a[1]);
	close(f.b[0]);
	close(f.b[1]);
}

/* Between the halves another thread has the lock, and may have changed what is watched. */
static void a_watch_replaced_between_wait_and_dispatch_is_not_called(void **state)
{
	struct loop_fixture f = { 0 };
	struct loop_ready ready;
	struct err e;

	(void)state;
	f.l = loop_new(&e);
	assert_int_equal(pipe(f.a), 0);
	assert_int_equal(loop_add(f.l, f.a[0], EPOLLIN, loop_first, &f, &e), 0);
	assert_int_equal(write(f.a[1], "x", 1), 1);
	loop_wait(f.l, &ready, 0);
	assert_int_equal(ready.n, 1);
	loop_del(f.l, f.a[0]);
	assert_int_equal(loop_dispatch(f.l, &ready), 0);
	assert_int_equal(loop_add(f.l, f.a[0], EPOLLIN, loop_first, &f, &e), 0);
	assert_int_equal(loop_dispatch(f.l, &ready), 0);
	assert_int_equal(f.ran, 0);
	/* The new watch is called for itself. */
	assert_int_equal(loop_once(f.l, 0), 1);
	loop_free(f.l);
	close(f.a[0]);
	close(f.a[1]);
}

/* Real-time where that is allowed, by the nice value where not; and back to ordinary in either
 * case. */
static void what_was_urgent_is_ordinary_again(void **state)
{
	int before = getpriority(PRIO_PROCESS, 0), policy;

	(void)state;
	urgency_set(URGENCY_HIGH);
	policy = sched_getscheduler(0);
	if (geteuid() == 0 && policy == SCHED_OTHER)
		print_message("real-time scheduling is not allowed here: not seen\n");
	assert_true(policy == SCHED_RR || policy == SCHED_OTHER);
	assert_true(getpriority(PRIO_PROCESS, 0) <= before);
	urgency_set(URGENCY_NORMAL);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	urgency_set(URGENCY_BACKGROUND);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	urgency_set(URGENCY_NORMAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read_as_people_write_them),
		cmocka_unit_test(durations_have_units_and_default_to_milliseconds),
		cmocka_unit_test(numbers_outside_their_range_name_it),
		cmocka_unit_test(bitmaps_agree_with_a_slow_one),
		cmocka_unit_test(or_counts_what_is_new),
		cmocka_unit_test(errors_gather_context_on_the_way_up),
		cmocka_unit_test(what_was_urgent_is_ordinary_again),
		cmocka_unit_test(a_watch_deleted_in_a_callback_is_not_called),
		cmocka_unit_test(a_watch_replaced_between_wait_and_dispatch_is_not_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
