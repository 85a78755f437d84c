/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short ways between devices and guest, on real KVM: a kick becomes an eventfd's count and no
 * exit; a message-signalled interrupt is in the APIC, and so in its state, when the call returns.
 */
#include "tests/unit/kvm_guest.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "hv/kvm/internal.h"

#define KICK 0xc1003000u

static void a_kick_is_counted_and_is_no_exit(void **state)
{
	/* again: mov [KICK], eax; out PORT, al; jmp again */
	static const uint8_t code[] = { 0xa3, 0x00, 0x30, 0x00, 0xc1, 0xe6, PORT, 0xeb, 0xf7 };
	struct guest *g = guest_new(1, DIRTY_CHOICE_LOG, 0);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct vcpu_exit x;
	eventfd_t n = 0;

	(void)state;
	assert_true(fd >= 0);
	if (!g->vm.caps.kicks) {
		close(fd);
		guest_free(g);
		print_message("skipped: this host's KVM has no ioeventfd\n");
		skip();
	}
	guest_code(g, code, sizeof(code));
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_MMIO);
	assert_true(x.addr == KICK && x.write);
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	assert_int_equal(kvm_vm_kick(&g->vm, KICK, fd, true), 0);
	assert_int_equal(kvm_vm_kick(&g->vm, KICK, fd, true), -EEXIST);
	for (unsigned i = 0; i < 3; i++) {
		guest_run(g, &x);
		assert_int_equal(x.type, VCPU_EXIT_PIO);
	}
	assert_int_equal(eventfd_read(fd, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(kvm_vm_kick(&g->vm, KICK, fd, false), 0);
	assert_int_equal(kvm_vm_kick(&g->vm, KICK, fd, false), -ENOENT);
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_MMIO);
	guest_complete(g);
	close(fd);
	guest_free(g);
}

/* Whether vector @v waits in vCPU 0's local APIC. */
static bool waits(struct guest *g, unsigned v)
{
	struct kvm_lapic_state s;

	assert_int_equal(ioctl(g->vcpu[0].fd, KVM_GET_LAPIC, &s), 0);
	return (uint8_t)s.regs[0x200 + v / 32 * 16 + v % 32 / 8] >> (v % 8) & 1;
}

static void a_message_is_in_the_apic_at_once(void **state)
{
	/* mov eax, 0x1ff; mov [spurious interrupt register], eax: on; out PORT, al */
	static const uint8_t code[] = { 0xb8, 0xff, 0x01, 0x00, 0x00, 0xa3, 0xf0, 0x00, 0xe0, 0xfe,
		0xe6, PORT, 0xf4 };
	struct guest *g = guest_new(1, DIRTY_CHOICE_LOG, 0);
	struct vcpu_exit x;

	(void)state;
	guest_code(g, code, sizeof(code));
	guest_run(g, &x);
	assert_int_equal(x.type, VCPU_EXIT_PIO);
	assert_false(waits(g, 0x41));
	kvm_vm_msi(&g->vm, 0xfee00000, 0x41);
	assert_true(waits(g, 0x41));
	kvm_vm_msi(&g->vm, 0xfee07000, 0x42); /* to an APIC that is not there */
	kvm_vm_msi(&g->vm, 0xfee00000, 0x07); /* a vector no APIC takes */
	assert_false(waits(g, 0x42));
	guest_complete(g);
	guest_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kick_is_counted_and_is_no_exit),
		cmocka_unit_test(a_message_is_in_the_apic_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
