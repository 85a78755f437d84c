/* SPDX-License-Identifier: Apache-2.0 */
/* A guest says that it panicked: told once it is written, forgotten at a reset, carried in a move.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "hv/dev/pvpanic.h"

struct rig {
	struct bus pio;
	struct pvpanic *p;
	bool panicked;
};

static void rig_told(void *arg, bool panicked)
{
	((struct rig *)arg)->panicked = panicked;
}

static void rig_open(struct rig *r)
{
	struct err e;

	memset(r, 0, sizeof(*r));
	bus_init(&r->pio);
	assert_int_equal(pvpanic_new(&r->p, &r->pio, rig_told, r, &e), 0);
}

static void rig_close(struct rig *r)
{
	pvpanic_dev_ops.free(r->p);
	bus_fini(&r->pio);
}

static void a_panic_is_told_and_a_reset_forgets_it(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(bus_read(&r.pio, 0x505, 1), 0x01);
	bus_write(&r.pio, 0x505, 1, 0xfe); /* events this device does not offer */
	assert_false(r.panicked);
	bus_write(&r.pio, 0x505, 1, 0x01);
	assert_true(r.panicked);
	pvpanic_dev_ops.reset(r.p);
	assert_false(r.panicked);
	rig_close(&r);
}

static int load(struct rig *r, const void *p, size_t n, uint32_t version)
{
	struct section s = { .name = "pvpanic", .version = version, .body = rbuf_of(p, n) };
	struct err e = { 0 };
	int rc = pvpanic_dev_ops.load(r->p, &s, &e);

	assert_int_equal(rc == 0, e.msg[0] == '\0');
	return rc;
}

static void the_state_moves_and_hostile_state_is_refused(void **state)
{
	struct rig a, b;
	struct wbuf w;

	(void)state;
	rig_open(&a);
	rig_open(&b);
	bus_write(&a.pio, 0x505, 1, 0x01);
	wbuf_init(&w);
	pvpanic_dev_ops.save(a.p, &w);
	assert_int_equal(load(&b, w.data, w.len, 1), 0);
	assert_true(b.panicked);
	assert_int_equal(load(&b, "\x02", 1, 1), -EPROTO);
	assert_int_equal(load(&b, "", 0, 1), -EPROTO);
	assert_int_equal(load(&b, "\0\0", 2, 1), -EPROTO);
	assert_int_equal(load(&b, "", 1, 2), -EPROTO);
	assert_true(b.panicked); /* what was refused changed nothing */
	assert_int_equal(load(&b, "", 1, 1), 0);
	assert_false(b.panicked);
	wbuf_fini(&w);
	rig_close(&a);
	rig_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_panic_is_told_and_a_reset_forgets_it),
		cmocka_unit_test(the_state_moves_and_hostile_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
