/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio console: what the guest writes comes out, what is typed reaches it in order, waits for
 * it where it gives no room, and moves with it; guests that break the rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "hv/dev/virtio_console.h"
#include "tests/lib/virtio_driver.h"

#define RECEIVE    0
#define TRANSMIT   1
#define QUEUE_SIZE 16
#define ALL        (~0ull)
#define BEYOND     (DRV_MEMORY - 8)

struct rig {
	struct drv d;
	uint8_t *out; /* what the guest wrote */
	size_t nout;
	unsigned rooms;
};

static void rig_output(void *arg, const uint8_t *p, size_t n)
{
	struct rig *r = arg;

	assert_true(n >= 1);
	r->out = realloc(r->out, r->nout + n);
	assert_non_null(r->out);
	memcpy(r->out + r->nout, p, n);
	r->nout += n;
}

static void rig_room(void *arg)
{
	struct rig *r = arg;

	r->rooms++;
}

static void rig_new(struct rig *r)
{
	const struct virtio_console_line line = {
		.output = rig_output, .room = rig_room, .arg = r
	};
	struct err e = { 0 };

	memset(r, 0, sizeof(*r));
	drv_init(&r->d);
	assert_int_equal(virtio_console_new(&r->d.v, r->d.bus, 0, &r->d.mem, &line, &e), 0);
}

static void rig_open(struct rig *r)
{
	rig_new(r);
	drv_start(&r->d, ALL, 2, QUEUE_SIZE);
}

static void rig_close(struct rig *r)
{
	drv_fini(&r->d);
	free(r->out);
}

static size_t type(struct rig *r, const char *text)
{
	size_t n = virtio_console_input(r->d.v, text, strlen(text));

	drv_run(&r->d);
	return n;
}

/* Room of @n bytes for input, number @i of the test's. */
static void give_room(struct rig *r, unsigned i, uint32_t n)
{
	drv_add(&r->d, RECEIVE, &(struct drv_seg){ DRV_DATA + i * 0x1000, n, true }, 1);
}

/* The next room that came back holds @text. */
static void reads(struct rig *r, unsigned i, const char *text)
{
	char got[4096] = "";
	uint32_t len;

	assert_true(drv_used(&r->d, RECEIVE, &len) >= 0);
	assert_int_equal(len, strlen(text));
	drv_get(&r->d, DRV_DATA + i * 0x1000, got, len);
	assert_string_equal(got, text);
}

static void the_device_is_a_console_with_one_port(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(drv_features(&r.d) & 0xffffff, 0);
	bus_write(&r.d.pio, 0xcf8, 4, 0x80000800);
	assert_int_equal(bus_read(&r.d.pio, 0xcfc, 4), 0x10431af4);
	bus_write(&r.d.pio, 0xcf8, 4, 0x80000808);
	assert_int_equal(bus_read(&r.d.pio, 0xcfc, 4) >> 8, 0x078000);
	rig_close(&r);
}

static void what_the_guest_writes_comes_out_whole_and_in_order(void **state)
{
	const struct drv_seg seg[] = { { DRV_DATA, 5000, false }, { DRV_DATA + 0x4000, 1, false },
		{ DRV_DATA + 0x5000, 4096, false } };
	uint8_t want[5000 + 1 + 4096];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 7 + (i >> 8));
	rig_open(&r);
	drv_put(&r.d, DRV_DATA, want, 5000);
	drv_put(&r.d, DRV_DATA + 0x4000, want + 5000, 1);
	drv_put(&r.d, DRV_DATA + 0x5000, want + 5001, 4096);
	drv_add(&r.d, TRANSMIT, seg, 3);
	drv_add(&r.d, TRANSMIT, seg + 1, 1);
	drv_kick(&r.d, TRANSMIT);
	assert_int_equal(r.nout, sizeof(want) + 1);
	assert_memory_equal(r.out, want, sizeof(want));
	assert_int_equal(r.out[sizeof(want)], want[5000]);
	assert_int_equal(drv_used(&r.d, TRANSMIT, NULL), 0);
	assert_int_equal(drv_used(&r.d, TRANSMIT, NULL), 3);
	assert_true(r.d.msi[TRANSMIT + 1] > 0);
	rig_close(&r);
}

