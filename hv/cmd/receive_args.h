/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of watari receive: its options, whether they make sense on this host, and what
 * of them each process for a guest is told. All texts are the command line's, and live as long.
 * Next in the flow: receive.c.
 */
#ifndef WATARI_CMD_RECEIVE_ARGS_H
#define WATARI_CMD_RECEIVE_ARGS_H

#include <argp.h>
#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/cmd/ready.h"
#include "hv/migrate/chan.h"

struct receive_args {
	const char *listen, *serial, *tracking, *rdma_device, *rdma_pin, *tls, *psk, *max_moves,
		*place;
	struct chan_want secure;
	bool trust, once, overcommit, encrypt;
};

extern const struct argp receive_argp; /* its input: a struct receive_args with the defaults */

/* What would fail for every guest is said at once. Fills @a->secure. 0, or -errno. */
int receive_args_check(struct receive_args *a, struct err *e);

/* The command line of a process for a guest, without what ready_start() adds; ends with NULL. */
void receive_args_words(const struct receive_args *a, const char *words[READY_WORDS_MAX + 1]);

#endif
