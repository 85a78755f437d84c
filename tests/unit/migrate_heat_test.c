/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What page heat is worth, by calculation: the real plan and the real source move a guest that is
 * arithmetic over a link that is a number. Time is added up, never waited for, so every figure is
 * the same on every machine. docs/decisions/0044 quotes what it prints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/migrate/plan.h"
#include "hv/migrate/source.h"

#define MEMORY        (256ull << 20)
#define WORKSET       (64ull << 20 >> GMEM_PAGE_SHIFT) /* pages */
#define LINK_PAGES    655360ull                        /* a second: 2.5 GiB */
#define HARVEST_NS    (100 * NSEC_PER_USEC)
#define ROUNDS_ENOUGH 200

struct model {
	bool heat;          /* the source is told which pages are hot */
	bool hot;           /* 9 of 10 writes go to the first tenth of the working set */
	uint64_t writes;    /* pages a second that the guest writes */
	uint64_t now, debt; /* ns; ns of writing that made no whole page yet, times `writes` */
	uint32_t random;
	struct gmem mem;
	struct plan plan;
	struct dirty_map found, written;
	struct source s;
	/* what came of it */
	uint64_t sent, frozen_ns, residual, slowed_ns; /* slowed: time the vCPUs did not get */
	bool moved;
};

static uint32_t model_random(struct model *m, uint32_t below)
{
	m->random = m->random * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)m->random * below >> 32);
}

/* The guest runs for @ns, at the share it is left with. */
static void model_run(struct model *m, uint64_t ns)
{
	m->now += ns;
	m->slowed_ns += ns / SOURCE_SHARE_FULL * (SOURCE_SHARE_FULL - m->s.share);
	m->debt += ns * m->writes / SOURCE_SHARE_FULL * m->s.share;
	for (; m->debt >= NSEC_PER_SEC; m->debt -= NSEC_PER_SEC) {
		bool few = m->hot && model_random(m, 10) < 9;

		bitmap_set(m->written.region[0].bits,
			model_random(m, (uint32_t)(few ? WORKSET / 10 : WORKSET)));
	}
}

static void model_event(
	struct model *m, enum source_event_type t, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	const struct source_event ev = { .type = t, .now = m->now, .a = a, .b = b, .c = c, .d = d };

	source_step(&m->s, &ev);
}

static bool model_zero(void *arg, uint32_t region, uint64_t page)
{
	(void)arg;
	(void)region;
	(void)page;
	return false;
}

static uint64_t model_send(struct model *m)
{
	uint64_t pages = 0;
	struct plan_run run;

	while (plan_next(&m->plan, model_zero, NULL, &run)) {
		plan_done(&m->plan, &run);
		pages += run.pages;
	}
	m->sent += pages;
	return pages;
}

static void model_harvest(struct model *m)
{
	uint64_t found;

	if (!m->s.frozen)
		model_run(m, HARVEST_NS);
	found = bitmap_or(
		m->found.region[0].bits, m->written.region[0].bits, m->found.region[0].pages);
	dirty_map_clear(&m->written);
	if (m->s.frozen)
		plan_add(&m->plan, &m->found);
	else
		plan_add_round(&m->plan, &m->found);
	model_event(m, SOURCE_EV_HARVESTED, m->plan.todo_pages, found, HARVEST_NS,
		m->heat ? m->plan.hot_pages : 0);
}

static void model_do(struct model *m, const struct source_todo *d)
{
	uint64_t pages, ns;

	switch (d->type) {
	case SOURCE_DO_SEND:
		m->plan.hold = d->a;
		pages = model_send(m);
		ns = pages * NSEC_PER_SEC / LINK_PAGES;
		if (m->s.frozen) {
			m->residual = pages;
			m->frozen_ns = ns;
			m->now += ns;
		} else {
			model_run(m, ns);
		}
		model_event(m, SOURCE_EV_SENT, pages << GMEM_PAGE_SHIFT, 0, 0, 0);
		break;
	case SOURCE_DO_ROUND: model_event(m, SOURCE_EV_ACKED, d->a, 0, 0, 0); break;
	case SOURCE_DO_HARVEST: model_harvest(m); break;
	case SOURCE_DO_FREEZE: model_event(m, SOURCE_EV_FROZEN, 0, 0, 0, 0); break;
	case SOURCE_DO_SAVE: m->moved = true; break;
	default: break;
	}
}