static void what_is_typed_reaches_the_guest_and_marks_its_memory(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	give_room(&r, 0, 64);
	give_room(&r, 1, 4);
	drv_kick(&r.d, RECEIVE);
	assert_int_equal(drv_used(&r.d, RECEIVE, NULL), -1); /* room is kept until it is needed */
	bitmap_clear(r.d.mem.regions[0].written, DRV_DATA / GMEM_PAGE_SIZE);
	assert_int_equal(type(&r, "hello"), 5);
	reads(&r, 0, "hello");
	assert_true(bitmap_test(r.d.mem.regions[0].written, DRV_DATA / GMEM_PAGE_SIZE));
	assert_int_equal(r.d.msi[RECEIVE + 1], 1);
	/* More than there is room for: the rest follows when there is. */
	assert_int_equal(type(&r, "one two"), 7);
	reads(&r, 1, "one ");
	assert_int_equal(drv_used(&r.d, RECEIVE, NULL), -1);
	give_room(&r, 2, 64);
	drv_kick(&r.d, RECEIVE);
	reads(&r, 2, "two");
	assert_int_equal(r.rooms, 0); /* nobody had been turned away */
	rig_close(&r);
}

/* 100,000 bytes to a guest that gives 100 at a time: never more than the buffer waits. */
static void a_guest_that_is_slow_holds_up_who_types_and_loses_nothing(void **state)
{
	uint8_t all[100000], got[100];
	size_t sent = 0, read = 0, n;
	unsigned rooms = 0;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i % 251);
	rig_open(&r);
	while (read < sizeof(all)) {
		uint32_t len;

		if (sent == 0 || r.rooms > rooms) {
			rooms = r.rooms;
			n = virtio_console_input(r.d.v, all + sent, sizeof(all) - sent);
			assert_true(n >= VIRTIO_CONSOLE_INPUT / 2 || sent + n == sizeof(all));
			sent += n;
			assert_true(sent - read <= VIRTIO_CONSOLE_INPUT);
			if (sent < sizeof(all)) /* full is full */
				assert_int_equal(virtio_console_input(r.d.v, all + sent, 1), 0);
		}
		give_room(&r, 0, sizeof(got));
		drv_kick(&r.d, RECEIVE);
		assert_true(drv_used(&r.d, RECEIVE, &len) >= 0);
		drv_get(&r.d, DRV_DATA, got, len);
		assert_true(read + len <= sizeof(all));
		assert_memory_equal(got, all + read, len);
		read += len;
	}
	assert_int_equal(sent, sizeof(all));
	rig_close(&r);
}

static void what_is_typed_before_there_is_a_driver_waits_for_it(void **state)
{
	struct rig r;

	(void)state;
	rig_new(&r);
	assert_int_equal(type(&r, "root"), 4);
	drv_start(&r.d, ALL, 2, QUEUE_SIZE);
	drv_reset(&r.d);
	assert_int_equal(type(&r, "\r"), 1);
	drv_start(&r.d, ALL & ~(DRV_EVENTIDX | DRV_INDIRECT), 2, QUEUE_SIZE);
	give_room(&r, 0, 64);
	drv_kick(&r.d, RECEIVE);
	reads(&r, 0, "root\r");
	rig_close(&r);
}

static void what_waits_moves_with_the_guest(void **state)
{
	static const char alien[] = { 0x01, 0x10 };
	struct err e = { 0 };
	struct wbuf w, again;
	struct rig a, b;

	(void)state;
	wbuf_init(&w);
	wbuf_init(&again);
	rig_open(&a);
	assert_int_equal(type(&a, "typed, not read"), 15);
	drv_save(&a.d, &virtio_console_dev_ops, &w);
	rig_new(&b);
	drv_adopt(&b.d, &a.d);
	assert_int_equal(drv_load(&b.d, &virtio_console_dev_ops, w.data, w.len, &e), 0);
	drv_save(&b.d, &virtio_console_dev_ops, &again);
	assert_int_equal(again.len, w.len);
	assert_memory_equal(again.data, w.data, w.len);
	/* Room that came by no kick of this host; nothing before the thaw. */
	give_room(&b, 0, 64);
	drv_run(&b.d);
	assert_int_equal(drv_used(&b.d, RECEIVE, NULL), -1);
	virtio_dev_resume(b.d.v);
	drv_run(&b.d);
	reads(&b, 0, "typed, not read");
	/* The move may as well have failed: the source has it too. */
	virtio_dev_resume(a.d.v);
	give_room(&a, 0, 64);
	drv_kick(&a.d, RECEIVE);
	reads(&a, 0, "typed, not read");
	/* Cut anywhere, and with more bytes than may wait. */
	for (size_t n = 0; n < w.len; n++)
		assert_int_equal(drv_load(&b.d, &virtio_console_dev_ops, w.data, n, &e), -EPROTO);
	memcpy(w.data + w.len - 17, alien, 2); /* 4097 */
	assert_int_equal(drv_load(&b.d, &virtio_console_dev_ops, w.data, w.len, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "virtio-console"));
	assert_non_null(strstr(e.msg, "4097"));
	wbuf_fini(&w);
	wbuf_fini(&again);
	rig_close(&a);
	rig_close(&b);
}

/* The request stops the device; after a reset it serves again, and what was typed is still there.
 */
