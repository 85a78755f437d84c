/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts: they land where they are named, in the order the contract promises and before the message
 * that follows them.
 * Next in the flow: cases_end.c.
 */
#include "tests/contract/contract.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Every length of a put, in both regions, at the ends of blocks and regions; nothing beside them.
 */
static void right_place(void **state)
{
	static const struct {
		uint32_t region;
		uint64_t offset;
		uint32_t pages;
	} puts[] = {
		{ 0, 0, 1 },
		{ 0, XPORT_BLOCK_SIZE - PAGE, 1 },
		{ 0, XPORT_BLOCK_SIZE, 64 },
		{ 0, 5 * XPORT_BLOCK_SIZE + 3 * PAGE, 17 },
		{ 0, REGION0_SIZE - PAGE, 1 },
		{ 1, 2 * PAGE, 62 },
		{ 1, REGION1_SIZE - PAGE, 1 },
	};
	const size_t n = sizeof(puts) / sizeof(puts[0]);
	struct pair p;

	pair_open(&p, *state);
	for (size_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < puts[i].pages; k++)
			page_fill(p.src.mem[puts[i].region] + puts[i].offset + k * PAGE,
				i * 1000 + k);
		end_put(&p.src, puts[i].region, puts[i].offset, puts[i].pages * PAGE, false, i);
	}
	end_msg(&p.src, 1, NULL, 0);
	DRIVE(&p, p.dst.msgs == 1 && p.src.done == n);
	/* The source holds nothing else, so equal memory means nothing landed elsewhere. */
	assert_memory_equal(p.dst.mem[0], p.src.mem[0], REGION0_SIZE);
	assert_memory_equal(p.dst.mem[1], p.src.mem[1], REGION1_SIZE);
	pair_close(&p);
}

static void every_cookie_once(void **state)
{
	enum { PUTS = 3000 };
	struct pair p;
	struct err e;

	pair_open(&p, *state);
	p.src.done_of = calloc(PUTS, sizeof(unsigned));
	p.src.done_max = PUTS;
	for (unsigned i = 0; i < PUTS;) {
		struct xport_put put = { 0, (uint64_t)(i % 4096) * PAGE, PAGE, i % 3 == 0, i };
		int r = p.src.ops->put(p.src.x, &put, &e);

		if (r == 0)
			i++;
		else if (r == -EAGAIN)
			pair_step(&p, now_ns());
		else
			fail_msg("put: %s", e.msg);
	}
	DRIVE(&p, p.src.done == PUTS);
	for (unsigned i = 0; i < PUTS; i++)
		assert_int_equal(p.src.done_of[i], 1);
	pair_close(&p);
}

/*
 * With a target that takes nothing, done means that the bytes have been read: what the source
 * writes into its pages after that must not arrive.
 */
static void done_means_read(void **state)
{
	const unsigned blocks = REGION0_SIZE / XPORT_BLOCK_SIZE;
	struct pair p;

	pair_open(&p, *state);
	p.src.done_of = calloc(blocks, sizeof(unsigned));
	p.src.done_max = blocks;
	for (unsigned i = 0; i < blocks; i++) {
		struct xport_put put = { 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, false,
			i };
		struct err e;

		page_fill(p.src.mem[0] + put.offset + XPORT_BLOCK_SIZE - PAGE, i);
		if (p.src.ops->put(p.src.x, &put, &e))
			pair_step(&p, now_ns()), i--;
	}
	while (end_poll(&p.src, 0) > 0)
		;
	for (unsigned i = 0; i < blocks; i++)
		if (p.src.done_of[i])
			memset(p.src.mem[0] + i * (uint64_t)XPORT_BLOCK_SIZE, 0xee,
				XPORT_BLOCK_SIZE);
	end_msg(&p.src, 1, NULL, 0);
	DRIVE(&p, p.dst.msgs == 1);
	for (unsigned i = 0; i < blocks; i++)
		assert_true(
			page_has(p.dst.mem[0] + (i + 1) * (uint64_t)XPORT_BLOCK_SIZE - PAGE, i));
	pair_close(&p);
}

/*
 * With nobody polling, put() must come to -EAGAIN, and once both ends are polled there must be room
 * again.
 */
