/* SPDX-License-Identifier: Apache-2.0 */
/* The bus routes an access to the range that covers all of it, and to nobody otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "hv/dev/bus.h"

struct probe {
	uint64_t off, val;
	unsigned size, reads, writes;
};

static uint64_t probe_read(void *dev, uint64_t off, unsigned size)
{
	struct probe *p = dev;

	p->off = off;
	p->size = size;
	p->reads++;
	return 0x1122334455667788ull;
}

static void probe_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct probe *p = dev;

	p->off = off;
	p->size = size;
	p->val = val;
	p->writes++;
}

static struct bus_range range_of(uint64_t base, uint64_t len, struct probe *p)
{
	return (struct bus_range){
		.base = base, .len = len, .read = probe_read, .write = probe_write, .dev = p
	};
}

static void test_access_reaches_its_device(void **state)
{
	struct probe p = { 0 };
	struct bus_range r = range_of(0x100, 8, &p);
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_int_equal(bus_add(&b, &r, NULL), 0);
	assert_int_equal(bus_read(&b, 0x103, 1), 0x88);
	assert_int_equal(p.off, 3);
	assert_int_equal(bus_read(&b, 0x104, 4), 0x55667788);
	assert_int_equal(bus_read(&b, 0x100, 8), 0x1122334455667788ull);
	bus_write(&b, 0x106, 2, 0xffffabcd);
	assert_int_equal(p.val, 0xabcd);
	assert_int_equal(p.off, 6);
	assert_int_equal(p.size, 2);
	bus_fini(&b);
}

static void test_uncovered_access_reads_ones_and_writes_nowhere(void **state)
{
	struct probe p = { 0 };
	struct bus_range r = range_of(0x100, 8, &p);
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_int_equal(bus_add(&b, &r, NULL), 0);
	assert_int_equal(bus_read(&b, 0xff, 1), 0xff);
	assert_int_equal(bus_read(&b, 0xff, 2), 0xffff);
	assert_int_equal(bus_read(&b, 0x107, 2), 0xffff);
	assert_int_equal(bus_read(&b, 0x105, 4), 0xffffffff);
	assert_true(bus_read(&b, UINT64_MAX, 8) == UINT64_MAX);
	bus_write(&b, 0x107, 4, 1);
	bus_write(&b, 0x108, 1, 1);
	assert_int_equal(p.reads, 0);
	assert_int_equal(p.writes, 0);
	bus_fini(&b);
}

static void test_overlap_wrap_and_excess_are_refused(void **state)
{
	struct probe p = { 0 };
	struct bus_range r = range_of(0x100, 8, &p);
	struct err e = { 0 };
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_int_equal(bus_add(&b, &r, &e), 0);
	r.base = 0x107;
	assert_int_equal(bus_add(&b, &r, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "0x107"));
	r = range_of(UINT64_MAX - 2, 8, &p);
	assert_int_equal(bus_add(&b, &r, &e), -EINVAL);
	r = range_of(0x200, 0, &p);
	assert_int_equal(bus_add(&b, &r, &e), -EINVAL);
	for (unsigned i = 1; i < BUS_RANGES_MAX; i++) {
		r = range_of(0x1000 + i * 8, 8, &p);
		assert_int_equal(bus_add(&b, &r, &e), 0);
	}
	r = range_of(0x9000, 8, &p);
	assert_int_equal(bus_add(&b, &r, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "0x9000"));
	bus_fini(&b);
}

/* As PCI's address register, four bytes at once, around the reset register, one byte. */
static void test_a_range_of_one_width_leaves_the_rest_to_others(void **state)
{
	struct probe wide = { 0 }, narrow = { 0 };
	struct bus_range r = range_of(0xcf8, 4, &wide), n = range_of(0xcf9, 1, &narrow);
	struct err e = { 0 };
	struct bus b;

	(void)state;
	bus_init(&b);
	r.width = 4;
	assert_int_equal(bus_add(&b, &r, &e), 0);
	assert_int_equal(bus_add(&b, &n, &e), 0);
	bus_write(&b, 0xcf8, 4, 1);
	bus_write(&b, 0xcf9, 1, 2);
	bus_write(&b, 0xcf8, 1, 3);
	bus_write(&b, 0xcfa, 2, 4);
	assert_int_equal(wide.writes, 1);
	assert_int_equal(wide.val, 1);
	assert_int_equal(narrow.writes, 1);
	assert_int_equal(narrow.val, 2);
	assert_int_equal(bus_read(&b, 0xcfb, 1), 0xff);
	/* But one in which four bytes fit, or of the same width, could answer for it. */
	n = range_of(0xcf8, 8, &narrow);
	assert_int_equal(bus_add(&b, &n, &e), -EEXIST);
	assert_int_equal(bus_add(&b, &r, &e), -EEXIST);
	r.width = 2;
	assert_int_equal(bus_add(&b, &r, &e), 0);
	bus_write(&b, 0xcfa, 2, 5);
	assert_int_equal(wide.off, 2);
	bus_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_access_reaches_its_device),
		cmocka_unit_test(test_uncovered_access_reads_ones_and_writes_nowhere),
		cmocka_unit_test(test_overlap_wrap_and_excess_are_refused),
		cmocka_unit_test(test_a_range_of_one_width_leaves_the_rest_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
