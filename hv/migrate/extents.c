/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list of what will arrive (see extents.h). Must never believe the peer: a run outside
 * guest memory, or one that goes backwards, ends the move.
 * Next in the flow: populate.c.
 */
#include "hv/migrate/extents.h"

#include <errno.h>
#include <stdlib.h>

#include "hv/base/bitmap.h"

#define EXTENT_WIRE_SIZE 16 /* bytes of one run */

static uint32_t extents_count(const struct dirty_map *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->nregions; i++) {
		const uint64_t *bits = d->region[i].bits;
		size_t pages = d->region[i].pages, at = bitmap_next_set(bits, pages, 0);

		for (; at < pages && n < EXTENTS_MAX; n++) {
			at = bitmap_next_clear(bits, pages, at);
			at = bitmap_next_set(bits, pages, at);
		}
	}
	return n;
}

void extents_encode(const struct dirty_map *d, struct wbuf *w)
{
	uint32_t left = extents_count(d);

	wbuf_u32(w, left);
	for (uint32_t i = 0; i < d->nregions; i++) {
		const uint64_t *bits = d->region[i].bits;
		size_t pages = d->region[i].pages, at = bitmap_next_set(bits, pages, 0);

		for (; at < pages && left; left--) {
			size_t end = bitmap_next_clear(bits, pages, at);

			wbuf_u32(w, i);
			wbuf_u32(w, (uint32_t)(end - at));
			wbuf_u64(w, at);
			at = bitmap_next_set(bits, pages, end);
		}
	}
}

/* One run, which must lie after the one before it. */
static bool extent_read(struct extents *x, uint32_t i, struct rbuf *r, const struct gmem *m)
{
	struct extent *e = &x->e[i];
	const struct extent *last = i ? &x->e[i - 1] : NULL;
	uint64_t pages;

	e->region = rbuf_u32(r);
	e->pages = rbuf_u32(r);
	e->page = rbuf_u64(r);
	e->before = x->pages;
	x->pages += e->pages;
	if (r->failed || e->region >= m->nregions || e->pages == 0)
		return false;
	pages = m->regions[e->region].size >> GMEM_PAGE_SHIFT;
	if (e->page >= pages || e->pages > pages - e->page)
		return false;
	if (!last || e->region > last->region)
		return true;
	return e->region == last->region && e->page >= last->page + last->pages;
}

int extents_decode(struct extents *x, struct rbuf *r, const struct gmem *m, struct err *e)
{
	uint32_t n = rbuf_u32(r);

	*x = (struct extents){ 0 };
	if (r->failed || n > EXTENTS_MAX || rbuf_left(r) != (size_t)n * EXTENT_WIRE_SIZE)
		return err_set(e, -EPROTO, "the source sent a malformed list of its memory");
	x->e = calloc(n ? n : 1, sizeof(*x->e));
	if (!x->e)
		return err_set(e, -ENOMEM, "no memory for the list of what will arrive");
	for (; x->n < n; x->n++) {
		if (!extent_read(x, x->n, r, m)) {
			extents_fini(x);
			return err_set(e, -EPROTO,
				"the source's list of its memory is out of order or of range");
		}
	}
	return 0;
}

void extents_fini(struct extents *x)
{
	free(x->e);
	*x = (struct extents){ 0 };
}

uint64_t extents_before(const struct extents *x, uint32_t region, uint64_t page)
{
	uint32_t lo = 0, hi = x->n;
	const struct extent *e;

	/* The first extent that begins after (region, page); the one before it may hold it. */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		e = &x->e[mid];
		if (e->region > region || (e->region == region && e->page > page))
			hi = mid;
		else
			lo = mid + 1;
	}
	if (lo == 0)
		return 0;
	e = &x->e[lo - 1];
	if (e->region != region || page >= e->page + e->pages)
		return e->before + e->pages;
	return e->before + (page - e->page);
}

const struct extent *extents_at(const struct extents *x, uint64_t nth)
{
	uint32_t lo = 0, hi = x->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (x->e[mid].before > nth)
			hi = mid;
		else
			lo = mid;
	}
	return &x->e[lo];
}
