/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory ahead of the stream: what the source announces, what the target believes of it, and that
 * holes stay holes.
 * Next in the flow: migrate_move_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "hv/base/clock.h"
#include "hv/migrate/extents.h"
#include "hv/migrate/populate.h"

/* Who allocates ahead gets what others leave of a processor. */
#define LONG_NS (120 * NSEC_PER_SEC)

struct fix {
	struct gmem mem;
	struct dirty_map map;
	struct wbuf w;
};

static void fix_init(struct fix *f, uint64_t size)
{
	assert_int_equal(gmem_init(&f->mem, size, NULL), 0);
	assert_int_equal(dirty_map_init(&f->map, &f->mem, NULL), 0);
	wbuf_init(&f->w);
}

static void fix_fini(struct fix *f)
{
	wbuf_fini(&f->w);
	dirty_map_fini(&f->map);
	gmem_fini(&f->mem);
}

static int fix_decode(struct fix *f, struct extents *x)
{
	struct rbuf r = rbuf_of(f->w.data, f->w.len);

	return extents_decode(x, &r, &f->mem, NULL);
}

/* Bytes of @m that are allocated. */
static uint64_t allocated(const struct gmem *m)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < m->nregions; i++) {
		uint64_t from = 0, start, end;

		while (gmem_next_data(m, &m->regions[i], from, &start, &end, NULL) > 0) {
			sum += end - start;
			from = end;
		}
	}
	return sum;
}

static void wait_for_allocated(const struct gmem *m, uint64_t bytes)
{
	uint64_t start = clock_mono_ns();

	while (allocated(m) < bytes) {
		assert_true(clock_mono_ns() - start < LONG_NS);
		usleep(1000);
	}
	assert_int_equal(allocated(m), bytes);
}

static void what_is_set_travels(void **state)
{
	struct extents x;
	struct fix f;

	(void)state;
	fix_init(&f, 5ull << 30); /* two regions */
	bitmap_set_range(f.map.region[0].bits, 0, 1);
	bitmap_set_range(f.map.region[0].bits, 100, 1000);
	bitmap_set_range(f.map.region[1].bits, 7, 3);
	extents_encode(&f.map, &f.w);
	assert_int_equal(fix_decode(&f, &x), 0);
	assert_int_equal(x.n, 3);
	assert_int_equal(x.pages, 1004);
	assert_int_equal(x.e[1].page, 100);
	assert_int_equal(x.e[2].region, 1);
	assert_int_equal(extents_before(&x, 0, 0), 0);
	assert_int_equal(extents_before(&x, 0, 1), 1);
	assert_int_equal(extents_before(&x, 0, 50), 1);
	assert_int_equal(extents_before(&x, 0, 150), 51);
	assert_int_equal(extents_before(&x, 1, 0), 1001);
	assert_int_equal(extents_before(&x, 1, 1000), 1004);
	assert_ptr_equal(extents_at(&x, 0), &x.e[0]);
	assert_ptr_equal(extents_at(&x, 1), &x.e[1]);
	assert_ptr_equal(extents_at(&x, 1000), &x.e[1]);
	assert_ptr_equal(extents_at(&x, 1003), &x.e[2]);
	extents_fini(&x);
	fix_fini(&f);
}

static void an_empty_guest_announces_nothing(void **state)
{
	struct extents x;
	struct fix f;

	(void)state;
	fix_init(&f, GMEM_SIZE_MIN);
	extents_encode(&f.map, &f.w);
	assert_int_equal(fix_decode(&f, &x), 0);
	assert_int_equal(x.n, 0);
	assert_int_equal(extents_before(&x, 0, 5), 0);
	extents_fini(&x);
	fix_fini(&f);
}

static void too_many_runs_are_cut_short(void **state)
{
	struct extents x;
	struct fix f;

	(void)state;
	fix_init(&f, 1ull << 30);
	for (size_t i = 0; i < f.map.region[0].pages; i += 2)
		bitmap_set(f.map.region[0].bits, i);
	extents_encode(&f.map, &f.w);
	assert_int_equal(fix_decode(&f, &x), 0);
	assert_int_equal(x.n, EXTENTS_MAX);
	extents_fini(&x);
	fix_fini(&f);
}

