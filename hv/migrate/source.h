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
#include "hv/migrate/handover.h"
#include "hv/migrate/limits.h"

enum source_state {
	SOURCE_IDLE,
	SOURCE_WAIT_READY, /* the target builds and rehearses */
	SOURCE_TRACK,      /* dirty tracking is being turned on */
	SOURCE_SEND,       /* a round's pages are being posted */
	SOURCE_WAIT_ACK,   /* ... and are on their way into the target's memory */
	SOURCE_HARVEST,
	SOURCE_FREEZE,
	SOURCE_LAST_HARVEST,
	SOURCE_LAST_SEND,
	SOURCE_SAVE,
	SOURCE_WAIT_LOADED,
	SOURCE_RELEASE,     /* gives the locks on the disks up */
	SOURCE_WAIT_THAWED, /* committed */
	SOURCE_ARBITRATE,   /* asks the storage whose the guest is */
	SOURCE_DONE,        /* the target runs the guest */
	SOURCE_MOVED,       /* the target is or was its owner, its word was lost; err says how */
	SOURCE_GIVEN_UP,    /* the guest runs here; err says why */
	SOURCE_IN_DOUBT,    /* nobody can say: stays frozen; err says why */
	SOURCE_STATES,
};

enum source_event_type {
	SOURCE_EV_CONNECTED, /* a: ns that connecting took, of the init phase */
	SOURCE_EV_READY,     /* a: rehearsed save ns, b: rehearsed load ns, c: state bytes */
	SOURCE_EV_TRACKING,  /* tracking is on, the first pages are planned. a: pages to send */
	SOURCE_EV_SENT,  /* all planned was posted. a: bytes, b: ns the link was idle by a limit */
	SOURCE_EV_ACKED, /* a: round */
	SOURCE_EV_HARVESTED, /* pages a: to send now, b: found, d: of b, hot (plan.h). c: ns */
	SOURCE_EV_FROZEN,
	SOURCE_EV_SAVED,  /* state is posted. a: bytes */
	SOURCE_EV_LOADED, /* a: ns the target took */
	SOURCE_EV_RELEASED,
	SOURCE_EV_THAWED,
	/* What an attempt to acquire found (enum mig_acquire of vm_ops.h); text, but for the first
	 */
	SOURCE_EV_ACQUIRED, /* this host is the owner, and nobody else becomes it by the old epoch
			     */
	SOURCE_EV_HELD,     /* a lock is held elsewhere, the epoch is the old one */
	SOURCE_EV_DENIED,   /* the epoch has moved on */
	SOURCE_EV_MUTE,     /* the storage does not answer */
	SOURCE_EV_TICK,     /* time passes. a: bytes sent so far, b: pages left; a 0: not known */
	SOURCE_EV_CANCEL,   /* the user gives the move up. a, b as of TICK */
	SOURCE_EV_ABORT,    /* the target gives it up: text */
	SOURCE_EV_DOWN,     /* the connection is gone: text */
	SOURCE_EV_FAILED,   /* a to-do could not be done: text */
	SOURCE_EVENTS,
};

struct source_event {
	enum source_event_type type;
	uint64_t now; /* monotonic ns */
	uint64_t a, b, c, d;
	int code; /* negative errno of ABORT, DOWN, FAILED */
	const char *text;
};

enum source_todo_type {
	SOURCE_DO_TRACK,    /* turn tracking on, plan all allocated pages, say TRACKING */
	SOURCE_DO_SEND,     /* post everything planned, with a=1 all but hot pages, say SENT */
	SOURCE_DO_ROUND,    /* send ROUND. a: round */
	SOURCE_DO_HARVEST,  /* add dirty pages to the plan, say HARVESTED */
	SOURCE_DO_THROTTLE, /* let the vCPUs that write run for a thousandths of their time */
	SOURCE_DO_FREEZE,   /* stop the guest, say FROZEN */
	SOURCE_DO_SAVE,     /* save all state and send STATE, say SAVED */
	SOURCE_DO_RELEASE,  /* give the locks on all disks up, say RELEASED */
	SOURCE_DO_COMMIT,   /* send COMMIT. a: epoch */
	SOURCE_DO_ACQUIRE,  /* try to become the owner, once. a: epoch expected, 0: locks only */
	SOURCE_DO_THAW,     /* let the guest run here */
	SOURCE_DO_ABORT,    /* tell the target, if it can still be told: err.msg */
	SOURCE_DO_UNTRACK,  /* turn tracking off */
	SOURCE_DO_FINISH,   /* the machine has ended: look at state and err */
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
	uint64_t round_start, round_bytes, round_idle;
	uint64_t round_ns;       /* of the last, its harvest included */
	uint64_t best_pages;     /* fewest pages left after any round */
	uint64_t residual_pages; /* after the last harvest ... */
	uint64_t hot_pages;      /* ... of which hot; `hold`: the next round leaves them out */
	uint64_t goodput;        /* bytes/s the link carries to the target; 0: not known */
	uint64_t pace;           /* bytes/s of a round: goodput, or less if it is limited */
	uint64_t dirty_rate, cold_rate; /* bytes/s dirtied in the last round; less the hot pages */
	uint64_t harvest_least_ns;      /* of all harvests so far */
	uint64_t harvest_ns, save_ns, load_ns, state_bytes, stop_ns;
	uint64_t predicted_ns; /* the whole blackout, if frozen at the last harvest */
	uint64_t freeze_start;
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

const char *source_state_name(enum source_state st);
const char *source_event_name(enum source_event_type t);
const char *source_todo_name(enum source_todo_type t);

#endif
