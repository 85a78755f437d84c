/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns virtio's registers on PCI (virtio 1.2, 4.1.4): one BAR with the structures that the
 * capabilities point to, and the window into it in configuration space. Must never take a queue's
 * setting once the driver is ready, nor a value it could not run with.
 *
 *   0x0000 common   0x1000 ISR   0x2000 device   0x3000 notify, 4 bytes a queue
 *   0x4000 MSI-X table   0x5000 pending bits (pci_dev.c serves these two)
 *
 * Next in the flow: virtio.c.
 */
#include <errno.h>
#include <string.h>

#include "hv/dev/virtio_core.h"

#define VP_BAR         0u
#define VP_BAR_SIZE    0x8000u
#define VP_COMMON      0x0000u
#define VP_ISR         0x1000u
#define VP_DEVICE      0x2000u
#define VP_NOTIFY      0x3000u
#define VP_TABLE       0x4000u
#define VP_PBA         0x5000u
#define VP_NOTIFY_STEP 4u

/* Common configuration (4.1.4.3), without what features not offered here add. */
enum {
	COMMON_DEVICE_FEATURE_SEL = 0,
	COMMON_DEVICE_FEATURE = 4,
	COMMON_DRIVER_FEATURE_SEL = 8,
	COMMON_DRIVER_FEATURE = 12,
	COMMON_CONFIG_VECTOR = 16,
	COMMON_QUEUES = 18,
	COMMON_STATUS = 20,
	COMMON_GENERATION = 21,
	COMMON_QUEUE_SEL = 22,
	COMMON_QUEUE_SIZE = 24,
	COMMON_QUEUE_VECTOR = 26,
	COMMON_QUEUE_ENABLE = 28,
	COMMON_QUEUE_NOTIFY = 30,
	COMMON_QUEUE_DESC = 32,
	COMMON_QUEUE_AVAIL = 40,
	COMMON_QUEUE_USED = 48,
	COMMON_LEN = 56,
};

/* Capabilities (4.1.4): where each structure is. */
enum { VP_CAP_ID = 0x09 };
enum { VP_CAP_COMMON = 1, VP_CAP_NOTIFY, VP_CAP_ISR, VP_CAP_DEVICE, VP_CAP_WINDOW };

/* Offsets in a capability. */
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_EXTRA = 16, CAP_LEN = 20 };

static struct virtio_vq *vp_selected(struct virtio *v)
{
	return v->r.queue_sel < v->nq ? &v->vq[v->r.queue_sel] : NULL;
}

static uint32_t vp_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void vp_put(uint8_t *image, unsigned off, unsigned size, uint64_t val)
{
	for (unsigned i = 0; i < size; i++)
		image[off + i] = (uint8_t)(val >> (8 * i));
}

/* The whole structure as it reads now. */
static void vp_common_image(struct virtio *v, uint8_t image[COMMON_LEN])
{
	const struct virtio_regs *r = &v->r;
	const struct virtio_vq *q = vp_selected(v);

	memset(image, 0, COMMON_LEN);
	vp_put(image, COMMON_DEVICE_FEATURE_SEL, 4, r->device_feature_sel);
	vp_put(image, COMMON_DEVICE_FEATURE, 4, vp_half(v->features, r->device_feature_sel));
	vp_put(image, COMMON_DRIVER_FEATURE_SEL, 4, r->driver_feature_sel);
	vp_put(image, COMMON_DRIVER_FEATURE, 4, vp_half(r->driver_features, r->driver_feature_sel));
	vp_put(image, COMMON_CONFIG_VECTOR, 2, r->config_vector);
	vp_put(image, COMMON_QUEUES, 2, v->nq);
	vp_put(image, COMMON_STATUS, 1, r->status);
	vp_put(image, COMMON_GENERATION, 1, r->generation);
	vp_put(image, COMMON_QUEUE_SEL, 2, r->queue_sel);
	if (!q)
		return; /* size 0: no such queue */
	vp_put(image, COMMON_QUEUE_SIZE, 2, q->size);
	vp_put(image, COMMON_QUEUE_VECTOR, 2, q->vector);
	vp_put(image, COMMON_QUEUE_ENABLE, 2, q->enabled);
	vp_put(image, COMMON_QUEUE_NOTIFY, 2, r->queue_sel);
	vp_put(image, COMMON_QUEUE_DESC, 8, q->desc);
	vp_put(image, COMMON_QUEUE_AVAIL, 8, q->avail);
	vp_put(image, COMMON_QUEUE_USED, 8, q->used);
}

static uint64_t vp_bytes(const uint8_t *p, uint64_t len, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size && off + i < len; i++)
		v |= (uint64_t)p[off + i] << (8 * i);
	return v;
}

/* A vector beyond the table is refused by reading back as none (4.1.5.1.2.2). */
static uint16_t vp_vector(const struct virtio *v, uint64_t val)
{
	return val < v->pci.msix.n ? (uint16_t)val : VIRTIO_NO_VECTOR;
}

