/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the guest's memory after a move what it was? Two questions, both asked of a guest that is
 * paused: is every page that nobody rewrites equal to the source's, and does every page of the
 * working set carry the version that the guest says it wrote last.
 * Must never allocate guest memory by looking: a hole counts as zeros and stays a hole.
 */
#ifndef WATARI_BENCH_VERIFY_H
#define WATARI_BENCH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/observe.h"
#include "hv/base/err.h"

struct verify_result {
	uint64_t pages_compared; /* 4 KiB pages that were not a hole at both ends */
	uint64_t pages_differ;
	uint64_t first_differ; /* guest-physical address, if any */
	uint64_t stamps_checked;
	uint64_t stamps_bad;
	uint64_t first_bad;    /* page number, if any */
	uint64_t stamp_errors; /* that the guest itself has found since its start */
};

/* True if nothing was found. */
bool verify_passed(const struct verify_result *v);

/*
 * Compares all memory of @from, whose guest is gone, with @to, paused, except what the guest
 * rewrites: report, version table, stacks, working set. Adds to @v.
 */
int verify_compare(const struct observed *from, const struct observed *to, struct verify_result *v,
	struct err *e);
/* Checks stamp and body of every page of the working set of @o, paused. Adds to @v. */
int verify_stamps(const struct observed *o, struct verify_result *v, struct err *e);

#endif
