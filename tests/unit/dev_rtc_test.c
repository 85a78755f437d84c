/* SPDX-License-Identifier: Apache-2.0 */
/* The clock shows the host's time, keeps what a guest sets, and is still right after a move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/dev/rtc.h"

struct rig {
	struct bus pio;
	struct rtc *r;
};

static void rig_open(struct rig *r)
{
	struct err e;

	bus_init(&r->pio);
	assert_int_equal(rtc_new(&r->r, &r->pio, &e), 0);
}

static void rig_close(struct rig *r)
{
	rtc_dev_ops.free(r->r);
	bus_fini(&r->pio);
}

static unsigned get(struct rig *r, unsigned i)
{
	bus_write(&r->pio, 0x70, 1, i);
	return (unsigned)bus_read(&r->pio, 0x71, 1);
}

static void set(struct rig *r, unsigned i, unsigned v)
{
	bus_write(&r->pio, 0x70, 1, i);
	bus_write(&r->pio, 0x71, 1, v);
}

/* The time in binary, 24-hour mode, read until two readings agree (a second may pass between). */
static int64_t clock_of(struct rig *r)
{
	int64_t a, b = -1;

	set(r, 11, 0x06);
	do {
		struct tm tm = { .tm_sec = (int)get(r, 0),
			.tm_min = (int)get(r, 2),
			.tm_hour = (int)get(r, 4),
			.tm_mday = (int)get(r, 7),
			.tm_mon = (int)get(r, 8) - 1,
			.tm_year = (int)(get(r, 0x32) * 100 + get(r, 9)) - 1900 };

		a = b;
		b = timegm(&tm);
	} while (a != b);
	return b;
}

static int64_t host_clock(void)
{
	return (int64_t)(clock_real_ns() / NSEC_PER_SEC);
}

/* As Linux does it: stop, write every field, go on. */
static void set_clock(struct rig *r, int year, int mon, int day, int h, int m, int s)
{
	set(r, 11, 0x86);
	set(r, 9, (unsigned)(year % 100));
	set(r, 0x32, (unsigned)(year / 100));
	set(r, 8, (unsigned)mon);
	set(r, 7, (unsigned)day);
	set(r, 4, (unsigned)h);
	set(r, 2, (unsigned)m);
	set(r, 0, (unsigned)s);
	set(r, 11, 0x06);
}

static void test_shows_host_time_at_power_on(void **state)
{
	struct rig r;
	int64_t before = host_clock(), t;

	(void)state;
	rig_open(&r);
	assert_int_equal(get(&r, 10), 0x26); /* no update in progress */
	assert_int_equal(get(&r, 11), 0x02); /* BCD, 24 hours */
	assert_int_equal(get(&r, 12), 0);
	assert_int_equal(get(&r, 13), 0x80);
	t = clock_of(&r);
	assert_in_range(t, before, host_clock());
	rig_close(&r);
}

static void test_guest_sets_its_clock(void **state)
{
	const int64_t want = 1708003805; /* 2024-02-15 13:30:05 */
	struct rig r;
	int64_t t;

	(void)state;
	rig_open(&r);
	set_clock(&r, 2024, 1, 31, 0, 0, 0);
	set_clock(&r, 2024, 2, 15, 13, 30, 5); /* by way of "February 31" */
	t = clock_of(&r);
	assert_in_range(t, want, want + 5);
	rig_close(&r);
}

static void test_stands_still_while_set(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	set(&r, 11, 0x86);
	set(&r, 0, 59);
	set(&r, 8, 2);
	set(&r, 7, 31);
	assert_int_equal(get(&r, 0), 59);
	assert_int_equal(get(&r, 7), 31); /* kept as written */
	rig_close(&r);
}

static void test_modes_bcd_and_twelve_hours(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	set_clock(&r, 2031, 12, 25, 0, 45, 10);
	set(&r, 11, 0x00); /* BCD, 12 hours */
	assert_int_equal(get(&r, 4), 0x12);
	assert_int_equal(get(&r, 2), 0x45);
	assert_int_equal(get(&r, 7), 0x25);
	assert_int_equal(get(&r, 8), 0x12);
	assert_int_equal(get(&r, 9), 0x31);
	assert_int_equal(get(&r, 0x32), 0x20);
	assert_int_equal(get(&r, 6), 5); /* a Thursday; Sunday is 1 */
	set(&r, 4, 0x91);                /* 11 pm */
	set(&r, 11, 0x06);
	assert_int_equal(get(&r, 4), 23);
	set(&r, 11, 0x04);
	assert_int_equal(get(&r, 4), 0x80 | 11);
	rig_close(&r);
}

