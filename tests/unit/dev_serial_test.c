/* SPDX-License-Identifier: Apache-2.0 */
/* The UART as Linux's 8250 driver drives it: probing, interrupts, FIFOs, and a move in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "hv/dev/serial.h"

#define PORT 0x3f8

struct rig {
	struct bus pio;
	struct serial *s;
	int level;
	unsigned edges;
	char out[64];
	size_t out_n;
};

static void rig_irq(void *arg, int level)
{
	struct rig *r = arg;

	if (level && !r->level)
		r->edges++;
	r->level = level;
}

static void rig_tx(void *arg, const uint8_t *p, size_t n)
{
	struct rig *r = arg;

	assert_true(r->out_n + n <= sizeof(r->out));
	memcpy(r->out + r->out_n, p, n);
	r->out_n += n;
}

static void rig_open(struct rig *r)
{
	struct err e;

	memset(r, 0, sizeof(*r));
	bus_init(&r->pio);
	assert_int_equal(
		serial_new(&r->s, &r->pio, PORT, (struct dev_irq){ rig_irq, r }, rig_tx, r, &e), 0);
}

static void rig_close(struct rig *r)
{
	serial_dev_ops.free(r->s);
	bus_fini(&r->pio);
}

static unsigned in(struct rig *r, unsigned reg)
{
	return (unsigned)bus_read(&r->pio, PORT + reg, 1);
}

static void out(struct rig *r, unsigned reg, unsigned v)
{
	bus_write(&r->pio, PORT + reg, 1, v);
}

static void test_linux_probe_finds_a_16550a(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 1, 0);
	assert_int_equal(in(&r, 1), 0);
	out(&r, 1, 0xff);
	assert_int_equal(in(&r, 1), 0x0f);
	out(&r, 1, 0);
	out(&r, 4, 0x1a); /* loopback: RTS and OUT2 come back as CTS and DCD */
	assert_int_equal(in(&r, 6) & 0xf0, 0x90);
	out(&r, 4, 0);
	assert_int_equal(in(&r, 6) & 0xf0, 0xb0);
	assert_int_equal(in(&r, 2), 0x01);
	out(&r, 2, 0x01);
	assert_int_equal(in(&r, 2) >> 6, 3);
	out(&r, 3, 0x80); /* no enhanced registers behind the divisor latch */
	assert_int_not_equal(in(&r, 2), 0);
	out(&r, 3, 0xbf);
	assert_int_not_equal(in(&r, 2), 0);
	out(&r, 3, 0x80);
	out(&r, 2, 0x21); /* nor the 64-byte FIFO of a 16750 */
	assert_int_equal(in(&r, 2) >> 5, 6);
	out(&r, 3, 0x03);
	out(&r, 7, 0x5a);
	assert_int_equal(in(&r, 7), 0x5a);
	rig_close(&r);
}

static void test_divisor_latch_hides_data_and_ier(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 1, 0x05);
	out(&r, 3, 0x83);
	out(&r, 0, 0x01);
	out(&r, 1, 0x02);
	assert_int_equal(in(&r, 0), 0x01);
	assert_int_equal(in(&r, 1), 0x02);
	out(&r, 3, 0x03);
	assert_int_equal(in(&r, 1), 0x05);
	assert_int_equal(r.out_n, 0);
	rig_close(&r);
}

static void test_thre_interrupt_comes_again_each_time_it_is_enabled(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 4, 0x08);
	for (unsigned i = 0; i < 2; i++) {
		out(&r, 1, 0x02);
		assert_int_equal(r.level, 1);
		assert_int_equal(in(&r, 2), 0x02);
		assert_int_equal(r.level, 0); /* reading IIR took it */
		assert_int_equal(in(&r, 2), 0x01);
		out(&r, 1, 0x00);
	}
	out(&r, 1, 0x02);
	in(&r, 2);
	out(&r, 0, 'x'); /* sent at once, so empty again */
	assert_int_equal(r.level, 1);
	assert_memory_equal(r.out, "x", 1);
	assert_int_equal(in(&r, 5), 0x60);
	rig_close(&r);
}

static void test_line_needs_out2(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 1, 0x02);
	assert_int_equal(r.level, 0);
	out(&r, 4, 0x08);
	assert_int_equal(r.level, 1);
	out(&r, 4, 0x18);
	assert_int_equal(r.level, 0);
	rig_close(&r);
}

static void test_input_fills_the_fifo_and_waits(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 4, 0x08);
	out(&r, 1, 0x01);
	assert_int_equal(serial_input(r.s, "abcdefghijklmnopqrstuvwxyz", 26), 1); /* no FIFO yet */
	assert_int_equal(in(&r, 0), 'a');
	out(&r, 2, 0x81); /* FIFO, interrupt from 8 bytes on */
	assert_int_equal(serial_input(r.s, "abc", 3), 3);
	assert_int_equal(in(&r, 2), 0xcc); /* below the trigger: time-out indication */
	assert_int_equal(serial_input(r.s, "defghijklmnopqrstuvwxyz", 23), 13);
	assert_int_equal(in(&r, 2), 0xc4);
	assert_int_equal(serial_input(r.s, "q", 1), 0);
	assert_int_equal(r.level, 1);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(in(&r, 5), 0x61);
		assert_int_equal(in(&r, 0), 'a' + i);
	}
	assert_int_equal(in(&r, 5), 0x60);
	assert_int_equal(r.level, 0);
	assert_int_equal(in(&r, 0), 0);
	rig_close(&r);
}

