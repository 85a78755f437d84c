/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory balloon (virtio 1.2, 5.5): the guest is asked to give pages up, reports pages that are
 * free anyway, and tells how it uses the rest. What it gives becomes a hole at once, which a move
 * neither reads nor sends. While a move has guest memory registered (gmem_keep()) requests to
 * inflate wait in the queue and travel with it; reports of free pages pass without effect.
 * LEFT OUT: free page hints (reporting does the same without being asked), page poison.
 * Next in the flow: virtio_balloon.c.
 */
#ifndef WATARI_DEV_VIRTIO_BALLOON_H
#define WATARI_DEV_VIRTIO_BALLOON_H

#include "hv/dev/virtio.h"

/* What the guest may tell (5.5.6.4), by its tag. Bytes, but for faults and huge pages. */
enum balloon_stat {
	BALLOON_SWAP_IN,
	BALLOON_SWAP_OUT,
	BALLOON_MAJOR_FAULTS,
	BALLOON_MINOR_FAULTS,
	BALLOON_FREE,
	BALLOON_TOTAL,
	BALLOON_AVAILABLE,
	BALLOON_CACHES,
	BALLOON_HTLB_ALLOC,
	BALLOON_HTLB_FAIL,
	BALLOON_STATS,
};

struct balloon_info {
	bool active;       /* the guest has a driver for it */
	uint64_t asked;    /* bytes it is asked to give up */
	uint64_t given;    /* bytes it says it has given */
	uint64_t reported; /* bytes given back because they were reported free, since it is here */
	uint32_t stats;    /* bit by tag: stat[] has it */
	uint64_t stats_ns; /* when they came, CLOCK_MONOTONIC; 0: never */
	uint64_t stat[BALLOON_STATS];
};

extern const struct dev_ops virtio_balloon_dev_ops; /* section "virtio-balloon" */

int virtio_balloon_new(
	struct virtio **out, struct pci_bus *bus, unsigned slot, struct gmem *mem, struct err *e);

/* Any thread but the device's own: the first two take its lock. */

/* Asks the guest to give up @bytes in all, rounded down to pages. -ENODEV: it has no driver. */
int virtio_balloon_ask(struct virtio *v, uint64_t bytes, struct err *e);
/* What is known; also asks the guest for newer statistics, which come when it gets to it. */
void virtio_balloon_look(struct virtio *v, struct balloon_info *out);
/* gmem_keep() ended: what waited is looked at again. */
void virtio_balloon_wake(struct virtio *v);

#endif
