/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the adding up of steps (see steps.h). Must never ask for the time itself: it is handed in.
 * Next in the flow: bench/move.c and bench/campaign.c take steps, bench/report_json.c tells them.
 */
#include "bench/steps.h"

static const char *const step_name[STEPS] = {
	[STEP_BOOT] = "boot",
	[STEP_WARM] = "warm",
	[STEP_QUIET] = "quiet",
	[STEP_PREPARE] = "prepare",
	[STEP_WAKE] = "wake",
	[STEP_MOVE] = "move",
	[STEP_AFTER] = "after",
	[STEP_LEAVE] = "leave",
	[STEP_VERIFY] = "verify",
};

void steps_start(struct steps *s, uint64_t now_ns)
{
	*s = (struct steps){ .mark_ns = now_ns };
}

void steps_take(struct steps *s, enum bench_step step, uint64_t now_ns)
{
	s->ns[step] += now_ns - s->mark_ns;
	s->mark_ns = now_ns;
}

uint64_t steps_total(const struct steps *s)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < STEPS; i++)
		sum += s->ns[i];
	return sum;
}

const char *steps_name(enum bench_step step)
{
	return step_name[step];
}
