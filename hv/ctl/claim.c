/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the files of a name (see claim.h). Must never remove one without holding the name's lock.
 * Next in the flow: server.c.
 */
#include "hv/ctl/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hv/ctl/lockfile.h"

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

static int claim_in_use(const char *name, const char *dir, struct err *e)
{
	return err_set(
		e, -EEXIST, "a guest named '%s' lives here already (%s/%s.sock)", name, dir, name);
}

static int claim_lock(struct ctl_claim *c, const char *dir, struct err *e)
{
	char file[CLAIM_FILE_MAX];
	int fd = ctl_lockfile_take(c->dir_fd, claim_file(file, c->name, ".lock"));

	if (fd == -EWOULDBLOCK)
		return claim_in_use(c->name, dir, e);
	if (fd < 0)
		return err_set(e, fd, "cannot lock %s/%s: %s", dir, file, strerrordesc_np(-fd));
	c->lock_fd = fd;
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
	rc = ctl_dir_open(dir, e);
	if (rc < 0)
		return rc;
	c->dir_fd = rc;
	rc = claim_lock(c, dir, e);
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
	ctl_lockfile_drop(c->dir_fd, claim_file(file, c->name, ".lock"), c->lock_fd);
	close(c->dir_fd);
	*c = CTL_CLAIM_NONE;
}
