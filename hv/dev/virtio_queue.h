/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A split virtqueue from the device's side (virtio 1.2, 2.7), with indirect descriptors and event
 * indices. Everything the guest wrote is copied once, then checked, then used: addresses and
 * lengths against guest memory, chains against the queue's size (so a loop ends), the available
 * index against what can be outstanding. A guest that breaks the rules breaks the queue: broken()
 * is called once, and from then on the queue is empty and takes nothing.
 *
 * THREADS. None of its own: the caller holds the device's lock (hv/dev/virtio.h).
 * Invariant: guest memory that a device wrote is marked before the guest is told of it.
 * Next in the flow: hv/dev/virtio.h.
 */
#ifndef WATARI_DEV_VIRTIO_QUEUE_H
#define WATARI_DEV_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/mem/gmem.h"

#define VIRTQ_SIZE_MAX 1024u /* descriptors; 32768 by the specification */

/*
 * One request: @nout segments the device reads, then @nin it may write, as host memory. Room is the
 * owner's: a device that has several requests under way has as many of these.
 */
struct virtq_chain {
	uint16_t head;
	unsigned max;             /* segments there is room for */
	unsigned nout, nin;       /* iov[0..nout-1], iov[nout..nout+nin-1] */
	uint64_t out_len, in_len; /* bytes of all of them */
	struct iovec *iov;
	uint64_t *gpa; /* where each segment is in the guest */
};

/* Room for @max segments (1..VIRTQ_SIZE_MAX): a longer chain breaks the queue. -ENOMEM. */
int virtq_chain_init(struct virtq_chain *c, unsigned max, struct err *e);
void virtq_chain_fini(struct virtq_chain *c); /* also fine on a zeroed one */
/* Copies from the readable part at byte @off, or to the writable part; returns bytes copied, less
 * than @len where the part ends. */
size_t virtq_chain_read(const struct virtq_chain *c, uint64_t off, void *dst, size_t len);
size_t virtq_chain_write(const struct virtq_chain *c, uint64_t off, const void *src, size_t len);

struct virtq {
	const struct gmem *mem;
	unsigned index;             /* its number in the device */
	bool ready;                 /* the guest enabled it, and it is not broken */
	bool event_idx;             /* negotiated */
	uint16_t size;              /* entries, a power of two */
	uint64_t desc, avail, used; /* guest-physical */
	uint8_t *p_desc, *p_avail, *p_used;
	uint16_t next_avail; /* entries taken from the guest so far */
	uint16_t next_used;  /* entries given back, told or not */
	uint16_t told_used;  /* the used index the guest was told */
	uint16_t signalled;  /* the used index when it was last asked about an interrupt */
	bool kicks_off;
	/* Sends queue @index's interrupt. */
	void (*signal)(void *arg, unsigned index);
	/* The guest broke the rules; @why is a sentence. */
	void (*broken)(void *arg, unsigned index, const char *why);
	void *arg;
};

/*
 * Sets up a queue of @size at these guest-physical addresses. -EINVAL with a sentence if size,
 * alignment or any byte of the rings is not what it may be. Everything else of @q was set by
 * hv/dev/virtio.c.
 */
int virtq_enable(struct virtq *q, uint16_t size, uint64_t desc, uint64_t avail, uint64_t used,
	struct err *e);

/*
 * Takes the next request into @c: 1; 0: there is none, or the queue is not ready; -EPROTO: the
 * guest broke the rules (and broken() has been called). Every 1 is followed by one
 * virtq_push()/virtq_fill(), in any order, or undone by virtq_unpop(). At most `size` are
 * outstanding.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *c);
/* Gives back the @n requests popped last, unserved: the next pop starts with them again. */
void virtq_unpop(struct virtq *q, unsigned n);
/* Whether virtq_pop() would find one. */
bool virtq_pending(struct virtq *q);
/*
 * After a load: the request at @head again, which the saved device had popped and not pushed (its
 * number is in the device's own state). As virtq_pop(), but takes nothing off the queue.
 */
int virtq_chain_at(struct virtq *q, uint16_t head, struct virtq_chain *c);

/* Gives @c back with @written bytes in its writable part (clipped to it), which are marked. */
void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written);
/* The same in two steps: fill several, then tell the guest of all of them at once. */
void virtq_fill(struct virtq *q, const struct virtq_chain *c, uint32_t written);
void virtq_flush(struct virtq *q);
/* Interrupts the guest if it wants to hear of what was pushed since the last call (2.7.7). */
void virtq_signal(struct virtq *q);

/*
 * Asks the guest not to kick, while the device looks by itself; on again: true if something came
 * meanwhile, for which there will be no kick. A queue starts with kicks on.
 */
void virtq_kicks_off(struct virtq *q);
bool virtq_kicks_on(struct virtq *q);

#endif
