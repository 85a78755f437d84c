/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the migration asks of a machine. hv/vm implements it for real guests, tests/lib for fakes.
 * Small on purpose: a machine that can do these can be moved.
 */
#ifndef WATARI_MIGRATE_VM_OPS_H
#define WATARI_MIGRATE_VM_OPS_H

#include <stdbool.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/base/uuid.h"
#include "hv/mem/dirty.h"
#include "hv/mem/gmem.h"

/* The guest's clock against the host's, taken at the freeze; how the guest's time goes on. */
struct mig_vm_clock {
	uint64_t real_ns; /* source host's CLOCK_REALTIME when the guest clock was read */
};

/*
 * Every function is called on the migration's thread. @vm is the implementation's.
 */
struct mig_vm_ops {
	/* Tracking of guest and VMM writes; see hv/mem/dirty.h for the promises. */
	int (*track_start)(void *vm, struct err *e);
	int (*track_harvest)(void *vm, struct dirty_map *d, struct err *e);
	void (*track_stop)(void *vm);

	/*
	 * Lets the vCPUs that write memory run for @share thousandths of their time; 1000 takes
	 * that back. Returns at once. A machine that is loaded elsewhere is not throttled there.
	 */
	void (*throttle)(void *vm, unsigned share);

	/*
	 * A rehearsal of stopping: makes every vCPU leave the guest once, as freeze() does, and
	 * lets it go on at once. Returns the ns until the last had left, of which the guest notices
	 * some tens of us; 0 if nothing can be said, as when none was in the guest.
	 */
	uint64_t (*nudge)(void *vm);
	/*
	 * Stops all vCPUs and device work; on return nothing writes guest memory any more. Nests
	 * with a pause by the user: thaw() lets the guest run only if nobody else holds it.
	 */
	int (*freeze)(void *vm, struct err *e);
	void (*thaw)(void *vm);
	/*
	 * From another thread, while freeze() is under way: it takes too long, so the vCPUs go on
	 * at once. Does not wait. freeze() returns as soon as its devices let it, whatever it
	 * returns counts for nothing, and thaw() follows on the migration's thread.
	 */
	void (*freeze_abandon)(void *vm);

	/* Appends all state as sections (hv/base/section.h). Frozen only. Changes nothing. */
	int (*save)(void *vm, struct wbuf *w, struct err *e);
	/*
	 * Loads what save() wrote on another host into a machine that has never run. @elapsed_ns is
	 * how long ago, in real time, the guest's clock was read (blackout so far): the guest's
	 * clocks go on as if it had run. Unknown or newer sections are an error that names them.
	 */
	int (*load)(void *vm, struct rbuf *r, uint64_t elapsed_ns, struct err *e);
};

/* What an attempt to become the owner of the guest found. */
enum mig_acquire {
	MIG_ACQUIRED, /* this host is the owner: it has the locks, and the epoch is the next one */
	MIG_HELD,     /* a lock is held elsewhere, the epoch is the expected one: try again */
	MIG_DENIED,   /* the epoch has moved on: never */
	MIG_MUTE,     /* the storage does not answer, or nonsense: try again */
};

struct mig_owner {
	uint8_t uuid[UUID_SIZE]; /* the guest's identity, the same wherever it moves */
	bool arbiter;            /* a disk on storage that both hosts may share can decide */
	uint64_t epoch;          /* where it lives; 0: no arbiter, or not told yet (a target) */
};

/*
 * The ownership of a guest whose disks are on shared storage; docs/protocol.md, "The hand-over".
 * On the migration's thread, the guest frozen. A machine without disks answers at once.
 */
struct mig_owner_ops {
	void (*who)(void *vm, struct mig_owner *out);
	/* Gives the locks on all disks up. What was locked before a failure may not be any more. */
	int (*release)(void *vm, struct err *e);
	/*
	 * One attempt, which waits for no lock: all locks, and if @epoch is not 0, the record
	 * beside the arbiter's image must say that epoch, and says the next one, durably, when this
	 * returns MIG_ACQUIRED. On anything else @e says why, and no lock is held that was not
	 * before.
	 */
	enum mig_acquire (*acquire)(void *vm, uint64_t epoch, struct err *e);
};

#endif
