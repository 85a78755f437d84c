/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of watari receive: its options, and whether they make sense on this host. Each
 * process for a guest gets the same words, and does its part of them. All texts are the command
 * line's, and live as long.
 * Next in the flow: receive.c, incoming.c.
 */
#ifndef WATARI_CMD_RECEIVE_ARGS_H
#define WATARI_CMD_RECEIVE_ARGS_H

#include <argp.h>
#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/migrate/chan.h"

struct receive_args {
	const char *listen, *serial, *tracking, *rdma_device, *rdma_pin, *tls, *psk, *max_moves,
		*place;
	struct chan_want secure;
	bool trust, once, overcommit, encrypt;
	bool given; /* to a process that listens nowhere: it is given its connection */
};

#define RECEIVE_ARGS ((struct receive_args){ .tracking = "auto", .max_moves = "8" })

extern const struct argp receive_argp; /* its input: a struct receive_args, from RECEIVE_ARGS */

/* What would fail for every guest is said at once. Fills @a->secure. 0, or -errno. */
int receive_args_check(struct receive_args *a, struct err *e);

#endif