static void eagain_then_room(void **state)
{
	struct pair p;
	unsigned posted = 0;
	struct err e;
	int r;

	pair_open(&p, *state);
	for (;;) {
		struct xport_put put = { 0, (posted % 64ull) * XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE,
			false, posted };

		r = p.src.ops->put(p.src.x, &put, &e);
		if (r)
			break;
		assert_true(++posted < 1000000);
	}
	assert_int_equal(r, -EAGAIN);
	assert_true(posted > 0);
	DRIVE(&p, p.src.done > 0);
	DRIVE(&p, p.src.done == posted);
	end_put(&p.src, 0, 0, PAGE, false, 0);
	pair_close(&p);
}

static void zero_puts(void **state)
{
	unsigned char resident = 1;
	struct pair p;

	pair_open(&p, *state);
	memset(p.dst.mem[0], 0xaa, 8 * PAGE);
	memset(p.src.mem[0], 0x55, 8 * PAGE); /* must not be read */
	end_put(&p.src, 0, 2 * PAGE, 3 * PAGE, true, 0);
	/* A hole of the target: still zero, and not allocated by having been looked at. */
	end_put(&p.src, 0, 8 * XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, true, 1);
	end_msg(&p.src, 1, NULL, 0);
	DRIVE(&p, p.dst.msgs == 1);
	for (unsigned i = 0; i < 8 * PAGE; i++)
		assert_int_equal(p.dst.mem[0][i], i / PAGE >= 2 && i / PAGE < 5 ? 0 : 0xaa);
	if (strcmp(p.dst.ops->name, "fake") != 0) {
		assert_int_equal(mincore(p.dst.mem[0] + 8 * XPORT_BLOCK_SIZE, PAGE, &resident), 0);
		assert_int_equal(resident & 1, 0);
	}
	for (unsigned i = 0; i < XPORT_BLOCK_SIZE; i++)
		assert_int_equal(p.dst.mem[0][8 * XPORT_BLOCK_SIZE + i], 0);
	pair_close(&p);
}

/* The last of many puts of one page wins, whatever their sizes and whether zero or not. */
static void same_page_order(void **state)
{
	uint64_t seed = rng_seed();
	struct pair p;

	pair_open(&p, *state);
	for (unsigned i = 0; i < 2000; i++) {
		bool zero = rng_next(&seed) % 4 == 0;
		unsigned before = p.src.done;

		page_fill(p.src.mem[1] + 9 * PAGE, i);
		end_put(&p.src, 1, rng_next(&seed) % 2 ? 9 * PAGE : 0, zero ? PAGE : 10 * PAGE,
			zero, i);
		if (i % 7 == 0)
			end_put(&p.src, 0, (i % 64) * (uint64_t)XPORT_BLOCK_SIZE, PAGE, false, i);
		/* The rule of the source: no page is posted while it is in flight. */
		DRIVE(&p, p.src.done == before + 1 + (i % 7 == 0));
	}
	page_fill(p.src.mem[1] + 9 * PAGE, 4711);
	end_put(&p.src, 1, 9 * PAGE, PAGE, false, 0);
	end_msg(&p.src, 1, NULL, 0);
	DRIVE(&p, p.dst.msgs == 1);
	assert_true(page_has(p.dst.mem[1] + 9 * PAGE, 4711));
	pair_close(&p);
}

struct expectation {
	unsigned checked; /* pages compared */
};

enum { FENCE_PAGES = 512, FENCE_STEP = 8 }; /* spread over blocks, so over all streams */

static uint64_t fence_offset(unsigned i)
{
	return (uint64_t)i * FENCE_STEP * PAGE;
}

/* In the last page of a run: what arrives last. */
static uint64_t fence_key(unsigned i)
{
	return fence_offset(i) + (FENCE_STEP - 1) * PAGE;
}

static void fence_check(struct end *e, const struct xport_event *ev, void *arg)
{
	struct expectation *x = arg;
	const uint64_t *keys = (const uint64_t *)(const void *)ev->data;

	assert_int_equal(ev->len, FENCE_PAGES * sizeof(uint64_t));
	for (unsigned i = 0; i < FENCE_PAGES; i++) {
		uint64_t want, have;

		memcpy(&want, &keys[i], sizeof(want));
		memcpy(&have, e->mem[0] + fence_key(i), sizeof(have));
		/* Later puts may be there already (keys only grow), earlier content never. */
		if (have < want)
			fail_msg("page %u holds put %llu when the fence after put %llu came", i,
				(unsigned long long)have, (unsigned long long)want);
		x->checked++;
	}
}

/*
 * Random load: each page carries the number of its put, each message the numbers that must be in
 * memory when it arrives. The target is polled as rarely as the source, so queues fill up.
 */
