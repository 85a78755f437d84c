/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What will arrive: the runs of guest memory that are allocated at the source when the first pass
 * begins, in the order of the stream. A hint, in one message, from which the target allocates
 * memory ahead; never a hole. Owns its encoding.
 *
 *   u32 count, then per run:  u32 region | u32 pages | u64 first page
 *
 * Next in the flow: hv/migrate/populate.h.
 */
#ifndef WATARI_MIGRATE_EXTENTS_H
#define WATARI_MIGRATE_EXTENTS_H

#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/mem/dirty.h"
#include "hv/mem/gmem.h"

#define EXTENTS_MAX (64u << 10) /* what is beyond is allocated when it arrives */

struct extent {
	uint32_t region;
	uint64_t page, pages;
	uint64_t before; /* pages of all extents before this one */
};

struct extents {
	struct extent *e;
	uint32_t n;
	uint64_t pages; /* in all */
};

/* Appends the set runs of @d, the first EXTENTS_MAX of them. */
void extents_encode(const struct dirty_map *d, struct wbuf *w);
/* Reads all of @r: ascending runs inside the regions of @m, or -EPROTO; -ENOMEM. */
int extents_decode(struct extents *x, struct rbuf *r, const struct gmem *m, struct err *e);
void extents_fini(struct extents *x);
/* How many pages of @x lie before page @page of @region. */
uint64_t extents_before(const struct extents *x, uint32_t region, uint64_t page);
/* The extent that holds page number @nth of all, which is less than x->pages. */
const struct extent *extents_at(const struct extents *x, uint64_t nth);

#endif
