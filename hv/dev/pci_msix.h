/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MSI-X table and pending bits of a function (PCI Local Bus 3.0, 6.8.2). Must never send a
 * message that the guest masked: it becomes pending, and goes out when the mask goes.
 * THREADS. Its own lock, under which send() is called: no thread may hold one that send() needs.
 * Next in the flow: hv/dev/pci.h, which maps it into a BAR.
 */
#ifndef WATARI_DEV_PCI_MSIX_H
#define WATARI_DEV_PCI_MSIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"

#define PCI_MSIX_MAX        128u /* vectors here; 2048 by the specification */
#define PCI_MSIX_ENTRY_SIZE 16u

struct pci_msix_entry {
	uint64_t addr;
	uint32_t data;
	bool masked, pending;
};

struct pci_msix {
	pthread_mutex_t lock;
	unsigned n;
	bool enabled, all_masked; /* of the capability's message control */
	struct pci_msix_entry *entry;
	void (*send)(void *arg, uint64_t addr, uint32_t data);
	void *arg;
};

/* @n 1..PCI_MSIX_MAX vectors, all masked. -ENOMEM. */
int pci_msix_init(struct pci_msix *m, unsigned n,
	void (*send)(void *arg, uint64_t addr, uint32_t data), void *arg, struct err *e);
void pci_msix_fini(struct pci_msix *m); /* also fine on a zeroed one */

/* Sends vector @v, or notes it. Any thread. A vector beyond the table goes nowhere. */
void pci_msix_raise(struct pci_msix *m, unsigned v);
/* What the capability says now. */
void pci_msix_control(struct pci_msix *m, bool enabled, bool all_masked);

/* Accesses of 4 or 8 bytes, aligned; others read zero and write nothing. */
uint64_t pci_msix_table_read(struct pci_msix *m, uint64_t off, unsigned size);
void pci_msix_table_write(struct pci_msix *m, uint64_t off, unsigned size, uint64_t val);
uint64_t pci_msix_pba_read(struct pci_msix *m, uint64_t off, unsigned size);

void pci_msix_reset(struct pci_msix *m);
void pci_msix_save(struct pci_msix *m, struct wbuf *w);
/* Sends nothing: pci_msix_control(), which comes after it, does. -EPROTO. */
int pci_msix_load(struct pci_msix *m, struct rbuf *r, struct err *e);

#endif
