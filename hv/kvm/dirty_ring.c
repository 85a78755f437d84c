/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns dirty tracking by the dirty ring (KVM API document, 8.29): KVM queues the number of each
 * page a vCPU dirties in that vCPU's ring, and lets it be written again without a trap until the
 * entry has been collected and the rings are reset.
 *
 * WHY NOTHING IS LOST. Collect, reset, report, in that order. A page is writable from the write
 * that queued it up to the reset; a write in that time leaves no new entry, but the page is in what
 * is being collected and nobody reads its bytes before the report. A write after the reset traps
 * and is queued again. Were the page reported first, a write between the sender's reading and the
 * reset would leave no trace.
 *
 * THREADS. The tracker's caller, and vCPU threads whose ring is full: one mutex for all collecting,
 * as KVM asks (one reset at a time, and each ring has one reader).
 * OVERRUN. KVM stops a vCPU well before its ring's end, at the next entry to the guest. A KVM that
 * interprets much guest code between two entries can run past the end and overwrite what was not
 * collected. A ring found full to the last entry is taken for that: the guest goes on, and the next
 * harvest is an error, so that a move is given up and not a page lost.
 *
 * Invariant: what was collected is in `pending` or in the caller's map before the rings are reset.
 * Next in the flow: hv/mem/dirty.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hv/kvm/internal.h"
#include "hv/mem/dirty.h"

#define RESET_TRIES  1000   /* a reset may be cut short by a signal, but not for ever */
#define FUTILE_TRIES 100000 /* full rings with nothing in them, in a row */

struct dirty_ring {
	struct kvm_vm *vm;
	pthread_mutex_t lock;
	struct dirty_map pending; /* collected for a vCPU whose ring was full */
	bool has_pending;
	bool overrun;    /* a ring was written past its end: pages may be lost */
	unsigned futile; /* drains in a row that found nothing */
};

/*
 * Takes what vCPU @v has queued into @d; adds to @n how many. Stops at damage, which is an error;
 * -EOVERFLOW (without a message): the ring was full to the last entry.
 */
static int ring_collect(struct vcpu *v, struct dirty_map *d, uint32_t *n, struct err *e)
{
	struct kvm_dirty_gfn *ring = v->ring;
	uint32_t size = v->vm->ring_size, i;

	/* At most one turn: an entry cannot be used again before the reset that follows. */
	for (i = 0; i < size; i++) {
		struct kvm_dirty_gfn *g = &ring[v->ring_next & (size - 1)];
		uint32_t flags, slot;
		uint64_t offset;

		/* Acquire: slot and offset were written before the flag. */
		flags = __atomic_load_n(&g->flags, __ATOMIC_ACQUIRE);
		if ((flags & KVM_DIRTY_GFN_F_MASK) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		slot = g->slot; /* address space in the upper half: 0, the only one in use */
		offset = g->offset;
		if (slot >= d->nregions || offset >= d->region[slot].pages)
			return err_set(e, -EIO,
				"the dirty ring of vCPU %u names page %#llx of slot %#x, which is none",
				v->id, (unsigned long long)offset, slot);
		bitmap_set(d->region[slot].bits, offset);
		/* Release: KVM may reuse the entry only after we have read it. */
		__atomic_store_n(&g->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		v->ring_next++;
	}
	*n += i;
	/* Written by whoever holds the tracker's lock, read by the throttle at any time. */
	__atomic_store_n(&v->dirtied, v->dirtied + i, __ATOMIC_RELAXED);
	return i == size ? -EOVERFLOW : 0;
}

/* Re-arms the @n pages that were collected. */
static int ring_reset(struct dirty_ring *t, uint32_t n, struct err *e)
{
	uint32_t done = 0;

	for (int i = 0; done < n && i < RESET_TRIES; i++) {
		int r = ioctl(t->vm->fd, KVM_RESET_DIRTY_RINGS, 0);

		if (r < 0 && errno != EINTR)
			return err_errno(e, "cannot reset the dirty rings");
		if (r > 0)
			done += (uint32_t)r;
	}
	if (done < n)
		return err_set(e, -EIO, "KVM reset %u of %u dirty ring entries", done, n);
	return 0;
}

/* Empties all rings into @d. Locked. */
static int ring_drain(struct dirty_ring *t, struct dirty_map *d, struct err *e)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < t->vm->cpus; i++) {
		int r = ring_collect(t->vm->vcpu[i], d, &n, e);

		if (r == -EOVERFLOW)
			t->overrun = true;
		else if (r)
			return r;
	}
	t->futile = n ? 0 : t->futile + 1;
	return ring_reset(t, n, e);
}

void *dirty_ring_new(struct kvm_vm *vm, struct err *e)
{
	struct dirty_ring *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->vm = vm;
	if (dirty_map_init(&t->pending, vm->mem, e)) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void dirty_ring_free(void *self)
{
	struct dirty_ring *t = self;

	dirty_map_fini(&t->pending);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/*
 * A full ring stops its vCPU until it is drained and reset. The vCPU does it itself, for all rings
 * (a reset is for all anyway), so that it never waits for the migration's next harvest.
 */
int dirty_ring_drain(void *self, struct err *e)
{
	struct dirty_ring *t = self;
	int r;

	pthread_mutex_lock(&t->lock);
	t->has_pending = true;
	r = ring_drain(t, &t->pending, e);
	/* Another vCPU may have drained for us; but not time after time. */
	if (r == 0 && t->futile > FUTILE_TRIES)
		r = err_set(e, -EIO,
			"KVM reports a full dirty ring that holds nothing: it was overrun");
	pthread_mutex_unlock(&t->lock);
	return r;
}

static int ring_start(void *self, struct err *e)
{
	struct dirty_ring *t = self;
	int r;

	pthread_mutex_lock(&t->lock);
	t->overrun = false;
	t->futile = 0;
	/* KVM write-protects every page before it returns, so the first write to each is queued. */
	r = kvm_slots_log(t->vm, true, e);
	pthread_mutex_unlock(&t->lock);
	return r;
}

static int ring_harvest(void *self, struct dirty_map *d, struct err *e)
{
	struct dirty_ring *t = self;
	int r;

	pthread_mutex_lock(&t->lock);
	r = ring_drain(t, d, e);
	if (r == 0 && t->overrun)
		r = err_set(e, -EOVERFLOW,
			"a vCPU overran its dirty ring of %u entries, pages may be lost; track dirty "
			"pages with the log",
			t->vm->ring_size);
	if (r == 0 && t->has_pending) {
		for (uint32_t i = 0; i < d->nregions; i++)
			bitmap_or(d->region[i].bits, t->pending.region[i].bits, d->region[i].pages);
		dirty_map_clear(&t->pending);
		t->has_pending = false;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

static void ring_stop(void *self)
{
	struct dirty_ring *t = self;

	pthread_mutex_lock(&t->lock);
	(void)kvm_slots_log(t->vm, false, NULL);
	/* What is still queued is of a tracking that has ended: the next must not find it. */
	(void)ring_drain(t, &t->pending, NULL);
	dirty_map_clear(&t->pending);
	t->has_pending = false;
	pthread_mutex_unlock(&t->lock);
}

const struct dirty_tracker_ops dirty_ring_ops = {
	.name = "ring",
	.start = ring_start,
	.harvest = ring_harvest,
	.stop = ring_stop,
};
