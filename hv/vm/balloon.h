/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory balloon of a machine: how much memory the guest is to keep, and what it tells of its
 * use. All may be called on any thread but a device's.
 * Next in the flow: devices_net.c, hv/dev/virtio_balloon.h.
 */
#ifndef WATARI_VM_BALLOON_H
#define WATARI_VM_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"

#define VM_BALLOON_LEAST (64ull << 20) /* bytes that stay with the guest */
#define VM_BALLOON_STATS 10

struct vm;

struct vm_balloon {
	bool active;       /* the guest has a driver for it */
	uint64_t asked;    /* bytes of memory the guest is asked to keep */
	uint64_t size;     /* bytes it says it has */
	uint64_t reported; /* bytes given back because they were reported free, since it is here */
	uint64_t stats_age_ns; /* of what follows */
	unsigned nstats;       /* 0: the guest has told nothing yet */
	struct {
		const char *name; /* as a key of JSON */
		uint64_t value;
	} stat[VM_BALLOON_STATS];
};

/*
 * Asks the guest to keep @size bytes, VM_BALLOON_LEAST up to all it was given. It gives the rest up
 * as it can, which takes its time. -EINVAL; -ENODEV: no driver.
 */
int vm_balloon_ask(struct vm *vm, uint64_t size, struct err *e);
/* What is known; the guest is asked for newer statistics, which the next look may have. */
void vm_balloon_look(struct vm *vm, struct vm_balloon *out);

/*
 * @keep: from the return on no page of guest memory is given back to the host until the call is
 * undone, so a transport may have it registered. Nests.
 */
void vm_keep_memory(struct vm *vm, bool keep);

#endif
