/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device on PCI from the first look at its capabilities to a move in the middle of its
 * work: a device that writes down what it is told, and the random number device, which works.
 */
#include "tests/unit/dev_virtio_driver.h"

#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/dev/virtio_rng.h"

#define QUEUES  3u
#define FEATURE (1ull << 5)

/* What a device was told. */
struct note {
	struct virtio *v;
	unsigned activated, resets, notified[QUEUES], quiesced, resumed, freed, written, watched;
	uint64_t features;
	bool refuse, slow;
	uint32_t own; /* its own state */
};

static int note_activate(void *self, uint64_t features, struct err *e)
{
	struct note *n = self;

	n->features = features;
	n->activated++;
	return n->refuse ? err_set(e, -EIO, "it does not want to") : 0;
}

static bool note_reset(void *self)
{
	struct note *n = self;

	n->resets++;
	return !n->slow;
}

static void note_notify(void *self, unsigned q)
{
	((struct note *)self)->notified[q]++;
}

static void note_written(void *self, unsigned off, unsigned len)
{
	struct note *n = self;

	n->written = off << 8 | len;
}

static void note_quiesce(void *self)
{
	((struct note *)self)->quiesced++;
}

static void note_resume(void *self)
{
	((struct note *)self)->resumed++;
}

static void note_save(void *self, struct wbuf *w)
{
	wbuf_u32(w, ((struct note *)self)->own);
}

static int note_load(void *self, uint32_t version, struct rbuf *r, struct err *e)
{
	struct note *n = self;

	n->own = rbuf_u32(r);
	return version == 2 && !r->failed ? 0 : err_set(e, -EPROTO, "note: state is malformed");
}

static void note_free(void *self)
{
	((struct note *)self)->freed++;
}

static const struct virtio_ops note_ops = {
	.id = 18,
	.class_code = 0x0c8000,
	.activate = note_activate,
	.reset = note_reset,
	.notify = note_notify,
	.config_written = note_written,
	.quiesce = note_quiesce,
	.resume = note_resume,
	.save = note_save,
	.load = note_load,
	.free = note_free,
};
static const struct dev_ops note_dev_ops = VIRTIO_DEV_OPS("note", 2);

struct rig {
	struct pci_rig pci;
	struct gmem m;
	struct note n;
	struct driver d;
	struct ring ring[QUEUES];
};

static void rig_open(struct rig *g)
{
	static const uint8_t config[12] = "abcdefghijkl";
	const struct virtio_shape shape = { .ops = &note_ops,
		.self = &g->n,
		.features = FEATURE,
		.queues = QUEUES,
		.queue_max = 16,
		.config = config,
		.config_len = sizeof(config),
		.config_rw = 4,
		.config_rw_len = 4 };
	struct err e;

	memset(g, 0, sizeof(*g));
	pci_rig_open(&g->pci);
	assert_int_equal(gmem_init(&g->m, GMEM_SIZE_MIN, &e), 0);
	assert_int_equal(virtio_new(&g->n.v, g->pci.bus, 4, &g->m, &shape, &e), 0);
	g->d = driver_at(&g->pci, 4);
	for (unsigned i = 0; i < QUEUES; i++)
		g->ring[i] = ring_at(&g->m, 0x100000 * (i + 1), 16);
}

static void rig_close(struct rig *g)
{
	note_dev_ops.free(g->n.v);
	assert_int_equal(g->n.freed, 1);
	assert_int_equal(g->pci.kicks, 0);
	gmem_fini(&g->m);
	pci_rig_close(&g->pci);
}

/* Queues 0 and 2, vectors 1 and 3, configuration changes by vector 0. */
static void rig_drive(struct rig *g)
{
	assert_true(driver_negotiate(&g->d, VIRTIO_1 | FEATURE));
	driver_vectors(&g->d, QUEUES + 1);
	common_set(&g->d, 16, 2, 0);
	driver_queue(&g->d, 0, &g->ring[0], 1);
	driver_queue(&g->d, 2, &g->ring[2], 3);
	driver_set_status(&g->d, 0x0f);
}

static void run(struct rig *g)
{
	while (virtio_poll(g->n.v) > 0)
		;
}

