/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wide walks give the answers of the plain ones, whatever the length, the alignment and the
 * place of the one bit that matters, and read nothing behind the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "hv/base/scan.h"

#define WORDS 530 /* a page, and a bit that fills no step */

/* Words that end where reading on is a crash. */
static uint64_t *at_the_edge(size_t words)
{
	uint8_t *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + 12288, 4096, PROT_NONE), 0);
	return (uint64_t *)(void *)(p + 12288) - words;
}

static void edge_free(uint64_t *w, size_t words)
{
	munmap((uint8_t *)(void *)(w + words) - 12288, 16384);
}

/* Levels this processor does not have are left out, and said so. */
static unsigned levels(void)
{
	unsigned best = scan_best();

	if (best + 1 < SCAN_LEVELS)
		print_message("# skipped: this processor has no %s\n",
			scan_level_name((enum scan_level)(best + 1)));
	return best + 1;
}

static void one_word_differs(void **state)
{
	unsigned n = levels();

	(void)state;
	for (size_t words = 0; words <= WORDS; words = words < 70 ? words + 1 : words + 92) {
		uint64_t *w = at_the_edge(words);

		for (unsigned l = 0; l < n; l++) {
			for (uint64_t same = 0;; same = ~0ull) {
				memset(w, (int)(same & 0xff), words * 8);
				assert_int_equal(scan_differs_at(l, w, words, same), words);
				for (size_t i = 0; i < words; i++) {
					w[i] ^= 1ull << (i % 64);
					assert_int_equal(scan_differs_at(l, w, words, same), i);
					assert_int_equal(scan_differs(w, words, same), i);
					w[i] = same;
				}
				if (same)
					break;
			}
		}
		edge_free(w, words);
	}
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

/* Mostly empty, as bitmaps are. */
static void fill(uint64_t *w, size_t words, uint64_t *seed)
{
	for (size_t i = 0; i < words; i++)
		w[i] = next(seed) % 3 ? 0 : next(seed) & next(seed);
}

static void bits_are_counted(void **state)
{
	unsigned n = levels();
	uint64_t seed = 4711;

	(void)state;
	for (size_t words = 0; words <= 100; words++) {
		uint64_t *w = at_the_edge(words);
		size_t want;

		fill(w, words, &seed);
		want = scan_popcount_at(SCAN_PORTABLE, w, words);
		for (unsigned l = 0; l < n; l++)
			assert_int_equal(scan_popcount_at(l, w, words), want);
		memset(w, 0xff, words * 8);
		for (unsigned l = 0; l < n; l++)
			assert_int_equal(scan_popcount_at(l, w, words), words * 64);
		edge_free(w, words);
	}
}

static void or_adds_and_counts_what_is_new(void **state)
{
	uint64_t before[100], want[100];
	unsigned n = levels();
	uint64_t seed = 4712;

	(void)state;
	for (size_t words = 0; words <= 100; words++) {
		uint64_t *dst = at_the_edge(words), *src = at_the_edge(words);
		size_t added = 0;

		fill(src, words, &seed);
		fill(before, words, &seed);
		for (size_t i = 0; i < words; i++) {
			want[i] = before[i] | src[i];
			for (int b = 0; b < 64; b++)
				added += (want[i] >> b & 1) != (before[i] >> b & 1);
		}
		for (unsigned l = 0; l < n; l++) {
			memcpy(dst, before, words * 8);
			assert_int_equal(scan_or_at(l, dst, src, words), added);
			assert_memory_equal(dst, want, words * 8);
			assert_int_equal(scan_or_at(l, dst, src, words), 0);
		}
		edge_free(dst, words);
		edge_free(src, words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_word_differs),
		cmocka_unit_test(bits_are_counted),
		cmocka_unit_test(or_adds_and_counts_what_is_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
