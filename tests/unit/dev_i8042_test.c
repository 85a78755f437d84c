/* SPDX-License-Identifier: Apache-2.0 */
/* A keyboard controller without keyboard answers at once, and its reset line resets the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "hv/dev/i8042.h"

struct rig {
	struct bus pio;
	struct i8042 *k;
	unsigned resets;
};

static void rig_reset(void *arg)
{
	((struct rig *)arg)->resets++;
}

static void rig_open(struct rig *r)
{
	struct err e;

	memset(r, 0, sizeof(*r));
	bus_init(&r->pio);
	assert_int_equal(i8042_new(&r->k, &r->pio, rig_reset, r, &e), 0);
}

static void rig_close(struct rig *r)
{
	i8042_dev_ops.free(r->k);
	bus_fini(&r->pio);
}

static unsigned status(struct rig *r)
{
	return (unsigned)bus_read(&r->pio, 0x64, 1);
}

static void command(struct rig *r, unsigned c)
{
	bus_write(&r->pio, 0x64, 1, c);
}

static void data(struct rig *r, unsigned v)
{
	bus_write(&r->pio, 0x60, 1, v);
}

/* The answer, which must be there already. */
static unsigned answer(struct rig *r)
{
	assert_int_equal(status(r) & 0x03, 0x01);
	return (unsigned)bus_read(&r->pio, 0x60, 1);
}

static void test_driver_finds_a_controller_and_no_mouse(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(status(&r), 0x14); /* empty, tested, not locked */
	command(&r, 0xaa);
	assert_int_equal(answer(&r), 0x55);
	assert_int_equal(status(&r) & 1, 0);
	command(&r, 0x20);
	assert_int_equal(answer(&r), 0x74);
	command(&r, 0x60);
	data(&r, 0x47);
	command(&r, 0x20);
	assert_int_equal(answer(&r), 0x47);
	command(&r, 0xd3); /* loops back as keyboard data: no mouse port */
	data(&r, 0x5a);
	assert_int_equal(status(&r) & 0x20, 0);
	assert_int_equal(answer(&r), 0x5a);
	command(&r, 0xa9);
	assert_int_equal(answer(&r), 0x01);
	command(&r, 0xab);
	assert_int_equal(answer(&r), 0x00);
	data(&r, 0xf2); /* "who are you?" to a keyboard that is not there */
	assert_int_equal(status(&r) & 1, 0);
	rig_close(&r);
}

static void test_interfaces_switch_in_the_command_byte(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	command(&r, 0xae);
	command(&r, 0xa8);
	command(&r, 0x20);
	assert_int_equal(answer(&r), 0x44);
	command(&r, 0xad);
	command(&r, 0xa7);
	command(&r, 0x20);
	assert_int_equal(answer(&r), 0x74);
	command(&r, 0x6a);
	data(&r, 0x99);
	command(&r, 0x2a);
	assert_int_equal(answer(&r), 0x99);
	rig_close(&r);
}

static void test_a20_and_output_port(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	command(&r, 0xd0);
	assert_int_equal(answer(&r), 0x03);
	command(&r, 0xdd);
	command(&r, 0xd0);
	assert_int_equal(answer(&r), 0x01);
	command(&r, 0xd1);
	data(&r, 0xdf);
	command(&r, 0xd0);
	assert_int_equal(answer(&r), 0xdf);
	assert_int_equal(r.resets, 0);
	rig_close(&r);
}

static void test_reset_line(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	command(&r, 0xff); /* pulses nothing */
	command(&r, 0xfd); /* another line */
	assert_int_equal(r.resets, 0);
	command(&r, 0xfe);
	assert_int_equal(r.resets, 1);
	command(&r, 0xd1);
	data(&r, 0xde);
	assert_int_equal(r.resets, 2);
	rig_close(&r);
}

static int move_state(
	struct rig *from, struct rig *to, size_t cut, int at, uint8_t v, struct err *e)
{
	struct section s = { .name = "i8042", .version = 1 };
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	i8042_dev_ops.save(from->k, &w);
	assert_false(w.failed);
	if (at >= 0)
		w.data[at] = v;
	s.body = rbuf_of(w.data, w.len - cut);
	rc = i8042_dev_ops.load(to->k, &s, e);
	wbuf_fini(&w);
	return rc;
}

static void test_state_moves_in_the_middle_of_a_command(void **state)
{
	struct rig a, b;
	struct err e;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	command(&a, 0xaa);
	command(&a, 0x60);
	assert_int_equal(move_state(&a, &b, 0, -1, 0, &e), 0);
	assert_int_equal(status(&b), status(&a));
	assert_int_equal(answer(&b) & 0xff, 0x55);
	data(&b, 0x45);
	command(&b, 0x20);
	assert_int_equal(answer(&b), 0x45);
	command(&b, 0xfe); /* the callback is the new machine's */
	assert_int_equal(b.resets, 1);
	i8042_dev_ops.reset(b.k);
	assert_int_equal(status(&b), 0x14);
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
	assert_int_equal(move_state(&a, &b, 0, 0, 0x80, &e), -EPROTO);
	assert_int_equal(move_state(&a, &b, 0, 1, 0x02, &e), -EPROTO);
	assert_int_equal(move_state(&a, &b, 0, 3, 0x02, &e), -EPROTO);
	assert_int_equal(move_state(&a, &b, 0, 4, 0x02, &e), -EPROTO);
	for (size_t cut = 1; cut <= 38; cut++)
		assert_int_equal(move_state(&a, &b, cut, -1, 0, &e), -EPROTO);
	assert_true(e.msg[0]);
	rig_close(&a);
	rig_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_driver_finds_a_controller_and_no_mouse),
		cmocka_unit_test(test_interfaces_switch_in_the_command_byte),
		cmocka_unit_test(test_a20_and_output_port),
		cmocka_unit_test(test_reset_line),
		cmocka_unit_test(test_state_moves_in_the_middle_of_a_command),
		cmocka_unit_test(test_hostile_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
