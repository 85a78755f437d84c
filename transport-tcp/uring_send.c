/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the sends of the io_uring engine: one a stream at a time, many frames in each, large puts by
 * reference and all else copied. Must never report a put that the kernel may still read.
 * Invariant: zero-copy is on only while it is one: when the kernel says that it copied after all
 * (loopback does, always), it is switched off, because a late copy costs more than an early one.
 *
 * A page the guest changes while it is sent by reference may be read twice, by the checksum and by
 * the device, or by a retransmission. The checksum of such a segment is wrong only if it was
 * computed in software before the change; the peer then drops it and TCP sends it again. What
 * arrives is in every case bytes the page held at some time, which is the contract's mixture.
 * Next in the flow: uring_recv.c, at the other end.
 */
#include <errno.h>
#include <inttypes.h>

#include "hv/base/log.h"
#include "transport-tcp/uring.h"

/* So many notifications are enough to tell what this path does. So many sends by reference are
 * made, of a put each, and the rest is copied until they have come: where the kernel copies, little
 * is copied late. */
#define XURING_ZC_TRIAL     4
#define XURING_ZC_TRIAL_IOV 2 /* header and payload */

static void xuring_zc_off(struct xuring *u, const char *why)
{
	if (u->zc_min == XURING_ZC_OFF)
		return;
	u->zc_min = XURING_ZC_OFF;
	log_debug("zero-copy sends are off from here on: %s (%" PRIu64 " of %" PRIu64
		  " were copied)",
		why, u->copied, u->notified);
}

/* Bytes from which on a put is sent by reference now. */
static uint32_t xuring_zc_min(const struct xuring *u)
{
	bool undecided = u->tried >= XURING_ZC_TRIAL && u->notified < XURING_ZC_TRIAL;

	return undecided && !u->zc_keep ? XURING_ZC_OFF : u->zc_min;
}

void xuring_send(struct xport *x, unsigned i)
{
	struct xuring *u = x->own;
	struct xuring_stream *us = &u->s[i];
	struct xtcp_stream *s = &x->stream[i];
	struct xuring_batch *b = &us->batch[us->next % XURING_BATCHES];
	const unsigned flags = MSG_NOSIGNAL | MSG_WAITALL; /* all of it, however often it blocks */
	struct io_uring_sqe *sqe;
	size_t bytes;

	if (us->sending || s->tx_dead || s->tx.sent == s->tx.end ||
		us->next - us->first == XURING_BATCHES)
		return;
	*b = (struct xuring_batch){ .sending = true };
	us->tx = (struct msghdr){ .msg_iov = us->tx_iov };
	us->tx.msg_iovlen = (size_t)xtcp_queue_gather(
		&s->tx, us->tx_iov, XURING_SEND_IOV, xuring_zc_min(u), &bytes, &b->zc);
	u->tried += b->zc;
	if (b->zc && u->notified < XURING_ZC_TRIAL && us->tx.msg_iovlen > XURING_ZC_TRIAL_IOV)
		us->tx.msg_iovlen = XURING_ZC_TRIAL_IOV;
	sqe = xuring_sqe(x);
	if (b->zc) {
		io_uring_prep_sendmsg_zc(sqe, xuring_fd(x, i), &us->tx, flags);
		sqe->ioprio = u->zc_reports ? IORING_SEND_ZC_REPORT_USAGE : 0;
	} else {
		io_uring_prep_sendmsg(sqe, xuring_fd(x, i), &us->tx, flags);
	}
	xuring_tag_sqe(x, sqe, xuring_tag(XURING_SEND, i, us->next));
	us->sending = true;
	us->next++;
}

/* In order: a batch that is free of the kernel waits for those before it. */
static void xuring_settle(struct xtcp_queue *q, struct xuring_stream *us)
{
	while (us->first != us->next) {
		const struct xuring_batch *b = &us->batch[us->first % XURING_BATCHES];

		if (b->sending || b->notifying)
			return;
		xtcp_queue_settle(q, b->end);
		us->first++;
	}
}

static void xuring_notified(struct xport *x, struct xuring_batch *b, uint32_t usage)
{
	struct xuring *u = x->own;

	b->notifying = false;
	u->notified++;
	if (usage & IORING_NOTIF_USAGE_ZC_COPIED) {
		u->copied++;
		x->stats.zc_copied_bytes += b->bytes;
	}
	if (!u->zc_keep && u->notified >= XURING_ZC_TRIAL && u->copied * 2 > u->notified)
		xuring_zc_off(u, "the kernel copies on this path");
}

/* A failed send. One that zero-copy is to blame for is tried again without. */
static void xuring_send_refused(struct xport *x, unsigned i, const struct xuring_batch *b, int err)
{
	struct xuring *u = x->own;

	if (err == EAGAIN || err == EINTR || err == ECANCELED)
		return;
	if (b->zc && err == EINVAL && u->zc_reports) {
		u->zc_reports = false; /* before Linux 6.2 */
		return;
	}
	if (b->zc && (err == EINVAL || err == EOPNOTSUPP)) {
		xuring_zc_off(u, "the socket cannot");
		return;
	}
	if (b->zc && (err == ENOMEM || err == ENOBUFS)) {
		xuring_zc_off(u, "RLIMIT_MEMLOCK is too small to pin what is sent");
		return;
	}
	xtcp_send_failed(x, &x->stream[i], err);
}

void xuring_send_done(struct xport *x, const struct io_uring_cqe *cqe)
{
	struct xuring *u = x->own;
	unsigned i = cqe->user_data & 0xff;
	struct xuring_stream *us = &u->s[i];
	struct xuring_batch *b = &us->batch[cqe->user_data >> 8 & (XURING_BATCHES - 1)];
	struct xtcp_queue *q = &x->stream[i].tx;

	if (cqe->flags & IORING_CQE_F_NOTIF) {
		xuring_notified(x, b, (uint32_t)cqe->res);
		xuring_settle(q, us);
		return;
	}
	us->sending = b->sending = false;
	b->notifying = cqe->flags & IORING_CQE_F_MORE;
	u->tried -= b->zc && !b->notifying;
	if (cqe->res >= 0) {
		b->bytes = (size_t)cqe->res;
		x->stats.wire_bytes_out += b->bytes;
		x->stats.zc_bytes += b->zc ? b->bytes : 0;
		xtcp_queue_advance(q, b->bytes);
	} else {
		xuring_send_refused(x, i, b, -cqe->res);
	}
	b->end = q->sent;
	xuring_settle(q, us);
}
