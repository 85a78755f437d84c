/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a kernel into guest memory: a PVH ELF (Xen's "x86/HVM direct boot ABI") or a Linux
 * bzImage by its 64-bit boot protocol (Documentation/arch/x86/boot.rst), told apart by their
 * headers. Writes guest memory and says how the first vCPU must start; touches no vCPU.
 * Next in the flow: hv/vm/boot.c sets the registers.
 */
#ifndef WATARI_BOOT_BOOT_H
#define WATARI_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/mem/gmem.h"

#define BOOT_CMDLINE_MAX 2048 /* bytes, NUL included */

struct boot_params {
	const char *kernel;  /* path */
	const char *initrd;  /* path or NULL */
	const char *cmdline; /* never NULL */
	unsigned cpus;       /* 1..254, for the MADT */
};

enum boot_mode {
	BOOT_PVH32,   /* 32-bit protected mode, no paging, EBX = start_info */
	BOOT_LINUX64, /* long mode on the page tables at cr3, RSI = boot_params */
};

struct boot_entry {
	enum boot_mode mode;
	uint64_t ip;   /* first instruction, guest-physical */
	uint64_t info; /* start_info or boot_params, guest-physical */
	uint64_t cr3;  /* BOOT_LINUX64: page tables, identity map of the first 4 GiB and more */
	uint64_t gdt;  /* guest-physical GDT: 0x10 code, 0x18 data (flat, of the mode's width) */
	uint16_t gdt_limit;
};

/*
 * Loads kernel, initrd, command line, memory map, ACPI tables. Errors name the file and what is
 * wrong with it: missing, unreadable, truncated, neither kind, too large for the guest's memory.
 * Guest memory must be all zero, fresh or after gmem_discard_all(): a kernel's bss is not written.
 */
int boot_load(
	const struct gmem *m, const struct boot_params *p, struct boot_entry *out, struct err *e);

#endif
