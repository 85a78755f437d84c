/* SPDX-License-Identifier: Apache-2.0 */
/* A whole machine on real KVM: it boots, speaks, powers off, reboots, and is freed. */
#include "tests/unit/vm_guest.h"

#include <errno.h>

#include "hv/vm/internal.h"

static void a_guest_boots_writes_and_powers_off(void **state)
{
	static const uint8_t code[] = { CODE_OUT8(0x3f8, 'h'), CODE_OUT8(0x3f8, 'i'),
		CODE_POWEROFF };
	struct guest_files g;
	struct vm_config c;
	struct vm_info info;
	struct vm *vm;
	char text[16];

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 1);
	vm = guest_start(&c);
	assert_int_equal(guest_wait_event(vm), VM_EVENT_SHUTDOWN);
	vm_info(vm, &info);
	assert_int_equal(info.hold, VM_HOLD_STOPPED);
	assert_int_equal(vm_take_event(vm), VM_EVENT_NONE);
	vm_free(vm);
	guest_serial(&g, text, sizeof(text));
	assert_string_equal(text, "hi");
	guest_files_free(&g);
}

static void reboots_again_and_again(const uint8_t *code, size_t n)
{
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;
	char text[16];

	guest_files_new(&g, code, n);
	c = guest_config(&g, 2);
	vm = guest_start(&c);
	for (unsigned i = 0; i < 3; i++) {
		/* Memory is cleared: the guest does not find what the test left. */
		uint32_t *leftover = (uint32_t *)gmem_view(vm_mem(vm), GUEST_COUNTER, 4);

		assert_int_equal(guest_wait_event(vm), VM_EVENT_RESET);
		*leftover = 0xdeadbeef;
		assert_ok(vm_reset(vm, &e), &e);
		assert_int_not_equal(guest_counter(vm), 0xdeadbeef);
	}
	assert_int_equal(guest_wait_event(vm), VM_EVENT_RESET);

	/* Without its kernel it cannot come back, says so, and stays stopped. */
	unlink(g.kernel);
	assert_int_equal(vm_reset(vm, &e), -ENOENT);
	assert_non_null(strstr(e.msg, g.kernel));
	vm_free(vm);
	guest_serial(&g, text, sizeof(text));
	assert_string_equal(text, "RRRR");
	guest_files_free(&g);
}

static void a_triple_fault_is_a_reboot(void **state)
{
	static const uint8_t code[] = { CODE_OUT8(0x3f8, 'R'), CODE_UD2 };

	(void)state;
	reboots_again_and_again(code, sizeof(code));
}

static void the_reset_port_is_a_reboot(void **state)
{
	static const uint8_t code[] = { CODE_OUT8(0x3f8, 'R'), CODE_OUT8(0xcf9, 6), 0xeb, 0xfe };

	(void)state;
	reboots_again_and_again(code, sizeof(code));
}

static void the_keyboard_controller_is_a_reboot(void **state)
{
	static const uint8_t code[] = { CODE_OUT8(0x3f8, 'R'), CODE_OUT8(0x64, 0xfe), 0xeb, 0xfe };

	(void)state;
	reboots_again_and_again(code, sizeof(code));
}

/* Echoes until a '.' comes, then powers off: more than a FIFO of input arrives in order. */
static void typed_bytes_wait_for_the_guest(void **state)
{
	static const uint8_t code[] = { /* 0: */ 0x66, 0xba, 0xfd, 0x03, /* mov dx, 0x3fd */
		/* 4: */ 0xec, 0xa8, 0x01,                               /* in al, dx; test al, 1 */
		/* 7: */ 0x74, 0xf7,                                     /* jz 0 */
		/* 9: */ 0x66, 0xba, 0xf8, 0x03,                         /* mov dx, 0x3f8 */
		/* 13: */ 0xec, 0xee,                                    /* in al, dx; out dx, al */
		/* 15: */ 0x3c, '.',                                     /* cmp al, '.' */
		/* 17: */ 0x75, 0xed,                                    /* jne 0 */
		CODE_POWEROFF };
	static const char typed[] = "the quick brown fox jumps over the lazy dog and goes home.";
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;
	char text[128];

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 1);
	vm = guest_start(&c);
	vm_input(vm, typed, strlen(typed));
	assert_int_equal(guest_wait_event(vm), VM_EVENT_SHUTDOWN);
	vm_free(vm);
	guest_serial(&g, text, sizeof(text));
	assert_string_equal(text, typed);
	guest_files_free(&g);
}

