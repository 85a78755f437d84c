/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move says of itself: where it is while it lasts, and what it was when it has ended.
 * Next in the flow: move.h, hv/ctl/proto.h.
 */
#ifndef WATARI_MIGRATE_PROGRESS_H
#define WATARI_MIGRATE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/migrate/blackout.h"
#include "hv/migrate/choose.h"
#include "hv/migrate/rendezvous.h"
#include "hv/migrate/source_words.h"

enum mig_phase {
	MIG_PHASE_WAITING, /* for its turn: nothing was begun */
	MIG_PHASE_INIT,
	MIG_PHASE_COPY,
	MIG_PHASE_QUIESCE,
	MIG_PHASE_FROZEN, /* and commit */
	MIG_PHASE_DONE,
	MIG_PHASE_FAILED
};
const char *mig_phase_name(enum mig_phase p); /* "waiting", "init", "copy", "quiesce", ... */
enum mig_phase mig_phase_of(enum source_state s);

/* A snapshot of a running move, for progress lines. */
struct mig_progress {
	enum mig_phase phase;
	unsigned round; /* 1 is the first pass */
	uint64_t elapsed_ns;
	uint64_t sent_bytes;     /* page payload so far */
	uint64_t residual_bytes; /* known dirty and not sent yet */
	uint64_t goodput;        /* bytes/s, of this move so far; 0: not known yet */
	uint64_t dirty_rate;     /* bytes/s the guest dirtied in the last round; 0: not known */
	uint64_t predicted_blackout_ns; /* if frozen now; 0: not known yet */
	uint64_t eta_ns;                /* to the end of this round; 0: not known */
	unsigned share; /* thousandths of their time that writing vCPUs are left with; 1000: all */
};

struct mig_result {
	uint64_t total_ns;        /* connect ... thawed */
	unsigned rounds;          /* passes before the freeze */
	uint64_t sent_bytes;      /* page payload */
	uint64_t wire_bytes;      /* everything sent by the transport */
	uint64_t populated_bytes; /* target: allocated before they arrived */
	uint64_t receive_cpu_ns;  /* target: processor time of the copy phase, one thread's ... */
	uint64_t allocate_cpu_ns; /* ... and that of those who allocate, or register, ahead of it */
	uint64_t pages_sent, pages_zero, pages_skipped; /* skipped: zero and never sent */
	uint64_t residual_bytes;                        /* moved while frozen */
	uint64_t goodput; /* bytes/s over the copy phase, first round to freeze */
	uint64_t predicted_blackout_ns;
	unsigned streams;      /* data connections that were used; 0: it did not come to that */
	unsigned share_least;  /* the least share of their time that writing vCPUs were left with */
	uint64_t throttled_ns; /* time they did not get, each: what throttling cost them */
	struct mig_blackout blackout;
	struct mig_blackout predicted;     /* step by step, at the freeze; total: as above */
	char transport[RDV_TRANSPORT_MAX]; /* that was taken; "" if it did not come to that */
	char note[CHOOSE_NOTE_MAX];        /* and why: one line, of choose_transport() */
	bool committed;                    /* the target owns the guest */
	bool in_doubt;    /* nobody can say who owns it: it is kept frozen; the error says why */
	bool unconfirmed; /* committed, but the storage said so and not the peer; likewise */
};

#endif
