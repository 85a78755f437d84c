/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hosts in the midst of a hand-over, as a value that can be copied: both machines of
 * hv/migrate as they are, and around them a link, a lock with its record, the guest, and time in
 * two sizes, "before the limit" and "after it". What may happen next is a list of moves; who walks
 * through them (handover_search.h) decides which do. The same world as tests/model/handover.pml.
 * Never decides anything that a machine decides. Next in the flow: handover_world.c.
 */
#ifndef WATARI_TESTS_LIB_HANDOVER_WORLD_H
#define WATARI_TESTS_LIB_HANDOVER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/migrate/source.h"
#include "hv/migrate/target.h"

#define WORLD_EPOCH 7u          /* the one the move begins with */
#define WORLD_SOON  1000000000u /* ns: no limit has passed */
#define WORLD_LATE  UINT64_C(1000000000000000)

enum world_side { WORLD_SOURCE, WORLD_TARGET, WORLD_NOBODY, WORLD_OTHER };

/* The protocol broken on purpose, between the machines and what carries their to-dos out. */
enum world_break {
	WORLD_WHOLE,
	WORLD_RELEASE_LATE, /* the source gives the lock up after COMMIT */
	WORLD_TARGET_EARLY, /* the target thaws before it has acquired, or was told COMMIT */
	WORLD_SOURCE_EARLY, /* the source thaws before it has acquired, or was promised */
	WORLD_NO_EPOCH,     /* whoever gets the lock runs the guest, whatever the record says */
	WORLD_NO_FENCE,     /* the record is written also after the lock was lost */
};

struct world_params {
	bool arbiter, patient; /* patient: a limit passes only if nothing else can happen */
	unsigned faults;
	enum world_break broken;
};

#define WORLD_LINK 4
struct world_host {
	bool alive, finished, reach; /* reach: of the storage */
	bool told_down, running, started, wrote;
	bool lets_go; /* its lock goes by itself: exit of the process, end of the lease */
	bool expired; /* its lease ended while it was cut off */
	bool mute, last;
	uint8_t op;      /* of an attempt to acquire: enum in handover_world.c */
	uint8_t pending; /* the answer to a to-do: an event plus 1; late: with the limit passed */
	bool late;
	uint8_t to[WORLD_LINK], nto; /* messages on their way here, as events plus 1 */
	uint8_t held;                /* one that was delayed or copied: at any time, or never */
	uint8_t image;               /* how many starts of the guest this copy has seen */
};

struct world {
	struct world_params p;
	struct source s;
	struct target t;
	struct world_host host[2];
	bool cut, cancelled, looked, off, loaded, late_release;
	uint8_t lock, writer, epoch; /* epoch: less WORLD_EPOCH */
	uint8_t version, faults;
	const char *violation;
};

/* The machines as they are when the last pages are sent, epoch 0 if there is no arbiter. */
void world_machines(struct source *s, struct target *t, bool arbiter);
/* One event, at a time before or after every limit; times are then again as at WORLD_SOON. */
void world_source_step(struct source *s, enum source_event_type type, bool late);
void world_target_step(struct target *t, enum target_event_type type, bool late);

void world_init(struct world *w, const struct world_params *p);
/* Moves are numbered from 0 to WORLD_MOVES - 1; the name is for a trace. */
#define WORLD_MOVES 52
bool world_can(const struct world *w, unsigned move);
bool world_is_limit(unsigned move); /* a limit passing, for the patient */
void world_do(struct world *w, unsigned move);
const char *world_move_name(unsigned move);

/* Both ends have ended, and one runs the guest, or one says that it is in doubt, or it is gone with
 * the only host that could have had it. */
bool world_over(const struct world *w);
bool world_fine(const struct world *w);
bool world_moved(const struct world *w);

/* An attempt to acquire failed at @x, and another will be made. */
bool world_waiting(const struct world *w, unsigned x);

/* All that counts for what happens next. */
struct world_key {
	uint8_t b[56];
};
void world_key(const struct world *w, struct world_key *k);

#endif
