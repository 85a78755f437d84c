/* SPDX-License-Identifier: Apache-2.0 */
/* The network card when its guest is frozen and moves: no frame is lost, and the network is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/announce.h"
#include "tests/unit/dev_virtio_net_rig.h"

static void frames_that_come_while_it_is_held_are_there_afterwards(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	for (unsigned i = 0; i < 4; i++)
		rx_buffer(&r, DRV_DATA + i * 0x1000, 200);
	drv_kick(&r.d, RX);
	virtio_dev_quiesce(r.d.v);
	for (uint8_t i = 0; i < 4; i++)
		wire_send(&r, 100, i);
	drv_run(&r.d);
	assert_int_equal(drv_used(&r.d, RX, NULL), -1);
	virtio_dev_resume(r.d.v);
	drv_run(&r.d);
	for (uint8_t i = 0; i < 4; i++) {
		assert_int_equal(drv_used(&r.d, RX, NULL), i);
		assert_frame(&r, DRV_DATA + i * 0x1000u + TAP_HDR_SIZE, 0, 100, i);
	}
	rig_close(&r);
}

/* Waits until @n requests came back, a worker at work; false after ten seconds. */
static bool wait_used(struct rig *r, unsigned q, unsigned n)
{
	for (int i = 0; n && i < 10000; i++) {
		if (drv_used(&r->d, q, NULL) >= 0)
			n--;
		else
			poll(NULL, 0, 1);
	}
	return n == 0;
}

/* With the worker on its own thread: what arrives is cut by freezes, and none of it is missing. */
static void a_freeze_in_the_midst_of_traffic_cuts_nothing_off(void **state)
{
	struct err e = { 0 };
	static uint8_t before[64 * 0x1000];
	struct rig r;

	(void)state;
	rig_start(&r);
	assert_int_equal(virtio_start(r.d.v, "net-test", &e), 0);
	for (uint8_t round = 0; round < 8; round++) {
		for (unsigned i = 0; i < 32; i++)
			rx_buffer(&r, DRV_DATA + i * 0x1000, 200);
		drv_kick(&r.d, RX);
		for (uint8_t i = 0; i < 16; i++)
			wire_send(&r, 100, i);
		virtio_dev_quiesce(r.d.v);
		drv_get(&r.d, DRV_DATA, before, sizeof(before));
		for (uint8_t i = 16; i < 32; i++)
			wire_send(&r, 100, i);
		drv_kick(&r.d, RX);
		assert_memory_equal(
			gmem_view(&r.d.mem, DRV_DATA, sizeof(before)), before, sizeof(before));
		virtio_dev_resume(r.d.v);
		assert_true(wait_used(&r, RX, 32));
		for (uint8_t i = 0; i < 32; i++)
			assert_frame(&r, DRV_DATA + i * 0x1000u + TAP_HDR_SIZE, 0, 100, i);
	}
	rig_close(&r);
}

static bool is_own(const uint8_t *got, const uint8_t *want)
{
	return memcmp(got, (uint8_t[TAP_HDR_SIZE]){ 0 }, TAP_HDR_SIZE) == 0 &&
	       memcmp(got + TAP_HDR_SIZE, want, ANNOUNCE_SIZE) == 0;
}

/* Counts the announcements on the wire until it was silent for half a second. */
static unsigned announcements(struct rig *r)
{
	uint8_t rarp[ANNOUNCE_SIZE], arp[ANNOUNCE_SIZE], got[256];
	struct pollfd p = { .fd = r->wire[0], .events = POLLIN };
	unsigned n = 0;

	announce_rarp(rarp, mac);
	announce_arp(arp, mac);
	for (int silent = 0; silent < 50;) {
		virtio_poll(r->d.v);
		if (poll(&p, 1, 10) == 0) {
			silent++;
			continue;
		}
		silent = 0;
		assert_int_equal(read(r->wire[0], got, sizeof(got)), TAP_HDR_SIZE + ANNOUNCE_SIZE);
		assert_true(is_own(got, n % 2 ? arp : rarp));
		n++;
	}
	return n;
}

