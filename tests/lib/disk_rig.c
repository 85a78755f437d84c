/* SPDX-License-Identifier: Apache-2.0 */
/* The disk, its hosts and its driver (see disk_rig.h). */
#include "tests/lib/disk_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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
	return -ENOSYS;
}

static int host_fault(void *arg, const struct block_io *io)
{
	struct disk_host *h = arg;

	h->ops[io->op]++;
	return h->answer;
}

void disk_guest_init(struct disk_guest *g)
{
	struct err e;
	int fd;

	memset(g, 0, sizeof(*g));
	strcpy(g->dir, "/var/tmp/watari-disk-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/image", g->dir);
	snprintf(g->note, sizeof(g->note), "%s.holder", g->path);
	fd = open(g->path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, DISK), 0);
	close(fd);
	assert_int_equal(gmem_init(&g->mem, 64 << 20, &e), 0);
}

void disk_guest_fini(struct disk_guest *g)
{
	gmem_fini(&g->mem);
	unlink(g->note);
	unlink(g->path);
	assert_int_equal(rmdir(g->dir), 0);
}

int disk_host_try(
	struct disk_host *h, struct disk_guest *g, bool arriving, bool readonly, struct err *e)
{
	static const struct pci_wires wires = { .msi = no_msi, .kick = no_kick };
	const struct virtio_blk_options o = {
		.block = { .name = "root",
			.path = g->path,
			.readonly = readonly,
			.fault = host_fault,
			.fault_arg = h },
		.guest = "g1",
		.serial = "WATARI0001",
		.queues = QUEUES,
		.arriving = arriving,
		.quiet_ms = 200,
	};

	memset(h, 0, sizeof(*h));
	bus_init(&h->pio);
	bus_init(&h->mmio);
	assert_int_equal(pci_bus_new(&h->pci, &h->pio, &h->mmio, &wires, e), 0);
	return virtio_blk_new(&h->v, h->pci, 0, &g->mem, &o, e);
}

void disk_host_open(struct disk_host *h, struct disk_guest *g, bool arriving)
{
	struct err e;

	if (disk_host_try(h, g, arriving, false, &e))
		fail_msg("%s", e.msg);
}

void disk_host_close(struct disk_host *h)
{
	if (h->v)
		virtio_blk_dev_ops.free(h->v);
	pci_bus_dev_ops.free(h->pci);
	bus_fini(&h->mmio);
	bus_fini(&h->pio);
}

/* ---- the guest's driver ---- */

void disk_put(struct disk_guest *g, uint64_t at, uint64_t v, unsigned n)
{
	assert_true(gmem_write(&g->mem, at, &v, n));
}

uint64_t disk_get(struct disk_guest *g, uint64_t at, unsigned n)
{
	uint64_t v = 0;

	assert_true(gmem_read(&g->mem, at, &v, n));
	return v;
}

uint64_t disk_ring(uint64_t base, unsigned q)
{
	return base + q * 0x10000ull;
}

void disk_driver_start(struct disk_host *h, struct disk_guest *g, uint64_t features)
{
	struct virtio *v = h->v;

	memset(g->avail, 0, sizeof(g->avail));
	memset(g->used, 0, sizeof(g->used));
	for (unsigned q = 0; q < QUEUES; q++) {
		disk_put(g, disk_ring(AVAIL, q), 0, 4);
		disk_put(g, disk_ring(USED, q), 0, 4);
	}
	virtio_lock(v);
	v->r.driver_features = features;
	virtio_set_status(v, 1 | 2);
	virtio_set_status(v, 1 | 2 | VIRTIO_ST_FEATURES_OK);
	assert_true(v->r.status & VIRTIO_ST_FEATURES_OK);
	for (unsigned q = 0; q < QUEUES; q++) {
		v->vq[q].size = ENTRIES;
		v->vq[q].desc = disk_ring(DESC, q);
		v->vq[q].avail = disk_ring(AVAIL, q);
		v->vq[q].used = disk_ring(USED, q);
		v->vq[q].enabled = true;
	}
	virtio_set_status(v, 1 | 2 | 4 | VIRTIO_ST_FEATURES_OK);
	virtio_unlock(v);
	assert_true(v->active);
}

void disk_desc(
	struct disk_guest *g, unsigned q, unsigned i, uint64_t gpa, uint32_t len, unsigned flags)
{
	uint64_t at = disk_ring(DESC, q) + 16 * i;

	disk_put(g, at, gpa, 8);
	disk_put(g, at + 8, len, 4);
	disk_put(g, at + 12, flags, 2);
	disk_put(g, at + 14, i + 1, 2);
}

void disk_offer(struct disk_guest *g, unsigned q, unsigned head)
{
	disk_put(g, disk_ring(AVAIL, q) + 4 + 2 * (g->avail[q] % ENTRIES), head, 2);
	disk_put(g, disk_ring(AVAIL, q) + 2, ++g->avail[q], 2);
}

/* Makes request number @id (0..79) of three segments: header, @len bytes at @data, status. */
void disk_request(struct disk_guest *g, unsigned q, unsigned id, uint32_t type, uint64_t sector,
	uint64_t data, uint32_t len)
{
	uint64_t header = HEADERS + 32 * id;
	unsigned d = id % 80 * 3;

	disk_put(g, header, type, 8);
	disk_put(g, header + 8, sector, 8);
	disk_put(g, header + 16, 0xff, 1);
	disk_desc(g, q, d, header, 16, 1);
	disk_desc(g, q, d + 1, data, len, type == IN || type == ID ? 3 : 1);
	disk_desc(g, q, d + (len ? 2 : 1), header + 16, 1, 2);
	disk_offer(g, q, d);
}

unsigned disk_status(struct disk_guest *g, unsigned id)
{
	return (unsigned)disk_get(g, HEADERS + 32 * id + 16, 1);
}

void disk_kick(struct disk_host *h, unsigned q)
{
	virtio_lock(h->v);
	virtio_kick(h->v, q);
	virtio_unlock(h->v);
}

void disk_turn(struct disk_host *h)
{
	struct pollfd p = { .fd = loop_fd(h->v->loop), .events = POLLIN };

	assert_true(poll(&p, 1, 10000) == 1);
	virtio_poll(h->v);
}

/* Lets the device work until all that queue @q was offered is answered. */
void disk_work(struct disk_host *h, struct disk_guest *g, unsigned q)
{
	disk_kick(h, q);
	while ((uint16_t)disk_get(g, disk_ring(USED, q) + 2, 2) != g->avail[q])
		disk_turn(h);
	g->used[q] = g->avail[q];
}

unsigned disk_ask(struct disk_host *h, struct disk_guest *g, uint32_t type, uint64_t sector,
	uint64_t data, uint32_t len)
{
	disk_request(g, 0, 0, type, sector, data, len);
	disk_work(h, g, 0);
	return disk_status(g, 0);
}

void disk_fill(struct disk_guest *g, uint64_t at, uint32_t len, unsigned seed)
{
	for (uint32_t i = 0; i < len; i += 8)
		disk_put(g, at + i, (seed + i) * 0x9e3779b97f4a7c15ull, 8);
}

void disk_same(struct disk_guest *g, uint64_t a, uint64_t b, uint32_t len)
{
	assert_memory_equal(gmem_view(&g->mem, a, len), gmem_view(&g->mem, b, len), len);
}
