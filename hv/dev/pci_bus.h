/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between pci.c (the bus) and pci_dev.c (one function on it); nobody else includes it. All of these
 * with the bus's lock held.
 * Next in the flow: pci_dev.c.
 */
#ifndef WATARI_DEV_PCI_BUS_H
#define WATARI_DEV_PCI_BUS_H

#include "hv/dev/pci.h"

struct pci_bus {
	pthread_mutex_t lock;
	struct pci_wires wires;
	uint32_t address; /* of port 0xcf8 */
	struct pci_dev bridge;
	struct pci_dev *dev[PCI_SLOTS];
};

/* @size 1, 2 or 4, aligned; @off up to 4095. */
uint32_t pci_dev_config_read(struct pci_dev *d, unsigned off, unsigned size);
void pci_dev_config_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t val);
/* All inside BAR @bar: the MSI-X table and pending bits, or the device's own. */
uint64_t pci_dev_bar_read(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size);
void pci_dev_bar_write(struct pci_dev *d, unsigned bar, uint64_t off, unsigned size, uint64_t val);
/* Gives the BARs their first addresses, in the slot's share of the window, and maps them. */
void pci_dev_place(struct pci_dev *d);

#endif
