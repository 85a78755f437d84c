/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small made-up kernels of both kinds, loaded into real guest memory: what the kernel would find
 * when it starts, and every way in which a file can be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/bitmap.h"
#include "hv/boot/boot.h"

#define MIB (1ull << 20)

struct rig {
	struct gmem m;
	struct boot_entry entry;
	struct err e;
	char kernel[64], initrd[64];
	int kernel_fd, initrd_fd;
};

/* A file of its own for the bytes; named through /proc so that nothing is left behind. */
static int file_of(const void *p, size_t n, char *path, size_t path_n)
{
	int fd = memfd_create("boot-test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	snprintf(path, path_n, "/proc/self/fd/%d", fd);
	return fd;
}

static void rig_open(struct rig *r, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	r->kernel_fd = r->initrd_fd = -1;
	assert_int_equal(gmem_init(&r->m, size, &r->e), 0);
}

static void rig_close(struct rig *r)
{
	if (r->kernel_fd >= 0)
		close(r->kernel_fd);
	if (r->initrd_fd >= 0)
		close(r->initrd_fd);
	gmem_fini(&r->m);
}

static void rig_kernel(struct rig *r, const void *p, size_t n)
{
	if (r->kernel_fd >= 0)
		close(r->kernel_fd);
	r->kernel_fd = file_of(p, n, r->kernel, sizeof(r->kernel));
}

static int rig_load(struct rig *r, const char *cmdline)
{
	struct boot_params p = { .kernel = r->kernel,
		.initrd = r->initrd[0] ? r->initrd : NULL,
		.cmdline = cmdline,
		.cpus = 2 };

	err_clear(&r->e);
	return boot_load(&r->m, &p, &r->entry, &r->e);
}

/* Loads a kernel of @n bytes that must be refused with @code and a message holding @why. */
static void refused(struct rig *r, const void *p, size_t n, int code, const char *why)
{
	rig_kernel(r, p, n);
	if (rig_load(r, "") != code || !strstr(r->e.msg, why))
		fail_msg("wanted %d \"%s\", got %d \"%s\"", code, why, r->e.code, r->e.msg);
	assert_int_equal(r->e.code, code);
	assert_non_null(strstr(r->e.msg, r->kernel));
}

static uint64_t peek(struct rig *r, uint64_t gpa, size_t n)
{
	uint64_t v = 0;

	assert_true(gmem_read(&r->m, gpa, &v, n));
	return v;
}

static void put(uint8_t *p, size_t off, size_t n, uint64_t v)
{
	memcpy(p + off, &v, n);
}

/* ---- PVH --------------------------------------------------------------------------------------
 */

/* Header, PT_LOAD of 16 bytes at 0x200000 with 1 MiB in memory, PT_NOTE. */
#define PVH_SIZE 0x1000u
struct pvh64 {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
};

static void pvh_make(uint8_t img[PVH_SIZE], unsigned desc)
{
	struct pvh64 *h = (void *)img;
	uint8_t *note = img + 0x400;

	memset(img, 0, PVH_SIZE);
	memcpy(h->eh.e_ident, ELFMAG, SELFMAG);
	h->eh.e_ident[EI_CLASS] = ELFCLASS64;
	h->eh.e_ident[EI_DATA] = ELFDATA2LSB;
	h->eh.e_type = ET_EXEC;
	h->eh.e_machine = EM_X86_64;
	h->eh.e_phoff = sizeof(h->eh);
	h->eh.e_phentsize = sizeof(h->ph[0]);
	h->eh.e_phnum = 2;
	h->ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = 0x800,
		.p_paddr = 0x200000,
		.p_filesz = 16,
		.p_memsz = MIB };
	h->ph[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x400, .p_align = 4 };
	/* A foreign note with an odd length first, then ours. */
	put(note, 0, 4, 5);
	put(note, 4, 4, 3);
	put(note, 8, 4, 18);
	memcpy(note + 12, "Else", 5);
	put(note, 24, 4, 4);
	put(note, 28, 4, desc);
	put(note, 32, 4, 18);
	memcpy(note + 36, "Xen", 4);
	put(note, 40, 8, 0x200004);
	h->ph[1].p_filesz = 40 + desc;
	memcpy(img + 0x800, "the PVH segment", 16);
}

