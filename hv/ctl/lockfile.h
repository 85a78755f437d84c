/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files in the runtime directory whose meaning is the flock on them: it dies with its process,
 * whatever ends that, so a file nobody has locked says nothing. Next in the flow: claim.h, slots.h.
 */
#ifndef WATARI_CTL_LOCKFILE_H
#define WATARI_CTL_LOCKFILE_H

#include "hv/base/err.h"

/* Opens runtime directory @dir, made with mode 0700 if it is not there. Returns the descriptor. */
int ctl_dir_open(const char *dir, struct err *e);

/*
 * Makes @file in @dir_fd, mode 0600, or takes over the one a dead process left. Returns its locked
 * descriptor; -EWOULDBLOCK: somebody holds it; else what the system said.
 */
int ctl_lockfile_take(int dir_fd, const char *file);
/* Removes the file and gives the lock back. */
void ctl_lockfile_drop(int dir_fd, const char *file, int fd);

/* The same shared with others who share it; the last of them removes it. */
int ctl_lockfile_share(int dir_fd, const char *file);
void ctl_lockfile_unshare(int dir_fd, const char *file, int fd);

#endif