static void test_memory_and_index_bounds(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	rtc_set_memory(r.r, 3ull << 30, 9ull << 30);
	assert_int_equal(get(&r, 0x15) | get(&r, 0x16) << 8, 640);
	assert_int_equal(get(&r, 0x17) | get(&r, 0x18) << 8, 0xffff);
	assert_int_equal(get(&r, 0x34) | get(&r, 0x35) << 8, (3072 - 16) * 16);
	assert_int_equal(get(&r, 0x5b) | get(&r, 0x5c) << 8 | get(&r, 0x5d) << 16, 9 * 16384);
	set(&r, 0x40, 0x77);
	assert_int_equal(get(&r, 0xc0), 0x77); /* bit 7 masks the NMI, no more */
	set(&r, 0x7f, 0x11);
	assert_int_equal(get(&r, 0x7f), 0x11);
	set(&r, 10, 0xff);
	assert_int_equal(get(&r, 10), 0x7f);
	set(&r, 12, 0xff);
	set(&r, 13, 0xff);
	assert_int_equal(get(&r, 12), 0);
	assert_int_equal(get(&r, 13), 0x80);
	rig_close(&r);
}

static void test_nonsense_from_the_guest_is_survived(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	for (unsigned b = 0; b < 256; b += 0x7f) {
		for (unsigned i = 0; i < 128; i++)
			set(&r, i, b | i);
		for (unsigned i = 0; i < 128; i++)
			get(&r, i);
	}
	set_clock(&r, 2024, 2, 15, 13, 30, 5);
	assert_in_range(clock_of(&r), 1708003805, 1708003810);
	rig_close(&r);
}

static int move_state(
	struct rig *from, struct rig *to, size_t cut, int at, uint8_t v, struct err *e)
{
	struct section s = { .name = "rtc", .version = 1 };
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	rtc_dev_ops.save(from->r, &w);
	assert_false(w.failed);
	if (at >= 0)
		w.data[at] = v;
	s.body = rbuf_of(w.data, w.len - cut);
	rc = rtc_dev_ops.load(to->r, &s, e);
	wbuf_fini(&w);
	return rc;
}

static void test_state_moves(void **state)
{
	struct rig a, b;
	struct err e;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	set_clock(&a, 2024, 2, 15, 13, 30, 5);
	set(&a, 0x55, 0xaa);
	assert_int_equal(move_state(&a, &b, 0, -1, 0, &e), 0);
	assert_int_equal(get(&b, 0x55), 0xaa);
	assert_in_range(clock_of(&b), 1708003805, 1708003810);
	rtc_dev_ops.reset(b.r); /* the battery keeps time and memory */
	assert_int_equal(get(&b, 11), 0x02);
	assert_int_equal(get(&b, 0x55), 0xaa);
	assert_in_range(clock_of(&b), 1708003805, 1708003810);
	rig_close(&a);
	rig_close(&b);
}

static void test_hostile_state_is_refused(void **state)
{
	struct rig a, b;
	struct err e = { 0 };

	(void)state;
	rig_open(&a);
	rig_open(&b);
	assert_int_equal(move_state(&a, &b, 0, 7, 0x7f, &e), -EPROTO); /* offset: aeons */
	assert_int_equal(move_state(&a, &b, 0, 7, 0x80, &e), -EPROTO);
	assert_int_equal(move_state(&a, &b, 0, 8, 0x80, &e), -EPROTO);      /* index */
	assert_int_equal(move_state(&a, &b, 0, 9 + 10, 0x80, &e), -EPROTO); /* register A */
	for (size_t cut = 1; cut <= 137; cut++)
		assert_int_equal(move_state(&a, &b, cut, -1, 0, &e), -EPROTO);
	assert_true(e.msg[0]);
	rig_close(&a);
	rig_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shows_host_time_at_power_on),
		cmocka_unit_test(test_guest_sets_its_clock),
		cmocka_unit_test(test_stands_still_while_set),
		cmocka_unit_test(test_modes_bcd_and_twelve_hours),
		cmocka_unit_test(test_memory_and_index_bounds),
		cmocka_unit_test(test_nonsense_from_the_guest_is_survived),
		cmocka_unit_test(test_state_moves),
		cmocka_unit_test(test_hostile_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
