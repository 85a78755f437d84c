/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks: any guest is cut into a number of memory regions that adapters hold, both ends agree on
 * the cut or say so, and a chunk is asked for and keyed once.
 * Next in the flow: rdma_record_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "transport-rdma/chunk.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

/* Never read or written: the table is arithmetic. */
static void *const base = (void *)(uintptr_t)0x100000000000;

static void chunk_sizes_follow_the_guest(void **state)
{
	static const struct {
		uint64_t size;
		unsigned shift;
	} want[] = {
		{ 4096, 21 },
		{ 256 * MIB, 21 },
		{ 2 * GIB, 21 },
		{ 16 * GIB, 24 },
		{ 64 * GIB, 26 },
		{ 1 * TIB, 26 },
		{ 2 * TIB, 27 },
		{ 16 * TIB, 30 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct xrdma_region r = { .base = base, .size = want[i].size };
		struct err e;

		assert_int_equal(xrdma_chunk_shift(want[i].size), want[i].shift);
		assert_int_equal(xrdma_region_cut(&r, want[i].shift, &e), 0);
		assert_true(r.count <= XRDMA_CHUNKS_MAX + 1);
		free(r.chunk);
	}
}

static void chunks_cover_the_region_and_no_more(void **state)
{
	struct xrdma_region r = { .base = base, .size = 5 * MIB + 4096 };
	uint64_t sum = 0;
	struct err e;

	(void)state;
	assert_int_equal(xrdma_region_cut(&r, 21, &e), 0);
	assert_int_equal(r.count, 3);
	for (uint32_t i = 0; i < r.count; i++) {
		assert_ptr_equal(xrdma_chunk_base(&r, i), (uint8_t *)base + sum);
		assert_int_equal(xrdma_chunk_of(&r, sum), i);
		sum += xrdma_chunk_len(&r, i);
		assert_int_equal(xrdma_chunk_of(&r, sum - 1), i);
	}
	assert_int_equal(sum, r.size);
	free(r.chunk);
}

static int asked(struct xrdma_regions *g, uint32_t region, uint32_t first, uint32_t count,
	uint64_t length, unsigned shift, struct err *e)
{
	const struct xrdma_chunk_run run = { region, first, count, length, shift };

	return xrdma_region_asked(g, &run, e);
}

static int keyed(
	struct xrdma_regions *g, uint32_t region, uint32_t first, uint32_t count, struct err *e)
{
	static const uint32_t rkey[] = { 7, 9 };

	return xrdma_region_keyed(g, region, first, count, rkey, 8, e);
}

/* A peer may ask for an absurd cut; the table it would need is not made. */
static void a_cut_into_too_many_is_refused(void **state)
{
	struct xrdma_regions g = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_regions_add(&g, 0, base, 16 * TIB, &e), 0);
	assert_int_equal(asked(&g, 0, 0, 1, 2 * MIB, 21, &e), -EPROTO);
	assert_int_equal(e.code, -EPROTO);
	assert_int_equal(asked(&g, 0, 0, 1, 4096, 12, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 0, 1, 4096, 63, &e), -EPROTO);
	assert_null(g.r[0].chunk);
	xrdma_regions_fini(&g);
}

static void both_ends_must_agree(void **state)
{
	struct xrdma_regions g = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(asked(&g, 0, 0, 1, 2 * MIB, 21, &e), -EPROTO); /* unknown */
	assert_int_equal(asked(&g, 99, 0, 1, 2 * MIB, 21, &e), -EPROTO);
	assert_int_equal(xrdma_regions_add(&g, 0, base, 5 * MIB, &e), 0);
	assert_int_equal(asked(&g, 0, 0, 1, 2 * MIB, 21, &e), 0);
	assert_int_equal(asked(&g, 0, 2, 1, 1 * MIB, 21, &e), 0); /* the short one */
	assert_int_equal(asked(&g, 0, 1, 1, 4 * MIB, 22, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 1, 1, 1 * MIB, 21, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 3, 1, 1 * MIB, 21, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "chunk 3"));
	assert_int_equal(asked(&g, 0, 0, 1, 2 * MIB, 21, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "twice"));
	xrdma_regions_fini(&g);
}

