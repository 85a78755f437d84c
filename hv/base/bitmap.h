/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page bitmaps: arrays of 64-bit words, bit i of the map is bit i%64 of word i/64 (the layout of
 * KVM's dirty log). Plain functions are for one owner; the _atomic ones for bits set by several
 * threads and taken by one.
 */
#ifndef WATARI_BASE_BITMAP_H
#define WATARI_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

/* @bits zeroed bits, or NULL. Free with free(). */
uint64_t *bitmap_new(size_t bits);

static inline bool bitmap_test(const uint64_t *m, size_t i)
{
	return m[i / 64] >> (i % 64) & 1;
}

static inline void bitmap_set(uint64_t *m, size_t i)
{
	m[i / 64] |= 1ull << (i % 64);
}

static inline void bitmap_clear(uint64_t *m, size_t i)
{
	m[i / 64] &= ~(1ull << (i % 64));
}

void bitmap_set_range(uint64_t *m, size_t from, size_t n);
void bitmap_clear_range(uint64_t *m, size_t from, size_t n);
size_t bitmap_count(const uint64_t *m, size_t bits);
/* First set (clear) bit at or after @from; @bits if none. */
size_t bitmap_next_set(const uint64_t *m, size_t bits, size_t from);
size_t bitmap_next_clear(const uint64_t *m, size_t bits, size_t from);
/* dst |= src over @bits; returns how many bits of dst were newly set. */
size_t bitmap_or(uint64_t *dst, const uint64_t *src, size_t bits);

/*
 * Sets a bit that another thread may take with bitmap_take_word(). Release: whoever takes the bit
 * also sees the writes to the page made before it was set.
 */
static inline void bitmap_set_atomic(uint64_t *m, size_t i)
{
	__atomic_fetch_or(&m[i / 64], 1ull << (i % 64), __ATOMIC_RELEASE);
}

/* Takes (reads and clears) word @w. Acquire: pairs with bitmap_set_atomic(). */
static inline uint64_t bitmap_take_word(uint64_t *m, size_t w)
{
	if (__atomic_load_n(&m[w], __ATOMIC_RELAXED) == 0)
		return 0;
	return __atomic_exchange_n(&m[w], 0, __ATOMIC_ACQUIRE);
}

#endif
