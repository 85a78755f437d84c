/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: one door, the PCI hole is nobody's, holes stay holes, and what the VMM writes is
 * marked.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "hv/mem/dirty.h"

static uint64_t allocated(const struct gmem *m)
{
	struct stat st;

	assert_int_equal(fstat(m->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void sizes_that_make_no_sense_are_refused_with_figures(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(gmem_check_size(0, false, &e), -EINVAL);
	assert_int_equal(gmem_check_size(63ull << 20, false, &e), -EINVAL);
	assert_int_equal(gmem_check_size((64ull << 20) + 1, false, &e), -EINVAL);
	assert_int_equal(gmem_check_size(17ull << 40, true, &e), -EINVAL);
	assert_int_equal(gmem_check_size(15ull << 40, false, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, "15.0 TiB does not fit: this host has"));
	assert_int_equal(gmem_check_size(15ull << 40, true, &e), 0);
	assert_int_equal(gmem_check_size(64ull << 20, false, &e), 0);
}

static void memory_is_split_around_the_pci_hole(void **state)
{
	struct gmem m;
	char c = 'x';

	(void)state;
	assert_int_equal(gmem_init(&m, 12ull << 30, NULL), 0);
	assert_int_equal(m.nregions, 2);
	assert_int_equal(m.regions[0].size, GMEM_HOLE_START);
	assert_int_equal(m.regions[1].gpa, GMEM_HOLE_END);
	assert_int_equal(m.regions[1].size, 9ull << 30);
	assert_true(gmem_write(&m, GMEM_HOLE_START - 1, &c, 1));
	assert_false(gmem_write(&m, GMEM_HOLE_START, &c, 1));
	assert_false(gmem_write(&m, GMEM_HOLE_END - 1, &c, 1));
	assert_true(gmem_write(&m, GMEM_HOLE_END, &c, 1));
	assert_true(gmem_write(&m, GMEM_HOLE_END + (9ull << 30) - 1, &c, 1));
	assert_false(gmem_write(&m, GMEM_HOLE_END + (9ull << 30), &c, 1));
	assert_int_equal(allocated(&m), 3 * GMEM_PAGE_SIZE);
	gmem_fini(&m);
}

static void ranges_that_leave_a_region_are_refused(void **state)
{
	struct gmem m;
	char buf[16];

	(void)state;
	assert_int_equal(gmem_init(&m, 64ull << 20, NULL), 0);
	assert_false(gmem_read(&m, (64ull << 20) - 8, buf, 16));
	assert_null(gmem_view(&m, UINT64_MAX, 1));
	assert_null(gmem_view(&m, UINT64_MAX - 4, 16));
	assert_null(gmem_view(&m, 8, UINT64_MAX - 4));
	assert_non_null(gmem_view(&m, 0, 64ull << 20));
	gmem_fini(&m);
}

static void extents_are_found_without_touching_holes(void **state)
{
	uint64_t start, end;
	struct gmem m;
	char c = 1;

	(void)state;
	assert_int_equal(gmem_init(&m, 64ull << 20, NULL), 0);
	assert_int_equal(gmem_next_data(&m, &m.regions[0], 0, &start, &end, NULL), 0);
	assert_true(gmem_write(&m, 10 * GMEM_PAGE_SIZE + 5, &c, 1));
	assert_true(gmem_write(&m, 11 * GMEM_PAGE_SIZE, &c, 1));
	assert_int_equal(gmem_next_data(&m, &m.regions[0], 0, &start, &end, NULL), 1);
	assert_int_equal(start, 10 * GMEM_PAGE_SIZE);
	assert_int_equal(end, 12 * GMEM_PAGE_SIZE);
	assert_int_equal(gmem_next_data(&m, &m.regions[0], end, &start, &end, NULL), 0);
	assert_int_equal(allocated(&m), 2 * GMEM_PAGE_SIZE);
	gmem_fini(&m);
}

static void what_the_vmm_writes_is_marked_and_taken_once(void **state)
{
	struct dirty_map d;
	struct gmem m;
	char buf[5000] = { 1 };

	(void)state;
	assert_int_equal(gmem_init(&m, 5ull << 30, NULL), 0);
	assert_int_equal(dirty_map_init(&d, &m, NULL), 0);
	assert_true(gmem_write(&m, 2 * GMEM_PAGE_SIZE + 4090, buf, sizeof(buf)));
	assert_true(gmem_write(&m, GMEM_HOLE_END, buf, 1));
	dirty_map_take_written(&d, &m);
	assert_int_equal(dirty_map_count(&d), 4);
	assert_true(bitmap_test(d.region[0].bits, 2));
	assert_true(bitmap_test(d.region[0].bits, 4));
	assert_true(bitmap_test(d.region[1].bits, 0));
	dirty_map_clear(&d);
	dirty_map_take_written(&d, &m);
	assert_int_equal(dirty_map_count(&d), 0);
	dirty_map_fini(&d);
	gmem_fini(&m);
}

static void discarding_makes_holes_again_and_marks_what_changed(void **state)
{
	struct dirty_map d;
	struct gmem m;
	char c = 1;

	(void)state;
	assert_int_equal(gmem_init(&m, 64ull << 20, NULL), 0);
	assert_int_equal(dirty_map_init(&d, &m, NULL), 0);
	gmem_view(&m, 0, 1ull << 20)[123456] = 'g'; /* as the guest would: unmarked */
	assert_int_equal(gmem_discard_all(&m, NULL), 0);
	assert_int_equal(allocated(&m), 0);
	assert_true(gmem_read(&m, 123456, &c, 1));
	assert_int_equal(c, 0);
	dirty_map_take_written(&d, &m);
	assert_int_equal(dirty_map_count(&d), 1);
	dirty_map_fini(&d);
	gmem_fini(&m);
}

static void one_bit_makes_a_page_not_zero(void **state)
{
	static uint8_t page[4096];

	(void)state;
	assert_true(gmem_page_is_zero(page));
	for (size_t i = 0; i < sizeof(page); i++) {
		page[i] = 0x80;
		assert_false(gmem_page_is_zero(page));
		page[i] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_make_no_sense_are_refused_with_figures),
		cmocka_unit_test(memory_is_split_around_the_pci_hole),
		cmocka_unit_test(ranges_that_leave_a_region_are_refused),
		cmocka_unit_test(extents_are_found_without_touching_holes),
		cmocka_unit_test(what_the_vmm_writes_is_marked_and_taken_once),
		cmocka_unit_test(discarding_makes_holes_again_and_marks_what_changed),
		cmocka_unit_test(one_bit_makes_a_page_not_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
