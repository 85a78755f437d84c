/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the test driver (see virtio_driver.h). Must never look into the device but for its address.
 * Next in the flow: hv/dev/virtio_pci.c, which it talks to.
 */
#include "tests/lib/virtio_driver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CF8         0xcf8u
#define CFC         0xcfcu
#define CMD_MEMORY  6u /* memory decoding, bus master */
#define CAP_VENDOR  0x09u
#define CAP_MSIX    0x11u
#define RING_STEP   0x10000u /* guest memory of one queue's rings */
#define RING_START  0x100000u
#define DESC_NEXT   1u
#define DESC_WRITE  2u
#define MSI_ADDRESS 0xfee00000u

/* Where hv/dev/virtio_pci.c has its structures, as its capabilities say. */
enum { COMMON = 0x0000, DEVICE = 0x2000, NOTIFY = 0x3000, TABLE = 0x4000 };
enum {
	DEV_SEL = 0,
	DEV_FEAT = 4,
	DRV_SEL = 8,
	DRV_FEAT = 12,
	CFG_VEC = 16,
	STATUS = 20,
	Q_SEL = 22,
	Q_SIZE = 24,
	Q_VEC = 26,
	Q_ENABLE = 28,
	Q_DESC = 32,
	Q_AVAIL = 40,
	Q_USED = 48
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "virtio driver of the test: %s\n", what);
	abort();
}

static void drv_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct drv *d = arg;

	if (addr == MSI_ADDRESS && data < DRV_VECTORS)
		__atomic_fetch_add(&d->msi[data], 1, __ATOMIC_RELAXED);
}

/* No eventfd behind an address here: kicks arrive as accesses. */
static int drv_no_kick(void *arg, uint64_t addr, int fd, bool on)
{
	(void)arg;
	(void)addr;
	(void)fd;
	(void)on;
	return -ENOSYS;
}

void drv_init(struct drv *d)
{
	const struct pci_wires wires = { .msi = drv_msi, .kick = drv_no_kick, .arg = d };
	struct err e = { 0 };

	memset(d, 0, sizeof(*d));
	must(gmem_init(&d->mem, DRV_MEMORY, &e) == 0, e.msg);
	bus_init(&d->pio);
	bus_init(&d->mmio);
	must(pci_bus_new(&d->bus, &d->pio, &d->mmio, &wires, &e) == 0, e.msg);
}

void drv_fini(struct drv *d)
{
	if (d->v)
		virtio_dev_free(d->v);
	pci_bus_dev_ops.free(d->bus);
	bus_fini(&d->mmio);
	bus_fini(&d->pio);
	gmem_fini(&d->mem);
}

/* ---- registers --------------------------------------------------------------------------------
 */