static void a_driver_finds_the_structures(void **state)
{
	unsigned cap = 0;
	struct rig g;

	(void)state;
	rig_open(&g);
	assert_int_equal(cfg_get(&g.pci, 4, 0, 4), 0x10521af4);
	assert_int_equal(cfg_get(&g.pci, 4, 8, 1), 1);
	assert_int_equal(cfg_get(&g.pci, 4, 0x3d, 1), 0); /* no interrupt line */
	assert_true(g.d.common && g.d.notify && g.d.isr && g.d.device && g.d.notify_step == 4);
	assert_int_equal(common_get(&g.d, 18, 2), QUEUES);
	assert_true(driver_offered(&g.d) == (VIRTIO_1 | FEATURE | 3ull << 28));
	common_set(&g.d, 0, 4, 2);
	assert_int_equal(common_get(&g.d, 4, 4), 0);
	for (unsigned q = 0; q < QUEUES; q++) {
		common_set(&g.d, 22, 2, q);
		assert_int_equal(common_get(&g.d, 24, 2), 16);
		assert_int_equal(common_get(&g.d, 26, 2), 0xffff);
		assert_int_equal(common_get(&g.d, 30, 2), q);
	}
	common_set(&g.d, 22, 2, QUEUES);
	assert_int_equal(common_get(&g.d, 24, 2), 0);
	/* The same through the window in configuration space. */
	(void)driver_structure(&g.d, 5, &cap);
	cfg_set(&g.pci, 4, cap + 8, 4, 18);
	cfg_set(&g.pci, 4, cap + 12, 4, 2);
	assert_int_equal(cfg_get(&g.pci, 4, cap + 16, 2), QUEUES);
	cfg_set(&g.pci, 4, cap + 8, 4, 22);
	cfg_set(&g.pci, 4, cap + 16, 2, 1);
	assert_int_equal(common_get(&g.d, 22, 2), 1);
	/* ... which leads nowhere but into the BAR. */
	static const uint32_t bad[][3] = { { 0, 0x8000, 4 }, { 0, 0xfffffffc, 4 }, { 0, 2, 4 },
		{ 0, 0, 3 }, { 0, 0, 8 }, { 0, 0, 0 }, { 1, 0, 4 }, { 9, 0, 4 } };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cfg_set(&g.pci, 4, cap + 4, 1, bad[i][0]);
		cfg_set(&g.pci, 4, cap + 8, 4, bad[i][1]);
		cfg_set(&g.pci, 4, cap + 12, 4, bad[i][2]);
		cfg_set(&g.pci, 4, cap + 16, 4, 0);
		(void)cfg_get(&g.pci, 4, cap + 16, 4);
	}
	assert_int_equal(common_get(&g.d, 22, 2), 1);
	rig_close(&g);
}

static void features_are_agreed_on_or_not(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	assert_false(driver_negotiate(&g.d, FEATURE)); /* legacy */
	driver_set_status(&g.d, 0);
	assert_false(driver_negotiate(&g.d, VIRTIO_1 | 1ull << 6));
	driver_set_status(&g.d, 0x0f);
	assert_int_equal(driver_status(&g.d), 3); /* nor is the driver ready then */
	assert_int_equal(g.n.activated, 0);
	driver_set_status(&g.d, 0);
	assert_int_equal(driver_status(&g.d), 0);
	rig_drive(&g);
	assert_int_equal(driver_status(&g.d), 0x0f);
	assert_int_equal(g.n.activated, 1);
	assert_true(g.n.features == (VIRTIO_1 | FEATURE));
	assert_true(virtio_features(g.n.v) == g.n.features);
	/* Too late to think again. */
	common_set(&g.d, 8, 4, 0);
	common_set(&g.d, 12, 4, 0);
	assert_int_equal(common_get(&g.d, 12, 4), FEATURE);
	rig_close(&g);
}

