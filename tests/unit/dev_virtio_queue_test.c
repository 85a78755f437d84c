/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues as a driver uses them, and as a hostile one does: descriptors past memory, loops,
 * indices that run away, tables in tables. Each of those breaks its queue, once, and nothing else.
 */
#include "tests/unit/dev_virtio_ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "hv/base/bitmap.h"
#include "hv/dev/virtio_queue.h"

#define SIZE 8u
#define BASE 0x100000u
#define DATA 0x200000u
#define RAM  GMEM_SIZE_MIN

struct rig {
	struct gmem m;
	struct ring r;
	struct virtq q;
	struct virtq_chain c;
	unsigned signals, breaks;
	char why[128];
};

static void rig_signal(void *arg, unsigned index)
{
	assert_int_equal(index, 5);
	((struct rig *)arg)->signals++;
}

static void rig_broken(void *arg, unsigned index, const char *why)
{
	struct rig *g = arg;

	assert_int_equal(index, 5);
	g->breaks++;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static void rig_enable(struct rig *g, bool event_idx)
{
	struct err e;

	memset(gmem_view(&g->m, BASE, 0x10000), 0, 0x10000);
	g->r = ring_at(&g->m, BASE, SIZE);
	g->q = (struct virtq){ .mem = &g->m,
		.index = 5,
		.event_idx = event_idx,
		.signal = rig_signal,
		.broken = rig_broken,
		.arg = g };
	g->signals = g->breaks = 0;
	assert_int_equal(virtq_enable(&g->q, SIZE, g->r.desc, g->r.avail, g->r.used, &e), 0);
}

static void rig_open(struct rig *g)
{
	struct err e;

	memset(g, 0, sizeof(*g));
	assert_int_equal(gmem_init(&g->m, RAM, &e), 0);
	assert_int_equal(virtq_chain_init(&g->c, 6, &e), 0);
	rig_enable(g, false);
}

static void rig_close(struct rig *g)
{
	virtq_chain_fini(&g->c);
	gmem_fini(&g->m);
}

static int pop(struct rig *g)
{
	return virtq_pop(&g->q, &g->c);
}

static void a_request_comes_and_goes(void **state)
{
	struct rig g;
	uint8_t got[8] = { 0 };

	(void)state;
	rig_open(&g);
	assert_int_equal(pop(&g), 0);
	memcpy(gmem_view(&g.m, DATA, 6), "abcdef", 6);
	ring_desc(&g.r, 3, DATA, 4, RING_NEXT, 1);
	ring_desc(&g.r, 1, DATA + 4, 2, RING_NEXT, 7);
	ring_desc(&g.r, 7, DATA + 0x1ffe, 4, RING_NEXT | RING_WRITE, 0);
	ring_desc(&g.r, 0, DATA + 0x3000, 4, RING_WRITE, 0);
	ring_make(&g.r, 3);
	assert_true(virtq_pending(&g.q));
	assert_int_equal(pop(&g), 1);
	assert_false(virtq_pending(&g.q));
	assert_int_equal(g.c.head, 3);
	assert_int_equal(g.c.nout, 2);
	assert_int_equal(g.c.nin, 2);
	assert_int_equal(g.c.out_len, 6);
	assert_int_equal(g.c.in_len, 8);
	assert_int_equal(virtq_chain_read(&g.c, 0, got, 8), 6);
	assert_memory_equal(got, "abcdef", 6);
	assert_int_equal(virtq_chain_read(&g.c, 5, got, 8), 1);
	assert_int_equal(virtq_chain_read(&g.c, 6, got, 8), 0);
	assert_int_equal(virtq_chain_write(&g.c, 3, "1234", 4), 4);
	assert_int_equal(virtq_chain_write(&g.c, 7, "1234", 4), 1);
	for (unsigned i = 0; i < RAM >> GMEM_PAGE_SHIFT; i++)
		assert_false(bitmap_test(g.m.regions[0].written, i));
	virtq_push(&g.q, &g.c, 5);
	assert_int_equal(ring_used_idx(&g.r), 1);
	assert_int_equal(ring_used_id(&g.r, 0), 3);
	assert_int_equal(ring_used_len(&g.r, 0), 5);
	/* What was written is marked: both pages of the first segment, the second's, the ring. */
	assert_true(bitmap_test(g.m.regions[0].written, (DATA >> 12) + 1));
	assert_true(bitmap_test(g.m.regions[0].written, (DATA >> 12) + 2));
	assert_true(bitmap_test(g.m.regions[0].written, (DATA >> 12) + 3));
	assert_false(bitmap_test(g.m.regions[0].written, DATA >> 12));
	assert_true(bitmap_test(g.m.regions[0].written, g.r.used >> 12));
	virtq_signal(&g.q);
	virtq_signal(&g.q); /* nothing new */
	assert_int_equal(g.signals, 1);
	ring_put(&g.m, g.r.avail, 1, 2); /* no interrupts wanted */
	ring_make(&g.r, 3);
	assert_int_equal(pop(&g), 1);
	virtq_push(&g.q, &g.c, 100); /* more than there is room for */
	assert_int_equal(ring_used_len(&g.r, 1), 8);
	virtq_signal(&g.q);
	assert_int_equal(g.signals, 1);
	assert_int_equal(g.breaks, 0);
	rig_close(&g);
}

/* 70000 requests: every index passes 65535. */
static void indices_wrap(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	for (unsigned i = 0; i < SIZE; i++)
		ring_desc(&g.r, i, DATA + 16 * i, 16, RING_WRITE, 0);
	for (unsigned i = 0; i < 70000; i++) {
		ring_make(&g.r, (uint16_t)(i % SIZE));
		assert_int_equal(pop(&g), 1);
		assert_int_equal(g.c.head, i % SIZE);
		virtq_push(&g.q, &g.c, i % 16);
		assert_int_equal(ring_used_id(&g.r, i), i % SIZE);
		assert_int_equal(ring_used_len(&g.r, i), i % 16);
		assert_int_equal(ring_used_idx(&g.r), (uint16_t)(i + 1));
		assert_int_equal(pop(&g), 0);
	}
	rig_close(&g);
}

static void requests_go_back_unserved_and_out_of_order(void **state)
{
	struct virtq_chain c[3];
	struct rig g;
	struct err e;

	(void)state;
	rig_open(&g);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(virtq_chain_init(&c[i], 2, &e), 0);
		ring_desc(&g.r, i, DATA, 16, RING_WRITE, 0);
		ring_make(&g.r, (uint16_t)i);
		assert_int_equal(virtq_pop(&g.q, &c[i]), 1);
	}
	virtq_unpop(&g.q, 2);
	assert_int_equal(virtq_pop(&g.q, &c[1]), 1);
	assert_int_equal(c[1].head, 1);
	assert_int_equal(virtq_pop(&g.q, &c[2]), 1);
	virtq_fill(&g.q, &c[2], 1);
	virtq_fill(&g.q, &c[0], 2);
	assert_int_equal(ring_used_idx(&g.r), 0);
	virtq_flush(&g.q);
	assert_int_equal(ring_used_idx(&g.r), 2);
	assert_int_equal(ring_used_id(&g.r, 0), 2);
	assert_int_equal(ring_used_id(&g.r, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		virtq_chain_fini(&c[i]);
	rig_close(&g);
}

static void indirect_tables(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	ring_desc(&g.r, 0, DATA, 32, RING_NEXT, 4);
	ring_desc(&g.r, 4, DATA + 0x1000, 3 * 16, RING_INDIRECT, 0);
	ring_desc_at(&g.m, DATA + 0x1000, 0, DATA, 8, RING_NEXT, 2);
	ring_desc_at(&g.m, DATA + 0x1000, 2, DATA, 8, RING_NEXT | RING_WRITE, 1);
	ring_desc_at(&g.m, DATA + 0x1000, 1, DATA, 9, RING_WRITE, 0);
	ring_make(&g.r, 0);
	assert_int_equal(pop(&g), 1);
	assert_int_equal(g.c.nout, 2);
	assert_int_equal(g.c.nin, 2);
	assert_int_equal(g.c.out_len, 40);
	assert_int_equal(g.c.in_len, 17);
	assert_int_equal(virtq_chain_at(&g.q, 4, &g.c), 1);
	assert_int_equal(g.c.nout, 1);
	rig_close(&g);
}

/* The guest hears when it passes the index it asked for, and is asked at which it need not kick. */
static void event_indices(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	rig_enable(&g, true);
	assert_int_equal(pop(&g), 0);
	for (unsigned i = 0; i < SIZE; i++)
		ring_desc(&g.r, i, DATA, 16, RING_WRITE, 0);
	ring_put(&g.m, g.r.avail + 4 + 2 * SIZE, 2, 2); /* at the third */
	for (unsigned i = 0; i < 4; i++) {
		ring_make(&g.r, (uint16_t)i);
		assert_int_equal(pop(&g), 1);
		virtq_push(&g.q, &g.c, 0);
		virtq_signal(&g.q);
		assert_int_equal(g.signals, i >= 2);
	}
	/* Nothing left: the next kick is to come with the fifth. */
	assert_int_equal(ring_get(&g.m, g.r.used + 4 + 8 * SIZE, 2), 0);
	assert_int_equal(pop(&g), 0);
	assert_int_equal(ring_get(&g.m, g.r.used + 4 + 8 * SIZE, 2), 4);
	virtq_kicks_off(&g.q);
	ring_make(&g.r, 0);
	assert_int_equal(pop(&g), 1);
	assert_int_equal(pop(&g), 0);
	assert_int_equal(ring_get(&g.m, g.r.used + 4 + 8 * SIZE, 2), 4);
	assert_false(virtq_kicks_on(&g.q));
	assert_int_equal(ring_get(&g.m, g.r.used + 4 + 8 * SIZE, 2), 5);
	virtq_kicks_off(&g.q);
	ring_make(&g.r, 1);
	assert_true(virtq_kicks_on(&g.q)); /* it came while nobody was to kick */
	rig_close(&g);
}

static void kicks_go_off_and_on_by_flag(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	virtq_kicks_off(&g.q);
	assert_int_equal(ring_get(&g.m, g.r.used, 2), 1);
	ring_desc(&g.r, 0, DATA, 16, 0, 0);
	ring_make(&g.r, 0);
	assert_true(virtq_kicks_on(&g.q));
	assert_int_equal(ring_get(&g.m, g.r.used, 2), 0);
	rig_close(&g);
}

/* A hostile request; broken once, silent ever after. */
static void broken_by(struct rig *g, const char *why)
{
	assert_int_equal(pop(g), -EPROTO);
	assert_int_equal(g->breaks, 1);
	if (!strstr(g->why, why))
		fail_msg("'%s' does not say '%s'", g->why, why);
	ring_make(&g->r, 0);
	assert_int_equal(pop(g), 0);
	assert_false(virtq_pending(&g->q));
	virtq_push(&g->q, &g->c, 1);
	virtq_signal(&g->q);
	virtq_kicks_off(&g->q);
	assert_false(virtq_kicks_on(&g->q));
	assert_int_equal(ring_used_idx(&g->r), 0);
	assert_int_equal(g->signals, 0);
	assert_int_equal(g->breaks, 1);
	rig_enable(g, false);
}

static void hostile_descriptors(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		const char *why;
	} bad[] = {
		{ RAM, 1, "not in memory" },
		{ RAM - 1, 2, "not in memory" },
		{ 0, UINT32_MAX, "not in memory" },
		{ UINT64_MAX, 1, "not in memory" },
		{ UINT64_MAX - 7, 16, "not in memory" },
		{ 0xfee00000, 4, "not in memory" },
		{ 0xe0000000, 4, "not in memory" },
		{ DATA, 0, "empty" },
	};
	struct rig g;

	(void)state;
	rig_open(&g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ring_desc(&g.r, 0, bad[i].addr, bad[i].len, i & 1 ? RING_WRITE : 0, 0);
		ring_make(&g.r, 0);
		broken_by(&g, bad[i].why);
	}
	ring_make(&g.r, SIZE);
	broken_by(&g, "beyond the table");
	ring_desc(&g.r, 0, DATA, 4, RING_NEXT, 0xffff);
	ring_make(&g.r, 0);
	broken_by(&g, "beyond the table");
	ring_desc(&g.r, 0, DATA, 4, RING_NEXT | RING_WRITE, 1);
	ring_desc(&g.r, 1, DATA, 4, 0, 1);
	ring_make(&g.r, 0);
	broken_by(&g, "follows a writable");
	for (unsigned i = 0; i < 7; i++)
		ring_desc(&g.r, i, DATA, 4, i < 6 ? RING_NEXT : 0, (uint16_t)(i + 1));
	ring_make(&g.r, 0);
	broken_by(&g, "more segments");
	rig_close(&g);
}

static void hostile_loops(void **state)
{
	struct err e;
	struct rig g;

	(void)state;
	rig_open(&g);
	virtq_chain_fini(&g.c);
	assert_int_equal(virtq_chain_init(&g.c, 512, &e), 0);
	ring_desc(&g.r, 0, DATA, 4, RING_NEXT, 0);
	ring_make(&g.r, 0);
	broken_by(&g, "loop");
	ring_desc(&g.r, 0, DATA, 4, RING_NEXT, 1);
	ring_desc(&g.r, 1, DATA, 4, RING_NEXT, 0);
	ring_make(&g.r, 0);
	broken_by(&g, "loop");
	ring_desc(&g.r, 0, DATA + 0x1000, 64, RING_INDIRECT, 0);
	for (unsigned i = 0; i < 4; i++)
		ring_desc_at(&g.m, DATA + 0x1000, i, DATA, 4, RING_NEXT, (uint16_t)((i + 1) % 4));
	ring_make(&g.r, 0);
	broken_by(&g, "loop");
	rig_close(&g);
}

static void hostile_indirect_tables(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags;
		const char *why;
	} bad[] = {
		{ DATA, 0, RING_INDIRECT, "impossible length" },
		{ DATA, 15, RING_INDIRECT, "impossible length" },
		{ DATA, 24, RING_INDIRECT, "impossible length" },
		{ DATA, UINT32_MAX - 15, RING_INDIRECT, "impossible length" },
		{ RAM - 16, 32, RING_INDIRECT, "not in memory" },
		{ UINT64_MAX - 15, 16, RING_INDIRECT, "not in memory" },
		{ DATA, 16, RING_INDIRECT | RING_NEXT, "not the last" },
		{ DATA + 0x1000, 16, RING_INDIRECT, "inside a table" },
		{ DATA + 0x2000, 16, RING_INDIRECT, "beyond the table" },
	};
	struct rig g;

	(void)state;
	rig_open(&g);
	ring_desc_at(&g.m, DATA + 0x1000, 0, DATA + 0x1000, 16, RING_INDIRECT, 0);
	ring_desc_at(&g.m, DATA + 0x2000, 0, DATA, 16, RING_NEXT, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ring_desc(&g.r, 0, bad[i].addr, bad[i].len, bad[i].flags, 1);
		ring_make(&g.r, 0);
		broken_by(&g, bad[i].why);
	}
	rig_close(&g);
}

