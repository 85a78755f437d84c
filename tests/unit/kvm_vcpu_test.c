/* SPDX-License-Identifier: Apache-2.0 */
/* A vCPU runs a few bytes of code on real KVM, and says why it came back. */
#include <errno.h>

#include "tests/unit/kvm_guest.h"

static void ports_and_memory_come_out_as_accesses(void **state)
{
	static const uint8_t code[] = {
		0x88, 0xd8,                   /* mov al, bl          ; 0x34, from EBX */
		0xe6, 0x10,                   /* out 0x10, al */
		0xe4, 0x11,                   /* in al, 0x11 */
		0xa2, 0x02, 0x00, 0x00, 0xd0, /* mov [0xd0000002], al */
		0xa1, 0x04, 0x00, 0x00, 0xd0, /* mov eax, [0xd0000004] */
		0xe7, 0x12,                   /* out 0x12, eax */
	};
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	struct vcpu_exit x;

	(void)state;
	guest_code(g, code, sizeof(code));
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	assert_true(x.write);
	assert_int_equal(x.addr, 0x10);
	assert_int_equal(x.size, 1);
	assert_int_equal(x.count, 1);
	assert_int_equal(x.data[0], 0x34);
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	assert_false(x.write);
	assert_int_equal(x.addr, 0x11);
	x.data[0] = 0x77;
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_MMIO);
	assert_true(x.write);
	assert_int_equal(x.addr, 0xd0000002u);
	assert_int_equal(x.size, 1);
	assert_int_equal(x.data[0], 0x77);
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_MMIO);
	assert_false(x.write);
	assert_int_equal(x.size, 4);
	memcpy(x.data, "\x01\x02\x03\x04", 4);
	guest_run(g, &x);
	assert_int_equal(x.size, 4);
	assert_memory_equal(x.data, "\x01\x02\x03\x04", 4);
	guest_free(g);
}

/* KVM may hand out a string instruction whole or piece by piece; the bytes are the same. */
static void a_string_of_bytes_arrives_in_order(void **state)
{
	static const uint8_t code[] = {
		0xbe, 0x00, 0x30, 0x00, 0x00, /* mov esi, 0x3000 */
		0xb9, 0x05, 0x00, 0x00, 0x00, /* mov ecx, 5 */
		0xba, 0x12, 0x00, 0x00, 0x00, /* mov edx, 0x12 */
		0xfc, 0xf3, 0x6e,             /* cld; rep outsb */
	};
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	char got[6] = "";
	size_t n = 0;

	(void)state;
	assert_true(gmem_write(&g->mem, 0x3000, "hello", 5));
	guest_code(g, code, sizeof(code));
	while (n < 5) {
		struct vcpu_exit x;

		guest_run(g, &x);
		assert_int_equal(x.type, VCPU_EXIT_PIO);
		assert_int_equal(x.size, 1);
		assert_true(x.count >= 1 && n + x.count <= 5);
		memcpy(got + n, x.data, x.count);
		n += x.count;
	}
	assert_string_equal(got, "hello");
	guest_free(g);
}

static void a_triple_fault_is_a_shutdown(void **state)
{
	static const uint8_t code[] = { 0x0f, 0x0b }; /* ud2, and no interrupt table */
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	struct vcpu_exit x;

	(void)state;
	guest_code(g, code, sizeof(code));
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_SHUTDOWN);
	guest_free(g);
}

static void a_kick_before_entry_runs_nothing(void **state)
{
	static const uint8_t code[] = { 0xe6, 0x10, 0xeb, 0xfc }; /* out 0x10, al; again */
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	struct vcpu_exit x;

	(void)state;
	guest_code(g, code, sizeof(code));
	vcpu_immediate_exit_set(&g->vcpu[0], 1);
	for (int i = 0; i < 3; i++) {
		vcpu_run(&g->vcpu[0], &x);
		assert_int_equal(x.type, VCPU_EXIT_INTR);
		assert_int_equal(vcpu_rip(&g->vcpu[0]), CODE);
	}
	vcpu_immediate_exit_set(&g->vcpu[0], 0);
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	guest_free(g);
}