static void a_key_is_taken_once_and_only_when_asked_for(void **state)
{
	struct xrdma_regions g = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_regions_add(&g, 1, base, 5 * MIB, &e), 0);
	assert_int_equal(keyed(&g, 1, 0, 1, &e), -EPROTO); /* not cut */
	assert_int_equal(xrdma_region_cut(&g.r[1], 21, &e), 0);
	assert_int_equal(keyed(&g, 1, 0, 1, &e), -EPROTO);
	g.r[1].chunk[0].asked = true;
	assert_int_equal(keyed(&g, 1, 0, 1, &e), 0);
	assert_int_equal(g.r[1].chunk[0].rkey, 7);
	assert_int_equal(g.r[1].chunk[0].addr, 8);
	assert_int_equal(keyed(&g, 1, 0, 1, &e), -EPROTO);
	assert_int_equal(keyed(&g, 1, 3, 1, &e), -EPROTO);
	assert_int_equal(keyed(&g, XPORT_REGIONS_MAX, 0, 1, &e), -EPROTO);
	xrdma_regions_fini(&g);
}

static void several_chunks_at_once_are_several(void **state)
{
	struct xrdma_regions g = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_regions_add(&g, 0, base, 9 * MIB, &e), 0); /* 5, one of them short */
	assert_int_equal(asked(&g, 0, 1, 0, 0, 21, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 1, UINT32_MAX, 2 * MIB, 21, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 3, 3, 5 * MIB, 21, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 3, 2, 4 * MIB, 21, &e), -EPROTO);
	assert_int_equal(asked(&g, 0, 3, 2, 3 * MIB, 21, &e), 0);
	assert_false(g.r[0].chunk[2].asked);
	assert_true(g.r[0].chunk[3].asked && g.r[0].chunk[4].asked);
	assert_int_equal(asked(&g, 0, 2, 2, 4 * MIB, 21, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "twice"));

	assert_int_equal(keyed(&g, 0, 4, 2, &e), -EPROTO);
	assert_int_equal(keyed(&g, 0, 3, UINT32_MAX, &e), -EPROTO);
	assert_int_equal(keyed(&g, 0, 3, 2, &e), 0);
	assert_int_equal(g.r[0].chunk[4].rkey, 9);
	assert_int_equal(g.r[0].chunk[4].addr, 8 + 2 * MIB);
	assert_int_equal(keyed(&g, 0, 4, 1, &e), -EPROTO);
	xrdma_regions_fini(&g);
}

static void a_range_lies_in_a_region_that_is_there(void **state)
{
	static const struct {
		uint32_t region;
		uint64_t offset, length;
		int want;
	} ranges[] = {
		{ 0, 0, 4096, 0 },
		{ 0, 5 * MIB - 4096, 4096, 0 },
		{ 1, 0, 4096, -EPROTO },
		{ UINT32_MAX, 0, 4096, -EPROTO },
		{ 0, 5 * MIB - 4096, 8192, -EPROTO },
	};
	struct xrdma_regions g = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xrdma_regions_add(&g, 0, base, 5 * MIB, &e), 0);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		assert_int_equal(xrdma_range_check(&g, ranges[i].region, ranges[i].offset,
					 ranges[i].length, -EPROTO, &e),
			ranges[i].want);
	xrdma_regions_fini(&g);
}

static void a_chunk_is_taken_once(void **state)
{
	struct xrdma_chunk c = { 0 };

	(void)state;
	assert_true(xrdma_chunk_take(&c));
	assert_false(xrdma_chunk_take(&c));
	assert_false(xrdma_chunk_ready(&c));
	c.keyed = true;
	assert_false(xrdma_chunk_ready(&c));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunk_sizes_follow_the_guest),
		cmocka_unit_test(chunks_cover_the_region_and_no_more),
		cmocka_unit_test(a_cut_into_too_many_is_refused),
		cmocka_unit_test(both_ends_must_agree),
		cmocka_unit_test(a_key_is_taken_once_and_only_when_asked_for),
		cmocka_unit_test(several_chunks_at_once_are_several),
		cmocka_unit_test(a_range_lies_in_a_region_that_is_there),
		cmocka_unit_test(a_chunk_is_taken_once),
	};

	return cmocka_run_group_tests_name("rdma: chunks", tests, NULL, NULL);
}
