/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI bus 0 of the guest (PCI Local Bus 3.0, chapter 6; PCI Express Base 4.0, 7.2.2 for ECAM):
 * a host bridge in slot 0, up to 31 functions beside it, memory BARs in the window of the PCI hole,
 * MSI-X and nothing else for interrupts (docs/decisions/0050-*.md). The window is one range of the
 * memory bus; which BAR answers is looked up here, so that the guest may move BARs as it likes.
 *
 * THREADS. Accesses come from vCPU threads. One lock of the bus covers configuration and BAR map
 * and is held while a device's callbacks run; MSI-X has a lock of its own below it, so that any
 * thread may send at any time. Order: bus.h's locks, the lock here, a device's own, MSI-X.
 * LEFT OUT: other buses, INTx, I/O BARs, ROMs, power management; the bus master bit is only kept.
 * Next in the flow: hv/dev/pci_msix.h, hv/dev/virtio.h.
 */
#ifndef WATARI_DEV_PCI_H
#define WATARI_DEV_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/bus.h"
#include "hv/dev/dev.h"
#include "hv/dev/pci_msix.h"

#define PCI_SLOTS       32
#define PCI_CONFIG_SIZE 256u /* beyond it, up to 4096, everything reads as zero */
#define PCI_BARS        6

struct pci_bus;

/* What the bus is connected to; hv/vm has KVM behind it, a test notes what it is told. */
struct pci_wires {
	/* Sends a message-signalled interrupt. Any thread; in the guest's APIC when it returns. */
	void (*msi)(void *arg, uint64_t addr, uint32_t data);
	/*
	 * From now on (@on) a write of the guest to @addr adds 1 to eventfd @fd instead of leaving
	 * the guest, or no longer does. Negative errno: it cannot be had, and is not needed; the
	 * write then arrives as an access to the BAR.
	 */
	int (*kick)(void *arg, uint64_t addr, int fd, bool on);
	void *arg;
};

/* A function's behaviour beyond its registers. All under the bus's lock, on a vCPU's thread. */
struct pci_ops {
	/* @off from the start of BAR @bar, @size 1, 2, 4 or 8, never beyond its end. */
	uint64_t (*bar_read)(void *self, unsigned bar, uint64_t off, unsigned size);
	void (*bar_write)(void *self, unsigned bar, uint64_t off, unsigned size, uint64_t val);
	/* Optional. BAR @bar answers at @addr from now on, or nowhere (@addr 0). */
	void (*bar_moved)(void *self, unsigned bar, uint64_t addr);
	/*
	 * Optional, for registers that are windows: before a read, to bring the bytes up to date in
	 * config[]; after a write, which has changed the writable bits of config[] already.
	 */
	void (*config_read)(void *self, unsigned off, unsigned size);
	void (*config_write)(void *self, unsigned off, unsigned size);
};

struct pci_ident {
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
};

/* A function, embedded in its device. Fields are the bus's; devices use the calls below. */
struct pci_dev {
	struct pci_bus *bus;
	unsigned slot;
	const struct pci_ops *ops;
	void *self;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t mask[PCI_CONFIG_SIZE];     /* bits that the guest may write */
	uint8_t power_on[PCI_CONFIG_SIZE]; /* config[] at reset */
	uint32_t bar_size[PCI_BARS];       /* bytes, a power of two; 0: no such BAR */
	uint64_t bar_addr[PCI_BARS];       /* where it answers now; 0: nowhere */
	unsigned cap_last, cap_end;        /* the capability list as far as it is built */
	struct pci_msix msix;              /* n == 0: no MSI-X */
	unsigned msix_cap, msix_bar;       /* offset of the capability; BAR of the table */
	uint32_t msix_table, msix_pba;     /* offsets in that BAR */
};

extern const struct dev_ops pci_bus_dev_ops; /* section "pci": the bridge */

/* Ports 0xcf8-0xcff, ECAM and the memory window. 0, -ENOMEM, or what bus_add() says. */
int pci_bus_new(struct pci_bus **out, struct bus *pio, struct bus *mmio,
	const struct pci_wires *wires, struct err *e);
const struct pci_wires *pci_bus_wires(const struct pci_bus *b);

/*
 * Building a function, before the guest runs: init, then BARs, capabilities and MSI-X in any order,
 * then pci_dev_plug(), after which the guest sees it in @slot (1..31; 0: the first that is free,
 * so that the same configuration gives the same slots). -EEXIST, -ENOSPC.
 */
void pci_dev_init(
	struct pci_dev *d, const struct pci_ident *id, const struct pci_ops *ops, void *self);
/* A 32-bit memory BAR of @size bytes, a power of two, 4096..MACHINE_PCI_SLOT_SIZE. */
void pci_dev_bar(struct pci_dev *d, unsigned bar, uint32_t size);
/* Appends capability @id with @len bytes from @body on; returns its offset in config[]. */
unsigned pci_dev_cap(struct pci_dev *d, uint8_t id, const void *body, unsigned len);
/* @n vectors, table and PBA at these offsets of @bar, which must have room. -ENOMEM. */
int pci_dev_msix(
	struct pci_dev *d, unsigned n, unsigned bar, uint32_t table, uint32_t pba, struct err *e);
int pci_dev_plug(struct pci_dev *d, struct pci_bus *bus, unsigned slot, struct err *e);
/* Takes it off the bus and frees what it holds, after init and in whatever state. */
void pci_dev_fini(struct pci_dev *d);

/* Little-endian fields of configuration space. */
uint32_t pci_config_get(const uint8_t *config, unsigned off, unsigned size);
void pci_config_set(uint8_t *config, unsigned off, unsigned size, uint32_t val);

/* Sends vector @v. Any thread. A vector that does not exist, or is off, goes nowhere. */
void pci_dev_interrupt(struct pci_dev *d, unsigned v);

/* Power-on registers, BARs where they were placed first. vCPUs stopped, as for all of these. */
void pci_dev_reset(struct pci_dev *d);
/* Registers that the guest can write, MSI-X table and pending bits: part of a device's section. */
void pci_dev_save(struct pci_dev *d, struct wbuf *w);
/* -EPROTO with a message; BARs are where they were afterwards, and bar_moved() was told. */
int pci_dev_load(struct pci_dev *d, struct rbuf *r, struct err *e);

#endif
