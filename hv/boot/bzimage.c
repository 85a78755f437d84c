/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst, zero-page.rst): checks the
 * setup header, places the kernel at its preferred address, fills the zero page, builds the page
 * tables. Must never enter a kernel that did not declare the 64-bit entry point.
 * Invariant: what the kernel uses before it has page tables of its own (its init_size bytes, zero
 * page, command line, initrd) lies below 4 GiB, all of which is identity-mapped.
 * Next in the flow: hv/vm/boot.c sets the registers.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hv/base/codec.h"
#include "hv/base/size.h"
#include "hv/boot/image.h"

/* Offsets in the file and in the zero page, which holds the setup header at the same place. */
enum {
	BZ_ACPI_RSDP = 0x070,
	BZ_E820_COUNT = 0x1e8,
	BZ_HEADER = 0x1f1, /* setup_sects, first byte of the setup header */
	BZ_SYSSIZE = 0x1f4,
	BZ_BOOT_FLAG = 0x1fe,
	BZ_JUMP_LEN = 0x201,
	BZ_MAGIC = 0x202,
	BZ_VERSION = 0x206,
	BZ_LOADER = 0x210,
	BZ_LOADFLAGS = 0x211,
	BZ_CODE32 = 0x214,
	BZ_RAMDISK = 0x218,
	BZ_RAMDISK_SIZE = 0x21c,
	BZ_CMDLINE = 0x228,
	BZ_INITRD_MAX = 0x22c,
	BZ_ALIGNMENT = 0x230,
	BZ_RELOCATABLE = 0x234,
	BZ_XLOADFLAGS = 0x236,
	BZ_CMDLINE_SIZE = 0x238,
	BZ_SETUP_DATA = 0x250,
	BZ_PREF_ADDRESS = 0x258,
	BZ_INIT_SIZE = 0x260,
	BZ_HEADER_MIN = 0x264, /* protocol 2.12 has at least up to here */
	BZ_HEADER_MAX = 0x290, /* where the zero page's next field starts */
	BZ_E820_TABLE = 0x2d0,
	BZ_ZERO_PAGE = 0x1000,
};

#define BZ_VERSION_MIN    0x020cu /* 2.12: xloadflags */
#define BZ_VERSION_RSDP   0x020eu /* 2.14: acpi_rsdp_addr */
#define BZ_XLF_KERNEL_64  0x01u
#define BZ_LOADED_HIGH    0x01u
#define BZ_CAN_USE_HEAP   0x80u
#define BZ_LOADER_UNKNOWN 0xffu
#define BZ_ENTRY64        0x200u
#define BZ_SECTOR         512u
#define BZ_PAGE_2M        (2ull << 20)

#define PTE_PRESENT_RW 0x03u
#define PTE_LARGE      0x80u

/* Fields of an unaligned little-endian image. */
static uint32_t bz_get(const uint8_t *p, unsigned off, unsigned n)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint32_t)p[off + i] << (8 * i);
	return v;
}

static void bz_put(uint8_t *p, unsigned off, unsigned n, uint64_t v)
{
	for (unsigned i = 0; i < n; i++)
		p[off + i] = (uint8_t)(v >> (8 * i));
}

/* The protocol's version and kind, before any field that only newer versions have is looked at. */
static int bzimage_check_kind(const struct boot_file *f, const uint8_t *h, struct err *e)
{
	unsigned version = bz_get(h, BZ_VERSION, 2);

	if (version < BZ_VERSION_MIN)
		return err_set(e, -ENOEXEC,
			"the kernel '%s' speaks boot protocol %u.%02u; 2.12 or newer is needed",
			f->path, version >> 8, version & 0xff);
	if (!(bz_get(h, BZ_LOADFLAGS, 1) & BZ_LOADED_HIGH))
		return err_set(e, -ENOEXEC, "the kernel '%s' is a zImage, not a bzImage", f->path);
	if (!(bz_get(h, BZ_XLOADFLAGS, 2) & BZ_XLF_KERNEL_64))
		return err_set(e, -ENOEXEC,
			"the kernel '%s' has no 64-bit entry point: it is a 32-bit kernel",
			f->path);
	return 0;
}

