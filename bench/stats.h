/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics of a handful of samples. Pure functions. */
#ifndef WATARI_BENCH_STATS_H
#define WATARI_BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* The fewest samples of which a 99th percentile says more than the maximum does. */
#define STATS_P99_MIN 100
#define STATS_P90_MIN 20 /* and a 90th: two lie beyond it */

struct stats {
	size_t n;
	double min, median, p90, p99, max;
	bool has_p90; /* n >= STATS_P90_MIN; otherwise p90 is 0 */
	bool has_p99; /* n >= STATS_P99_MIN; otherwise p99 is 0 */
};

/*
 * Of @n samples in @v, which is sorted in place. The median of an even number is the mean of the
 * two in the middle, the percentile is the nearest rank. No samples give zeros.
 */
void stats_of(double *v, size_t n, struct stats *out);

#endif
