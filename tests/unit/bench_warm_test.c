/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that a guest has left is kept for the next target, and let go of in one go. */
#include "bench/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ull << 20)

/* A memory file of 8 MiB, @bytes of it allocated. */
static int left_by_a_guest(uint64_t bytes)
{
	int fd = memfd_create("left", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	assert_int_equal(fallocate(fd, 0, 0, (off_t)bytes), 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void what_a_guest_left_serves_the_next_target(void **state)
{
	struct warm w = { 0 };
	int fd = left_by_a_guest(8 * MIB);

	(void)state;
	warm_keep(&w, fd);
	assert_int_equal(warm_fill(&w, 8 * MIB, NULL, NULL), 0);
	assert_null(w.mem); /* nothing was touched for it */
	assert_true(is_open(fd));
	warm_release(&w);
	assert_false(is_open(fd));
}

static void the_file_kept_before_is_let_go_of(void **state)
{
	struct warm w = { 0 };
	int first = left_by_a_guest(8 * MIB), second = left_by_a_guest(8 * MIB);

	(void)state;
	warm_keep(&w, first);
	warm_keep(&w, second);
	assert_false(is_open(first));
	assert_true(is_open(second));
	warm_release(&w);
	assert_false(is_open(second));
}

static void too_little_is_replaced_by_memory_touched_for_it(void **state)
{
	struct bench_ends x;
	struct warm w = { 0 };
	int fd = left_by_a_guest(4 * MIB);

	(void)state;
	assert_int_equal(ends_init(&x, NULL), 0);
	warm_keep(&w, fd);
	assert_int_equal(warm_fill(&w, 8 * MIB, &x, NULL), 0);
	assert_non_null(w.mem);
	assert_false(is_open(fd));
	warm_release(&w);
	ends_fini(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_guest_left_serves_the_next_target),
		cmocka_unit_test(the_file_kept_before_is_let_go_of),
		cmocka_unit_test(too_little_is_replaced_by_memory_touched_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
