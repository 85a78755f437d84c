/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's disk keeps what it was given, answers every request once, comes to rest for a move and
 * goes on at the other host; and its image is written only where the guest is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "hv/dev/virtio_blk.h"
#include "hv/dev/virtio_blk_req.h"
#include "hv/dev/virtio_core.h"

#define DISK     (8u << 20)
#define ENTRIES  256u
#define DESC     0x100000ull /* rings of queue 0; queue 1 is 64 KiB further on */
#define AVAIL    0x104000ull
#define USED     0x106000ull
#define HEADERS  0x200000ull /* 32 bytes a request: header, then the status at 16 */
#define DATA     0x400000ull
#define QUEUES   2u
#define FEATURES (1ull << 32 | 1ull << VBLK_F_FLUSH | 1ull << VBLK_F_MQ | 1ull << VBLK_F_DISCARD)

enum { IN = 0, OUT = 1, FLUSH = 4, ID = 8, DISCARD = 11 };

/* One host, with the guest's memory, which in these tests is always already there. */
struct host {
	struct bus pio, mmio;
	struct pci_bus *pci;
	struct virtio *v;
	int answer; /* instead of the kernel's, from now on */
	unsigned ops[BLOCK_OPS];
};

struct guest {
	char dir[64], path[128], note[160];
	struct gmem mem;
	uint16_t avail[QUEUES], used[QUEUES];
	unsigned ndesc;
};

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
	struct host *h = arg;

	h->ops[io->op]++;
	return h->answer;
}

static void guest_init(struct guest *g)
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

static void guest_fini(struct guest *g)
{
	gmem_fini(&g->mem);
	unlink(g->note);
	unlink(g->path);
	assert_int_equal(rmdir(g->dir), 0);
}

static int host_try(struct host *h, struct guest *g, bool arriving, bool readonly, struct err *e)
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

static void host_open(struct host *h, struct guest *g, bool arriving)
{
	struct err e;

	if (host_try(h, g, arriving, false, &e))
		fail_msg("%s", e.msg);
}

static void host_close(struct host *h)
{
	if (h->v)
		virtio_blk_dev_ops.free(h->v);
	pci_bus_dev_ops.free(h->pci);
	bus_fini(&h->mmio);
	bus_fini(&h->pio);
}

/* ---- the guest's driver
 * -------------------------------------------------------------------------- */

static void put(struct guest *g, uint64_t at, uint64_t v, unsigned n)
{
	assert_true(gmem_write(&g->mem, at, &v, n));
}

static uint64_t get(struct guest *g, uint64_t at, unsigned n)
{
	uint64_t v = 0;

	assert_true(gmem_read(&g->mem, at, &v, n));
	return v;
}

static uint64_t ring(uint64_t base, unsigned q)
{
	return base + q * 0x10000ull;
}

static void driver_start(struct host *h, struct guest *g, uint64_t features)
{
	struct virtio *v = h->v;

	memset(g->avail, 0, sizeof(g->avail));
	memset(g->used, 0, sizeof(g->used));
	g->ndesc = 0;
	for (unsigned q = 0; q < QUEUES; q++) {
		put(g, ring(AVAIL, q), 0, 4);
		put(g, ring(USED, q), 0, 4);
	}
	virtio_lock(v);
	v->r.driver_features = features;
	virtio_set_status(v, 1 | 2);
	virtio_set_status(v, 1 | 2 | VIRTIO_ST_FEATURES_OK);
	assert_true(v->r.status & VIRTIO_ST_FEATURES_OK);
	for (unsigned q = 0; q < QUEUES; q++) {
		v->vq[q].size = ENTRIES;
		v->vq[q].desc = ring(DESC, q);
		v->vq[q].avail = ring(AVAIL, q);
		v->vq[q].used = ring(USED, q);
		v->vq[q].enabled = true;
	}
	virtio_set_status(v, 1 | 2 | 4 | VIRTIO_ST_FEATURES_OK);
	virtio_unlock(v);
	assert_true(v->active);
}

static void desc(
	struct guest *g, unsigned q, unsigned i, uint64_t gpa, uint32_t len, unsigned flags)
{
	uint64_t at = ring(DESC, q) + 16 * i;

