/* SPDX-License-Identifier: Apache-2.0 */
/* Soft off, reset and the power button as an ACPI system drives them; a timer that moves on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/dev/acpi_pm.h"

#define TICKS_PER_SEC 3579545ull

struct rig {
	struct bus pio;
	struct acpi_pm *a;
	int level;
	unsigned shutdowns, resets;
};

static void rig_sci(void *arg, int level)
{
	((struct rig *)arg)->level = level;
}

static void rig_shutdown(void *arg)
{
	((struct rig *)arg)->shutdowns++;
}

static void rig_reset(void *arg)
{
	((struct rig *)arg)->resets++;
}

static void rig_open(struct rig *r)
{
	struct acpi_pm_power power = { rig_shutdown, rig_reset, r };
	struct err e;

	memset(r, 0, sizeof(*r));
	bus_init(&r->pio);
	assert_int_equal(
		acpi_pm_new(&r->a, &r->pio, (struct dev_irq){ rig_sci, r }, &power, &e), 0);
}

static void rig_close(struct rig *r)
{
	acpi_pm_dev_ops.free(r->a);
	bus_fini(&r->pio);
}

static unsigned in(struct rig *r, unsigned port, unsigned size)
{
	return (unsigned)bus_read(&r->pio, port, size);
}

static void out(struct rig *r, unsigned port, unsigned size, unsigned v)
{
	bus_write(&r->pio, port, size, v);
}

static void test_soft_off_needs_the_right_type_and_enable(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(in(&r, 0x604, 2), 0x0001); /* in ACPI mode from the start */
	out(&r, 0x604, 2, 5 << 10);
	out(&r, 0x604, 2, 3 << 10 | 0x2000);
	assert_int_equal(r.shutdowns, 0);
	out(&r, 0x604, 2, 5 << 10 | 0x2000);
	assert_int_equal(r.shutdowns, 1);
	assert_int_equal(in(&r, 0x604, 2), 5 << 10 | 1); /* SLP_EN reads as zero */
	out(&r, 0x605, 1, 5 << 2 | 0x20);                /* by halves, too */
	assert_int_equal(r.shutdowns, 2);
	rig_close(&r);
}

static void test_reset_register(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 0xcf9, 1, 0x02);
	assert_int_equal(r.resets, 0);
	assert_int_equal(in(&r, 0xcf9, 1), 0x02);
	out(&r, 0xcf9, 1, 0x06);
	assert_int_equal(r.resets, 1);
	assert_int_equal(in(&r, 0xcf9, 1), 0x02);
	out(&r, 0xcf8, 4, 0xffffffff); /* PCI's address register, which nobody answers */
	assert_int_equal(in(&r, 0xcf8, 4), 0xffffffff);
	assert_int_equal(r.resets, 1);
	rig_close(&r);
}

static void test_power_button(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	acpi_pm_power_button(r.a); /* nobody listens: it stays in the status */
	assert_int_equal(r.level, 0);
	assert_int_equal(in(&r, 0x600, 2), 0x0100);
	out(&r, 0x602, 2, 0x0100);
	assert_int_equal(r.level, 1);
	assert_int_equal(in(&r, 0x600, 4), 0x01000100);
	out(&r, 0x600, 2, 0x0001); /* another bit: no change */
	assert_int_equal(r.level, 1);
	out(&r, 0x600, 2, 0x0100);
	assert_int_equal(r.level, 0);
	assert_int_equal(in(&r, 0x602, 2), 0x0100);
	out(&r, 0x603, 1, 0x00);
	assert_int_equal(in(&r, 0x602, 2), 0);
	out(&r, 0x602, 2, 0xffff);
	assert_int_equal(in(&r, 0x602, 2), 0x0721);
	rig_close(&r);
}

static uint64_t ticks_of(uint64_t ns)
{
	return ns * TICKS_PER_SEC / NSEC_PER_SEC;
}

