/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that drives the random number device without rest, on real KVM: kicks leave it by
 * ioeventfd, answers come from the worker. It moves, is reset, and what the device writes is dirty.
 */
#include "tests/lib/vm_arrival.h"
#include "tests/unit/vm_guest.h"

#include "hv/base/bitmap.h"

#define COMMON 0xc1000000u /* the device is in slot 1 */
#define NOTIFY 0xc1003000u
#define DESC   0x300000u
#define AVAIL  0x301000u
#define USED   0x302000u
#define DATA   0x310000u

struct code {
	uint8_t b[512];
	unsigned n;
};

static void emit(struct code *c, uint64_t v, unsigned bytes)
{
	assert_true(c->n + bytes <= sizeof(c->b));
	while (bytes--) {
		c->b[c->n++] = (uint8_t)v;
		v >>= 8;
	}
}

/* mov [addr], v, in 1, 2 or 4 bytes */
static void emit_store(struct code *c, uint32_t addr, uint32_t v, unsigned size)
{
	if (size == 2)
		emit(c, 0x66, 1);
	emit(c, size == 1 ? 0x05c6 : 0x05c7, 2);
	emit(c, addr, 4);
	emit(c, v, size);
}

/* Sets the device up, then for ever: one request of 64 bytes, a kick, wait, count. */
static void emit_driver(struct code *c)
{
	static const struct {
		uint32_t addr, v;
		unsigned size;
	} setup[] = {
		{ COMMON + 20, 3, 1 },                           /* acknowledge, driver */
		{ COMMON + 8, 1, 4 }, { COMMON + 12, 1, 4 },     /* VERSION_1 */
		{ COMMON + 20, 0x0b, 1 }, { COMMON + 22, 0, 2 }, /* queue 0 of 8 entries */
		{ COMMON + 24, 8, 2 }, { COMMON + 32, DESC, 4 }, { COMMON + 40, AVAIL, 4 },
		{ COMMON + 48, USED, 4 }, { COMMON + 28, 1, 2 }, { COMMON + 20, 0x0f, 1 },
		{ DESC, DATA, 4 }, { DESC + 8, 64, 4 },
		{ DESC + 12, 2, 4 }, /* writable; every entry of the ring says 0: this one */
	};
	unsigned again, wait;

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < sizeof(setup) / sizeof(setup[0]); i++)
		emit_store(c, setup[i].addr, setup[i].v, setup[i].size);
	again = c->n;
	emit(c, 0x05ff66, 3); /* inc word [available index] */
	emit(c, AVAIL + 2, 4);
	emit_store(c, NOTIFY, 0, 2);
	wait = c->n;
	emit(c, 0xa166, 2); /* mov ax, [used index] */
	emit(c, USED + 2, 4);
	emit(c, 0x053b66, 3); /* cmp ax, [available index] */
	emit(c, AVAIL + 2, 4);
	emit(c, 0x75, 1); /* jne wait */
	emit(c, wait - (c->n + 1), 1);
	emit(c, 0x05ff, 2); /* inc dword [counter] */
	emit(c, GUEST_COUNTER, 4);
	emit(c, 0xeb, 1); /* jmp again */
	emit(c, again - (c->n + 1), 1);
}

static struct vm *driver_start(struct guest_files *g, struct vm_config *c)
{
	struct code code;

	emit_driver(&code);
	guest_files_new(g, code.b, code.n);
	*c = guest_config(g, 1);
	return guest_start(c);
}

static uint16_t word(struct vm *vm, uint32_t gpa)
{
	uint16_t v = 0;

	assert_true(gmem_read(vm_mem(vm), gpa, &v, sizeof(v)));
	return v;
}

/* At rest what the device has answered stays as it is. */
static struct vm *move(struct vm *from, const struct vm_config *c)
{
	struct err e = { 0 };
	struct vm *to = arrival(from, c, 0, &e);

	if (!to)
		fail_msg("no arrival: %s", e.msg);
	assert_int_equal(memcmp(vm_mem(to)->regions[0].host + DESC,
				 vm_mem(from)->regions[0].host + DESC, 0x20000),
		0);
	return to;
}

static void a_device_at_work_moves(void **state)
{
	struct guest_files g;
	struct vm_config c;
	struct vm *vm, *next;
	uint32_t n;

	(void)state;
	vm = driver_start(&g, &c);
	for (unsigned i = 0; i < 12; i++) {
		guest_wait_counter(vm, guest_counter(vm) + 20 + i);
		next = move(vm, &c);
		n = guest_counter(vm);
		if (i % 3 == 2) {
			/* The move fails here: the source goes on, its device too. */
			vm_free(next);
			vm_mig_ops.thaw(vm);
			guest_wait_counter(vm, n + 20);
			continue;
		}
		vm_free(vm);
		vm_mig_ops.thaw(next);
		guest_wait_counter(next, n + 20);
		vm = next;
	}
	assert_int_equal(vm_hold(vm, VM_HOLD_USER, NULL), 0);
	n = guest_counter(vm);
	/* No request was lost and none answered twice, or the two would not be in step. */
	assert_in_range((uint16_t)(word(vm, AVAIL + 2) - n), 0, 1);
	vm_free(vm);
	guest_files_free(&g);
}

static void what_the_device_writes_is_dirty(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct dirty_map d;
	struct vm *vm;

	(void)state;
	vm = driver_start(&g, &c);
	guest_wait_counter(vm, 20);
	assert_ok(dirty_map_init(&d, vm_mem(vm), &e), &e);
	assert_ok(vm_mig_ops.track_start(vm, &e), &e);
	guest_wait_counter(vm, guest_counter(vm) + 20);
	assert_ok(vm_mig_ops.freeze(vm, &e), &e);
	assert_ok(vm_mig_ops.track_harvest(vm, &d, &e), &e);
	/* Nobody but the device writes these two pages. */
	assert_true(bitmap_test(d.region[0].bits, USED >> 12));
	assert_true(bitmap_test(d.region[0].bits, DATA >> 12));
	dirty_map_clear(&d);
	assert_ok(vm_mig_ops.track_harvest(vm, &d, &e), &e);
	assert_int_equal(dirty_map_count(&d), 0);
	vm_mig_ops.thaw(vm);
	vm_mig_ops.track_stop(vm);
	dirty_map_fini(&d);
	vm_free(vm);
	guest_files_free(&g);
}

static void a_reset_finds_the_device_as_new(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;

	(void)state;
	vm = driver_start(&g, &c);
	for (unsigned i = 0; i < 3; i++) {
		guest_wait_counter(vm, 50);
		assert_ok(vm_reset(vm, &e), &e);
	}
	guest_wait_counter(vm, 50);
	vm_free(vm);
	guest_files_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_at_work_moves),
		cmocka_unit_test(what_the_device_writes_is_dirty),
		cmocka_unit_test(a_reset_finds_the_device_as_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
