/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vCPU: making it, running it once, saying why it came back. Threads, parking and what to do
 * about an exit are hv/vm's.
 * Must never loop on its own or look at a device.
 * Invariant: an exit handed out as VCPU_EXIT_PIO or _MMIO is owed to KVM until the next vcpu_run()
 * or vcpu_complete_io(); until then the registers do not yet show the access.
 * Next in the flow: hv/kvm/state.h.
 */
#ifndef WATARI_KVM_VCPU_H
#define WATARI_KVM_VCPU_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/kvm/kvm_vm.h"

struct kvm_run;
struct kvm_msrs;
struct vcpu_staged;

struct vcpu {
	struct kvm_vm *vm;
	unsigned id; /* 0.., also the APIC id */
	int fd;
	struct kvm_run *run;        /* shared with the kernel, vm->run_size bytes */
	bool io_pending;            /* an access was handed out and is not completed */
	bool ran;                   /* it has been entered at least once */
	struct kvm_cpuid2 *cpuid;   /* exactly what KVM was given */
	uint32_t tsc_khz;           /* 0: this KVM does not say */
	struct vcpu_staged *staged; /* state between take and load; buffers for saving */
	void *ring;                 /* dirty ring, vm->ring_size entries, or NULL */
	uint32_t ring_next;         /* index of the next entry to collect */
	uint64_t dirtied;           /* entries collected so far; atomic */
};

enum vcpu_exit_type {
	VCPU_EXIT_PIO,       /* write, addr, size, count, data */
	VCPU_EXIT_MMIO,      /* write, addr, size, data; count is 1 */
	VCPU_EXIT_INTR,      /* a signal, immediate_exit, or a wake-up: look around, run again */
	VCPU_EXIT_HLT,       /* only without in-kernel irqchip: run again */
	VCPU_EXIT_SHUTDOWN,  /* triple fault */
	VCPU_EXIT_RESET,     /* the guest asked KVM for a reset */
	VCPU_EXIT_POWEROFF,  /* the guest asked KVM for power off */
	VCPU_EXIT_RING_FULL, /* call dirty_track_ring_full(), then run again */
	VCPU_EXIT_FAILED,    /* this vCPU cannot go on: reason */
};

struct vcpu_exit {
	enum vcpu_exit_type type;
	bool write;     /* the guest writes; else it reads and the caller fills data */
	uint64_t addr;  /* port, or guest-physical address */
	uint32_t size;  /* bytes of one access: 1, 2, 4 (MMIO: 1..8) */
	uint32_t count; /* accesses of a string instruction, all at the same port */
	uint8_t *data;  /* size*count bytes, valid until the next run; little-endian */
	char reason[192];
};

/*
 * Makes vCPU @id (0..vm->cpus-1), with its CPUID and its dirty ring. All vCPUs are made before the
 * first one runs. vCPU 0 starts at the reset vector, the others wait for INIT/SIPI.
 */
int vcpu_open(struct vcpu *v, struct kvm_vm *vm, unsigned id, struct err *e);
/* Fine on a zeroed or a closed one. */
void vcpu_close(struct vcpu *v);

/* Where a kernel starts. As hv/boot says it; the modes have the same meaning as its own. */
enum vcpu_boot_mode { VCPU_BOOT_PVH32, VCPU_BOOT_LINUX64 };
struct vcpu_boot {
	enum vcpu_boot_mode mode;
	uint64_t ip, info; /* info goes to EBX (PVH32) or RSI (LINUX64) */
	uint64_t cr3;      /* LINUX64 only */
	uint64_t gdt;      /* guest-physical; selectors 0x10 code, 0x18 data */
	uint16_t gdt_limit;
};
/* Sets all registers of a vCPU that has not run (or was reset) to enter a kernel. */
int vcpu_setup_boot(struct vcpu *v, const struct vcpu_boot *b, struct err *e);

/*
 * Enters the guest once and says in @out why it came back. Always on the same thread. Never fails:
 * what cannot go on is VCPU_EXIT_FAILED.
 */
void vcpu_run(struct vcpu *v, struct vcpu_exit *out);

/*
 * Finishes the access of the last exit without running another instruction, as is needed before
 * the state is saved (see vcpu.c). 0: nothing is owed any more; 1: the same instruction makes
 * another access, in @out, to be served as after vcpu_run() and then to be followed by another
 * call; negative errno: VCPU_EXIT_FAILED in @out. Leaves immediate_exit set: whoever lets the vCPU
 * run again clears it, so that no kick is lost. On the vCPU's thread.
 */
int vcpu_complete_io(struct vcpu *v, struct vcpu_exit *out);

/*
 * 1: a vcpu_run() under way or the next one returns VCPU_EXIT_INTR at once (under way: together
 * with a signal to its thread). 0: clears. Safe in a signal handler of the vCPU's own thread.
 */
void vcpu_immediate_exit_set(struct vcpu *v, int on);

/*
 * Pages this vCPU's dirty ring has yielded since the vCPU was made, each once per harvest in which
 * it was dirty; 0 where the dirty log is used. Any thread.
 */
uint64_t vcpu_dirtied(const struct vcpu *v);

/* The instruction pointer, for messages; 0 if it cannot be read. vCPU not running. */
uint64_t vcpu_rip(const struct vcpu *v);

#endif
