/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a machine that lives as long as a question (see kvm_host.h). Next in the flow: cpuid.c.
 */
#include "hv/kvm/kvm_host.h"

#include <errno.h>
#include <stdlib.h>

#include "hv/kvm/cpuid.h"
#include "hv/kvm/internal.h"

int kvm_host_look(unsigned cpus, struct kvm_host *out, struct wbuf *cpuid, struct err *e)
{
	struct kvm_vm *vm = calloc(1, sizeof(*vm));
	struct vcpu v = { 0 };
	struct gmem mem;
	int r;

	if (!vm)
		return err_set(e, -ENOMEM, "no memory to ask KVM");
	/* All of it stays a hole. */
	r = gmem_init(&mem, GMEM_SIZE_MIN, e);
	if (r)
		goto out;
	r = kvm_vm_open(vm, &mem, cpus, DIRTY_CHOICE_LOG, e);
	if (!r)
		r = vcpu_open(&v, vm, 0, e);
	if (!r) {
		out->tsc_khz = v.tsc_khz;
		out->tsc_scaling = vm->caps.tsc_control;
		cpuid_encode(v.cpuid, cpuid);
		if (cpuid->failed)
			r = err_set(e, -ENOMEM, "no memory for the CPUID table");
	}
	vcpu_close(&v);
	kvm_vm_close(vm);
	gmem_fini(&mem);
out:
	free(vm);
	return r;
}

static struct kvm_cpuid2 *host_table(const void *bytes, size_t n)
{
	struct kvm_cpuid2 *c =
		calloc(1, sizeof(*c) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	struct rbuf r = rbuf_of(bytes, n);

	if (!c)
		return NULL;
	cpuid_decode(c, KVM_CPUID_MAX, &r);
	if (rbuf_done(&r))
		return c;
	free(c);
	return NULL;
}

int kvm_cpuid_fits(
	const void *saved, size_t saved_n, const void *offered, size_t offered_n, struct err *e)
{
	struct kvm_cpuid2 *a = host_table(saved, saved_n), *b = host_table(offered, offered_n);
	int r;

	if (a && b)
		r = cpuid_check(a, b, e);
	else
		r = err_set(e, -EPROTO, "no CPUID table came");
	free(a);
	free(b);
	return r;
}