static void check_gdt(struct rig *r, uint64_t code)
{
	assert_int_equal(r->entry.gdt_limit, 31);
	assert_true(peek(r, r->entry.gdt, 8) == 0);
	assert_true(peek(r, r->entry.gdt + 0x10, 8) == code);
	assert_true(peek(r, r->entry.gdt + 0x18, 8) == 0x00cf93000000ffffull);
}

static void test_pvh_elf64(void **state)
{
	_Alignas(8) uint8_t img[PVH_SIZE], got[16];
	struct rig r;
	uint64_t info, map;

	(void)state;
	rig_open(&r, 64 * MIB);
	pvh_make(img, 4);
	rig_kernel(&r, img, sizeof(img));
	assert_int_equal(rig_load(&r, "cpus=2"), 0);
	assert_int_equal(r.entry.mode, BOOT_PVH32);
	assert_int_equal(r.entry.ip, 0x200004);
	check_gdt(&r, 0x00cf9b000000ffffull);
	assert_true(gmem_read(&r.m, 0x200000, got, 16));
	assert_memory_equal(got, "the PVH segment", 16);
	info = r.entry.info;
	assert_int_equal(peek(&r, info, 4), 0x336ec578);
	assert_int_equal(peek(&r, info + 4, 4), 1);
	assert_int_equal(peek(&r, info + 12, 4), 0); /* no modules */
	assert_int_equal(peek(&r, info + 16, 8), 0);
	assert_true(gmem_read(&r.m, peek(&r, info + 24, 8), got, 7));
	assert_string_equal((char *)got, "cpus=2");
	assert_true(gmem_read(&r.m, peek(&r, info + 32, 8), got, 8));
	assert_memory_equal(got, "RSD PTR ", 8);
	map = peek(&r, info + 40, 8);
	assert_int_equal(peek(&r, info + 48, 4), 6);
	assert_int_equal(peek(&r, map + 3 * 24, 8), MIB);
	assert_int_equal(peek(&r, map + 3 * 24 + 8, 8), 63 * MIB);
	assert_int_equal(peek(&r, map + 3 * 24 + 16, 4), 1);
	/* What was written is marked, or a migration would lose it. */
	assert_true(bitmap_test(r.m.regions[0].written, 0x200));
	assert_true(bitmap_test(r.m.regions[0].written, info >> 12));
	assert_false(bitmap_test(r.m.regions[0].written, 0x201)); /* bss is not touched */
	pvh_make(img, 8);                                         /* Linux's eight-byte note */
	rig_kernel(&r, img, sizeof(img));
	assert_int_equal(rig_load(&r, ""), 0);
	assert_int_equal(r.entry.ip, 0x200004);
	rig_close(&r);
}

static void test_pvh_elf32_with_initrd(void **state)
{
	_Alignas(8) uint8_t img[PVH_SIZE], note[0x30];
	uint8_t initrd[5000];
	Elf32_Ehdr eh = { .e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_phoff = sizeof(eh),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 2 };
	Elf32_Phdr ph[2] = { { .p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = 44 },
		{ .p_type = PT_LOAD,
			.p_offset = 0x800,
			.p_paddr = 0x200000,
			.p_filesz = 16,
			.p_memsz = 16 } };
	struct rig r;
	uint64_t mods, addr;

	(void)state;
	rig_open(&r, 64 * MIB);
	pvh_make(img, 4);
	memcpy(note, img + 0x400, sizeof(note));
	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS32;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	memset(img, 0, 0x400);
	memcpy(img, &eh, sizeof(eh));
	memcpy(img + sizeof(eh), ph, sizeof(ph));
	rig_kernel(&r, img, sizeof(img));
	memset(initrd, 0xab, sizeof(initrd));
	r.initrd_fd = file_of(initrd, sizeof(initrd), r.initrd, sizeof(r.initrd));
	assert_int_equal(rig_load(&r, ""), 0);
	assert_int_equal(r.entry.ip, 0x200004);
	assert_int_equal(peek(&r, r.entry.info + 12, 4), 1);
	mods = peek(&r, r.entry.info + 16, 8);
	addr = peek(&r, mods, 8);
	assert_int_equal(addr, 64 * MIB - 8192); /* high, and on a page */
	assert_int_equal(peek(&r, mods + 8, 8), sizeof(initrd));
	assert_int_equal(peek(&r, addr + 4999, 1), 0xab);
	rig_close(&r);
}

