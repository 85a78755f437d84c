/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver of a few lines, for tests of any virtio device: finds the structures by their
 * capabilities as a real one does, and talks to the device through the memory bus only.
 * Next in the flow: dev_virtio_test.c.
 */
#ifndef WATARI_TESTS_DEV_VIRTIO_DRIVER_H
#define WATARI_TESTS_DEV_VIRTIO_DRIVER_H

#include "tests/unit/dev_pci_rig.h"
#include "tests/unit/dev_virtio_ring.h"

#define VIRTIO_1         (1ull << 32)
#define VIRTIO_EVENT_IDX (1ull << 29)

struct driver {
	struct pci_rig *r;
	unsigned slot;
	uint64_t common, notify, isr, device;
	uint32_t notify_step;
};

static inline uint64_t driver_structure(struct driver *d, uint8_t type, unsigned *cap)
{
	for (unsigned nth = 0;; nth++) {
		unsigned at = cfg_cap(d->r, d->slot, 0x09, nth);

		if (!at)
			return 0;
		if (cfg_get(d->r, d->slot, at + 3, 1) != type)
			continue;
		if (cap)
			*cap = at;
		return (cfg_get(d->r, d->slot, 0x10 + 4 * cfg_get(d->r, d->slot, at + 4, 1), 4) &
			       ~0xfu) +
		       cfg_get(d->r, d->slot, at + 8, 4);
	}
}

static inline struct driver driver_at(struct pci_rig *r, unsigned slot)
{
	struct driver d = { .r = r, .slot = slot };
	unsigned cap;

	d.common = driver_structure(&d, 1, NULL);
	d.notify = driver_structure(&d, 2, &cap);
	d.isr = driver_structure(&d, 3, NULL);
	d.device = driver_structure(&d, 4, NULL);
	d.notify_step = cfg_get(r, slot, cap + 16, 4);
	return d;
}

/* Fields of the common structure, by offset (virtio 1.2, 4.1.4.3). */
static inline uint64_t common_get(struct driver *d, unsigned off, unsigned size)
{
	return bus_read(&d->r->mmio, d->common + off, size);
}

static inline void common_set(struct driver *d, unsigned off, unsigned size, uint64_t v)
{
	bus_write(&d->r->mmio, d->common + off, size, v);
}

static inline uint8_t driver_status(struct driver *d)
{
	return (uint8_t)common_get(d, 20, 1);
}

static inline void driver_set_status(struct driver *d, uint8_t v)
{
	common_set(d, 20, 1, v);
}

static inline uint64_t driver_offered(struct driver *d)
{
	uint64_t v;

	common_set(d, 0, 4, 0);
	v = common_get(d, 4, 4);
	common_set(d, 0, 4, 1);
	return v | common_get(d, 4, 4) << 32;
}

/* Up to FEATURES_OK; returns whether the device agrees. */
static inline bool driver_negotiate(struct driver *d, uint64_t features)
{
	driver_set_status(d, 1);
	driver_set_status(d, 3);
	common_set(d, 8, 4, 0);
	common_set(d, 12, 4, features & 0xffffffff);
	common_set(d, 8, 4, 1);
	common_set(d, 12, 4, features >> 32);
	driver_set_status(d, 0x0b);
	return driver_status(d) & 8;
}

/* Queue @q with @ring, interrupting by vector @vector. */
static inline void driver_queue(
	struct driver *d, unsigned q, const struct ring *ring, uint16_t vector)
{
	common_set(d, 22, 2, q);
	common_set(d, 24, 2, ring->size);
	common_set(d, 26, 2, vector);
	common_set(d, 32, 8, ring->desc);
	common_set(d, 40, 4, ring->avail & 0xffffffff);
	common_set(d, 44, 4, ring->avail >> 32);
	common_set(d, 48, 8, ring->used);
	common_set(d, 28, 2, 1);
}

static inline void driver_kick(struct driver *d, unsigned q)
{
	bus_write(&d->r->mmio, d->notify + (uint64_t)d->notify_step * q, 2, q);
}

/* MSI-X on; vector @v sends data 0x40 + @v. @n of them. */
static inline void driver_vectors(struct driver *d, unsigned n)
{
	unsigned cap = cfg_cap(d->r, d->slot, 0x11, 0);
	uint32_t where = cfg_get(d->r, d->slot, cap + 4, 4);
	uint64_t table =
		(cfg_get(d->r, d->slot, 0x10 + 4 * (where & 7), 4) & ~0xfu) + (where & ~7u);

	for (unsigned v = 0; v < n; v++) {
		bus_write(&d->r->mmio, table + 16 * v, 8, 0xfee00000);
		bus_write(&d->r->mmio, table + 16 * v + 8, 8, 0x40 + v);
	}
	cfg_set(d->r, d->slot, cap + 2, 2, 0x8000);
}

#endif