static void test_timer_runs_at_its_rate(void **state)
{
	uint64_t outer0, inner0, inner1, outer1;
	struct rig r;
	unsigned a, b;

	(void)state;
	rig_open(&r);
	/* The clock is read before and after each reading, so the bounds hold under any load. */
	outer0 = clock_mono_ns();
	a = in(&r, 0x608, 4);
	inner0 = clock_mono_ns();
	do {
		inner1 = clock_mono_ns();
		b = in(&r, 0x608, 4);
		outer1 = clock_mono_ns();
	} while (b - a < 10000);
	assert_true(b - a <= ticks_of(outer1 - outer0) + 1);
	assert_true(b - a + 1 >= ticks_of(inner1 - inner0));
	out(&r, 0x608, 4, 0); /* read-only */
	assert_true(in(&r, 0x608, 4) - a >= b - a);
	rig_close(&r);
}

static int move_state(
	struct rig *from, struct rig *to, size_t cut, int at, uint8_t v, struct err *e)
{
	struct section s = { .name = "acpi_pm", .version = 1 };
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	acpi_pm_dev_ops.save(from->a, &w);
	assert_false(w.failed);
	if (at >= 0)
		w.data[at] = v;
	s.body = rbuf_of(w.data, w.len - cut);
	rc = acpi_pm_dev_ops.load(to->a, &s, e);
	wbuf_fini(&w);
	return rc;
}

static void test_state_moves_and_the_timer_goes_on(void **state)
{
	struct rig a, b;
	unsigned before, after;
	struct err e;

	(void)state;
	rig_open(&a);
	acpi_pm_advance(a.a, 1000 * NSEC_PER_SEC);
	rig_open(&b);
	out(&a, 0x602, 2, 0x0120);
	acpi_pm_power_button(a.a);
	out(&a, 0x604, 2, 3 << 10);
	out(&a, 0xcf9, 1, 0x0a);
	before = in(&a, 0x608, 4);
	assert_int_equal(move_state(&a, &b, 0, -1, 0, &e), 0);
	after = in(&b, 0x608, 4);
	/* The source's timer ran on: the target's is between its saving and now. */
	assert_true(after - before <= in(&a, 0x608, 4) - before);
	assert_int_equal(b.level, 1);
	assert_int_equal(in(&b, 0x600, 4), 0x01200100);
	assert_int_equal(in(&b, 0x604, 2), 3 << 10 | 1);
	assert_int_equal(in(&b, 0xcf9, 1), 0x0a);
	before = in(&b, 0x608, 4);
	acpi_pm_advance(b.a, NSEC_PER_SEC);
	assert_true(in(&b, 0x608, 4) - before >= TICKS_PER_SEC);
	acpi_pm_dev_ops.reset(b.a);
	assert_int_equal(b.level, 0);
	assert_int_equal(in(&b, 0x600, 4), 0);
	rig_close(&a);
	rig_close(&b);
}

static void test_hostile_state_is_refused(void **state)
{
	static const struct {
		int at;
		uint8_t v;
	} bad[] = { { 0, 0x02 }, { 2, 0x02 }, { 3, 0x80 }, { 4, 0x00 }, { 5, 0x20 }, { 6, 0x04 } };
	struct rig a, b;
	struct err e = { 0 };

	(void)state;
	rig_open(&a);
	rig_open(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(move_state(&a, &b, 0, bad[i].at, bad[i].v, &e), -EPROTO);
	for (size_t cut = 1; cut <= 11; cut++)
		assert_int_equal(move_state(&a, &b, cut, -1, 0, &e), -EPROTO);
	assert_true(e.msg[0]);
	rig_close(&a);
	rig_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_soft_off_needs_the_right_type_and_enable),
		cmocka_unit_test(test_reset_register),
		cmocka_unit_test(test_power_button),
		cmocka_unit_test(test_timer_runs_at_its_rate),
		cmocka_unit_test(test_state_moves_and_the_timer_goes_on),
		cmocka_unit_test(test_hostile_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
