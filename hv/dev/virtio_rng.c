/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the entropy device (see virtio_rng.h). Must never give the guest bytes that are not random:
 * where the host's kernel gives fewer than asked, fewer are reported.
 * Invariant: a request is served within one callback, so there is never one under way.
 * Next in the flow: hv/vm/devices.c.
 */
#include "hv/dev/virtio_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define RNG_QUEUE    64u
#define RNG_SEGMENTS 64u
/* Bytes of one request at most: more is the guest's to ask for again. */
#define RNG_REQUEST 65536u

struct rng {
	struct virtio *v;
	struct virtq_chain chain;
};

static int rng_activate(void *self, uint64_t features, struct err *e)
{
	(void)self;
	(void)features;
	(void)e;
	return 0;
}

static bool rng_reset(void *self)
{
	(void)self;
	return true;
}

/* Fills the writable part; returns how many bytes. */
static uint32_t rng_fill(const struct virtq_chain *c)
{
	uint32_t done = 0;

	for (unsigned i = c->nout; i < c->nout + c->nin && done < RNG_REQUEST; i++) {
		size_t want = c->iov[i].iov_len;
		ssize_t n;

		if (want > RNG_REQUEST - done)
			want = RNG_REQUEST - done;
		n = getrandom(c->iov[i].iov_base, want, GRND_NONBLOCK);
		if (n > 0)
			done += (uint32_t)n;
		if (n < 0 || (size_t)n < c->iov[i].iov_len)
			break; /* the bytes reported are in one piece */
	}
	return done;
}

static void rng_notify(void *self, unsigned q)
{
	struct rng *g = self;
	struct virtq *vq = virtio_queue(g->v, q);

	while (virtq_pop(vq, &g->chain) > 0)
		virtq_push(vq, &g->chain, rng_fill(&g->chain));
	virtq_signal(vq);
}

static void rng_free(void *self)
{
	struct rng *g = self;

	virtq_chain_fini(&g->chain);
	free(g);
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_ENTROPY,
	.class_code = 0x00ff00, /* none of the defined classes */
	.activate = rng_activate,
	.reset = rng_reset,
	.notify = rng_notify,
	.free = rng_free,
};

const struct dev_ops virtio_rng_dev_ops = VIRTIO_DEV_OPS("virtio-rng", 1);

int virtio_rng_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	struct err *e)
{
	struct rng *g = calloc(1, sizeof(*g));
	const struct virtio_shape shape = {
		.ops = &rng_ops,
		.self = g,
		.queues = 1,
		.queue_max = RNG_QUEUE,
	};
	int r;

	if (!g)
		return err_set(e, -ENOMEM, "no memory for the random number device");
	r = virtq_chain_init(&g->chain, RNG_SEGMENTS, e);
	if (r == 0)
		r = virtio_new(&g->v, bus, slot, mem, &shape, e);
	if (r) {
		rng_free(g);
		return r;
	}
	*out = g->v;
	return 0;
}
