/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns entering a kernel: loading it into the machine and pointing the first vCPU at it, at the
 * start and again at a reset. Must never touch a machine that is not at rest.
 * Next in the flow: hv/boot/boot.h (the files), vcpus.c (running).
 */
#include "hv/boot/boot.h"

#include <stdio.h>

#include "hv/vm/internal.h"

int vm_boot(struct vm *vm, struct err *e)
{
	static const enum vcpu_boot_mode mode[] = {
		[BOOT_PVH32] = VCPU_BOOT_PVH32,
		[BOOT_LINUX64] = VCPU_BOOT_LINUX64,
	};
	const struct boot_params p = {
		.kernel = vm->cfg.kernel,
		.initrd = vm->cfg.initrd[0] ? vm->cfg.initrd : NULL,
		.cmdline = vm->cfg.append,
		.cpus = vm->cfg.cpus,
	};
	struct boot_entry b;
	int r = boot_load(&vm->mem, &p, &b, e);

	if (r)
		return r;
	return vcpu_setup_boot(&vm->cpu[0].vcpu,
		&(struct vcpu_boot){
			.mode = mode[b.mode],
			.ip = b.ip,
			.info = b.info,
			.cr3 = b.cr3,
			.gdt = b.gdt,
			.gdt_limit = b.gdt_limit,
		},
		e);
}

/* A machine that stopped by itself has said why. */
static void boot_note_reset(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->resets++;
	snprintf(vm->last_reset, sizeof(vm->last_reset), "%.*s", VM_WHY_MAX - 1,
		vm->hold & VM_HOLD_STOPPED ? vm->reason : "asked for from outside");
	vm->reason[0] = '\0';
	pthread_mutex_unlock(&vm->lock);
}

/*
 * Held as stopped from beginning to end, so that nobody else's release starts half a machine. A
 * machine whose reset failed stays stopped.
 */
int vm_reset(struct vm *vm, struct err *e)
{
	int r;

	boot_note_reset(vm);
	r = vm_hold(vm, VM_HOLD_STOPPED, e);
	if (r)
		return r;
	(void)vm_take_event(vm);
	/* First: a device at work would write into the cleared memory. */
	vm_devices_reset(vm);
	r = gmem_discard_all(&vm->mem, e);
	if (r)
		return r;
	if ((r = vm_power_on_load(vm, e)) || (r = vm_boot(vm, e)))
		return r;
	vm_release(vm, VM_HOLD_STOPPED);
	return 0;
}