/* The frame that had no room at the source is delivered at the target, before the next one. */
static void a_move_loses_no_frame_and_is_announced(void **state)
{
	struct rig a, b;
	struct err e = { 0 };
	struct wbuf w;
	uint32_t len;

	(void)state;
	rig_start(&a);
	rx_buffer(&a, DRV_DATA, 200);
	wire_send(&a, 500, 5);
	drv_kick(&a.d, RX);
	wbuf_init(&w);
	drv_save(&a.d, &virtio_net_dev_ops, &w);
	rig_open(&b, 1);
	wire_send(&b, 100, 1); /* from before: the guest had it at the source */
	drv_adopt(&b.d, &a.d);
	assert_int_equal(drv_load(&b.d, &virtio_net_dev_ops, w.data, w.len, &e), 0);
	wire_send(&b, 70, 6);
	rx_buffer(&b, DRV_DATA + 0x1000, 400);
	rx_buffer(&b, DRV_DATA + 0x2000, 400);
	virtio_dev_resume(b.d.v);
	drv_run(&b.d);
	assert_int_equal(drv_used(&b.d, RX, &len), 0);
	assert_int_equal(drv_used(&b.d, RX, &len), 1);
	assert_int_equal(len, 312);
	assert_frame(&b, DRV_DATA + 0x1000, 188, 312, 5);
	assert_int_equal(drv_used(&b.d, RX, &len), 2);
	assert_int_equal(len, TAP_HDR_SIZE + 70);
	/* The guest is asked too, and says that it has done so. */
	assert_int_equal(announcements(&b), 10);
	assert_true(b.d.msi[0] > 0);
	assert_int_equal(drv_config(&b.d, NET_CONFIG_STATUS, 2), NET_S_LINK_UP | NET_S_ANNOUNCE);
	assert_int_equal(CONTROL(&b, 2, 3, 0), 0);
	assert_int_equal(drv_config(&b.d, NET_CONFIG_STATUS, 2), NET_S_LINK_UP);
	wbuf_fini(&w);
	rig_close(&a);
	rig_close(&b);
}

static void a_move_that_failed_is_announced_by_nobody(void **state)
{
	struct wbuf w;
	struct rig r;

	(void)state;
	rig_start(&r);
	wbuf_init(&w);
	drv_save(&r.d, &virtio_net_dev_ops, &w);
	virtio_dev_resume(r.d.v);
	assert_int_equal(announcements(&r), 0);
	wbuf_fini(&w);
	rig_close(&r);
}

static void what_is_saved_is_what_is_loaded(void **state)
{
	struct rig a, b;
	struct err e = { 0 };
	struct wbuf w, again;

	(void)state;
	rig_open(&a, 2);
	drv_start(&a.d, ALL, 5, QUEUE_SIZE);
	assert_int_equal(CONTROL(&a, 4, 1, 1, 2, 9, 9, 9, 9, 9), 0);
	assert_int_equal(CONTROL(&a, 4, 4, 0, 2, 0), 0);
	assert_int_equal(CONTROL(&a, 4, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0), 0);
	wire_send(&a, 500, 5);
	drv_run(&a.d);
	wbuf_init(&w);
	wbuf_init(&again);
	drv_save(&a.d, &virtio_net_dev_ops, &w);
	rig_open(&b, 2);
	drv_adopt(&b.d, &a.d);
	assert_int_equal(drv_load(&b.d, &virtio_net_dev_ops, w.data, w.len, &e), 0);
	drv_save(&b.d, &virtio_net_dev_ops, &again);
	assert_int_equal(again.len, w.len);
	assert_memory_equal(again.data, w.data, w.len);
	rig_close(&b);
	/* One that has fewer pairs, or fewer bytes: an error, and it can be freed. */
	rig_open(&b, 1);
	drv_adopt(&b.d, &a.d);
	assert_int_equal(drv_load(&b.d, &virtio_net_dev_ops, w.data, w.len, &e), -EPROTO);
	rig_close(&b);
	rig_open(&b, 2);
	drv_adopt(&b.d, &a.d);
	for (size_t n = 0; n < w.len; n += n + 64 < w.len ? 13 : 1)
		assert_int_equal(drv_load(&b.d, &virtio_net_dev_ops, w.data, n, &e), -EPROTO);
	rig_close(&b);
	wbuf_fini(&w);
	wbuf_fini(&again);
	rig_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_that_come_while_it_is_held_are_there_afterwards),
		cmocka_unit_test(a_freeze_in_the_midst_of_traffic_cuts_nothing_off),
		cmocka_unit_test(a_move_loses_no_frame_and_is_announced),
		cmocka_unit_test(a_move_that_failed_is_announced_by_nobody),
		cmocka_unit_test(what_is_saved_is_what_is_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