static void test_memory_above_the_hole_is_in_the_map(void **state)
{
	_Alignas(8) uint8_t img[PVH_SIZE];
	struct rig r;
	uint64_t map;

	(void)state;
	rig_open(&r, 5120 * MIB); /* holes: nothing is allocated */
	pvh_make(img, 4);
	rig_kernel(&r, img, sizeof(img));
	assert_int_equal(rig_load(&r, ""), 0);
	map = peek(&r, r.entry.info + 40, 8);
	assert_int_equal(peek(&r, r.entry.info + 48, 4), 7);
	assert_int_equal(peek(&r, map + 3 * 24 + 8, 8), 3071 * MIB);
	assert_int_equal(peek(&r, map + 4 * 24, 8), 0xe0000000); /* PCI's configuration space */
	assert_int_equal(peek(&r, map + 4 * 24 + 8, 8), MIB);
	assert_int_equal(peek(&r, map + 4 * 24 + 16, 4), 2);
	assert_int_equal(peek(&r, map + 5 * 24, 8), 0xfec00000);
	assert_int_equal(peek(&r, map + 5 * 24 + 16, 4), 2);
	assert_int_equal(peek(&r, map + 6 * 24, 8), 1ull << 32);
	assert_int_equal(peek(&r, map + 6 * 24 + 8, 8), 2048 * MIB);
	rig_close(&r);
}

static void test_pvh_errors(void **state)
{
	_Alignas(8) uint8_t img[PVH_SIZE];
	struct pvh64 *h = (void *)img;
	struct rig r;

	(void)state;
	rig_open(&r, 64 * MIB);
#define WITH(change, code, why)                                                                    \
	do {                                                                                       \
		pvh_make(img, 4);                                                                  \
		change;                                                                            \
		refused(&r, img, sizeof(img), code, why);                                          \
	} while (0)
	WITH(h->eh.e_machine = EM_AARCH64, -ENOEXEC, "another processor");
	WITH(h->eh.e_type = ET_REL, -ENOEXEC, "not an executable");
	WITH(h->eh.e_ident[EI_CLASS] = 3, -ENOEXEC, "neither 32 nor 64");
	WITH(h->eh.e_ident[EI_DATA] = ELFDATA2MSB, -ENOEXEC, "little-endian");
	WITH(h->eh.e_phnum = 0, -ENOEXEC, "program header table");
	WITH(h->eh.e_phnum = 0xffff, -ENOEXEC, "program header table");
	WITH(h->eh.e_phentsize = 1, -ENOEXEC, "program header table");
	WITH(h->eh.e_phoff = UINT64_MAX - 8, -ENOEXEC, "truncated");
	WITH(h->eh.e_phoff = PVH_SIZE - 8, -ENOEXEC, "truncated");
	WITH(h->ph[1].p_type = PT_NULL, -ENOEXEC, "without a PVH entry note");
	WITH(img[0x424] = 'Y', -ENOEXEC, "without a PVH entry note");
	WITH(put(img, 0x400, 4, UINT32_MAX), -ENOEXEC, "without a PVH entry note");
	WITH(put(img, 0x428, 4, 0x300000), -ENOEXEC, "in no segment");
	WITH(h->ph[0].p_offset = UINT64_MAX, -ENOEXEC, "truncated");
	WITH(h->ph[0].p_filesz = PVH_SIZE, -ENOEXEC, "truncated");
	WITH(h->ph[0].p_memsz = 8, -ENOEXEC, "larger in the file");
	WITH(h->ph[0].p_paddr = 0x9000, -ENOEXEC, "outside of 1 MiB");
	WITH(h->ph[0].p_paddr = UINT64_MAX - 7, -ENOEXEC, "outside of 1 MiB");
	WITH(h->ph[0].p_memsz = UINT64_MAX, -ENOEXEC, "outside of 1 MiB");
	WITH(h->ph[0].p_memsz = 64 * MIB, -ENOMEM, "64.0 MiB");
#undef WITH
	pvh_make(img, 4);
	refused(&r, img, 0x408, -ENOEXEC, "truncated");
	refused(&r, img, 20, -ENOEXEC, "truncated");
	rig_close(&r);
}

