/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of a move as a pure state machine, the counterpart of source.h.
 *
 *   IDLE -> REHEARSE -> COPY -> LOAD -> LOADED -> THAW -> DONE
 *
 * Invariant (one owner): TARGET_DO_THAW is given only after COMMIT arrived; before that every
 * ending leaves nothing behind, after it there is one ending: the guest runs here.
 * Next in the flow: pump_target.c.
 */
#ifndef WATARI_MIGRATE_TARGET_H
#define WATARI_MIGRATE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

enum target_state {
	TARGET_IDLE,
	TARGET_REHEARSE, /* saves and loads the empty machine to know what that costs */
	TARGET_COPY,     /* pages arrive */
	TARGET_LOAD,
	TARGET_LOADED, /* waits for COMMIT */
	TARGET_THAW,
	TARGET_DONE,     /* the guest runs here */
	TARGET_GIVEN_UP, /* nothing arrived; err says why */
	TARGET_STATES,
};

enum target_event_type {
	TARGET_EV_CONNECTED,
	TARGET_EV_REHEARSED,    /* a: save ns, b: load ns, c: state bytes */
	TARGET_EV_ROUND,        /* a: round */
	TARGET_EV_STATE,        /* the state is at hand */
	TARGET_EV_STATE_LOADED, /* a: ns it took */
	TARGET_EV_COMMIT,
	TARGET_EV_RUNS,   /* thawed */
	TARGET_EV_ABORT,  /* the source gives up: text */
	TARGET_EV_DOWN,   /* the connection is gone: text */
	TARGET_EV_FAILED, /* a to-do could not be done, or the peer sent nonsense: text */
	TARGET_EVENTS,
};

struct target_event {
	enum target_event_type type;
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

struct target {
	enum target_state state;
	struct target_todo todo[TARGET_TODOS];
	unsigned ntodo;
	uint64_t rounds;
	uint64_t save_ns, load_ns, state_bytes;
	struct err err;
};

void target_init(struct target *t);
void target_step(struct target *t, const struct target_event *ev);
bool target_todo(struct target *t, struct target_todo *out);
bool target_ended(const struct target *t);

const char *target_state_name(enum target_state st);
const char *target_event_name(enum target_event_type t);
const char *target_todo_name(enum target_todo_type t);

#endif
