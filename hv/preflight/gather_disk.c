/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what is found out about disks, and the file PATH.check beside an image, which the source
 * makes and removes: it holds a number that was not sent, and is locked. A target that reads the
 * number is in the same folder; one that is refused the lock hears of locks held by the source's
 * host. Must never open an image for writing, nor touch its lock or the record of who holds it:
 * a check cannot harm them. Next in the flow: check_disks.c, check_disk_locks.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hv/preflight/gather.h"

#define DISK_SAMPLES 16
#define DISK_SAMPLE  4096u

static const char *disk_mark(const struct pf_disk *d, char *out)
{
	snprintf(out, PF_PATH + sizeof(PF_MARK), "%s" PF_MARK, d->path);
	return out;
}

static void disk_line(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");

	out[0] = '\0';
	if (f && !fgets(out, (int)size, f))
		out[0] = '\0';
	if (f)
		fclose(f);
	for (char *p = out; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = *p == '\n' ? '\0' : '?';
	}
}

/* What the vendor, the device mapper or the loop driver call the device, the same on every host. */
static void disk_identity(struct pf_disk *d, dev_t dev)
{
	static const char *const where[] = { "wwid", "device/wwid", "dm/uuid", "serial",
		"device/serial" };
	char path[96];

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]) && !d->identity[0]; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev),
			where[i]);
		disk_line(path, d->identity, sizeof(d->identity));
	}
}

/* FNV-1a of some blocks from the first to the last; never 0. -1: they cannot be read. */
static uint64_t disk_digest(int fd, uint64_t size)
{
	uint64_t h = 0xcbf29ce484222325ull, step = size / DISK_SAMPLES;
	uint8_t block[DISK_SAMPLE];

	for (unsigned i = 0; i <= DISK_SAMPLES; i++) {
		uint64_t at = i < DISK_SAMPLES     ? i * step
			      : size > DISK_SAMPLE ? size - DISK_SAMPLE
						   : 0;
		ssize_t n = pread(fd, block, sizeof(block), (off_t)at);

		if (n < 0)
			return 0;
		for (ssize_t k = 0; k < n; k++)
			h = (h ^ block[k]) * 0x100000001b3ull;
	}
	return h ? h : 1;
}

/*
 * Whether a lock is on the image, asked without taking one. It is of an open file description, so
 * that of this very process counts. A path that leads to an image nobody has locked does not lead
 * to the one a guest uses.
 */
static enum pf_know disk_held(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return PF_UNKNOWN;
	return l.l_type == F_UNLCK ? PF_NO : PF_YES;
}

/* Opens the image to read and fills in what it is: the descriptor, or -1 and d->error. */
static int disk_open(struct pf_disk *d)
{
	int fd = open(d->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(d->error, sizeof(d->error), "%s", strerrordesc_np(errno));
		goto bad;
	}
	d->device = S_ISBLK(st.st_mode);
	if (!d->device && !S_ISREG(st.st_mode)) {
		snprintf(d->error, sizeof(d->error), "it is neither a file nor a block device");
		goto bad;
	}
	if (!d->readonly && access(d->path, W_OK) < 0) {
		snprintf(d->error, sizeof(d->error), "it may not be written: %s",
			strerrordesc_np(errno));
		goto bad;
	}
	d->size = (uint64_t)st.st_size;
	d->inode = d->device ? 0 : st.st_ino;
	d->held = disk_held(fd);
	if (d->device) {
		if (ioctl(fd, BLKGETSIZE64, &d->size) < 0)
			d->size = 0;
		disk_identity(d, st.st_rdev);
	} else if (d->readonly) {
		d->digest = disk_digest(fd, d->size);
	}
	return fd;
bad:
	if (fd >= 0)
		close(fd);
	return -1;
}

static int disk_try_lock(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &l) == 0 ? 0 : errno;
}

static void disk_lock_error(struct pf_disk *d, int error)
{
	d->lock = PF_LOCK_NONE;
	snprintf(d->lock_error, sizeof(d->lock_error), "%s", strerrordesc_np(error));
}

/* Writes the number; the file is kept open, for its lock. -1: it cannot be. */
static int disk_write_mark(struct pf_disk *d)
{
	char path[PF_PATH + sizeof(PF_MARK)], text[32];
	uint64_t nonce = 0;
	int fd = open(
		disk_mark(d, path), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	int error, n;

	if (fd < 0)
		return -1;
	error = disk_try_lock(fd);
	/* Whoever holds it is another check of this very image: the number there is not ours. */
	if (error == EAGAIN || error == EACCES) {
		close(fd);
		return -1;
	}
	if (error)
		disk_lock_error(d, error);
	else
		d->lock = PF_LOCK_HELD;
	while (!nonce && getrandom(&nonce, sizeof(nonce), 0) == sizeof(nonce))
		;
	n = snprintf(text, sizeof(text), "%016" PRIx64 "\n", nonce);
	/* Synced, so that a network's filesystem shows it to the other host. */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n && fdatasync(fd) == 0)
		d->nonce = nonce;
	return fd;
}

void pf_disks_mark(struct pf_facts *f, struct pf_marks *m)
{
	for (uint32_t i = 0; i < PF_DISKS; i++)
		m->fd[i] = -1;
	for (uint32_t i = 0; i < f->ndisks; i++) {
		struct pf_disk *d = &f->disk[i];
		int fd = disk_open(d);

		if (fd < 0)
			continue;
		close(fd);
		if (!d->device && !d->readonly)
			m->fd[i] = disk_write_mark(d);
	}
}

void pf_disks_unmark(const struct pf_facts *f, struct pf_marks *m)
{
	char path[PF_PATH + sizeof(PF_MARK)];

	for (uint32_t i = 0; i < PF_DISKS; i++) {
		if (m->fd[i] < 0)
			continue;
		unlink(disk_mark(&f->disk[i], path)); /* while the lock is ours */
		close(m->fd[i]);
		m->fd[i] = -1;
	}
}

static void disk_read_mark(struct pf_disk *d)
{
	char path[PF_PATH + sizeof(PF_MARK)], text[32] = "";
	int fd = open(disk_mark(d, path), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), error;
	struct stat st;

	if (fd < 0) {
		if (errno != ENOENT)
			snprintf(
				d->lock_error, sizeof(d->lock_error), "%s", strerrordesc_np(errno));
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		error = disk_try_lock(fd);
		if (error == EAGAIN || error == EACCES)
			d->lock = PF_LOCK_HELD;
		else if (error)
			disk_lock_error(d, error);
		else
			d->lock = PF_LOCK_FREE;
		if (pread(fd, text, sizeof(text) - 1, 0) > 0)
			d->nonce = strtoull(text, NULL, 16);
	}
	close(fd);
}

void pf_disks_look(struct pf_facts *f)
{
	for (uint32_t i = 0; i < f->ndisks; i++) {
		struct pf_disk *d = &f->disk[i];
		int fd = disk_open(d);

		if (fd < 0)
			continue;
		close(fd);
		if (!d->device && !d->readonly)
			disk_read_mark(d);
	}
}