static void kicks_and_interrupts_find_their_way(void **state)
{
	struct virtq_chain c;
	uint64_t one = 1;
	struct rig g;
	struct err e;

	(void)state;
	rig_open(&g);
	assert_int_equal(g.pci.kicks, QUEUES);
	rig_drive(&g);
	run(&g);
	/* What may be there already is looked at; queue 1 was not set up. */
	assert_int_equal(g.n.notified[0], 1);
	assert_int_equal(g.n.notified[1], 0);
	assert_int_equal(g.n.notified[2], 1);
	driver_kick(&g.d, 2);
	driver_kick(&g.d, 1);
	driver_kick(&g.d, 3);
	for (unsigned i = 0; i < g.pci.kicks; i++)
		if (g.pci.kick[i].addr == g.d.notify)
			assert_int_equal(write(g.pci.kick[i].fd, &one, 8), 8);
	run(&g);
	assert_int_equal(g.n.notified[0], 2);
	assert_int_equal(g.n.notified[1], 0);
	assert_int_equal(g.n.notified[2], 2);
	assert_int_equal(virtq_chain_init(&c, 4, &e), 0);
	ring_desc(&g.ring[2], 0, 0x10000, 8, RING_WRITE, 0);
	ring_make(&g.ring[2], 0);
	assert_int_equal(virtq_pop(virtio_queue(g.n.v, 2), &c), 1);
	virtq_push(virtio_queue(g.n.v, 2), &c, 8);
	virtq_signal(virtio_queue(g.n.v, 2));
	assert_int_equal(g.pci.msis, 1);
	assert_int_equal(g.pci.msi_data, 0x43);
	virtq_chain_fini(&c);
	/* The kicks follow the BAR. */
	cfg_set(&g.pci, 4, 0x10, 4, 0xc9000000);
	assert_int_equal(g.pci.kicks, QUEUES);
	assert_in_range(g.pci.kick[0].addr, 0xc9000000, 0xc9007fff);
	cfg_set(&g.pci, 4, 4, 2, 0);
	assert_int_equal(g.pci.kicks, 0);
	rig_close(&g);
}

static void configuration_is_read_written_and_changed(void **state)
{
	struct rig g;
	char got[4];

	(void)state;
	rig_open(&g);
	rig_drive(&g);
	assert_int_equal(bus_read(&g.pci.mmio, g.d.device, 4), 0x64636261);
	assert_int_equal(bus_read(&g.pci.mmio, g.d.device + 10, 4), 0x6c6b); /* beyond: zero */
	assert_int_equal(bus_read(&g.pci.mmio, g.d.device + 0x800, 8), 0);
	bus_write(&g.pci.mmio, g.d.device, 4, 0);
	bus_write(&g.pci.mmio, g.d.device + 2, 4, 0);
	bus_write(&g.pci.mmio, g.d.device + 6, 4, 0);
	bus_write(&g.pci.mmio, g.d.device + 8, 4, 0);
	bus_write(&g.pci.mmio, g.d.device + 0xffc, 4, 0);
	assert_int_equal(g.n.written, 0);
	bus_write(&g.pci.mmio, g.d.device + 6, 2, 0x5958);
	assert_int_equal(g.n.written, 6 << 8 | 2);
	virtio_config_get(g.n.v, 4, got, 4);
	assert_memory_equal(got, "efXY", 4);
	assert_int_equal(common_get(&g.d, 21, 1), 0);
	virtio_config_set(g.n.v, 10, "K", 1);
	assert_int_equal(common_get(&g.d, 21, 1), 1);
	assert_int_equal(g.pci.msi_data, 0x40);
	assert_int_equal(bus_read(&g.pci.mmio, g.d.isr, 1), 2);
	assert_int_equal(bus_read(&g.pci.mmio, g.d.isr, 1), 0);
	virtio_config_set(g.n.v, 11, "overrun", 7);
	assert_int_equal(common_get(&g.d, 21, 1), 1);
	driver_set_status(&g.d, 0);
	assert_int_equal(bus_read(&g.pci.mmio, g.d.device + 4, 4), 0x68676665);
	rig_close(&g);
}