static uint32_t pci_get(struct drv *d, unsigned slot, unsigned off, unsigned size)
{
	bus_write(&d->pio, CF8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
	return (uint32_t)bus_read(&d->pio, CFC + (off & 3), size);
}

static void pci_set(struct drv *d, unsigned slot, unsigned off, unsigned size, uint32_t v)
{
	bus_write(&d->pio, CF8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
	bus_write(&d->pio, CFC + (off & 3), size, v);
}

static uint64_t reg(struct drv *d, unsigned off, unsigned size)
{
	return bus_read(&d->mmio, d->bar + off, size);
}

static void set(struct drv *d, unsigned off, unsigned size, uint64_t v)
{
	bus_write(&d->mmio, d->bar + off, size, v);
}

/* The first virtio function: memory decoding on, every vector of MSI-X unmasked. */
static void drv_find(struct drv *d)
{
	unsigned slot = 1;

	while (slot < PCI_SLOTS && pci_get(d, slot, 0, 2) != 0x1af4)
		slot++;
	must(slot < PCI_SLOTS, "no virtio device is on the bus");
	pci_set(d, slot, 4, 2, CMD_MEMORY);
	d->bar = pci_get(d, slot, 0x10, 4) & ~0xfu;
	must(d->bar, "the device has no memory");
	for (unsigned cap = pci_get(d, slot, 0x34, 1); cap; cap = pci_get(d, slot, cap + 1, 1)) {
		if (pci_get(d, slot, cap, 1) != CAP_MSIX)
			continue;
		for (unsigned i = 0; i <= (pci_get(d, slot, cap + 2, 2) & 0x7ff); i++) {
			set(d, TABLE + 16 * i, 4, MSI_ADDRESS);
			set(d, TABLE + 16 * i + 4, 4, 0);
			set(d, TABLE + 16 * i + 8, 4, i);
			set(d, TABLE + 16 * i + 12, 4, 0);
		}
		pci_set(d, slot, cap + 2, 2, 0x8000);
	}
}

uint64_t drv_features(struct drv *d)
{
	uint64_t f;

	if (!d->bar)
		drv_find(d);
	set(d, DEV_SEL, 4, 1);
	f = reg(d, DEV_FEAT, 4) << 32;
	set(d, DEV_SEL, 4, 0);
	return f | reg(d, DEV_FEAT, 4);
}

uint8_t drv_status(struct drv *d)
{
	return (uint8_t)reg(d, STATUS, 1);
}

void drv_reset(struct drv *d)
{
	set(d, STATUS, 1, 0);
	must(drv_status(d) == 0, "the device did not reset");
}

uint64_t drv_config(struct drv *d, unsigned off, unsigned size)
{
	return reg(d, DEVICE + off, size);
}

void drv_config_write(struct drv *d, unsigned off, unsigned size, uint64_t val)
{
	set(d, DEVICE + off, size, val);
}

static void drv_queue_start(struct drv *d, unsigned i, uint16_t size)
{
	struct drv_queue *q = &d->q[i];

	*q = (struct drv_queue){ .index = i, .size = size };
	q->desc = RING_START + (uint64_t)i * RING_STEP;
	q->ring = q->desc + 0x4000;
	q->used = q->desc + 0x8000;
	memset(gmem_view(&d->mem, q->desc, RING_STEP), 0, RING_STEP);
	set(d, Q_SEL, 2, i);
	set(d, Q_SIZE, 2, size);
	set(d, Q_VEC, 2, i + 1);
	must(reg(d, Q_SIZE, 2) == size, "the device does not take this size of a queue");
	set(d, Q_DESC, 4, q->desc);
	set(d, Q_AVAIL, 4, q->ring);
	set(d, Q_USED, 4, q->used);
	set(d, Q_ENABLE, 2, 1);
}

uint64_t drv_start(struct drv *d, uint64_t want, unsigned queues, uint16_t size)
{
	uint64_t f = (drv_features(d) & want) | DRV_VERSION1;

	drv_reset(d);
	set(d, STATUS, 1, DRV_ACK | DRV_DRIVER);
	set(d, DRV_SEL, 4, 0);
	set(d, DRV_FEAT, 4, (uint32_t)f);
	set(d, DRV_SEL, 4, 1);
	set(d, DRV_FEAT, 4, f >> 32);
	set(d, STATUS, 1, DRV_ACK | DRV_DRIVER | DRV_FEATURES_OK);
	must(drv_status(d) & DRV_FEATURES_OK, "the device refused its own features");
	set(d, CFG_VEC, 2, 0);
	for (unsigned i = 0; i < queues; i++)
		drv_queue_start(d, i, size);
	set(d, STATUS, 1, DRV_ACK | DRV_DRIVER | DRV_FEATURES_OK | DRV_OK);
	return f;
}

void drv_adopt(struct drv *d, const struct drv *from)
{
	d->bar = from->bar;
	memcpy(d->q, from->q, sizeof(d->q));
	memcpy(d->mem.regions[0].host, from->mem.regions[0].host, d->mem.regions[0].size);
}

/* ---- rings ------------------------------------------------------------------------------------
 */

static uint16_t get16(struct drv *d, uint64_t gpa)
{
	return __atomic_load_n((uint16_t *)(void *)gmem_view(&d->mem, gpa, 2), __ATOMIC_ACQUIRE);
}

static void put16(struct drv *d, uint64_t gpa, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)gmem_view(&d->mem, gpa, 2), v, __ATOMIC_RELEASE);
}

void drv_add(struct drv *d, unsigned i, const struct drv_seg *seg, unsigned n)
{
	struct drv_queue *q = &d->q[i];
	uint16_t head = q->free;

	for (unsigned k = 0; k < n; k++) {
		uint8_t *p = gmem_view(&d->mem, q->desc + 16ull * q->free, 16);
		uint16_t next = (uint16_t)((q->free + 1) % q->size);
		uint16_t flags =
			(uint16_t)((k + 1 < n ? DESC_NEXT : 0) | (seg[k].in ? DESC_WRITE : 0));

		memcpy(p, &seg[k].gpa, 8);
		memcpy(p + 8, &seg[k].len, 4);
		memcpy(p + 12, &flags, 2);
		memcpy(p + 14, &next, 2);
		q->free = next;
	}
	put16(d, q->ring + 4 + 2ull * (q->avail % q->size), head);
	put16(d, q->ring + 2, ++q->avail);
}

void drv_run(struct drv *d)
{
	for (int idle = 0; idle < 2;)
		idle = virtio_poll(d->v) ? 0 : idle + 1;
}

void drv_notify(struct drv *d, unsigned q)
{
	set(d, NOTIFY + 4 * q, 2, q);
}

void drv_kick(struct drv *d, unsigned q)
{
	drv_notify(d, q);
	drv_run(d);
}

int drv_used(struct drv *d, unsigned i, uint32_t *len)
{
	struct drv_queue *q = &d->q[i];
	uint32_t entry[2];

	if (get16(d, q->used + 2) == q->seen)
		return -1;
	memcpy(entry, gmem_view(&d->mem, q->used + 4 + 8ull * (q->seen % q->size), 8), 8);
	q->seen++;
	if (len)
		*len = entry[1];
	return (int)entry[0];
}

void drv_put(struct drv *d, uint64_t gpa, const void *p, size_t n)
{
	memcpy(gmem_view(&d->mem, gpa, n), p, n);
}

void drv_get(struct drv *d, uint64_t gpa, void *p, size_t n)
{
	memcpy(p, gmem_view(&d->mem, gpa, n), n);
}

void drv_save(struct drv *d, const struct dev_ops *ops, struct wbuf *w)
{
	ops->quiesce(d->v);
	ops->save(d->v, w);
	must(!w->failed, "no memory for its state");
}

int drv_load(struct drv *d, const struct dev_ops *ops, const void *p, size_t n, struct err *e)
{
	struct section s = { .version = ops->version, .body = rbuf_of(p, n) };

	snprintf(s.name, sizeof(s.name), "%s", ops->name);
	return ops->load(d->v, &s, e);
}
