/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole measurement: for every case of a plan, each system's guest is started, then the systems
 * take turns of a few moves (bench_plan_turn()), in an order that rotates. Whoever's turn it is not
 * stands still. Next in the flow: report.h.
 */
#ifndef WATARI_BENCH_CAMPAIGN_H
#define WATARI_BENCH_CAMPAIGN_H

#include "bench/machine.h"
#include "bench/move.h"
#include "bench/plan.h"
#include "bench/progress.h"
#include "bench/quiet.h"

/* The moves of one system in one case. */
struct bench_series {
	const struct bench_config *config;
	const struct bench_system *sys;
	const char *variant;   /* transport or mode */
	char label[48];        /* "watari tcp" */
	unsigned warmed;       /* warm-up moves done */
	unsigned done;         /* counted moves tried */
	unsigned failed;       /* of these, the guest did not move */
	struct bench_run *run; /* of plan->runs */
	char refused[256];     /* why no more moves were tried; "" */
	uint64_t fill_ns;      /* how long its guest took to fill its memory, the last time */
	uint64_t fill_bytes;
	uint64_t last_ns;   /* how long its last move took */
	struct quiet quiet; /* the windows before its moves */
	struct steps spent; /* on all its moves that came to an end, */
	unsigned moves;     /* so many of them */
	unsigned strikes;   /* turns in a row that failed */
	bool verify_failed; /* in a warm-up, too */
};

struct campaign {
	const struct bench_plan *plan;
	struct machine machine;      /* at the start; load and CPU at the end as well */
	struct bench_series *series; /* nseries of them, those of a case together, in case order */
	unsigned nseries;
	uint64_t took_ns;
	bool interrupted;
	char no_peer[256]; /* why there is no peer although one was asked for; "" */
};

/*
 * 0 when it came to its end, whatever the moves did; negative errno with the step in the message
 * otherwise, -ECANCELED after a signal. What was done until then is in @out. campaign_free() in any
 * case. May set the peer's version and CPU in @plan.
 */
int campaign_run(struct bench_plan *plan, struct progress *p, struct campaign *out, struct err *e);
void campaign_free(struct campaign *k);

/* True if every counted move of watari's is done and verified, and no memory was damaged. */
bool campaign_passed(const struct campaign *k);
/* Counted moves in which the guest moved. */
unsigned bench_series_moved(const struct bench_series *s);

#endif
