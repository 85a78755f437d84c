/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes a whole disk: its saved state with bytes of it changed, then rings that the guest filled
 * with anything. The first byte is how many changes there are to the state, three bytes each; the
 * next says how many requests are offered; the rest is descriptors, then headers. The disk, an
 * image in memory, serves one input after the other, reset in between, and must always come to
 * rest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/dev/virtio_blk.h"
#include "hv/dev/virtio_core.h"

#define DESC  0x1000ull
#define AVAIL 0x3000ull
#define USED  0x4000ull
#define DATA  0x5000ull
#define SIZE  64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rig {
	struct gmem mem;
	struct bus pio, mmio;
	struct pci_bus *pci;
	struct virtio *v;
} * rig;

static void no_msi(void *arg, uint64_t addr, uint32_t data)
{
	(void)arg;
	(void)addr;
	(void)data;
}

static int no_kick(void *arg, uint64_t addr, int fd, bool on)
{
	(void)arg;
	(void)addr;
	(void)fd;
	(void)on;
	return -1;
}

static void rig_init(void)
{
	static const struct pci_wires wires = { .msi = no_msi, .kick = no_kick };
	struct virtio_blk_options o = { .guest = "fuzz", .serial = "1", .queues = 1 };
	int fd = memfd_create("image", 0);
	char path[64];
	struct err e;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o.block.name = "fuzz";
	o.block.path = path;
	rig = calloc(1, sizeof(*rig));
	bus_init(&rig->pio);
	bus_init(&rig->mmio);
	if (ftruncate(fd, 1 << 20) || gmem_init(&rig->mem, 64 << 20, &e) ||
		pci_bus_new(&rig->pci, &rig->pio, &rig->mmio, &wires, &e) ||
		virtio_blk_new(&rig->v, rig->pci, 0, &rig->mem, &o, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
}

static void put(uint64_t at, uint64_t v, unsigned n)
{
	if (!gmem_write(&rig->mem, at, &v, n))
		abort();
}

static void driver_start(void)
{
	struct virtio *v = rig->v;

	virtio_lock(v);
	v->r.driver_features = v->features & ~(1ull << 29);
	virtio_set_status(v, 3);
	virtio_set_status(v, 3 | VIRTIO_ST_FEATURES_OK);
	v->vq[0].size = SIZE;
	v->vq[0].desc = DESC;
	v->vq[0].avail = AVAIL;
	v->vq[0].used = USED;
	v->vq[0].enabled = true;
	virtio_set_status(v, 7 | VIRTIO_ST_FEATURES_OK);
	virtio_kick(v, 0);
	virtio_unlock(v);
}

/* Returns how much of the input it took. */
static size_t load_changed(const uint8_t *data, size_t size)
{
	struct section s = { .name = "virtio-blk", .version = virtio_blk_dev_ops.version };
	size_t n = size ? data[0] % 16 : 0;
	struct err e = { 0 };
	struct wbuf w;

	if (size < 1 + 3 * n)
		return size;
	wbuf_init(&w);
	virtio_blk_dev_ops.save(rig->v, &w);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *c = data + 1 + 3 * i;

		w.data[(c[0] | c[1] << 8) % w.len] = c[2];
	}
	s.body = rbuf_of(w.data, w.len);
	if (virtio_blk_dev_ops.load(rig->v, &s, &e) && (e.code >= 0 || !e.msg[0]))
		abort();
	wbuf_fini(&w);
	return 1 + 3 * n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at, n;

	if (!rig)
		rig_init();
	virtio_blk_dev_ops.resume(rig->v);
	virtio_blk_dev_ops.reset(rig->v);
	at = load_changed(data, size);
	virtio_blk_dev_ops.resume(rig->v);
	virtio_poll(rig->v);
	if (at >= size)
		return 0;
	virtio_blk_dev_ops.reset(rig->v);
	put(USED, 0, 4);
	put(AVAIL, (uint64_t)(data[at] % SIZE) << 16, 4);
	for (unsigned i = 0; i < SIZE; i++)
		put(AVAIL + 4 + 2 * i, i * 3 % SIZE, 2);
	at++;
	/* The same bytes as descriptors and as what they may point to. */
	n = size - at < 4096 ? size - at : 4096;
	gmem_write(&rig->mem, DESC, data + at, n);
	gmem_write(&rig->mem, DATA, data + at, n);
	driver_start();
	for (unsigned i = 0; i < 8; i++)
		virtio_poll(rig->v);
	virtio_blk_dev_ops.quiesce(rig->v);
	return 0;
}