static void hostile_indices(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	ring_desc(&g.r, 0, DATA, 4, 0, 0);
	g.r.made = SIZE;
	ring_make(&g.r, 0);
	broken_by(&g, "runs further");
	ring_desc(&g.r, 0, DATA, 4, 0, 0);
	g.r.made = 0xfffe; /* backwards */
	ring_make(&g.r, 0);
	broken_by(&g, "runs further");
	/* All are outstanding, and one more is made of nothing. */
	ring_desc(&g.r, 0, DATA, 4, 0, 0);
	for (unsigned i = 0; i < SIZE; i++) {
		ring_make(&g.r, 0);
		assert_int_equal(pop(&g), 1);
	}
	ring_make(&g.r, 0);
	broken_by(&g, "more requests");
	rig_close(&g);
}

static void rings_that_cannot_be(void **state)
{
	static const struct {
		uint16_t size;
		uint64_t desc, avail, used;
		const char *why;
	} bad[] = {
		{ 0, BASE, BASE, BASE, "size" },
		{ 3, BASE, BASE, BASE, "size" },
		{ 2048, BASE, BASE, BASE, "size" },
		{ 8, BASE + 8, BASE, BASE, "aligned" },
		{ 8, BASE, BASE + 1, BASE, "aligned" },
		{ 8, BASE, BASE, BASE + 2, "aligned" },
		{ 8, RAM - 112, BASE, BASE, "memory" },
		{ 8, BASE, RAM - 20, BASE, "memory" },
		{ 8, BASE, BASE, RAM - 68, "memory" },
		{ 8, UINT64_MAX - 15, BASE, BASE, "memory" },
		{ 8, BASE, 0xfee00000, BASE, "memory" },
	};
	struct err e;
	struct rig g;

	(void)state;
	rig_open(&g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			virtq_enable(&g.q, bad[i].size, bad[i].desc, bad[i].avail, bad[i].used, &e),
			-EINVAL);
		assert_non_null(strstr(e.msg, bad[i].why));
		assert_false(g.q.ready);
		assert_int_equal(pop(&g), 0);
	}
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_comes_and_goes),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(requests_go_back_unserved_and_out_of_order),
		cmocka_unit_test(indirect_tables),
		cmocka_unit_test(event_indices),
		cmocka_unit_test(kicks_go_off_and_on_by_flag),
		cmocka_unit_test(hostile_descriptors),
		cmocka_unit_test(hostile_loops),
		cmocka_unit_test(hostile_indirect_tables),
		cmocka_unit_test(hostile_indices),
		cmocka_unit_test(rings_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
