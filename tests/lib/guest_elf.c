/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the smallest ELF file that hv/boot takes for a PVH kernel (see guest_elf.h). */
#include "tests/lib/guest_elf.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct guest_elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr nh;
	char owner[4];
	uint32_t entry;
	uint8_t code[GUEST_ELF_CODE];
};

int guest_elf_write(const char *path, const uint8_t *code, size_t n)
{
	struct guest_elf g = {
		.eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = GUEST_ELF_LOAD,
			.e_phoff = offsetof(struct guest_elf, ph),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2 },
		.ph = { { .p_type = PT_LOAD,
				.p_flags = PF_R | PF_X,
				.p_offset = offsetof(struct guest_elf, code),
				.p_vaddr = GUEST_ELF_LOAD,
				.p_paddr = GUEST_ELF_LOAD,
				.p_filesz = n,
				.p_memsz = n },
			{ .p_type = PT_NOTE,
				.p_offset = offsetof(struct guest_elf, nh),
				.p_filesz = 20,
				.p_memsz = 20,
				.p_align = 4 } },
		.nh = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
		.owner = "Xen",
		.entry = GUEST_ELF_LOAD,
	};
	FILE *f;
	int bad;

	if (n > sizeof(g.code))
		return -EINVAL;
	memcpy(g.code, code, n);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	bad = fwrite(&g, sizeof(g), 1, f) != 1;
	return fclose(f) != 0 || bad ? -EIO : 0;
}
