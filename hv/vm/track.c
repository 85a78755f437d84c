/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the machine as the migration sees it (struct mig_vm_ops) and the tracking of written pages:
 * the guest's by KVM's tracker, the VMM's own by the map in hv/mem. Decides nothing.
 * Next in the flow: hv/migrate/move.h.
 */
#include "hv/base/bitmap.h"
#include "hv/vm/internal.h"

int vm_track_start(struct vm *vm, struct err *e)
{
	return dirty_track_new(&vm->track, &vm->kvm, e);
}

void vm_track_stop(struct vm *vm)
{
	dirty_track_free(&vm->track);
}

/*
 * Marks of earlier writes (the loaded kernel, say) are dropped: the bytes behind them are in
 * memory, and the first round, whose pages are found after this returns, reads all of it.
 */
static int track_start(void *arg, struct err *e)
{
	struct vm *vm = arg;
	int r = vm->track.ops->start(vm->track.self, e);

	for (uint32_t i = 0; r == 0 && i < vm->mem.nregions; i++) {
		struct gmem_region *g = &vm->mem.regions[i];

		for (uint64_t w = 0; w < BITMAP_WORDS(g->size >> GMEM_PAGE_SHIFT); w++)
			bitmap_take_word(g->written, w);
	}
	return r;
}

/*
 * Both halves keep the promise of hv/mem/dirty.h each for itself (re-armed, or taken, before the
 * page is read), so while vCPUs run their order is free. With vCPUs stopped it matters for one
 * thing: harvesting KVM's half writes nothing to guest memory, so after the VMM's half, taken
 * last, nothing is left anywhere.
 */
static int track_harvest(void *arg, struct dirty_map *d, struct err *e)
{
	struct vm *vm = arg;
	int r = vm->track.ops->harvest(vm->track.self, d, e);

	if (r == 0)
		dirty_map_take_written(d, &vm->mem);
	return r;
}

static void track_stop(void *arg)
{
	struct vm *vm = arg;

	vm->track.ops->stop(vm->track.self);
}

static void mig_throttle(void *arg, unsigned share)
{
	vm_throttle(arg, share);
}

static uint64_t mig_nudge(void *arg)
{
	return vm_nudge(arg);
}

static int mig_freeze(void *arg, struct err *e)
{
	int r;

	vm_vcpus_hurry(arg);
	r = vm_hold(arg, VM_HOLD_MIGRATION, e);
	/* After the vCPUs, which feed them. */
	if (r == 0)
		vm_devices_quiesce(arg);
	return r;
}

/* On a target load() has turned VM_HOLD_SETUP into this reason, so this is also what starts it. */
static void mig_thaw(void *arg)
{
	vm_devices_resume(arg);
	vm_release(arg, VM_HOLD_MIGRATION);
	/* What was typed meanwhile. */
	vm_input_pump(arg);
}

/* vm_hold() ends its wait when its reason is gone; what devices still hold, mig_thaw() lets go. */
static void mig_freeze_abandon(void *arg)
{
	vm_release(arg, VM_HOLD_MIGRATION);
}

static int mig_save(void *arg, struct wbuf *w, struct err *e)
{
	return vm_state_save(arg, w, e);
}

static int mig_load(void *arg, struct rbuf *r, uint64_t elapsed_ns, struct err *e)
{
	vm_vcpus_hurry(arg); /* they start as soon as the source commits */
	return vm_state_load(arg, r, elapsed_ns, e);
}

const struct mig_vm_ops vm_mig_ops = {
	.track_start = track_start,
	.track_harvest = track_harvest,
	.track_stop = track_stop,
	.throttle = mig_throttle,
	.nudge = mig_nudge,
	.freeze = mig_freeze,
	.thaw = mig_thaw,
	.freeze_abandon = mig_freeze_abandon,
	.save = mig_save,
	.load = mig_load,
};
