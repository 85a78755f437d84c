/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a move before commit, and how long each may take. Pure: no clock, no I/O.
 *
 *   init     asked for ... the first page may go: connecting, the target builds its machine
 *   copy     rounds while the guest runs
 *   quiesce  vCPUs and devices are asked to stop ... nothing writes guest memory any more
 *   frozen   from there ... commit
 *
 * Invariant (one owner): a limit only ever gives a move up, and only before commit. After commit
 * there is no phase (limits_phase() says MIG_LIMITS) and so no limit that could thaw the source.
 * Next in the flow: hv/migrate/source.c.
 */
#ifndef WATARI_MIGRATE_LIMITS_H
#define WATARI_MIGRATE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

enum mig_limit { MIG_LIMIT_INIT, MIG_LIMIT_COPY, MIG_LIMIT_QUIESCE, MIG_LIMIT_FROZEN, MIG_LIMITS };

struct mig_limits {
	uint64_t ns[MIG_LIMITS]; /* 0: no limit */
};

/* How far a move got: since when its phase lasts, and what is said of it when it is given up. */
struct mig_far {
	uint64_t phase_start;            /* monotonic ns */
	uint64_t done_bytes;             /* page payload of all rounds whose pages were posted */
	uint64_t sent_bytes, left_pages; /* as last heard */
};

/* What to do about a guest that dirties memory faster than it can be sent. */
enum mig_on_stall {
	MIG_ON_STALL_THROTTLE, /* slow its writers down, as little as suffices; then as ABORT */
	MIG_ON_STALL_FREEZE,   /* freeze it all the same: the blackout exceeds the limit */
	MIG_ON_STALL_ABORT,    /* give the move up */
};

#define MIG_LIMIT_MOST_NS (30ull * 24 * 3600 * 1000000000) /* longer is a slip of the keyboard */

/* 30 s, none, 5 s, 1 s. */
void mig_limits_default(struct mig_limits *l);
/*
 * For a downtime limit that the default of the frozen phase would not leave room for: twice that.
 * A move that may black out for a second must not be given up after one.
 */
uint64_t mig_limits_frozen_for(uint64_t downtime_limit_ns);
/* A frozen limit below the downtime limit contradicts it: -EINVAL, with both in the sentence. */
int mig_limits_check(const struct mig_limits *l, uint64_t downtime_limit_ns, struct err *e);

/* "init", "copy", "quiesce", "frozen"; "commit" for MIG_LIMITS. */
const char *mig_limit_name(enum mig_limit l);
/* A duration, or "none" (0); the error quotes @text. "0" is no limit's length: -EINVAL. */
int mig_limit_parse(enum mig_limit l, const char *text, uint64_t *ns, struct err *e);

struct source;
struct source_event;
/* Keeps when the init phase began and how far the move got. Before the limit is looked at. */
void limits_note(struct source *s, const struct source_event *ev);
/* The phase @s is in; MIG_LIMITS once it is committed or has ended. */
enum mig_limit limits_phase(const struct source *s);
/* When the limit of the present phase runs out (monotonic ns); UINT64_MAX: never. */
uint64_t limits_deadline(const struct source *s);
/* -ETIMEDOUT: which phase, how far the move got, what would help. */
int limits_explain(const struct source *s, uint64_t now, struct err *e);
/* -ECANCELED: the same for a move that somebody cancelled. */
int limits_explain_cancel(const struct source *s, struct err *e);
/*
 * True if the whole blackout is predicted to be longer than the frozen phase may last: freezing
 * would stop the guest for nothing. @e says so (-ETIMEDOUT).
 */
bool limits_forbid_freeze(const struct source *s, struct err *e);
/* Wraps the error of a rendezvous that was cut short by the init limit of @limit_ns. */
int limits_wrap_init(uint64_t limit_ns, struct err *e);

#endif
