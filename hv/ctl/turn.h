/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move's turn: it stands in line for a place among this host's moves, comes back to it when the
 * target is busy, and gives way to others once it runs. On the move's thread, but for
 * ctl_turn_begin().
 * Invariant: it holds a place from ctl_turn_take() to ctl_turn_end(), and only then.
 * Next in the flow: slots.h, giveway.h; migrate.c is who takes turns.
 */
#ifndef WATARI_CTL_TURN_H
#define WATARI_CTL_TURN_H

#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/ctl/giveway.h"
#include "hv/ctl/slots.h"

/* What was asked for. */
struct ctl_move_turn {
	unsigned most; /* moves of this host at once, 1..CTL_SLOTS_MAX */
	bool no_wait;  /* rather fails than waits, for this host or for the target */
};

struct ctl_turn {
	struct ctl_move_turn wish;
	char what[CTL_SLOT_TEXT]; /* who it is, as of slots.h */
	struct ctl_slot slot;
	struct ctl_giveway giveway;
	/* Told what is waited for, "" for nothing any more; of any thread that takes a turn. */
	void (*say)(void *arg, const char *waits);
	void *arg;
	const int *cancel; /* hv/migrate/cancel.h */
};

/* Joins the line. -EUSERS: it would have to wait and is not to. Holds nothing after an error. */
int ctl_turn_begin(struct ctl_turn *t, struct err *e);
/* Waits for a place. -ECANCELED and others: none. */
int ctl_turn_take(struct ctl_turn *t, struct err *e);
/* The move is over, or the machine that waits is. */
void ctl_turn_end(struct ctl_turn *t);
/*
 * A move ended with @rc and @e. True: the target was busy, some time has passed, and it is to be
 * tried again with ctl_turn_take(). Else @rc stands, or -ECANCELED now.
 */
bool ctl_turn_again(struct ctl_turn *t, int *rc, struct err *e);

#endif
