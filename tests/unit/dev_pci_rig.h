/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI bus on fake wires: what is sent and wired is written down. For tests of hv/dev/pci.c and of
 * every virtio device. Next in the flow: dev_pci_test.c, dev_virtio_driver.h.
 */
#ifndef WATARI_TESTS_DEV_PCI_RIG_H
#define WATARI_TESTS_DEV_PCI_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hv/base/machine.h"
#include "hv/dev/pci.h"

#define RIG_KICKS 8

struct pci_rig {
	struct bus pio, mmio;
	struct pci_bus *bus;
	unsigned msis; /* sent so far; the last one is */
	uint64_t msi_addr;
	uint32_t msi_data;
	unsigned kicks; /* wired now */
	struct {
		uint64_t addr;
		int fd;
	} kick[RIG_KICKS];
};

static inline void rig_msi(void *arg, uint64_t addr, uint32_t data)
{
	struct pci_rig *r = arg;

	r->msis++;
	r->msi_addr = addr;
	r->msi_data = data;
}

static inline int rig_kick(void *arg, uint64_t addr, int fd, bool on)
{
	struct pci_rig *r = arg;

	for (unsigned i = 0; i < r->kicks; i++) {
		if (r->kick[i].addr != addr)
			continue;
		if (on)
			return -EEXIST;
		assert_int_equal(r->kick[i].fd, fd);
		r->kick[i] = r->kick[--r->kicks];
		return 0;
	}
	if (!on)
		return -ENOENT;
	assert_true(r->kicks < RIG_KICKS);
	r->kick[r->kicks].addr = addr;
	r->kick[r->kicks++].fd = fd;
	return 0;
}

static inline void pci_rig_open(struct pci_rig *r)
{
	const struct pci_wires wires = { .msi = rig_msi, .kick = rig_kick, .arg = r };
	struct err e;

	memset(r, 0, sizeof(*r));
	bus_init(&r->pio);
	bus_init(&r->mmio);
	assert_int_equal(pci_bus_new(&r->bus, &r->pio, &r->mmio, &wires, &e), 0);
}

static inline void pci_rig_close(struct pci_rig *r)
{
	pci_bus_dev_ops.free(r->bus);
	bus_fini(&r->mmio);
	bus_fini(&r->pio);
}

/* Configuration space by ECAM. */
static inline uint64_t ecam(unsigned slot, unsigned off)
{
	return MACHINE_PCI_ECAM_BASE + slot * 0x8000ull + off;
}

static inline uint32_t cfg_get(struct pci_rig *r, unsigned slot, unsigned off, unsigned size)
{
	return (uint32_t)bus_read(&r->mmio, ecam(slot, off), size);
}

static inline void cfg_set(
	struct pci_rig *r, unsigned slot, unsigned off, unsigned size, uint32_t val)
{
	bus_write(&r->mmio, ecam(slot, off), size, val);
}

/* The offset of the @nth capability @id (0: the first), or 0. */
static inline unsigned cfg_cap(struct pci_rig *r, unsigned slot, uint8_t id, unsigned nth)
{
	unsigned at = cfg_get(r, slot, 0x34, 1);

	for (unsigned hops = 0; at && hops < 64; hops++) {
		if (cfg_get(r, slot, at, 1) == id && nth-- == 0)
			return at;
		at = cfg_get(r, slot, at + 1, 1);
	}
	return 0;
}

#endif
