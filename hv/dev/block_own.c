/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the record beside an image (see block_own.h): its form, reading, durable writing, and the
 * judgement. Must never take the record's word without the lock, but to learn that it is too late.
 * Why so: docs/decisions/0062-the-hand-over.md.
 * Next in the flow: block_lock.c.
 */
#include "hv/dev/block_own.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/dev/block_internal.h"

/* ---- the form ----------------------------------------------------------------------------- */

void block_record_format(char out[BLOCK_RECORD_SIZE], const struct block_record *r)
{
	char uuid[UUID_TEXT];
	int n = snprintf(out, BLOCK_RECORD_SIZE,
		"{\"guest\":\"%.63s\",\"uuid\":\"%s\",\"epoch\":%" PRIu64
		",\"host\":\"%.64s\",\"process\":%d}",
		r->owner.guest, uuid_format(r->owner.uuid, uuid), r->owner.epoch, r->host,
		r->process);

	memset(out + n, ' ', (size_t)(BLOCK_RECORD_SIZE - n));
	out[BLOCK_RECORD_SIZE - 1] = '\n';
}

/* sscanf() takes signs, blanks and numbers too large: only what is written back the same is ours.
 */
bool block_record_parse(const char *text, size_t len, struct block_record *out)
{
	char copy[BLOCK_RECORD_SIZE + 1], again[BLOCK_RECORD_SIZE], uuid[UUID_TEXT];

	memset(out, 0, sizeof(*out));
	if (len != BLOCK_RECORD_SIZE)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (sscanf(copy,
		    "{\"guest\":\"%63[^\"]\",\"uuid\":\"%36[^\"]\",\"epoch\":%" SCNu64
		    ",\"host\":\"%64[^\"]\",\"process\":%d}",
		    out->owner.guest, uuid, &out->owner.epoch, out->host, &out->process) != 5 ||
		!uuid_parse(uuid, out->owner.uuid))
		return false;
	for (const char *p = copy; p < copy + BLOCK_RECORD_SIZE - 1; p++) {
		if (*p < ' ' || *p > '~')
			return false;
	}
	block_record_format(again, out);
	return memcmp(copy, again, sizeof(again)) == 0;
}

/* This host's name as a record has it: printable, and nothing that would end the string. */
static void own_host(char host[65])
{
	memset(host, 0, 65);
	gethostname(host, 64);
	for (char *p = host; *p; p++) {
		if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\')
			*p = '_';
	}
	if (!host[0])
		strcpy(host, "?");
}

static bool own_mine(const struct block_record *r)
{
	char host[65];

	own_host(host);
	return r->process == (int)getpid() && strcmp(r->host, host) == 0;
}

/* ---- the judgement ------------------------------------------------------------------------ */

enum block_own block_own_judge(enum block_own_lock lock, int read, const struct block_record *r,
	bool mine, const struct block_owner *expected)
{
	bool elsewhere = lock == BLOCK_OWN_LOCK_ELSEWHERE;

	if (read == 0) {
		/* What we wrote ourselves and could not be sure of is still our claim. */
		bool same = memcmp(r->owner.uuid, expected->uuid, UUID_SIZE) == 0;
		bool ours = same && mine && r->owner.epoch == expected->epoch + 1;

		if (!ours && (!same || r->owner.epoch != expected->epoch))
			return BLOCK_OWN_DENIED;
		if (elsewhere)
			return ours ? BLOCK_OWN_MUTE : BLOCK_OWN_HELD;
		return BLOCK_OWN_TAKEN;
	}
	/* Without the lock a record may be half written. */
	if (elsewhere)
		return BLOCK_OWN_HELD;
	/* Only the owner takes the record away, when the guest ends; or somebody did by hand. */
	if (read == -ENOENT)
		return lock == BLOCK_OWN_LOCK_KEPT ? BLOCK_OWN_TAKEN : BLOCK_OWN_DENIED;
	return BLOCK_OWN_MUTE;
}

/* ---- the file ----------------------------------------------------------------------------- */

static int own_read(int fd, struct block_record *out)
{
	char text[BLOCK_RECORD_SIZE];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	n = pread(fd, text, sizeof(text), 0);
	if (n < 0)
		return -errno;
	return block_record_parse(text, (size_t)n, out) ? 0 : -EBADMSG;
}

/* Opened anew each time: over NFS that is what makes sure to see what was written before. */
int block_record_read(const struct block *b, struct block_record *out)
{
	char path[BLOCK_NOTE_PATH];
	int fd, r;

	if (!block_note_path(b, path, sizeof(path)))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = own_read(fd, out);
	close(fd);
	return r;
}

/*
 * The record through one descriptor that holds a lock on it: a write that waited while the lease
 * ended is then refused by the server instead of arriving after another's. -EAGAIN: somebody else
 * is at it, so the image's lock is not ours any more.
 */
static int own_fence(const struct block *b)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[BLOCK_NOTE_PATH];
	int fd, r;

	if (!block_note_path(b, path, sizeof(path)))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return fd;
	r = errno == EACCES ? -EAGAIN : -errno;
	close(fd);
	return r;
}

/* A new name in a folder is only there for good when the folder is written. */
static int own_sync_folder(const char *path)
{
	char copy[BLOCK_NOTE_PATH];
	int fd, r;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* Writes the record and closes @fd. */
static int own_write(struct block *b, int fd, const struct block_owner *o, bool durable)
{
	struct block_record r = { .owner = *o, .process = (int)getpid() };
	char text[BLOCK_RECORD_SIZE];
	struct stat st;
	int rc = 0;

	own_host(r.host);
	block_record_format(text, &r);
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode))
		rc = -EBADMSG;
	/* In place and of one size: there is no moment at which the record is not there. */
	else if (pwrite(fd, text, sizeof(text), 0) != (ssize_t)sizeof(text))
		rc = errno ? -errno : -EIO;
	else if (st.st_size > (off_t)sizeof(text) && ftruncate(fd, sizeof(text)) < 0)
		rc = -errno;
	else if (durable && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0) /* over NFS it may be here that a failure shows */
		rc = -errno;
	if (rc == 0) {
		b->noted = true;
		b->owner = *o;
	}
	return rc;
}

