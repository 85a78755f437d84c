/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over many words at a time, by the widest instructions this processor has: is it all zero,
 * where does it change, how many bits. For pages and page bitmaps, which a move reads by the
 * gigabyte. Nothing here is atomic.
 *
 * Which instructions: asked of the processor at every call (one load of what the C runtime found
 * out at the start), so there is no table to set up and none to get wrong.
 * Next in the flow: bitmap.c, hv/mem/gmem.c.
 */
#ifndef WATARI_BASE_SCAN_H
#define WATARI_BASE_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum scan_level {
	SCAN_PORTABLE, /* plain C */
	SCAN_AVX2,     /* with POPCNT */
	SCAN_AVX512,   /* F, with VPOPCNTDQ */
	SCAN_LEVELS,
};

/* The widest this processor has. */
enum scan_level scan_best(void);
const char *scan_level_name(enum scan_level l);

/* The first of @n words at @w that is not @same (0 or ~0); @n if all are. */
size_t scan_differs(const uint64_t *w, size_t n, uint64_t same);
/* Bits set in @n words. */
size_t scan_popcount(const uint64_t *w, size_t n);
/* dst |= src; returns how many bits of dst were newly set. */
size_t scan_or(uint64_t *dst, const uint64_t *src, size_t n);

/* The same at a level of the caller's choice, which this processor must have: for tests. */
size_t scan_differs_at(enum scan_level l, const uint64_t *w, size_t n, uint64_t same);
size_t scan_popcount_at(enum scan_level l, const uint64_t *w, size_t n);
size_t scan_or_at(enum scan_level l, uint64_t *dst, const uint64_t *src, size_t n);

#endif
