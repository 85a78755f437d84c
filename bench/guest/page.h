/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of a page: a body that follows from the page's number alone, and a stamp of page
 * number, version and checksum with eight words spread over the page that follow from number and
 * version. Used by the guest, which writes and verifies, and by the host, which verifies.
 * Invariant: a page that is older than its version, torn, moved or damaged in a stamped word does
 * not pass bench_stamp_ok(); damage anywhere else does not pass bench_body_ok().
 * Next in the flow: bench/guest/work.c and bench/verify.c.
 */
#ifndef WATARI_BENCH_GUEST_PAGE_H
#define WATARI_BENCH_GUEST_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/guest/report.h"

#define BENCH_PAGE_SIZE  4096ull
#define BENCH_PAGE_WORDS 512u

/* Word numbers of the stamp; the spread words are the last of each 512 bytes. */
enum { BENCH_W_PAGE, BENCH_W_VERSION, BENCH_W_SUM, BENCH_W_BODY };
#define BENCH_SPREAD         8u
#define BENCH_SPREAD_WORD(k) (64u * (k) + 63u)

/* splitmix64: a bijection whose outputs no compressor shrinks. */
static inline uint64_t bench_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t bench_body_seed(uint64_t page)
{
	return bench_mix(page + 0x9e3779b97f4a7c15ull);
}

/* Word @i of the body of a page with @seed. Compressible: every other 32 bytes are zero. */
static inline uint64_t bench_body_word(uint64_t seed, unsigned i, enum bench_content content)
{
	if (content == BENCH_ZERO || (content == BENCH_COMPRESSIBLE && (i & 4)))
		return 0;
	return bench_mix(seed + i * 0x9e3779b97f4a7c15ull);
}

static inline void bench_body_write(volatile uint64_t *w, uint64_t page, enum bench_content content)
{
	uint64_t seed = bench_body_seed(page);

	for (unsigned i = 0; i < BENCH_PAGE_WORDS; i++)
		w[i] = bench_body_word(seed, i, content);
}

static inline uint64_t bench_spread_word(uint64_t page, uint64_t version, unsigned k)
{
	return bench_mix((page << 3 | k) ^ bench_mix(version));
}

/* The checksum as the words of the page give it. */
static inline uint64_t bench_stamp_sum(const volatile uint64_t *w)
{
	uint64_t s = BENCH_MAGIC ^ w[BENCH_W_PAGE];

	s = bench_mix(s) + w[BENCH_W_VERSION];
	for (unsigned k = 0; k < BENCH_SPREAD; k++)
		s = (s << 7 | s >> 57) ^ w[BENCH_SPREAD_WORD(k)];
	return bench_mix(s);
}

static inline void bench_stamp_write(volatile uint64_t *w, uint64_t page, uint64_t version)
{
	w[BENCH_W_PAGE] = page;
	w[BENCH_W_VERSION] = version;
	for (unsigned k = 0; k < BENCH_SPREAD; k++)
		w[BENCH_SPREAD_WORD(k)] = bench_spread_word(page, version, k);
	w[BENCH_W_SUM] = bench_stamp_sum(w);
}

/* True if the page carries @page in @version, whole. */
static inline bool bench_stamp_ok(const volatile uint64_t *w, uint64_t page, uint64_t version)
{
	return w[BENCH_W_PAGE] == page && w[BENCH_W_VERSION] == version &&
	       w[BENCH_W_SUM] == bench_stamp_sum(w);
}

/* True if every word outside the stamp is what bench_body_write() put there. */
static inline bool bench_body_ok(
	const volatile uint64_t *w, uint64_t page, enum bench_content content)
{
	uint64_t seed = bench_body_seed(page);

	for (unsigned i = BENCH_W_BODY; i < BENCH_PAGE_WORDS; i++)
		if (i % 64 != 63 && w[i] != bench_body_word(seed, i, content))
			return false;
	return true;
}

#endif
