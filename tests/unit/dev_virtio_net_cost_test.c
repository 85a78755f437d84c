/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What traffic costs, in what is dear on any machine: kicks, which are exits of the guest,
 * interrupts, turns of the worker, and system calls. A burst pays for its frames and once for being
 * one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/dev_virtio_net_rig.h"

#define BURST 32u

/* Whether a driver has to kick for the request it has just made (2.7.10). */
static bool must_kick(struct rig *r, unsigned q)
{
	struct drv_queue *d = &r->d.q[q];
	const void *event = gmem_view(&r->d.mem, d->used + 4 + 8 * (uint64_t)d->size, 2);

	/* The request is there before this looks. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return d->avail ==
	       (uint16_t)(__atomic_load_n((const uint16_t *)event, __ATOMIC_SEQ_CST) + 1);
}

/* Frames to send, and how often the driver had to kick for them; it did not. */
static unsigned send_burst(struct rig *r, unsigned n)
{
	const struct drv_seg seg = { DRV_DATA, 60, false };
	unsigned kicks = 0;

	for (unsigned i = 0; i < n; i++) {
		drv_add(&r->d, TX, &seg, 1);
		kicks += must_kick(r, TX);
	}
	return kicks;
}

/* What came back; the driver asks for an interrupt at the next one (2.7.7). */
static unsigned take_back(struct rig *r, unsigned q)
{
	struct drv_queue *d = &r->d.q[q];
	unsigned n = 0;

	while (drv_used(&r->d, q, NULL) >= 0)
		n++;
	drv_put(&r->d, d->ring + 4 + 2ull * d->size, &d->seen, sizeof(d->seen));
	return n;
}

static unsigned on_the_wire(struct rig *r)
{
	uint8_t got[256];
	unsigned n = 0;

	while (read(r->wire[0], got, sizeof(got)) > 0)
		n++;
	return n;
}

/* read(2) and write(2) calls of this process so far, of whatever kind; this one reads once. */
struct calls {
	unsigned long long in, out;
};

static struct calls calls_now(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	struct calls c = { 0, 0 };
	char line[128];

	if (!f) {
		print_message("# /proc/self/io is missing: calls are not counted\n");
		skip();
	}
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "syscr: %llu", &c.in);
		sscanf(line, "syscw: %llu", &c.out);
	}
	fclose(f);
	return c;
}

static void a_burst_out_is_one_kick_one_turn_and_one_interrupt(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	drv_run(&r.d);
	for (unsigned round = 1; round <= 3; round++) {
		assert_int_equal(send_burst(&r, BURST), 1);
		drv_notify(&r.d, TX);
		assert_int_equal(virtio_poll(r.d.v), 1);
		assert_int_equal(on_the_wire(&r), BURST);
		assert_int_equal(take_back(&r, TX), BURST);
		assert_int_equal(r.d.msi[TX + 1], round);
		assert_int_equal(virtio_poll(r.d.v), 0);
	}
	rig_close(&r);
}

static void a_burst_in_is_one_turn_and_one_interrupt(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	for (unsigned i = 0; i < BURST; i++)
		rx_buffer(&r, DRV_DATA + i * 0x1000, 200);
	drv_run(&r.d);
	for (unsigned i = 0; i < BURST; i++)
		wire_send(&r, 100, (uint8_t)i);
	assert_int_equal(virtio_poll(r.d.v), 1);
	assert_int_equal(take_back(&r, RX), BURST);
	assert_int_equal(r.d.msi[RX + 1], 1);
	rig_close(&r);
}

/* A driver that kicks without being asked to does not make the device look more than once. */
static void kicks_that_come_together_are_one_turn(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	drv_run(&r.d);
	send_burst(&r, 1);
	for (unsigned i = 0; i < 1000; i++)
		drv_notify(&r.d, TX);
	assert_int_equal(virtio_poll(r.d.v), 1);
	assert_int_equal(virtio_poll(r.d.v), 0);
	assert_int_equal(take_back(&r, TX), 1);
	/* And the next one is heard. */
	send_burst(&r, 1);
	drv_notify(&r.d, TX);
	assert_int_equal(virtio_poll(r.d.v), 1);
	assert_int_equal(take_back(&r, TX), 1);
	rig_close(&r);
}

/* One write for each frame and one for the kick, nothing that is read; in: one read more, which
 * finds that there is no more. */
static void a_burst_costs_a_call_for_each_frame_and_one_more(void **state)
{
	struct calls a, b, none;
	struct rig r;

	(void)state;
	rig_start(&r);
	for (unsigned i = 0; i < BURST; i++)
		rx_buffer(&r, DRV_DATA + i * 0x1000, 200);
	drv_run(&r.d);
	a = calls_now();
	b = calls_now();
	none = (struct calls){ b.in - a.in, b.out - a.out };
	send_burst(&r, BURST);
	a = calls_now();
	drv_kick(&r.d, TX);
	b = calls_now();
	assert_int_equal(b.out - a.out - none.out, BURST + 1);
	assert_int_equal(b.in - a.in - none.in, 0);
	for (unsigned i = 0; i < BURST; i++)
		wire_send(&r, 100, (uint8_t)i);
	a = calls_now();
	drv_run(&r.d);
	b = calls_now();
	assert_int_equal(b.in - a.in - none.in, BURST + 1);
	assert_int_equal(b.out - a.out - none.out, 0);
	rig_close(&r);
}

/*
 * The worker on its own thread, and a driver that kicks only when it has to, freezes in between: if
 * one kick were lost, the frames behind it would wait for ever.
 */
static void no_kick_that_is_asked_for_is_lost(void **state)
{
	unsigned made = 0, back = 0, idle = 0;
	struct err e = { 0 };
	struct rig r;

	(void)state;
	rig_start(&r);
	assert_int_equal(virtio_start(r.d.v, "net-test", &e), 0);
	while (back < 20000 && idle < 10000) {
		unsigned n = 0;

		while (drv_used(&r.d, TX, NULL) >= 0)
			n++;
		idle = n ? 0 : idle + 1;
		back += n;
		on_the_wire(&r);
		for (n = made % 7 + 1; n && made - back < QUEUE_SIZE; n--, made++) {
			if (send_burst(&r, 1))
				drv_notify(&r.d, TX);
		}
		if (made % 500 < 3) {
			virtio_dev_quiesce(r.d.v);
			virtio_dev_resume(r.d.v);
		}
		if (idle)
			poll(NULL, 0, idle > 100);
	}
	assert_true(back >= 20000);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_out_is_one_kick_one_turn_and_one_interrupt),
		cmocka_unit_test(a_burst_in_is_one_turn_and_one_interrupt),
		cmocka_unit_test(kicks_that_come_together_are_one_turn),
		cmocka_unit_test(a_burst_costs_a_call_for_each_frame_and_one_more),
		cmocka_unit_test(no_kick_that_is_asked_for_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
