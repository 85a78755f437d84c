/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes boot_load(): the input is the kernel file, loaded into a small guest. The first byte says
 * whether the magic numbers of a kind are put in, so that the time goes into what lies behind them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_MIN 1024u

static void make_bzimage(uint8_t *f)
{
	memcpy(f + 0x1fe, "\x55\xaa", 2);
	memcpy(f + 0x202, "HdrS\x0f\x02", 6);
	f[0x211] |= 1;
	f[0x236] |= 1;
}

static void make_elf(uint8_t *f)
{
	memcpy(f, "\177ELF\x02\x01", 6);
	memcpy(f + 16, "\x02\x00\x3e\x00", 4); /* executable, x86-64 */
	memcpy(f + 32, "\x40\0\0\0\0\0\0", 8); /* program headers behind this one */
	memcpy(f + 54, "\x38\x00", 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gmem m;
	static char path[64];
	static int fd = -1;
	struct boot_params p = {
		.kernel = path, .initrd = path, .cmdline = "console=ttyS0", .cpus = 2
	};
	struct boot_entry out;
	struct err e = { 0 };
	uint8_t *file;
	size_t n;

	if (fd < 0) {
		fd = memfd_create("kernel", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fd < 0 || gmem_init(&m, GMEM_SIZE_MIN, &e))
			abort();
	}
	if (size < 1)
		return 0;
	n = data[0] % 3 && size < FILE_MIN ? FILE_MIN : size;
	file = calloc(1, n);
	if (!file)
		abort();
	memcpy(file, data + 1, size - 1);
	if (data[0] % 3 == 1)
		make_bzimage(file);
	else if (data[0] % 3 == 2)
		make_elf(file);
	if (ftruncate(fd, 0) || pwrite(fd, file, n, 0) != (ssize_t)n)
		abort();
	free(file);
	/* A refusal says why; what is accepted starts in RAM. */
	if (boot_load(&m, &p, &out, &e)) {
		if (e.code >= 0 || !e.msg[0])
			abort();
	} else if (!gmem_find(&m, out.ip, 1) || !gmem_find(&m, out.info, 1)) {
		abort();
	}
	gmem_discard_all(&m, &e);
	return 0;
}
