/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the stages of boot_load(): where everything goes below 1 MiB and what the two kernel
 * formats say of themselves. Nothing outside hv/boot includes it but tests.
 *
 *   0x00001000  GDT
 *   0x00006000  PVH: start_info, module list, memory map    Linux: boot_params ("zero page")
 *   0x00009000  page tables, 6 pages (Linux)
 *   0x00020000  command line
 *   0x0009fc00  end of low RAM
 *   0x000e0000  ACPI tables (acpi.h); from here to 1 MiB reserved in the memory map
 *   0x00100000  kernels, and the initrd as high as it may lie
 *
 * Invariant: parse functions read only the file; nothing of it is believed before it is checked.
 * Next in the flow: hv/boot/pvh.c, hv/boot/bzimage.c.
 */
#ifndef WATARI_BOOT_IMAGE_H
#define WATARI_BOOT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/boot/boot.h"
#include "hv/boot/file.h"

#define BOOT_GDT_ADDR     0x1000u
#define BOOT_INFO_ADDR    0x6000u
#define BOOT_PAGES_ADDR   0x9000u
#define BOOT_CMDLINE_ADDR 0x20000u
#define BOOT_LOW_END      0x9fc00u
#define BOOT_ROM_ADDR     0xe0000u
#define BOOT_HIGH_START   0x100000u

#define BOOT_GDT_SIZE 32u /* null, null, code 0x10, data 0x18 */

/* Types of the e820 map; PVH uses the same numbers. */
#define BOOT_MAP_RAM      1u
#define BOOT_MAP_RESERVED 2u
#define BOOT_MAP_MAX      10u

struct boot_range {
	uint64_t addr, size;
	uint32_t type;
};

/* Where the pieces lie that both protocols report to the kernel. */
struct boot_layout {
	uint64_t low_end;     /* end of RAM below the PCI hole */
	uint64_t kernel_end;  /* first byte after the kernel, its bss and its work space */
	uint64_t initrd_addr; /* 0 without initrd */
	uint64_t initrd_size;
	uint64_t rsdp;
};

/* The memory map of @m: RAM, the reserved areas. Returns the number of entries. */
unsigned boot_map_fill(const struct gmem *m, struct boot_range map[BOOT_MAP_MAX]);

/*
 * Loads @f page-aligned, as high as it fits below @limit and RAM's end and above l->kernel_end;
 * sets l->initrd_*. -ENOMEM with the figures.
 */
int boot_initrd_load(const struct gmem *m, const struct boot_file *f, uint64_t limit,
	struct boot_layout *l, struct err *e);

/* Flat code 0x10 and data 0x18; @wide: 64-bit code. */
int boot_gdt_write(const struct gmem *m, bool wide, struct boot_entry *out, struct err *e);

/* What a bzImage says of itself. */
struct bzimage {
	uint16_t version;      /* of the boot protocol, e.g. 0x020f */
	uint64_t payload_off;  /* where the protected-mode kernel starts in the file */
	uint64_t payload_size; /* bytes, to the end of the file */
	uint64_t load_addr;    /* 2 MiB aligned or better */
	uint64_t run_size;    /* memory the kernel needs from load_addr on, at least payload_size */
	uint64_t initrd_max;  /* highest byte an initrd may touch */
	uint32_t cmdline_max; /* without NUL */
	unsigned header_len;  /* bytes of setup header from 0x1f1 on */
	uint8_t header[0x290 - 0x1f1];
};

/* -ENOEXEC with what is wrong. */
int bzimage_parse(const struct boot_file *f, struct bzimage *out, struct err *e);
int bzimage_load(const struct gmem *m, const struct boot_file *f, const struct bzimage *bz,
	const struct boot_params *p, const struct boot_file *initrd, struct boot_layout *l,
	struct boot_entry *out, struct err *e);

#define PVH_SEGMENTS_MAX 32

/* What a PVH ELF says of itself. */
struct pvh_image {
	uint32_t entry; /* guest-physical, inside a segment */
	unsigned nsegments;
	struct {
		uint64_t off, addr, file_size, mem_size;
	} segment[PVH_SEGMENTS_MAX];
};

/* -ENOEXEC with what is wrong. */
int pvh_parse(const struct boot_file *f, struct pvh_image *out, struct err *e);
int pvh_load(const struct gmem *m, const struct boot_file *f, const struct pvh_image *img,
	const struct boot_file *initrd, struct boot_layout *l, struct boot_entry *out,
	struct err *e);

#endif
