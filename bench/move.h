/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One measured move, the same for every system: a window without a move, the move, and a while
 * after it, watched by the guest, by the observer and by the system itself; then verified.
 * Next in the flow: campaign.h.
 */
#ifndef WATARI_BENCH_MOVE_H
#define WATARI_BENCH_MOVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/progress.h"
#include "bench/steps.h"
#include "bench/system.h"
#include "bench/verify.h"
#include "bench/warm.h"
#include "bench/watch.h"

/* All rates are pages per second over all vCPUs. */
struct bench_run {
	bool failed;   /* it did not move: only why, the quiet window and the time line are valid */
	char why[256]; /* in the system's words */
	struct mig_result vmm; /* as the system reports it, zero what it does not */
	json_t *raw;           /* its own words, or NULL */

	/* As the guest saw it: by its own clock and notes. */
	uint64_t gap_ns;        /* the longest pause between two heartbeats of a vCPU */
	uint64_t quiet_gap_ns;  /* the same without a move: in the window just before, or, joined
				   by quiet.h, in windows that come to the same length */
	uint64_t freeze_ns;     /* the pause in which it left and arrived */
	bool freeze_noted;      /* false: its notes were overwritten, freeze_ns is gap_ns */
	uint64_t gap_source_ns; /* the longest until the freeze: a pause of the copying */
	uint64_t gap_end_ns;    /* when the longest ended, from the request, by its clock */
	uint64_t lost_ns;       /* by how much its clock fell behind this host's over the move */

	/* As the observer saw it. */
	struct watch_seen seen, quiet_seen;
	bool observer_realtime;

	uint64_t quiet_ns, window_ns; /* how long the two windows were */
	bool quiet_shared;            /* the quiet one is the time after the move before */
	double rate_before;           /* in the quiet window */
	double rate_during;           /* from the request to the end of the move */
	double work_lost_ms;          /* work not done around the move, in ms of work before */

	uint64_t cpu_source_ns, cpu_target_ns; /* all threads but the vCPUs' */
	uint64_t peak_source, peak_target;     /* bytes resident, guest memory included */

	/* The time line, all from the request on, which is at start_ns. */
	uint64_t start_ns;
	int first_bucket_ms; /* when the first bucket starts, below 0 */
	unsigned buckets;    /* of WATCH_BUCKET_NS */
	uint32_t *bucket;    /* pages rewritten in each */
	struct trace_point *point;
	unsigned points;

	bool verify_done;
	struct verify_result verify;

	struct steps steps; /* of the bench, not of the move */
};

void bench_run_free(struct bench_run *r);

/*
 * The blackout as the guest saw it: the gap, and what its clock does not know of. A clock that
 * stood still during the blackout would otherwise make it look short.
 */
uint64_t bench_run_blackout_ns(const struct bench_run *r);
/* Of it, what the longest pause of the quiet window does not explain. */
uint64_t bench_run_net_ns(const struct bench_run *r);
/* Of it, the pause in which the guest moved, likewise with what its clock does not know of. */
uint64_t bench_run_freeze_ns(const struct bench_run *r);
/* True if guest and observer agree on the pause of the move: within 1 ms, or a tenth of it. */
bool bench_run_agrees(const struct bench_run *r);
/* True if the memory arrived as it left, as far as it was looked at. */
bool bench_run_verified(const struct bench_run *r);

/* A guest clock that is off by less is noise of the looking, not a lost clock. */
#define BENCH_CLOCK_NOISE_NS (500 * 1000ull)
#define BENCH_AGREE_NS       (1000 * 1000ull)

/* A window without a move. */
struct bench_calm {
	struct watch_span span; /* CLOCK_MONOTONIC */
	uint64_t gap_ns;
	struct watch_seen seen;
	double rate;
};

/*
 * What a move hands on to the next one of the same guest: an observer that goes on looking, and a
 * window that is the time after the one and before the other. All zero: nothing.
 */
struct bench_chain {
	bool going;
	struct trace trace;
	struct bench_calm calm;
};

/* How one is done. */
struct bench_how {
	uint64_t quiet_ns; /* length of the quiet window, at least a second */
	struct warm *warm; /* let go of right before the move, then kept for the next; or NULL */
	struct bench_chain *chain;
	bool more; /* another move of this guest follows at once, in the same chain */
	bool verify;
	bool still; /* no move: a window of quiet_ns in its place, to prove the instrument */
};

/*
 * Moves @g, which runs or is held. 0: it moved, or it did not and runs on here (out->failed); the
 * guest is held in both cases. Negative errno with the step that failed: the guest is of no use any
 * more. @out is zero but for its steps, which are started. Whatever comes, bench_chain_end().
 */
int bench_move(struct bench_guest *g, const struct bench_how *how, struct progress *p,
	struct bench_run *out, struct err *e);
void bench_chain_end(struct bench_chain *c);

#endif
