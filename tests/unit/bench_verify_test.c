/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two memory files made up like a guest before and after its move: every kind of damage is found,
 * what the guest rewrites is left out, and looking allocates nothing. bench/verify.h, page.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/guest/page.h"
#include "bench/verify.h"

#define SIZE     (16ull << 20)
#define VERSIONS 0x200000ull
#define STACKS   0x204000ull
#define PAGES    0x400000ull /* where numbered pages start */
#define WORKSET  64ull
#define FILLED   1024ull

struct fixture {
	struct observed from, to;
	uint8_t *mem[2];
};

static uint64_t *page_of(uint8_t *mem, uint64_t page)
{
	return (uint64_t *)(mem + PAGES + page * BENCH_PAGE_SIZE);
}

/* A guest's memory as bench/guest leaves it, each working set page in version 3. */
static uint8_t *make_guest(struct observed *o)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct bench_header *h;
	struct err e = { 0 };
	uint8_t *mem;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mem != MAP_FAILED);
	for (uint64_t i = 0; i < FILLED; i++) {
		bench_body_write(page_of(mem, i), i, BENCH_RANDOM);
		if (i < WORKSET) {
			bench_stamp_write(page_of(mem, i), i, 3);
			((uint32_t *)(mem + VERSIONS))[i] = 3;
		}
	}
	memset(mem + BENCH_REPORT_GPA, 0,
		sizeof(struct bench_report)); /* touched, as by the guest */
	h = (struct bench_header *)(mem + BENCH_REPORT_GPA);
	h->layout = BENCH_LAYOUT;
	h->tsc_khz = 1000000;
	h->cpus = h->cpus_wanted = 1;
	h->workset_pages = WORKSET;
	h->fill_pages = FILLED;
	h->versions_gpa = VERSIONS;
	h->stacks_gpa = STACKS;
	h->stacks_size = 8192;
	h->areas = 1;
	h->area[0] = (struct bench_area){ PAGES, (SIZE - PAGES) / BENCH_PAGE_SIZE };
	h->magic = BENCH_MAGIC;
	assert_int_equal(observe_attach_fd(o, fd, SIZE, &e), 0);
	assert_int_equal(observe_header(o, &e), 0);
	return mem;
}

static int setup(void **state)
{
	static struct fixture f;

	f.mem[0] = make_guest(&f.from);
	f.mem[1] = make_guest(&f.to);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	munmap(f->mem[0], SIZE);
	munmap(f->mem[1], SIZE);
	observe_detach(&f->from);
	observe_detach(&f->to);
	return 0;
}

static struct verify_result look(struct fixture *f)
{
	struct verify_result v = { 0 };
	struct err e = { 0 };

	assert_int_equal(verify_compare(&f->from, &f->to, &v, &e), 0);
	assert_int_equal(verify_stamps(&f->to, &v, &e), 0);
	return v;
}

static void an_equal_guest_passes_and_holes_stay_holes(void **state)
{
	struct fixture *f = *state;
	struct stat before, after;
	struct verify_result v;

	fstat(f->to.fd, &before);
	v = look(f);
	fstat(f->to.fd, &after);
	assert_true(verify_passed(&v));
	assert_int_equal(v.stamps_checked, WORKSET);
	assert_true(v.pages_compared >= FILLED);
	assert_true(v.pages_compared < SIZE / BENCH_PAGE_SIZE);
	assert_int_equal(before.st_blocks, after.st_blocks);
}

static void a_hole_equals_zeros(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	page_of(f->mem[0], 2000)[0] = 0; /* allocates a page of zeros at the source */
	v = look(f);
	assert_true(verify_passed(&v));
}

static void one_bit_outside_the_working_set_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	page_of(f->mem[1], FILLED - 1)[511] ^= 1;
	v = look(f);
	assert_false(verify_passed(&v));
	assert_int_equal(v.pages_differ, 1);
	assert_int_equal(v.first_differ, PAGES + (FILLED - 1) * BENCH_PAGE_SIZE);
	assert_int_equal(v.stamps_bad, 0);
}

static void data_that_became_a_hole_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	assert_int_equal(madvise(page_of(f->mem[1], 500), BENCH_PAGE_SIZE, MADV_REMOVE), 0);
	v = look(f);
	assert_int_equal(v.pages_differ, 1);
	assert_int_equal(v.first_differ, PAGES + 500 * BENCH_PAGE_SIZE);
}

static void data_where_the_source_had_a_hole_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	page_of(f->mem[1], 3000)[7] = 1;
	v = look(f);
	assert_int_equal(v.pages_differ, 1);
	assert_int_equal(v.first_differ, PAGES + 3000 * BENCH_PAGE_SIZE);
}

/* Threads share the comparing: no page falls between two of them, and none is counted twice. */
static void every_page_is_compared_once_whoever_compares_it(void **state)
{
	struct fixture *f = *state;
	uint64_t pages = (SIZE - PAGES) / BENCH_PAGE_SIZE;
	struct verify_result v;

	for (uint64_t i = WORKSET; i < pages; i++)
		page_of(f->mem[1], i)[8] ^= 1;
	v = look(f);
	assert_int_equal(v.pages_differ, pages - WORKSET);
	assert_int_equal(v.first_differ, PAGES + WORKSET * BENCH_PAGE_SIZE);
}

