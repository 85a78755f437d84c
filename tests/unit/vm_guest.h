/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests of a few bytes for tests of hv/vm: a PVH ELF is written around machine code (32-bit, flat,
 * no paging, no IDT: any exception is a triple fault) and booted by a real machine on real KVM.
 * Must never sleep: waiting is for a counter in guest memory or the event descriptor, to a
 * deadline. Next in the flow: vm_machine_test.c, vm_state_test.c, vm_hold_test.c.
 */
#ifndef WATARI_TESTS_VM_GUEST_H
#define WATARI_TESTS_VM_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/vm/vm.h"
#include "tests/lib/guest_elf.h"

#define GUEST_COUNTER 0x200000u /* where the counting guests count, 32 bits */
#define GUEST_WAIT_NS (20 * NSEC_PER_SEC)

/* inc dword [0x200000]; again */
#define CODE_COUNT 0xbe, 0x00, 0x00, 0x20, 0x00, 0xff, 0x06, 0xeb, 0xfc
/* mov dx, PORT; mov ax, VALUE; out dx, ax  (AL for one byte) */
#define CODE_OUT16(port, v)                                                                        \
	0x66, 0xba, (port)&0xff, (port) >> 8, 0x66, 0xb8, (v)&0xff, (v) >> 8, 0x66, 0xef
#define CODE_OUT8(port, v) 0x66, 0xba, (port)&0xff, (port) >> 8, 0xb0, (v), 0xee
#define CODE_POWEROFF      CODE_OUT16(0x604, 0x3400), 0xf4
#define CODE_UD2           0x0f, 0x0b

struct guest_files {
	char dir[64], kernel[96], serial[96];
};

/* A folder with the kernel in it. The test skips where there is no KVM. */
static inline void guest_files_new(struct guest_files *g, const uint8_t *code, size_t n)
{
	if (access("/dev/kvm", R_OK | W_OK) != 0) {
		print_message("skipped: /dev/kvm is missing or may not be used\n");
		skip();
	}
	snprintf(g->dir, sizeof(g->dir), "/tmp/watari-vm-test-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->kernel, sizeof(g->kernel), "%s/kernel", g->dir);
	snprintf(g->serial, sizeof(g->serial), "%s/serial", g->dir);
	assert_int_equal(guest_elf_write(g->kernel, code, n), 0);
}

static inline void guest_files_free(struct guest_files *g)
{
	unlink(g->kernel);
	unlink(g->serial);
	rmdir(g->dir);
}

static inline struct vm_config guest_config(const struct guest_files *g, unsigned cpus)
{
	struct vm_config c = { .name = "test", .cpus = cpus, .memory = 64u << 20 };

	snprintf(c.kernel, sizeof(c.kernel), "%s", g->kernel);
	snprintf(c.serial, sizeof(c.serial), "file:%s", g->serial);
	return c;
}

#define assert_ok(call, e)                                                                         \
	do {                                                                                       \
		if ((call) != 0)                                                                   \
			fail_msg("%s: %s", #call, (e)->msg);                                       \
	} while (0)

static inline struct vm *guest_start(const struct vm_config *c)
{
	struct err e = { 0 };
	struct vm *vm = NULL;

	assert_ok(vm_new(&vm, c, &e), &e);
	assert_ok(vm_boot(vm, &e), &e);
	vm_release(vm, VM_HOLD_SETUP);
	return vm;
}

/* The guest's counter. Read as the guest writes it: one aligned word. */
static inline uint32_t guest_counter(struct vm *vm)
{
	uint32_t *p = (uint32_t *)gmem_view(vm_mem(vm), GUEST_COUNTER, sizeof(uint32_t));

	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void guest_wait_counter(struct vm *vm, uint32_t above)
{
	uint64_t until = clock_mono_ns() + GUEST_WAIT_NS;

	while (guest_counter(vm) <= above) {
		if (clock_mono_ns() > until)
			fail_msg("the guest's counter stands at %u, it should pass %u",
				guest_counter(vm), above);
		sched_yield();
	}
}

static inline enum vm_event guest_wait_event(struct vm *vm)
{
	struct pollfd p = { .fd = vm_event_fd(vm), .events = POLLIN };

	assert_int_equal(poll(&p, 1, (int)(GUEST_WAIT_NS / NSEC_PER_MSEC)), 1);
	return vm_take_event(vm);
}

/* What the serial line's file holds; after vm_free() that is all of it. */
static inline void guest_serial(const struct guest_files *g, char *buf, size_t n)
{
	int fd = open(g->serial, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	assert_true(fd >= 0);
	got = read(fd, buf, n - 1);
	close(fd);
	assert_true(got >= 0);
	buf[got] = '\0';
}

#endif