static void settings_of_a_running_queue_are_not_heard(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	rig_drive(&g);
	common_set(&g.d, 22, 2, 1);
	driver_queue(&g.d, 1, &g.ring[1], 2);
	assert_int_equal(common_get(&g.d, 28, 2), 0);
	assert_int_equal(common_get(&g.d, 32, 8), 0);
	assert_int_equal(common_get(&g.d, 26, 2), 2); /* but vectors may change */
	common_set(&g.d, 26, 2, QUEUES + 1);
	assert_int_equal(common_get(&g.d, 26, 2), 0xffff); /* there is none */
	driver_set_status(&g.d, 0);
	common_set(&g.d, 22, 2, 1);
	static const uint16_t sizes[] = { 0, 3, 17, 32, 0x8000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		common_set(&g.d, 24, 2, sizes[i]);
		assert_int_equal(common_get(&g.d, 24, 2), 16);
	}
	/* Every offset and size, in and around the structure: nothing falls over. */
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned off = 0; off < 0x60; off++) {
			(void)common_get(&g.d, off, size);
			if (off + size <= 20 || off > 21)
				common_set(&g.d, off, size, 0xa5a5a5a5a5a5a5a5ull);
		}
	rig_close(&g);
}

static void a_guest_that_breaks_the_rules_stops_its_device(void **state)
{
	struct virtq_chain c;
	struct rig g;
	struct err e;

	(void)state;
	rig_open(&g);
	rig_drive(&g);
	run(&g);
	assert_int_equal(virtq_chain_init(&c, 4, &e), 0);
	ring_make(&g.ring[0], 99);
	assert_int_equal(virtq_pop(virtio_queue(g.n.v, 0), &c), -EPROTO);
	assert_int_equal(driver_status(&g.d), 0x4f);
	assert_int_equal(g.pci.msi_data, 0x40); /* told by a configuration change */
	assert_int_equal(common_get(&g.d, 21, 1), 1);
	g.n.notified[2] = 0;
	driver_kick(&g.d, 2);
	run(&g);
	assert_int_equal(g.n.notified[2], 0);
	driver_set_status(&g.d, 0x0f);
	assert_int_equal(driver_status(&g.d), 0x4f);
	driver_set_status(&g.d, 0);
	assert_int_equal(g.n.resets, 1);
	rig_drive(&g);
	run(&g);
	assert_int_equal(driver_status(&g.d), 0x0f);
	assert_int_equal(g.n.notified[2], 1);
	virtq_chain_fini(&c);
	rig_close(&g);
}

static void rings_in_the_wrong_place_stop_it_too(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	g.ring[2].desc = 0xfffffffffffffff0ull;
	rig_drive(&g);
	assert_int_equal(driver_status(&g.d), 0x4f);
	assert_int_equal(g.n.activated, 0);
	driver_set_status(&g.d, 0);
	assert_int_equal(g.n.resets, 0);
	g.ring[2].desc = g.ring[1].desc;
	g.n.refuse = true;
	rig_drive(&g);
	assert_int_equal(driver_status(&g.d), 0x4f);
	driver_set_status(&g.d, 0);
	assert_int_equal(driver_status(&g.d), 0);
	rig_close(&g);
}

static void a_slow_reset_is_waited_for_by_the_driver(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g);
	rig_drive(&g);
	g.n.slow = true;
	driver_set_status(&g.d, 0);
	assert_int_equal(driver_status(&g.d), 0x0f);
	driver_set_status(&g.d, 0x1f);
	common_set(&g.d, 22, 2, 1);
	assert_int_equal(common_get(&g.d, 22, 2), 2);
	assert_int_equal(g.n.resets, 1);
	assert_false(virtio_queue(g.n.v, 0)->ready);
	virtio_reset_done(g.n.v);
	assert_int_equal(driver_status(&g.d), 0);
	/* A freeze in the middle of one ends it. */
	g.n.slow = false;
	rig_drive(&g);
	g.n.slow = true;
	driver_set_status(&g.d, 0);
	note_dev_ops.quiesce(g.n.v);
	assert_int_equal(g.n.quiesced, 1);
	assert_int_equal(driver_status(&g.d), 0);
	note_dev_ops.resume(g.n.v);
	assert_int_equal(g.n.resumed, 0);
	rig_close(&g);
}

static void note_watch(void *arg, uint32_t events)
{
	struct note *n = arg;
	uint64_t v;

	assert_true(events & EPOLLIN);
	n->watched++;
	assert_int_equal(eventfd_read((int)n->own, &v), 0);
}

