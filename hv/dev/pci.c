/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns bus 0: the two ways into configuration space, and the window of memory that its BARs share
 * (see pci.h). Must never let an access reach a device that is not all inside one of its BARs.
 * Invariant: bar_addr[] of every function is what its configuration space says, as far as that is a
 * place in the window and memory decoding is on; and bar_moved() was told each change.
 * Next in the flow: pci_dev.c (one function), virtio_pci.c.
 */
#include "hv/dev/pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/machine.h"
#include "hv/dev/pci_bus.h"

#define PCI_ADDR_ENABLE 0x80000000u
#define PCI_ADDR_KEPT   0x80fffffcu /* enable, bus, device, function, register */

/* Lock held. The function at bus @bus, device and function @devfn, or NULL. */
static struct pci_dev *bus_dev(struct pci_bus *b, unsigned bus, unsigned devfn)
{
	return bus == 0 && (devfn & 7) == 0 ? b->dev[devfn >> 3] : NULL;
}

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

/* An access to configuration space is at most a word of four bytes, aligned to its size. */
static uint64_t config_read(struct pci_bus *b, unsigned devfn, unsigned off, unsigned size)
{
	struct pci_dev *d = bus_dev(b, devfn >> 8, devfn & 0xff);

	if (!d || size > 4 || off % size)
		return ones(size);
	return pci_dev_config_read(d, off, size);
}

static void config_write(
	struct pci_bus *b, unsigned devfn, unsigned off, unsigned size, uint32_t val)
{
	struct pci_dev *d = bus_dev(b, devfn >> 8, devfn & 0xff);

	if (d && size <= 4 && off % size == 0)
		pci_dev_config_write(d, off, size, val);
}

static uint64_t port_addr_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *b = dev;
	uint64_t v;

	(void)off;
	(void)size;
	pthread_mutex_lock(&b->lock);
	v = b->address;
	pthread_mutex_unlock(&b->lock);
	return v;
}

static void port_addr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *b = dev;

	(void)off;
	(void)size;
	pthread_mutex_lock(&b->lock);
	b->address = (uint32_t)val & PCI_ADDR_KEPT;
	pthread_mutex_unlock(&b->lock);
}

static uint64_t port_data_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *b = dev;
	uint64_t v = ones(size);

	pthread_mutex_lock(&b->lock);
	if (b->address & PCI_ADDR_ENABLE)
		v = config_read(
			b, b->address >> 8 & 0xffff, (b->address & 0xfc) + (unsigned)off, size);
	pthread_mutex_unlock(&b->lock);
	return v;
}

static void port_data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *b = dev;

	pthread_mutex_lock(&b->lock);
	if (b->address & PCI_ADDR_ENABLE)
		config_write(b, b->address >> 8 & 0xffff, (b->address & 0xfc) + (unsigned)off, size,
			(uint32_t)val);
	pthread_mutex_unlock(&b->lock);
}

static uint64_t ecam_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *b = dev;
	uint64_t v;

	pthread_mutex_lock(&b->lock);
	v = config_read(b, (unsigned)(off >> 12), off & 0xfff, size);
	pthread_mutex_unlock(&b->lock);
	return v;
}

static void ecam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *b = dev;

	pthread_mutex_lock(&b->lock);
	config_write(b, (unsigned)(off >> 12), off & 0xfff, size, (uint32_t)val);
	pthread_mutex_unlock(&b->lock);
}

/* Lock held. The function with a BAR that holds all of addr..addr+size-1; of two, the first. */
static struct pci_dev *window_find(
	struct pci_bus *b, uint64_t addr, unsigned size, unsigned *bar, uint64_t *off)
{
	for (unsigned s = 0; s < PCI_SLOTS; s++) {
		struct pci_dev *d = b->dev[s];

		for (unsigned i = 0; d && i < PCI_BARS; i++) {
			uint64_t at = d->bar_addr[i], len = d->bar_size[i];

			if (!at || addr < at || addr - at >= len || size > len - (addr - at))
				continue;
			*bar = i;
			*off = addr - at;
			return d;
		}
	}
	return NULL;
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size)
{
	struct pci_bus *b = dev;
	uint64_t v = ones(size), at;
	struct pci_dev *d;
	unsigned bar;

	pthread_mutex_lock(&b->lock);
	d = window_find(b, MACHINE_PCI_MEM_BASE + off, size, &bar, &at);
	if (d)
		v = pci_dev_bar_read(d, bar, at, size);
	pthread_mutex_unlock(&b->lock);
	return v;
}