/* Moves the guest; @on_stall as in the name. */
static void model_move(struct model *m, enum mig_on_stall on_stall)
{
	const struct source_params p = { .downtime_limit_ns = 10 * NSEC_PER_MSEC,
		.on_stall = on_stall,
		.answer_timeout_ns = 100 * NSEC_PER_SEC,
		.frozen_timeout_ns = 100 * NSEC_PER_SEC,
		.rtt_ns = 50 * NSEC_PER_USEC };
	struct source_todo d;

	m->random = 4711;
	assert_int_equal(gmem_init(&m->mem, MEMORY, NULL), 0);
	assert_int_equal(plan_init(&m->plan, &m->mem, NULL), 0);
	assert_int_equal(dirty_map_init(&m->found, &m->mem, NULL), 0);
	assert_int_equal(dirty_map_init(&m->written, &m->mem, NULL), 0);
	source_init(&m->s, &p);
	model_event(m, SOURCE_EV_CONNECTED, 0, 0, 0, 0);
	model_event(m, SOURCE_EV_READY, 200 * NSEC_PER_USEC, 200 * NSEC_PER_USEC, 20000, 0);
	bitmap_set_range(m->found.region[0].bits, 0, MEMORY >> GMEM_PAGE_SHIFT);
	plan_add(&m->plan, &m->found);
	model_event(m, SOURCE_EV_TRACKING, m->plan.todo_pages, 0, 0, 0);
	while (!m->moved && m->s.round < ROUNDS_ENOUGH && source_todo(&m->s, &d))
		model_do(m, &d);
	plan_fini(&m->plan);
	dirty_map_fini(&m->found);
	dirty_map_fini(&m->written);
	gmem_fini(&m->mem);
}

/* The same guest without and with heat, and what came of it. */
static void model_both(struct model m[2], bool hot, uint64_t writes, enum mig_on_stall on_stall)
{
	for (int i = 0; i < 2; i++) {
		m[i] = (struct model){ .heat = i, .hot = hot, .writes = writes };
		model_move(&m[i], on_stall);
		assert_true(m[i].moved);
		print_message("# %s %7lu pages/s, heat %s: %u rounds, %5.1f MiB sent again, %5.0f "
			      "KiB left, %5.2f ms for them, slowed by %5.1f ms\n",
			hot ? "hot    " : "uniform", (unsigned long)writes, i ? "on " : "off",
			m[i].s.round, (double)(m[i].sent * GMEM_PAGE_SIZE - MEMORY) / (1 << 20),
			(double)m[i].residual * 4, (double)m[i].frozen_ns / 1e6,
			(double)m[i].slowed_ns / 1e6);
	}
}

static void a_guest_with_a_hot_tenth_sends_less_and_is_away_for_less(void **state)
{
	struct model m[2];

	(void)state;
	model_both(m, true, 3000000, MIG_ON_STALL_FREEZE);
	assert_true(m[1].residual < m[0].residual);
	assert_true(m[1].sent <= m[0].sent);
	model_both(m, true, 1000000, MIG_ON_STALL_FREEZE);
	assert_true(m[1].residual <= m[0].residual);
}

static void a_guest_without_is_moved_as_before(void **state)
{
	static const uint64_t rates[] = { 200000, 400000, 1000000, 3000000 };
	struct model m[2];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		model_both(m, false, rates[i], MIG_ON_STALL_FREEZE);
		assert_true(m[1].residual <= m[0].residual + m[0].residual / 10 + 32);
		assert_true(m[1].sent <= m[0].sent + m[0].sent / 50);
	}
}

static void a_slow_one_still_gets_down_to_next_to_nothing(void **state)
{
	struct model m[2];

	(void)state;
	model_both(m, true, 200000, MIG_ON_STALL_THROTTLE);
	assert_true(m[1].residual < 256);
	assert_true(m[1].residual <= m[0].residual + 32);
}

static void one_that_has_to_be_slowed_down_is_not_slowed_down_more(void **state)
{
	struct model m[2];

	(void)state;
	model_both(m, true, 12000000, MIG_ON_STALL_THROTTLE);
	assert_true(m[1].slowed_ns <= m[0].slowed_ns);
	model_both(m, false, 3000000, MIG_ON_STALL_THROTTLE);
	assert_true(m[1].slowed_ns <= m[0].slowed_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_with_a_hot_tenth_sends_less_and_is_away_for_less),
		cmocka_unit_test(a_guest_without_is_moved_as_before),
		cmocka_unit_test(a_slow_one_still_gets_down_to_next_to_nothing),
		cmocka_unit_test(one_that_has_to_be_slowed_down_is_not_slowed_down_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
