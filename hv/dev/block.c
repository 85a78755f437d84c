/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the opening and closing of a disk's image and what it is: size, unit, alignment. Must never
 * create or grow an image, nor write one that was opened read-only.
 * Next in the flow: block_ring.c.
 */
#include "hv/dev/block.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/dev/block_internal.h"

#define BLOCK_SECTOR 512u
#define BLOCK_PAGE   4096u /* what every filesystem is content with in direct I/O */

/*
 * Opened without waiting, since a fifo, which is refused later, would hang us; but then made to
 * wait, or a request to a device would come back unserved (-EAGAIN).
 */
static int block_open_one(const struct block *b, int direct)
{
	int mode = b->readonly ? O_RDONLY : O_RDWR;
	int fd = open(b->path, mode | O_CLOEXEC | O_NONBLOCK | direct);

	if (fd >= 0 && fcntl(fd, F_SETFL, direct) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int block_open_fd(struct block *b, struct err *e)
{
	b->fd = block_open_one(b, b->direct ? O_DIRECT : 0);
	if (b->fd < 0 && errno == EINVAL && b->direct)
		return err_set(e, -EINVAL,
			"disk '%s': the filesystem of %s does no direct I/O; leave out direct=on",
			b->name, b->path);
	if (b->fd < 0 && (errno == EACCES || errno == EROFS) && !b->readonly)
		return err_errno(e,
			"disk '%s': cannot open %s for writing (readonly=on opens it for reading)",
			b->name, b->path);
	if (b->fd < 0)
		return err_errno(e, "disk '%s': cannot open %s", b->name, b->path);
	if (!b->direct)
		return 0;
	b->fd_buffered = block_open_one(b, 0);
	return b->fd_buffered >= 0 ? 0
				   : err_errno(e, "disk '%s': cannot open %s", b->name, b->path);
}

static int block_look_device(struct block *b, struct err *e)
{
	int sector = 0, ro = 0;

	if (ioctl(b->fd, BLKGETSIZE64, &b->size) < 0 || ioctl(b->fd, BLKSSZGET, &sector) < 0 ||
		ioctl(b->fd, BLKROGET, &ro) < 0)
		return err_errno(e, "disk '%s': cannot ask %s for its size", b->name, b->path);
	if (sector < (int)BLOCK_SECTOR || sector > (int)BLOCK_PAGE || sector & (sector - 1))
		return err_set(e, -EINVAL,
			"disk '%s': the sectors of %s have %d bytes; 512 to 4096 can be given to a "
			"guest",
			b->name, b->path, sector);
	if (ro && !b->readonly)
		return err_set(e, -EROFS,
			"disk '%s': %s is read-only on this host; readonly=on gives it to the guest as "
			"that",
			b->name, b->path);
	b->sector = (uint32_t)sector;
	b->device = true;
	return 0;
}

/* Also makes sure of what the two descriptors are: the same thing, and of a kind we can serve. */
static int block_look(struct block *b, struct err *e)
{
	struct stat st, other;
	int r = 0;

	if (fstat(b->fd, &st) < 0 || (b->direct && fstat(b->fd_buffered, &other) < 0))
		return err_errno(e, "disk '%s': cannot look at %s", b->name, b->path);
	if (b->direct && (st.st_dev != other.st_dev || st.st_ino != other.st_ino))
		return err_set(e, -EAGAIN, "disk '%s': %s was replaced just now; try again",
			b->name, b->path);
	b->sector = BLOCK_SECTOR;
	if (S_ISBLK(st.st_mode))
		r = block_look_device(b, e);
	else if (S_ISREG(st.st_mode))
		b->size = (uint64_t)st.st_size;
	else
		r = err_set(e, -EINVAL, "disk '%s': %s is neither a file nor a block device",
			b->name, b->path);
	if (r)
		return r;
	if (b->size % b->sector)
		log_warn("disk '%s': the last %" PRIu64 " bytes of %s are not a whole sector and "
			 "are not given to the guest",
			b->name, b->size % b->sector, b->path);
	b->size -= b->size % b->sector;
	if (!b->size)
		return err_set(e, -EINVAL,
			"disk '%s': %s is empty (truncate -s SIZE makes it a disk)", b->name,
			b->path);
	b->align_off = !b->direct ? 1 : b->device ? b->sector : BLOCK_PAGE;
	b->align_mem = b->direct ? BLOCK_PAGE : 1;
	return 0;
}

int block_open(struct block **out, const struct block_options *o, struct err *e)
{
	struct block *b;
	int r;

	*out = NULL;
	if (strlen(o->path) >= BLOCK_PATH)
		return err_set(e, -ENAMETOOLONG, "disk '%s': the path has %zu bytes, more than %u",
			o->name, strlen(o->path), BLOCK_PATH - 1);
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_set(e, -ENOMEM, "no memory for disk '%s'", o->name);
	b->fd = b->fd_buffered = b->event_fd = -1;
	strncpy(b->name, o->name, sizeof(b->name) - 1);
	strncpy(b->path, o->path, sizeof(b->path) - 1);
	b->readonly = o->readonly;
	b->direct = o->direct;
	b->fault = o->fault;
	b->fault_arg = o->fault_arg;
	r = block_open_fd(b, e);
	if (r == 0)
		r = block_look(b, e);
	if (r == 0)
		r = block_ring_open(b, e);
	if (r) {
		block_close(b);
		return r;
	}
	*out = b;
	return 0;
}

void block_close(struct block *b)
{
	if (!b)
		return;
	if (!block_ring_close(b)) {
		/* The kernel still has addresses of ours; the process' end settles it. */
		log_warn("disk '%s': %u requests to %s do not end; left behind", b->name,
			b->in_kernel, b->path);
		return;
	}
	block_lock_note_end(b);
	block_unlock(b);
	if (b->fd_buffered >= 0)
		close(b->fd_buffered);
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

uint64_t block_size(const struct block *b)
{
	return b->size;
}

uint32_t block_sector(const struct block *b)
{
	return b->sector;
}

bool block_readonly(const struct block *b)
{
	return b->readonly;
}

const char *block_name(const struct block *b)
{
	return b->name;
}