/* ---- bzImage ----------------------------------------------------------------------------------
 */

#define BZ_SETUP 1024u /* one setup sector and the boot sector */
#define BZ_CODE  4096u
#define BZ_SIZE  (BZ_SETUP + BZ_CODE)

static void bz_make(uint8_t img[BZ_SIZE])
{
	memset(img, 0, BZ_SIZE);
	memset(img + BZ_SETUP, 0xc3, BZ_CODE);
	put(img, 0x1f1, 1, 1);
	put(img, 0x1f4, 4, BZ_CODE / 16);
	put(img, 0x1fa, 2, 0xffff);
	put(img, 0x1fe, 2, 0xaa55);
	put(img, 0x200, 2, 0x6aeb);
	memcpy(img + 0x202, "HdrS", 4);
	put(img, 0x206, 2, 0x020f);
	put(img, 0x211, 1, 0x81);
	put(img, 0x22c, 4, 0x7fffffff);
	put(img, 0x230, 4, 0x200000);
	put(img, 0x234, 1, 1);
	put(img, 0x236, 2, 0x7f);
	put(img, 0x238, 4, 2047);
	put(img, 0x250, 8, 0xdeadbeef);
	put(img, 0x258, 8, 16 * MIB);
	put(img, 0x260, 4, 32 * MIB);
}

/* Walks the page tables as the processor would. */
static uint64_t translate(struct rig *r, uint64_t va)
{
	uint64_t e = peek(r, r->entry.cr3 + (va >> 39 & 511) * 8, 8);

	assert_int_equal(e & 0xfff, 3);
	e = peek(r, (e & ~0xfffull) + (va >> 30 & 511) * 8, 8);
	assert_int_equal(e & 0xfff, 3);
	e = peek(r, (e & ~0xfffull) + (va >> 21 & 511) * 8, 8);
	assert_int_equal(e & 0xfff, 0x83); /* a 2 MiB page */
	return (e & ~0x1fffffull) + (va & 0x1fffff);
}

static void test_bzimage(void **state)
{
	uint8_t img[BZ_SIZE], initrd[5000], got[16];
	struct rig r;
	uint64_t zp;

	(void)state;
	rig_open(&r, 64 * MIB);
	bz_make(img);
	rig_kernel(&r, img, sizeof(img));
	memset(initrd, 0xab, sizeof(initrd));
	r.initrd_fd = file_of(initrd, sizeof(initrd), r.initrd, sizeof(r.initrd));
	assert_int_equal(rig_load(&r, "console=ttyS0"), 0);
	assert_int_equal(r.entry.mode, BOOT_LINUX64);
	assert_int_equal(r.entry.ip, 16 * MIB + 0x200);
	check_gdt(&r, 0x00af9b000000ffffull);
	assert_int_equal(peek(&r, 16 * MIB, 1), 0xc3);
	assert_int_equal(peek(&r, 16 * MIB + BZ_CODE - 1, 1), 0xc3);
	zp = r.entry.info;
	assert_int_equal(peek(&r, zp + 0x1fe, 2), 0xaa55);
	assert_int_equal(peek(&r, zp + 0x202, 4), 0x53726448);
	assert_int_equal(peek(&r, zp + 0x1ef, 1), 0); /* sentinel: we know what we do */
	assert_int_equal(peek(&r, zp + 0x210, 1), 0xff);
	assert_int_equal(peek(&r, zp + 0x211, 1), 0x01);
	assert_int_equal(peek(&r, zp + 0x218, 4), 64 * MIB - 8192);
	assert_int_equal(peek(&r, zp + 0x21c, 4), sizeof(initrd));
	assert_int_equal(peek(&r, 64 * MIB - 8192 + 4999, 1), 0xab);
	assert_true(gmem_read(&r.m, peek(&r, zp + 0x228, 4), got, 14));
	assert_string_equal((char *)got, "console=ttyS0");
	assert_int_equal(peek(&r, zp + 0x250, 8), 0);
	assert_true(gmem_read(&r.m, peek(&r, zp + 0x70, 8), got, 8));
	assert_memory_equal(got, "RSD PTR ", 8);
	assert_int_equal(peek(&r, zp + 0x1e8, 1), 6);
	assert_int_equal(peek(&r, zp + 0x2d0 + 60, 8), MIB);
	assert_int_equal(peek(&r, zp + 0x2d0 + 68, 8), 63 * MIB);
	assert_int_equal(peek(&r, zp + 0x2d0 + 76, 4), 1);
	for (uint64_t va = 0; va < 4096 * MIB; va += 2 * MIB)
		assert_int_equal(translate(&r, va + 0x1234), va + 0x1234);
	rig_close(&r);
}

