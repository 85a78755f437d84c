/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns dirty maps (see dirty.h). Knows nothing of KVM: trackers live in hv/kvm.
 * Next in the flow: hv/migrate/plan.c.
 */
#include "hv/mem/dirty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dirty_map_init(struct dirty_map *d, const struct gmem *m, struct err *e)
{
	memset(d, 0, sizeof(*d));
	for (uint32_t i = 0; i < m->nregions; i++) {
		d->region[i].pages = m->regions[i].size >> GMEM_PAGE_SHIFT;
		d->region[i].bits = bitmap_new(d->region[i].pages);
		d->nregions = i + 1;
		if (!d->region[i].bits) {
			dirty_map_fini(d);
			return err_set(e, -ENOMEM, "no memory for a map of dirty pages");
		}
	}
	return 0;
}

void dirty_map_fini(struct dirty_map *d)
{
	for (uint32_t i = 0; i < d->nregions; i++)
		free(d->region[i].bits);
	memset(d, 0, sizeof(*d));
}

void dirty_map_clear(struct dirty_map *d)
{
	for (uint32_t i = 0; i < d->nregions; i++)
		memset(d->region[i].bits, 0, BITMAP_WORDS(d->region[i].pages) * sizeof(uint64_t));
}

uint64_t dirty_map_count(const struct dirty_map *d)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < d->nregions; i++)
		n += bitmap_count(d->region[i].bits, d->region[i].pages);
	return n;
}

int dirty_map_add_allocated(struct dirty_map *d, const struct gmem *m, struct err *e)
{
	for (uint32_t i = 0; i < m->nregions; i++) {
		uint64_t from = 0, start, end;
		int r;

		while ((r = gmem_next_data(m, &m->regions[i], from, &start, &end, e)) > 0) {
			uint64_t first = start >> GMEM_PAGE_SHIFT;
			uint64_t last = (end + GMEM_PAGE_SIZE - 1) >> GMEM_PAGE_SHIFT;

			bitmap_set_range(d->region[i].bits, first, last - first);
			from = end;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

void dirty_map_take_written(struct dirty_map *d, const struct gmem *m)
{
	for (uint32_t i = 0; i < m->nregions; i++) {
		uint64_t words = BITMAP_WORDS(d->region[i].pages);

		/* Acquire inside take_word: the bytes behind a taken bit are visible to the put. */
		for (uint64_t w = 0; w < words; w++)
			d->region[i].bits[w] |= bitmap_take_word(m->regions[i].written, w);
	}
}
