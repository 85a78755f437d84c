/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole measurement: both ends, the guest, its fill, the moves back and forth, the end of it all.
 * Next in the flow: report.h.
 */
#ifndef WATARI_BENCH_CAMPAIGN_H
#define WATARI_BENCH_CAMPAIGN_H

#include "bench/config.h"
#include "bench/move.h"
#include "bench/progress.h"

struct campaign {
	struct bench_config config;
	unsigned done;         /* moves completed */
	struct bench_run *run; /* of config.runs */
	uint64_t fill_ns;      /* how long the guest took to fill its memory */
	uint64_t fill_bytes;
};

/*
 * 0 if every move completed; verified or not is in the runs. Otherwise negative errno, the step in
 * the message, and what the children said on stderr; the runs done so far are in @out. Free @out
 * with campaign_free() in any case.
 */
int campaign_run(
	const struct bench_config *c, struct progress *p, struct campaign *out, struct err *e);
void campaign_free(struct campaign *k);
/* True if every run asked for is done and verified. */
bool campaign_passed(const struct campaign *k);

#endif
