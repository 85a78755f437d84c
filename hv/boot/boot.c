/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of loading: open the files, tell the kernel's kind from its header, write ACPI
 * tables and command line, hand over to the protocol. Must never guess: a file that is neither kind
 * is refused with what it seems to be.
 * Next in the flow: file.c, acpi.c, then pvh.c or bzimage.c.
 */
#include "hv/boot/boot.h"

#include <errno.h>
#include <string.h>

#include "hv/boot/acpi.h"
#include "hv/boot/file.h"
#include "hv/boot/image.h"

#define BOOT_PROBE 0x206u /* bytes: up to and with "HdrS" */

enum boot_kind { BOOT_KIND_ELF, BOOT_KIND_BZIMAGE, BOOT_KIND_OTHER };

/* What people hand over by mistake, by the first bytes. */
static const struct {
	const char *magic;
	size_t len;
	const char *what;
} boot_lookalikes[] = {
	{ "\x1f\x8b", 2, "it is gzip-compressed" },
	{ "\xfd"
	  "7zXZ",
		5, "it is xz-compressed" },
	{ "\x28\xb5\x2f\xfd", 4, "it is zstd-compressed" },
	{ "070701", 6, "it is a cpio archive, such as an initrd" },
	{ "!<arch>", 7, "it is an archive, such as a Debian package" },
	{ "#!", 2, "it is a script" },
	{ "MZ", 2, "it is a DOS or EFI program without a Linux setup header" },
};

static enum boot_kind boot_probe(const uint8_t *h, size_t n)
{
	if (n >= 4 && memcmp(h, "\177ELF", 4) == 0)
		return BOOT_KIND_ELF;
	if (n == BOOT_PROBE && memcmp(h + 0x202, "HdrS", 4) == 0 && h[0x1fe] == 0x55 &&
		h[0x1ff] == 0xaa)
		return BOOT_KIND_BZIMAGE;
	return BOOT_KIND_OTHER;
}

static int boot_refuse(const struct boot_file *f, const uint8_t *h, size_t n, struct err *e)
{
	const size_t count = sizeof(boot_lookalikes) / sizeof(boot_lookalikes[0]);

	for (size_t i = 0; i < count; i++) {
		size_t len = boot_lookalikes[i].len;

		if (n >= len && memcmp(h, boot_lookalikes[i].magic, len) == 0)
			return err_set(e, -ENOEXEC,
				"'%s' is neither a bzImage nor a PVH ELF kernel: %s", f->path,
				boot_lookalikes[i].what);
	}
	return err_set(e, -ENOEXEC,
		"'%s' is neither a bzImage nor a PVH ELF kernel: it starts with the bytes "
		"%02x %02x %02x %02x",
		f->path, h[0], h[1], h[2], h[3]);
}

static int boot_write_cmdline(const struct gmem *m, const char *s, struct err *e)
{
	size_t n = strlen(s) + 1;

	if (n > BOOT_CMDLINE_MAX)
		return err_set(e, -E2BIG, "the command line has %zu characters, at most %d fit",
			n - 1, BOOT_CMDLINE_MAX - 1);
	if (!gmem_write(m, BOOT_CMDLINE_ADDR, s, n))
		return err_set(e, -ENOMEM, "no guest memory for the command line");
	return 0;
}

static int boot_load_kind(const struct gmem *m, const struct boot_params *p,
	const struct boot_file *kernel, const struct boot_file *initrd, struct boot_layout *l,
	struct boot_entry *out, struct err *e)
{
	uint8_t h[BOOT_PROBE] = { 0 };
	size_t n = kernel->size < sizeof(h) ? (size_t)kernel->size : sizeof(h);
	struct pvh_image pvh;
	struct bzimage bz;
	int rc = boot_file_read(kernel, 0, h, n, e);

	if (rc)
		return rc;
	switch (boot_probe(h, n)) {
	case BOOT_KIND_ELF:
		rc = pvh_parse(kernel, &pvh, e);
		return rc ? rc : pvh_load(m, kernel, &pvh, initrd, l, out, e);
	case BOOT_KIND_BZIMAGE:
		rc = bzimage_parse(kernel, &bz, e);
		return rc ? rc : bzimage_load(m, kernel, &bz, p, initrd, l, out, e);
	default: return boot_refuse(kernel, h, n, e);
	}
}

int boot_load(
	const struct gmem *m, const struct boot_params *p, struct boot_entry *out, struct err *e)
{
	struct boot_file kernel = { .fd = -1 }, initrd = { .fd = -1 };
	struct boot_layout l = { .low_end = m->regions[0].size };
	int rc;

	memset(out, 0, sizeof(*out));
	rc = boot_file_open(&kernel, "kernel", p->kernel, e);
	if (!rc && p->initrd)
		rc = boot_file_open(&initrd, "initrd", p->initrd, e);
	if (!rc)
		rc = boot_write_cmdline(m, p->cmdline, e);
	if (!rc)
		rc = acpi_write(m, p->cpus, &l.rsdp, e);
	if (!rc)
		rc = boot_load_kind(m, p, &kernel, p->initrd ? &initrd : NULL, &l, out, e);
	boot_file_close(&initrd);
	boot_file_close(&kernel);
	return rc;
}
