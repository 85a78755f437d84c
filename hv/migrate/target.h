/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a move as a pure state machine, the counterpart of source.h.
 *
 *   IDLE -> REHEARSE -> COPY -> LOAD -> LOADED -> ACQUIRE -> THAW -> DONE
 *   LOADED, ACQUIRE -> ARBITRATE, when the source is lost: -> THAW, GIVEN_UP or IN_DOUBT
 *
 * Invariant (one owner): TARGET_DO_THAW is given only after ACQUIRED, and TARGET_DO_ACQUIRE only
 * after COMMIT or, where there is an arbiter, once the source was lost. GIVEN_UP leaves nothing
 * behind and never runs the guest; an ABORT that is sent is that promise.
 * Next in the flow: pump_target.c.
 */
#ifndef WATARI_MIGRATE_TARGET_H
#define WATARI_MIGRATE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/handover.h"

enum target_state {
	TARGET_IDLE,
	TARGET_REHEARSE, /* saves and loads the empty machine to know what that costs */
	TARGET_COPY,     /* pages arrive */
	TARGET_LOAD,
	TARGET_LOADED,    /* waits for COMMIT */
	TARGET_ACQUIRE,   /* becomes the owner */
	TARGET_ARBITRATE, /* the source was lost: asks the storage whose the guest is */
	TARGET_THAW,
	TARGET_DONE,     /* the guest runs here; err says so if the source was lost */
	TARGET_GIVEN_UP, /* nothing arrived; err says why */
	TARGET_IN_DOUBT, /* nobody can say: stays frozen; err says why */
	TARGET_STATES,
};

enum target_event_type {
	TARGET_EV_CONNECTED,
	TARGET_EV_REHEARSED,    /* a: save ns, b: load ns, c: state bytes */
	TARGET_EV_ROUND,        /* a: round */
	TARGET_EV_STATE,        /* the state is at hand. a: epoch, 0: no arbiter */
	TARGET_EV_STATE_LOADED, /* a: ns it took */
	TARGET_EV_COMMIT,       /* a: epoch */
	TARGET_EV_ACQUIRED,     /* these four as in source.h */
	TARGET_EV_HELD,
	TARGET_EV_DENIED,
	TARGET_EV_MUTE,
	TARGET_EV_RUNS,   /* thawed */
	TARGET_EV_TICK,   /* time passes */
	TARGET_EV_ABORT,  /* the source gives up: text */
	TARGET_EV_DOWN,   /* the connection is gone: text */
	TARGET_EV_FAILED, /* a to-do could not be done, or the peer sent nonsense: text */
	TARGET_EVENTS,
};

struct target_event {
	enum target_event_type type;
	uint64_t now; /* monotonic ns */
	uint64_t a, b, c;
	int code;
	const char *text;
};

enum target_todo_type {
	TARGET_DO_REHEARSE, /* say REHEARSED */
	TARGET_DO_READY,    /* send READY */
	TARGET_DO_ACK,      /* send ROUND_ACK. a: round */
	TARGET_DO_LOAD,     /* load the state, say STATE_LOADED */
	TARGET_DO_LOADED,   /* send LOADED */
	TARGET_DO_ACQUIRE,  /* try to become the owner, once. a: epoch expected, 0: locks only */
	TARGET_DO_THAW,     /* run the guest, say RUNS */
	TARGET_DO_THAWED,   /* send THAWED */
	TARGET_DO_ABORT,    /* tell the source: err.msg */
	TARGET_DO_FINISH,
};

struct target_todo {
	enum target_todo_type type;
	uint64_t a;
};

#define TARGET_TODOS 4

struct target_params {
	uint64_t commit_timeout_ns, acquire_timeout_ns, arbitrate_timeout_ns; /* of handover.h */
};

struct target {
	struct target_params params;
	enum target_state state;
	struct target_todo todo[TARGET_TODOS];
	unsigned ntodo;
	uint64_t rounds;
	uint64_t epoch; /* that came with the state */
	bool committed; /* COMMIT arrived */
	uint64_t since; /* when LOADED began */
	struct handover_wait wait;
	uint64_t save_ns, load_ns, state_bytes;
	struct err err;
};

void target_init(struct target *t, const struct target_params *p);
void target_step(struct target *t, const struct target_event *ev);
bool target_todo(struct target *t, struct target_todo *out);
bool target_ended(const struct target *t);
/* When the present wait runs out (monotonic ns), or UINT64_MAX. The pump ticks no later. */
uint64_t target_deadline(const struct target *t);

const char *target_state_name(enum target_state st);
const char *target_event_name(enum target_event_type t);
const char *target_todo_name(enum target_todo_type t);

#endif
