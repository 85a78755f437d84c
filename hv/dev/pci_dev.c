/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns one function: its configuration space, where its BARs are, and the way from its MSI-X
 * capability to the table (see pci.h). Must never change a bit that mask[] does not allow.
 * Next in the flow: pci_msix.c, virtio_pci.c.
 */
#include <errno.h>
#include <string.h>

#include "hv/base/machine.h"
#include "hv/dev/pci_bus.h"

/* Offsets of the header (PCI Local Bus 3.0, 6.1) and of the MSI-X capability (6.8.2). */
enum {
	CFG_VENDOR = 0x00,
	CFG_DEVICE = 0x02,
	CFG_COMMAND = 0x04,
	CFG_STATUS = 0x06,
	CFG_REVISION = 0x08,
	CFG_CLASS = 0x09,
	CFG_CACHE_LINE = 0x0c,
	CFG_BAR0 = 0x10,
	CFG_SUBVENDOR = 0x2c,
	CFG_SUBDEVICE = 0x2e,
	CFG_CAPS = 0x34,
	CFG_IRQ_LINE = 0x3c,
	CFG_FIRST_CAP = 0x40,
	MSIX_CONTROL = 2,
};

#define CMD_MEMORY      0x0002u
#define CMD_WRITABLE    0x0546u /* memory, bus master, parity, SERR, INTx off */
#define STS_CAPS        0x0010u
#define CAP_MSIX        0x11u
#define MSIX_ENABLE     0x8000u
#define MSIX_ALL_MASKED 0x4000u

uint32_t pci_config_get(const uint8_t *config, unsigned off, unsigned size)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint32_t)config[off + i] << (8 * i);
	return v;
}

void pci_config_set(uint8_t *config, unsigned off, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < size; i++)
		config[off + i] = (uint8_t)(val >> (8 * i));
}

void pci_dev_init(
	struct pci_dev *d, const struct pci_ident *id, const struct pci_ops *ops, void *self)
{
	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->self = self;
	pci_config_set(d->config, CFG_VENDOR, 2, id->vendor);
	pci_config_set(d->config, CFG_DEVICE, 2, id->device);
	pci_config_set(d->config, CFG_REVISION, 1, id->revision);
	pci_config_set(d->config, CFG_CLASS, 3, id->class_code);
	pci_config_set(d->config, CFG_SUBVENDOR, 2, id->subvendor);
	pci_config_set(d->config, CFG_SUBDEVICE, 2, id->subdevice);
	pci_config_set(d->mask, CFG_COMMAND, 2, CMD_WRITABLE);
	pci_config_set(d->mask, CFG_CACHE_LINE, 1, 0xff);
	pci_config_set(d->mask, CFG_IRQ_LINE, 1, 0xff);
	d->cap_end = CFG_FIRST_CAP;
	memcpy(d->power_on, d->config, sizeof(d->config));
}

void pci_dev_bar(struct pci_dev *d, unsigned bar, uint32_t size)
{
	d->bar_size[bar] = size;
	pci_config_set(d->mask, CFG_BAR0 + 4 * bar, 4, ~(size - 1));
}

unsigned pci_dev_cap(struct pci_dev *d, uint8_t id, const void *body, unsigned len)
{
	unsigned at = d->cap_end;

	d->config[at] = id;
	memcpy(d->config + at + 2, body, len);
	d->config[d->cap_last ? d->cap_last + 1 : (unsigned)CFG_CAPS] = (uint8_t)at;
	pci_config_set(d->config, CFG_STATUS, 2, STS_CAPS);
	d->cap_last = at;
	d->cap_end = (at + 2 + len + 3) & ~3u;
	return at;
}

static void dev_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct pci_dev *d = arg;

	if (d->bus)
		d->bus->wires.msi(d->bus->wires.arg, addr, data);
}

int pci_dev_msix(
	struct pci_dev *d, unsigned n, unsigned bar, uint32_t table, uint32_t pba, struct err *e)
{
	uint8_t body[10];

