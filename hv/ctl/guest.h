/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A living guest under control: the machine, its control socket, and the move it may be on. This is
 * what a guest's process runs on its event loop; hv/cmd adds console and signals.
 * All calls belong to the loop's thread.
 * Next in the flow: server.h (lines), migrate.h (moves), hv/cmd/guest_main.c (the process).
 */
#ifndef WATARI_CTL_GUEST_H
#define WATARI_CTL_GUEST_H

#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/base/loop.h"
#include "hv/ctl/addr.h"
#include "hv/ctl/claim.h"
#include "hv/migrate/move.h"
#include "hv/vm/vm.h"

struct ctl_guest;

/* Why a guest's process has nothing to do any more. */
enum ctl_end {
	CTL_END_SHUTDOWN, /* the guest powered off */
	CTL_END_CRASH,    /* it cannot go on; the error says why */
	CTL_END_KILLED,   /* asked to end */
	CTL_END_MOVED,    /* it lives on another host now */
	CTL_END_LOST,     /* it was arriving and did not arrive; the error says why */
};

struct ctl_guest_hooks {
	/* The transports to choose from: all for "auto", else the one of that name. -EINVAL: none.
	 */
	int (*transports)(const char *name, struct xport_list *out, struct err *e);
	/* It arrived and runs here. */
	void (*arrived)(void *arg, const struct mig_result *r);
	/* It lives on another host now; before whoever asked for the move is told. */
	void (*left)(void *arg, const struct ctl_addr *to);
	/* Optional. vm_input_room() was 0, and is not any more. */
	void (*room)(void *arg);
	/* The end. @to and @r only for CTL_END_MOVED. Called once; free the guest after it. */
	void (*end)(void *arg, enum ctl_end why, const struct ctl_addr *to,
		const struct mig_result *r, const struct err *e);
	void *arg;
};

/* Serves @vm, named by @claim; both stay the caller's and outlive the guest. Starts nothing. */
int ctl_guest_new(struct ctl_guest **out, struct loop *l, struct vm *vm, struct ctl_claim *claim,
	const struct ctl_guest_hooks *hooks, struct err *e);
/*
 * Ends control. NULL is fine. Never while ctl_guest_moving(): the move's thread uses the machine,
 * and only the end of the process ends it.
 */
void ctl_guest_free(struct ctl_guest *g);

/* Lets the machine arrive over the rendezvous @chan (taken over on success). */
int ctl_guest_arrive(struct ctl_guest *g, struct chan *chan, const char *listen_host,
	const struct xport_rdma *rdma, const struct rdv_offer *offer, struct err *e);

/* Pause or go on by the user; *@changed (may be NULL) tells if that was new. Refused on the way. */
int ctl_guest_pause(struct ctl_guest *g, bool pause, bool *changed, struct err *e);

/* True while a move, an arrival or a check is under way. */
bool ctl_guest_moving(const struct ctl_guest *g);

#endif
