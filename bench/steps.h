/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a turn spends its time on, step by step: it tells why a campaign takes as long as it does.
 * Invariant: from the start to the last step taken all time is in exactly one step.
 * Next in the flow: move.h.
 */
#ifndef WATARI_BENCH_STEPS_H
#define WATARI_BENCH_STEPS_H

#include <stdint.h>

enum bench_step {
	STEP_BOOT,    /* a guest is started and fills its memory */
	STEP_WARM,    /* memory for the target is touched */
	STEP_QUIET,   /* the window without a move */
	STEP_PREPARE, /* the target's process starts, the last source's is gone, memory is let go of
		       */
	STEP_WAKE,    /* the guest goes on, and its gaps are restarted */
	STEP_MOVE,    /* from the request to the answer */
	STEP_AFTER,   /* the guest found at the target, and the window after */
	STEP_LEAVE,   /* the source is told to end, the guest is held */
	STEP_VERIFY,  /* memory is compared */
	STEPS
};

struct steps {
	uint64_t ns[STEPS];
	uint64_t mark_ns; /* the end of the step before */
};

void steps_start(struct steps *s, uint64_t now_ns);
/* What has gone by since the step before was @step. */
void steps_take(struct steps *s, enum bench_step step, uint64_t now_ns);
uint64_t steps_total(const struct steps *s);
/* The name of @step in the JSON. */
const char *steps_name(enum bench_step step);

#endif
