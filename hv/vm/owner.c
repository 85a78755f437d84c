/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the answer to "whose guest is this": its identity, its epoch, and the locks on its disks,
 * given up and acquired as one. The arbiter is the first disk of the definition that the guest
 * writes and whose image is a file; a guest without one has epoch 0.
 * Must never keep part of the locks after an attempt that failed.
 * Invariant: owner.epoch is what this host last wrote under the lock, or was told to expect.
 * Next in the flow: hv/dev/block_own.h, hv/migrate/vm_ops.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/dev/block_own.h"
#include "hv/dev/virtio_blk.h"
#include "hv/vm/internal.h"

/* The @i-th disk of the definition; NULL: there is none. */
static struct virtio *owner_disk(const struct vm *vm, unsigned i)
{
	int at = vm_device_find(vm, virtio_blk_dev_ops.name, i);

	return at < 0 ? NULL : vm->dev[at].self;
}

static struct virtio *owner_arbiter(const struct vm *vm)
{
	struct virtio *v;

	for (unsigned i = 0; (v = owner_disk(vm, i)); i++) {
		if (block_own_possible(virtio_blk_image(v)))
			return v;
	}
	return NULL;
}

int vm_owner_start(struct vm *vm, struct err *e)
{
	struct vm_owner *o = &vm->owner;
	struct err why;

	snprintf(o->who.guest, sizeof(o->who.guest), "%s", vm->cfg.name);
	if (!vm->cfg.arriving && uuid_make(vm->cfg.uuid))
		return err_set(e, -EAGAIN, "the host has no randomness for the guest's identity");
	memcpy(o->who.uuid, vm->cfg.uuid, UUID_SIZE);
	o->arbiter = owner_arbiter(vm);
	if (vm->cfg.arriving || !o->arbiter)
		return 0;
	o->who.epoch = 1;
	if (block_own_begin(virtio_blk_image(o->arbiter), &o->who, &why)) {
		log_warn(
			"%s; a move of the guest that is cut in the hand-over must be settled by hand",
			why.msg);
		o->who.epoch = 0;
	}
	return 0;
}

static void owner_who(void *arg, struct mig_owner *out)
{
	const struct vm *vm = arg;

	memcpy(out->uuid, vm->owner.who.uuid, sizeof(out->uuid));
	out->arbiter = vm->owner.arbiter != NULL;
	out->epoch = vm->owner.who.epoch;
}

/* The arbiter last: whoever has it then finds the others free. */
static int owner_release(void *arg, struct err *e)
{
	struct vm *vm = arg;
	struct vm_owner *o = &vm->owner;
	struct virtio *v;
	int r = 0;

	if (o->who.epoch)
		r = block_own_check(virtio_blk_image(o->arbiter), &o->who, e);
	for (unsigned i = 0; r == 0 && (v = owner_disk(vm, i)); i++) {
		if (v != o->arbiter)
			r = virtio_blk_release(v, e);
	}
	return r == 0 && o->arbiter ? virtio_blk_release(o->arbiter, e) : r;
}

static enum mig_acquire owner_answer(int r)
{
	return r == 0 ? MIG_ACQUIRED : r == -EAGAIN ? MIG_HELD : MIG_MUTE;
}

static enum mig_acquire owner_ask_arbiter(struct vm *vm, bool kept, struct err *e)
{
	static const enum mig_acquire answer[] = {
		[BLOCK_OWN_TAKEN] = MIG_ACQUIRED,
		[BLOCK_OWN_HELD] = MIG_HELD,
		[BLOCK_OWN_DENIED] = MIG_DENIED,
		[BLOCK_OWN_MUTE] = MIG_MUTE,
	};
	struct vm_owner *o = &vm->owner;

	return answer[block_own_acquire(virtio_blk_image(o->arbiter), &o->who, kept, e)];
}

/*
 * The arbiter's lock first, so that two who try cannot each have half; then the others; and only
 * with all of them the epoch, which cannot be taken back.
 */
static enum mig_acquire owner_acquire(void *arg, uint64_t epoch, struct err *e)
{
	struct vm *vm = arg;
	struct vm_owner *o = &vm->owner;
	bool kept[VM_DISKS_MAX] = { false };
	enum mig_acquire found = MIG_ACQUIRED;
	struct virtio *v;
	unsigned n;

	o->who.epoch = epoch;
	if (epoch && !o->arbiter) {
		err_set(e, -ENODEV, "none of the guest's disks can tell here whose it is");
		return MIG_MUTE;
	}
	for (n = 0; (v = owner_disk(vm, n)); n++)
		kept[n] = block_locked(virtio_blk_image(v));
	if (o->arbiter)
		found = owner_answer(virtio_blk_lock(o->arbiter, e));
	if (found == MIG_HELD && epoch)
		return owner_ask_arbiter(vm, false, e); /* held, or too late */
	for (unsigned i = 0; found == MIG_ACQUIRED && i < n; i++)
		found = owner_answer(virtio_blk_lock(owner_disk(vm, i), e));
	for (unsigned i = 0; found == MIG_ACQUIRED && epoch && i < n; i++) {
		if (owner_disk(vm, i) == o->arbiter)
			found = owner_ask_arbiter(vm, kept[i], e);
	}
	for (unsigned i = 0; found != MIG_ACQUIRED && i < n; i++) {
		if (!kept[i])
			virtio_blk_unlock(owner_disk(vm, i));
	}
	return found;
}

const struct mig_owner_ops vm_owner_ops = {
	.who = owner_who,
	.release = owner_release,
	.acquire = owner_acquire,
};
