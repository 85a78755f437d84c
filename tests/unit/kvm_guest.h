/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of hv/kvm share: a machine with 64 MiB whose vCPU 0 is about to run a few bytes of
 * 32-bit code at CODE, through real KVM. Where there is no /dev/kvm the test is skipped.
 */
#ifndef WATARI_TESTS_UNIT_KVM_GUEST_H
#define WATARI_TESTS_UNIT_KVM_GUEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/kvm/dirty_track.h"
#include "hv/kvm/kvm_vm.h"
#include "hv/kvm/state.h"
#include "hv/kvm/vcpu.h"
#include "hv/mem/gmem.h"

#define CODE      0x1000u
#define GUEST_MEM (64ull << 20)
#define PORT      0x10

struct guest {
	struct gmem mem;
	struct kvm_vm vm;
	struct vcpu vcpu[64];
	struct err e;
};

static inline void guest_ok(struct guest *g, int r)
{
	if (r < 0)
		fail_msg("%s (%d)", g->e.msg, r);
}

/* Makes one with @cpus; skips the test without KVM, or if it has not the tracking asked for. */
static inline struct guest *guest_new(unsigned cpus, enum dirty_choice tracking, uint32_t ring)
{
	struct guest *g = calloc(1, sizeof(*g));
	int r;

	assert_non_null(g);
	if (access("/dev/kvm", R_OK | W_OK) != 0) {
		free(g);
		print_message("skipped: no usable /dev/kvm\n");
		skip();
	}
	guest_ok(g, gmem_init(&g->mem, GUEST_MEM, &g->e));
	r = kvm_vm_open_sized(&g->vm, &g->mem, cpus, tracking, ring, &g->e);
	if (r == -ENOTSUP && tracking == DIRTY_CHOICE_RING) {
		gmem_fini(&g->mem);
		free(g);
		print_message("skipped: this host's KVM has no dirty ring\n");
		skip();
	}
	guest_ok(g, r);
	for (unsigned i = 0; i < cpus; i++)
		guest_ok(g, vcpu_open(&g->vcpu[i], &g->vm, i, &g->e));
	return g;
}

static inline void guest_free(struct guest *g)
{
	for (unsigned i = 0; i < g->vm.cpus; i++)
		vcpu_close(&g->vcpu[i]);
	kvm_vm_close(&g->vm);
	gmem_fini(&g->mem);
	free(g);
}

/* Puts @code where vCPU 0 starts, in flat 32-bit protected mode with EBX = 0x1234. */
static inline void guest_code(struct guest *g, const void *code, size_t len)
{
	const struct vcpu_boot b = { .mode = VCPU_BOOT_PVH32, .ip = CODE, .info = 0x1234 };

	assert_true(gmem_write(&g->mem, CODE, code, len));
	guest_ok(g, vcpu_setup_boot(&g->vcpu[0], &b, &g->e));
}

/* Runs vCPU 0 to the next exit that is not a mere interruption. */
static inline void guest_run(struct guest *g, struct vcpu_exit *x)
{
	do
		vcpu_run(&g->vcpu[0], x);
	while (x->type == VCPU_EXIT_INTR);
	if (x->type == VCPU_EXIT_FAILED)
		fail_msg("%s", x->reason);
}

static inline void guest_complete(struct guest *g)
{
	struct vcpu_exit x;

	assert_int_equal(vcpu_complete_io(&g->vcpu[0], &x), 0);
	vcpu_immediate_exit_set(&g->vcpu[0], 0);
}

#endif
