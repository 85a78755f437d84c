/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a guest's process once its machine is built: the event loop with control socket,
 * signals and console, until the guest ends or leaves. Shared by run and incoming.
 * Next in the flow: hv/ctl/guest.h.
 */
#ifndef WATARI_CMD_GUEST_MAIN_H
#define WATARI_CMD_GUEST_MAIN_H

#include <stdbool.h>

#include "hv/ctl/claim.h"
#include "hv/ctl/slots.h"
#include "hv/migrate/rendezvous.h"
#include "hv/vm/vm.h"

struct guest_main_args {
	struct vm *vm;           /* freed by guest_main() */
	struct ctl_claim *claim; /* dropped by guest_main() */
	struct ctl_slot *slot;   /* of a guest that arrives: given back once it is here */
	int signal_fd;           /* of guest_signals() */
	bool paused;             /* a new guest starts paused */
	/* Of a guest that arrives; offer NULL for a new one. */
	const struct rdv_offer *offer;
	struct chan *chan;       /* the rendezvous; taken over */
	const char *listen_host; /* for the data connection */
	struct xport_rdma rdma;  /* wishes for it */
	/* Gets one byte when the guest runs here, then is closed; -1: nobody asks. */
	int notify_fd;
	int log_fd; /* takes the place of standard output and error then; -1: they stay */
};

/*
 * Blocks the signals that end a guest and returns a signalfd for them. Before the first thread is
 * made: threads inherit the mask.
 */
int guest_signals(struct err *e);

/* Runs until the end; prints what there is to say. Returns the exit code. */
int guest_main(struct guest_main_args *a);

#endif