static void lies_are_refused(void **state)
{
	static const struct {
		uint32_t count;
		struct {
			uint32_t region, pages;
			uint64_t page;
		} run[2];
	} lies[] = {
		{ 1, { { 1, 1, 0 }, { 0, 1, 9 } } },          /* longer than its count */
		{ 3, { { 0, 1, 0 }, { 0, 1, 9 } } },          /* shorter */
		{ UINT32_MAX, { { 0, 1, 0 }, { 0, 1, 9 } } }, /* absurd */
		{ 2, { { 0, 1, 0 }, { 1, 1, 0 } } },          /* no such region */
		{ 2, { { 0, 0, 0 }, { 0, 1, 9 } } },          /* empty */
		{ 2, { { 0, 1, 5 }, { 0, 1, 5 } } },          /* twice */
		{ 2, { { 0, 2, 5 }, { 0, 1, 1 } } },          /* backwards */
		{ 2, { { 0, 1, 0 }, { 0, 1, 16384 } } },      /* behind the end */
		{ 2, { { 0, 1, 0 }, { 0, 2, 16383 } } },      /* across the end */
		{ 2, { { 0, 1, 0 }, { 0, UINT32_MAX, 1 } } }, /* far across */
		{ 2, { { 0, 1, 0 }, { 0, 1, UINT64_MAX } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct extents x;
		struct fix f;

		fix_init(&f, GMEM_SIZE_MIN); /* 16384 pages, one region */
		wbuf_u32(&f.w, lies[i].count);
		for (int k = 0; k < 2; k++) {
			wbuf_u32(&f.w, lies[i].run[k].region);
			wbuf_u32(&f.w, lies[i].run[k].pages);
			wbuf_u64(&f.w, lies[i].run[k].page);
		}
		if (fix_decode(&f, &x) != -EPROTO)
			fail_msg("lie %zu was believed", i);
		fix_fini(&f);
	}
}

static struct populate *fix_start(struct fix *f)
{
	struct populate *p = NULL;
	struct rbuf r;

	extents_encode(&f->map, &f->w);
	r = rbuf_of(f->w.data, f->w.len);
	assert_int_equal(populate_start(&p, &f->mem, &r, NULL), 0);
	return p;
}

static void all_of_it_and_no_hole(void **state)
{
	static const struct {
		size_t page, pages;
	} runs[] = { { 0, 3 }, { 500, 30 }, { 1024, 512 }, { 16383, 1 } };
	uint64_t sum = 0, from = 0, start, end;
	struct populate *p;
	struct fix f;

	(void)state;
	fix_init(&f, GMEM_SIZE_MIN);
	for (size_t i = 0; i < 4; i++) {
		bitmap_set_range(f.map.region[0].bits, runs[i].page, runs[i].pages);
		sum += runs[i].pages * GMEM_PAGE_SIZE;
	}
	memset(f.mem.regions[0].host + 500 * GMEM_PAGE_SIZE, 0x5a, GMEM_PAGE_SIZE);
	p = fix_start(&f);
	wait_for_allocated(&f.mem, sum);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(
			gmem_next_data(&f.mem, &f.mem.regions[0], from, &start, &end, NULL), 1);
		assert_int_equal(start, runs[i].page * GMEM_PAGE_SIZE);
		assert_int_equal(end, (runs[i].page + runs[i].pages) * GMEM_PAGE_SIZE);
		from = end;
	}
	/* What was there already is as it was. */
	for (size_t i = 0; i < GMEM_PAGE_SIZE; i++)
		assert_int_equal(f.mem.regions[0].host[500 * GMEM_PAGE_SIZE + i], 0x5a);
	assert_int_equal(populate_free(p, NULL), sum);
	fix_fini(&f);
}

static void no_further_than_the_window(void **state)
{
	const uint64_t size = 3 * POPULATE_WINDOW;
	struct populate *p;
	struct fix f;

	(void)state;
	fix_init(&f, size);
	bitmap_set_range(f.map.region[0].bits, 0, size >> GMEM_PAGE_SHIFT);
	p = fix_start(&f);
	wait_for_allocated(&f.mem, POPULATE_WINDOW);
	populate_at(p, 0, POPULATE_WINDOW / 2);
	wait_for_allocated(&f.mem, POPULATE_WINDOW + POPULATE_WINDOW / 2);
	populate_at(p, 0, GMEM_PAGE_SIZE); /* a later pass: the stream never goes back */
	populate_quit(p);
	assert_int_equal(populate_free(p, NULL), POPULATE_WINDOW + POPULATE_WINDOW / 2);
	assert_int_equal(allocated(&f.mem), POPULATE_WINDOW + POPULATE_WINDOW / 2);
	fix_fini(&f);
}

/* A stream that jumps, over zero pages or because it is quicker, leaves what it passed alone. */
static void what_the_stream_has_passed_is_left(void **state)
{
	const uint64_t size = 4 * POPULATE_WINDOW;
	struct populate *p;
	struct fix f;

	(void)state;
	fix_init(&f, size);
	bitmap_set_range(f.map.region[0].bits, 0, size >> GMEM_PAGE_SHIFT);
	p = fix_start(&f);
	wait_for_allocated(&f.mem, POPULATE_WINDOW);
	populate_at(p, 0, 3 * POPULATE_WINDOW);
	/* The last quarter less the lead it leaves to the receiver. */
	while (gmem_next_data(&f.mem, &f.mem.regions[0], size - GMEM_PAGE_SIZE, &(uint64_t){ 0 },
		       &(uint64_t){ 0 }, NULL) == 0)
		usleep(1000);
	populate_free(p, NULL);
	assert_in_range(allocated(&f.mem), POPULATE_WINDOW + 1, 2 * POPULATE_WINDOW);
	fix_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_set_travels),
		cmocka_unit_test(an_empty_guest_announces_nothing),
		cmocka_unit_test(too_many_runs_are_cut_short),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(all_of_it_and_no_hole),
		cmocka_unit_test(no_further_than_the_window),
		cmocka_unit_test(what_the_stream_has_passed_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
