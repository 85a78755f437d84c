/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (virtio 1.2, 5.2): a guest's disk over hv/dev/block.h, with several queues, flush,
 * discard, write-zeroes and a serial number.
 *
 * THE LOCK. The disk does no I/O without the lock on its image. A guest that boots has it from
 * virtio_blk_new() on. The quiesce() of its dev_ops finishes and flushes what is under way; the
 * lock is given up and taken by the hand-over of a move, below. If resume() finds it missing and
 * cannot have it, the disk stands still and tries on.
 * Next in the flow: virtio_blk.c.
 */
#ifndef WATARI_DEV_VIRTIO_BLK_H
#define WATARI_DEV_VIRTIO_BLK_H

#include "hv/dev/block.h"
#include "hv/dev/virtio.h"

struct virtio_blk_options {
	struct block_options block;
	const char *guest;  /* its name, for whoever is refused the lock */
	const char *serial; /* up to 20 bytes; NULL or "": none */
	unsigned queues;
	bool arriving; /* the state will be loaded: no lock yet */
	int quiet_ms;  /* limit on finishing what is under way; 0: the usual one */
};

extern const struct dev_ops virtio_blk_dev_ops; /* section "virtio-blk" */

/*
 * Opens the image, locks it unless the guest is arriving, and plugs the disk in. virtio_start()
 * and virtio_dev_free() are the caller's. What block_open() and block_lock() say, -ENOMEM and
 * others.
 */
int virtio_blk_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	const struct virtio_blk_options *o, struct err *e);

/*
 * The hand-over, between quiesce() and resume() (hv/vm/owner.c asks). release: -EBUSY if the disk
 * is not at rest. lock: without waiting; what block_lock() says.
 */
int virtio_blk_release(struct virtio *v, struct err *e);
int virtio_blk_lock(struct virtio *v, struct err *e);
void virtio_blk_unlock(struct virtio *v);
struct block *virtio_blk_image(struct virtio *v);

#endif
