/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's pump from within: what the two files that drive it share, and nobody else includes.
 * Invariant: all of it belongs to the migration's thread.
 * Next in the flow: pump_source.c (what the machine is told, the end), pump_pages.c (pages out,
 * answers in).
 */
#ifndef WATARI_MIGRATE_PUMP_PARTS_H
#define WATARI_MIGRATE_PUMP_PARTS_H

#include "hv/base/codec.h"
#include "hv/mem/dirty.h"
#include "hv/mem/near.h"
#include "hv/migrate/pace.h"
#include "hv/migrate/plan.h"
#include "hv/migrate/pump.h"
#include "hv/migrate/quiesce.h"
#include "hv/migrate/source.h"

struct pump {
	struct mig_source_args *a;
	struct xport *x;
	int rdv_fd;
	struct rdv_clock clock;
	struct source s;
	struct mig_owner owner; /* whose guest it is, as the move began */
	struct plan plan;
	struct quiesce quiesce;
	struct dirty_map found; /* scratch of a harvest */
	struct wbuf msg;
	struct mig_result *out;
	uint64_t start, next_progress;
	uint64_t gone_at; /* when the rendezvous was seen to have ended; 0: it has not */
	struct pace pace; /* what --bandwidth lets go */
	struct way way;   /* and what other moves let */
	unsigned share;   /* what the vCPUs are left with, and since when */
	uint64_t share_at;
	uint64_t copy_at;           /* when the first round began */
	uint64_t nudged_at;         /* when stopping was last rehearsed; 0: not yet */
	uint64_t sent_before_round; /* pages_sent when the round began */
	struct near near; /* for the first round: later ones are short, and wait for nobody */
	bool sending, finished;
	bool down;             /* the connection is gone: nothing can be told any more */
	struct mig_moments at; /* the steps of the blackout */
};

/* pump_source.c: tells the machine of something, with the time; a cancel goes before it. */
void pump_event(struct pump *p, struct source_event ev);
void pump_simple(struct pump *p, enum source_event_type type, uint64_t a, uint64_t b, uint64_t c);
void pump_fault(struct pump *p, enum source_event_type type, const struct err *e);

/* pump_pages.c: posts until the transport is full, the budget is spent or nothing is left. */
void pump_post(struct pump *p);
/* ... and takes in what the transport reports, waiting for it as long as nothing else is due. */
void pump_poll(struct pump *p);

#endif
