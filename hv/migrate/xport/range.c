/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the checks of range.h. Must never believe a number: each is compared before it is added to.
 * Next in the flow: transport-tcp/frame.c, transport-rdma/chunk.c.
 */
#include "hv/migrate/xport/range.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/base/scan.h"

int xport_region_check(uint32_t id, bool known, const void *base, uint64_t size, struct err *e)
{
	if (id >= XPORT_REGIONS_MAX)
		return err_set(
			e, -EINVAL, "region %u: numbers end at %u", id, XPORT_REGIONS_MAX - 1);
	if (known)
		return err_set(e, -EINVAL, "region %u is already known", id);
	if (!base || size == 0 || size % XPORT_PAGE_SIZE || (uintptr_t)base % XPORT_PAGE_SIZE)
		return err_set(e, -EINVAL, "region %u: %llu bytes at %p are not whole pages", id,
			(unsigned long long)size, base);
	return 0;
}

int xport_range_check(
	uint32_t region, uint64_t size, uint64_t offset, uint64_t length, int code, struct err *e)
{
	unsigned long long off = offset, len = length, all = size;

	if (size == 0)
		return err_set(e, code, "put region %u is unknown", region);
	if (offset % XPORT_PAGE_SIZE || offset >= size)
		return err_set(e, code,
			"put offset %llu is not the start of a page of region %u (%llu bytes)", off,
			region, all);
	if (length == 0 || length % XPORT_PAGE_SIZE || length > XPORT_BLOCK_SIZE)
		return err_set(e, code, "put length %llu is not whole pages up to %u bytes", len,
			XPORT_BLOCK_SIZE);
	if (length > size - offset)
		return err_set(e, code,
			"put length %llu at offset %llu goes past the end of region %u (%llu bytes)",
			len, off, region, all);
	if (offset % XPORT_BLOCK_SIZE + length > XPORT_BLOCK_SIZE)
		return err_set(e, code,
			"put length %llu at offset %llu crosses a block of %u bytes", len, off,
			XPORT_BLOCK_SIZE);
	return 0;
}

static bool page_is_zero(const uint8_t *p)
{
	const size_t words = XPORT_PAGE_SIZE / sizeof(uint64_t);

	/* A page is aligned for anything. */
	return scan_differs((const uint64_t *)(const void *)p, words, 0) == words;
}

void xport_zero(uint8_t *p, uint64_t len, bool pinned)
{
	if (!pinned && madvise(p, len, MADV_REMOVE) == 0)
		return;
	for (; len; p += XPORT_PAGE_SIZE, len -= XPORT_PAGE_SIZE)
		if (!page_is_zero(p))
			memset(p, 0, XPORT_PAGE_SIZE);
}