int block_record_write(struct block *b, const struct block_owner *o, bool durable)
{
	char path[BLOCK_NOTE_PATH];
	struct stat st;
	bool fresh;
	int fd, rc;

	if (!block_note_path(b, path, sizeof(path)))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	fresh = fstat(fd, &st) == 0 && st.st_size == 0;
	rc = own_write(b, fd, o, durable);
	return rc == 0 && durable && fresh ? own_sync_folder(path) : rc;
}

/* ---- the owner ---------------------------------------------------------------------------- */

bool block_own_possible(const struct block *b)
{
	return !b->readonly && !b->device;
}

static int own_cannot_write(const struct block *b, int r, struct err *e)
{
	char path[BLOCK_NOTE_PATH] = "its record";

	block_note_path(b, path, sizeof(path));
	return err_set(e, r, "disk '%s': cannot write %s: %s", b->name, path, strerrordesc_np(-r));
}

static void own_explain(const struct block *b, enum block_own found, int read,
	const struct block_record *r, struct err *e)
{
	char path[BLOCK_NOTE_PATH] = "its record";

	block_note_path(b, path, sizeof(path));
	if (found == BLOCK_OWN_DENIED && read == 0)
		err_set(e, -EBUSY,
			"disk '%s': by %s it is guest %s's, epoch %" PRIu64
			", on host %s, process %d",
			b->name, path, r->owner.guest, r->owner.epoch, r->host, r->process);
	else if (found == BLOCK_OWN_DENIED)
		err_set(e, -EBUSY, "disk '%s': %s is gone, so its owner has ended the guest",
			b->name, path);
	else if (found == BLOCK_OWN_MUTE && read == 0)
		err_set(e, -EAGAIN,
			"disk '%s': the record is this process's, but somebody else holds the lock",
			b->name);
	else if (found == BLOCK_OWN_MUTE)
		err_set(e, read, "disk '%s': cannot read %s: %s", b->name, path,
			read == -EBADMSG ? "it is not what watari writes" : strerrordesc_np(-read));
}

int block_own_begin(struct block *b, const struct block_owner *o, struct err *e)
{
	int r = b->locked ? block_record_write(b, o, true) : -ENOLCK;

	return r ? own_cannot_write(b, r, e) : 0;
}

/* The lock was lost, whoever says so: what the record says then counts as read without it. */
static enum block_own_lock own_ask(struct block *b, bool kept, int *fence, int *mute, struct err *e)
{
	int r = kept && b->locked ? block_lock_again(b) : block_lock(b, 0, e);

	*mute = r == -EAGAIN ? 0 : r;
	*fence = r ? r : own_fence(b);
	if (r && kept)
		err_set(e, r, "disk '%s': its lock was lost: %s", b->name, strerrordesc_np(-r));
	else if (*fence == -EAGAIN && !r)
		err_set(e, -EAGAIN, "disk '%s': somebody else is at its record", b->name);
	if (*fence == -EAGAIN)
		return BLOCK_OWN_LOCK_ELSEWHERE;
	return kept ? BLOCK_OWN_LOCK_KEPT : BLOCK_OWN_LOCK_TAKEN;
}

/*
 * Becomes the owner on the record. @fence is closed; negative: there is no record, and the lock was
 * kept. The lock is asked for once more before anything runs, for the filesystem whose server does
 * not refuse a late write.
 */
static int own_take(struct block *b, int fence, struct block_owner *o, struct err *e)
{
	struct block_owner next = *o;
	int r;

	next.epoch++;
	r = fence >= 0 ? own_write(b, fence, &next, true) : block_record_write(b, &next, true);
	if (r == 0)
		r = block_lock_again(b);
	if (r == 0)
		*o = next;
	else
		own_cannot_write(b, r, e);
	return r;
}

enum block_own block_own_acquire(struct block *b, struct block_owner *o, bool kept, struct err *e)
{
	int fence, mute, read;
	enum block_own_lock lock = own_ask(b, kept, &fence, &mute, e);
	struct block_record rec;
	enum block_own found;

	if (mute)
		return BLOCK_OWN_MUTE;
	if (fence >= 0)
		read = own_read(fence, &rec);
	else
		read = fence == -EAGAIN ? block_record_read(b, &rec) : fence;
	found = block_own_judge(lock, read, &rec, read == 0 && own_mine(&rec), o);
	if (found == BLOCK_OWN_TAKEN) {
		if (own_take(b, fence, o, e) == 0)
			return found;
		found = BLOCK_OWN_MUTE;
	} else {
		if (fence >= 0)
			close(fence);
		own_explain(b, found, read, &rec, e);
	}
	if (!kept)
		block_unlock(b);
	return found;
}

int block_own_check(struct block *b, const struct block_owner *o, struct err *e)
{
	struct block_record rec;
	int read = block_record_read(b, &rec), r = 0;
	enum block_own found = block_own_judge(BLOCK_OWN_LOCK_KEPT, read, &rec, false, o);

	if (found != BLOCK_OWN_TAKEN) {
		own_explain(b, found, read, &rec, e);
		return e ? e->code : -EBUSY;
	}
	if (read == -ENOENT)
		r = block_record_write(b, o, true);
	return r ? own_cannot_write(b, r, e) : 0;
}
