/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the PVH boot protocol (Xen's "x86/HVM direct boot ABI"): finds the entry note, loads the ELF
 * segments at their physical addresses, writes hvm_start_info version 1. Must never load below
 * 1 MiB, where the loader's own tables lie.
 * Invariant: after pvh_parse() every segment's bytes are inside the file and its memory does not
 * wrap; whether it is RAM is checked when loading. Bss is not written: guest memory starts as zero.
 * Next in the flow: hv/vm/boot.c sets the registers.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/codec.h"
#include "hv/base/size.h"
#include "hv/boot/image.h"

#define PVH_NOTE_PHYS32   18u /* XEN_ELFNOTE_PHYS32_ENTRY */
#define PVH_PHDRS_MAX     128u
#define PVH_NOTES_MAX     (1u << 20) /* bytes of one PT_NOTE */
#define PVH_MAGIC         0x336ec578u
#define PVH_INFO_SIZE     56u
#define PVH_MODULE_SIZE   32u
#define PVH_START_VERSION 1u

/* One program header of either width, and where the table is. */
struct pvh_phdr {
	uint32_t type;
	uint64_t off, addr, file_size, mem_size, align;
};

struct pvh_elf {
	bool wide;
	uint64_t phoff;
	unsigned phnum;
};

static int pvh_bad(const struct boot_file *f, const char *why, struct err *e)
{
	return err_set(e, -ENOEXEC, "the kernel '%s' is an ELF file, but %s", f->path, why);
}

static int pvh_read_header(const struct boot_file *f, struct pvh_elf *elf, struct err *e)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} h;
	unsigned phentsize, type, machine;
	int rc = boot_file_read(f, 0, h.ident, sizeof(h.ident), e);

	if (rc)
		return rc;
	if (h.ident[EI_DATA] != ELFDATA2LSB ||
		(h.ident[EI_CLASS] != ELFCLASS32 && h.ident[EI_CLASS] != ELFCLASS64))
		return pvh_bad(f, "neither 32 nor 64 bits wide and little-endian", e);
	elf->wide = h.ident[EI_CLASS] == ELFCLASS64;
	rc = boot_file_read(f, 0, &h, elf->wide ? sizeof(h.e64) : sizeof(h.e32), e);
	if (rc)
		return rc;
	type = elf->wide ? h.e64.e_type : h.e32.e_type;
	machine = elf->wide ? h.e64.e_machine : h.e32.e_machine;
	elf->phoff = elf->wide ? h.e64.e_phoff : h.e32.e_phoff;
	elf->phnum = elf->wide ? h.e64.e_phnum : h.e32.e_phnum;
	phentsize = elf->wide ? h.e64.e_phentsize : h.e32.e_phentsize;
	if (machine != EM_X86_64 && machine != EM_386)
		return pvh_bad(f, "for another processor than x86", e);
	if (type != ET_EXEC && type != ET_DYN)
		return pvh_bad(f, "not an executable one", e);
	if (elf->phnum == 0 || elf->phnum > PVH_PHDRS_MAX ||
		phentsize != (elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return pvh_bad(f, "its program header table makes no sense", e);
	return 0;
}

static int pvh_read_phdr(const struct boot_file *f, const struct pvh_elf *elf, unsigned i,
	struct pvh_phdr *out, struct err *e)
{
	union {
		Elf32_Phdr p32;
		Elf64_Phdr p64;
	} p;
	size_t n = elf->wide ? sizeof(p.p64) : sizeof(p.p32);
	int rc;

	if (elf->phoff > f->size)
		return pvh_bad(f, "truncated: its program headers are missing", e);
	rc = boot_file_read(f, elf->phoff + i * n, &p, n, e);
	if (rc)
		return rc;
	if (elf->wide)
		*out = (struct pvh_phdr){ p.p64.p_type, p.p64.p_offset, p.p64.p_paddr,
			p.p64.p_filesz, p.p64.p_memsz, p.p64.p_align };
	else
		*out = (struct pvh_phdr){ p.p32.p_type, p.p32.p_offset, p.p32.p_paddr,
			p.p32.p_filesz, p.p32.p_memsz, p.p32.p_align };
	if (out->off > f->size || out->file_size > f->size - out->off)
		return err_set(e, -ENOEXEC,
			"the kernel '%s' is truncated: it has %" PRIu64
			" bytes, a segment of %" PRIu64 " starts at %" PRIu64,
			f->path, f->size, out->file_size, out->off);
	return 0;
}

static int pvh_add_segment(
	const struct boot_file *f, const struct pvh_phdr *p, struct pvh_image *img, struct err *e)
{
	if (p->mem_size == 0)
		return 0;
	if (p->file_size > p->mem_size)
		return pvh_bad(f, "a segment is larger in the file than in memory", e);
	if (p->addr < BOOT_HIGH_START || p->addr >= GMEM_HOLE_START ||
		p->mem_size > GMEM_HOLE_START - p->addr)
		return err_set(e, -ENOEXEC,
			"the kernel '%s' has a segment of %" PRIu64 " bytes at 0x%" PRIx64
			", outside of 1 MiB to 3 GiB",
			f->path, p->mem_size, p->addr);
	if (img->nsegments == PVH_SEGMENTS_MAX)
		return pvh_bad(f, "it has too many segments", e);
	img->segment[img->nsegments].off = p->off;
	img->segment[img->nsegments].addr = p->addr;
	img->segment[img->nsegments].file_size = p->file_size;
	img->segment[img->nsegments].mem_size = p->mem_size;
	img->nsegments++;
	return 0;
}

/* Skips to the next multiple of @align (4 or 8) from the start of the notes. */
static void pvh_align(struct rbuf *r, const uint8_t *start, size_t align)
{
	size_t over = (size_t)(r->p - start) % align;

	if (over && align - over <= rbuf_left(r))
		rbuf_bytes(r, align - over);
	else if (over)
		r->p = r->end; /* the last note's padding may be missing */
}

/* Looks for the entry note; 0 if it is not there. */
static uint32_t pvh_find_note(const uint8_t *notes, size_t n, size_t align)
{
	struct rbuf r = rbuf_of(notes, n);

	while (!r.failed && rbuf_left(&r) >= 12) {
		uint32_t name_len = rbuf_u32(&r), desc_len = rbuf_u32(&r), type = rbuf_u32(&r);
		const char *name = rbuf_bytes(&r, name_len);
		const uint8_t *desc;

		pvh_align(&r, notes, align);
		desc = rbuf_bytes(&r, desc_len);
		pvh_align(&r, notes, align);
		if (!name || !desc || type != PVH_NOTE_PHYS32)
			continue;
		/* Four bytes by the ABI; Linux writes a pointer's eight. */
		if (name_len == 4 && memcmp(name, "Xen", 4) == 0 &&
			(desc_len == 4 || desc_len == 8)) {
			struct rbuf d = rbuf_of(desc, desc_len);

			return rbuf_u32(&d);
		}
	}
	return 0;
}

static int pvh_read_notes(
	const struct boot_file *f, const struct pvh_phdr *p, struct pvh_image *img, struct err *e)
{
	uint8_t *notes;
	int rc;

	if (img->entry || p->file_size == 0 || p->file_size > PVH_NOTES_MAX)
		return 0;
	notes = malloc(p->file_size);
	if (!notes)
		return err_set(e, -ENOMEM, "no memory for the notes of the kernel '%s'", f->path);
	rc = boot_file_read(f, p->off, notes, p->file_size, e);
	if (!rc)
		img->entry = pvh_find_note(notes, p->file_size, p->align == 8 ? 8 : 4);
	free(notes);
	return rc;
}

static bool pvh_entry_is_loaded(const struct pvh_image *img)
{
	for (unsigned i = 0; i < img->nsegments; i++) {
		if (img->entry >= img->segment[i].addr &&
			img->entry - img->segment[i].addr < img->segment[i].file_size)
			return true;
	}
	return false;
}

int pvh_parse(const struct boot_file *f, struct pvh_image *out, struct err *e)
{
	struct pvh_elf elf = { 0 };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = pvh_read_header(f, &elf, e);
	for (unsigned i = 0; !rc && i < elf.phnum; i++) {
		struct pvh_phdr p = { 0 };

		rc = pvh_read_phdr(f, &elf, i, &p, e);
		if (!rc && p.type == PT_LOAD)
			rc = pvh_add_segment(f, &p, out, e);
		else if (!rc && p.type == PT_NOTE)
			rc = pvh_read_notes(f, &p, out, e);
	}
	if (rc)
		return rc;
	if (!out->entry)
		return pvh_bad(f, "without a PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY)", e);
	if (!pvh_entry_is_loaded(out))
		return pvh_bad(f, "its PVH entry point is in no segment", e);
	return 0;
}

/* struct hvm_start_info, its module list and memory map, one after the other. */
static int pvh_write_info(const struct gmem *m, const struct boot_layout *l, struct err *e)
{
	const uint64_t modules = BOOT_INFO_ADDR + PVH_INFO_SIZE + 8; /* keep 16-byte alignment */
	const uint64_t memmap = modules + PVH_MODULE_SIZE;
	struct boot_range map[BOOT_MAP_MAX];
	unsigned n = boot_map_fill(m, map);
	struct wbuf w;
	int rc = 0;

	wbuf_init(&w);
	wbuf_u32(&w, PVH_MAGIC);
	wbuf_u32(&w, PVH_START_VERSION);
	wbuf_u32(&w, 0);
	wbuf_u32(&w, l->initrd_size ? 1 : 0);
	wbuf_u64(&w, l->initrd_size ? modules : 0);
	wbuf_u64(&w, BOOT_CMDLINE_ADDR);
	wbuf_u64(&w, l->rsdp);
	wbuf_u64(&w, memmap);
	wbuf_u32(&w, n);
	wbuf_u32(&w, 0);
	wbuf_u64(&w, 0); /* to `modules` */
	wbuf_u64(&w, l->initrd_addr);
	wbuf_u64(&w, l->initrd_size);
	wbuf_u64(&w, 0); /* no command line of its own */
	wbuf_u64(&w, 0);
	for (unsigned i = 0; i < n; i++) {
		wbuf_u64(&w, map[i].addr);
		wbuf_u64(&w, map[i].size);
		wbuf_u32(&w, map[i].type);
		wbuf_u32(&w, 0);
	}
	if (w.failed || !gmem_write(m, BOOT_INFO_ADDR, w.data, w.len))
		rc = err_set(e, -ENOMEM, "no memory for the PVH start info");
	wbuf_fini(&w);
	return rc;
}

static int pvh_load_segments(const struct gmem *m, const struct boot_file *f,
	const struct pvh_image *img, struct boot_layout *l, struct err *e)
{
	char ram[32];

	for (unsigned i = 0; i < img->nsegments; i++) {
		uint64_t end = img->segment[i].addr + img->segment[i].mem_size;
		int rc = 0;

		if (end > l->low_end)
			return err_set(e, -ENOMEM,
				"the kernel '%s' does not fit: it needs memory up to 0x%" PRIx64
				", the guest has %s",
				f->path, end, size_format(m->size, ram, sizeof(ram)));
		if (img->segment[i].file_size)
			rc = boot_file_load(f, img->segment[i].off, m, img->segment[i].addr,
				img->segment[i].file_size, e);
		if (rc)
			return rc;
		if (end > l->kernel_end)
			l->kernel_end = end;
	}
	return 0;
}

int pvh_load(const struct gmem *m, const struct boot_file *f, const struct pvh_image *img,
	const struct boot_file *initrd, struct boot_layout *l, struct boot_entry *out,
	struct err *e)
{
	int rc = pvh_load_segments(m, f, img, l, e);
	if (!rc && initrd)
		rc = boot_initrd_load(m, initrd, l->low_end, l, e);
	if (!rc)
		rc = pvh_write_info(m, l, e);
	if (!rc)
		rc = boot_gdt_write(m, false, out, e);
	if (rc)
		return rc;
	out->mode = BOOT_PVH32;
	out->ip = img->entry;
	out->info = BOOT_INFO_ADDR;
	out->cr3 = 0;
	return 0;
}
