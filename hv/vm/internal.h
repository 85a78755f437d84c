/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine from within: what the files of hv/vm share and nobody else includes.
 * Invariant: `hold`, `running`, `quit`, `event` and `reason` change only under `lock`. A vCPU is
 * counted in `running` from the moment it saw, under the lock, that nothing holds the machine,
 * until it owes KVM and the devices nothing any more; so running == 0 means a machine at rest.
 * Next in the flow: vm.c.
 */
#ifndef WATARI_VM_INTERNAL_H
#define WATARI_VM_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/block_own.h"
#include "hv/dev/bus.h"
#include "hv/dev/pci.h"
#include "hv/kvm/dirty_track.h"
#include "hv/kvm/kvm_vm.h"
#include "hv/kvm/vcpu.h"
#include "hv/vm/console.h"
#include "hv/vm/devices.h"
#include "hv/vm/scrollback.h"
#include "hv/vm/vm.h"

struct acpi_pm;
struct serial;

/* owner.c */
struct vm_owner {
	struct virtio *arbiter; /* in dev[]; NULL: there is none */
	struct block_owner who;
};

struct vm_cpu {
	struct vm *vm;
	struct vcpu vcpu;
	pthread_t thread;
	cpu_set_t place;       /* its thread keeps to these; empty: it runs anywhere */
	bool in_guest, nudged; /* counted in vm->running, in vm->nudged; under the lock */
	pid_t tid;             /* 0: the thread is not there yet; under the lock */
	bool hurried; /* its thread goes before others until it next runs the guest; likewise */
	/* throttle.c, under the lock */
	bool writer, paused;
	uint64_t dirtied,
		wrote; /* pages of its dirty ring: in all, and between the last two looks */
};

struct vm_irq {
	struct kvm_vm *kvm;
	unsigned gsi;
};

struct vm {
	struct vm_config cfg;
	unsigned stages; /* of vm.c's list: started so far */
	struct gmem mem;
	struct kvm_vm kvm;
	struct vm_cpu *cpu;
	unsigned ncpu, nthread; /* vCPUs open, threads started */
	struct bus pio, mmio;
	struct pci_bus *pci;
	struct virtio *balloon; /* also in dev[], which owns it, as these two */
	struct serial *com1;
	struct virtio *hvc0; /* NULL: the definition has none */
	unsigned ndev;
	struct vm_device dev[VM_DEVICES_MAX]; /* in the order of devices.c's list */
	struct vm_irq com1_irq, sci_irq;
	struct acpi_pm *acpi_pm; /* in dev[] */
	struct vm_owner owner;
	struct console *console;
	struct scrollback *scroll; /* NULL: serial is "none" */
	struct dirty_track track;
	uint8_t *power_on; /* KVM's state before anything ran */
	size_t power_on_len;

	struct vm_input in;

	pthread_mutex_t lock;
	pthread_cond_t wake; /* to the vCPUs: hold became 0, or quit */
	pthread_cond_t idle; /* to holders: running or nudged became 0, or a reason was removed */
	unsigned hold;       /* enum vm_hold bits; also read without the lock */
	unsigned running, nudged; /* vCPUs that may be in the guest; for which vm_nudge() waits */
	bool quit;
	unsigned share;      /* thousandths of their time that writers run; under the lock */
	pthread_cond_t slow; /* to the throttle's thread: share or quit changed; CLOCK_MONOTONIC */
	pthread_t throttler;
	bool throttling;     /* the thread exists; of the migration's thread, or of vm_free() */
	enum vm_event event; /* raised and not taken */
	char reason[160];
	bool panicked; /* so says the guest; these three under the lock */
	unsigned resets;
	char last_reset[VM_WHY_MAX];
	uint64_t age_ns, age_at; /* how old the guest was when; under the lock */
	int event_fd;
};

/* vcpus.c */
int vm_vcpus_start(struct vm *vm, struct err *e);
void vm_vcpus_stop(struct vm *vm);
int vm_threads_start(struct vm *vm, struct err *e);
void vm_threads_stop(struct vm *vm);

/* exits.c: serves an exit on the vCPU's thread; VCPU_EXIT_INTR is nothing to serve. */
void vm_exit_serve(struct vm_cpu *c, struct vcpu_exit *x);
/*
 * Records @event, the first one wins, and holds the machine for VM_HOLD_STOPPED without waiting:
 * the caller is a vCPU thread, which parks next. @reason may be NULL.
 */
void vm_event_raise(struct vm *vm, enum vm_event event, const char *reason);

/* vcpus.c: to stop or start at once, vCPU threads go before others until they enter the guest. */
void vm_vcpus_hurry(struct vm *vm);

uint64_t vm_age_locked(const struct vm *vm); /* vm.c: ns since its start, wherever; lock held */

/* vcpus.c: makes every vCPU in the guest leave it soon. Lock held. */
void vm_kick_locked(struct vm *vm);
/* ... or those that throttle.c has paused. */
void vm_kick_paused_locked(struct vm *vm);

/*
 * throttle.c: lets the vCPUs that write memory run for @share thousandths of their time from now
 * on; 1000: all of it. One thread at a time. May wait a period (2 ms) when it ends throttling.
 */
void vm_throttle(struct vm *vm, unsigned share);

/* console_state.c: the section of the console. Loading checks all of it before it takes any. */
void vm_console_save(struct vm *vm, struct wbuf *w);
int vm_console_load(struct vm *vm, struct section *s, struct err *e);

/* state.c */
int vm_power_on_start(struct vm *vm, struct err *e);
void vm_power_on_stop(struct vm *vm);
/* KVM's part of the machine back to power-on, but for CPUID and clocks. At rest. */
int vm_power_on_load(struct vm *vm, struct err *e);
int vm_state_save(struct vm *vm, struct wbuf *w, struct err *e);
int vm_state_load(struct vm *vm, struct rbuf *r, uint64_t elapsed_ns, struct err *e);

/* owner.c */
int vm_owner_start(struct vm *vm, struct err *e);

/* track.c */
int vm_track_start(struct vm *vm, struct err *e);
void vm_track_stop(struct vm *vm);

#endif