	pci_config_set(body, 0, 2, n - 1);
	pci_config_set(body, 2, 4, table | bar);
	pci_config_set(body, 6, 4, pba | bar);
	d->msix_bar = bar;
	d->msix_table = table;
	d->msix_pba = pba;
	d->msix_cap = pci_dev_cap(d, CAP_MSIX, body, sizeof(body));
	pci_config_set(d->mask, d->msix_cap + MSIX_CONTROL, 2, MSIX_ENABLE | MSIX_ALL_MASKED);
	return pci_msix_init(&d->msix, n, dev_msi, d, e);
}

void pci_dev_interrupt(struct pci_dev *d, unsigned v)
{
	pci_msix_raise(&d->msix, v);
}

/* Where configuration space puts the BAR; 0: nowhere, or not in the window. */
static uint64_t dev_bar_wanted(const struct pci_dev *d, unsigned bar)
{
	uint64_t at = pci_config_get(d->config, CFG_BAR0 + 4 * bar, 4) & ~0xfull;
	uint64_t size = d->bar_size[bar];

	if (!size || !(pci_config_get(d->config, CFG_COMMAND, 2) & CMD_MEMORY))
		return 0;
	if (at < MACHINE_PCI_MEM_BASE || at - MACHINE_PCI_MEM_BASE > MACHINE_PCI_MEM_SIZE - size)
		return 0;
	return at;
}

static void dev_remap(struct pci_dev *d)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint64_t at = dev_bar_wanted(d, i);

		if (at == d->bar_addr[i])
			continue;
		d->bar_addr[i] = at;
		if (d->ops && d->ops->bar_moved)
			d->ops->bar_moved(d->self, i, at);
	}
}

static void dev_msix_update(struct pci_dev *d)
{
	uint32_t v;

	if (!d->msix.n)
		return;
	v = pci_config_get(d->config, d->msix_cap + MSIX_CONTROL, 2);
	pci_msix_control(&d->msix, v & MSIX_ENABLE, v & MSIX_ALL_MASKED);
}

uint32_t pci_dev_config_read(struct pci_dev *d, unsigned off, unsigned size)
{
	if (off + size > PCI_CONFIG_SIZE)
		return 0;
	if (d->ops && d->ops->config_read)
		d->ops->config_read(d->self, off, size);
	return pci_config_get(d->config, off, size);
}

void pci_dev_config_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t val)
{
	if (off + size > PCI_CONFIG_SIZE)
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t m = d->mask[off + i];

		d->config[off + i] = (uint8_t)((d->config[off + i] & ~m) | ((val >> (8 * i)) & m));
	}
	if (off < CFG_BAR0 + 4 * PCI_BARS)
		dev_remap(d);
	dev_msix_update(d);
	if (d->ops && d->ops->config_write)
		d->ops->config_write(d->self, off, size);
}

static bool in_range(uint64_t off, unsigned size, uint64_t start, uint64_t len)
{
	return off >= start && off - start < len && size <= len - (off - start);
}

/* Where an access to a BAR goes. */
enum bar_part { BAR_DEVICE, BAR_TABLE, BAR_PBA };

static enum bar_part dev_bar_part(
	const struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	if (!d->msix.n || bar != d->msix_bar)
		return BAR_DEVICE;
	if (in_range(off, size, d->msix_table, (uint64_t)d->msix.n * PCI_MSIX_ENTRY_SIZE))
		return BAR_TABLE;
	if (in_range(off, size, d->msix_pba, (d->msix.n + 63) / 64 * 8))
		return BAR_PBA;
	return BAR_DEVICE;
}

uint64_t pci_dev_bar_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size)
{
	switch (dev_bar_part(d, bar, off, size)) {
	case BAR_TABLE: return pci_msix_table_read(&d->msix, off - d->msix_table, size);
	case BAR_PBA: return pci_msix_pba_read(&d->msix, off - d->msix_pba, size);
	case BAR_DEVICE: break;
	}
	return d->ops->bar_read(d->self, bar, off, size);
}

