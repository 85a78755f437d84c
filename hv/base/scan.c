/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the three versions of each walk of scan.h. Must never read behind the last word.
 * Invariant: the versions of a walk give the same answer for every input; the wide ones leave what
 * does not fill their step to the portable one.
 * Next in the flow: bitmap.c.
 */
#include "hv/base/scan.h"

#include <immintrin.h>

/* Words of one step of the wide versions: four registers, so that loads overlap. */
#define SCAN_STEP_AVX2   16
#define SCAN_STEP_AVX512 32

#define SCAN_TARGET_AVX2   __attribute__((target("avx2,popcnt")))
#define SCAN_TARGET_AVX512 __attribute__((target("avx512f,avx512vpopcntdq,popcnt")))

/*
 * Words before the first cache line. A load of 64 bytes that crosses lines costs two, and a bitmap
 * from calloc() would make every one of them cross.
 */
static size_t scan_head(const uint64_t *w, size_t n)
{
	size_t head = (64 - ((uintptr_t)w & 63)) / 8 % 8;

	return head < n ? head : n;
}

enum scan_level scan_best(void)
{
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq") &&
		__builtin_cpu_supports("popcnt"))
		return SCAN_AVX512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"))
		return SCAN_AVX2;
	return SCAN_PORTABLE;
}

const char *scan_level_name(enum scan_level l)
{
	static const char *const names[] = { "portable", "AVX2", "AVX-512" };

	return names[l];
}

/* ---- where it changes ------------------------------------------------------------------------ */

static size_t differs_portable(const uint64_t *w, size_t n, size_t i, uint64_t same)
{
	for (; i + 8 <= n; i += 8) {
		uint64_t d = (w[i] ^ same) | (w[i + 1] ^ same) | (w[i + 2] ^ same) |
			     (w[i + 3] ^ same) | (w[i + 4] ^ same) | (w[i + 5] ^ same) |
			     (w[i + 6] ^ same) | (w[i + 7] ^ same);

		if (d)
			break;
	}
	while (i < n && w[i] == same)
		i++;
	return i;
}

SCAN_TARGET_AVX2
static size_t differs_avx2(const uint64_t *w, size_t n, uint64_t same)
{
	const __m256i s = _mm256_set1_epi64x((long long)same);
	size_t i = 0;

	for (; i + SCAN_STEP_AVX2 <= n; i += SCAN_STEP_AVX2) {
		const __m256i *p = (const __m256i *)(const void *)(w + i);
		__m256i a = _mm256_xor_si256(_mm256_loadu_si256(p), s);
		__m256i b = _mm256_xor_si256(_mm256_loadu_si256(p + 1), s);
		__m256i c = _mm256_xor_si256(_mm256_loadu_si256(p + 2), s);
		__m256i d = _mm256_xor_si256(_mm256_loadu_si256(p + 3), s);
		__m256i all = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));

		if (!_mm256_testz_si256(all, all))
			break;
	}
	return differs_portable(w, n, i, same);
}

SCAN_TARGET_AVX512
static size_t differs_avx512(const uint64_t *w, size_t n, uint64_t same)
{
	const __m512i s = _mm512_set1_epi64((long long)same);
	size_t i = scan_head(w, n), head = differs_portable(w, i, 0, same);

	if (head < i)
		return head;
	for (; i + SCAN_STEP_AVX512 <= n; i += SCAN_STEP_AVX512) {
		__m512i a = _mm512_xor_si512(_mm512_load_si512(w + i), s);
		__m512i b = _mm512_xor_si512(_mm512_load_si512(w + i + 8), s);
		__m512i c = _mm512_xor_si512(_mm512_load_si512(w + i + 16), s);
		__m512i d = _mm512_xor_si512(_mm512_load_si512(w + i + 24), s);
		__m512i all = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));

		if (_mm512_test_epi64_mask(all, all))
			break;
	}
	return differs_portable(w, n, i, same);
}

