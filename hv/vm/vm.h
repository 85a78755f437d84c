/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine: memory, vCPUs, interrupt controllers, devices, assembled by the visible list of stages
 * in hv/vm/vm.c. This is all that hv/ctl and hv/cmd see of it; hv/migrate sees struct mig_vm_ops.
 *
 * THREADS. One thread per vCPU, owned by the machine. The mig_vm_ops may be called by the
 * migration's thread while the main thread calls vm_hold/vm_release/vm_info: these are safe against
 * each other. Everything else belongs to the main thread.
 * Invariant: a vCPU executes guest code only while no reason to hold the machine is set.
 */
#ifndef WATARI_VM_VM_H
#define WATARI_VM_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hv/base/err.h"
#include "hv/mem/gmem.h"
#include "hv/migrate/vm_ops.h"
#include "hv/vm/config.h"

struct vm;

/*
 * Builds everything: memory, KVM, irqchip, vCPU threads (parked), devices. Runs nothing.
 * The machine starts held for VM_HOLD_SETUP. Whoever boots it removes that reason with
 * vm_release(); in a machine filled by vm_mig_ops.load(), load() turns it into VM_HOLD_MIGRATION,
 * so that the migration's thaw() starts it. Installs a handler for SIGURG, by which vCPUs are
 * stopped. -EINVAL, -ENOMEM, -ENODEV and others, with a message.
 */
int vm_new(struct vm **out, const struct vm_config *c, struct err *e);
/* Loads the kernel and sets the boot vCPU's registers. Not for a machine that mig load() fills. */
int vm_boot(struct vm *vm, struct err *e);
/* Stops the vCPU threads and frees everything. NULL is fine. */
void vm_free(struct vm *vm);

/* Reasons for which the guest does not run. */
enum vm_hold { VM_HOLD_SETUP = 1, VM_HOLD_USER = 2, VM_HOLD_MIGRATION = 4, VM_HOLD_STOPPED = 8 };

/*
 * Adds a reason; returns once no vCPU runs guest code and none owes KVM half of an access. Setting
 * a reason that is set already only waits. 0. Any thread but a vCPU's.
 */
int vm_hold(struct vm *vm, enum vm_hold why, struct err *e);
/* Removes a reason; the vCPUs run if it was the last. Any thread; never waits. */
void vm_release(struct vm *vm, enum vm_hold why);
/*
 * Kicks every vCPU out of the guest and lets it in again, as a hold and its release would but for
 * the wait between them. Returns the ns until the last had left; 0: none was in the guest. One
 * thread at a time, not a vCPU's; waits 20 ms at most.
 */
uint64_t vm_nudge(struct vm *vm);

/* What the guest did that the main thread must act on. */
enum vm_event {
	VM_EVENT_NONE,
	VM_EVENT_SHUTDOWN, /* powered off (ACPI S5) */
	VM_EVENT_RESET,    /* asked for a reboot (reset port, keyboard controller, triple fault) */
	VM_EVENT_CRASH,    /* a vCPU cannot go on: vm_info().reason */
};
/*
 * Becomes readable when vm_take_event() has something. The vCPUs are held (STOPPED) by then, and
 * stay so until vm_reset() or vm_free(): of several vCPUs' events only the first counts.
 */
int vm_event_fd(const struct vm *vm);
enum vm_event vm_take_event(struct vm *vm);
/*
 * Back to power-on: memory cleared, devices and vCPUs reset, kernel loaded again, running (unless
 * held for another reason). A guest that arrived by migration needs its kernel on this host too.
 * On failure the machine stays held as STOPPED. Not during a migration.
 */
int vm_reset(struct vm *vm, struct err *e);

/*
 * Bytes typed at the console. What its device does not take yet waits; what is more than
 * vm_input_room() says is dropped, with a warning. After room was 0, vm_input_fd() is readable once
 * half of it is free again; vm_input_look() then takes the news. Main thread.
 */
void vm_input(struct vm *vm, const void *data, size_t len);
size_t vm_input_room(struct vm *vm);
int vm_input_fd(const struct vm *vm);
void vm_input_look(struct vm *vm);

/* What the guest last wrote to it; NULL: nothing is kept, for serial is "none". The machine's. */
struct scrollback *vm_scrollback(struct vm *vm);

/* Presses the power button. What comes of it is the guest's to decide. Any thread. */
void vm_power_button(struct vm *vm);

#define VM_WHY_MAX 32
struct vm_info {
	unsigned hold;        /* enum vm_hold bits; 0: running */
	const char *tracking; /* "ring" or "log": what this machine's tracker is */
	char reason[160];     /* after VM_EVENT_CRASH */
	bool panicked;        /* the guest's kernel says that it panicked, since its last reset */
	unsigned resets;      /* on this host */
	char last_reset[VM_WHY_MAX]; /* why, if there was one */
	uint64_t age_ns;             /* since its start, through every move */
};
void vm_info(struct vm *vm, struct vm_info *out);

struct vm_vcpu_where {
	pid_t tid;      /* of its thread; 0: it is not there yet */
	char cpus[256]; /* those it may run on, as the kernel has it now: "0-3,8" */
};
/* Of vCPU @i, which the machine has. Any thread. */
void vm_vcpu_where(struct vm *vm, unsigned i, struct vm_vcpu_where *out);

const struct vm_config *vm_config(const struct vm *vm);
struct gmem *vm_mem(struct vm *vm);

/*
 * "name:version " of each section of state that devices have, as text of @n bytes: of this machine,
 * or of all devices that this build knows (@vm NULL).
 */
void vm_state_formats(const struct vm *vm, char *out, size_t n);
/* The CPUID the guest was given, as of cpuid_encode(), and its TSC's frequency (0: not known). Any
 * thread, once the machine stands. */
void vm_processor(const struct vm *vm, struct wbuf *cpuid, uint32_t *tsc_khz);

/* For hv/migrate; the void * they take is a struct vm. freeze() is vm_hold(VM_HOLD_MIGRATION). */
extern const struct mig_vm_ops vm_mig_ops;
extern const struct mig_owner_ops vm_owner_ops;

#endif