	put(g, at, gpa, 8);
	put(g, at + 8, len, 4);
	put(g, at + 12, flags, 2);
	put(g, at + 14, i + 1, 2);
}

static void offer(struct guest *g, unsigned q, unsigned head)
{
	put(g, ring(AVAIL, q) + 4 + 2 * (g->avail[q] % ENTRIES), head, 2);
	put(g, ring(AVAIL, q) + 2, ++g->avail[q], 2);
}

/* Makes request number @id (0..79) of three segments: header, @len bytes at @data, status. */
static void request(struct guest *g, unsigned q, unsigned id, uint32_t type, uint64_t sector,
	uint64_t data, uint32_t len)
{
	uint64_t header = HEADERS + 32 * id;
	unsigned d = id * 3;

	put(g, header, type, 8);
	put(g, header + 8, sector, 8);
	put(g, header + 16, 0xff, 1);
	desc(g, q, d, header, 16, 1);
	desc(g, q, d + 1, data, len, type == IN || type == ID ? 3 : 1);
	desc(g, q, d + (len ? 2 : 1), header + 16, 1, 2);
	offer(g, q, d);
}

static unsigned status(struct guest *g, unsigned id)
{
	return (unsigned)get(g, HEADERS + 32 * id + 16, 1);
}

static void kick(struct host *h, unsigned q)
{
	virtio_lock(h->v);
	virtio_kick(h->v, q);
	virtio_unlock(h->v);
}

static void turn(struct host *h)
{
	struct pollfd p = { .fd = loop_fd(h->v->loop), .events = POLLIN };

	assert_true(poll(&p, 1, 10000) == 1);
	virtio_poll(h->v);
}

/* Lets the device work until all that queue @q was offered is answered. */
static void work(struct host *h, struct guest *g, unsigned q)
{
	kick(h, q);
	while ((uint16_t)get(g, ring(USED, q) + 2, 2) != g->avail[q])
		turn(h);
	g->used[q] = g->avail[q];
}

static unsigned ask(struct host *h, struct guest *g, uint32_t type, uint64_t sector, uint64_t data,
	uint32_t len)
{
	request(g, 0, 0, type, sector, data, len);
	work(h, g, 0);
	return status(g, 0);
}

static void fill(struct guest *g, uint64_t at, uint32_t len, unsigned seed)
{
	for (uint32_t i = 0; i < len; i += 8)
		put(g, at + i, (seed + i) * 0x9e3779b97f4a7c15ull, 8);
}

static void same(struct guest *g, uint64_t a, uint64_t b, uint32_t len)
{
	assert_memory_equal(gmem_view(&g->mem, a, len), gmem_view(&g->mem, b, len), len);
}

/* ---- stories
 * ------------------------------------------------------------------------------------- */

static void test_what_the_guest_writes_it_reads(void **state)
{
	uint64_t page = (DATA + 0x100000) >> GMEM_PAGE_SHIFT;
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	fill(&g, DATA, 65536, 1);
	assert_int_equal(ask(&h, &g, OUT, 64, DATA, 65536), VBLK_S_OK);
	assert_int_equal(ask(&h, &g, FLUSH, 0, 0, 0), VBLK_S_OK);
	for (uint64_t w = 0; w < BITMAP_WORDS(g.mem.regions[0].size >> GMEM_PAGE_SHIFT); w++)
		bitmap_take_word(g.mem.regions[0].written, w);
	assert_int_equal(ask(&h, &g, IN, 64, DATA + 0x100000, 65536), VBLK_S_OK);
	same(&g, DATA, DATA + 0x100000, 65536);
	/* KVM did not see any of it: a move must learn it from here. */
	for (unsigned i = 0; i < 16; i++)
		assert_true(bitmap_test(g.mem.regions[0].written, page + i));
	assert_true(h.v->r.isr & 1);
	host_close(&h);
	guest_fini(&g);
}

