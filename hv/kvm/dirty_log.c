/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns dirty tracking by the dirty log: a bitmap per memory slot that KVM keeps. With manual
 * protect (KVM API document, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 and 4.117) reading and re-arming are
 * two steps, so that only pages that were dirty are protected again, a chunk at a time.
 *
 * WHY NOTHING IS LOST. Read, clear, report, in that order; KVM_CLEAR_DIRTY_LOG re-arms exactly the
 * pages whose bits it is given, which are those just read. A page written between read and clear is
 * either among them, and nobody reads its bytes before the report; or it is not, and its bit stays.
 *
 * Invariant: nobody but harvest reads the log while tracking is on.
 * Next in the flow: hv/mem/dirty.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/kvm/internal.h"
#include "hv/mem/dirty.h"

#define LOG_CHUNK                                                                                  \
	1024u       /* words: 256 MiB of guest memory; bounds how long KVM holds its MMU lock      \
		     */
#define LOG_GAP 16u /* clean words that do not end a run: a call costs more than they do */

struct dirty_log {
	struct kvm_vm *vm;
	uint64_t *bits; /* of one slot, the largest */
};

void *dirty_log_new(struct kvm_vm *vm, struct err *e)
{
	struct dirty_log *t = calloc(1, sizeof(*t));
	uint64_t most = 0;

	(void)e;
	if (!t)
		return NULL;
	t->vm = vm;
	for (uint32_t i = 0; i < vm->mem->nregions; i++) {
		if (vm->mem->regions[i].size > most)
			most = vm->mem->regions[i].size;
	}
	t->bits = bitmap_new(most >> GMEM_PAGE_SHIFT);
	if (!t->bits) {
		free(t);
		return NULL;
	}
	return t;
}

void dirty_log_free(void *self)
{
	struct dirty_log *t = self;

	free(t->bits);
	free(t);
}

/* Re-arms the pages set in words @w..@w+@n-1 of t->bits. */
static int log_clear(
	struct dirty_log *t, const struct gmem_region *g, uint64_t w, uint64_t n, struct err *e)
{
	uint64_t pages = g->size >> GMEM_PAGE_SHIFT;
	struct kvm_clear_dirty_log c = {
		.slot = g->id,
		.first_page = w * 64,
		.dirty_bitmap = &t->bits[w],
	};

	/* A multiple of 64, except that the last run ends with the slot. */
	c.num_pages = (uint32_t)(c.first_page + n * 64 > pages ? pages - c.first_page : n * 64);
	if (ioctl(t->vm->fd, KVM_CLEAR_DIRTY_LOG, &c) < 0)
		return err_errno(e, "cannot clear the dirty log of memory slot %u", g->id);
	return 0;
}

/* Length of the run of dirty words that starts at @w: up to LOG_CHUNK words, clean ones few. */
static uint64_t log_run(const uint64_t *bits, uint64_t w, uint64_t words)
{
	uint64_t last = w;

	for (uint64_t i = w + 1; i < words && i - w < LOG_CHUNK && i - last <= LOG_GAP; i++) {
		if (bits[i])
			last = i;
	}
	return last - w + 1;
}

static int log_clear_dirty(struct dirty_log *t, const struct gmem_region *g, struct err *e)
{
	uint64_t words = BITMAP_WORDS(g->size >> GMEM_PAGE_SHIFT);

	for (uint64_t w = 0; w < words; w++) {
		uint64_t n;
		int r;

		if (!t->bits[w])
			continue;
		n = log_run(t->bits, w, words);
		r = log_clear(t, g, w, n, e);
		if (r)
			return r;
		w += n - 1;
	}
	return 0;
}

static int log_start(void *self, struct err *e)
{
	struct dirty_log *t = self;
	int r = kvm_slots_log(t->vm, true, e);

	/*
	 * With INITIALLY_SET, KVM starts with all pages dirty and none armed: arming is left to us,
	 * in chunks. What the log says at the start is of no interest: the caller knows from guest
	 * memory itself which pages there are.
	 */
	if (r || !(t->vm->caps.log_manual & KVM_DIRTY_LOG_INITIALLY_SET))
		return r;
	for (uint32_t i = 0; i < t->vm->mem->nregions; i++) {
		const struct gmem_region *g = &t->vm->mem->regions[i];
		uint64_t pages = g->size >> GMEM_PAGE_SHIFT;

		memset(t->bits, 0, BITMAP_WORDS(pages) * sizeof(uint64_t));
		bitmap_set_range(t->bits, 0, pages);
		r = log_clear_dirty(t, g, e);
		if (r) {
			(void)kvm_slots_log(t->vm, false, NULL);
			return r;
		}
	}
	return 0;
}

static int log_harvest(void *self, struct dirty_map *d, struct err *e)
{
	struct dirty_log *t = self;

	for (uint32_t i = 0; i < t->vm->mem->nregions; i++) {
		const struct gmem_region *g = &t->vm->mem->regions[i];
		struct kvm_dirty_log l = { .slot = g->id, .dirty_bitmap = t->bits };
		int r = 0;

		if (ioctl(t->vm->fd, KVM_GET_DIRTY_LOG, &l) < 0)
			return err_errno(e, "cannot read the dirty log of memory slot %u", g->id);
		/* Without manual protect, reading has re-armed already. */
		if (t->vm->caps.log_manual)
			r = log_clear_dirty(t, g, e);
		if (r)
			return r;
		bitmap_or(d->region[i].bits, t->bits, d->region[i].pages);
	}
	return 0;
}

static void log_stop(void *self)
{
	struct dirty_log *t = self;

	(void)kvm_slots_log(t->vm, false, NULL);
}

const struct dirty_tracker_ops dirty_log_ops = {
	.name = "log",
	.start = log_start,
	.harvest = log_harvest,
	.stop = log_stop,
};
