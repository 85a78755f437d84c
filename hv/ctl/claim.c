/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the files of a name (see claim.h). Must never remove a file without holding its lock.
 * Invariant: the lock file that is locked is the one the path leads to; whoever locked a file that
 * was removed meanwhile tries again.
 * Next in the flow: server.c.
 */
#include "hv/ctl/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLAIM_SOCKET   ".sock"
#define CLAIM_CONSOLE  ".console"
#define CLAIM_FILE_MAX (CTL_NAME_MAX + 16)

static const char *claim_file(char *buf, const char *name, const char *suffix)
{
	snprintf(buf, CLAIM_FILE_MAX, "%s%s", name, suffix);
	return buf;
}

/*
 * The socket's address by way of the directory's descriptor: a runtime directory may have a path
 * longer than the 107 bytes of sun_path.
 */
static struct sockaddr_un claim_sockaddr(int dir_fd, const char *name, const char *suffix)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%.*s%s", dir_fd,
		CTL_NAME_MAX - 1, name, suffix);
	return sa;
}

static int claim_connect(int dir_fd, const char *name, const char *suffix)
{
	struct sockaddr_un sa = claim_sockaddr(dir_fd, name, suffix);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return -errno;
	/* non-blocking: a full backlog answers EAGAIN at once instead of waiting for ever */
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int ctl_claim_connect(int dir_fd, const char *name)
{
	return claim_connect(dir_fd, name, CLAIM_SOCKET);
}

int ctl_claim_connect_console(int dir_fd, const char *name)
{
	return claim_connect(dir_fd, name, CLAIM_CONSOLE);
}

static int claim_dir(const char *dir, struct err *e)
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

static int claim_in_use(const char *name, const char *dir, struct err *e)
{
	return err_set(
		e, -EEXIST, "a guest named '%s' lives here already (%s/%s.sock)", name, dir, name);
}

/* One attempt at the lock: 1 taken, 0 the file was removed under us, negative: error. */
static int claim_lock(struct ctl_claim *c, const char *dir, struct err *e)
{
	char file[CLAIM_FILE_MAX];
	struct stat ours, path;

	claim_file(file, c->name, ".lock");
	c->lock_fd = openat(c->dir_fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->lock_fd < 0)
		return err_errno(e, "cannot open %s/%s", dir, file);
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return claim_in_use(c->name, dir, e);
		return err_errno(e, "cannot lock %s/%s", dir, file);
	}
	if (fstat(c->lock_fd, &ours) == 0 && fstatat(c->dir_fd, file, &path, 0) == 0 &&
		ours.st_ino == path.st_ino && ours.st_dev == path.st_dev)
		return 1;
	close(c->lock_fd);
	c->lock_fd = -1;
	return 0;
}

int ctl_claim_take(struct ctl_claim *c, const char *dir, const char *name, struct err *e)
{
	char file[CLAIM_FILE_MAX];
	int rc, fd;

	*c = CTL_CLAIM_NONE;
	if (!ctl_name_ok(name))
		return err_set(e, -EINVAL,
			"name '%s' is not 1 to %d letters, digits, '.', '_' or '-'", name,
			CTL_NAME_MAX - 1);
	snprintf(c->name, sizeof(c->name), "%s", name);
	rc = claim_dir(dir, e);
	if (rc < 0)
		return rc;
	c->dir_fd = rc;
	do
		rc = claim_lock(c, dir, e);
	while (rc == 0);
	if (rc < 0)
		goto fail;
	/* held by nobody, yet somebody answers: a process that does not keep to the lock */
	fd = ctl_claim_connect(c->dir_fd, name);
	if (fd >= 0 || fd == -EAGAIN) {
		if (fd >= 0)
			close(fd);
		rc = claim_in_use(name, dir, e);
		goto fail;
	}
	unlinkat(c->dir_fd, claim_file(file, name, CLAIM_CONSOLE), 0);
	if (unlinkat(c->dir_fd, claim_file(file, name, CLAIM_SOCKET), 0) < 0 && errno != ENOENT) {
		rc = err_errno(e, "cannot remove the stale socket %s/%s", dir, file);
		goto fail;
	}
	return 0;
fail:
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	close(c->dir_fd);
	*c = CTL_CLAIM_NONE;
	return rc;
}

static int claim_listen(const struct ctl_claim *c, const char *suffix, struct err *e)
{
	struct sockaddr_un sa = claim_sockaddr(c->dir_fd, c->name, suffix);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(e, "cannot make a socket");
	/* before bind(), so that the file never exists with a wider mode */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
		listen(fd, 16) < 0) {
		err_errno(e, "cannot make the socket %s%s", c->name, suffix);
		close(fd);
		return e ? e->code : -EIO;
	}
	return fd;
}

int ctl_claim_listen(const struct ctl_claim *c, struct err *e)
{
	return claim_listen(c, CLAIM_SOCKET, e);
}

int ctl_claim_listen_console(const struct ctl_claim *c, struct err *e)
{
	return claim_listen(c, CLAIM_CONSOLE, e);
}

void ctl_claim_drop(struct ctl_claim *c)
{
	char file[CLAIM_FILE_MAX];

	if (c->dir_fd < 0)
		return;
	unlinkat(c->dir_fd, claim_file(file, c->name, CLAIM_SOCKET), 0);
	unlinkat(c->dir_fd, claim_file(file, c->name, CLAIM_CONSOLE), 0);
	unlinkat(c->dir_fd, claim_file(file, c->name, ".lock"), 0);
	close(c->lock_fd); /* last: until here the name is ours */
	close(c->dir_fd);
	*c = CTL_CLAIM_NONE;
}
