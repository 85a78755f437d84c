/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is watched while a move runs: the observer (watch.h), what both processes cost
 * (meter.h), and what the system says of its progress, as points of a time line. A system calls
 * trace_wait() instead of sleeping and hands in what it learns.
 * Next in the flow: system_watari.c, system_qemu.c hand in; move.c reads.
 */
#ifndef WATARI_BENCH_TRACE_H
#define WATARI_BENCH_TRACE_H

#include "bench/ends.h"
#include "bench/meter.h"
#include "bench/progress.h"
#include "bench/watch.h"
#include "hv/migrate/move.h"

/* One word of the system about its progress. */
struct trace_point {
	uint64_t at_ns; /* CLOCK_MONOTONIC when it arrived here */
	struct mig_progress p;
};

#define TRACE_POINTS_MAX 4096

struct trace {
	struct bench_ends *ends;
	struct progress *progress;
	struct watch watch;
	struct meter source, target;
	struct trace_point *point; /* of TRACE_POINTS_MAX */
	unsigned points;
	uint64_t metered_ns;
	bool target_known;
};

int trace_start(struct trace *t, struct bench_ends *x, struct progress *p, const struct observed *o,
	struct err *e);
/* As ends_wait(), and looks at the costs. */
int trace_wait(struct trace *t, int fd, int ms, struct err *e);
/*
 * The guest will appear at @o; its process is @pid, started for this move if @fresh. Only the
 * first word counts.
 */
void trace_target(struct trace *t, const struct observed *o, pid_t pid, bool fresh);
/* The move is over: what the processes cost from now on is none of it. */
void trace_moved(struct trace *t);
void trace_point(struct trace *t, const struct mig_progress *p);
/* The guest has moved, and will again: the observer goes on from where it is. */
int trace_next(struct trace *t, struct err *e);
void trace_free(struct trace *t);

#endif