static void a_held_device_does_nothing(void **state)
{
	struct rig g;
	struct err e;
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	rig_open(&g);
	rig_drive(&g);
	run(&g);
	g.n.own = (uint32_t)fd;
	assert_int_equal(virtio_watch(g.n.v, fd, EPOLLIN, note_watch, &g.n, &e), 0);
	note_dev_ops.quiesce(g.n.v);
	note_dev_ops.quiesce(g.n.v);
	assert_int_equal(g.n.quiesced, 1);
	driver_kick(&g.d, 0);
	assert_int_equal(eventfd_write(fd, 1), 0);
	run(&g);
	assert_int_equal(g.n.notified[0], 1);
	assert_int_equal(g.n.watched, 0);
	note_dev_ops.resume(g.n.v);
	assert_int_equal(g.n.resumed, 1);
	run(&g);
	assert_int_equal(g.n.watched, 1);
	assert_int_equal(g.n.notified[0], 2);
	assert_int_equal(g.n.notified[2], 2); /* and every queue is looked at */
	virtio_unwatch(g.n.v, fd);
	assert_int_equal(eventfd_write(fd, 1), 0);
	run(&g);
	assert_int_equal(g.n.watched, 1);
	close(fd);
	rig_close(&g);
}

/* Saves @a and loads it into @b, with byte @at (if not negative) replaced, @cut bytes missing. */
static int move_note(struct rig *a, struct rig *b, size_t cut, int at, uint8_t v, size_t *len)
{
	struct section s = { .name = "note", .version = 2 };
	struct err e = { 0 };
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	note_dev_ops.save(a->n.v, &w);
	assert_false(w.failed);
	if (len)
		*len = w.len;
	if (at >= 0)
		w.data[at] = v;
	s.body = rbuf_of(w.data, w.len - cut);
	rc = note_dev_ops.load(b->n.v, &s, &e);
	assert_true(rc == 0 || e.msg[0]);
	wbuf_fini(&w);
	return rc;
}

static void a_device_moves_in_the_middle_of_its_work(void **state)
{
	struct virtq_chain c;
	struct rig a, b;
	struct err e;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	rig_drive(&a);
	run(&a);
	assert_int_equal(virtq_chain_init(&c, 4, &e), 0);
	for (uint16_t i = 0; i < 5; i++) {
		ring_desc(&a.ring[0], i, 0x10000, 8, RING_WRITE, 0);
		ring_make(&a.ring[0], i);
		assert_int_equal(virtq_pop(virtio_queue(a.n.v, 0), &c), 1);
		if (i != 3) /* that one is under way */
			virtq_push(virtio_queue(a.n.v, 0), &c, i);
	}
	a.n.own = 0x1234;
	bus_write(&a.pci.mmio, a.d.device + 4, 4, 0x31323334);
	note_dev_ops.quiesce(a.n.v);
	/* Memory moves, too. */
	memcpy(gmem_view(&b.m, 0x100000, 0x300000), gmem_view(&a.m, 0x100000, 0x300000), 0x300000);
	assert_int_equal(move_note(&a, &b, 0, -1, 0, NULL), 0);
	assert_int_equal(b.n.activated, 1);
	assert_true(b.n.features == (VIRTIO_1 | FEATURE));
	assert_int_equal(b.n.own, 0x1234);
	run(&b);
	assert_int_equal(b.n.notified[0], 0); /* not before the thaw */
	note_dev_ops.resume(b.n.v);
	run(&b);
	assert_int_equal(b.n.resumed, 1);
	assert_int_equal(b.n.notified[0], 1);
	assert_int_equal(b.n.notified[2], 1);
	assert_int_equal(driver_status(&b.d), 0x0f);
	assert_int_equal(bus_read(&b.pci.mmio, b.d.device + 4, 4), 0x31323334);
	/* The request that was under way is answered over there, by the vector it had. */
	b.ring[0].made = 5;
	assert_int_equal(virtq_pop(virtio_queue(b.n.v, 0), &c), 0);
	assert_int_equal(virtq_chain_at(virtio_queue(b.n.v, 0), 3, &c), 1);
	virtq_push(virtio_queue(b.n.v, 0), &c, 8);
	virtq_signal(virtio_queue(b.n.v, 0));
	assert_int_equal(ring_used_idx(&b.ring[0]), 5);
	assert_int_equal(ring_used_id(&b.ring[0], 4), 3);
	assert_int_equal(b.pci.msis, 1);
	assert_int_equal(b.pci.msi_data, 0x41);
	virtq_chain_fini(&c);
	rig_close(&a);
	rig_close(&b);
}

