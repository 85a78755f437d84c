/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network card as a driver meets it: frames both ways, what waits while there is no room, the
 * control queue, and guests that break the rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/dev_virtio_net_rig.h"

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
		cmocka_unit_test(the_guest_sets_its_address_pairs_and_offloads),
		cmocka_unit_test(a_guest_that_breaks_the_rules_stops_its_card),
		cmocka_unit_test(a_cable_that_is_pulled_is_a_link_that_is_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
