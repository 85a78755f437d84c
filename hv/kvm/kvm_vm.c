/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the KVM machine (see kvm_vm.h): device, descriptor, memory slots, interrupt controllers.
 * Must never start a vCPU. Slot number = region number, so that dirty pages come back by region.
 * Next in the flow: vcpu.c.
 */
#include "hv/kvm/kvm_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/kvm/internal.h"

#define KVM_TSS_ADDR      0xfffbd000u /* three pages Intel KVM needs, in the hole below 4 GiB */
#define KVM_IDENTITY_ADDR 0xfffbc000ull
#define KVM_RING_ENTRIES  65536u     /* KVM's own most */
#define KVM_RING_LEAST    1024u      /* room for what KVM keeps in reserve per entry to the guest */
#define KVM_RING_TOTAL    (4u << 20) /* entries of all vCPUs together: 64 MiB of kernel memory */

static int kvm_vm_device(struct kvm_vm *vm, struct err *e)
{
	int v;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(e, -EACCES,
			"no permission to use /dev/kvm: join its group (often \"kvm\") or run as root");
	if (vm->kvm_fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return err_set(e, -ENODEV,
			"there is no usable /dev/kvm here: load kvm_intel or kvm_amd, and switch on "
			"virtualization in the firmware (or nested virtualization on the outer host)");
	if (vm->kvm_fd < 0)
		return err_errno(e, "cannot open /dev/kvm");
	v = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (v != KVM_API_VERSION)
		return err_set(e, -ENOTSUP, "/dev/kvm speaks API version %d, needed is %d", v,
			KVM_API_VERSION);
	return kvm_caps_require(vm->kvm_fd, e);
}

/* The two lists KVM offers, each asked for again with more room until it fits. */
static int kvm_vm_lists(struct kvm_vm *vm, struct err *e)
{
	struct kvm_msr_list probe = { .nmsrs = 0 };

	vm->supported =
		calloc(1, sizeof(*vm->supported) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	if (!vm->supported)
		return err_set(e, -ENOMEM, "no memory for the CPUID table");
	vm->supported->nent = KVM_CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, vm->supported) < 0)
		return err_errno(e, "cannot read the CPUID that KVM supports");

	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &probe) < 0 && errno != E2BIG)
		return err_errno(e, "cannot read the list of MSRs of KVM");
	vm->msrs = calloc(1, sizeof(*vm->msrs) + (size_t)probe.nmsrs * sizeof(uint32_t));
	if (!vm->msrs)
		return err_set(e, -ENOMEM, "no memory for the list of MSRs");
	vm->msrs->nmsrs = probe.nmsrs;
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, vm->msrs) < 0)
		return err_errno(e, "cannot read the list of MSRs of KVM");
	return 0;
}