static void test_fcr_resets_the_receiver(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 2, 0x01);
	serial_input(r.s, "abc", 3);
	out(&r, 2, 0x03);
	assert_int_equal(in(&r, 5), 0x60);
	serial_input(r.s, "abc", 3);
	out(&r, 2, 0x00); /* FIFOs off: contents gone */
	assert_int_equal(in(&r, 5), 0x60);
	assert_int_equal(in(&r, 2) & 0xc0, 0);
	rig_close(&r);
}

static void test_loopback_receives_what_is_sent_and_overruns(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 4, 0x10);
	out(&r, 1, 0x04);
	out(&r, 0, 'p');
	assert_int_equal(serial_input(r.s, "x", 1), 0); /* cut off from the line */
	out(&r, 0, 'q');
	assert_int_equal(in(&r, 2), 0x06); /* line status is the most urgent */
	assert_int_equal(in(&r, 5), 0x63);
	assert_int_equal(in(&r, 5), 0x61);
	assert_int_equal(in(&r, 0), 'p');
	assert_int_equal(r.out_n, 0);
	rig_close(&r);
}

static void test_modem_deltas_interrupt_and_clear_on_read(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	out(&r, 1, 0x08);
	out(&r, 4, 0x14); /* loopback, OUT1: ring rises, the other lines fall */
	assert_int_equal(in(&r, 2), 0x00);
	assert_int_equal(in(&r, 6), 0x4b);
	assert_int_equal(in(&r, 6), 0x40);
	out(&r, 4, 0x10); /* ring falls: the trailing edge counts */
	assert_int_equal(in(&r, 6), 0x04);
	rig_close(&r);
}

/* Saves @from, loads into @to; @cut drops bytes from the end, @at >= 0 replaces one byte. */
static int move_state(
	struct rig *from, struct rig *to, size_t cut, int at, uint8_t v, struct err *e)
{
	struct section s = { .name = "serial", .version = 1 };
	struct wbuf w;
	int rc;

	wbuf_init(&w);
	serial_dev_ops.save(from->s, &w);
	assert_false(w.failed);
	if (at >= 0)
		w.data[at] = v;
	s.body = rbuf_of(w.data, w.len - cut);
	rc = serial_dev_ops.load(to->s, &s, e);
	wbuf_fini(&w);
	return rc;
}

static void test_state_moves_with_fifo_and_interrupt(void **state)
{
	struct rig a, b;
	struct err e;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	out(&a, 3, 0x83);
	out(&a, 0, 0x07);
	out(&a, 3, 0x1b);
	out(&a, 7, 0x99);
	out(&a, 2, 0xc1);
	out(&a, 4, 0x0b);
	out(&a, 1, 0x03);
	serial_input(a.s, "hello", 5);
	assert_int_equal(move_state(&a, &b, 0, -1, 0, &e), 0);
	assert_int_equal(b.level, 1);
	for (unsigned i = 1; i < 8; i++) {
		if (i != 2 && i != 6)
			assert_int_equal(in(&b, i), in(&a, i));
	}
	assert_int_equal(in(&b, 2), 0xcc);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(in(&b, 0), "hello"[i]);
	assert_int_equal(in(&b, 2), 0xc2); /* the transmitter's interrupt came along */
	serial_dev_ops.reset(b.s);
	assert_int_equal(b.level, 0);
	assert_int_equal(in(&b, 1), 0);
	rig_close(&a);
	rig_close(&b);
}

static void test_hostile_state_is_refused_and_changes_nothing(void **state)
{
	static const struct {
		int at;
		uint8_t v;
	} bad[] = { { 0, 0x10 }, { 1, 0x02 }, { 1, 0x80 }, { 3, 0x20 }, { 8, 2 }, { 9, 2 },
		{ 10, 17 }, { 10, 255 }, { 10, 4 } };
	struct rig a, b;
	struct err e = { 0 };

	(void)state;
	rig_open(&a);
	rig_open(&b);
	out(&a, 2, 0x01);
	serial_input(a.s, "abc", 3);
	out(&b, 7, 0x42);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(move_state(&a, &b, 0, bad[i].at, bad[i].v, &e), -EPROTO);
	for (size_t cut = 1; cut <= 14; cut++)
		assert_int_equal(move_state(&a, &b, cut, -1, 0, &e), -EPROTO);
	assert_true(e.msg[0]);
	assert_int_equal(in(&b, 7), 0x42);
	assert_int_equal(in(&b, 5), 0x60);
	rig_close(&a);
	rig_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux_probe_finds_a_16550a),
		cmocka_unit_test(test_divisor_latch_hides_data_and_ier),
		cmocka_unit_test(test_thre_interrupt_comes_again_each_time_it_is_enabled),
		cmocka_unit_test(test_line_needs_out2),
		cmocka_unit_test(test_input_fills_the_fifo_and_waits),
		cmocka_unit_test(test_fcr_resets_the_receiver),
		cmocka_unit_test(test_loopback_receives_what_is_sent_and_overruns),
		cmocka_unit_test(test_modem_deltas_interrupt_and_clear_on_read),
		cmocka_unit_test(test_state_moves_with_fifo_and_interrupt),
		cmocka_unit_test(test_hostile_state_is_refused_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
