/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the lock on an image and who is named when it is refused. The lock decides; the record
 * beside the image (block_own.c) explains here, and only there says whose the guest is.
 * Must never keep a guest from starting because a note cannot be written.
 * Invariant: nobody writes an image without its write lock (virtio_blk.c keeps that).
 * Why so: docs/decisions/0052-disk-locks.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/dev/block_internal.h"

#define LOCK_NOTE BLOCK_NOTE
#define LOCK_DIR                                                                                   \
	"/run/lock"   /* the Filesystem Hierarchy Standard's place for a device's lock file */
#define LOCK_RETRY 10 /* ms */
#define LOCK_TEXT  256u

bool block_note_path(const struct block *b, char *out, size_t size)
{
	struct stat st;

	if (!b->device)
		return (size_t)snprintf(out, size, "%s" LOCK_NOTE, b->path) < size;
	/* A device's folder is no place for files, and the note is this host's own, as its node is.
	 */
	return fstat(b->fd, &st) == 0 &&
	       (size_t)snprintf(out, size, LOCK_DIR "/watari-%u-%u" LOCK_NOTE, major(st.st_rdev),
		       minor(st.st_rdev)) < size;
}

void block_lock_note(struct block *b, const char *guest)
{
	struct block_owner o = { 0 };
	int r;

	if (b->readonly || !b->locked || (b->noted && b->owner.epoch))
		return;
	snprintf(o.guest, sizeof(o.guest), "%s", guest);
	r = block_record_write(b, &o, false);
	if (r)
		log_debug("disk '%s': cannot note the holder: %s", b->name, strerrordesc_np(-r));
}

/* Only what we wrote: the record may be a later owner's by now. */
void block_lock_note_end(struct block *b)
{
	char path[BLOCK_NOTE_PATH];
	struct block_record r;

	if (!b->noted || block_lock(b, 0, NULL) || block_record_read(b, &r) ||
		memcmp(r.owner.uuid, b->owner.uuid, UUID_SIZE) != 0 ||
		r.owner.epoch != b->owner.epoch || strcmp(r.owner.guest, b->owner.guest) != 0)
		return;
	if (block_note_path(b, path, sizeof(path)))
		unlink(path);
}

/* What the note says, cut to one printable line; "" if there is none. */
static void lock_note_read(const struct block *b, char *out, size_t size)
{
	char path[BLOCK_NOTE_PATH];
	struct block_record r;
	struct stat st;
	ssize_t n = 0;
	int fd;

	out[0] = '\0';
	if (block_record_read(b, &r) == 0) {
		snprintf(out, size, "guest %s on host %s, process %d", r.owner.guest, r.host,
			r.process);
		return;
	}
	if (!block_note_path(b, path, sizeof(path)))
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	for (char *p = out; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '\0';
	}
}

static int lock_try(const struct block *b)
{
	struct flock l = { .l_type = b->readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(b->fd, F_OFD_SETLK, &l) == 0 ? 0 : -errno;
}

static int lock_refused(const struct block *b, struct err *e)
{
	struct flock l = { .l_type = b->readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
	char note[LOCK_TEXT], path[BLOCK_NOTE_PATH];
	bool readers = fcntl(b->fd, F_OFD_GETLK, &l) == 0 && l.l_type == F_RDLCK;

	/* Those who only read leave no note; one that is there is a former writer's. */
	if (readers)
		return err_set(e, -EAGAIN,
			"disk '%s': %s is in use for reading by another guest; it can be shared only "
			"with readonly=on",
			b->name, b->path);
	lock_note_read(b, note, sizeof(note));
	if (note[0] && block_note_path(b, path, sizeof(path)))
		return err_set(e, -EAGAIN,
			"disk '%s': %s is in use by %s (says %s); stop that guest first, or give this "
			"one its own image",
			b->name, b->path, note, path);
	return err_set(e, -EAGAIN,
		"disk '%s': %s is locked by another program or guest that left no name; stop it first "
		"(lsof %s names it if it is on this host)",
		b->name, b->path, b->path);
}

int block_lock(struct block *b, int wait_ms, struct err *e)
{
	const struct timespec pause = { .tv_nsec = LOCK_RETRY * 1000000 };
	int r = b->locked ? 0 : lock_try(b);

	for (; (r == -EAGAIN || r == -EACCES) && wait_ms > 0; wait_ms -= LOCK_RETRY) {
		nanosleep(&pause, NULL);
		r = lock_try(b);
	}
	if (r == -EAGAIN || r == -EACCES)
		return lock_refused(b, e);
	if (r)
		return err_set(e, r,
			"disk '%s': cannot lock %s: %s (a guest's disk needs a filesystem with locks; over "
			"NFS, version 4)",
			b->name, b->path, strerrordesc_np(-r));
	b->locked = true;
	/* What this host may have kept of a shared device is older than what its last user wrote.
	 * Filesystems that are shared see to that themselves. */
	if (b->device)
		posix_fadvise(
			b->fd_buffered >= 0 ? b->fd_buffered : b->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

void block_unlock(struct block *b)
{
	struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (!b->locked)
		return;
	if (fcntl(b->fd, F_OFD_SETLK, &l) < 0)
		log_warn("disk '%s': cannot unlock %s: %s", b->name, b->path,
			strerrordesc_np(errno));
	b->locked = false;
}

bool block_locked(const struct block *b)
{
	return b->locked;
}
