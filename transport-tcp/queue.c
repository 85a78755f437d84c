/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the queue of frames of one stream (see queue.h). Must never copy a put.
 * Invariant: a put is reported when the kernel needs its bytes no more, not before, and in the
 * order of its stream.
 * Next in the flow: sock.c and uring_send.c, which give what is gathered here to the kernel.
 */
#include "transport-tcp/queue.h"

#include <errno.h>
#include <stdlib.h>

/* Posted puts and bytes a stream holds: deep enough that the kernel never runs dry. */
#define XTCP_QUEUE_PUTS  1024
#define XTCP_QUEUE_BYTES (4u << 20)

/* One send: how much. */
#define XTCP_SEND_BYTES (2u << 20)

bool xtcp_queue_full(const struct xtcp_queue *q)
{
	return q->posted_puts >= XTCP_QUEUE_PUTS || q->queued_bytes >= XTCP_QUEUE_BYTES;
}

static struct xtcp_slot *xtcp_queue_at(const struct xtcp_queue *q, uint32_t i)
{
	return &q->slot[i & (q->cap - 1)];
}

/*
 * Doubles the ring. Every slot keeps its counter, so its place is found again by the new mask. The
 * old ring stays, in sum as large as the new one: a send in flight may still read headers in it.
 */
static int xtcp_queue_grow(struct xtcp_queue *q)
{
	struct xtcp_queue bigger = *q;

	if (q->growths == XTCP_QUEUE_GROWTHS)
		return -ENOMEM;
	bigger.cap = q->cap ? q->cap * 2 : 64;
	bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
	if (!bigger.slot)
		return -ENOMEM;
	for (uint32_t i = q->done; i != q->end; i++)
		*xtcp_queue_at(&bigger, i) = *xtcp_queue_at(q, i);
	bigger.outgrown[bigger.growths++] = q->slot;
	*q = bigger;
	return 0;
}

int xtcp_queue_push(struct xtcp_queue *q, const struct xtcp_slot *s)
{
	if (q->end - q->done == q->cap && xtcp_queue_grow(q)) {
		free(s->owned);
		return -ENOMEM;
	}
	*xtcp_queue_at(q, q->end++) = *s;
	q->queued_bytes += XTCP_FRAME_SIZE + s->length;
	q->posted_puts += s->is_put;
	return 0;
}

void xtcp_queue_fini(struct xtcp_queue *q)
{
	for (uint32_t i = q->done; i != q->end; i++)
		free(xtcp_queue_at(q, i)->owned);
	for (unsigned i = 0; i < q->growths; i++)
		free(q->outgrown[i]);
	free(q->slot);
	*q = (struct xtcp_queue){ 0 };
}

int xtcp_queue_report(struct xtcp_queue *q, struct xport_event *ev, int max)
{
	int n = 0;

	while (q->done != q->safe && n < max) {
		const struct xtcp_slot *s = xtcp_queue_at(q, q->done++);

		if (!s->is_put)
			continue;
		q->posted_puts--;
		/* Not the whole event: it holds an error message, and there is one per put. */
		ev[n].type = XPORT_EV_PUT_DONE;
		ev[n++].cookie = s->cookie;
	}
	return n;
}

/* Messages are freed here: nobody waits for their completion. */
void xtcp_queue_settle(struct xtcp_queue *q, uint32_t upto)
{
	for (; q->safe != upto; q->safe++) {
		struct xtcp_slot *s = xtcp_queue_at(q, q->safe);

		free(s->owned);
		s->owned = NULL;
	}
}

void xtcp_queue_advance(struct xtcp_queue *q, size_t n)
{
	q->queued_bytes -= n;
	while (n) {
		size_t left = XTCP_FRAME_SIZE + xtcp_queue_at(q, q->sent)->length - q->sent_bytes;

		if (n < left) {
			q->sent_bytes += n;
			return;
		}
		n -= left;
		q->sent_bytes = 0;
		q->sent++;
	}
}

/* Header and payload of @s from byte @skip on. Returns how many pieces, 1 or 2. */
static int xtcp_slot_iov(struct xtcp_slot *s, size_t skip, struct iovec *iov)
{
	int n = 0;

	if (skip < XTCP_FRAME_SIZE) {
		iov[n++] = (struct iovec){ s->header + skip, XTCP_FRAME_SIZE - skip };
		skip = XTCP_FRAME_SIZE;
	}
	skip -= XTCP_FRAME_SIZE;
	if (skip < s->length)
		iov[n++] = (struct iovec){ (void *)(s->payload + skip), s->length - skip };
	return n;
}

static bool xtcp_slot_big(const struct xtcp_slot *s, uint32_t big)
{
	return s->is_put && s->length >= big;
}

int xtcp_queue_gather(const struct xtcp_queue *q, struct iovec *iov, int max, uint32_t big,
	size_t *bytes, bool *is_big)
{
	size_t skip = q->sent_bytes;
	int n = 0;

	*bytes = 0;
	*is_big = q->sent != q->end && xtcp_slot_big(xtcp_queue_at(q, q->sent), big);
	for (uint32_t i = q->sent; i != q->end && n + 2 <= max; i++, skip = 0) {
		struct xtcp_slot *s = xtcp_queue_at(q, i);

		if (xtcp_slot_big(s, big) != *is_big)
			break;
		n += xtcp_slot_iov(s, skip, iov + n);
		*bytes += XTCP_FRAME_SIZE + s->length - skip;
		if (*bytes >= XTCP_SEND_BYTES)
			break;
	}
	return n;
}
