/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a measurement found: a table for people, JSON for programs.
 * Next in the flow: docs/bench.md says what each figure means.
 */
#ifndef WATARI_BENCH_REPORT_H
#define WATARI_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/campaign.h"
#include "hv/base/err.h"

/* The runs and their min, median, p99 and max. */
void report_table(const struct campaign *k, FILE *out);

/* {"config":..., "runs":[...], "summary":...}; NULL without memory. The caller owns it. */
json_t *report_json(const struct campaign *k);
/* Writes report_json() to @path, "-" for stdout. */
int report_write(const struct campaign *k, const char *path, struct err *e);

#endif