static int bzimage_check_payload(
	const struct boot_file *f, const uint8_t *h, struct bzimage *out, struct err *e)
{
	unsigned sects = bz_get(h, BZ_HEADER, 1);
	uint64_t need = (uint64_t)bz_get(h, BZ_SYSSIZE, 4) * 16;

	out->payload_off =
		((sects ? sects : 4) + 1) * BZ_SECTOR; /* 0 means 4, for old times' sake */
	if (need <= BZ_ENTRY64)
		return err_set(e, -ENOEXEC,
			"the kernel '%s' holds no code: its header says %" PRIu64 " bytes", f->path,
			need);
	if (f->size < out->payload_off || f->size - out->payload_off < need)
		return err_set(e, -ENOEXEC,
			"the kernel '%s' is truncated: it has %" PRIu64
			" bytes, its header says %" PRIu64,
			f->path, f->size, out->payload_off + need);
	/* What follows, such as a signature, is not the kernel's. */
	out->payload_size = need;
	return 0;
}

static int bzimage_check_place(
	const struct boot_file *f, const uint8_t *h, struct bzimage *out, struct err *e)
{
	uint64_t align = bz_get(h, BZ_ALIGNMENT, 4);
	uint64_t pref = bz_get(h, BZ_PREF_ADDRESS, 4) | (uint64_t)bz_get(h, BZ_PREF_ADDRESS + 4, 4)
								<< 32;
	bool misplaced;

	if (align == 0 || (align & (align - 1)))
		return err_set(e, -ENOEXEC, "the kernel '%s' asks for an alignment of 0x%" PRIx64,
			f->path, align);
	misplaced = pref % align || pref < BOOT_HIGH_START;
	if (pref >= GMEM_HOLE_START || (misplaced && !bz_get(h, BZ_RELOCATABLE, 1)))
		return err_set(e, -ENOEXEC,
			"the kernel '%s' wants to be loaded at 0x%" PRIx64
			", where this machine cannot place it",
			f->path, pref);
	if (pref < BOOT_HIGH_START)
		pref = BOOT_HIGH_START;
	out->load_addr = (pref + align - 1) & ~(align - 1);
	out->run_size = bz_get(h, BZ_INIT_SIZE, 4);
	if (out->run_size < out->payload_size)
		out->run_size = out->payload_size;
	return 0;
}

int bzimage_parse(const struct boot_file *f, struct bzimage *out, struct err *e)
{
	uint8_t h[BZ_HEADER_MAX];
	unsigned end;
	int rc;

	memset(out, 0, sizeof(*out));
	memset(h, 0, sizeof(h));
	rc = boot_file_read(f, 0, h, f->size < sizeof(h) ? f->size : sizeof(h), e);
	if (rc)
		return rc;
	if (f->size < BZ_HEADER_MIN)
		return err_set(e, -ENOEXEC,
			"the kernel '%s' is truncated: %" PRIu64
			" bytes do not hold its setup header",
			f->path, f->size);
	rc = bzimage_check_kind(f, h, e);
	if (!rc)
		rc = bzimage_check_payload(f, h, out, e);
	if (!rc)
		rc = bzimage_check_place(f, h, out, e);
	if (rc)
		return rc;
	end = BZ_MAGIC + h[BZ_JUMP_LEN];
	if (end < BZ_HEADER_MIN)
		return err_set(e, -ENOEXEC, "the kernel '%s' has a setup header cut short at 0x%x",
			f->path, end);
	if (end > BZ_HEADER_MAX)
		end = BZ_HEADER_MAX;
	out->version = (uint16_t)bz_get(h, BZ_VERSION, 2);
	out->initrd_max = bz_get(h, BZ_INITRD_MAX, 4);
	out->cmdline_max = bz_get(h, BZ_CMDLINE_SIZE, 4);
	out->header_len = end - BZ_HEADER;
	memcpy(out->header, h + BZ_HEADER, out->header_len);
	return 0;
}

/*
 * Four levels, 2 MiB pages, the first 4 GiB mapped to themselves: six pages at BOOT_PAGES_ADDR. No
 * 1 GiB pages: not every processor, nor every KVM backend, has them.
 */
static int bzimage_map_memory(const struct gmem *m, struct err *e)
{
	const uint64_t pml4 = BOOT_PAGES_ADDR, pdpt = pml4 + 0x1000, pd = pdpt + 0x1000;
	const uint64_t len = pd + 4 * GMEM_PAGE_SIZE - pml4;
	uint64_t *t = (uint64_t *)(void *)gmem_view(m, pml4, len);

	if (!t)
		return err_set(e, -ENOMEM, "no guest memory for the boot page tables");
	memset(t, 0, len);
	t[0] = htole64(pdpt | PTE_PRESENT_RW);
	for (uint64_t i = 0; i < 4; i++)
		t[512 + i] = htole64((pd + i * GMEM_PAGE_SIZE) | PTE_PRESENT_RW);
	for (uint64_t i = 0; i < 4 * 512; i++)
		t[1024 + i] = htole64(i * BZ_PAGE_2M | PTE_PRESENT_RW | PTE_LARGE);
	gmem_mark(m, pml4, len);
	return 0;
}

