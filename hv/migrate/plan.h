/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan: which pages are still to be sent, which are in flight, and which run goes next.
 * Pure: looks at no guest memory itself (zero pages are found through a callback) and does no I/O.
 * Invariant: a page is never in two puts at once; a page marked dirty after it was posted is sent
 * again after that put is done. `sent` holds exactly the pages whose copy at the target may differ
 * from zero, so a zero page outside it needs not be sent at all. `hot` is part of `todo`.
 * Next in the flow: hv/migrate/source.h says when; hv/migrate/pump_source.c posts.
 */
#ifndef WATARI_MIGRATE_PLAN_H
#define WATARI_MIGRATE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/mem/dirty.h"

struct plan {
	struct dirty_map todo;     /* to be sent */
	struct dirty_map inflight; /* posted, not done */
	struct dirty_map sent;     /* ever put with content */
	struct dirty_map last;     /* dirtied in the round before */
	struct dirty_map hot;      /* dirtied in each of the two rounds before, not taken since */
	uint64_t todo_pages, inflight_pages, hot_pages;
	bool hold; /* hot pages are not sent: they would only have to be sent again */
	uint64_t pages_sent, pages_zero, pages_skipped;
	uint32_t region; /* where the next run is looked for */
	uint64_t page;
};

/* A run of pages for one put: inside one XPORT_BLOCK_SIZE block of one region. */
struct plan_run {
	uint32_t region;
	uint64_t page;  /* first, from the region's start */
	uint32_t pages; /* 1 and up */
	bool zero;
};

/* True if the page is all zero now. */
typedef bool (*plan_zero_fn)(void *arg, uint32_t region, uint64_t page);

int plan_init(struct plan *p, const struct gmem *m, struct err *e);
void plan_fini(struct plan *p);

/* Adds pages to be sent; empties @d. */
void plan_add(struct plan *p, struct dirty_map *d);
/* The same for what the guest dirtied in a round, which says as well what is hot from now on. Not
 * for a frozen guest: it takes longer, and nobody asks. */
void plan_add_round(struct plan *p, struct dirty_map *d);
/* True if nothing is to be sent any more but what is held back. */
static inline bool plan_empty(const struct plan *p)
{
	return p->todo_pages == (p->hold ? p->hot_pages : 0);
}

/*
 * Takes the next run off `todo` and puts it in flight. Zero pages the target never saw content of
 * are dropped on the way. 1: @run is to be posted; 0: nothing is left that is not in flight
 * or held back.
 */
int plan_next(struct plan *p, plan_zero_fn is_zero, void *arg, struct plan_run *run);
/* Undoes plan_next() for a run that could not be posted. */
void plan_unpost(struct plan *p, const struct plan_run *run);
/* A posted run is done. */
void plan_done(struct plan *p, const struct plan_run *run);

/* A run as the cookie of its put, and back. Regions 0..3, pages below 2^48. */
uint64_t plan_cookie(const struct plan_run *run);
struct plan_run plan_from_cookie(uint64_t cookie);

#endif
