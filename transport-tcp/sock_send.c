/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the queues of frames to send and gives them to the kernel: many frames in one sendmsg(),
 * headers from the queue and payload straight from guest memory. Must never copy a put.
 * Invariant: a put is reported done when the kernel has copied its last byte, not before, and in
 * the order of its stream.
 * Next in the flow: sock_recv.c, at the other end.
 */
#include "transport-tcp/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Posted puts and bytes a stream holds: deep enough that the kernel never runs dry. */
#define XTCP_QUEUE_PUTS  1024
#define XTCP_QUEUE_BYTES (4u << 20)

/* One sendmsg(): how much and in how many pieces. UIO_MAXIOV is 1024. */
#define XTCP_SEND_BYTES (2u << 20)
#define XTCP_SEND_IOV   512

/* A turn of one stream ends after this much, so that the others and the receiving side get theirs.
 */
#define XTCP_SEND_TURN (8u << 20)

bool xtcp_queue_full(const struct xtcp_queue *q)
{
	return q->posted_puts >= XTCP_QUEUE_PUTS || q->queued_bytes >= XTCP_QUEUE_BYTES;
}

static struct xtcp_slot *xtcp_queue_at(const struct xtcp_queue *q, uint32_t i)
{
	return &q->slot[i & (q->cap - 1)];
}

/* Doubles the ring. Every slot keeps its counter, so its place is found again by the new mask. */
static int xtcp_queue_grow(struct xtcp_queue *q)
{
	struct xtcp_queue bigger = *q;

	bigger.cap = q->cap ? q->cap * 2 : 64;
	bigger.slot = calloc(bigger.cap, sizeof(*bigger.slot));
	if (!bigger.slot)
		return -ENOMEM;
	for (uint32_t i = q->done; i != q->end; i++)
		*xtcp_queue_at(&bigger, i) = *xtcp_queue_at(q, i);
	free(q->slot);
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
	free(q->slot);
	*q = (struct xtcp_queue){ 0 };
}

int xtcp_queue_report(struct xtcp_queue *q, struct xport_event *ev, int max)
{
	int n = 0;

	while (q->done != q->sent && n < max) {
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

/* The kernel has all of slot `sent`. Messages are freed here: nobody waits for their completion. */
static void xtcp_queue_sent_one(struct xtcp_queue *q)
{
	struct xtcp_slot *s = xtcp_queue_at(q, q->sent++);

	free(s->owned);
	s->owned = NULL;
	q->sent_bytes = 0;
}

static void xtcp_queue_advance(struct xtcp_queue *q, size_t n)
{
	q->queued_bytes -= n;
	while (n) {
		size_t left = XTCP_FRAME_SIZE + xtcp_queue_at(q, q->sent)->length - q->sent_bytes;

		if (n < left) {
			q->sent_bytes += n;
			return;
		}
		n -= left;
		xtcp_queue_sent_one(q);
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

/* Gathers frames up to the limits above. Returns pieces; *bytes is their sum. */
static int xtcp_queue_gather(const struct xtcp_queue *q, struct iovec *iov, size_t *bytes)
{
	size_t skip = q->sent_bytes;
	int n = 0;

	*bytes = 0;
	for (uint32_t i = q->sent; i != q->end && n + 2 <= XTCP_SEND_IOV; i++, skip = 0) {
		struct xtcp_slot *s = xtcp_queue_at(q, i);

		n += xtcp_slot_iov(s, skip, iov + n);
		*bytes += XTCP_FRAME_SIZE + s->length - skip;
		if (*bytes >= XTCP_SEND_BYTES)
			break;
	}
	return n;
}

/*
 * A failed send does not end the connection by itself: what the peer said before it went may still
 * be unread, and the receiving side comes to the same end right after it.
 */
static void xtcp_send_failed(struct xport *x, struct xtcp_stream *s, int err)
{
	struct err why;

	s->tx_dead = true;
	if (err == ETIMEDOUT || err == EHOSTUNREACH || err == ENETUNREACH)
		err_set(&why, -err, "the peer does not answer any more: %s", strerrordesc_np(err));
	else
		err_set(&why, -err, "the connection was cut while sending: %s",
			strerrordesc_np(err));
	xtcp_sock_fail(x, &why);
}

bool xtcp_stream_send(struct xport *x, struct xtcp_stream *s)
{
	size_t total = 0;

	while (!s->tx_dead && s->tx.sent != s->tx.end && total < XTCP_SEND_TURN) {
		struct iovec iov[XTCP_SEND_IOV];
		struct msghdr m = { .msg_iov = iov };
		size_t want;
		ssize_t n;

		m.msg_iovlen = (size_t)xtcp_queue_gather(&s->tx, iov, &want);
		n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				xtcp_send_failed(x, s, errno);
			return false;
		}
		x->stats.wire_bytes_out += (uint64_t)n;
		xtcp_queue_advance(&s->tx, (size_t)n);
		total += (size_t)n;
		if ((size_t)n < want)
			return false; /* the socket is full; ppoll() says when it is not */
	}
	return !s->tx_dead && s->tx.sent != s->tx.end;
}