static int kvm_vm_slot(const struct kvm_vm *vm, const struct gmem_region *g, bool log)
{
	struct kvm_userspace_memory_region r = {
		.slot = g->id,
		.flags = log ? KVM_MEM_LOG_DIRTY_PAGES : 0,
		.guest_phys_addr = g->gpa,
		.memory_size = g->size,
		.userspace_addr = (uintptr_t)g->host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

int kvm_slots_log(struct kvm_vm *vm, bool on, struct err *e)
{
	for (uint32_t i = 0; i < vm->mem->nregions; i++) {
		if (kvm_vm_slot(vm, &vm->mem->regions[i], on) < 0)
			return err_errno(e, "cannot switch dirty logging of memory slot %u %s", i,
				on ? "on" : "off");
	}
	return 0;
}

static int kvm_vm_chips(struct kvm_vm *vm, struct err *e)
{
	/* The speaker's port 0x61 gates PIT channel 2, by which kernels calibrate their clocks. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = KVM_IDENTITY_ADDR;

	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
		return err_errno(e, "cannot set the identity map address");
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDR) < 0)
		return err_errno(e, "cannot set the TSS address");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_errno(e, "cannot create the interrupt controllers");
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		return err_errno(e, "cannot create the interval timer");
	return 0;
}

/* Decides between ring and log, and the size of the ring. */
static int kvm_vm_tracking(
	struct kvm_vm *vm, enum dirty_choice want, uint32_t entries, struct err *e)
{
	uint32_t most = vm->caps.ring_bytes / (uint32_t)sizeof(struct kvm_dirty_gfn);

	vm->ring_size = 0;
	if (want == DIRTY_CHOICE_LOG || (want == DIRTY_CHOICE_AUTO && most < KVM_RING_LEAST))
		return 0;
	if (most < KVM_RING_LEAST)
		return err_set(e, -ENOTSUP,
			"this host's KVM has no dirty ring; let watari choose the tracking, or ask "
			"for the log");
	if (entries == 0) {
		/* Fewer entries each for many vCPUs: the kernel's memory for them is not swappable.
		 */
		entries = KVM_RING_ENTRIES;
		while (entries > KVM_RING_LEAST && entries * vm->cpus > KVM_RING_TOTAL)
			entries /= 2;
	}
	if (entries < KVM_RING_LEAST || (entries & (entries - 1)))
		return err_set(e, -EINVAL,
			"a dirty ring of %u entries: it must be a power of two, %u or more",
			entries, KVM_RING_LEAST);
	while (entries > most)
		entries /= 2;
	vm->ring_size = entries;
	return 0;
}

static int kvm_vm_create(struct kvm_vm *vm, struct err *e)
{
	int n;

	/* A signal during creation is the one case in which KVM asks to try again. */
	do
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0ul);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return err_errno(e, "cannot create a virtual machine");
	n = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < (int)sizeof(struct kvm_run))
		return err_set(e, -ENOTSUP,
			"KVM shares %d bytes with a vCPU, at least %zu are needed", n,
			sizeof(struct kvm_run));
	vm->run_size = (uint32_t)n;
	return 0;
}

int kvm_vm_open_sized(struct kvm_vm *vm, const struct gmem *m, unsigned cpus,
	enum dirty_choice tracking, uint32_t ring_entries, struct err *e)
{
	int r;

	memset(vm, 0, sizeof(*vm));
	vm->kvm_fd = vm->fd = -1;
	vm->mem = m;
	vm->cpus = cpus;
	if (cpus < 1 || cpus > KVM_VM_CPUS_MAX)
		return err_set(
			e, -EINVAL, "%u vCPUs are out of range: 1 to %d", cpus, KVM_VM_CPUS_MAX);
	if ((r = kvm_vm_device(vm, e)) || (r = kvm_vm_create(vm, e)) ||
		(r = kvm_caps_read(vm, e)) ||
		(r = kvm_vm_tracking(vm, tracking, ring_entries, e)) ||
		(r = kvm_caps_enable(vm, e)) || (r = kvm_vm_lists(vm, e)) ||
		(r = kvm_vm_chips(vm, e)) || (r = kvm_vm_staged_new(vm, e)))
		goto out;
	for (uint32_t i = 0; i < m->nregions; i++) {
		if (kvm_vm_slot(vm, &m->regions[i], false) < 0) {
			r = err_errno(e, "cannot give memory region %u to the guest", i);
			goto out;
		}
	}
	return 0;
out:
	kvm_vm_close(vm);
	return r;
}

int kvm_vm_open(struct kvm_vm *vm, const struct gmem *m, unsigned cpus, enum dirty_choice tracking,
	struct err *e)
{
	return kvm_vm_open_sized(vm, m, cpus, tracking, 0, e);
}

void kvm_vm_close(struct kvm_vm *vm)
{
	/* A zeroed one has no memory; its descriptors are not ours to close. */
	if (!vm->mem)
		return;
	kvm_vm_staged_free(vm);
	free(vm->supported);
	free(vm->msrs);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	memset(vm, 0, sizeof(*vm));
	vm->kvm_fd = vm->fd = -1;
}

void kvm_vm_irq(struct kvm_vm *vm, unsigned gsi, int level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level ? 1 : 0 };

	/* Fails only for a machine without irqchip, which kvm_vm_open() does not make. */
	(void)ioctl(vm->fd, KVM_IRQ_LINE, &irq);
}
