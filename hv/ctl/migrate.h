/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A move as the guest's main thread sees it: mig_source_run() or mig_target_run() on a thread of
 * its own, its progress as a snapshot under a mutex, its news through an eventfd on the loop.
 * All calls belong to the loop's thread.
 * Invariant: once state has been saved for the target, ctl_move_lock() fails, so no pause or resume
 * can be agreed to here that the target would not know of.
 * Next in the flow: hv/migrate/move.h.
 */
#ifndef WATARI_CTL_MIGRATE_H
#define WATARI_CTL_MIGRATE_H

#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/base/loop.h"
#include "hv/ctl/addr.h"
#include "hv/ctl/server.h"
#include "hv/ctl/turn.h"
#include "hv/migrate/move.h"
#include "hv/preflight/preflight.h"
#include "hv/vm/vm.h"

/* The rendezvous of a dead target must have failed well within five seconds. */
#define CTL_MOVE_CONNECT_NS (4000ull * NSEC_PER_MSEC)

struct ctl_move;

struct ctl_move_hooks {
	/* What a leaving guest waits for before its move begins; each time it is something else. */
	void (*waiting)(void *arg, const char *waits);
	/* A leaving guest's transport is chosen, why is in @note; once, before any progress. */
	void (*chosen)(void *arg, const char *transport, const char *note);
	/* What the checks before it found, good or bad; once, after chosen(). May be NULL. */
	void (*checked)(void *arg, const struct pf_report *p);
	/* A new snapshot; at most every 100 ms, and at each change of phase. */
	void (*progress)(void *arg, const struct mig_progress *p);
	/* The end; the move is freed when this returns. @rc as of mig_source/target_run(). */
	void (*done)(void *arg, int rc, const struct mig_result *r, const struct err *e);
	void *arg;
};

/*
 * Starts to move @vm to @to over one of @transports, when its turn comes and after all checks but
 * those of @skip; -EUSERS if that is not now and it is not to wait. The machine must outlive the
 * move.
 */
int ctl_move_leave(struct ctl_move **out, struct loop *l, struct vm *vm, const struct ctl_addr *to,
	const struct xport_list *transports, const struct mig_params *params, uint64_t skip,
	const struct ctl_move_turn *turn, const struct ctl_move_hooks *hooks, struct err *e);

/* Starts to receive into @vm. Copies @offer; takes over @chan. */
int ctl_move_arrive(struct ctl_move **out, struct loop *l, struct vm *vm, struct chan *chan,
	const char *listen_host, const struct xport_ops *xport, const struct xport_rdma *rdma,
	const struct rdv_offer *offer, const struct ctl_move_hooks *hooks, struct err *e);

/*
 * Gives a leaving guest's move up; done() follows in its own time. False: too late, it is committed
 * or about to be.
 */
bool ctl_move_cancel(struct ctl_move *m);
/* The same for a client who wants to hear of it: answered at the end, or soon (cancel.h). */
void ctl_move_cancel_for(struct ctl_move *m, struct ctl_conn *c);
/* That client is gone. */
void ctl_move_forget(struct ctl_move *m, const struct ctl_conn *c);
/* An arrival: true once the guest runs here, although the move may still be saying good-bye. */
bool ctl_move_landed(struct ctl_move *m);
/* Where it goes and how ("": not chosen yet), and the latest snapshot. Any out but @p may be NULL.
 */
void ctl_move_look(
	struct ctl_move *m, struct ctl_addr *to, const char **transport, struct mig_progress *p);
/* What it waits for before it begins, into @waits of CTL_SLOTS_TEXT bytes; "": nothing any more. */
void ctl_move_waits(struct ctl_move *m, char *waits);
/*
 * For changes of state that must travel: 0 and the state cannot be saved before
 * ctl_move_unlock(); -EBUSY: it has been saved already.
 */
int ctl_move_lock(struct ctl_move *m, struct err *e);
void ctl_move_unlock(struct ctl_move *m);

/* Fills in what the machine says of itself: software, name, configuration, regions, size. */
int ctl_offer_fill(struct rdv_offer *o, struct vm *vm, struct err *e);

#endif
