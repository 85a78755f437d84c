/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty pages: a map of all regions, and the interface behind which KVM's dirty ring or dirty log
 * (or a test's fake) says what the guest wrote.
 * Invariant of every tracker: a page is reported after it was made to trap again, so a write is
 * either in this harvest or in a later one, never in none.
 * Next in the flow: hv/migrate/plan.h.
 */
#ifndef WATARI_MEM_DIRTY_H
#define WATARI_MEM_DIRTY_H

#include "hv/base/bitmap.h"
#include "hv/mem/gmem.h"

/* One bit a page, per region. Owned by one thread. */
struct dirty_map {
	uint32_t nregions;
	struct {
		uint64_t pages;
		uint64_t *bits;
	} region[GMEM_REGIONS_MAX];
};

/* A clear map of the shape of @m. 0 or -ENOMEM. */
int dirty_map_init(struct dirty_map *d, const struct gmem *m, struct err *e);
void dirty_map_fini(struct dirty_map *d);
void dirty_map_clear(struct dirty_map *d);
uint64_t dirty_map_count(const struct dirty_map *d); /* pages */

/* Adds every allocated page of @m to @d. Pages never touched are left out. */
int dirty_map_add_allocated(struct dirty_map *d, const struct gmem *m, struct err *e);
/* Takes the pages the VMM itself wrote out of @m and adds them to @d. */
void dirty_map_take_written(struct dirty_map *d, const struct gmem *m);

/*
 * A tracker. @self is the implementation's. All calls come from one thread at a time, while vCPUs
 * may run; none may be made before the one before has returned.
 */
struct dirty_tracker_ops {
	const char *name; /* "ring", "log" */
	/* From the return on, every guest write will be in some harvest. 0 or negative errno. */
	int (*start)(void *self, struct err *e);
	/*
	 * Adds to @d all pages written before the call and not harvested yet (with vCPUs stopped:
	 * all there are), and re-arms exactly those. 0 or negative errno.
	 */
	int (*harvest)(void *self, struct dirty_map *d, struct err *e);
	/* Ends tracking. Slow (ms per GiB): never while the guest is frozen. */
	void (*stop)(void *self);
};

#endif
