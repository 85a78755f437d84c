/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the choice of the next run (see plan.h). Runs go round the regions from where the last one
 * ended, so a page dirtied behind the cursor waits for the next lap rather than being sent twice in
 * a row. Heat is two rounds long: what is dirtied in one and again in the next is hot, and cools
 * down as soon as a round passes without a write to it.
 * Next in the flow: source.c.
 */
#include "hv/migrate/plan.h"

#include "hv/migrate/xport.h"

#define PLAN_BLOCK_PAGES (XPORT_BLOCK_SIZE / GMEM_PAGE_SIZE)

int plan_init(struct plan *p, const struct gmem *m, struct err *e)
{
	int r;

	*p = (struct plan){ 0 };
	r = dirty_map_init(&p->todo, m, e);
	if (!r)
		r = dirty_map_init(&p->inflight, m, e);
	if (!r)
		r = dirty_map_init(&p->sent, m, e);
	if (!r)
		r = dirty_map_init(&p->last, m, e);
	if (!r)
		r = dirty_map_init(&p->hot, m, e);
	if (r)
		plan_fini(p);
	return r;
}

void plan_fini(struct plan *p)
{
	dirty_map_fini(&p->todo);
	dirty_map_fini(&p->inflight);
	dirty_map_fini(&p->sent);
	dirty_map_fini(&p->last);
	dirty_map_fini(&p->hot);
}

void plan_add(struct plan *p, struct dirty_map *d)
{
	for (uint32_t i = 0; i < d->nregions; i++)
		p->todo_pages +=
			bitmap_or(p->todo.region[i].bits, d->region[i].bits, d->region[i].pages);
	dirty_map_clear(d);
}

/*
 * Three maps change places: what was found becomes `last`, the part of it that `last` held before
 * becomes `hot`, and the map that was `hot`, cleared, goes to the caller for what is found next.
 */
void plan_add_round(struct plan *p, struct dirty_map *d)
{
	for (uint32_t i = 0; i < d->nregions; i++) {
		uint64_t *found = d->region[i].bits, *last = p->last.region[i].bits;
		uint64_t pages = d->region[i].pages;

		p->todo_pages += bitmap_or(p->todo.region[i].bits, found, pages);
		for (uint64_t w = 0; w < BITMAP_WORDS(pages); w++)
			last[w] &= found[w];
		d->region[i].bits = p->hot.region[i].bits;
		p->hot.region[i].bits = last;
		p->last.region[i].bits = found;
	}
	dirty_map_clear(d);
	p->hot_pages = dirty_map_count(&p->hot);
}

static bool plan_held(const struct plan *p, uint32_t region, uint64_t page)
{
	return p->hold && bitmap_test(p->hot.region[region].bits, page);
}

/* The first page at or after the cursor that is to be sent, not in flight and not held back;
 * moves the cursor. */
static bool plan_seek(struct plan *p)
{
	uint32_t laps = p->todo.nregions + 1;

	if (plan_empty(p))
		return false;
	while (laps) {
		uint64_t pages = p->todo.region[p->region].pages;
		uint64_t at = bitmap_next_set(p->todo.region[p->region].bits, pages, p->page);

		if (at < pages && !bitmap_test(p->inflight.region[p->region].bits, at) &&
			!plan_held(p, p->region, at)) {
			p->page = at;
			return true;
		}
		if (at < pages) {
			p->page = at + 1;
			continue;
		}
		p->region = (p->region + 1) % p->todo.nregions;
		p->page = 0;
		laps--;
	}
	return false;
}

static void plan_take(struct plan *p, uint64_t page)
{
	bitmap_clear(p->todo.region[p->region].bits, page);
	p->todo_pages--;
	p->hot_pages -= bitmap_test(p->hot.region[p->region].bits, page);
	bitmap_clear(p->hot.region[p->region].bits, page);
}

/* Whether @page may join a run that starts at or before it. */
static bool plan_ready(const struct plan *p, uint64_t page)
{
	return page < p->todo.region[p->region].pages &&
	       bitmap_test(p->todo.region[p->region].bits, page) &&
	       !bitmap_test(p->inflight.region[p->region].bits, page) &&
	       !plan_held(p, p->region, page);
}

/* What to do about a page: send its content, send a zero, or nothing at all. */
enum plan_kind { PLAN_CONTENT, PLAN_ZERO, PLAN_SKIP };

static enum plan_kind plan_kind(
	const struct plan *p, uint64_t page, plan_zero_fn is_zero, void *arg)
{
	if (!is_zero(arg, p->region, page))
		return PLAN_CONTENT;
	return bitmap_test(p->sent.region[p->region].bits, page) ? PLAN_ZERO : PLAN_SKIP;
}

/* Extends a run of @kind from the cursor to the end of its block; returns how many pages. */
static uint32_t plan_extend(struct plan *p, enum plan_kind kind, plan_zero_fn is_zero, void *arg)
{
	uint64_t end = (p->page / PLAN_BLOCK_PAGES + 1) * PLAN_BLOCK_PAGES;
	uint64_t at = p->page;

	do {
		plan_take(p, at++);
	} while (at < end && plan_ready(p, at) && plan_kind(p, at, is_zero, arg) == kind);
	return (uint32_t)(at - p->page);
}

int plan_next(struct plan *p, plan_zero_fn is_zero, void *arg, struct plan_run *run)
{
	while (plan_seek(p)) {
		enum plan_kind kind = plan_kind(p, p->page, is_zero, arg);
		uint32_t n = plan_extend(p, kind, is_zero, arg);
		uint64_t *sent = p->sent.region[p->region].bits;

		*run = (struct plan_run){ p->region, p->page, n, kind == PLAN_ZERO };
		p->page += n;
		if (kind == PLAN_SKIP) {
			p->pages_skipped += n;
			continue;
		}
		bitmap_set_range(p->inflight.region[run->region].bits, run->page, n);
		p->inflight_pages += n;
		if (kind == PLAN_ZERO) {
			bitmap_clear_range(sent, run->page, n);
			p->pages_zero += n;
		} else {
			bitmap_set_range(sent, run->page, n);
			p->pages_sent += n;
		}
		return 1;
	}
	return 0;
}

void plan_done(struct plan *p, const struct plan_run *run)
{
	bitmap_clear_range(p->inflight.region[run->region].bits, run->page, run->pages);
	p->inflight_pages -= run->pages;
}

void plan_unpost(struct plan *p, const struct plan_run *run)
{
	uint64_t *todo = p->todo.region[run->region].bits;

	plan_done(p, run);
	for (uint64_t i = run->page; i < run->page + run->pages; i++) {
		if (!bitmap_test(todo, i))
			p->todo_pages++;
		bitmap_set(todo, i);
	}
	/*
	 * `sent` errs on the safe side: a run of content that was never posted stays marked (at
	 * worst a zero is sent for nothing); a zero that was never posted is marked again.
	 */
	bitmap_set_range(p->sent.region[run->region].bits, run->page, run->pages);
	if (run->zero)
		p->pages_zero -= run->pages;
	else
		p->pages_sent -= run->pages;
	p->region = run->region;
	p->page = run->page;
}

uint64_t plan_cookie(const struct plan_run *run)
{
	return (uint64_t)run->region << 60 | run->page << 8 | run->pages;
}

struct plan_run plan_from_cookie(uint64_t cookie)
{
	return (struct plan_run){
		.region = (uint32_t)(cookie >> 60),
		.page = cookie << 4 >> 12,
		.pages = (uint32_t)(cookie & 0xff),
	};
}
