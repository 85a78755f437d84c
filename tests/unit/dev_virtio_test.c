/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device on PCI from the first look at its capabilities through all that a driver, honest
 * or not, does with it. Moves: dev_virtio_state_test.c.
 */
#include "tests/unit/dev_virtio_note.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
