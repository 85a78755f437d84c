/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames one stream has to send, in order: what is posted, what the kernel has, what it needs
 * no more. Does no I/O.
 * Invariant: a slot, its header at one address and its payload, stays until it is settled.
 * Next in the flow: queue.c, conn.h.
 */
#ifndef WATARI_TRANSPORT_TCP_QUEUE_H
#define WATARI_TRANSPORT_TCP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "hv/migrate/xport.h"
#include "transport-tcp/frame.h"

#define XTCP_QUEUE_GROWTHS 26 /* doublings from the first size to 2^32 frames */

/* One frame to send. */
struct xtcp_slot {
	uint8_t header[XTCP_FRAME_SIZE];
	const uint8_t *payload; /* guest memory, or `owned` */
	uint32_t length;        /* of the payload on the wire */
	uint8_t *owned;         /* a message's copy; freed when settled */
	bool is_put;            /* reported when settled */
	uint64_t cookie;
};

/*
 * Frames in the order they go out: [done, safe) are settled and to be reported, [safe, sent) were
 * handed to the kernel whole, which may still read them, [sent, end) are to be sent. Counters only
 * grow; the place is counter & (cap - 1).
 */
struct xtcp_queue {
	struct xtcp_slot *slot;
	struct xtcp_slot *outgrown[XTCP_QUEUE_GROWTHS]; /* kept: a header there may be in use */
	unsigned growths;
	uint32_t cap; /* a power of two; 0 at first */
	uint32_t done, safe, sent, end;
	size_t sent_bytes;     /* of slot `sent`, header included */
	uint64_t queued_bytes; /* in [sent, end), headers included, less sent_bytes */
	uint32_t posted_puts;  /* in [done, end) */
};

bool xtcp_queue_full(const struct xtcp_queue *q);
/* Takes the slot with its owned memory, also on failure. 0 or -ENOMEM. */
int xtcp_queue_push(struct xtcp_queue *q, const struct xtcp_slot *s);
void xtcp_queue_fini(struct xtcp_queue *q);
/*
 * What to send next: up to @max pieces of frames of one kind: puts of @big bytes and more, or
 * anything else. Returns how many pieces; *bytes is their sum, *is_big their kind.
 */
int xtcp_queue_gather(const struct xtcp_queue *q, struct iovec *iov, int max, uint32_t big,
	size_t *bytes, bool *is_big);
/* @n bytes of what was gathered were taken by the kernel. */
void xtcp_queue_advance(struct xtcp_queue *q, size_t n);
/* The kernel needs the slots before @upto no more. */
void xtcp_queue_settle(struct xtcp_queue *q, uint32_t upto);
/* Reports up to @max settled puts of @q, in order. Returns how many. */
int xtcp_queue_report(struct xtcp_queue *q, struct xport_event *ev, int max);
#endif