static void window_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_bus *b = dev;
	struct pci_dev *d;
	unsigned bar;
	uint64_t at;

	pthread_mutex_lock(&b->lock);
	d = window_find(b, MACHINE_PCI_MEM_BASE + off, size, &bar, &at);
	if (d)
		pci_dev_bar_write(d, bar, at, size, val);
	pthread_mutex_unlock(&b->lock);
}

const struct pci_wires *pci_bus_wires(const struct pci_bus *b)
{
	return &b->wires;
}

int pci_dev_plug(struct pci_dev *d, struct pci_bus *b, unsigned slot, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&b->lock);
	for (unsigned i = 1; slot == 0 && i < PCI_SLOTS; i++) {
		if (!b->dev[i])
			slot = i;
	}
	if (slot == 0 || slot >= PCI_SLOTS)
		r = err_set(e, -ENOSPC, "no PCI slot is free: the guest has %u devices already",
			PCI_SLOTS - 1);
	else if (b->dev[slot])
		r = err_set(e, -EEXIST, "PCI slot %u is taken", slot);
	else {
		b->dev[slot] = d;
		d->bus = b;
		d->slot = slot;
		pci_dev_place(d);
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

static void pci_bus_reset(void *self)
{
	struct pci_bus *b = self;

	pthread_mutex_lock(&b->lock);
	b->address = 0;
	pthread_mutex_unlock(&b->lock);
	pci_dev_reset(&b->bridge);
}

static void pci_bus_save(void *self, struct wbuf *w)
{
	struct pci_bus *b = self;

	wbuf_u32(w, b->address);
	pci_dev_save(&b->bridge, w);
}

static int pci_bus_load(void *self, struct section *s, struct err *e)
{
	struct pci_bus *b = self;
	int r = section_version(s, pci_bus_dev_ops.version, e);
	uint32_t address;

	if (r)
		return r;
	address = rbuf_u32(&s->body);
	if (address & ~PCI_ADDR_KEPT)
		return err_set(
			e, -EPROTO, "pci: configuration address 0x%08x is impossible", address);
	r = pci_dev_load(&b->bridge, &s->body, e);
	if (r)
		return err_wrap(e, "pci");
	r = section_done(s, e);
	if (r == 0)
		b->address = address;
	return r;
}

static void pci_bus_free(void *self)
{
	struct pci_bus *b = self;

	pci_dev_fini(&b->bridge);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

const struct dev_ops pci_bus_dev_ops = {
	.name = "pci",
	.version = 1,
	.reset = pci_bus_reset,
	.save = pci_bus_save,
	.load = pci_bus_load,
	.free = pci_bus_free,
};

int pci_bus_new(struct pci_bus **out, struct bus *pio, struct bus *mmio,
	const struct pci_wires *wires, struct err *e)
{
	/* The generic bridge of Red Hat's range, which no system has a special case for. */
	static const struct pci_ident bridge = {
		.vendor = 0x1b36,
		.device = 0x0008,
		.subvendor = 0x1af4,
		.subdevice = 0x1100,
		.class_code = 0x060000,
	};
	struct pci_bus *b = calloc(1, sizeof(*b));
	const struct bus_range port[] = {
		{ .base = MACHINE_PORT_PCI_ADDR,
			.len = 4,
			.width = 4,
			.read = port_addr_read,
			.write = port_addr_write,
			.dev = b },
		{ .base = MACHINE_PORT_PCI_DATA,
			.len = 4,
			.read = port_data_read,
			.write = port_data_write,
			.dev = b },
	};
	const struct bus_range mem[] = {
		{ .base = MACHINE_PCI_ECAM_BASE,
			.len = MACHINE_PCI_ECAM_SIZE,
			.read = ecam_read,
			.write = ecam_write,
			.dev = b },
		{ .base = MACHINE_PCI_MEM_BASE,
			.len = MACHINE_PCI_MEM_SIZE,
			.read = window_read,
			.write = window_write,
			.dev = b },
	};
	int r = 0;

	if (!b)
		return err_set(e, -ENOMEM, "no memory for the PCI bus");
	pthread_mutex_init(&b->lock, NULL);
	b->wires = *wires;
	pci_dev_init(&b->bridge, &bridge, NULL, NULL);
	b->bridge.bus = b;
	b->dev[0] = &b->bridge;
	for (size_t i = 0; r == 0 && i < 2; i++) {
		r = bus_add(pio, &port[i], e);
		if (r == 0)
			r = bus_add(mmio, &mem[i], e);
	}
	if (r)
		pci_bus_free(b);
	else
		*out = b;
	return r;
}
