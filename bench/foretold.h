/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which step of the blackout was predicted how well, over the moves of one series: the whole is
 * right by its parts, not by their errors making up for each other. Next in the flow:
 * bench/report.c, bench/report_json.c.
 */
#ifndef WATARI_BENCH_FORETOLD_H
#define WATARI_BENCH_FORETOLD_H

#include <jansson.h>
#include <stdio.h>

#include "bench/campaign.h"

/* A line for each step: what it took, what was predicted, by how much it was off; medians. Nothing
 * for a system that does not predict the steps. */
void foretold_tell(const struct bench_series *s, FILE *out);
/* The same as {"stop": {"took_us":, "predicted_us":, "off_us":}, ...}; NULL: nothing to tell. */
json_t *foretold_json(const struct bench_series *s);

#endif
