/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of the one message that a connection is receiving. It grows with what has come, not
 * with what a peer has announced, and a large one does not outlive its message.
 * Next in the flow: transport-tcp/recv.c, transport-rdma/ctrl.c.
 */
#ifndef WATARI_MIGRATE_XPORT_INBOX_H
#define WATARI_MIGRATE_XPORT_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XPORT_INBOX_FIRST ((size_t)64 << 10) /* bytes of the first allocation */

/* All zero: empty. */
struct xport_inbox {
	uint8_t *data;
	size_t cap, got;
	bool complete, delivered;
};

/*
 * Room for @n more bytes of a message of @total, of which there are that many left: at most twice
 * what has come and them, or XPORT_INBOX_FIRST. 0 or -ENOMEM.
 */
int xport_inbox_room(struct xport_inbox *in, size_t n, size_t total);
/* The message was used: ready for the next. */
void xport_inbox_release(struct xport_inbox *in);
void xport_inbox_fini(struct xport_inbox *in);

#endif
