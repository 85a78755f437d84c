/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes virtio on PCI as a guest and as a peer could: the input is ring memory, then accesses to
 * configuration space, BAR and queue, with freezes in between; or saved state to load. Whatever
 * comes, each request is given back, the device can be saved, and what was saved can be loaded.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/base/machine.h"
#include "hv/dev/virtio_rng.h"

#define RINGS 0x100000u /* descriptors; +0x400 available, +0x600 used, +0x800 a table */
#define IMAGE 0x1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	(void)data;
	if ((addr & 0xfffffffffff00003ull) != MACHINE_LAPIC_BASE)
		abort();
}

static int no_kick(void *arg, uint64_t addr, int fd, bool on)
{
	(void)arg;
	(void)fd;
	(void)on;
	if (addr < MACHINE_PCI_MEM_BASE || addr >= MACHINE_PCI_ECAM_BASE)
		abort();
	return -1;
}

static void broken(void *arg, unsigned index, const char *why)
{
	unsigned *n = arg;

	(void)index;
	if (!why || ++*n > 1)
		abort();
}

static void no_signal(void *arg, unsigned index)
{
	(void)arg;
	(void)index;
}

/* The queue by itself, until it is empty or broken. */
static void queue(const struct gmem *m, bool event_idx)
{
	unsigned breaks = 0;
	struct virtq q = { .mem = m,
		.event_idx = event_idx,
		.signal = no_signal,
		.broken = broken,
		.arg = &breaks };
	struct virtq_chain c;
	struct err e;
	uint8_t some[64];

	if (virtq_enable(&q, 16, RINGS, RINGS + 0x400, RINGS + 0x600, &e) ||
		virtq_chain_init(&c, 32, &e))
		abort();
	for (unsigned i = 0; i < 64 && virtq_pop(&q, &c) == 1; i++) {
		if (c.nout + c.nin > c.max || c.out_len + c.in_len > UINT32_MAX)
			abort();
		virtq_chain_read(&c, 0, some, sizeof(some));
		virtq_chain_write(&c, 0, some, sizeof(some));
		if (i % 5 == 4)
			virtq_unpop(&q, 1);
		else
			virtq_push(&q, &c, (uint32_t)i);
		virtq_signal(&q);
	}
	virtq_kicks_off(&q);
	virtq_kicks_on(&q);
	virtq_chain_fini(&c);
}

static void reload(struct virtio *v)
{
	struct section s = { .name = "virtio-rng", .version = 1 };
	struct err e = { 0 };
	struct wbuf w;

	wbuf_init(&w);
	virtio_dev_quiesce(v);
	virtio_dev_save(v, &w);
	s.body = rbuf_of(w.data, w.len);
	if (w.failed || virtio_dev_load(v, &s, &e))
		abort();
	virtio_dev_resume(v);
	wbuf_fini(&w);
}

/* Eight bytes: what, where, size, value. */
static void access_device(struct bus *mmio, struct virtio *v, const uint8_t *p)
{
	/* Where accesses do most: the structures, the table, configuration space. */
	static const uint64_t at[] = { 0xc1000000, 0xc1001000, 0xc1002000, 0xc1003000, 0xc1004000,
		0xc1005000, MACHINE_PCI_ECAM_BASE + 0x8000, MACHINE_PCI_ECAM_BASE };
	uint64_t addr = at[p[0] & 7] + p[1];
	unsigned len = 1u << (p[2] & 3);
	uint64_t val = 0;

	memcpy(&val, p + 3, 5);
	/* Addresses of rings that are there are not guessed often. */
	if (p[2] & 0x20)
		val = RINGS + (val & 0xe00);
	if (p[0] & 0x80)
		bus_write(mmio, addr, len, val);
	else
		bus_read(mmio, addr, len);
	if (p[0] & 0x40)
		virtio_poll(v);
	if ((p[2] & 0xc0) == 0xc0)
		reload(v);
}

/* A driver's first steps, so that not every input has to find them. */
static void drive(struct bus *mmio)
{
	const uint64_t c = 0xc1000000;
	static const struct {
		uint8_t off, size;
		uint32_t val;
	} step[] = { { 20, 1, 3 }, { 8, 4, 0 }, { 12, 4, 3u << 28 }, { 8, 4, 1 }, { 12, 4, 1 },
		{ 20, 1, 11 }, { 24, 2, 16 }, { 32, 8, RINGS }, { 40, 8, RINGS + 0x400 },
		{ 48, 8, RINGS + 0x600 }, { 26, 2, 1 }, { 28, 2, 1 }, { 20, 1, 15 } };

	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++)
		bus_write(mmio, c + step[i].off, step[i].size, step[i].val);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pci_wires wires = { .msi = no_msi, .kick = no_kick };
	static struct gmem m; /* made once: 64 MiB are not mapped anew for each input */
	struct virtio *v = NULL;
	struct pci_bus *pci;
	struct bus pio, mmio;
	struct err e = { 0 };
	size_t n;

	if (size < 1)
		return 0;
	if (!m.size && gmem_init(&m, GMEM_SIZE_MIN, &e))
		abort();
	bus_init(&pio);
	bus_init(&mmio);
	if (pci_bus_new(&pci, &pio, &mmio, &wires, &e) || virtio_rng_new(&v, pci, 1, &m, &e))
		abort();
	if (data[0] & 1) {
		struct section s = {
			.name = "virtio-rng", .version = 1, .body = rbuf_of(data + 1, size - 1)
		};

		if (virtio_dev_load(v, &s, &e) && (e.code >= 0 || !e.msg[0]))
			abort();
		virtio_dev_resume(v);
	} else {
		memset(gmem_view(&m, RINGS, IMAGE), 0, IMAGE);
		n = size - 1 < IMAGE ? size - 1 : IMAGE;
		memcpy(gmem_view(&m, RINGS, IMAGE), data + 1, n);
		if (data[0] & 2)
			queue(&m, data[0] & 4);
		else
			drive(&mmio);
		for (size_t i = 1; i + 8 <= size; i += 8)
			access_device(&mmio, v, data + i);
	}
	virtio_poll(v);
	reload(v);
	virtio_dev_reset(v);
	reload(v);
	virtio_dev_free(v);
	pci_bus_dev_ops.free(pci);
	bus_fini(&mmio);
	bus_fini(&pio);
	return 0;
}
