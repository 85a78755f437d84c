/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport around another: its messages are sealed with keys of the move's TLS session, so that
 * nobody but the two ends can read what a move says, its guest's state above all, or say it in
 * their place. Puts pass as they are; the transport itself encrypts them where that was asked for
 * (xport_addr.secret). Next in the flow: sealed.c, hv/migrate/xport/seal.h.
 */
#ifndef WATARI_MIGRATE_SEALED_H
#define WATARI_MIGRATE_SEALED_H

#include <stdbool.h>

#include "hv/migrate/xport.h"
#include "hv/migrate/xport/seal.h"

/*
 * Wraps the connection *@x of *@ops, and puts the wrapped ones in their places. On failure both
 * stay as they are.
 */
int sealed_wrap(const struct xport_ops **ops, struct xport **x,
	const uint8_t secret[SEAL_SECRET_SIZE], bool is_target, struct err *e);

#endif
