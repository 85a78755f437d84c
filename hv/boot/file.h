/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file being loaded: opened once, its size known, read at offsets. Every error names the file.
 * Invariant: a read gives all the bytes asked for or an error; a file that shrinks is an error.
 * Next in the flow: hv/boot/image.h.
 */
#ifndef WATARI_BOOT_FILE_H
#define WATARI_BOOT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/mem/gmem.h"

struct boot_file {
	const char *what; /* "kernel" or "initrd", for messages */
	const char *path; /* the caller's */
	int fd;
	uint64_t size; /* bytes when opened */
};

/* 0, or -errno: missing, unreadable, not a regular file, empty. Close what was opened. */
int boot_file_open(struct boot_file *f, const char *what, const char *path, struct err *e);
void boot_file_close(struct boot_file *f);

/* Bytes @off..@off+@n-1 into @dst. -ENOEXEC if the file ends before. */
int boot_file_read(const struct boot_file *f, uint64_t off, void *dst, size_t n, struct err *e);

/* The same straight into guest memory, which is marked as written. -ENOMEM if that is not RAM. */
int boot_file_load(const struct boot_file *f, uint64_t off, const struct gmem *m, uint64_t gpa,
	uint64_t n, struct err *e);

#endif
