/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the file by which moves give way to a frozen guest (see giveway.h). Must never wait.
 * Invariant: whoever uses the file holds a shared flock on it, so the last one removes it; the
 * record lock of a frozen guest is another kind of lock and does not meet that one.
 * Next in the flow: lockfile.h.
 */
#include "hv/ctl/giveway.h"

#include <fcntl.h>

#include "hv/base/log.h"
#include "hv/ctl/lockfile.h"

#define GIVEWAY_FILE ".frozen"

void ctl_giveway_open(struct ctl_giveway *g, int dir_fd)
{
	g->dir_fd = dir_fd;
	g->fd = ctl_lockfile_share(dir_fd, GIVEWAY_FILE);
	if (g->fd < 0)
		log_warn("moves of this host cannot give way to each other: %s",
			GIVEWAY_FILE " cannot be opened in the runtime directory");
}

void ctl_giveway_close(struct ctl_giveway *g)
{
	if (g->fd >= 0)
		ctl_lockfile_unshare(g->dir_fd, GIVEWAY_FILE, g->fd);
	g->fd = -1;
}

void ctl_giveway_frozen(struct ctl_giveway *g, bool frozen)
{
	struct flock l = { .l_type = frozen ? F_RDLCK : F_UNLCK, .l_whence = SEEK_SET };

	if (g->fd >= 0)
		fcntl(g->fd, F_OFD_SETLK, &l);
}

bool ctl_giveway_asked(const struct ctl_giveway *g)
{
	/* would we be let in alone? a lock of our own does not count against us */
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return g->fd >= 0 && fcntl(g->fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}
