/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source of a move as a pure state machine: an event goes in, to-dos come out, time is passed
 * in. No I/O, no clock, no guest memory, so that every race can be replayed as a golden trace
 * (tests/golden/). The pump (pump_source.c) carries the to-dos out.
 *
 *   IDLE -> WAIT_READY -> TRACK -> (SEND -> WAIT_ACK -> HARVEST)* -> FREEZE -> LAST_HARVEST
 *        -> LAST_SEND -> SAVE -> WAIT_LOADED -> RELEASE -> WAIT_THAWED -> DONE
 *   ARBITRATE, from SAVE on when the move fails: -> GIVEN_UP, MOVED or IN_DOUBT
 *
 * Invariant (one owner): SOURCE_DO_THAW is given in every ending GIVEN_UP, if the guest was frozen,
 * and in no other. Once the target may become the owner (STATE is on its way and there is an
 * arbiter, or the locks were released) it is given only after ACQUIRED. SOURCE_DO_RELEASE comes
 * before SOURCE_DO_COMMIT. The limits of the phases (limits.h) end with RELEASE, so none can thaw a
 * guest that was handed over.
 * Next in the flow: hv/migrate/pump.h.
 */
#ifndef WATARI_MIGRATE_SOURCE_H
#define WATARI_MIGRATE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/blackout.h"
#include "hv/migrate/estimate.h"
#include "hv/migrate/handover.h"
#include "hv/migrate/limits.h"
#include "hv/migrate/source_words.h"

struct source_event {
	enum source_event_type type;
	uint64_t now; /* monotonic ns */
	uint64_t a, b, c, d;
	int code; /* negative errno of ABORT, DOWN, FAILED */
	const char *text;
};

struct source_todo {
	enum source_todo_type type;
	uint64_t a;
};

#define SOURCE_SHARE_FULL  1000u /* thousandths of its time that a vCPU may run */
#define SOURCE_SHARE_LEAST 10u

struct source_params {
	uint64_t downtime_limit_ns;
	enum mig_on_stall on_stall;
	uint64_t answer_timeout_ns; /* how long the target may take to answer in the copy phase */
	struct mig_limits limits;   /* of the phases */
	uint64_t rtt_ns;            /* measured at the rendezvous */
	uint64_t epoch;             /* the guest's, here; 0: no arbiter, see vm_ops.h */
	uint64_t arbitrate_timeout_ns;
};

#define SOURCE_TODOS 8
struct source {
	struct source_params params;
	enum source_state state;
	struct source_todo todo[SOURCE_TODOS];
	unsigned ntodo;
	struct mig_far far;
	bool frozen, tracking, hold;
	bool shared;    /* the target may become the owner without another word of ours */
	bool committed; /* COMMIT was given out */
	bool promised;  /* the target said that it will never run the guest */
	bool down;      /* nothing can be told to the target any more */
	struct handover_wait wait; /* of ARBITRATE */
	unsigned round;            /* of the pass being sent, 1 and up */
	unsigned stalls;           /* rounds in a row that did not get smaller */
	unsigned polish; /* rounds made although the limit was met, to get well below it */
	unsigned share;  /* what the vCPUs are left with: SOURCE_SHARE_FULL unless throttled */
	uint64_t since;  /* when the present wait began */
	uint64_t round_start, round_bytes, round_idle, round_posted;
	uint64_t round_ns;       /* of the last, its harvest included */
	uint64_t best_pages;     /* fewest pages left after any round */
	uint64_t residual_pages; /* after the last harvest ... */
	uint64_t hot_pages;      /* ... of which hot; `hold`: the next round leaves them out */
	struct estimate learned; /* of the steps of the blackout */
	uint64_t pace;           /* bytes/s of a round: goodput, or less if it is limited */
	uint64_t dirty_rate, cold_rate; /* bytes/s dirtied in the last round; less the hot pages */
	uint64_t harvest_ns;            /* of the last */
	uint64_t save_ns, load_ns, state_bytes; /* rehearsed by the target */
	struct mig_blackout predicted;          /* if frozen at the last harvest */
	struct err err;
};

void source_init(struct source *s, const struct source_params *p);
/* Feeds one event; to-dos are then waiting in source_todo(). */
void source_step(struct source *s, const struct source_event *ev);
/* Takes the next to-do. false: none. */
bool source_todo(struct source *s, struct source_todo *out);

bool source_ended(const struct source *s);
/* True from SOURCE_DO_COMMIT on: this host runs the guest again only if it acquires it. */
bool source_committed(const struct source *s);
/* When the present wait runs out (monotonic ns), or UINT64_MAX. The pump ticks no later. */
uint64_t source_deadline(const struct source *s);

#endif