static void fence_under_load(void **state)
{
	static struct expectation x;
	uint64_t seed = rng_seed(), number = 1, last[FENCE_PAGES] = { 0 };
	bool busy[FENCE_PAGES] = { false };
	unsigned sent_msgs = 0;
	struct pair p;
	struct err e;

	pair_open(&p, *state);
	memset(&x, 0, sizeof(x));
	p.dst.on_msg = fence_check;
	p.dst.arg = &x;
	p.src.done_max = FENCE_PAGES;
	p.src.done_of = calloc(FENCE_PAGES, sizeof(unsigned));
	while (sent_msgs < 300) {
		unsigned burst = 1 + (unsigned)(rng_next(&seed) % 200);
		unsigned hot = (unsigned)(rng_next(&seed) % 4);

		/* A burst goes to every fourth block, so that one stream lags behind the others. */
		while (burst--) {
			unsigned i = (unsigned)(rng_next(&seed) % FENCE_PAGES);
			struct xport_put put = { 0, 0, FENCE_STEP * PAGE, false, 0 };

			i = (i & ~24u) | hot << 3;
			put.offset = fence_offset(i);
			put.cookie = i;
			if (p.src.done_of[i])
				busy[i] = false, p.src.done_of[i] = 0;
			if (busy[i])
				continue; /* in flight */
			memcpy(p.src.mem[0] + fence_key(i), &number, sizeof(number));
			if (p.src.ops->put(p.src.x, &put, &e))
				break;
			busy[i] = true;
			last[i] = number++;
		}
		if (rng_next(&seed) % 3 == 0) {
			end_msg(&p.src, 1, last, sizeof(last));
			sent_msgs++;
		}
		pair_step(&p, now_ns());
	}
	DRIVE(&p, p.dst.msgs == sent_msgs);
	assert_int_equal(x.checked, sent_msgs * FENCE_PAGES);
	assert_true(number > 1000);
	pair_close(&p);
}

static void bad_puts_are_refused(void **state)
{
	static const struct {
		struct xport_put put;
		bool from_target;
	} bad[] = {
		{ { .region = 2, .length = PAGE }, false },
		{ { .region = 4000000000u, .length = PAGE }, false },
		{ { .offset = 1, .length = PAGE }, false },
		{ { .offset = REGION0_SIZE, .length = PAGE }, false },
		{ { .offset = UINT64_MAX - PAGE + 1, .length = PAGE }, false },
		{ { .offset = 0, .length = 0 }, false },
		{ { .offset = 0, .length = 100 }, false },
		{ { .offset = PAGE, .length = XPORT_BLOCK_SIZE }, false },
		{ { .offset = 0, .length = 2 * XPORT_BLOCK_SIZE }, false },
		{ { .region = 1, .offset = REGION1_SIZE - PAGE, .length = 2 * PAGE }, false },
		{ { .offset = 0, .length = PAGE }, true },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };
		struct pair p;
		struct end *end;

		pair_open(&p, *state);
		end = bad[i].from_target ? &p.dst : &p.src;
		assert_int_equal(end->ops->put(end->x, &bad[i].put, &e), -EINVAL);
		assert_true(e.msg[0]);
		pair_close(&p);
	}
}

static void regions_are_checked(void **state)
{
	static uint8_t page[2 * PAGE] __attribute__((aligned(4096)));
	struct err e = { 0 };
	struct pair p;

	pair_open(&p, *state);
	assert_int_equal(p.src.ops->region_add(p.src.x, 0, page, PAGE, &e), -EINVAL);
	pair_close(&p);
	pair_open(&p, *state);
	assert_int_equal(
		p.src.ops->region_add(p.src.x, XPORT_REGIONS_MAX, page, PAGE, &e), -EINVAL);
	pair_close(&p);
	pair_open(&p, *state);
	assert_int_equal(p.src.ops->region_add(p.src.x, 2, page, 100, &e), -EINVAL);
	assert_true(e.msg[0]);
	pair_close(&p);
}

const struct contract_case cases_put[] = {
	{ "puts land where they are named and nowhere else", right_place },
	{ "every put is done exactly once", every_cookie_once },
	{ "done means the source bytes have been read", done_means_read },
	{ "without polls there is -EAGAIN, with polls room again", eagain_then_room },
	{ "zero puts clear pages and leave holes alone", zero_puts },
	{ "two puts of a page take effect in order", same_page_order },
	{ "a message comes after every earlier put, under random load", fence_under_load },
	{ "a put that names no pages of a region is refused", bad_puts_are_refused },
	{ "a region that cannot be is refused", regions_are_checked },
	{ NULL, NULL },
};