static void test_bzimage_initrd_stays_below_its_limit(void **state)
{
	uint8_t img[BZ_SIZE], initrd[5000] = { 1 };
	struct rig r;

	(void)state;
	rig_open(&r, 128 * MIB);
	bz_make(img);
	put(img, 0x22c, 4, 64 * MIB - 1);
	put(img, 0x206, 2, 0x020c); /* before acpi_rsdp_addr */
	rig_kernel(&r, img, sizeof(img));
	r.initrd_fd = file_of(initrd, sizeof(initrd), r.initrd, sizeof(r.initrd));
	assert_int_equal(rig_load(&r, ""), 0);
	assert_int_equal(peek(&r, r.entry.info + 0x218, 4), 64 * MIB - 8192);
	assert_int_equal(peek(&r, r.entry.info + 0x70, 8), 0);
	put(img, 0x22c, 4, 48 * MIB); /* the kernel itself ends there */
	rig_kernel(&r, img, sizeof(img));
	assert_int_equal(rig_load(&r, ""), -ENOMEM);
	assert_non_null(strstr(r.e.msg, "initrd"));
	assert_non_null(strstr(r.e.msg, "4.88 KiB"));
	rig_close(&r);
}

static void test_bzimage_errors(void **state)
{
	uint8_t img[BZ_SIZE];
	struct rig r;

	(void)state;
	rig_open(&r, 64 * MIB);
#define WITH(off, n, v, code, why)                                                                 \
	do {                                                                                       \
		bz_make(img);                                                                      \
		put(img, off, n, v);                                                               \
		refused(&r, img, sizeof(img), code, why);                                          \
	} while (0)
	WITH(0x206, 2, 0x020a, -ENOEXEC, "protocol 2.10");
	WITH(0x211, 1, 0, -ENOEXEC, "zImage");
	WITH(0x236, 2, 0x7e, -ENOEXEC, "32-bit kernel");
	WITH(0x1f1, 1, 200, -ENOEXEC, "truncated");
	WITH(0x1f4, 4, BZ_CODE / 16 + 1, -ENOEXEC, "truncated");
	WITH(0x1f4, 4, UINT32_MAX, -ENOEXEC, "truncated");
	WITH(0x1f4, 4, 0, -ENOEXEC, "no code");
	WITH(0x201, 1, 0x10, -ENOEXEC, "cut short");
	WITH(0x230, 4, 0, -ENOEXEC, "alignment");
	WITH(0x230, 4, 3, -ENOEXEC, "alignment");
	WITH(0x258, 8, UINT64_MAX - 1, -ENOEXEC, "cannot place");
	WITH(0x258, 8, 1ull << 33, -ENOEXEC, "cannot place");
	WITH(0x230, 4, 0x80000000, -ENOMEM, "does not fit");
	WITH(0x260, 4, 49 * MIB, -ENOMEM, "49.0 MiB");
	WITH(0x202, 4, 0, -ENOEXEC, "neither a bzImage");
#undef WITH
	bz_make(img);
	refused(&r, img, sizeof(img) - 1, -ENOEXEC, "truncated");
	refused(&r, img, 0x206, -ENOEXEC, "truncated");
	put(img, 0x238, 4, 8);
	rig_kernel(&r, img, sizeof(img));
	assert_int_equal(rig_load(&r, "12345678"), 0);
	assert_int_equal(rig_load(&r, "123456789"), -E2BIG);
	assert_non_null(strstr(r.e.msg, "at most 8"));
	rig_close(&r);
}