/* Replaces @size bytes at @off of a 64-bit register. */
static void vp_set_part(uint64_t *reg, unsigned off, unsigned size, uint64_t val)
{
	uint64_t mask = (size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1) << (8 * off);

	*reg = (*reg & ~mask) | (val << (8 * off) & mask);
}

/* Settings of the selected queue; only before the driver is ready (2.1.2, 4.1.4.3.2). */
static void vp_queue_write(struct virtio *v, unsigned off, unsigned size, uint64_t val)
{
	struct virtio_vq *q = vp_selected(v);

	if (!q)
		return;
	if (off == COMMON_QUEUE_VECTOR && size == 2)
		q->vector = vp_vector(v, val);
	if (v->r.status & VIRTIO_ST_DRIVER_OK)
		return;
	if (off >= COMMON_QUEUE_USED && (size >= 4))
		vp_set_part(&q->used, off - COMMON_QUEUE_USED, size, val);
	else if (off >= COMMON_QUEUE_AVAIL && size >= 4)
		vp_set_part(&q->avail, off - COMMON_QUEUE_AVAIL, size, val);
	else if (off >= COMMON_QUEUE_DESC && size >= 4)
		vp_set_part(&q->desc, off - COMMON_QUEUE_DESC, size, val);
	else if (off == COMMON_QUEUE_SIZE && size == 2 && val && val <= v->queue_max &&
		 !(val & (val - 1)))
		q->size = (uint16_t)val;
	else if (off == COMMON_QUEUE_ENABLE && size == 2 && val == 1)
		q->enabled = true;
}

/* Fields are written in their own size, 64-bit ones also by halves (4.1.3.1); else ignored. */
static void vp_common_write(struct virtio *v, unsigned off, unsigned size, uint64_t val)
{
	struct virtio_regs *r = &v->r;

	if (off == COMMON_STATUS && size == 1) {
		virtio_set_status(v, (uint8_t)val);
		return;
	}
	/* Until the reset is done nothing else is heard. */
	if (v->resetting || off % size)
		return;
	if (off >= COMMON_QUEUE_SIZE)
		vp_queue_write(v, off, size, val);
	else if (off == COMMON_DEVICE_FEATURE_SEL && size == 4)
		r->device_feature_sel = (uint32_t)val;
	else if (off == COMMON_DRIVER_FEATURE_SEL && size == 4)
		r->driver_feature_sel = (uint32_t)val;
	else if (off == COMMON_DRIVER_FEATURE && size == 4 && r->driver_feature_sel < 2 &&
		 !(r->status & VIRTIO_ST_FEATURES_OK))
		vp_set_part(&r->driver_features, 4 * r->driver_feature_sel, 4, val);
	else if (off == COMMON_CONFIG_VECTOR && size == 2)
		r->config_vector = vp_vector(v, val);
	else if (off == COMMON_QUEUE_SEL && size == 2)
		r->queue_sel = (uint16_t)val;
}

static void vp_device_write(struct virtio *v, uint64_t off, unsigned size, uint64_t val)
{
	if (off < v->config_rw || off - v->config_rw >= v->config_rw_len ||
		size > v->config_rw_len - (off - v->config_rw))
		return;
	vp_put(v->config, (unsigned)off, size, val);
	if (v->ops->config_written)
		v->ops->config_written(v->self, (unsigned)off, size);
}

static uint64_t vp_bar_read(void *self, unsigned bar, uint64_t off, unsigned size)
{
	uint8_t image[COMMON_LEN];
	struct virtio *v = self;
	uint64_t val = 0;

	(void)bar;
	pthread_mutex_lock(&v->lock);
	if (off < VP_ISR) {
		vp_common_image(v, image);
		val = vp_bytes(image, COMMON_LEN, off - VP_COMMON, size);
	} else if (off == VP_ISR) {
		val = v->r.isr;
		v->r.isr = 0;
	} else if (off >= VP_DEVICE && off < VP_NOTIFY) {
		val = vp_bytes(v->config, v->config_len, off - VP_DEVICE, size);
	}
	pthread_mutex_unlock(&v->lock);
	return val;
}

static void vp_bar_write(void *self, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	struct virtio *v = self;

	(void)bar;
	if (off >= VP_NOTIFY && off < VP_NOTIFY + VP_NOTIFY_STEP * v->nq) {
		/* No lock: a kick is a write to an eventfd, wherever it is seen. */
		virtio_kick(v, (unsigned)(off - VP_NOTIFY) / VP_NOTIFY_STEP);
		return;
	}
	pthread_mutex_lock(&v->lock);
	if (off + size <= VP_COMMON + COMMON_LEN)
		vp_common_write(v, (unsigned)off, size, val);
	else if (off >= VP_DEVICE && off < VP_NOTIFY)
		vp_device_write(v, off - VP_DEVICE, size, val);
	pthread_mutex_unlock(&v->lock);
}

/* Kicks are wired for as long as the BAR is somewhere, whether the device is active or not: at a
 * load they are then in place already. */
