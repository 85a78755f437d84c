/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right to a guest's name on this host: a flock on NAME.lock in the runtime directory, and
 * NAME.sock and NAME.console, which only the holder of the lock may make or remove. The lock dies
 * with its process, so a socket whose lock can be taken is stale, whatever killed its owner. Next
 * in the flow: server.h.
 */
#ifndef WATARI_CTL_CLAIM_H
#define WATARI_CTL_CLAIM_H

#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/ctl/proto.h"

struct ctl_claim {
	int dir_fd; /* -1: no claim */
	int lock_fd;
	char name[CTL_NAME_MAX];
};
#define CTL_CLAIM_NONE ((struct ctl_claim){ .dir_fd = -1, .lock_fd = -1 })

/*
 * Takes @name in @dir, which is made with mode 0700 if it is not there, and removes a stale socket.
 * -EEXIST: a guest of that name lives here.
 */
int ctl_claim_take(struct ctl_claim *c, const char *dir, const char *name, struct err *e);
/* Makes the socket, mode 0600, and listens on it. Returns the descriptor, the caller's to close. */
int ctl_claim_listen(const struct ctl_claim *c, struct err *e);
/* The same for the console's. */
int ctl_claim_listen_console(const struct ctl_claim *c, struct err *e);
/* Removes socket and lock file and gives the name back. Harmless without a claim. */
void ctl_claim_drop(struct ctl_claim *c);

/* Connects to @name's socket through @dir_fd: the descriptor, or negative errno. */
int ctl_claim_connect(int dir_fd, const char *name);
int ctl_claim_connect_console(int dir_fd, const char *name);

#endif
