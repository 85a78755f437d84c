/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the vectors of one function (see pci_msix.h). Must never believe an address: a message goes
 * to the interrupt controllers' range or nowhere, for a guest must not make us write elsewhere.
 * Next in the flow: pci.c.
 */
#include "hv/dev/pci_msix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/machine.h"

#define MSIX_MASKED      1u
#define MSI_RANGE_MASK   0xfffffffffff00000ull
#define MSIX_SAVED_FLAGS 3u

int pci_msix_init(struct pci_msix *m, unsigned n,
	void (*send)(void *arg, uint64_t addr, uint32_t data), void *arg, struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->entry = calloc(n, sizeof(*m->entry));
	if (!m->entry)
		return err_set(e, -ENOMEM, "no memory for %u interrupt vectors", n);
	pthread_mutex_init(&m->lock, NULL);
	m->n = n;
	m->send = send;
	m->arg = arg;
	pci_msix_reset(m);
	return 0;
}

void pci_msix_fini(struct pci_msix *m)
{
	if (!m->n)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m->entry);
	memset(m, 0, sizeof(*m));
}

/* Lock held. Sends what is pending and may go. */
static void msix_deliver(struct pci_msix *m, struct pci_msix_entry *t)
{
	if (!t->pending || !m->enabled || m->all_masked || t->masked)
		return;
	t->pending = false;
	if ((t->addr & MSI_RANGE_MASK) == MACHINE_LAPIC_BASE)
		m->send(m->arg, t->addr, t->data);
}

void pci_msix_raise(struct pci_msix *m, unsigned v)
{
	if (v >= m->n)
		return;
	pthread_mutex_lock(&m->lock);
	/* Off is not masked: what is raised then is lost, as a message nobody asked for. */
	if (m->enabled) {
		m->entry[v].pending = true;
		msix_deliver(m, &m->entry[v]);
	}
	pthread_mutex_unlock(&m->lock);
}

void pci_msix_control(struct pci_msix *m, bool enabled, bool all_masked)
{
	if (!m->n)
		return;
	pthread_mutex_lock(&m->lock);
	m->enabled = enabled;
	m->all_masked = all_masked;
	for (unsigned i = 0; i < m->n; i++)
		msix_deliver(m, &m->entry[i]);
	pthread_mutex_unlock(&m->lock);
}

static bool msix_aligned(uint64_t off, unsigned size)
{
	return (size == 4 || size == 8) && off % size == 0;
}

static uint32_t msix_get(const struct pci_msix_entry *t, uint64_t word)
{
	switch (word) {
	case 0: return (uint32_t)t->addr;
	case 1: return (uint32_t)(t->addr >> 32);
	case 2: return t->data;
	default: return t->masked ? MSIX_MASKED : 0;
	}
}

static void msix_set(struct pci_msix_entry *t, uint64_t word, uint32_t v)
{
	switch (word) {
	case 0: t->addr = (t->addr & 0xffffffff00000000ull) | (v & ~3u); break;
	case 1: t->addr = (t->addr & 0xffffffffull) | (uint64_t)v << 32; break;
	case 2: t->data = v; break;
	default: t->masked = v & MSIX_MASKED; break;
	}
}

uint64_t pci_msix_table_read(struct pci_msix *m, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	if (!msix_aligned(off, size) || off / PCI_MSIX_ENTRY_SIZE >= m->n)
		return 0;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < size / 4; i++)
		v |= (uint64_t)msix_get(&m->entry[off / PCI_MSIX_ENTRY_SIZE],
			     off % PCI_MSIX_ENTRY_SIZE / 4 + i)
		     << (32 * i);
	pthread_mutex_unlock(&m->lock);
	return v;
}

void pci_msix_table_write(struct pci_msix *m, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_msix_entry *t;

	if (!msix_aligned(off, size) || off / PCI_MSIX_ENTRY_SIZE >= m->n)
		return;
	t = &m->entry[off / PCI_MSIX_ENTRY_SIZE];
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < size / 4; i++)
		msix_set(t, off % PCI_MSIX_ENTRY_SIZE / 4 + i, (uint32_t)(val >> (32 * i)));
	msix_deliver(m, t);
	pthread_mutex_unlock(&m->lock);
}

uint64_t pci_msix_pba_read(struct pci_msix *m, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	if (!msix_aligned(off, size))
		return 0;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < size * 8; i++) {
		if (off * 8 + i < m->n && m->entry[off * 8 + i].pending)
			v |= 1ull << i;
	}
	pthread_mutex_unlock(&m->lock);
	return v;
}

void pci_msix_reset(struct pci_msix *m)
{
	if (!m->n)
		return;
	pthread_mutex_lock(&m->lock);
	m->enabled = m->all_masked = false;
	for (unsigned i = 0; i < m->n; i++)
		m->entry[i] = (struct pci_msix_entry){ .masked = true };
	pthread_mutex_unlock(&m->lock);
}

void pci_msix_save(struct pci_msix *m, struct wbuf *w)
{
	wbuf_u16(w, (uint16_t)m->n);
	if (!m->n)
		return;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < m->n; i++) {
		const struct pci_msix_entry *t = &m->entry[i];

		wbuf_u64(w, t->addr);
		wbuf_u32(w, t->data);
		wbuf_u8(w, (uint8_t)(t->masked | t->pending << 1));
	}
	pthread_mutex_unlock(&m->lock);
}

int pci_msix_load(struct pci_msix *m, struct rbuf *r, struct err *e)
{
	unsigned n = rbuf_u16(r);
	bool bad = false;

	if (r->failed || n != m->n)
		return err_set(e, -EPROTO,
			"the saved device has %u interrupt vectors, this one has %u", n, m->n);
	if (!n)
		return 0;
	pthread_mutex_lock(&m->lock);
	m->enabled = m->all_masked = false;
	for (unsigned i = 0; i < n; i++) {
		struct pci_msix_entry *t = &m->entry[i];
		uint8_t flags;

		t->addr = rbuf_u64(r);
		t->data = rbuf_u32(r);
		flags = rbuf_u8(r);
		t->masked = flags & 1;
		t->pending = flags >> 1 & 1;
		bad |= (flags & ~MSIX_SAVED_FLAGS) || (t->addr & 3);
	}
	pthread_mutex_unlock(&m->lock);
	if (bad || r->failed)
		return err_set(e, -EPROTO, "the saved interrupt vectors are malformed");
	return 0;
}