static void the_device_stops_for(unsigned q, const struct drv_seg *seg, unsigned n)
{
	struct rig r;

	rig_open(&r);
	drv_put(&r.d, DRV_DATA, "........", 8);
	drv_add(&r.d, q, seg, n);
	assert_int_equal(type(&r, "x"), 1);
	drv_kick(&r.d, q);
	assert_true(drv_status(&r.d) & DRV_NEEDS_RESET);
	assert_int_equal(r.nout, 0);
	drv_start(&r.d, ALL, 2, QUEUE_SIZE);
	give_room(&r, 1, 8);
	drv_kick(&r.d, RECEIVE);
	reads(&r, 1, "x");
	drv_add(&r.d, TRANSMIT, &(struct drv_seg){ DRV_DATA, 8, false }, 1);
	drv_kick(&r.d, TRANSMIT);
	assert_int_equal(r.nout, 8);
	rig_close(&r);
}

static void a_guest_that_breaks_the_rules_stops_its_console(void **state)
{
	const struct drv_seg bad[] = { { DRV_DATA, 8, false }, { DRV_DATA + 64, 8, true },
		{ BEYOND, 16, false }, { BEYOND, 16, true }, { UINT64_MAX - 4, 16, false },
		{ DRV_DATA, 0, false }, { DRV_DATA, (1u << 20) + 1, false } };

	(void)state;
	the_device_stops_for(TRANSMIT, bad + 1, 1); /* to be written */
	the_device_stops_for(TRANSMIT, bad, 2);     /* both */
	the_device_stops_for(RECEIVE, bad, 1);      /* to be read */
	the_device_stops_for(RECEIVE, bad, 2);      /* both */
	the_device_stops_for(RECEIVE, bad + 3, 1);  /* beyond memory */
	the_device_stops_for(TRANSMIT, bad + 2, 1);
	the_device_stops_for(TRANSMIT, bad + 4, 1);
	the_device_stops_for(TRANSMIT, bad + 5, 1); /* empty */
	the_device_stops_for(TRANSMIT, bad + 6, 1); /* longer than is taken */
}

static void a_chain_that_is_a_loop_stops_the_console(void **state)
{
	const struct drv_seg seg[] = { { DRV_DATA, 8, false }, { DRV_DATA, 8, false } };
	const uint16_t first = 0, next = 1;
	struct rig r;

	(void)state;
	rig_open(&r);
	drv_add(&r.d, TRANSMIT, seg, 2);
	drv_put(&r.d, r.d.q[TRANSMIT].desc + 16 + 12, &next, 2); /* flags: more follows */
	drv_put(&r.d, r.d.q[TRANSMIT].desc + 16 + 14, &first, 2);
	drv_kick(&r.d, TRANSMIT);
	assert_true(drv_status(&r.d) & DRV_NEEDS_RESET);
	assert_int_equal(r.nout, 0);
	rig_close(&r);
}

/* With its worker: typed from this thread, told to the guest by an interrupt from the other. */
static void the_worker_delivers(void **state)
{
	struct err e = { 0 };
	struct rig r;

	(void)state;
	rig_new(&r);
	drv_start(&r.d, ALL & ~DRV_EVENTIDX, 2, QUEUE_SIZE);
	give_room(&r, 0, 64);
	give_room(&r, 1, 64);
	assert_int_equal(virtio_start(r.d.v, "hvc0", &e), 0);
	assert_int_equal(virtio_console_input(r.d.v, "ls", 2), 2);
	while (__atomic_load_n(&r.d.msi[RECEIVE + 1], __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	virtio_dev_quiesce(r.d.v);
	reads(&r, 0, "ls");
	/* Typed while frozen: taken, and delivered at the thaw. */
	assert_int_equal(virtio_console_input(r.d.v, "pwd", 3), 3);
	assert_int_equal(r.d.msi[RECEIVE + 1], 1);
	virtio_dev_resume(r.d.v);
	while (__atomic_load_n(&r.d.msi[RECEIVE + 1], __ATOMIC_ACQUIRE) == 1)
		sched_yield();
	virtio_dev_quiesce(r.d.v);
	reads(&r, 1, "pwd");
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_is_a_console_with_one_port),
		cmocka_unit_test(what_the_guest_writes_comes_out_whole_and_in_order),
		cmocka_unit_test(what_is_typed_reaches_the_guest_and_marks_its_memory),
		cmocka_unit_test(a_guest_that_is_slow_holds_up_who_types_and_loses_nothing),
		cmocka_unit_test(what_is_typed_before_there_is_a_driver_waits_for_it),
		cmocka_unit_test(what_waits_moves_with_the_guest),
		cmocka_unit_test(a_guest_that_breaks_the_rules_stops_its_console),
		cmocka_unit_test(a_chain_that_is_a_loop_stops_the_console),
		cmocka_unit_test(the_worker_delivers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
