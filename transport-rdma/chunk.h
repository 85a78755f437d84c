/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions and the chunks they are registered in: which part of guest memory belongs to which
 * memory region of the adapter, and how far its registration has got. Does no I/O.
 *
 * Registering pins, and pinning allocates: a chunk is the granule to which the memory a guest has
 * touched is rounded up, at both ends. Small chunks round little, large ones keep the number of
 * memory regions, and of round trips for their keys, small. So a region is cut into about
 * XRDMA_CHUNKS_GOAL chunks of 2 MiB (a huge page) to 64 MiB; only regions of more than
 * XRDMA_CHUNKS_MAX times 64 MiB (1 TiB) have larger ones.
 *
 * The source decides on the size and says so with every ASK; the target's table is made by the
 * first one and the others must agree.
 *
 * Invariant: a chunk is asked for once, registered once at each end, and no put crosses its end
 * (XPORT_BLOCK_SIZE divides its size).
 * Next in the flow: reg.c registers, send.c uses the keys.
 */
#ifndef WATARI_TRANSPORT_RDMA_CHUNK_H
#define WATARI_TRANSPORT_RDMA_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport/range.h"

#define XRDMA_CHUNK_MIN   21u /* log2 of bytes: 2 MiB */
#define XRDMA_CHUNK_MAX   26u /* 64 MiB */
#define XRDMA_CHUNKS_GOAL 1024u
#define XRDMA_CHUNKS_MAX  16384u

struct ibv_mr;

struct xrdma_chunk {
	struct ibv_mr *mr; /* registered here */
	uint64_t addr;     /* source: the target's address of the first byte, with rkey */
	uint32_t rkey;
	uint8_t taken; /* source, atomic: this end's registration has begun, by whichever thread */
	bool wanted;   /* source: the scan found something of the guest's in it */
	bool asked;    /* source: ASK was sent; target: ASK came */
	bool keyed;    /* source: KEY came; target: KEY was sent */
};

struct xrdma_region {
	uint8_t *base; /* NULL: no such region */
	uint64_t size;
	unsigned shift; /* 0: not cut yet */
	uint32_t count;
	struct xrdma_chunk *chunk;
};

struct xrdma_regions {
	struct xrdma_region r[XPORT_REGIONS_MAX];
};

/* 0, or -EINVAL: number taken or out of range, no base, or a size that is not whole pages. */
int xrdma_regions_add(
	struct xrdma_regions *g, uint32_t id, void *base, uint64_t size, struct err *e);
void xrdma_regions_fini(struct xrdma_regions *g);

/* 0, or @code with a message that names the field: the range is no run of pages of a region. */
int xrdma_range_check(const struct xrdma_regions *g, uint32_t region, uint64_t offset,
	uint64_t length, int code, struct err *e);

/* log2 of the chunk size for a region of @size bytes. */
unsigned xrdma_chunk_shift(uint64_t size);
/* Cuts the region into chunks of 2^@shift bytes. 0; -EINVAL: too many or too small; -ENOMEM. */
int xrdma_region_cut(struct xrdma_region *r, unsigned shift, struct err *e);

static inline uint32_t xrdma_chunk_of(const struct xrdma_region *r, uint64_t offset)
{
	return (uint32_t)(offset >> r->shift);
}

static inline uint8_t *xrdma_chunk_base(const struct xrdma_region *r, uint32_t i)
{
	return r->base + ((uint64_t)i << r->shift);
}

/* Bytes of chunk @i: the last one may be shorter. */
static inline uint64_t xrdma_chunk_len(const struct xrdma_region *r, uint32_t i)
{
	uint64_t start = (uint64_t)i << r->shift, full = 1ull << r->shift;

	return r->size - start < full ? r->size - start : full;
}

/* Source: both ends have registered it. */
static inline bool xrdma_chunk_ready(const struct xrdma_chunk *c)
{
	return c->mr && c->keyed;
}

/* Takes the right to register a chunk at this end; false: somebody else has it. Any thread. */
static inline bool xrdma_chunk_take(struct xrdma_chunk *c)
{
	return __atomic_exchange_n(&c->taken, 1, __ATOMIC_RELAXED) == 0;
}

/* Some chunks of a region, one behind the other: what is asked for, or has got its keys. */
struct xrdma_chunk_run {
	uint32_t region, first, count;
	uint64_t length; /* bytes of them all */
	unsigned shift;
};

/*
 * Target: an ASK for @run of chunks of 2^shift bytes. Cuts the region if it is the first. 0,
 * -EPROTO if the ends do not agree or one was asked for before, -ENOMEM.
 */
int xrdma_region_asked(struct xrdma_regions *g, const struct xrdma_chunk_run *run, struct err *e);
/*
 * Source: the keys of @count chunks from @first on; @addr is the target's address of the first. 0,
 * or -EPROTO if one was not asked for or has its key already.
 */
int xrdma_region_keyed(struct xrdma_regions *g, uint32_t region, uint32_t first, uint32_t count,
	const uint32_t *rkey, uint64_t addr, struct err *e);

#endif
