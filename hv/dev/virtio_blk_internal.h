/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's disk from within: what virtio_blk.c (its life, the lock) and virtio_blk_queue.c (its
 * requests) share and nobody else includes. All of it under the device's lock (hv/dev/virtio.h).
 * Invariant: a request under way is counted in nused, and is the backend's or being answered.
 * Next in the flow: virtio_blk.c.
 */
#ifndef WATARI_DEV_VIRTIO_BLK_INTERNAL_H
#define WATARI_DEV_VIRTIO_BLK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/virtio_blk.h"
#include "hv/dev/virtio_blk_req.h"

#define VBLK_REQUESTS_MAX 256u /* under way at a time, of all queues */

struct virtio_blk;

struct vblk_request {
	struct virtio_blk *disk;
	struct vblk_request *next; /* while free */
	unsigned queue;
	struct virtq_chain chain;
	struct vblk_order order;
	unsigned at; /* range under way */
	bool flushing;
	struct block_io io;
	struct iovec iov[VBLK_SEGMENTS];
};

struct virtio_blk {
	struct virtio *v;
	struct block *block;
	const struct gmem *mem;
	struct vblk_limits limits;
	char guest[64];
	uint8_t id[VBLK_ID_LEN];
	unsigned queues;
	int quiet_ms;
	bool resetting; /* the guest wants it back to the start; requests are under way */
	bool quiet;     /* at rest and flushed, by quiesce() */
	bool handed;    /* the lock was given up, or is not here yet: the guest may be elsewhere */
	bool noted;     /* who has it is written down */
	bool waiting_told;
	int timer; /* for what can wait: the note, and a lock that is not there yet */
	unsigned nrequests, nused;
	struct vblk_request *all[VBLK_REQUESTS_MAX], *free;
	uint64_t starved;  /* queues that found no free request, as bits */
	uint64_t answered; /* queues with answers the guest was not told of yet */
};

/* virtio_blk.c: in a moment, vblk_timer() looks at what can wait. */
void vblk_timer_arm(struct virtio_blk *d);
/* No more watches: the device is as before it was activated. */
void vblk_unwatch(struct virtio_blk *d);

/* virtio_blk_queue.c */
void vblk_notify(void *self, unsigned q);
/* The backend has something to say. */
void vblk_ready(void *arg, uint32_t events);
/* Queues that could not be served for want of room. */
void vblk_run_starved(struct virtio_blk *d);
/* Tells the guest of all that was answered since the last time: at the end of every turn. */
void vblk_tell(struct virtio_blk *d);
/* A reset that had to wait for requests is over when they are. */
void vblk_reset_finish(struct virtio_blk *d);
/* Nothing may be under way. */
void vblk_requests_free(struct virtio_blk *d);

#endif