size_t scan_differs_at(enum scan_level l, const uint64_t *w, size_t n, uint64_t same)
{
	switch (l) {
	case SCAN_AVX512: return differs_avx512(w, n, same);
	case SCAN_AVX2: return differs_avx2(w, n, same);
	default: return differs_portable(w, n, 0, same);
	}
}

size_t scan_differs(const uint64_t *w, size_t n, uint64_t same)
{
	/* Most of what is asked about changes early: before the wide registers are woken up. */
	if (n == 0 || w[0] != same)
		return 0;
	return scan_differs_at(scan_best(), w, n, same);
}

/* ---- how many -------------------------------------------------------------------------------- */

static size_t popcount_portable(const uint64_t *w, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (size_t)__builtin_popcountll(w[i]);
	return sum;
}

/* One instruction a word, which the plain version may not assume. */
SCAN_TARGET_AVX2
static size_t popcount_avx2(const uint64_t *w, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (size_t)_mm_popcnt_u64(w[i]);
	return sum;
}

SCAN_TARGET_AVX512
static size_t popcount_avx512(const uint64_t *w, size_t n)
{
	__m512i a = _mm512_setzero_si512(), b = a;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		a = _mm512_add_epi64(a, _mm512_popcnt_epi64(_mm512_loadu_si512(w + i)));
		b = _mm512_add_epi64(b, _mm512_popcnt_epi64(_mm512_loadu_si512(w + i + 8)));
	}
	return (size_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b)) +
	       popcount_avx2(w + i, n - i);
}

size_t scan_popcount_at(enum scan_level l, const uint64_t *w, size_t n)
{
	switch (l) {
	case SCAN_AVX512: return popcount_avx512(w, n);
	case SCAN_AVX2: return popcount_avx2(w, n);
	default: return popcount_portable(w, n);
	}
}

size_t scan_popcount(const uint64_t *w, size_t n)
{
	return scan_popcount_at(scan_best(), w, n);
}

/* ---- or -------------------------------------------------------------------------------------- */

static size_t or_portable(uint64_t *dst, const uint64_t *src, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += (size_t)__builtin_popcountll(src[i] & ~dst[i]);
		dst[i] |= src[i];
	}
	return sum;
}

/* Most words of a harvest hold nothing: four of them are passed at once. */
SCAN_TARGET_AVX2
static size_t or_avx2(uint64_t *dst, const uint64_t *src, size_t n)
{
	size_t sum = 0, i = 0;

	for (; i + 4 <= n; i += 4) {
		__m256i s = _mm256_loadu_si256((const __m256i *)(const void *)(src + i));

		if (_mm256_testz_si256(s, s))
			continue;
		for (size_t k = i; k < i + 4; k++) {
			sum += (size_t)_mm_popcnt_u64(src[k] & ~dst[k]);
			dst[k] |= src[k];
		}
	}
	return sum + or_portable(dst + i, src + i, n - i);
}

SCAN_TARGET_AVX512
static size_t or_avx512(uint64_t *dst, const uint64_t *src, size_t n)
{
	__m512i sum = _mm512_setzero_si512();
	size_t i = scan_head(src, n), head = or_portable(dst, src, i);

	for (; i + 8 <= n; i += 8) {
		__m512i s = _mm512_load_si512(src + i), d;

		if (!_mm512_test_epi64_mask(s, s))
			continue;
		d = _mm512_loadu_si512(dst + i);
		sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_andnot_si512(d, s)));
		_mm512_storeu_si512(dst + i, _mm512_or_si512(d, s));
	}
	return head + (size_t)_mm512_reduce_add_epi64(sum) + or_portable(dst + i, src + i, n - i);
}

size_t scan_or_at(enum scan_level l, uint64_t *dst, const uint64_t *src, size_t n)
{
	switch (l) {
	case SCAN_AVX512: return or_avx512(dst, src, n);
	case SCAN_AVX2: return or_avx2(dst, src, n);
	default: return or_portable(dst, src, n);
	}
}

size_t scan_or(uint64_t *dst, const uint64_t *src, size_t n)
{
	return scan_or_at(scan_best(), dst, src, n);
}
