/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every transport asks of a range of guest memory, be it named by its caller or by a peer, and
 * what it does with pages that are zero. Does no I/O; touches guest memory only in xport_zero().
 * Invariant: a range that passed lies inside its region and inside one block.
 * Next in the flow: transport-tcp/frame.c, transport-rdma/chunk.c.
 */
#ifndef WATARI_MIGRATE_XPORT_RANGE_H
#define WATARI_MIGRATE_XPORT_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport.h"

#define XPORT_PAGE_SIZE 4096u

/* 0, or -EINVAL: number out of range or @known, no base, or a size that is not whole pages. */
int xport_region_check(uint32_t id, bool known, const void *base, uint64_t size, struct err *e);

/*
 * 0, or @code with a message that names the field: the range is no run of pages of region @region,
 * which has @size bytes; 0: there is no such region.
 */
int xport_range_check(
	uint32_t region, uint64_t size, uint64_t offset, uint64_t length, int code, struct err *e);

/*
 * The stream all pages of a block travel on, so that two puts of a page keep their order by that of
 * their stream.
 */
static inline unsigned xport_stream_of(uint32_t region, uint64_t offset, unsigned streams)
{
	return (unsigned)((offset / XPORT_BLOCK_SIZE + region) % streams);
}

/*
 * Makes whole pages of a shared mapping zero. They are given back to the kernel, unread, as reading
 * a hole would allocate it; where that cannot be (private, locked, part of a huge page), or must
 * not
 * (@pinned: an adapter keeps the physical pages), those that are not zero are cleared.
 */
void xport_zero(uint8_t *p, uint64_t len, bool pinned);

#endif
