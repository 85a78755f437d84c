/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the arithmetic of stats.h. Must never invent a figure that the samples do not carry.
 * Next in the flow: bench/report.c.
 */
#include "bench/stats.h"

#include <stdlib.h>

static int stats_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void stats_of(double *v, size_t n, struct stats *out)
{
	*out = (struct stats){ .n = n };
	if (n == 0)
		return;
	qsort(v, n, sizeof(*v), stats_compare);
	out->min = v[0];
	out->max = v[n - 1];
	out->median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
	out->has_p90 = n >= STATS_P90_MIN;
	if (out->has_p90)
		out->p90 = v[(n * 90 + 99) / 100 - 1];
	out->has_p99 = n >= STATS_P99_MIN;
	if (out->has_p99)
		out->p99 = v[(n * 99 + 99) / 100 - 1];
}