/* ---- files ------------------------------------------------------------------------------------
 */

static void test_files_that_are_no_kernel(void **state)
{
	char dir[] = "/tmp/boot-test-XXXXXX", fifo[64];
	struct rig r;

	(void)state;
	rig_open(&r, 64 * MIB);
	refused(&r, "", 0, -ENOEXEC, "empty");
	refused(&r, "abc", 3, -ENOEXEC, "61 62 63 00");
	refused(&r, "\x1f\x8b\x08\x00", 4, -ENOEXEC, "gzip");
	refused(&r, "#!/bin/sh\n", 10, -ENOEXEC, "script");
	refused(&r, "070701000", 9, -ENOEXEC, "initrd");
	snprintf(r.kernel, sizeof(r.kernel), "/tmp");
	assert_int_equal(rig_load(&r, ""), -EINVAL);
	assert_non_null(strstr(r.e.msg, "not a regular file"));
	snprintf(r.kernel, sizeof(r.kernel), "/nonexistent/vmlinuz");
	assert_int_equal(rig_load(&r, ""), -ENOENT);
	assert_non_null(strstr(r.e.msg, "/nonexistent/vmlinuz"));
	assert_non_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	snprintf(r.kernel, sizeof(r.kernel), "%s", fifo); /* is not waited for */
	assert_int_equal(rig_load(&r, ""), -EINVAL);
	unlink(fifo);
	rmdir(dir);
	rig_close(&r);
}

static void test_initrd_and_command_line_errors(void **state)
{
	_Alignas(8) uint8_t img[PVH_SIZE];
	char line[BOOT_CMDLINE_MAX + 1];
	struct rig r;

	(void)state;
	rig_open(&r, 64 * MIB);
	pvh_make(img, 4);
	rig_kernel(&r, img, sizeof(img));
	memset(line, 'x', sizeof(line) - 1);
	line[BOOT_CMDLINE_MAX] = '\0';
	assert_int_equal(rig_load(&r, line), -E2BIG);
	assert_non_null(strstr(r.e.msg, "2048 characters"));
	line[BOOT_CMDLINE_MAX - 1] = '\0';
	assert_int_equal(rig_load(&r, line), 0);
	snprintf(r.initrd, sizeof(r.initrd), "/nonexistent/initrd");
	assert_int_equal(rig_load(&r, ""), -ENOENT);
	assert_non_null(strstr(r.e.msg, "initrd '/nonexistent/initrd'"));
	r.initrd_fd = file_of("x", 1, r.initrd, sizeof(r.initrd));
	assert_int_equal(ftruncate(r.initrd_fd, (off_t)(62 * MIB)), 0);
	assert_int_equal(rig_load(&r, ""), -ENOMEM);
	assert_non_null(strstr(r.e.msg, "61.0 MiB")); /* what would fit */
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh_elf64),
		cmocka_unit_test(test_pvh_elf32_with_initrd),
		cmocka_unit_test(test_memory_above_the_hole_is_in_the_map),
		cmocka_unit_test(test_pvh_errors),
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_bzimage_initrd_stays_below_its_limit),
		cmocka_unit_test(test_bzimage_errors),
		cmocka_unit_test(test_files_that_are_no_kernel),
		cmocka_unit_test(test_initrd_and_command_line_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