static void completing_an_access_moves_on_without_running(void **state)
{
	static const uint8_t code[] = {
		0xe4, 0x11, /* in al, 0x11 */
		0xe6, 0x10, /* out 0x10, al */
	};
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	struct vcpu_exit x;

	(void)state;
	guest_code(g, code, sizeof(code));
	guest_run(g, &x);
	assert_false(x.write);
	x.data[0] = 0x5a;
	assert_int_equal(vcpu_complete_io(&g->vcpu[0], &x), 0);
	assert_int_equal(vcpu_rip(&g->vcpu[0]), CODE + 2);
	/* Nothing is owed any more: once more changes nothing. */
	assert_int_equal(vcpu_complete_io(&g->vcpu[0], &x), 0);
	assert_int_equal(vcpu_rip(&g->vcpu[0]), CODE + 2);
	vcpu_immediate_exit_set(&g->vcpu[0], 0);
	guest_run(g, &x);
	assert_true(x.write);
	assert_int_equal(x.data[0], 0x5a);
	guest_free(g);
}

static void a_kernel_in_long_mode_finds_its_parameters(void **state)
{
	static const uint8_t code[] = {
		0x48, 0x89, 0xf0,       /* mov rax, rsi */
		0xe7, 0x10,             /* out 0x10, eax */
		0x48, 0xc1, 0xe8, 0x20, /* shr rax, 32: long mode only */
		0xe7, 0x10,             /* out 0x10, eax */
	};
	/* One level-3 table of 1 GiB would do; 2 MiB pages are what every processor has. */
	const uint64_t pml4 = 0x11003, pdpt = 0x12003, page = 0x83;
	const struct vcpu_boot b = {
		.mode = VCPU_BOOT_LINUX64,
		.ip = CODE,
		.info = 0x1122334455667788,
		.cr3 = 0x10000,
		.gdt = 0x13000,
		.gdt_limit = 31,
	};
	struct guest *g = guest_new(1, DIRTY_CHOICE_AUTO, 0);
	struct vcpu_exit x;
	uint32_t v;

	(void)state;
	assert_true(gmem_write(&g->mem, 0x10000, &pml4, 8));
	assert_true(gmem_write(&g->mem, 0x11000, &pdpt, 8));
	assert_true(gmem_write(&g->mem, 0x12000, &page, 8));
	assert_true(gmem_write(&g->mem, CODE, code, sizeof(code)));
	guest_ok(g, vcpu_setup_boot(&g->vcpu[0], &b, &g->e));
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	memcpy(&v, x.data, 4);
	assert_int_equal(v, 0x55667788);
	guest_run(g, &x);
	memcpy(&v, x.data, 4);
	assert_int_equal(v, 0x11223344);
	guest_free(g);
}

static void counts_of_vcpus_out_of_range_are_refused_with_figures(void **state)
{
	struct guest *g = guest_new(2, DIRTY_CHOICE_AUTO, 0);
	struct kvm_vm vm;
	struct vcpu v;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(kvm_vm_open(&vm, &g->mem, 0, DIRTY_CHOICE_AUTO, &e), -EINVAL);
	assert_int_equal(kvm_vm_open(&vm, &g->mem, 255, DIRTY_CHOICE_AUTO, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "255"));
	assert_non_null(strstr(e.msg, "254"));
	kvm_vm_close(&vm);
	/* A vCPU that is there already, and one too many. */
	assert_int_equal(vcpu_open(&v, &g->vm, 1, &e), -EINVAL);
	vcpu_close(&v);
	assert_int_equal(vcpu_open(&v, &g->vm, 2, &e), -EINVAL);
	vcpu_close(&v);
	assert_ptr_equal(g->vm.vcpu[1], &g->vcpu[1]);
	guest_free(g);
}

static void sixty_four_vcpus_are_made(void **state)
{
	struct guest *g = guest_new(64, DIRTY_CHOICE_AUTO, 0);

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(g->vcpu[i].id, i);
		assert_ptr_equal(g->vm.vcpu[i], &g->vcpu[i]);
	}
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_and_memory_come_out_as_accesses),
		cmocka_unit_test(a_string_of_bytes_arrives_in_order),
		cmocka_unit_test(a_triple_fault_is_a_shutdown),
		cmocka_unit_test(a_kick_before_entry_runs_nothing),
		cmocka_unit_test(completing_an_access_moves_on_without_running),
		cmocka_unit_test(a_kernel_in_long_mode_finds_its_parameters),
		cmocka_unit_test(counts_of_vcpus_out_of_range_are_refused_with_figures),
		cmocka_unit_test(sixty_four_vcpus_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
