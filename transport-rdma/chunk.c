/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the arithmetic and the checks of chunk.h. Must never touch guest memory or the adapter.
 * Next in the flow: reg.c.
 */
#include "transport-rdma/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int xrdma_regions_add(
	struct xrdma_regions *g, uint32_t id, void *base, uint64_t size, struct err *e)
{
	int r = xport_region_check(id, id < XPORT_REGIONS_MAX && g->r[id].base, base, size, e);

	if (!r)
		g->r[id] = (struct xrdma_region){ .base = base, .size = size };
	return r;
}

void xrdma_regions_fini(struct xrdma_regions *g)
{
	for (unsigned i = 0; i < XPORT_REGIONS_MAX; i++)
		free(g->r[i].chunk);
	memset(g, 0, sizeof(*g));
}

int xrdma_range_check(const struct xrdma_regions *g, uint32_t region, uint64_t offset,
	uint64_t length, int code, struct err *e)
{
	uint64_t size = region < XPORT_REGIONS_MAX ? g->r[region].size : 0;

	return xport_range_check(region, size, offset, length, code, e);
}

unsigned xrdma_chunk_shift(uint64_t size)
{
	unsigned shift = XRDMA_CHUNK_MIN;

	while (shift < XRDMA_CHUNK_MAX && size >> shift > XRDMA_CHUNKS_GOAL)
		shift++;
	while (size >> shift > XRDMA_CHUNKS_MAX)
		shift++;
	return shift;
}

int xrdma_region_cut(struct xrdma_region *r, unsigned shift, struct err *e)
{
	uint64_t count;

	if (shift < XRDMA_CHUNK_MIN || shift > 62)
		return err_set(e, -EINVAL, "chunks of 2^%u bytes", shift);
	count = ((r->size - 1) >> shift) + 1;
	if (count > XRDMA_CHUNKS_MAX + 1)
		return err_set(e, -EINVAL, "%llu chunks of 2^%u bytes are too many",
			(unsigned long long)count, shift);
	r->chunk = calloc(count, sizeof(*r->chunk));
	if (!r->chunk)
		return err_set(e, -ENOMEM, "no memory for a table of %llu chunks",
			(unsigned long long)count);
	r->shift = shift;
	r->count = (uint32_t)count;
	return 0;
}

/* Bytes of the chunks [first, first + count), which are there. */
static uint64_t run_length(const struct xrdma_region *r, uint32_t first, uint32_t count)
{
	return ((uint64_t)(count - 1) << r->shift) + xrdma_chunk_len(r, first + count - 1);
}

static bool run_fits(const struct xrdma_region *r, const struct xrdma_chunk_run *run)
{
	return run->shift == r->shift && run->count >= 1 && run->first < r->count &&
	       run->count <= r->count - run->first &&
	       run->length == run_length(r, run->first, run->count);
}

int xrdma_region_asked(struct xrdma_regions *g, const struct xrdma_chunk_run *run, struct err *e)
{
	uint32_t region = run->region;
	struct xrdma_region *r;
	int rc = 0;

	if (region >= XPORT_REGIONS_MAX || !g->r[region].base)
		return err_set(
			e, -EPROTO, "a key is asked for region %u, which is unknown", region);
	r = &g->r[region];
	if (!r->chunk)
		rc = xrdma_region_cut(r, run->shift, e);
	if (rc == -EINVAL)
		return e ? (e->code = -EPROTO) : -EPROTO;
	if (rc)
		return rc;
	if (!run_fits(r, run))
		return err_set(e, -EPROTO,
			"keys are asked for %u chunks from chunk %u of region %u on, %llu bytes of "
			"2^%u: this end has %u chunks of 2^%u in %llu bytes",
			run->count, run->first, region, (unsigned long long)run->length, run->shift,
			r->count, r->shift, (unsigned long long)r->size);
	for (uint32_t i = run->first; i - run->first < run->count; i++) {
		if (r->chunk[i].asked)
			return err_set(e, -EPROTO,
				"the key of chunk %u of region %u is asked for twice", i, region);
		r->chunk[i].asked = true;
	}
	return 0;
}

int xrdma_region_keyed(struct xrdma_regions *g, uint32_t region, uint32_t first, uint32_t count,
	const uint32_t *rkey, uint64_t addr, struct err *e)
{
	if (region >= XPORT_REGIONS_MAX || first >= g->r[region].count ||
		count > g->r[region].count - first)
		return err_set(e, -EPROTO, "keys came for %u chunks from chunk %u of region %u on",
			count, first, region);
	for (uint32_t i = 0; i < count; i++) {
		struct xrdma_chunk *c = &g->r[region].chunk[first + i];

		if (!c->asked || c->keyed)
			return err_set(e, -EPROTO,
				"a key nobody waits for came for chunk %u of region %u", first + i,
				region);
		c->rkey = rkey[i];
		c->addr = addr + ((uint64_t)i << g->r[region].shift);
		c->keyed = true;
	}
	return 0;
}
