/* SPDX-License-Identifier: Apache-2.0 */
/* Holding and releasing: a held guest stands still, whoever holds it and however often. */
#include "tests/unit/vm_guest.h"

#include <pthread.h>

static const uint8_t code_count[] = { CODE_COUNT };
/* Counts and speaks to a port nobody answers, so that holds meet exits too. */
static const uint8_t code_ports[] = { 0xbe, 0x00, 0x00, 0x20, 0x00, 0xff, 0x06, CODE_OUT8(0x80, 1),
	0xeb, 0xf5 };

static void a_held_guest_stands_still(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 2);
	vm = guest_start(&c);
	for (unsigned i = 0; i < 50; i++) {
		uint64_t until = clock_mono_ns() + NSEC_PER_MSEC;
		uint32_t n;

		guest_wait_counter(vm, guest_counter(vm) + 10);
		assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
		n = guest_counter(vm);
		do
			assert_int_equal(guest_counter(vm), n);
		while (clock_mono_ns() < until);
		vm_release(vm, VM_HOLD_USER);
	}
	vm_free(vm);
	guest_files_free(&g);
}

static void it_runs_only_when_the_last_reason_is_gone(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_info info;
	struct vm_config c;
	struct vm *vm;
	uint32_t n;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 1);
	vm = guest_start(&c);
	guest_wait_counter(vm, 10);
	assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
	assert_ok(vm_mig_ops.freeze(vm, &e), &e);
	n = guest_counter(vm);
	vm_release(vm, VM_HOLD_USER);
	vm_info(vm, &info);
	assert_int_equal(info.hold, VM_HOLD_MIGRATION);
	assert_int_equal(guest_counter(vm), n);
	assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
	vm_mig_ops.thaw(vm);
	assert_int_equal(guest_counter(vm), n);
	vm_release(vm, VM_HOLD_USER);
	guest_wait_counter(vm, n + 10);
	vm_free(vm);
	guest_files_free(&g);
}

/* Every vCPU leaves the guest and goes on; a guest that stands still anyway says nothing. */
static void a_nudged_guest_goes_on(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;

	(void)state;
	guest_files_new(&g, code_ports, sizeof(code_ports));
	c = guest_config(&g, 2);
	vm = guest_start(&c);
	for (unsigned i = 0; i < 50; i++) {
		guest_wait_counter(vm, guest_counter(vm) + 10);
		assert_true(vm_mig_ops.nudge(vm) > 0);
	}
	guest_wait_counter(vm, guest_counter(vm) + 10);
	assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
	assert_int_equal(vm_mig_ops.nudge(vm), 0);
	vm_release(vm, VM_HOLD_USER);
	guest_wait_counter(vm, guest_counter(vm) + 10);
	vm_free(vm);
	guest_files_free(&g);
}

/* What a freeze that takes too long gets: the vCPUs go on at once, and the thaw that follows is
 * harmless. */
static void an_abandoned_freeze_lets_the_guest_go(void **state)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_info info;
	struct vm_config c;
	struct vm *vm;
	uint32_t n;

	(void)state;
	guest_files_new(&g, code_count, sizeof(code_count));
	c = guest_config(&g, 2);
	vm = guest_start(&c);
	guest_wait_counter(vm, 10);
	assert_ok(vm_mig_ops.freeze(vm, &e), &e);
	n = guest_counter(vm);
	vm_mig_ops.freeze_abandon(vm);
	guest_wait_counter(vm, n + 10);
	vm_mig_ops.thaw(vm);
	guest_wait_counter(vm, guest_counter(vm) + 10);
	/* but not one that somebody else holds */
	assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
	assert_ok(vm_mig_ops.freeze(vm, &e), &e);
	n = guest_counter(vm);
	vm_mig_ops.freeze_abandon(vm);
	vm_info(vm, &info);
	assert_int_equal(info.hold, VM_HOLD_USER);
	assert_int_equal(guest_counter(vm), n);
	vm_release(vm, VM_HOLD_USER);
	guest_wait_counter(vm, n + 10);
	vm_free(vm);
	guest_files_free(&g);
}

struct hammer {
	struct vm *vm;
	enum vm_hold why;
	unsigned moved; /* how often the guest moved while it was held */
};

static void *hammer(void *arg)
{
	struct hammer *h = arg;

	for (unsigned i = 0; i < 300; i++) {
		struct err e = { 0 };
		uint32_t n;

		if (vm_hold(h->vm, h->why, &e))
			h->moved++;
		n = guest_counter(h->vm);
		for (unsigned k = 0; k < 100; k++)
			h->moved += guest_counter(h->vm) != n;
		vm_release(h->vm, h->why);
	}
	return NULL;
}

static void hammered(const uint8_t *code, size_t size)
{
	struct guest_files g;
	struct hammer h[2];
	struct vm_config c;
	struct vm_info info;
	struct vm *vm;
	pthread_t t;

	guest_files_new(&g, code, size);
	c = guest_config(&g, 2);
	vm = guest_start(&c);
	guest_wait_counter(vm, 10);
	h[0] = (struct hammer){ .vm = vm, .why = VM_HOLD_USER };
	h[1] = (struct hammer){ .vm = vm, .why = VM_HOLD_MIGRATION };
	assert_int_equal(pthread_create(&t, NULL, hammer, &h[1]), 0);
	hammer(&h[0]);
	pthread_join(t, NULL);
	assert_int_equal(h[0].moved + h[1].moved, 0);
	vm_info(vm, &info);
	assert_int_equal(info.hold, 0);
	guest_wait_counter(vm, guest_counter(vm) + 10);
	vm_free(vm);
	guest_files_free(&g);
}

static void two_threads_hold_a_counting_guest(void **state)
{
	(void)state;
	hammered(code_count, sizeof(code_count));
}

static void two_threads_hold_a_guest_that_does_io(void **state)
{
	(void)state;
	hammered(code_ports, sizeof(code_ports));
}

/* Power-off while somebody holds and releases: one event, and it is stopped for good. */
static void an_event_and_a_hold_do_not_block_each_other(void **state)
{
	static const uint8_t code[] = { CODE_POWEROFF };
	struct guest_files g;
	struct vm_config c;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 2);
	for (unsigned i = 0; i < 20; i++) {
		struct err e = { 0 };
		struct vm_info info;
		struct vm *vm = guest_start(&c);

		for (unsigned k = 0; k < i; k++) {
			assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
			vm_release(vm, VM_HOLD_USER);
		}
		assert_int_equal(guest_wait_event(vm), VM_EVENT_SHUTDOWN);
		assert_int_equal(vm_take_event(vm), VM_EVENT_NONE);
		vm_info(vm, &info);
		assert_int_equal(info.hold, VM_HOLD_STOPPED);
		vm_free(vm);
	}
	guest_files_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_guest_stands_still),
		cmocka_unit_test(it_runs_only_when_the_last_reason_is_gone),
		cmocka_unit_test(a_nudged_guest_goes_on),
		cmocka_unit_test(an_abandoned_freeze_lets_the_guest_go),
		cmocka_unit_test(two_threads_hold_a_counting_guest),
		cmocka_unit_test(two_threads_hold_a_guest_that_does_io),
		cmocka_unit_test(an_event_and_a_hold_do_not_block_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
