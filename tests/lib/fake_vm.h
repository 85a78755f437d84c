/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine without KVM for tests of the migration: guest memory, and a "guest" thread that writes
 * stamped pages until it is frozen, marking each as a tracker would. Saved state is one section.
 * Invariant: a page's first word is its version, its last word the version too, and version[] says
 * what the guest last wrote, so a lost or torn page shows.
 * Next in the flow: tests/unit/migrate_move_test.c.
 */
#ifndef WATARI_TESTS_FAKE_VM_H
#define WATARI_TESTS_FAKE_VM_H

#include <pthread.h>
#include <stdbool.h>

#include "hv/migrate/vm_ops.h"

struct fake_vm {
	struct gmem mem;
	uint8_t *guest_view; /* region 0, as the guest sees it */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t guest;
	bool running, quit, tracking, started;
	uint64_t first_page, pages; /* working set, in region 0 */
	uint64_t *version;          /* of each page of the working set; guarded by lock */
	struct dirty_map dirty;     /* guarded by lock */
	uint64_t writes;
	unsigned share, share_least; /* thousandths; what throttle() was given, and least of it */
	unsigned freezes, thaws, track_stops;
	unsigned nudges;
	uint64_t nudge_ns; /* what nudge() says it took */
	/* Every harvest finds the whole working set dirty, as if the guest had rewritten it since,
	 * unless it is throttled or frozen. */
	bool greedy;
	uint64_t elapsed_ns; /* as load() was given */
	/* faults */
	bool fail_freeze, fail_load, fail_save, fail_harvest;
	bool slow_freeze;           /* freeze() waits for freeze_abandon(): a disk that hangs */
	unsigned abandons;          /* guarded by lock */
	struct fake_vm *load_after; /* load() waits until this one runs */
	int *cancel_at_harvest;     /* set to 1 by the next harvest */
};

/* 64 MiB and up; the working set is @pages pages from page 256. Not running. */
int fake_vm_init(struct fake_vm *v, uint64_t memory, uint64_t pages);
void fake_vm_fini(struct fake_vm *v);
/* Starts the guest thread (a source) or leaves it to thaw() (a target). */
void fake_vm_run(struct fake_vm *v);
/* True if nothing lets the guest run now. */
bool fake_vm_frozen(struct fake_vm *v);
/* Blocks until the guest has made @n more writes. */
void fake_vm_wait_writes(struct fake_vm *v, uint64_t n);
/* The number of pages of @v that differ from what the versions say. 0 is right. Guest not running.
 */
uint64_t fake_vm_bad_pages(struct fake_vm *v);

extern const struct mig_vm_ops fake_vm_ops;

#endif
