/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns one vCPU's descriptor, its shared page and dirty ring, and the decoding of exits (vcpu.h).
 * Must never act on an exit. The shared page is written by the kernel only inside KVM_RUN; all it
 * holds is checked before use all the same, for data_offset points into it.
 * Next in the flow: state.c.
 */
#include "hv/kvm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/kvm/cpuid.h"
#include "hv/kvm/internal.h"

static int vcpu_map(struct vcpu *v, struct err *e)
{
	struct kvm_vm *vm = v->vm;
	void *p = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);

	if (p == MAP_FAILED)
		return err_errno(e, "cannot map vCPU %u", v->id);
	v->run = p;
	if (!vm->ring_size)
		return 0;
	p = mmap(NULL, vm->ring_size * sizeof(struct kvm_dirty_gfn), PROT_READ | PROT_WRITE,
		MAP_SHARED, v->fd, (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)sysconf(_SC_PAGESIZE));
	if (p == MAP_FAILED)
		return err_errno(e, "cannot map the dirty ring of vCPU %u", v->id);
	v->ring = p;
	return 0;
}

static int vcpu_set_cpuid(struct vcpu *v, struct err *e)
{
	v->cpuid = calloc(1, sizeof(*v->cpuid) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	if (!v->cpuid)
		return err_set(e, -ENOMEM, "no memory for the CPUID of vCPU %u", v->id);
	cpuid_build(v->cpuid, KVM_CPUID_MAX, v->vm->supported,
		&(struct cpuid_shape){
			.cpus = v->vm->cpus,
			.id = v->id,
			.tsc_deadline = v->vm->caps.tsc_deadline,
		});
	if (ioctl(v->fd, KVM_SET_CPUID2, v->cpuid) < 0)
		return err_errno(e, "KVM refuses the CPUID of vCPU %u", v->id);
	return 0;
}

int vcpu_open(struct vcpu *v, struct kvm_vm *vm, unsigned id, struct err *e)
{
	int r, khz;

	memset(v, 0, sizeof(*v));
	v->fd = -1;
	v->id = id;
	v->vm = vm;
	if (id >= vm->cpus || vm->vcpu[id])
		return err_set(e, -EINVAL,
			"vCPU %u does not fit a machine of %u, or is there already", id, vm->cpus);
	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (v->fd < 0)
		return err_errno(e, "cannot create vCPU %u of %u", id, vm->cpus);
	khz = vm->caps.tsc_khz ? ioctl(v->fd, KVM_GET_TSC_KHZ, 0) : 0;
	/* -EIO where the host's TSC is not stable enough to have a frequency. */
	v->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	if ((r = vcpu_map(v, e)) || (r = vcpu_set_cpuid(v, e)) || (r = vcpu_staged_new(v, e))) {
		vcpu_close(v);
		return r;
	}
	vm->vcpu[id] = v;
	return 0;
}

void vcpu_close(struct vcpu *v)
{
	if (!v->vm)
		return;
	if (v->id < KVM_VM_CPUS_MAX && v->vm->vcpu[v->id] == v)
		v->vm->vcpu[v->id] = NULL;
	vcpu_staged_free(v);
	free(v->cpuid);
	if (v->ring)
		munmap(v->ring, v->vm->ring_size * sizeof(struct kvm_dirty_gfn));
	if (v->run)
		munmap(v->run, v->vm->run_size);
	if (v->fd >= 0)
		close(v->fd);
	memset(v, 0, sizeof(*v));
	v->fd = -1;
}

uint64_t vcpu_rip(const struct vcpu *v)
{
	struct kvm_regs regs;

	return ioctl(v->fd, KVM_GET_REGS, &regs) < 0 ? 0 : regs.rip;
}

static void vcpu_failed(const struct vcpu *v, struct vcpu_exit *x, const char *what, uint64_t code)
{
	x->type = VCPU_EXIT_FAILED;
	snprintf(x->reason, sizeof(x->reason), "vCPU %u: %s (%#" PRIx64 ") at rip %#" PRIx64, v->id,
		what, code, vcpu_rip(v));
}

static void vcpu_decode_io(struct vcpu *v, struct vcpu_exit *x)
{
	struct kvm_run *run = v->run;
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;

	if (run->io.data_offset > v->vm->run_size ||
		bytes > v->vm->run_size - run->io.data_offset) {
		vcpu_failed(v, x, "KVM reports port data outside the shared mapping",
			run->io.data_offset);
		return;
	}
	x->type = VCPU_EXIT_PIO;
	x->write = run->io.direction == KVM_EXIT_IO_OUT;
	x->addr = run->io.port;
	x->size = run->io.size;
	x->count = run->io.count;
	x->data = (uint8_t *)run + run->io.data_offset;
	v->io_pending = true;
}

static void vcpu_decode_mmio(struct vcpu *v, struct vcpu_exit *x)
{
	struct kvm_run *run = v->run;

	if (run->mmio.len < 1 || run->mmio.len > sizeof(run->mmio.data)) {
		vcpu_failed(v, x, "KVM reports a memory access of impossible size", run->mmio.len);
		return;
	}
	x->type = VCPU_EXIT_MMIO;
	x->write = run->mmio.is_write;
	x->addr = run->mmio.phys_addr;
	x->size = run->mmio.len;
	x->count = 1;
	x->data = run->mmio.data;
	v->io_pending = true;
}

static void vcpu_decode_internal(struct vcpu *v, struct vcpu_exit *x)
{
	static const char *const text[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "KVM cannot emulate the instruction",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "KVM met two exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "KVM left the guest while delivering an event",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "KVM met an exit it does not know",
	};
	const struct kvm_run *run = v->run;
	uint32_t sub = run->internal.suberror;
	size_t n;

	vcpu_failed(v, x,
		sub < sizeof(text) / sizeof(text[0]) && text[sub] ? text[sub]
								  : "KVM internal error",
		sub);
	if (sub != KVM_INTERNAL_ERROR_EMULATION || run->emulation_failure.ndata < 3 ||
		!(run->emulation_failure.flags &
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	n = strlen(x->reason);
	n += (size_t)snprintf(x->reason + n, sizeof(x->reason) - n, ", bytes");
	for (uint32_t i = 0; i < run->emulation_failure.insn_size &&
			     i < sizeof(run->emulation_failure.insn_bytes) && n < sizeof(x->reason);
		i++)
		n += (size_t)snprintf(x->reason + n, sizeof(x->reason) - n, " %02x",
			run->emulation_failure.insn_bytes[i]);
}

static void vcpu_decode_system(struct vcpu *v, struct vcpu_exit *x)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: x->type = VCPU_EXIT_POWEROFF; break;
	case KVM_SYSTEM_EVENT_RESET: x->type = VCPU_EXIT_RESET; break;
	default: vcpu_failed(v, x, "KVM reports a system event", v->run->system_event.type); break;
	}
}

static void vcpu_decode(struct vcpu *v, struct vcpu_exit *x)
{
	const struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO: vcpu_decode_io(v, x); break;
	case KVM_EXIT_MMIO: vcpu_decode_mmio(v, x); break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN: x->type = VCPU_EXIT_INTR; break;
	case KVM_EXIT_HLT: x->type = VCPU_EXIT_HLT; break;
	case KVM_EXIT_SHUTDOWN: x->type = VCPU_EXIT_SHUTDOWN; break;
	case KVM_EXIT_SYSTEM_EVENT: vcpu_decode_system(v, x); break;
	case KVM_EXIT_DIRTY_RING_FULL: x->type = VCPU_EXIT_RING_FULL; break;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_failed(v, x, "the processor refuses to enter the guest",
			run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR: vcpu_decode_internal(v, x); break;
	default: vcpu_failed(v, x, "KVM exit that is not handled", run->exit_reason); break;
	}
}

void vcpu_run(struct vcpu *v, struct vcpu_exit *out)
{
	int r, err;

	/* Field by field: clearing the whole of reason would cost on every exit. */
	out->type = VCPU_EXIT_INTR;
	out->reason[0] = '\0';
	v->ran = true;
	v->io_pending = false; /* entering completes it, whatever comes next */
	r = ioctl(v->fd, KVM_RUN, 0);
	err = errno;
	if (r == 0) {
		vcpu_decode(v, out);
		return;
	}
	/* EINTR: a signal or immediate_exit. EAGAIN: a vCPU waiting for its SIPI was woken. */
	if (err == EINTR || err == EAGAIN)
		return;
	vcpu_failed(v, out, strerror(err), (uint64_t)err);
}

/*
 * After a PIO or MMIO exit the instruction is half done: its result is in our hands and reaches the
 * registers (and RIP moves on) only at the start of the next KVM_RUN. State saved in between would
 * show the access neither done nor not done. KVM_RUN with immediate_exit does that first half of an
 * entry and then returns -EINTR without running a guest instruction (KVM API document, 5, "NOTE" on
 * KVM_EXIT_IO). A long access may come in several exits of one instruction, hence the result 1.
 */
int vcpu_complete_io(struct vcpu *v, struct vcpu_exit *out)
{
	vcpu_immediate_exit_set(v, 1);
	if (!v->io_pending) {
		out->type = VCPU_EXIT_INTR;
		return 0;
	}
	vcpu_run(v, out);
	switch (out->type) {
	case VCPU_EXIT_INTR: return 0;
	case VCPU_EXIT_PIO:
	case VCPU_EXIT_MMIO: return 1;
	case VCPU_EXIT_FAILED: return -EIO;
	default:
		/* Completing runs no guest code, so nothing else has a way to happen. */
		vcpu_failed(v, out, "unexpected exit while an access was completed", out->type);
		return -EIO;
	}
}

uint64_t vcpu_dirtied(const struct vcpu *v)
{
	return __atomic_load_n(&v->dirtied, __ATOMIC_RELAXED);
}

void vcpu_immediate_exit_set(struct vcpu *v, int on)
{
	/* One byte, read by the kernel on this thread or set by a signal handler on it. */
	__atomic_store_n(&v->run->immediate_exit, (uint8_t)(on != 0), __ATOMIC_RELAXED);
}
