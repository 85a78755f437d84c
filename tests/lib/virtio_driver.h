/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for tests of virtio devices: memory, a PCI bus, and a driver that talks to the device as
 * a guest does, by registers and rings, without KVM. Knows one device, in the first slot.
 * Invariant: reaches the device only through the bus, so what works here works for a guest.
 * Next in the flow: tests/unit/dev_virtio_net_test.c.
 */
#ifndef WATARI_TESTS_VIRTIO_DRIVER_H
#define WATARI_TESTS_VIRTIO_DRIVER_H

#include <stdbool.h>

#include "hv/dev/virtio.h"

#define DRV_QUEUES   16u
#define DRV_VECTORS  (DRV_QUEUES + 1)
#define DRV_DATA     0x1000000u /* guest memory from here on is a test's to use */
#define DRV_MEMORY   GMEM_SIZE_MIN
#define DRV_VERSION1 (1ull << 32)
#define DRV_INDIRECT (1ull << 28)
#define DRV_EVENTIDX (1ull << 29)

/* Device status (virtio 1.2, 2.1). */
enum { DRV_ACK = 1, DRV_DRIVER = 2, DRV_OK = 4, DRV_FEATURES_OK = 8, DRV_NEEDS_RESET = 0x40 };

struct drv_seg {
	uint64_t gpa;
	uint32_t len;
	bool in; /* the device may write it */
};

struct drv_queue {
	unsigned index;
	uint16_t size, free, avail, seen; /* next free descriptor; indices */
	uint64_t desc, ring, used;
};

struct drv {
	struct gmem mem;
	struct bus pio, mmio;
	struct pci_bus *bus;
	struct virtio *v; /* the test's constructor fills it in, on @bus, in any slot */
	uint64_t bar;
	unsigned msi[DRV_VECTORS]; /* interrupts so far, by vector: queue @q has vector @q + 1 */
	struct drv_queue q[DRV_QUEUES];
};

/* Memory and bus; aborts the process on failure, as all of these. */
void drv_init(struct drv *d);
/* Frees the device too. */
void drv_fini(struct drv *d);
/* Finds the device and takes it through feature negotiation, @queues queues of @size. Returns what
 * was agreed on of @want, VERSION_1 added. */
uint64_t drv_start(struct drv *d, uint64_t want, unsigned queues, uint16_t size);
/* After a load: the rings of @from, another guest whose memory was copied. */
void drv_adopt(struct drv *d, const struct drv *from);

uint64_t drv_features(struct drv *d); /* offered */
uint8_t drv_status(struct drv *d);
void drv_reset(struct drv *d);
uint64_t drv_config(struct drv *d, unsigned off, unsigned size);
void drv_config_write(struct drv *d, unsigned off, unsigned size, uint64_t val);

/* Makes a request; the device sees it at the next kick. */
void drv_add(struct drv *d, unsigned q, const struct drv_seg *seg, unsigned n);
/* Kicks, and leaves the work to the worker or to virtio_poll(). */
void drv_notify(struct drv *d, unsigned q);
/* Kicks and lets the device work until it is idle. */
void drv_kick(struct drv *d, unsigned q);
void drv_run(struct drv *d);
/* The next request that came back: its first descriptor, and bytes written to @len; -1: none. */
int drv_used(struct drv *d, unsigned q, uint32_t *len);

void drv_put(struct drv *d, uint64_t gpa, const void *p, size_t n);
void drv_get(struct drv *d, uint64_t gpa, void *p, size_t n);

/* Its section, and into another device. @version as saved. */
void drv_save(struct drv *d, const struct dev_ops *ops, struct wbuf *w);
int drv_load(struct drv *d, const struct dev_ops *ops, const void *p, size_t n, struct err *e);

#endif
