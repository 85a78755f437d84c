/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the receives of the io_uring engine: one a stream, straight into guest memory, with the next
 * header behind a put. Must never have two in progress on a stream: the place of the second is only
 * known from what the first brings.
 * Invariant: while a receive is in progress, nobody else looks at or moves what it writes to.
 *
 * Not multishot: that needs buffers the kernel chooses, and every byte would be copied once more to
 * where it belongs.
 * Next in the flow: recv.c books what came.
 */
#include <errno.h>

#include "transport-tcp/uring.h"

/*
 * A put of fewer bytes is taken by a plain recvmsg() if it is there: that costs less than a request
 * and its completion. The ring then waits for what is not.
 */
#define XURING_RECV_MIN (32u << 10)

/* True while stream @i is inside a put that is worth a request of its own. */
static bool xuring_recv_big(const struct xtcp_stream *s)
{
	return s->busy && s->frame.type == XTCP_FRAME_PUT && s->left >= XURING_RECV_MIN;
}

void xuring_recv(struct xport *x, unsigned i)
{
	struct xuring *u = x->own;
	struct xuring_stream *us = &u->s[i];
	const struct xtcp_stream *s = &x->stream[i];
	struct io_uring_sqe *sqe;
	unsigned flags = 0;
	int n;

	if (us->receiving)
		return;
	n = xtcp_recv_room(x, i, us->rx_iov);
	if (n && !xuring_recv_big(s)) {
		xtcp_recv_drain(x, i);
		n = xtcp_recv_room(x, i, us->rx_iov);
	}
	if (n == 0)
		return;
	/*
	 * A put is waited for whole: nobody is told before its end. Not so a message, which must
	 * not wait for a header behind it, nor a header, which has a fence or a message behind it.
	 */
	if (s->busy && s->frame.type == XTCP_FRAME_PUT)
		flags = MSG_WAITALL;
	us->rx = (struct msghdr){ .msg_iov = us->rx_iov, .msg_iovlen = (size_t)n };
	sqe = xuring_sqe(x);
	io_uring_prep_recvmsg(sqe, xuring_fd(x, i), &us->rx, flags);
	xuring_tag_sqe(x, sqe, xuring_tag(XURING_RECV, i, 0));
	us->receiving = true;
}

void xuring_recv_done(struct xport *x, const struct io_uring_cqe *cqe)
{
	struct xuring *u = x->own;
	unsigned i = cqe->user_data & 0xff;
	int r = cqe->res;

	u->s[i].receiving = false;
	if (r > 0)
		xtcp_recv_book(x, &x->stream[i], (size_t)r);
	else if (r != -EAGAIN && r != -EINTR && r != -ECANCELED)
		xtcp_recv_ended(x, &x->stream[i], -r);
	/* Acts on what is complete now; the receive it makes goes out with the next turn. */
	xuring_recv(x, i);
}
