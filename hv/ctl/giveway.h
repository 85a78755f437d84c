/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a move learns that another guest of this host is frozen, and its last pages want the link: a
 * record lock on a file in the runtime directory, shared by those who are frozen, looked at by all.
 * It ends with its process, so nobody gives way to the dead.
 * Next in the flow: hv/migrate/pump_source.c gives way.
 */
#ifndef WATARI_CTL_GIVEWAY_H
#define WATARI_CTL_GIVEWAY_H

#include <stdbool.h>

struct ctl_giveway {
	int dir_fd, fd; /* -1: it could not be opened, nobody gives way */
};

/* Joins the moves of the runtime directory @dir_fd, which must stay open. Never fails a move. */
void ctl_giveway_open(struct ctl_giveway *g, int dir_fd);
void ctl_giveway_close(struct ctl_giveway *g);

/* This guest is frozen for its move; or not any more. */
void ctl_giveway_frozen(struct ctl_giveway *g, bool frozen);
/* True while another is. One system call, about a microsecond. */
bool ctl_giveway_asked(const struct ctl_giveway *g);

#endif
