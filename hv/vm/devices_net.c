/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns how the definition's nets become network cards on taps, and the machine's balloon as the
 * rest of the program sees it. Must never touch the network of this host but through hv/dev/tap.h.
 * Next in the flow: devices.c, which calls the two builders.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/dev/virtio_balloon.h"
#include "hv/dev/virtio_net.h"
#include "hv/vm/balloon.h"
#include "hv/vm/internal.h"

int device_new_net(struct vm *vm, uint32_t i, struct virtio **out, struct err *e)
{
	const struct vm_net *n = &vm->cfg.nets[i];
	struct tap_config c = { .name = n->tap, .bridge = n->bridge, .queues = n->queues };
	struct tap tap;
	int r;

	memcpy(c.mac, n->mac, sizeof(c.mac));
	r = tap_open(&tap, &c, e);
	if (r == 0)
		r = virtio_net_new(out, vm->pci, VM_SLOT_NETS + i, &vm->mem, &tap, n->mac, e);
	return r ? err_wrap(e, "net '%s'", n->name) : 0;
}

int device_new_balloon(struct vm *vm, struct virtio **out, struct err *e)
{
	int r = virtio_balloon_new(&vm->balloon, vm->pci, VM_SLOT_BALLOON, &vm->mem, e);

	*out = vm->balloon;
	return r;
}

/* ---- the balloon, for hv/ctl ------------------------------------------------------------------
 */

int vm_balloon_ask(struct vm *vm, uint64_t size, struct err *e)
{
	if (size < VM_BALLOON_LEAST || size > vm->cfg.memory)
		return err_set(e, -EINVAL,
			"%" PRIu64 " MiB is no size for a guest of %" PRIu64
			" MiB: it can be asked to "
			"keep %" PRIu64 " MiB or more",
			(uint64_t)(size >> 20), (uint64_t)(vm->cfg.memory >> 20),
			(uint64_t)(VM_BALLOON_LEAST >> 20));
	return virtio_balloon_ask(vm->balloon, vm->cfg.memory - size, e);
}

static const char *const balloon_stat_names[VM_BALLOON_STATS] = {
	[BALLOON_SWAP_IN] = "swap_in_bytes",
	[BALLOON_SWAP_OUT] = "swap_out_bytes",
	[BALLOON_MAJOR_FAULTS] = "major_faults",
	[BALLOON_MINOR_FAULTS] = "minor_faults",
	[BALLOON_FREE] = "free_bytes",
	[BALLOON_TOTAL] = "total_bytes",
	[BALLOON_AVAILABLE] = "available_bytes",
	[BALLOON_CACHES] = "caches_bytes",
	[BALLOON_HTLB_ALLOC] = "hugetlb_allocations",
	[BALLOON_HTLB_FAIL] = "hugetlb_failures",
};
_Static_assert((int)BALLOON_STATS == VM_BALLOON_STATS, "one name for each");

void vm_balloon_look(struct vm *vm, struct vm_balloon *out)
{
	uint64_t all = vm->cfg.memory;
	struct balloon_info i;

	virtio_balloon_look(vm->balloon, &i);
	*out = (struct vm_balloon){
		.active = i.active,
		/* What the guest says of itself is not believed to be possible. */
		.asked = i.asked < all ? all - i.asked : 0,
		.size = i.given < all ? all - i.given : 0,
		.reported = i.reported,
		.stats_age_ns = i.stats ? clock_mono_ns() - i.stats_ns : 0,
	};
	for (unsigned tag = 0; tag < BALLOON_STATS; tag++) {
		if (!(i.stats & 1u << tag))
			continue;
		out->stat[out->nstats].name = balloon_stat_names[tag];
		out->stat[out->nstats++].value = i.stat[tag];
	}
}

void vm_keep_memory(struct vm *vm, bool keep)
{
	gmem_keep(&vm->mem, keep);
	if (!keep)
		virtio_balloon_wake(vm->balloon);
}
