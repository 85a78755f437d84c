/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves to another host, where a `watari bench target` looks on. Every guest goes one way. When it
 * left is this host's clock, when it came is the other's: both are compared through an offset that
 * is measured before each move, and its uncertainty is part of every figure.
 * Next in the flow: far.c, the other end.
 */
#ifndef WATARI_BENCH_REMOTE_H
#define WATARI_BENCH_REMOTE_H

#include "bench/plan.h"
#include "bench/progress.h"

/* Every case and transport of @plan; table on stdout, JSON as the plan says. 0 if all moved. */
int remote_run(struct bench_plan *plan, struct progress *p, struct err *e);

/* The other host's clock against ours. */
struct remote_clock {
	int64_t offset_ns; /* theirs less ours */
	uint64_t error_ns; /* half the shortest way there and back */
};
/* One exchange: asked at @t0 and answered by @t1 of ours, they said @theirs. The best is kept. */
void remote_clock_add(struct remote_clock *c, uint64_t t0, uint64_t t1, uint64_t theirs);

#endif