static void vp_bar_moved(void *self, unsigned bar, uint64_t addr)
{
	struct virtio *v = self;
	const struct pci_wires *w = pci_bus_wires(v->pci.bus);

	(void)bar;
	for (unsigned i = 0; i < v->nq; i++) {
		uint64_t off = VP_NOTIFY + VP_NOTIFY_STEP * i;

		if (v->kick_addr)
			(void)w->kick(w->arg, v->kick_addr + off, v->vq[i].kick_fd, false);
		if (addr)
			(void)w->kick(w->arg, addr + off, v->vq[i].kick_fd, true);
	}
	v->kick_addr = addr;
}

/* What the window capability points at (4.1.4.9): true if it is an access that may be made. */
static bool vp_window(const struct virtio *v, unsigned off, uint32_t *at, unsigned *size)
{
	unsigned cap = v->pci_cfg_cap;

	if (off < cap + CAP_EXTRA || off >= cap + CAP_LEN)
		return false;
	*at = pci_config_get(v->pci.config, cap + CAP_OFFSET, 4);
	*size = pci_config_get(v->pci.config, cap + CAP_LENGTH, 4);
	return (*size == 1 || *size == 2 || *size == 4) && *at % *size == 0 &&
	       v->pci.config[cap + CAP_BAR] == VP_BAR && *at < VP_BAR_SIZE;
}

static void vp_config_read(void *self, unsigned off, unsigned size)
{
	struct virtio *v = self;
	unsigned len;
	uint32_t at;

	(void)size;
	if (vp_window(v, off, &at, &len))
		pci_config_set(v->pci.config, v->pci_cfg_cap + CAP_EXTRA, len,
			(uint32_t)vp_bar_read(v, VP_BAR, at, len));
}

static void vp_config_write(void *self, unsigned off, unsigned size)
{
	struct virtio *v = self;
	unsigned len;
	uint32_t at;

	(void)size;
	if (vp_window(v, off, &at, &len))
		vp_bar_write(v, VP_BAR, at, len,
			pci_config_get(v->pci.config, v->pci_cfg_cap + CAP_EXTRA, len));
}

static const struct pci_ops vp_ops = {
	.bar_read = vp_bar_read,
	.bar_write = vp_bar_write,
	.bar_moved = vp_bar_moved,
	.config_read = vp_config_read,
	.config_write = vp_config_write,
};

/* @extra: the four bytes behind, for those that have them; len CAP_LEN then. */
static unsigned vp_cap(
	struct pci_dev *d, uint8_t type, uint32_t off, uint32_t size, uint32_t extra, uint8_t len)
{
	uint8_t cap[CAP_LEN] = { 0 };

	cap[2] = len;
	cap[CAP_TYPE] = type;
	cap[CAP_BAR] = VP_BAR;
	pci_config_set(cap, CAP_OFFSET, 4, off);
	pci_config_set(cap, CAP_LENGTH, 4, size);
	pci_config_set(cap, CAP_EXTRA, 4, extra);
	/* pci_dev_cap() writes the first two bytes, identity and link. */
	return pci_dev_cap(d, VP_CAP_ID, cap + 2, len - 2u);
}

int virtio_pci_init(struct virtio *v, struct pci_bus *bus, unsigned slot, struct err *e)
{
	const struct pci_ident id = {
		.vendor = 0x1af4,
		.device = (uint16_t)(0x1040 + v->ops->id), /* 4.1.2.1: not transitional */
		.subvendor = 0x1af4,
		.subdevice = 0x1100,
		.class_code = v->ops->class_code,
		.revision = 1,
	};
	struct pci_dev *d = &v->pci;
	int r;

	pci_dev_init(d, &id, &vp_ops, v);
	pci_dev_bar(d, VP_BAR, VP_BAR_SIZE);
	vp_cap(d, VP_CAP_COMMON, VP_COMMON, COMMON_LEN, 0, CAP_EXTRA);
	vp_cap(d, VP_CAP_NOTIFY, VP_NOTIFY, VP_NOTIFY_STEP * v->nq, VP_NOTIFY_STEP, CAP_LEN);
	vp_cap(d, VP_CAP_ISR, VP_ISR, 1, 0, CAP_EXTRA);
	if (v->config_len)
		vp_cap(d, VP_CAP_DEVICE, VP_DEVICE, v->config_len, 0, CAP_EXTRA);
	v->pci_cfg_cap = vp_cap(d, VP_CAP_WINDOW, 0, 0, 0, CAP_LEN);
	pci_config_set(d->mask, v->pci_cfg_cap + CAP_BAR, 1, 0xff);
	pci_config_set(d->mask, v->pci_cfg_cap + CAP_OFFSET, 4, 0xffffffff);
	pci_config_set(d->mask, v->pci_cfg_cap + CAP_LENGTH, 4, 0xffffffff);
	pci_config_set(d->mask, v->pci_cfg_cap + CAP_EXTRA, 4, 0xffffffff);
	/* One for each queue, one for the configuration. */
	r = pci_dev_msix(d, v->nq + 1, VP_BAR, VP_TABLE, VP_PBA, e);
	return r ? r : pci_dev_plug(d, bus, slot, e);
}
