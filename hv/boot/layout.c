/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what both boot protocols share: the memory map, the GDT, the place of the initrd. Must never
 * put two things in one place: everything below 1 MiB is in image.h's list, everything above lies
 * between the kernel's end and RAM's.
 * Next in the flow: pvh.c, bzimage.c.
 */
#include "hv/boot/image.h"

#include <errno.h>
#include <inttypes.h>

#include "hv/base/codec.h"
#include "hv/base/machine.h"
#include "hv/base/size.h"

unsigned boot_map_fill(const struct gmem *m, struct boot_range map[BOOT_MAP_MAX])
{
	unsigned n = 0;

	map[n++] = (struct boot_range){ 0, BOOT_LOW_END, BOOT_MAP_RAM };
	map[n++] = (struct boot_range){ BOOT_LOW_END, 0xa0000 - BOOT_LOW_END, BOOT_MAP_RESERVED };
	map[n++] = (struct boot_range){ BOOT_ROM_ADDR, BOOT_HIGH_START - BOOT_ROM_ADDR,
		BOOT_MAP_RESERVED };
	map[n++] = (struct boot_range){ BOOT_HIGH_START, m->regions[0].size - BOOT_HIGH_START,
		BOOT_MAP_RAM };
	map[n++] = (struct boot_range){ MACHINE_PCI_ECAM_BASE, MACHINE_PCI_ECAM_SIZE,
		BOOT_MAP_RESERVED };
	map[n++] = (struct boot_range){ MACHINE_RESERVED_HIGH,
		GMEM_HOLE_END - MACHINE_RESERVED_HIGH, BOOT_MAP_RESERVED };
	for (uint32_t i = 1; i < m->nregions && n < BOOT_MAP_MAX; i++)
		map[n++] =
			(struct boot_range){ m->regions[i].gpa, m->regions[i].size, BOOT_MAP_RAM };
	return n;
}

int boot_initrd_load(const struct gmem *m, const struct boot_file *f, uint64_t limit,
	struct boot_layout *l, struct err *e)
{
	uint64_t end = limit < l->low_end ? limit : l->low_end;
	uint64_t start = (l->kernel_end + GMEM_PAGE_SIZE - 1) & ~(GMEM_PAGE_SIZE - 1);
	uint64_t room = end > start ? end - start : 0;
	char want[32], have[32], ram[32];
	uint64_t addr;
	int rc;

	addr = f->size <= room ? (end - f->size) & ~(GMEM_PAGE_SIZE - 1) : 0;
	if (addr < start)
		return err_set(e, -ENOMEM,
			"the initrd '%s' of %s does not fit: beside the kernel, guest memory of %s "
			"has %s for it",
			f->path, size_format(f->size, want, sizeof(want)),
			size_format(m->size, ram, sizeof(ram)),
			size_format(room, have, sizeof(have)));
	rc = boot_file_load(f, 0, m, addr, f->size, e);
	if (rc)
		return rc;
	l->initrd_addr = addr;
	l->initrd_size = f->size;
	return 0;
}

int boot_gdt_write(const struct gmem *m, bool wide, struct boot_entry *out, struct err *e)
{
	/* Base 0, limit 4 GiB, present, ring 0, accessed: code execute/read, data read/write. */
	const uint64_t code32 = 0x00cf9b000000ffffull, code64 = 0x00af9b000000ffffull;
	const uint64_t data = 0x00cf93000000ffffull;
	struct wbuf w;
	int rc = 0;

	wbuf_init(&w);
	wbuf_u64(&w, 0);
	wbuf_u64(&w, 0);
	wbuf_u64(&w, wide ? code64 : code32);
	wbuf_u64(&w, data);
	if (w.failed || !gmem_write(m, BOOT_GDT_ADDR, w.data, w.len))
		rc = err_set(e, -ENOMEM, "no memory for the boot GDT");
	wbuf_fini(&w);
	out->gdt = BOOT_GDT_ADDR;
	out->gdt_limit = BOOT_GDT_SIZE - 1;
	return rc;
}
