/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest writes pages we choose; the dirty ring and the dirty log find exactly those, over rounds,
 * after a stop and a new start, and when the ring runs full.
 */
#include <errno.h>

#include "tests/unit/kvm_guest.h"

#define FIRST_AT 1 /* where the numbers are in lap_code */
#define COUNT_AT 6
#define STEP_AT  14

/* Writes a byte to `count` pages from `first` at `step`, says so at the port, and starts again. */
static const uint8_t lap_code[] = {
	0xbf, 0, 0, 0, 0,       /* mov edi, first */
	0xb9, 0, 0, 0, 0,       /* mov ecx, count */
	0xff, 0x07,             /* inc dword [edi] */
	0x81, 0xc7, 0, 0, 0, 0, /* add edi, step */
	0xe2, 0xf6,             /* loop: inc */
	0xe6, PORT,             /* out PORT, al */
	0xeb, 0xe8,             /* jmp: mov edi */
};

/* Pages first, first+stride ... of guest memory, @count of them. */
struct lap {
	uint32_t first, count, stride;
};

static void lap_set(struct guest *g, struct lap l)
{
	uint32_t gpa = l.first << GMEM_PAGE_SHIFT, step = l.stride << GMEM_PAGE_SHIFT;

	assert_true(gmem_write(&g->mem, CODE + FIRST_AT, &gpa, 4));
	assert_true(gmem_write(&g->mem, CODE + COUNT_AT, &l.count, 4));
	assert_true(gmem_write(&g->mem, CODE + STEP_AT, &step, 4));
}

/* Runs one lap to its end. */
static void lap_run(struct guest *g, struct lap l)
{
	struct vcpu_exit x;

	lap_set(g, l);
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	/* The next lap must start at its first instruction, after the numbers were set. */
	guest_complete(g);
}

/*
 * Harvests, and checks that exactly the pages of @n laps are there. The page of the code is not
 * looked at: KVM may map a page writable when it is first read, and then reports it, as it must.
 */
static void found_exactly(struct guest *g, struct dirty_track *t, const struct lap *laps, size_t n)
{
	struct dirty_map d, want;

	guest_ok(g, dirty_map_init(&d, &g->mem, &g->e));
	guest_ok(g, dirty_map_init(&want, &g->mem, &g->e));
	for (size_t i = 0; i < n; i++) {
		for (uint32_t p = 0; p < laps[i].count; p++)
			bitmap_set(want.region[0].bits, laps[i].first + p * laps[i].stride);
	}
	guest_ok(g, t->ops->harvest(t->self, &d, &g->e));
	for (uint64_t p = 0; p < d.region[0].pages; p++) {
		if (p == CODE >> GMEM_PAGE_SHIFT)
			continue;
		if (bitmap_test(d.region[0].bits, p) != bitmap_test(want.region[0].bits, p))
			fail_msg("page %llu: %s", (unsigned long long)p,
				bitmap_test(want.region[0].bits, p) ? "lost" : "not written");
	}
	dirty_map_fini(&d);
	dirty_map_fini(&want);
}

static const struct lap lap_a = { 256, 10, 3 }, lap_b = { 1000, 64, 1 }, lap_c = { 16000, 383, 1 },
			lap_wide = { 256, 3000, 2 };

static struct guest *lap_guest(enum dirty_choice tracking, uint32_t ring, struct dirty_track *t)
{
	struct guest *g = guest_new(1, tracking, ring);

	guest_code(g, lap_code, sizeof(lap_code));
	guest_ok(g, dirty_track_new(t, &g->vm, &g->e));
	return g;
}

static void rounds(enum dirty_choice tracking, const char *name)
{
	struct dirty_track t;
	struct guest *g = lap_guest(tracking, 0, &t);
	const struct lap both[] = { lap_a, lap_b };

	assert_string_equal(t.ops->name, name);
	lap_run(g, lap_a); /* before the start: not to be found */
	guest_ok(g, t.ops->start(t.self, &g->e));
	found_exactly(g, &t, NULL, 0);
	lap_run(g, lap_a);
	found_exactly(g, &t, &lap_a, 1);
	found_exactly(g, &t, NULL, 0);
	/* A page harvested once is found again when it is written again. */
	lap_run(g, lap_a);
	lap_run(g, lap_b);
	lap_run(g, lap_b);
	found_exactly(g, &t, both, 2);
	lap_run(g, lap_c);
	found_exactly(g, &t, &lap_c, 1);
	t.ops->stop(t.self);
	dirty_track_free(&t);
	guest_free(g);
}

static void the_ring_finds_each_rounds_pages(void **state)
{
	(void)state;
	rounds(DIRTY_CHOICE_RING, "ring");
}

static void the_log_finds_each_rounds_pages(void **state)
{
	(void)state;
	rounds(DIRTY_CHOICE_LOG, "log");
}

static void restart(enum dirty_choice tracking)
{
	struct dirty_track t;
	struct guest *g = lap_guest(tracking, 0, &t);

	guest_ok(g, t.ops->start(t.self, &g->e));
	lap_run(g, lap_a);
	t.ops->stop(t.self); /* lap_a was never harvested: a move that was given up */
	lap_run(g, lap_b);
	guest_ok(g, t.ops->start(t.self, &g->e));
	found_exactly(g, &t, NULL, 0);
	lap_run(g, lap_c);
	found_exactly(g, &t, &lap_c, 1);
	t.ops->stop(t.self);
	dirty_track_free(&t);
	guest_free(g);
}

