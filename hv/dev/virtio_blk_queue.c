/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the requests of a guest's disk on their way: off a queue, to the image, back as an answer.
 * Must never take one without the image's lock, nor lose one: what the image answers, error or not,
 * is the guest's.
 * Next in the flow: virtio_blk_req.c (what is asked), block.h (what is done).
 */
#include <stdlib.h>
#include <string.h>

#include "hv/base/log.h"
#include "hv/dev/virtio_blk_internal.h"

static void vblk_post(struct vblk_request *r);

static struct vblk_request *vblk_request_get(struct virtio_blk *d)
{
	struct vblk_request *r = d->free;
	struct err e;

	if (r) {
		d->free = r->next;
	} else {
		if (d->nrequests == VBLK_REQUESTS_MAX)
			return NULL;
		r = calloc(1, sizeof(*r));
		if (!r || virtq_chain_init(&r->chain, VBLK_SEGMENTS, &e)) {
			free(r);
			return NULL;
		}
		r->disk = d;
		d->all[d->nrequests++] = r;
	}
	d->nused++;
	return r;
}

static void vblk_request_put(struct vblk_request *r)
{
	struct virtio_blk *d = r->disk;

	r->next = d->free;
	d->free = r;
	d->nused--;
}

/*
 * All of the writable part counts as written, also of a read that failed: some of it may be, and
 * what is not marked is lost in a move.
 */
static void vblk_answer(struct vblk_request *r, enum vblk_status status)
{
	struct virtq *q = virtio_queue(r->disk->v, r->queue);
	uint8_t byte = (uint8_t)status;

	virtq_chain_write(&r->chain, r->chain.in_len - 1, &byte, 1);
	virtq_fill(q, &r->chain, (uint32_t)r->chain.in_len);
	r->disk->answered |= 1ull << r->queue;
	vblk_request_put(r);
}

void vblk_tell(struct virtio_blk *d)
{
	for (unsigned q = 0; d->answered; q++) {
		if (!(d->answered >> q & 1))
			continue;
		d->answered &= ~(1ull << q);
		virtq_flush(virtio_queue(d->v, q));
		virtq_signal(virtio_queue(d->v, q));
	}
}

static void vblk_done(struct block_io *io, int result)
{
	struct vblk_request *r = io->arg;
	struct virtio_blk *d = r->disk;

	if (d->resetting) { /* the queue is gone, what was read into memory is not */
		for (unsigned i = r->chain.nout; i < r->chain.nout + r->chain.nin; i++)
			gmem_mark(d->mem, r->chain.gpa[i], r->chain.iov[i].iov_len);
		vblk_request_put(r);
		return;
	}
	if (result == 0 && !r->flushing && ++r->at < r->order.nranges) {
		vblk_post(r);
		return;
	}
	/* A driver that did not take FLUSH cannot ask for it: every change is flushed (5.2.6.2). */
	if (result == 0 && !r->flushing && r->order.op != BLOCK_READ &&
		r->order.op != BLOCK_FLUSH && !(d->limits.features >> VBLK_F_FLUSH & 1)) {
		r->flushing = true;
		r->io.op = BLOCK_FLUSH;
		block_post(d->block, &r->io);
		return;
	}
	if (result)
		log_debug("disk '%s': a request of the guest failed: %s", block_name(d->block),
			strerrordesc_np(-result));
	vblk_answer(r, result ? VBLK_S_IOERR : VBLK_S_OK);
}

static void vblk_post(struct vblk_request *r)
{
	const struct vblk_range *range = &r->order.range[r->at];

	r->io = (struct block_io){
		.op = r->order.op,
		.off = range->off,
		.len = range->len,
		.unmap = range->unmap,
		.iov = r->iov,
		.niov = r->order.niov,
		.done = vblk_done,
		.arg = r,
	};
	block_post(r->disk->block, &r->io);
}

static void vblk_serve(struct virtio_blk *d, struct vblk_request *r)
{
	size_t room;

	r->at = 0;
	r->flushing = false;
	switch (vblk_decode(&r->chain, &d->limits, &r->order, r->iov)) {
	case VBLK_BROKEN:
		vblk_request_put(r);
		virtio_needs_reset(d->v, r->order.why);
		break;
	case VBLK_ANSWER: vblk_answer(r, r->order.status); break;
	case VBLK_ID:
		room = r->chain.in_len - 1;
		virtq_chain_write(&r->chain, 0, d->id, room < sizeof(d->id) ? room : sizeof(d->id));
		vblk_answer(r, VBLK_S_OK);
		break;
	case VBLK_DO: vblk_post(r); break;
	}
}

/* Takes what is there; the requests themselves go to the kernel together, in block_submit(). */
static bool vblk_queue_take(struct virtio_blk *d, unsigned q)
{
	struct virtq *vq = virtio_queue(d->v, q);

	for (;;) {
		struct vblk_request *r = vblk_request_get(d);

		if (!r) {
			d->starved |= 1ull << q;
			if (!d->nused) /* no memory, and no answer to wait for */
				vblk_timer_arm(d);
			return false;
		}
		r->queue = q;
		if (virtq_pop(vq, &r->chain) != 1) {
			vblk_request_put(r);
			return true;
		}
		vblk_serve(d, r);
	}
}

static void vblk_queue_run(struct virtio_blk *d, unsigned q)
{
	struct virtq *vq = virtio_queue(d->v, q);

	d->starved &= ~(1ull << q);
	do
		virtq_kicks_off(vq);
	while (vblk_queue_take(d, q) && virtq_kicks_on(vq));
}

void vblk_notify(void *self, unsigned q)
{
	struct virtio_blk *d = self;

	if (!block_locked(d->block) || d->resetting)
		return; /* the timer looks at all queues when the lock is there */
	vblk_queue_run(d, q);
	block_submit(d->block);
	vblk_tell(d);
}

void vblk_reset_finish(struct virtio_blk *d)
{
	if (!d->resetting || d->nused)
		return;
	d->resetting = false;
	vblk_unwatch(d);
	virtio_reset_done(d->v);
}

void vblk_run_starved(struct virtio_blk *d)
{
	if (d->resetting || d->nused == VBLK_REQUESTS_MAX)
		return;
	for (unsigned q = 0; q < d->queues; q++) {
		if (d->starved >> q & 1)
			vblk_notify(d, q);
	}
}

void vblk_ready(void *arg, uint32_t events)
{
	struct virtio_blk *d = arg;

	(void)events;
	block_reap(d->block);
	vblk_reset_finish(d);
	vblk_run_starved(d);
	vblk_tell(d);
}

void vblk_requests_free(struct virtio_blk *d)
{
	for (unsigned i = 0; i < d->nrequests; i++) {
		virtq_chain_fini(&d->all[i]->chain);
		free(d->all[i]);
	}
}