static void what_the_guest_rewrites_is_not_compared(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	bench_stamp_write(page_of(f->mem[1], 5), 5, 4);
	((uint32_t *)(f->mem[1] + VERSIONS))[5] = 4;
	f->mem[1][STACKS + 100] = 1;
	f->to.report->cpu[0].heartbeat = 12345;
	v = look(f);
	assert_true(verify_passed(&v));
}

static void a_lost_write_leaves_an_old_version_that_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	((uint32_t *)(f->mem[1] + VERSIONS))[9] = 4; /* the page still carries version 3, whole */
	v = look(f);
	assert_int_equal(v.stamps_bad, 1);
	assert_int_equal(v.first_bad, 9);
}

static void a_page_in_the_wrong_place_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	memcpy(page_of(f->mem[1], 3), page_of(f->mem[1], 4), BENCH_PAGE_SIZE);
	v = look(f);
	assert_int_equal(v.stamps_bad, 1);
	assert_int_equal(v.first_bad, 3);
}

static void a_torn_page_is_found_unless_it_was_being_written(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	page_of(f->mem[1], 8)[BENCH_SPREAD_WORD(5)] = bench_spread_word(8, 2, 5);
	v = look(f);
	assert_int_equal(v.stamps_bad, 1);
	f->to.report->cpu[0].writing = 8 + 1;
	v = look(f);
	assert_true(verify_passed(&v));
	assert_int_equal(v.stamps_checked, WORKSET - 1);
}

static void damage_between_the_stamped_words_is_found(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	page_of(f->mem[1], 8)[300] ^= 1ull << 63;
	v = look(f);
	assert_int_equal(v.stamps_bad, 1);
	assert_int_equal(v.first_bad, 8);
}

static void errors_the_guest_found_count(void **state)
{
	struct fixture *f = *state;
	struct verify_result v;

	f->to.report->cpu[0].stamp_errors = 2;
	v = look(f);
	assert_int_equal(v.stamp_errors, 2);
	assert_false(verify_passed(&v));
}

static void a_report_that_points_outside_memory_is_refused(void **state)
{
	struct fixture *f = *state;
	struct bench_header *h = &f->to.report->h, good = *h;
	struct err e = { 0 };

	h->area[0].pages++;
	assert_int_not_equal(observe_header(&f->to, &e), 0);
	*h = good;
	h->area[0].pages = UINT64_MAX / BENCH_PAGE_SIZE + 2;
	assert_int_not_equal(observe_header(&f->to, &e), 0);
	*h = good;
	h->workset_pages = FILLED + 1;
	assert_int_not_equal(observe_header(&f->to, &e), 0);
	*h = good;
	h->versions_gpa = UINT64_MAX - 100;
	assert_int_not_equal(observe_header(&f->to, &e), 0);
	*h = good;
	h->areas = BENCH_AREAS_MAX + 1;
	assert_int_not_equal(observe_header(&f->to, &e), 0);
	*h = good;
	assert_int_equal(observe_header(&f->to, &e), 0);
}

static void the_freeze_is_the_gap_that_starts_where_the_source_ended(void **state)
{
	struct fixture *f = *state;
	struct bench_gap *g = f->to.report->gap[0];

	f->from.report->cpu[0].tsc = 1000000000; /* a GHz: ticks are ns */
	assert_int_equal(observe_freeze_ns(&f->from, &f->to), 0);
	g[3] = (struct bench_gap){ 900000000, 990000000 };
	g[4] = (struct bench_gap){ 1000000002, 1004000002 };
	g[5] = (struct bench_gap){ 1020000000, 1120000000 };
	assert_int_equal(observe_freeze_ns(&f->from, &f->to), 4000000);
	f->to.report->h.cpus = 2; /* the second has no note of it: not to be told */
	assert_int_equal(observe_freeze_ns(&f->from, &f->to), 0);
}

static void the_longest_gap_of_any_vcpu_counts(void **state)
{
	struct fixture *f = *state;
	uint64_t end = 0;

	f->to.report->h.cpus = 2;
	f->to.report->cpu[0].longest_gap = 5000;
	f->to.report->cpu[1].longest_gap = 7000;
	f->to.report->cpu[1].gap_end_tsc = 42;
	f->to.report->cpu[2].longest_gap = 9000; /* no such vCPU */
	assert_int_equal(observe_gap_ns(&f->to, &end), 7000);
	assert_int_equal(end, 42);
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(an_equal_guest_passes_and_holes_stay_holes),
		STORY(a_hole_equals_zeros),
		STORY(one_bit_outside_the_working_set_is_found),
		STORY(data_that_became_a_hole_is_found),
		STORY(data_where_the_source_had_a_hole_is_found),
		STORY(every_page_is_compared_once_whoever_compares_it),
		STORY(what_the_guest_rewrites_is_not_compared),
		STORY(a_lost_write_leaves_an_old_version_that_is_found),
		STORY(a_page_in_the_wrong_place_is_found),
		STORY(a_torn_page_is_found_unless_it_was_being_written),
		STORY(damage_between_the_stamped_words_is_found),
		STORY(errors_the_guest_found_count),
		STORY(the_freeze_is_the_gap_that_starts_where_the_source_ended),
		STORY(the_longest_gap_of_any_vcpu_counts),
		STORY(a_report_that_points_outside_memory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
