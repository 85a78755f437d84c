/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the way to a lock file (see lockfile.h). Must never remove a file without holding its lock.
 * Invariant: the file that is locked is the one the path leads to; whoever locked a file that was
 * removed meanwhile tries again.
 * Next in the flow: claim.c, slots.c.
 */
#include "hv/ctl/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv/ctl/proto.h"

int ctl_dir_open(const char *dir, struct err *e)
{
	int fd;

	if (strlen(dir) >= CTL_DIR_MAX)
		return err_set(e, -ENAMETOOLONG,
			"the runtime directory's path is longer than %d bytes", CTL_DIR_MAX - 1);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make the runtime directory %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, "cannot open the runtime directory %s", dir);
	return fd;
}

/* One attempt: the descriptor, or -ESTALE if the file was removed under us. */
static int lockfile_try(int dir_fd, const char *file, int how)
{
	int fd = openat(dir_fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc;
	struct stat ours, path;

	if (fd < 0)
		return -errno;
	if (flock(fd, how | LOCK_NB) < 0)
		rc = -errno;
	else if (fstat(fd, &ours) == 0 && fstatat(dir_fd, file, &path, 0) == 0 &&
		 ours.st_ino == path.st_ino && ours.st_dev == path.st_dev)
		return fd;
	else
		rc = -ESTALE;
	close(fd);
	return rc;
}

static int lockfile_get(int dir_fd, const char *file, int how)
{
	int fd;

	do
		fd = lockfile_try(dir_fd, file, how);
	while (fd == -ESTALE);
	return fd;
}

int ctl_lockfile_take(int dir_fd, const char *file)
{
	return lockfile_get(dir_fd, file, LOCK_EX);
}

int ctl_lockfile_share(int dir_fd, const char *file)
{
	return lockfile_get(dir_fd, file, LOCK_SH);
}

void ctl_lockfile_unshare(int dir_fd, const char *file, int fd)
{
	/* changing a lock first gives it up: of the last two at once, at least one gets it */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir_fd, file, 0);
	close(fd);
}

void ctl_lockfile_drop(int dir_fd, const char *file, int fd)
{
	unlinkat(dir_fd, file, 0);
	close(fd); /* last: until here it is ours */
}