static void a_second_start_of_the_ring_knows_nothing_of_the_first(void **state)
{
	(void)state;
	restart(DIRTY_CHOICE_RING);
}

static void a_second_start_of_the_log_knows_nothing_of_the_first(void **state)
{
	(void)state;
	restart(DIRTY_CHOICE_LOG);
}

/*
 * As lap_code, with an access after each page: so KVM gets to look at the ring between any two,
 * also one that interprets this code many instructions at a time.
 */
static const uint8_t paced_code[] = {
	0xbf, 0, 0, 0, 0,       /* mov edi, first */
	0xb9, 0, 0, 0, 0,       /* mov ecx, count */
	0xff, 0x07,             /* inc dword [edi] */
	0x81, 0xc7, 0, 0, 0, 0, /* add edi, step */
	0xe6, PORT,             /* out PORT, al */
	0xe2, 0xf4,             /* loop: inc */
	0xe6, PORT + 1,         /* out PORT + 1, al */
	0xeb, 0xe6,             /* jmp: mov edi */
};

/* Runs one lap of paced_code; how often the ring was full. */
static unsigned paced_run(struct guest *g, struct dirty_track *t, struct lap l)
{
	struct vcpu_exit x;
	unsigned full = 0, pages = 0;

	lap_set(g, l);
	do {
		guest_run(g, &x);
		if (x.type == VCPU_EXIT_RING_FULL) {
			full++;
			guest_ok(g, dirty_track_ring_full(t, &g->e));
			continue;
		}
		assert_int_equal(x.type, VCPU_EXIT_PIO);
		pages += x.addr == PORT;
	} while (x.type != VCPU_EXIT_PIO || x.addr == PORT);
	assert_int_equal(pages, l.count);
	guest_complete(g);
	return full;
}

static void a_full_ring_loses_nothing(void **state)
{
	struct dirty_track t;
	struct guest *g = lap_guest(DIRTY_CHOICE_RING, 1024, &t);

	(void)state;
	guest_code(g, paced_code, sizeof(paced_code));
	assert_int_equal(g->vm.ring_size, 1024);
	guest_ok(g, t.ops->start(t.self, &g->e));
	for (int i = 0; i < 3; i++) {
		assert_true(paced_run(g, &t, lap_wide) >= 2);
		found_exactly(g, &t, &lap_wide, 1);
	}
	/* Stopped with entries queued and a full ring behind it; the next start is clean. */
	assert_true(paced_run(g, &t, lap_wide) >= 2);
	t.ops->stop(t.self);
	guest_ok(g, t.ops->start(t.self, &g->e));
	found_exactly(g, &t, NULL, 0);
	paced_run(g, &t, lap_b);
	found_exactly(g, &t, &lap_b, 1);
	t.ops->stop(t.self);
	dirty_track_free(&t);
	guest_free(g);
}

static void the_log_finds_pages_across_its_chunks(void **state)
{
	struct dirty_track t;
	struct guest *g = lap_guest(DIRTY_CHOICE_LOG, 0, &t);

	(void)state;
	guest_ok(g, t.ops->start(t.self, &g->e));
	lap_run(g, lap_wide);
	found_exactly(g, &t, &lap_wide, 1);
	lap_run(g, lap_wide);
	found_exactly(g, &t, &lap_wide, 1);
	found_exactly(g, &t, NULL, 0);
	t.ops->stop(t.self);
	dirty_track_free(&t);
	guest_free(g);
}

static void ring_sizes_that_cannot_be_are_refused(void **state)
{
	struct guest *g = guest_new(1, DIRTY_CHOICE_RING, 0);
	struct kvm_vm vm;
	struct err e = { 0 };

	(void)state;
	assert_true(g->vm.ring_size >= 1024);
	assert_int_equal(kvm_vm_open_sized(&vm, &g->mem, 1, DIRTY_CHOICE_RING, 1000, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "1000"));
	assert_int_equal(kvm_vm_open_sized(&vm, &g->mem, 1, DIRTY_CHOICE_RING, 512, &e), -EINVAL);
	guest_free(g);
}

static void auto_takes_the_ring_where_there_is_one(void **state)
{
	struct dirty_track t;
	struct guest *g = lap_guest(DIRTY_CHOICE_AUTO, 0, &t);

	(void)state;
	assert_string_equal(t.ops->name, g->vm.caps.ring_bytes ? "ring" : "log");
	dirty_track_free(&t);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ring_finds_each_rounds_pages),
		cmocka_unit_test(the_log_finds_each_rounds_pages),
		cmocka_unit_test(a_second_start_of_the_ring_knows_nothing_of_the_first),
		cmocka_unit_test(a_second_start_of_the_log_knows_nothing_of_the_first),
		cmocka_unit_test(a_full_ring_loses_nothing),
		cmocka_unit_test(the_log_finds_pages_across_its_chunks),
		cmocka_unit_test(ring_sizes_that_cannot_be_are_refused),
		cmocka_unit_test(auto_takes_the_ring_where_there_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
