/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network card as a driver meets it: frames both ways, what waits while there is no room or the
 * device is held, the control queue, a move in the middle with its announcements, and guests that
 * break the rules. The wire is a pair of sockets that carry what a tap would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/dev/announce.h"
#include "hv/dev/virtio_net_parts.h"
#include "tests/lib/virtio_driver.h"

#define RX         0
#define TX         1
#define QUEUE_SIZE 64
#define ALL        (~0ull)

static const uint8_t mac[6] = { 0x02, 0, 0, 0, 0, 0x77 };

struct rig {
	struct drv d;
	int wire[TAP_QUEUES_MAX]; /* the far ends */
	unsigned pairs;
};

static void rig_open_offload(struct rig *r, unsigned pairs, unsigned offload)
{
	int fd[TAP_QUEUES_MAX], both[2];
	struct err e = { 0 };
	struct tap tap;

	memset(r, 0, sizeof(*r));
	r->pairs = pairs;
	for (unsigned i = 0; i < pairs; i++) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both),
			0);
		fd[i] = both[0];
		r->wire[i] = both[1];
	}
	tap_adopt(&tap, fd, pairs, offload);
	drv_init(&r->d);
	assert_int_equal(virtio_net_new(&r->d.v, r->d.bus, 0, &r->d.mem, &tap, mac, &e), 0);
}

static void rig_open(struct rig *r, unsigned pairs)
{
	rig_open_offload(r, pairs, TAP_OFFLOAD_ALL);
}

static void rig_close(struct rig *r)
{
	drv_fini(&r->d);
	for (unsigned i = 0; i < r->pairs; i++)
		close(r->wire[i]);
}

/* One pair, all features, control queue and all. */
static void rig_start(struct rig *r)
{
	rig_open(r, 1);
	drv_start(&r->d, ALL, 3, QUEUE_SIZE);
}

static void fill(uint8_t *p, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i * 7);
}

/* A frame comes in from the wire: @n bytes behind an empty header. */
static void wire_send(struct rig *r, size_t n, uint8_t seed)
{
	uint8_t *buf = calloc(1, TAP_HDR_SIZE + n);

	fill(buf + TAP_HDR_SIZE, n, seed);
	assert_int_equal(write(r->wire[0], buf, TAP_HDR_SIZE + n), TAP_HDR_SIZE + n);
	free(buf);
}

static void rx_buffer(struct rig *r, uint64_t gpa, uint32_t len)
{
	const struct drv_seg seg = { gpa, len, true };

	drv_add(&r->d, RX, &seg, 1);
}

static void assert_frame(struct rig *r, uint64_t gpa, size_t off, size_t n, uint8_t seed)
{
	uint8_t *got = malloc(n), *want = malloc(off + n);

	drv_get(&r->d, gpa, got, n);
	fill(want, off + n, seed);
	assert_memory_equal(got, want + off, n);
	free(got);
	free(want);
}

static void the_card_says_what_it_is(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 2);
	assert_true(drv_features(&r.d) & NET_F_MQ);
	assert_true((drv_features(&r.d) & NET_F_GUEST_OFFLOADS) == NET_F_GUEST_OFFLOADS);
	assert_true(drv_features(&r.d) & NET_F_GUEST_ANNOUNCE);
	drv_start(&r.d, ALL, 5, QUEUE_SIZE);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(drv_config(&r.d, i, 1), mac[i]);
	assert_int_equal(drv_config(&r.d, NET_CONFIG_STATUS, 2), NET_S_LINK_UP);
	assert_int_equal(drv_config(&r.d, NET_CONFIG_PAIRS, 2), 2);
	rig_close(&r);
	/* What the tap does not take is not offered. */
	rig_open_offload(&r, 1, TAP_OFFLOAD_CSUM);
	assert_false(drv_features(&r.d) & (NET_F_MQ | NET_F_HOST_TSO4 | NET_F_GUEST_TSO4));
	assert_true(drv_features(&r.d) & NET_F_GUEST_CSUM);
	rig_close(&r);
	rig_open_offload(&r, 1, 0);
	assert_false(
		drv_features(&r.d) & (NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_CTRL_GUEST_OFFLOADS));
	rig_close(&r);
}

