/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a measurement found: tables for people, JSON for programs, a page to look at.
 * Next in the flow: docs/bench.md says what each figure means.
 */
#ifndef WATARI_BENCH_REPORT_H
#define WATARI_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/campaign.h"
#include "hv/base/err.h"

#define REPORT_SCHEMA  "watari-bench-downtime"
#define REPORT_VERSION 2

/* For each case: its runs if they are few, the statistics, the systems side by side. */
void report_table(const struct campaign *k, FILE *out);
/* Of watari's transport and the peer's modes: what each agreed on with the observer. */
void report_agreement(const struct campaign *k, unsigned *agree, unsigned *of);

/* "guests and VMMs on 2-3, observer on 1", or "nothing", into @buf; returns @buf. */
const char *report_pinned(const struct bench_plan *p, char *buf, size_t n);

/* docs/bench.md has the schema; NULL without memory. The caller owns it. */
json_t *report_json(const struct campaign *k);
/* Writes report_json() to @path, "-" for stdout. */
int report_write(const struct campaign *k, const char *path, struct err *e);

/* One page that needs nothing else, to @path. -ENOENT: there is no gnuplot. */
int report_html(const struct campaign *k, const char *path, struct err *e);

#endif
