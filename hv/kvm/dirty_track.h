/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's two ways to find the pages a guest wrote, as trackers of hv/mem/dirty.h: the ring, where
 * each vCPU queues what it dirties, and the log, a bitmap per memory slot. Which one a machine has
 * is fixed by kvm_vm_open().
 * Must never report a page before it traps again (see hv/mem/dirty.h).
 * Next in the flow: hv/mem/dirty.h, hv/vm/track.c.
 */
#ifndef WATARI_KVM_DIRTY_TRACK_H
#define WATARI_KVM_DIRTY_TRACK_H

#include "hv/base/err.h"
#include "hv/kvm/kvm_vm.h"
#include "hv/mem/dirty.h"

struct dirty_track {
	const struct dirty_tracker_ops *ops; /* name, start, harvest, stop */
	void *self;
};

/* The tracker of @vm, whose vCPUs all exist. Tracking is off until ops->start(). */
int dirty_track_new(struct dirty_track *t, struct kvm_vm *vm, struct err *e);
/* Fine on a zeroed one. No vCPU runs any more. */
void dirty_track_free(struct dirty_track *t);

/*
 * After VCPU_EXIT_RING_FULL: empties the rings into the tracker, for the next harvest. On a vCPU's
 * thread; safe beside start, harvest and stop. Does nothing for the log.
 */
int dirty_track_ring_full(struct dirty_track *t, struct err *e);

#endif
