/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device that writes down what it is told, with a driver at its registers.
 * Next in the flow: dev_virtio_test.c, dev_virtio_state_test.c.
 */
#ifndef WATARI_TESTS_DEV_VIRTIO_NOTE_H
#define WATARI_TESTS_DEV_VIRTIO_NOTE_H

#include <errno.h>

#include "hv/dev/virtio.h"
#include "tests/unit/dev_virtio_driver.h"

#define QUEUES  3u
#define FEATURE (1ull << 5)

/* What a device was told. */
struct note {
	struct virtio *v;
	unsigned activated, resets, notified[QUEUES], quiesced, resumed, freed, written, watched;
	uint64_t features;
	bool refuse, slow;
	uint32_t own; /* its own state */
};

static inline int note_activate(void *self, uint64_t features, struct err *e)
{
	struct note *n = self;

	n->features = features;
	n->activated++;
	return n->refuse ? err_set(e, -EIO, "it does not want to") : 0;
}

static inline bool note_reset(void *self)
{
	((struct note *)self)->resets++;
	return !((struct note *)self)->slow;
}

static inline void note_notify(void *self, unsigned q)
{
	((struct note *)self)->notified[q]++;
}

static inline void note_written(void *self, unsigned off, unsigned len)
{
	((struct note *)self)->written = off << 8 | len;
}

static inline void note_quiesce(void *self)
{
	((struct note *)self)->quiesced++;
}
static inline void note_resume(void *self)
{
	((struct note *)self)->resumed++;
}

static inline void note_save(void *self, struct wbuf *w)
{
	wbuf_u32(w, ((struct note *)self)->own);
}

static inline int note_load(void *self, uint32_t version, struct rbuf *r, struct err *e)
{
	struct note *n = self;

	n->own = rbuf_u32(r);
	return version == 2 && !r->failed ? 0 : err_set(e, -EPROTO, "note: state is malformed");
}

static inline void note_free(void *self)
{
	((struct note *)self)->freed++;
}

static const struct virtio_ops note_ops = {
	.id = 18,
	.class_code = 0x0c8000,
	.activate = note_activate,
	.reset = note_reset,
	.notify = note_notify,
	.config_written = note_written,
	.quiesce = note_quiesce,
	.resume = note_resume,
	.save = note_save,
	.load = note_load,
	.free = note_free,
};
static const struct dev_ops note_dev_ops = VIRTIO_DEV_OPS("note", 2);

struct rig {
	struct pci_rig pci;
	struct gmem m;
	struct note n;
	struct driver d;
	struct ring ring[QUEUES];
};

static inline void rig_open(struct rig *g)
{
	static const uint8_t config[12] = "abcdefghijkl";
	const struct virtio_shape shape = { .ops = &note_ops,
		.self = &g->n,
		.features = FEATURE,
		.queues = QUEUES,
		.queue_max = 16,
		.config = config,
		.config_len = sizeof(config),
		.config_rw = 4,
		.config_rw_len = 4 };
	struct err e;

	memset(g, 0, sizeof(*g));
	pci_rig_open(&g->pci);
	assert_int_equal(gmem_init(&g->m, GMEM_SIZE_MIN, &e), 0);
	assert_int_equal(virtio_new(&g->n.v, g->pci.bus, 4, &g->m, &shape, &e), 0);
	g->d = driver_at(&g->pci, 4);
	for (unsigned i = 0; i < QUEUES; i++)
		g->ring[i] = ring_at(&g->m, 0x100000 * (i + 1), 16);
}

static inline void rig_close(struct rig *g)
{
	note_dev_ops.free(g->n.v);
	assert_int_equal(g->n.freed, 1);
	assert_int_equal(g->pci.kicks, 0);
	gmem_fini(&g->m);
	pci_rig_close(&g->pci);
}

/* Queues 0 and 2, vectors 1 and 3, configuration changes by vector 0. */
static inline void rig_drive(struct rig *g)
{
	assert_true(driver_negotiate(&g->d, VIRTIO_1 | FEATURE));
	driver_vectors(&g->d, QUEUES + 1);
	common_set(&g->d, 16, 2, 0);
	driver_queue(&g->d, 0, &g->ring[0], 1);
	driver_queue(&g->d, 2, &g->ring[2], 3);
	driver_set_status(&g->d, 0x0f);
}

static inline void run(struct rig *g)
{
	while (virtio_poll(g->n.v) > 0) {
	}
}

#endif
