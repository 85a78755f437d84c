/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states, events and to-dos of the source of a move; what happens by them is source.h's.
 * Next in the flow: source.h.
 */
#ifndef WATARI_MIGRATE_SOURCE_WORDS_H
#define WATARI_MIGRATE_SOURCE_WORDS_H

enum source_state {
	SOURCE_IDLE,
	SOURCE_WAIT_READY, /* the target builds and rehearses */
	SOURCE_TRACK,      /* dirty tracking is being turned on */
	SOURCE_SEND,       /* a round's pages are being posted */
	SOURCE_WAIT_ACK,   /* ... and are on their way into the target's memory */
	SOURCE_HARVEST,
	SOURCE_FREEZE,
	SOURCE_LAST_HARVEST,
	SOURCE_LAST_SEND,
	SOURCE_SAVE,
	SOURCE_WAIT_LOADED,
	SOURCE_RELEASE,     /* gives the locks on the disks up */
	SOURCE_WAIT_THAWED, /* committed */
	SOURCE_ARBITRATE,   /* asks the storage whose the guest is */
	SOURCE_DONE,        /* the target runs the guest */
	SOURCE_MOVED,       /* the target is or was its owner, its word was lost; err says how */
	SOURCE_GIVEN_UP,    /* the guest runs here; err says why */
	SOURCE_IN_DOUBT,    /* nobody can say: stays frozen; err says why */
	SOURCE_STATES,
};

enum source_event_type {
	SOURCE_EV_CONNECTED, /* a: ns that connecting took, of the init phase */
	SOURCE_EV_READY,     /* a: rehearsed save ns, b: rehearsed load ns, c: state bytes */
	SOURCE_EV_TRACKING,  /* tracking is on, the first pages are planned. a: pages to send */
	SOURCE_EV_SENT,  /* all planned was posted. a: bytes, b: ns the link was idle by a limit */
	SOURCE_EV_ACKED, /* a: round */
	SOURCE_EV_HARVESTED, /* pages a: to send now, b: found, d: of b, hot (plan.h). c: ns */
	SOURCE_EV_NUDGED,    /* before HARVESTED, now and then. a: ns that stopping takes */
	SOURCE_EV_FROZEN,
	SOURCE_EV_SAVED,  /* state is posted. a: bytes */
	SOURCE_EV_LOADED, /* a: ns the target took */
	SOURCE_EV_RELEASED,
	SOURCE_EV_THAWED,
	/* What an attempt to acquire found (enum mig_acquire of vm_ops.h); text, but for the first
	 */
	SOURCE_EV_ACQUIRED, /* this host is the owner, and nobody else becomes it by the old epoch
			     */
	SOURCE_EV_HELD,     /* a lock is held elsewhere, the epoch is the old one */
	SOURCE_EV_DENIED,   /* the epoch has moved on */
	SOURCE_EV_MUTE,     /* the storage does not answer */
	SOURCE_EV_TICK,     /* time passes. a: bytes sent so far, b: pages left; a 0: not known */
	SOURCE_EV_CANCEL,   /* the user gives the move up. a, b as of TICK */
	SOURCE_EV_ABORT,    /* the target gives it up: text */
	SOURCE_EV_DOWN,     /* the connection is gone: text */
	SOURCE_EV_FAILED,   /* a to-do could not be done: text */
	SOURCE_EVENTS,
};

enum source_todo_type {
	SOURCE_DO_TRACK,    /* turn tracking on, plan all allocated pages, say TRACKING */
	SOURCE_DO_SEND,     /* post everything planned, with a=1 all but hot pages, say SENT */
	SOURCE_DO_ROUND,    /* send ROUND. a: round */
	SOURCE_DO_HARVEST,  /* add dirty pages to the plan, say HARVESTED */
	SOURCE_DO_THROTTLE, /* let the vCPUs that write run for a thousandths of their time */
	SOURCE_DO_FREEZE,   /* stop the guest, say FROZEN */
	SOURCE_DO_SAVE,     /* save all state and send STATE, say SAVED */
	SOURCE_DO_RELEASE,  /* give the locks on all disks up, say RELEASED */
	SOURCE_DO_COMMIT,   /* send COMMIT. a: epoch */
	SOURCE_DO_ACQUIRE,  /* try to become the owner, once. a: epoch expected, 0: locks only */
	SOURCE_DO_THAW,     /* let the guest run here */
	SOURCE_DO_ABORT,    /* tell the target, if it can still be told: err.msg */
	SOURCE_DO_UNTRACK,  /* turn tracking off */
	SOURCE_DO_FINISH,   /* the machine has ended: look at state and err */
};

const char *source_state_name(enum source_state st);
const char *source_event_name(enum source_event_type t);
const char *source_todo_name(enum source_todo_type t);

#endif