static void a_frame_goes_out_as_the_guest_gathered_it(void **state)
{
	const struct drv_seg seg[] = { { DRV_DATA, 5, false }, { DRV_DATA + 0x2000, 7, false },
		{ DRV_DATA + 0x4003, 100, false } };
	uint8_t want[112], got[256];
	struct rig r;

	(void)state;
	rig_start(&r);
	fill(want, sizeof(want), 3);
	drv_put(&r.d, seg[0].gpa, want, 5);
	drv_put(&r.d, seg[1].gpa, want + 5, 7);
	drv_put(&r.d, seg[2].gpa, want + 12, 100);
	drv_add(&r.d, TX, seg, 3);
	drv_kick(&r.d, TX);
	assert_int_equal(read(r.wire[0], got, sizeof(got)), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(drv_used(&r.d, TX, NULL), 0);
	assert_int_equal(r.d.msi[TX + 1], 1);
	rig_close(&r);
}

static void more_frames_than_one_turn_takes_all_go_out(void **state)
{
	const struct drv_seg seg = { DRV_DATA, 60, false };
	unsigned sent = 0;
	uint8_t got[256];
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	drv_start(&r.d, ALL, 3, 512);
	for (unsigned i = 0; i < 300; i++)
		drv_add(&r.d, TX, &seg, 1);
	drv_kick(&r.d, TX);
	while (drv_used(&r.d, TX, NULL) >= 0)
		sent++;
	assert_int_equal(sent, 300);
	while (read(r.wire[0], got, sizeof(got)) > 0)
		sent--;
	/* What the wire does not take is lost: a socket's queue is shorter than 300. */
	assert_true(sent < 300);
	rig_close(&r);
}

static void a_frame_comes_in_with_its_header(void **state)
{
	uint8_t header[TAP_HDR_SIZE];
	uint32_t len;
	struct rig r;

	(void)state;
	rig_start(&r);
	rx_buffer(&r, DRV_DATA, 2048);
	wire_send(&r, 100, 9);
	drv_kick(&r.d, RX);
	assert_int_equal(drv_used(&r.d, RX, &len), 0);
	assert_int_equal(len, TAP_HDR_SIZE + 100);
	drv_get(&r.d, DRV_DATA, header, sizeof(header));
	assert_memory_equal(header, ((uint8_t[TAP_HDR_SIZE]){ [10] = 1 }), sizeof(header));
	assert_frame(&r, DRV_DATA + TAP_HDR_SIZE, 0, 100, 9);
	assert_int_equal(r.d.msi[RX + 1], 1);
	rig_close(&r);
}

static void a_large_frame_is_spread_over_buffers(void **state)
{
	uint8_t count[2];
	uint32_t len;
	struct rig r;

	(void)state;
	rig_start(&r);
	for (unsigned i = 0; i < 6; i++)
		rx_buffer(&r, DRV_DATA + i * 0x1000, 1000);
	wire_send(&r, 3500, 1);
	drv_kick(&r.d, RX);
	drv_get(&r.d, DRV_DATA + 10, count, 2);
	assert_int_equal(count[0] | count[1] << 8, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(drv_used(&r.d, RX, &len), i);
		assert_int_equal(len, i < 3 ? 1000 : 512);
	}
	assert_int_equal(drv_used(&r.d, RX, NULL), -1);
	assert_frame(&r, DRV_DATA + TAP_HDR_SIZE, 0, 988, 1);
	assert_frame(&r, DRV_DATA + 0x1000, 988, 1000, 1);
	assert_frame(&r, DRV_DATA + 0x3000, 2988, 512, 1);
	rig_close(&r);
}

/* Also when some room is there already but not enough: its kick must not get lost. */
static void frames_wait_for_room(uint64_t features)
{
	uint32_t len;
	struct rig r;

	rig_open(&r, 1);
	drv_start(&r.d, features, 3, QUEUE_SIZE);
	rx_buffer(&r, DRV_DATA, 200);
	wire_send(&r, 300, 1);
	wire_send(&r, 50, 2);
	wire_send(&r, 60, 3);
	drv_run(&r.d);
	assert_int_equal(drv_used(&r.d, RX, NULL), -1);
	rx_buffer(&r, DRV_DATA + 0x1000, 200);
	drv_kick(&r.d, RX);
	assert_int_equal(drv_used(&r.d, RX, &len), 0);
	assert_int_equal(len, 200);
	assert_int_equal(drv_used(&r.d, RX, &len), 1);
	assert_int_equal(len, TAP_HDR_SIZE + 100);
	rx_buffer(&r, DRV_DATA + 0x2000, 200);
	rx_buffer(&r, DRV_DATA + 0x3000, 200);
	drv_kick(&r.d, RX);
	assert_int_equal(drv_used(&r.d, RX, &len), 2);
	assert_int_equal(len, TAP_HDR_SIZE + 50);
	assert_int_equal(drv_used(&r.d, RX, &len), 3);
	assert_int_equal(len, TAP_HDR_SIZE + 60);
	assert_frame(&r, DRV_DATA + 0x3000 + TAP_HDR_SIZE, 0, 60, 3);
	rig_close(&r);
}

static void frames_without_room_wait_in_order(void **state)
{
	(void)state;
	frames_wait_for_room(ALL);
	frames_wait_for_room(ALL & ~DRV_EVENTIDX);
}

/* Once the guest was told that there is no room, its next buffer must bring a kick (2.7.10). */
static void the_kick_that_is_asked_for_is_the_next_one(void **state)
{
	uint16_t event;
	struct rig r;

	(void)state;
	rig_start(&r);
	rx_buffer(&r, DRV_DATA, 20);
	rx_buffer(&r, DRV_DATA + 0x1000, 20);
	wire_send(&r, 300, 1);
	drv_kick(&r.d, RX);
	drv_get(&r.d, r.d.q[RX].used + 4 + 8 * QUEUE_SIZE, &event, 2);
	assert_int_equal(event, 2);
	rig_close(&r);
}

static void without_mergeable_buffers_a_frame_that_is_too_long_is_lost(void **state)
{
	uint32_t len;
	struct rig r;

	(void)state;
	rig_open(&r, 1);
	drv_start(&r.d, ALL & ~NET_F_MRG_RXBUF, 3, QUEUE_SIZE);
	rx_buffer(&r, DRV_DATA, 200);
	rx_buffer(&r, DRV_DATA + 0x1000, 200);
	wire_send(&r, 300, 1);
	wire_send(&r, 100, 2);
	drv_run(&r.d);
	assert_int_equal(drv_used(&r.d, RX, &len), 0);
	assert_int_equal(len, TAP_HDR_SIZE + 100);
	assert_int_equal(drv_used(&r.d, RX, &len), -1);
	rig_close(&r);
}

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

/* ---- control ----------------------------------------------------------------------------------
 */

/* Answers with the acknowledgement. */
static uint8_t control(struct rig *r, unsigned q, const void *p, uint32_t n)
{
	const struct drv_seg seg[] = { { DRV_DATA + 0x10000, n, false },
		{ DRV_DATA + 0x11000, 1, true } };
	uint8_t ack = 0xff;

	drv_put(&r->d, seg[0].gpa, p, n);
	drv_put(&r->d, seg[1].gpa, &ack, 1);
	drv_add(&r->d, q, seg, 2);
	drv_kick(&r->d, q);
	assert_true(drv_used(&r->d, q, NULL) >= 0);
	drv_get(&r->d, seg[1].gpa, &ack, 1);
	return ack;
}

#define CONTROL(r, q, ...)                                                                         \
	control(r, q, (uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static void the_guest_sets_its_address_pairs_and_offloads(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, 4);
	drv_start(&r.d, ALL, 9, QUEUE_SIZE);
	assert_int_equal(CONTROL(&r, 8, 1, 1, 2, 9, 9, 9, 9, 9), 0);
	assert_int_equal(drv_config(&r.d, 0, 4), 0x09090902);
	assert_int_equal(CONTROL(&r, 8, 1, 1, 3, 9, 9, 9, 9, 9), 1); /* a group */
	assert_int_equal(CONTROL(&r, 8, 4, 0, 4, 0), 0);
	assert_int_equal(CONTROL(&r, 8, 4, 0, 5, 0), 1);
	assert_int_equal(CONTROL(&r, 8, 4, 0, 0, 0), 1);
	assert_int_equal(CONTROL(&r, 8, 4, 0, 1), 1); /* half a number */
	assert_int_equal(CONTROL(&r, 8, 5, 0, 2, 0, 0, 0, 0, 0, 0, 0), 0);
	assert_int_equal(CONTROL(&r, 8, 5, 0, 0x80, 0, 0, 0, 0, 0, 0, 0), 1); /* TSO alone */
	assert_int_equal(CONTROL(&r, 8, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1), 1);
	assert_int_equal(CONTROL(&r, 8, 77, 0, 0), 1);
	assert_int_equal(CONTROL(&r, 8, 1), 1);
	assert_false(drv_status(&r.d) & DRV_NEEDS_RESET);
	/* The second pair works now. */
	drv_add(&r.d, 3, &(struct drv_seg){ DRV_DATA, 60, false }, 1);
	drv_kick(&r.d, 3);
	assert_int_equal(drv_used(&r.d, 3, NULL), 0);
	assert_int_equal(read(r.wire[1], (uint8_t[64]){ 0 }, 64), 60);
	/* After a reset its address is what it was, and one pair is in use. */
	drv_start(&r.d, ALL, 9, QUEUE_SIZE);
	assert_int_equal(drv_config(&r.d, 5, 1), 0x77);
	drv_add(&r.d, 3, &(struct drv_seg){ DRV_DATA, 60, false }, 1);
	drv_kick(&r.d, 3);
	assert_int_equal(drv_used(&r.d, 3, NULL), -1);
	rig_close(&r);
}

/* ---- moving -----------------------------------------------------------------------------------
 */

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

/* ---- guests that break the rules --------------------------------------------------------------
 */

static void the_device_stops_for(unsigned q, const struct drv_seg *seg, unsigned n)
{
	struct rig r;

	rig_start(&r);
	wire_send(&r, 100, 1);
	drv_add(&r.d, q, seg, n);
	drv_kick(&r.d, q);
	assert_true(drv_status(&r.d) & DRV_NEEDS_RESET);
	assert_int_equal(drv_used(&r.d, q, NULL), -1);
	assert_true(r.d.msi[0] > 0);
	/* It works again after a reset, as if nothing had been. */
	drv_start(&r.d, ALL, 3, QUEUE_SIZE);
	rx_buffer(&r, DRV_DATA, 2048);
	wire_send(&r, 100, 2);
	drv_kick(&r.d, RX);
	assert_int_equal(drv_used(&r.d, RX, NULL), 0);
	assert_frame(&r, DRV_DATA + TAP_HDR_SIZE, 0, 100, 2);
	rig_close(&r);
}

static void a_guest_that_breaks_the_rules_stops_its_card(void **state)
{
	(void)state;
	/* A frame to send that can be written to, one shorter than a header, one in no memory. */
	the_device_stops_for(TX, &(struct drv_seg){ DRV_DATA, 60, true }, 1);
	the_device_stops_for(TX, &(struct drv_seg){ DRV_DATA, 11, false }, 1);
	the_device_stops_for(TX, &(struct drv_seg){ DRV_MEMORY - 8, 60, false }, 1);
	the_device_stops_for(TX, &(struct drv_seg){ ~0ull - 8, 60, false }, 1);
	/* Room to receive that may not be written, without room for a header, beyond memory. */
	the_device_stops_for(RX, &(struct drv_seg){ DRV_DATA, 2048, false }, 1);
	the_device_stops_for(RX, &(struct drv_seg){ DRV_DATA, 11, true }, 1);
	the_device_stops_for(RX, &(struct drv_seg){ DRV_MEMORY, 2048, true }, 1);
	/* A command without room for its answer. */
	the_device_stops_for(2, &(struct drv_seg){ DRV_DATA, 2, false }, 1);
}

static void a_cable_that_is_pulled_is_a_link_that_is_down(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	close(r.wire[0]);
	drv_run(&r.d);
	assert_int_equal(drv_config(&r.d, NET_CONFIG_STATUS, 2), 0);
	r.wire[0] = -1;
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_card_says_what_it_is),
		cmocka_unit_test(a_frame_goes_out_as_the_guest_gathered_it),
		cmocka_unit_test(more_frames_than_one_turn_takes_all_go_out),
		cmocka_unit_test(a_frame_comes_in_with_its_header),
		cmocka_unit_test(a_large_frame_is_spread_over_buffers),
		cmocka_unit_test(frames_without_room_wait_in_order),
		cmocka_unit_test(the_kick_that_is_asked_for_is_the_next_one),
		cmocka_unit_test(without_mergeable_buffers_a_frame_that_is_too_long_is_lost),
		cmocka_unit_test(frames_that_come_while_it_is_held_are_there_afterwards),
		cmocka_unit_test(a_freeze_in_the_midst_of_traffic_cuts_nothing_off),
		cmocka_unit_test(the_guest_sets_its_address_pairs_and_offloads),
		cmocka_unit_test(a_move_loses_no_frame_and_is_announced),
		cmocka_unit_test(a_move_that_failed_is_announced_by_nobody),
		cmocka_unit_test(what_is_saved_is_what_is_loaded),
		cmocka_unit_test(a_guest_that_breaks_the_rules_stops_its_card),
		cmocka_unit_test(a_cable_that_is_pulled_is_a_link_that_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