void pci_dev_bar_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t val)
{
	switch (dev_bar_part(d, bar, off, size)) {
	case BAR_TABLE: pci_msix_table_write(&d->msix, off - d->msix_table, size, val); break;
	case BAR_PBA: break;
	case BAR_DEVICE: d->ops->bar_write(d->self, bar, off, size, val); break;
	}
}

void pci_dev_place(struct pci_dev *d)
{
	uint32_t at = MACHINE_PCI_MEM_BASE + d->slot * MACHINE_PCI_SLOT_SIZE;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (!d->bar_size[i])
			continue;
		/* A BAR lies at a multiple of its size, and the slot's share at one of them all. */
		at = (at + d->bar_size[i] - 1) & ~(d->bar_size[i] - 1);
		pci_config_set(d->config, CFG_BAR0 + 4 * i, 4, at);
		at += d->bar_size[i];
	}
	/* As firmware leaves it: addresses are valid, and decoded. */
	pci_config_set(d->config, CFG_COMMAND, 2, CMD_MEMORY);
	memcpy(d->power_on, d->config, sizeof(d->config));
	dev_remap(d);
}

void pci_dev_reset(struct pci_dev *d)
{
	pthread_mutex_lock(&d->bus->lock);
	memcpy(d->config, d->power_on, sizeof(d->config));
	dev_remap(d);
	pci_msix_reset(&d->msix);
	pthread_mutex_unlock(&d->bus->lock);
}

void pci_dev_fini(struct pci_dev *d)
{
	struct pci_bus *b = d->bus;

	if (b) {
		pthread_mutex_lock(&b->lock);
		b->dev[d->slot] = NULL;
		pci_config_set(d->config, CFG_COMMAND, 2, 0);
		dev_remap(d);
		pthread_mutex_unlock(&b->lock);
	}
	pci_msix_fini(&d->msix);
	d->bus = NULL;
}

void pci_dev_save(struct pci_dev *d, struct wbuf *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		n += d->mask[i] != 0;
	wbuf_u32(w, pci_config_get(d->config, CFG_VENDOR, 4));
	wbuf_u8(w, (uint8_t)d->slot);
	wbuf_u16(w, (uint16_t)n);
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		if (d->mask[i])
			wbuf_u8(w, d->config[i] & d->mask[i]);
	}
	pci_msix_save(&d->msix, w);
}

/* The writable bytes, in the order of their offsets, into @config. */
static int dev_load_config(struct pci_dev *d, struct rbuf *r, uint8_t *config, struct err *e)
{
	uint32_t id = rbuf_u32(r);
	unsigned slot = rbuf_u8(r), n = rbuf_u16(r), have = 0;

	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
		have += d->mask[i] != 0;
	if (r->failed || id != pci_config_get(d->config, CFG_VENDOR, 4) || slot != d->slot ||
		n != have)
		return err_set(e, -EPROTO,
			"the saved PCI function is %04x:%04x in slot %u with %u bytes of registers, "
			"this one is in slot %u with %u",
			id & 0xffff, id >> 16, slot, n, d->slot, have);
	for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++) {
		uint8_t v;

		if (!d->mask[i])
			continue;
		v = rbuf_u8(r);
		if (v & ~d->mask[i])
			r->failed = true;
		config[i] = (uint8_t)((config[i] & ~d->mask[i]) | v);
	}
	if (r->failed)
		return err_set(e, -EPROTO, "the saved PCI registers are malformed");
	return 0;
}

int pci_dev_load(struct pci_dev *d, struct rbuf *r, struct err *e)
{
	uint8_t config[PCI_CONFIG_SIZE];
	int rc;

	memcpy(config, d->config, sizeof(config));
	rc = dev_load_config(d, r, config, e);
	if (rc == 0)
		rc = pci_msix_load(&d->msix, r, e);
	if (rc)
		return rc;
	pthread_mutex_lock(&d->bus->lock);
	memcpy(d->config, config, sizeof(config));
	dev_remap(d);
	dev_msix_update(d);
	pthread_mutex_unlock(&d->bus->lock);
	return 0;
}