static void hostile_state_is_refused(void **state)
{
	struct rig a, b;
	size_t len = 0;
	unsigned refused = 0;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	rig_drive(&a);
	note_dev_ops.quiesce(a.n.v);
	assert_int_equal(move_note(&a, &b, 0, -1, 0, &len), 0);
	for (size_t cut = 1; cut <= len; cut++)
		assert_int_equal(move_note(&a, &b, cut, -1, 0, NULL), -EPROTO);
	/* Any byte, whatever it says: refused, or taken and then fit to be saved again. */
	for (size_t at = 0; at < len; at++)
		for (unsigned v = 0; v < 256; v += 15)
			refused += move_note(&a, &b, 0, (int)at, (uint8_t)v, NULL) != 0;
	assert_true(refused > 0);
	assert_int_equal(move_note(&a, &b, 0, 0, 2, NULL), -EPROTO); /* a newer core */
	/* Features of another device. */
	assert_int_equal(move_note(&a, &b, 0, -1, 0, NULL), 0);
	rig_close(&a);
	rig_close(&b);
}

/* With its worker: a request by a kick from outside, answered by an interrupt. */
static void the_random_number_device_answers(void **state)
{
	struct virtio *v = NULL;
	struct pci_rig r;
	struct gmem m;
	struct driver d;
	struct ring ring;
	struct err e;
	uint8_t got[64], zero[64] = { 0 };

	(void)state;
	pci_rig_open(&r);
	assert_int_equal(gmem_init(&m, GMEM_SIZE_MIN, &e), 0);
	assert_int_equal(virtio_rng_new(&v, r.bus, 0, &m, &e), 0);
	assert_int_equal(virtio_start(v, "rng", &e), 0);
	assert_int_equal(cfg_get(&r, 1, 0, 4), 0x10441af4);
	d = driver_at(&r, 1);
	ring = ring_at(&m, 0x100000, 8);
	assert_true(driver_negotiate(&d, VIRTIO_1 | VIRTIO_EVENT_IDX));
	driver_vectors(&d, 2);
	driver_queue(&d, 0, &ring, 1);
	driver_set_status(&d, 0x0f);
	ring_desc(&ring, 0, 0x10000, 40, RING_WRITE | RING_NEXT, 1);
	ring_desc(&ring, 1, 0x20000, 24, RING_WRITE, 0);
	ring_make(&ring, 0);
	driver_kick(&d, 0);
	for (;;) {
		uint16_t used;

		virtio_lock(v);
		used = ring_used_idx(&ring);
		virtio_unlock(v);
		if (used)
			break;
		sched_yield();
	}
	virtio_rng_dev_ops.quiesce(v);
	assert_int_equal(ring_used_len(&ring, 0), 64);
	assert_int_equal(r.msis, 1);
	assert_int_equal(r.msi_data, 0x41);
	assert_true(gmem_read(&m, 0x10000, got, 40) && gmem_read(&m, 0x20000, got + 40, 24));
	assert_memory_not_equal(got, zero, 40);
	assert_memory_not_equal(got + 40, zero, 24);
	virtio_rng_dev_ops.resume(v);
	virtio_rng_dev_ops.reset(v);
	assert_int_equal(driver_status(&d), 0);
	virtio_rng_dev_ops.free(v);
	gmem_fini(&m);
	pci_rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_finds_the_structures),
		cmocka_unit_test(features_are_agreed_on_or_not),
		cmocka_unit_test(kicks_and_interrupts_find_their_way),
		cmocka_unit_test(configuration_is_read_written_and_changed),
		cmocka_unit_test(settings_of_a_running_queue_are_not_heard),
		cmocka_unit_test(a_guest_that_breaks_the_rules_stops_its_device),
		cmocka_unit_test(rings_in_the_wrong_place_stop_it_too),
		cmocka_unit_test(a_slow_reset_is_waited_for_by_the_driver),
		cmocka_unit_test(a_held_device_does_nothing),
		cmocka_unit_test(a_device_moves_in_the_middle_of_its_work),
		cmocka_unit_test(hostile_state_is_refused),
		cmocka_unit_test(the_random_number_device_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
