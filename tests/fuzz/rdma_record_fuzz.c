/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes all that a peer of the RDMA transport can send: the first byte picks the decoder. What a
 * decoder lets through is written and read once more, and must come out the same; an ASK goes on to
 * the chunk table.
 */
#include <stdlib.h>
#include <string.h>

#include "transport-rdma/chunk.h"
#include "transport-rdma/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const void *a, size_t n, const void *b, size_t m)
{
	if (n != m || memcmp(a, b, n) != 0)
		abort();
}

static void fuzz_ask(const struct xrdma_frame *f)
{
	static uint8_t *const base = (uint8_t *)(uintptr_t)0x100000000000;
	const struct xrdma_chunk_run run = { f->region, f->chunk, f->chunks, f->length, f->shift };
	struct xrdma_regions g = { 0 };
	struct err e;

	if (xrdma_regions_add(&g, 0, base, (64ull << 20) + 4096, &e))
		abort();
	if (xrdma_region_asked(&g, &run, &e) == 0 && xrdma_region_asked(&g, &run, &e) == 0)
		abort(); /* twice */
	xrdma_range_check(&g, f->region, f->length, f->length, -1, &e);
	xrdma_regions_fini(&g);
}

static void fuzz_frame(const uint8_t *data, size_t size)
{
	uint8_t again[XRDMA_FRAME_SIZE];
	struct xrdma_frame f;
	struct err e;

	if (size > XRDMA_FRAME_SIZE || xrdma_frame_decode(&f, data, size, &e))
		return;
	same(data, size, again, xrdma_frame_encode(&f, again));
	if (f.type == XRDMA_ASK)
		fuzz_ask(&f);
}

static void fuzz_record(const uint8_t *data, size_t size)
{
	uint8_t again[XRDMA_RECORD_SIZE];
	struct xrdma_record r;
	struct err e;

	if (size > XRDMA_RECORD_SIZE || xrdma_record_decode(&r, data, size, &e))
		return;
	same(data, size, again, xrdma_record_encode(&r, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xrdma_hello h;

	if (size < 1)
		return 0;
	switch (data[0] % 4) {
	case 0: xrdma_hello_decode(&h, data + 1, size - 1); break;
	case 1: fuzz_record(data + 1, size - 1); break;
	default: fuzz_frame(data + 1, size - 1); break;
	}
	return 0;
}
