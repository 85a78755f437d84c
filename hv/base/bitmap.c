/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the walks over page bitmaps (see bitmap.h): their ends bit by bit, the words between by
 * scan.h.
 * Next in the flow: hv/mem/dirty.h.
 */
#include "hv/base/bitmap.h"

#include <stdlib.h>

#include "hv/base/scan.h"

uint64_t *bitmap_new(size_t bits)
{
	return calloc(BITMAP_WORDS(bits) + 1, sizeof(uint64_t));
}

/* Bits from..from+n-1 of one word, n in 1..64. */
static uint64_t bitmap_mask(size_t from, size_t n)
{
	return (n == 64 ? ~0ull : (1ull << n) - 1) << from;
}

static void bitmap_range(uint64_t *m, size_t from, size_t n, bool set)
{
	while (n) {
		size_t bit = from % 64;
		size_t take = 64 - bit < n ? 64 - bit : n;
		uint64_t mask = bitmap_mask(bit, take);

		if (set)
			m[from / 64] |= mask;
		else
			m[from / 64] &= ~mask;
		from += take;
		n -= take;
	}
}

void bitmap_set_range(uint64_t *m, size_t from, size_t n)
{
	bitmap_range(m, from, n, true);
}

void bitmap_clear_range(uint64_t *m, size_t from, size_t n)
{
	bitmap_range(m, from, n, false);
}

size_t bitmap_count(const uint64_t *m, size_t bits)
{
	size_t w = bits / 64, n = scan_popcount(m, w);

	if (bits % 64)
		n += (size_t)__builtin_popcountll(m[w] & bitmap_mask(0, bits % 64));
	return n;
}

static size_t bitmap_next(const uint64_t *m, size_t bits, size_t from, uint64_t flip)
{
	size_t w = from / 64;
	uint64_t v;

	if (from >= bits)
		return bits;
	v = (m[w] ^ flip) & (~0ull << (from % 64));
	if (!v) {
		w++;
		w += scan_differs(m + w, BITMAP_WORDS(bits) - w, flip);
		if (w * 64 >= bits)
			return bits;
		v = m[w] ^ flip;
	}
	from = w * 64 + (size_t)__builtin_ctzll(v);
	return from < bits ? from : bits;
}

size_t bitmap_next_set(const uint64_t *m, size_t bits, size_t from)
{
	return bitmap_next(m, bits, from, 0);
}

size_t bitmap_next_clear(const uint64_t *m, size_t bits, size_t from)
{
	return bitmap_next(m, bits, from, ~0ull);
}

size_t bitmap_or(uint64_t *dst, const uint64_t *src, size_t bits)
{
	return scan_or(dst, src, BITMAP_WORDS(bits));
}