static void test_all_queues_are_served_and_none_is_lost(void **state)
{
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 80; i++) {
			fill(&g, DATA + i * 4096, 4096, i + round);
			request(&g, i % 2, i, OUT, i * 8, DATA + i * 4096, 4096);
		}
		kick(&h, 1);
		work(&h, &g, 0);
		work(&h, &g, 1);
		for (unsigned i = 0; i < 80; i++)
			request(&g, i % 2, i, IN, i * 8, DATA + 0x100000 + i * 4096, 4096);
		kick(&h, 1);
		work(&h, &g, 0);
		work(&h, &g, 1);
		for (unsigned i = 0; i < 80; i++)
			assert_int_equal(status(&g, i), VBLK_S_OK);
		same(&g, DATA, DATA + 0x100000, 80 * 4096);
	}
	host_close(&h);
	guest_fini(&g);
}

static void test_serial_number_and_configuration(void **state)
{
	uint8_t c[60];
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	assert_int_equal(ask(&h, &g, ID, 0, DATA, 20), VBLK_S_OK);
	assert_memory_equal(gmem_view(&g.mem, DATA, 20), "WATARI0001\0\0\0\0\0\0\0\0\0\0", 20);
	fill(&g, DATA, 16, 1);
	assert_int_equal(ask(&h, &g, ID, 0, DATA, 3), VBLK_S_OK); /* no more than there is room */
	virtio_config_get(h.v, 0, c, sizeof(c));
	assert_int_equal(c[1], DISK / 512 >> 8);
	assert_int_equal(c[12] | c[13] << 8, VBLK_SEGMENTS - 2);
	assert_int_equal(c[20] | c[21] << 8, 512);
	assert_int_equal(c[24], 3);
	assert_int_equal(c[34], QUEUES);
	assert_int_equal(c[40], VBLK_RANGES);
	assert_int_equal(c[56], 1);
	host_close(&h);
	guest_fini(&g);
}

static void test_a_discard_of_several_ranges(void **state)
{
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	put(&g, DATA, 0, 8);
	put(&g, DATA + 8, 8, 8);
	put(&g, DATA + 16, 16, 8);
	put(&g, DATA + 24, 8, 8);
	assert_int_equal(ask(&h, &g, DISCARD, 0, DATA, 32), VBLK_S_OK);
	assert_int_equal(h.ops[BLOCK_DISCARD], 2);
	put(&g, DATA + 16, DISK, 8);
	assert_int_equal(ask(&h, &g, DISCARD, 0, DATA, 32), VBLK_S_IOERR);
	assert_int_equal(h.ops[BLOCK_DISCARD], 2);
	host_close(&h);
	guest_fini(&g);
}

static void test_without_flush_every_write_is_flushed(void **state)
{
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, 1ull << 32);
	assert_int_equal(ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	assert_int_equal(ask(&h, &g, OUT, 8, DATA, 4096), VBLK_S_OK);
	assert_int_equal(h.ops[BLOCK_FLUSH], 2);
	assert_int_equal(ask(&h, &g, IN, 8, DATA, 4096), VBLK_S_OK);
	assert_int_equal(h.ops[BLOCK_FLUSH], 2);
	host_close(&h);
	guest_fini(&g);
}