/* Nobody reads the pipe: the guest goes on, is held and freed all the same. */
static void a_reader_that_stops_does_not_stop_the_guest(void **state)
{
	static const uint8_t code[] = { 0xbe, 0x00, 0x00, 0x20, 0x00, /* mov esi, counter */
		0xff, 0x06,                                           /* inc dword [esi] */
		CODE_OUT8(0x3f8, 'x'), 0xeb, 0xf5 };
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;
	int keep, p[2];

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 1);
	snprintf(c.serial, sizeof(c.serial), "stdio");
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_true(fcntl(p[1], F_SETPIPE_SZ, 4096) >= 0);
	fflush(stdout);
	keep = dup(STDOUT_FILENO);
	dup2(p[1], STDOUT_FILENO);
	vm = guest_start(&c);
	dup2(keep, STDOUT_FILENO);
	guest_wait_counter(vm, 8000);
	assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
	vm_free(vm);
	close(keep);
	close(p[0]);
	close(p[1]);
	guest_files_free(&g);
}

/* It runs off into addresses where nothing is: nothing KVM or the machine can go on from. */
static void a_guest_that_cannot_go_on_crashes_with_a_reason(void **state)
{
	static const uint8_t code[] = { 0xb8, 0x00, 0x00, 0x00, 0xd0, 0xff,
		0xe0 }; /* jmp 0xd0000000 */
	struct guest_files g;
	struct vm_config c;
	struct vm_info info;
	struct vm *vm;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 2);
	vm = guest_start(&c);
	assert_int_equal(guest_wait_event(vm), VM_EVENT_CRASH);
	vm_info(vm, &info);
	assert_non_null(strstr(info.reason, "vCPU 0"));
	assert_int_equal(info.hold, VM_HOLD_STOPPED);
	vm_free(vm);
	guest_files_free(&g);
}

static void only_the_first_event_counts(void **state)
{
	static const uint8_t code[] = { CODE_COUNT };
	struct guest_files g;
	struct vm_config c;
	struct vm_info info;
	struct vm *vm;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 1);
	vm = guest_start(&c);
	guest_wait_counter(vm, 10);
	vm_event_raise(vm, VM_EVENT_CRASH, "the first");
	vm_event_raise(vm, VM_EVENT_SHUTDOWN, NULL);
	assert_int_equal(guest_wait_event(vm), VM_EVENT_CRASH);
	assert_int_equal(vm_take_event(vm), VM_EVENT_NONE);
	vm_info(vm, &info);
	assert_string_equal(info.reason, "the first");
	vm_free(vm);
	guest_files_free(&g);
}

static void machines_of_1_2_and_64_vcpus(void **state)
{
	static const unsigned cpus[] = { 1, 2, 64 };
	static const uint8_t code[] = { CODE_COUNT };
	struct guest_files g;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	for (size_t i = 0; i < 3; i++) {
		struct vm_config c = guest_config(&g, cpus[i]);
		struct err e = { 0 };
		struct vm_info info;
		struct vm *vm = guest_start(&c);

		guest_wait_counter(vm, 100);
		assert_ok(vm_hold(vm, VM_HOLD_USER, &e), &e);
		vm_info(vm, &info);
		assert_int_equal(info.hold, VM_HOLD_USER);
		vm_free(vm);
	}
	guest_files_free(&g);
}

static void what_cannot_start_says_why(void **state)
{
	static const uint8_t code[] = { CODE_COUNT };
	struct err e = { 0 };
	struct guest_files g;
	struct vm_config c;
	struct vm *vm;

	(void)state;
	guest_files_new(&g, code, sizeof(code));
	c = guest_config(&g, 1);
	snprintf(c.serial, sizeof(c.serial), "file:%s/none/serial", g.dir);
	assert_int_equal(vm_new(&vm, &c, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/none/serial"));
	assert_null(vm);

	c = guest_config(&g, 1);
	c.memory = 8ull << 40;
	assert_int_equal(vm_new(&vm, &c, &e), -ENOMEM);
	assert_non_null(strstr(e.msg, "available"));

	c = guest_config(&g, 1);
	snprintf(c.kernel, sizeof(c.kernel), "%s/nokernel", g.dir);
	assert_ok(vm_new(&vm, &c, &e), &e);
	assert_int_equal(vm_boot(vm, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/nokernel"));
	vm_free(vm);
	guest_files_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_boots_writes_and_powers_off),
		cmocka_unit_test(a_triple_fault_is_a_reboot),
		cmocka_unit_test(the_reset_port_is_a_reboot),
		cmocka_unit_test(the_keyboard_controller_is_a_reboot),
		cmocka_unit_test(typed_bytes_wait_for_the_guest),
		cmocka_unit_test(a_reader_that_stops_does_not_stop_the_guest),
		cmocka_unit_test(a_guest_that_cannot_go_on_crashes_with_a_reason),
		cmocka_unit_test(only_the_first_event_counts),
		cmocka_unit_test(machines_of_1_2_and_64_vcpus),
		cmocka_unit_test(what_cannot_start_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
