/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns opening and reading of kernel and initrd files (see file.h). Must never trust the size it
 * saw at opening: every read is checked for its length again.
 * Next in the flow: boot.c.
 */
#include "hv/boot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

int boot_file_open(struct boot_file *f, const char *what, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	/* O_NONBLOCK: a FIFO must be refused below, not waited for. */
	*f = (struct boot_file){ .what = what, .path = path };
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0)
		return err_errno(e, "cannot open the %s '%s'", what, path);
	if (fstat(f->fd, &st) < 0)
		rc = err_errno(e, "cannot examine the %s '%s'", what, path);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(e, -EINVAL, "the %s '%s' is not a regular file", what, path);
	else if (st.st_size <= 0)
		rc = err_set(e, -ENOEXEC, "the %s '%s' is empty", what, path);
	else
		rc = 0;
	f->size = rc ? 0 : (uint64_t)st.st_size;
	if (rc)
		boot_file_close(f);
	return rc;
}

void boot_file_close(struct boot_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

int boot_file_read(const struct boot_file *f, uint64_t off, void *dst, size_t n, struct err *e)
{
	uint8_t *p = dst;

	if (off > f->size || n > f->size - off)
		return err_set(e, -ENOEXEC,
			"the %s '%s' is truncated: it has %" PRIu64
			" bytes, its header asks for %zu at offset %" PRIu64,
			f->what, f->path, f->size, n, off);
	while (n) {
		ssize_t got = pread(f->fd, p, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, "cannot read the %s '%s'", f->what, f->path);
		if (got == 0)
			return err_set(e, -ENOEXEC, "the %s '%s' shrank while it was being read",
				f->what, f->path);
		p += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int boot_file_load(const struct boot_file *f, uint64_t off, const struct gmem *m, uint64_t gpa,
	uint64_t n, struct err *e)
{
	uint8_t *p = gmem_view(m, gpa, n);
	int rc;

	if (!p)
		return err_set(e, -ENOMEM,
			"the %s '%s' does not fit: no guest memory for %" PRIu64
			" bytes at 0x%" PRIx64,
			f->what, f->path, n, gpa);
	rc = boot_file_read(f, off, p, n, e);
	/* Also after a failure: some of the bytes may be in. */
	gmem_mark(m, gpa, n);
	return rc;
}