static void bzimage_fill_e820(const struct gmem *m, uint8_t *zp)
{
	struct boot_range map[BOOT_MAP_MAX];
	unsigned n = boot_map_fill(m, map);

	zp[BZ_E820_COUNT] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		bz_put(zp, BZ_E820_TABLE + i * 20, 8, map[i].addr);
		bz_put(zp, BZ_E820_TABLE + i * 20 + 8, 8, map[i].size);
		bz_put(zp, BZ_E820_TABLE + i * 20 + 16, 4, map[i].type);
	}
}

static int bzimage_write_zero_page(
	const struct gmem *m, const struct bzimage *bz, const struct boot_layout *l, struct err *e)
{
	uint8_t zp[BZ_ZERO_PAGE] = { 0 };

	memcpy(zp + BZ_HEADER, bz->header, bz->header_len);
	zp[BZ_LOADER] = BZ_LOADER_UNKNOWN;
	/* The heap is the real-mode code's, which is never entered. */
	zp[BZ_LOADFLAGS] = (uint8_t)((zp[BZ_LOADFLAGS] | BZ_LOADED_HIGH) & ~BZ_CAN_USE_HEAP);
	bz_put(zp, BZ_CODE32, 4, bz->load_addr);
	bz_put(zp, BZ_RAMDISK, 4, l->initrd_addr);
	bz_put(zp, BZ_RAMDISK_SIZE, 4, l->initrd_size);
	bz_put(zp, BZ_CMDLINE, 4, BOOT_CMDLINE_ADDR);
	bz_put(zp, BZ_SETUP_DATA, 8, 0);
	if (bz->version >= BZ_VERSION_RSDP)
		bz_put(zp, BZ_ACPI_RSDP, 8, l->rsdp);
	bzimage_fill_e820(m, zp);
	if (!gmem_write(m, BOOT_INFO_ADDR, zp, sizeof(zp)))
		return err_set(e, -ENOMEM, "no guest memory for the boot parameters");
	return 0;
}

static int bzimage_check_fit(const struct gmem *m, const struct boot_file *f,
	const struct bzimage *bz, const struct boot_params *p, const struct boot_layout *l,
	struct err *e)
{
	char ram[32], need[32];

	if (strlen(p->cmdline) > bz->cmdline_max)
		return err_set(e, -E2BIG,
			"the command line has %zu characters, the kernel '%s' takes at most %u",
			strlen(p->cmdline), f->path, bz->cmdline_max);
	if (bz->load_addr + bz->run_size > l->low_end)
		return err_set(e, -ENOMEM,
			"the kernel '%s' does not fit: it needs %s of memory up to 0x%" PRIx64
			", the guest has %s",
			f->path, size_format(bz->run_size, need, sizeof(need)),
			bz->load_addr + bz->run_size, size_format(m->size, ram, sizeof(ram)));
	return 0;
}

int bzimage_load(const struct gmem *m, const struct boot_file *f, const struct bzimage *bz,
	const struct boot_params *p, const struct boot_file *initrd, struct boot_layout *l,
	struct boot_entry *out, struct err *e)
{
	int rc = bzimage_check_fit(m, f, bz, p, l, e);

	if (rc)
		return rc;
	l->kernel_end = bz->load_addr + bz->run_size;
	rc = boot_file_load(f, bz->payload_off, m, bz->load_addr, bz->payload_size, e);
	if (!rc && initrd)
		rc = boot_initrd_load(m, initrd, bz->initrd_max + 1, l, e);
	if (!rc)
		rc = bzimage_write_zero_page(m, bz, l, e);
	if (!rc)
		rc = bzimage_map_memory(m, e);
	if (!rc)
		rc = boot_gdt_write(m, true, out, e);
	if (rc)
		return rc;
	out->mode = BOOT_LINUX64;
	out->ip = bz->load_addr + BZ_ENTRY64;
	out->info = BOOT_INFO_ADDR;
	out->cr3 = BOOT_PAGES_ADDR;
	return 0;
}
