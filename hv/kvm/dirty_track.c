/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the choice between the two trackers (see dirty_track.h): the one kvm_vm_open() prepared.
 * Next in the flow: dirty_ring.c, dirty_log.c.
 */
#include "hv/kvm/dirty_track.h"

#include <errno.h>
#include <string.h>

#include "hv/kvm/internal.h"

int dirty_track_new(struct dirty_track *t, struct kvm_vm *vm, struct err *e)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < vm->cpus; i++) {
		if (!vm->vcpu[i])
			return err_set(e, -EINVAL, "vCPU %u was never made", i);
	}
	t->self = vm->ring_size ? dirty_ring_new(vm, e) : dirty_log_new(vm, e);
	if (!t->self)
		return err_set(e, -ENOMEM, "no memory to track dirty pages");
	t->ops = vm->ring_size ? &dirty_ring_ops : &dirty_log_ops;
	return 0;
}

void dirty_track_free(struct dirty_track *t)
{
	if (t->ops == &dirty_ring_ops)
		dirty_ring_free(t->self);
	else if (t->ops)
		dirty_log_free(t->self);
	memset(t, 0, sizeof(*t));
}

int dirty_track_ring_full(struct dirty_track *t, struct err *e)
{
	return t->ops == &dirty_ring_ops ? dirty_ring_drain(t->self, e) : 0;
}
