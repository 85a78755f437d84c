/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measured move: from one end to the other, watched through the guest's own eyes and verified.
 * Next in the flow: campaign.h.
 */
#ifndef WATARI_BENCH_MOVE_H
#define WATARI_BENCH_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/ends.h"
#include "bench/observe.h"
#include "bench/progress.h"
#include "bench/verify.h"
#include "hv/migrate/move.h"

/* All rates are pages per second over all vCPUs. */
struct bench_run {
	struct mig_result vmm; /* as the source's VMM reports it */
	uint64_t gap_ns;    /* the guest's longest pause between two heartbeats, by its own clock */
	uint64_t freeze_ns; /* of these pauses, the one in which it left and arrived; 0: too short
			       to note */
	uint64_t gap_source_ns; /* the longest until the freeze: a pause of the copying, not of the
				   blackout */
	uint64_t
		gap_end_ns; /* when the longest gap ended, from the request, by the guest's clock */
	uint64_t lost_ns; /* by how much the guest's clock fell behind this host's over the move */
	double rate_before; /* in the window before the move */
	double rate_during; /* from the request to the end of the move, blackout included */
	struct verify_result verify;
};

/*
 * The blackout as the guest saw it: the gap, and what its clock does not know of. A clock that
 * stood still during the blackout would otherwise make it look short.
 */
uint64_t bench_run_blackout_ns(const struct bench_run *r);
/* Of it, the pause in which the guest moved, likewise with what its clock does not know of. */
uint64_t bench_run_freeze_ns(const struct bench_run *r);

/* A guest clock that is off by less is noise of the looking, not a lost clock. */
#define BENCH_CLOCK_NOISE_NS (2 * 1000000ull)

/*
 * Moves the guest watched by @o from end @from to the other end; @o then watches it there. 0, or
 * negative errno with the step that failed in the message. A run that did not verify is still 0.
 */
int bench_move(struct bench_ends *x, const struct bench_config *c, int from, struct observed *o,
	struct progress *p, struct bench_run *out, struct err *e);

#endif
