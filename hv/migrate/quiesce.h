/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit of the quiesce phase. freeze() blocks the migration's thread, so another one watches
 * it: past the limit it lets the vCPUs go on (freeze_abandon() of vm_ops.h) while freeze() may
 * still wait for a device.
 * Invariant (one owner): quiesce_disarm() returns either true, and then nothing was let go and
 * nothing will be, or false, and then the move must be given up. The two are decided under one
 * lock. Next in the flow: hv/migrate/pump_source.c.
 */
#ifndef WATARI_MIGRATE_QUIESCE_H
#define WATARI_MIGRATE_QUIESCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/vm_ops.h"

struct quiesce {
	const struct mig_vm_ops *ops;
	void *vm;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t deadline; /* monotonic ns; UINT64_MAX: not armed */
	bool started, quit, fired;
};

/* Starts the watching thread ahead of the freeze, so that arming costs no more than a wake-up. */
int quiesce_init(struct quiesce *q, const struct mig_vm_ops *ops, void *vm, struct err *e);
void quiesce_fini(struct quiesce *q); /* after init, whatever that returned */

/* From here on freeze() may take until @deadline. */
void quiesce_arm(struct quiesce *q, uint64_t deadline);
/* freeze() has returned. False: it was too late, the vCPUs were let go. */
bool quiesce_disarm(struct quiesce *q);
/* Both around freeze(): what that returns, or 1 if it was too late. */
int quiesce_freeze(struct quiesce *q, uint64_t deadline, struct err *e);

#endif