static void test_an_error_of_the_image_is_the_guests(void **state)
{
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	h.answer = -EIO;
	assert_int_equal(ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_IOERR);
	assert_int_equal(ask(&h, &g, IN, 0, DATA, 4096), VBLK_S_IOERR);
	assert_int_equal(ask(&h, &g, FLUSH, 0, 0, 0), VBLK_S_IOERR);
	h.answer = 0;
	assert_int_equal(ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	assert_int_equal(ask(&h, &g, OUT, DISK / 512, DATA, 4096), VBLK_S_IOERR);
	assert_int_equal(ask(&h, &g, 99, 0, DATA, 4096), VBLK_S_UNSUPP);
	assert_int_equal(h.v->r.status & VIRTIO_ST_NEEDS_RESET, 0);
	host_close(&h);
	guest_fini(&g);
}

static void test_a_request_without_a_status_stops_the_disk_until_reset(void **state)
{
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	put(&g, HEADERS, OUT, 8);
	desc(&g, 0, 0, HEADERS, 16, 0); /* nothing to write to */
	offer(&g, 0, 0);
	kick(&h, 0);
	while (!(h.v->r.status & VIRTIO_ST_NEEDS_RESET))
		turn(&h);
	virtio_lock(h.v);
	virtio_set_status(h.v, 0);
	virtio_unlock(h.v);
	driver_start(&h, &g, FEATURES);
	assert_int_equal(ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	host_close(&h);
	guest_fini(&g);
}

static void test_a_reset_waits_for_what_is_under_way(void **state)
{
	struct guest g;
	struct host h;

	(void)state;
	guest_init(&g);
	host_open(&h, &g, false);
	driver_start(&h, &g, FEATURES);
	h.answer = -EAGAIN; /* the kernel asks to try again, and again */
	for (unsigned i = 0; i < 10; i++)
		request(&g, 0, i, IN, i * 8, DATA + i * 4096, 4096);
	kick(&h, 0);
	for (unsigned i = 0; i < 5; i++)
		turn(&h);
	virtio_lock(h.v);
	virtio_set_status(h.v, 0);
	assert_true(h.v->resetting);
	virtio_unlock(h.v);
	turn(&h);
	assert_true(h.v->resetting);
	h.answer = 0;
	while (h.v->resetting)
		turn(&h);
	assert_int_equal(get(&g, ring(USED, 0) + 2, 2), 0); /* nothing after a reset */
	driver_start(&h, &g, FEATURES);
	assert_int_equal(ask(&h, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	host_close(&h);
	guest_fini(&g);
}

static void save(struct host *h, struct wbuf *w)
{
	wbuf_init(w);
	virtio_blk_dev_ops.save(h->v, w);
	assert_false(w->failed);
}

static int load(struct host *h, const struct wbuf *w, size_t len, struct err *e)
{
	struct section s = { .name = "virtio-blk", .version = virtio_blk_dev_ops.version };

	s.body = rbuf_of(w->data, len);
	return virtio_blk_dev_ops.load(h->v, &s, e);
}

static void test_it_moves_with_requests_under_way(void **state)
{
	struct host a, b;
	struct guest g;
	struct wbuf w;
	struct err e;

	(void)state;
	guest_init(&g);
	host_open(&a, &g, false);
	host_open(&b, &g, true); /* the image is open at both, locked at one */
	driver_start(&a, &g, FEATURES);
	for (unsigned i = 0; i < 60; i++) {
		fill(&g, DATA + i * 4096, 4096, i);
		request(&g, 0, i, OUT, i * 8, DATA + i * 4096, 4096);
	}
	kick(&a, 0);
	turn(&a);
	virtio_blk_dev_ops.quiesce(a.v);
	/* What was taken is answered, flushed, and the image is free. */
	assert_int_equal(get(&g, ring(USED, 0) + 2, 2), 60);
	assert_true(a.ops[BLOCK_FLUSH] >= 1);
	for (unsigned i = 60; i < 80; i++) /* these nobody has seen yet */
		request(&g, 0, i, OUT, i * 8, DATA + i * 4096, 4096);
	save(&a, &w);
	if (load(&b, &w, w.len, &e))
		fail_msg("%s", e.msg);
	virtio_blk_dev_ops.resume(b.v);
	while (get(&g, ring(USED, 0) + 2, 2) != 80) /* without a kick */
		turn(&b);
	for (unsigned i = 0; i < 80; i++)
		assert_int_equal(status(&g, i), VBLK_S_OK);
	assert_int_equal(ask(&b, &g, IN, 0, DATA + 0x100000, 80 * 4096), VBLK_S_OK);
	same(&g, DATA, DATA + 0x100000, 80 * 4096);
	host_close(&a);
	assert_int_equal(ask(&b, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	host_close(&b);
	wbuf_fini(&w);
	guest_fini(&g);
}

static void test_the_lock_is_where_the_guest_is(void **state)
{
	struct host a, b, c;
	struct guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	guest_init(&g);
	host_open(&a, &g, false);
	assert_int_equal(host_try(&c, &g, false, false, &e), -EAGAIN);
	assert_non_null(strstr(e.msg, "guest g1 on host"));
	host_close(&c);
	host_open(&b, &g, true);
	/* A rehearsal at the target: no lock changes hands. */
	save(&b, &w);
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	wbuf_fini(&w);
	/* The source is at rest, also a disk that no driver uses; the target has it by the load. */
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	wbuf_fini(&w);
	assert_int_equal(host_try(&c, &g, false, false, &e), -EAGAIN);
	host_close(&c);
	/* The move fails before the commit: the target goes, the source has it again. */
	host_close(&b);
	virtio_blk_dev_ops.resume(a.v);
	assert_int_equal(host_try(&c, &g, false, false, &e), -EAGAIN);
	host_close(&c);
	driver_start(&a, &g, FEATURES);
	assert_int_equal(ask(&a, &g, OUT, 0, DATA, 4096), VBLK_S_OK);
	host_close(&a);
	host_open(&c, &g, false);
	host_close(&c);
	assert_int_equal(access(g.note, F_OK), -1);
	guest_fini(&g);
}

static void test_without_the_lock_the_disk_stands_still(void **state)
{
	struct host a, b;
	struct guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	guest_init(&g);
	host_open(&a, &g, false);
	host_open(&b, &g, true);
	driver_start(&a, &g, FEATURES);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	wbuf_fini(&w);
	virtio_blk_dev_ops.resume(a.v); /* the target is slow to die */
	request(&g, 0, 0, OUT, 0, DATA, 4096);
	kick(&a, 0);
	turn(&a);
	turn(&a);
	assert_int_equal(a.ops[BLOCK_WRITE], 0);
	host_close(&b);
	work(&a, &g, 0); /* by its timer */
	assert_int_equal(a.ops[BLOCK_WRITE], 1);
	host_close(&a);
	guest_fini(&g);
}

static void test_a_disk_that_cannot_come_to_rest_does_not_move(void **state)
{
	struct host a, b;
	struct guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	guest_init(&g);
	host_open(&a, &g, false);
	host_open(&b, &g, true);
	driver_start(&a, &g, FEATURES);
	a.answer = -EAGAIN; /* for ever */
	request(&g, 0, 0, OUT, 0, DATA, 4096);
	kick(&a, 0);
	turn(&a);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	assert_int_equal(load(&b, &w, w.len, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "disk 'root'"));
	wbuf_fini(&w);
	a.answer = 0;
	virtio_blk_dev_ops.resume(a.v);
	work(&a, &g, 0);
	assert_int_equal(status(&g, 0), VBLK_S_OK);
	host_close(&a);
	host_close(&b);
	guest_fini(&g);
}

static void test_state_that_does_not_fit_is_refused(void **state)
{
	struct host a, b;
	struct guest g;
	struct wbuf w;
	struct err e = { 0 };

	(void)state;
	guest_init(&g);
	host_open(&a, &g, false);
	driver_start(&a, &g, FEATURES);
	virtio_blk_dev_ops.quiesce(a.v);
	save(&a, &w);
	host_open(&b, &g, true);
	for (size_t cut = 1; cut <= w.len; cut++)
		assert_true(load(&b, &w, w.len - cut, &e) < 0);
	w.data[w.len - 1] = 3;
	assert_int_equal(load(&b, &w, w.len, &e), -EPROTO);
	w.data[w.len - 1] = 1;
	assert_int_equal(load(&b, &w, w.len, &e), 0);
	host_close(&b);
	assert_int_equal(truncate(g.path, DISK / 2), 0);
	host_open(&b, &g, true);
	assert_int_equal(load(&b, &w, w.len, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "is it the same image?"));
	host_close(&b);
	assert_int_equal(host_try(&b, &g, true, true, &e), 0);
	assert_int_equal(load(&b, &w, w.len, &e), -EPROTO); /* features of a disk that is written */
	host_close(&b);
	wbuf_fini(&w);
	host_close(&a);
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_guest_writes_it_reads),
		cmocka_unit_test(test_all_queues_are_served_and_none_is_lost),
		cmocka_unit_test(test_serial_number_and_configuration),
		cmocka_unit_test(test_a_discard_of_several_ranges),
		cmocka_unit_test(test_without_flush_every_write_is_flushed),
		cmocka_unit_test(test_an_error_of_the_image_is_the_guests),
		cmocka_unit_test(test_a_request_without_a_status_stops_the_disk_until_reset),
		cmocka_unit_test(test_a_reset_waits_for_what_is_under_way),
		cmocka_unit_test(test_it_moves_with_requests_under_way),
		cmocka_unit_test(test_the_lock_is_where_the_guest_is),
		cmocka_unit_test(test_without_the_lock_the_disk_stands_still),
		cmocka_unit_test(test_a_disk_that_cannot_come_to_rest_does_not_move),
		cmocka_unit_test(test_state_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
