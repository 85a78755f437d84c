/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who was first: the one who cancels a move, or its commit. One word that any thread may try to
 * change, once: whoever changes it has won, and the other learns that it is too late.
 * Invariant: a move whose word is MIG_CANCELLED never commits, so "cancelled" can be answered
 * before the move's thread has noticed. Next in the flow: hv/migrate/pump_source.c.
 */
#ifndef WATARI_MIGRATE_CANCEL_H
#define WATARI_MIGRATE_CANCEL_H

#include <stdbool.h>

enum { MIG_UNDECIDED, MIG_CANCELLED, MIG_COMMITTING };

static inline bool mig_decide(int *word, int how)
{
	int seen = MIG_UNDECIDED;

	return __atomic_compare_exchange_n(
		       word, &seen, how, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
	       seen == how;
}

/* True: the move will not commit. False: too late. */
static inline bool mig_cancel(int *word)
{
	return mig_decide(word, MIG_CANCELLED);
}

/* The migration's thread, before it commits. False: it must not, the move is cancelled. */
static inline bool mig_may_commit(int *word)
{
	return mig_decide(word, MIG_COMMITTING);
}

static inline bool mig_is_cancelled(const int *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) == MIG_CANCELLED;
}

#endif
