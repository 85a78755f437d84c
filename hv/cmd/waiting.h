/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waiting room of receive: connections that have not said anything yet. They cost a descriptor
 * each, no process, and no more than WAITING_MAX of them are kept. Who is full of intent speaks at
 * once, so when the room is full the one that has been silent longest makes place.
 * Next in the flow: receive.c starts a process for whoever has spoken.
 */
#ifndef WATARI_CMD_WAITING_H
#define WATARI_CMD_WAITING_H

#include <stdint.h>

#include "hv/base/err.h"
#include "hv/base/loop.h"

#define WAITING_MAX 128
#define WAITING_NS  4000000000ull /* how long a peer may be silent */

struct waiting;

/* What becomes of those who wait; called on the loop's thread. */
struct waiting_ends {
	/* The first byte is there; the descriptor is the callee's. */
	void (*spoken)(void *arg, int fd);
	/* It is shown out for @why, a sentence; it is closed afterwards. */
	void (*shown_out)(void *arg, int fd, const char *why);
};

/* @ends stays the caller's. */
int waiting_new(struct waiting **out, struct loop *l, const struct waiting_ends *ends, void *arg,
	struct err *e);
/* Lets the connection @fd in, which becomes the room's. Never blocks. */
void waiting_add(struct waiting *w, int fd);

#endif
