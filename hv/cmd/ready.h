/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process kept ready for the next guest: `watari incoming`, started before its connection is
 * there, so that linking it and loading the drivers of RDMA adapters are not part of a move's init
 * phase. Its owner is the receiver's loop thread, and so are all calls.
 * Invariant: it holds no connection, no name and no memory of a guest until ready_give(); when its
 * owner dies it ends by itself.
 * Next in the flow: receive.c gives, incoming.c takes.
 */
#ifndef WATARI_CMD_READY_H
#define WATARI_CMD_READY_H

#include <sys/types.h>

#include "hv/base/err.h"

struct ready {
	pid_t pid; /* 0: there is none */
	int hand;  /* our end of the pair over which it gets its connection */
	int news;  /* the end to read of the pipe it tells by: see receive.c */
};

#define READY_NONE      ((struct ready){ .pid = 0, .hand = -1, .news = -1 })
#define READY_WORDS_MAX 32             /* of the command line, without those of its own */
#define READY_NAME      "watari-ready" /* of such a process, in /proc/PID/comm, until it is given */

/*
 * Starts one in @r, which has none. @words: what it is told on its command line, and NULL.
 * 0, or -errno with the cause in @e.
 */
int ready_start(struct ready *r, char *const *words, struct err *e);
/*
 * Gives it the connection @fd, of which it gets a descriptor of its own. From then on @r has none:
 * @pid and @news are the caller's. -EPIPE: it had died, and @r has none, either.
 */
int ready_give(struct ready *r, int fd, pid_t *pid, int *news, struct err *e);
/* Lets go of one that is there, which ends then, or has. */
void ready_drop(struct ready *r);
/*
 * In that process: waits on @hand, its end of the pair, and closes it. The connection is the
 * caller's, to be closed on exec. 1: there will never be one.
 */
int ready_take(int hand, int *fd, struct err *e);

#endif
