/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what the guest does for the rest of its life, in ring 3 on every vCPU: fills its share of
 * memory once, then rewrites its share of the working set at its share of the rate, verifying each
 * page before it rewrites it, and ticks a heartbeat in between.
 * Must never fault or use a privileged instruction: there is no way back to ring 0.
 * Invariant: a page of the working set is written by one vCPU only, and slot->writing names it
 * while its stamp and its entry in the version table disagree.
 * Next in the flow: bench/observe.c maps the report; bench/verify.c checks the pages.
 */
#include "bench/guest/guest.h"
#include "bench/guest/page.h"

#define WAIT_FOR_OTHERS_MS 1000ull
#define CATCH_UP_MS        1ull /* time lost beyond this is not made up for by writing faster */

extern struct bench_report report;

/* Shared by the vCPUs; atomic. */
static uint64_t work_team;   /* vCPUs that share the work; 0 until the boot vCPU decides */
static uint64_t work_filled; /* vCPUs that have filled their share */

/* One vCPU's own, on its stack. */
struct work {
	volatile struct bench_slot *slot;
	uint64_t last;                /* TSC at the last heartbeat */
	uint64_t longest, generation; /* as in the slot, which is only written */
	uint64_t beats, errors, written;
	struct bench_gap *gaps; /* of BENCH_GAPS */
	uint64_t noted, note;   /* gaps noted so far; ticks from which on one is */
	uint64_t first, pages;  /* its share of the working set */
	uint64_t random, cursor;
};

/* A heartbeat. Returns the TSC. */
static inline uint64_t work_tick(struct work *w)
{
	uint64_t now = guest_rdtsc();
	uint64_t gap = now - w->last;
	uint64_t reset = __atomic_load_n(&report.h.gap_reset, __ATOMIC_RELAXED);

	if (reset != w->generation) {
		w->generation = reset;
		w->longest = gap = 0;
		w->slot->longest_gap = 0;
		w->slot->gap_end_tsc = now;
		w->slot->gap_generation =
			reset; /* after the gap it stands for: stores keep order */
	}
	if (gap > w->longest) {
		w->longest = gap;
		w->slot->gap_end_tsc = now;
		w->slot->longest_gap = gap;
	}
	if (gap >= w->note) {
		volatile struct bench_gap *g = &w->gaps[w->noted++ % BENCH_GAPS];

		g->end_tsc = now;
		g->start_tsc = w->last;
	}
	w->last = now;
	w->slot->tsc = now;
	w->slot->heartbeat = ++w->beats;
	return now;
}

static uint64_t *work_page(uint64_t page)
{
	const struct bench_area *a = guest.area;

	for (; page >= a->pages; a++)
		page -= a->pages;
	return (uint64_t *)(a->gpa + page * BENCH_PAGE_SIZE);
}

/* Fills this vCPU's share. A zero page outside the working set is left without a stamp. */
static void work_fill(struct work *w, uint64_t cpu, uint64_t team)
{
	uint64_t end = guest.fill * (cpu + 1) / team, n = 0;

	w->slot->state = BENCH_STATE_FILLING;
	for (uint64_t page = guest.fill * cpu / team; page < end; page++) {
		volatile uint64_t *p = work_page(page);

		bench_body_write(p, page, guest.content);
		if (page < guest.workset) {
			((volatile uint32_t *)guest.versions)[page] = 0;
			bench_stamp_write(p, page, 0);
		}
		w->slot->pages_filled = ++n;
		work_tick(w);
	}
	__atomic_fetch_add(&work_filled, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&work_filled, __ATOMIC_ACQUIRE) < team)
		work_tick(w);
}

static inline uint64_t work_random(struct work *w)
{
	w->random += 0x9e3779b97f4a7c15ull;
	return bench_mix(w->random);
}

/* @r scaled to 0 .. n-1. */
static inline uint64_t work_below(uint64_t r, uint64_t n)
{
	return (uint64_t)((unsigned __int128)r * n >> 64);
}

static inline uint64_t work_choose(struct work *w)
{
	uint64_t hot = w->pages / 10 ? w->pages / 10 : 1, page;

	switch (guest.pattern) {
	case BENCH_SEQUENTIAL:
		page = w->cursor;
		w->cursor = page + 1 < w->pages ? page + 1 : 0;
		return w->first + page;
	case BENCH_HOT:
		if (work_below(work_random(w), 10) != 0 || hot == w->pages)
			return w->first + work_below(work_random(w), hot);
		return w->first + hot + work_below(work_random(w), w->pages - hot);
	default: return w->first + work_below(work_random(w), w->pages);
	}
}

static inline void work_rewrite(struct work *w, uint64_t page)
{
	volatile uint32_t *version = (volatile uint32_t *)guest.versions + page;
	volatile uint64_t *p = work_page(page);
	uint32_t v = *version;

	if (!bench_stamp_ok(p, page, v)) {
		w->slot->error_page = page;
		w->slot->stamp_errors = ++w->errors;
	}
	w->slot->writing = page + 1;
	*version = ++v;
	bench_stamp_write(p, page, v);
	w->slot->writing = 0;
	w->slot->pages_written = ++w->written;
}

static _Noreturn void work_run(struct work *w, uint64_t team)
{
	uint64_t hz = guest.tsc_khz * 1000, slack = guest.tsc_khz * CATCH_UP_MS;
	/* Ticks from one page to the next as whole and remainder of rate: no drift. */
	uint64_t step = guest.rate ? hz * team / guest.rate : 0;
	uint64_t rest = guest.rate ? hz * team % guest.rate : 0, carry = 0;
	uint64_t due = work_tick(w), now;

	w->slot->state = BENCH_STATE_RUNNING;
	for (;;) {
		do
			now = work_tick(w);
		while ((int64_t)(now - due) < 0);
		if (w->pages)
			work_rewrite(w, work_choose(w));
		due += step;
		carry += rest;
		if (carry >= guest.rate && guest.rate) {
			carry -= guest.rate;
			due++;
		}
		if ((int64_t)(now - due) > (int64_t)slack)
			due = now;
	}
}

static _Noreturn void work_park(struct work *w)
{
	w->slot->state = BENCH_STATE_PARKED;
	for (;;)
		work_tick(w);
}

/* The boot vCPU waits for the others, not for ever; whoever has come by then shares the work. */
static void work_gather(struct work *w)
{
	uint64_t end = w->last + guest.tsc_khz * WAIT_FOR_OTHERS_MS, team;

	do
		team = __atomic_load_n(&guest_tickets, __ATOMIC_ACQUIRE);
	while (team < guest.cpus && (int64_t)(work_tick(w) - end) < 0);
	if (team > guest.cpus)
		team = guest.cpus;
	report.h.cpus = team;
	__atomic_store_n(&work_team, team, __ATOMIC_RELEASE);
}

_Noreturn void work_main(uint64_t cpu)
{
	struct work w = { .slot = &report.cpu[cpu], .last = guest_rdtsc() };
	uint64_t team;

	w.random = bench_mix(cpu + 1);
	w.gaps = report.gap[cpu];
	w.note = guest.tsc_khz * BENCH_GAP_NOTE_US / 1000;
	w.slot->state = BENCH_STATE_WAITING;
	if (cpu == 0)
		work_gather(&w);
	while ((team = __atomic_load_n(&work_team, __ATOMIC_ACQUIRE)) == 0)
		work_tick(&w);
	if (cpu >= team)
		work_park(&w);
	w.first = guest.workset * cpu / team;
	w.pages = guest.workset * (cpu + 1) / team - w.first;
	work_fill(&w, cpu, team);
	work_run(&w, team);
}
