/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the receiving side of both engines: header, check, then the payload straight into its final
 * place in guest memory, with the next header behind it in one receive. Must never name memory
 * outside a region, nor allocate what a header announces before it has come.
 * Invariant: at most one message is held, and stream 0 is not read past it until the user has had
 * it, so a peer that sends messages faster than they are taken is slowed down by TCP.
 * Next in the flow: hv/migrate/target.c decides what a message means.
 */
#include "transport-tcp/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "hv/base/scan.h"

/* A turn of one stream ends after this many bytes or calls, so that the others and the other
 * direction get theirs. */
#define XTCP_RECV_TURN  (8u << 20)
#define XTCP_RECV_CALLS 256

bool xtcp_inbox_ready(const struct xport *x)
{
	if (!x->inbox.mem.complete)
		return false;
	for (unsigned i = 1; i < x->streams; i++)
		if (x->stream[i].rx_seq < x->inbox.frame.seq)
			return false;
	return true;
}

/* All of a frame is here. */
static void xtcp_frame_finish(struct xport *x, struct xtcp_stream *s)
{
	s->busy = false;
	switch (s->frame.type) {
	case XTCP_FRAME_ZERO:
		xport_zero(x->regions.r[s->frame.region].base + s->frame.offset, s->frame.length,
			false);
		break;
	case XTCP_FRAME_MSG:
		x->inbox.mem.complete = true;
		s->rx_seq = s->frame.seq;
		break;
	case XTCP_FRAME_FENCE: s->rx_seq = s->frame.seq; break;
	default: /* a put is where it belongs already */ break;
	}
}

static void xtcp_recv_refused(struct xport *x, struct xtcp_stream *s, struct err *why);

/* No further byte of a put gets into guest memory: a stream with one under way is at its end. */
void xtcp_conn_shut(struct xport *x)
{
	struct err why;

	x->shut = true;
	for (unsigned i = 0; i < x->streams; i++) {
		struct xtcp_stream *s = &x->stream[i];

		if (s->rx_end || !s->busy || s->frame.type != XTCP_FRAME_PUT)
			continue;
		err_set(&why, -EPROTO, "a put was under way when the source was shut out");
		xtcp_recv_refused(x, s, &why);
		x->engine->recv_stop(x, i);
	}
}

/* A whole header is here: checks it and makes ready for its payload. 0 or negative errno. */
static int xtcp_frame_start(struct xport *x, unsigned i, struct err *e)
{
	struct xtcp_stream *s = &x->stream[i];
	struct xtcp_frame_ctx ctx = { .regions = &x->regions,
		.is_target = x->is_target,
		.stream = i,
		.streams = x->streams,
		.seq = s->rx_seq };
	int r = xtcp_frame_decode(&s->frame, s->header, e);

	if (!r)
		r = xtcp_frame_check(&s->frame, &ctx, e);
	if (!r && x->shut && s->frame.type != XTCP_FRAME_MSG && s->frame.type != XTCP_FRAME_FENCE)
		r = err_set(e, -EPROTO, "a put came after the source was shut out");
	if (r)
		return r;
	s->header_got = 0;
	s->left = xtcp_frame_payload(&s->frame);
	s->busy = true;
	if (s->frame.type == XTCP_FRAME_PUT || s->frame.type == XTCP_FRAME_ZERO) {
		x->stats.arrived_region = s->frame.region;
		x->stats.arrived_end = s->frame.offset + s->frame.length;
	}
	if (s->frame.type == XTCP_FRAME_PUT)
		s->dst = x->regions.r[s->frame.region].base + s->frame.offset;
	else if (s->frame.type == XTCP_FRAME_MSG)
		x->inbox.frame = s->frame;
	return 0;
}

/* Where the next bytes of payload go: all that is left of a put, what there is room for of a
 * message. */
static int xtcp_payload_room(struct xport *x, struct xtcp_stream *s, struct iovec *iov)
{
	struct xtcp_inbox *in = &x->inbox;

	if (s->frame.type == XTCP_FRAME_PUT) {
		*iov = (struct iovec){ s->dst, s->left };
		return 0;
	}
	if (xport_inbox_room(&in->mem, 1, in->frame.length))
		return -ENOMEM;
	*iov = (struct iovec){ in->mem.data + in->mem.got,
		s->left < in->mem.cap - in->mem.got ? s->left : in->mem.cap - in->mem.got };
	return 0;
}

/* Payload first; what is beyond it belongs to the next header. */
void xtcp_recv_book(struct xport *x, struct xtcp_stream *s, size_t n)
{
	size_t body = n < s->left ? n : s->left;

	x->stats.wire_bytes_in += n;
	if (s->busy) {
		s->left -= body;
		if (s->frame.type == XTCP_FRAME_PUT)
			s->dst += body;
		else
			x->inbox.mem.got += body;
		n -= body;
	}
	s->header_got += n;
}

void xtcp_recv_ended(struct xport *x, struct xtcp_stream *s, int err)
{
	struct err why;

	bool plain = !err && !s->busy && !s->header_got;

	s->rx_end = true;
	if (plain && x->down.code)
		return;
	if (plain)
		err_set(&why, -ECONNRESET, "the peer closed the connection");
	else if (err == ETIMEDOUT || err == EHOSTUNREACH || err == ENETUNREACH)
		err_set(&why, -err, "the peer does not answer any more: %s", strerrordesc_np(err));
	else if (err)
		err_set(&why, -err, "the connection was cut: %s", strerrordesc_np(err));
	else
		err_set(&why, -ECONNRESET,
			"the peer closed the connection in the middle of a frame");
	xtcp_fail(x, &why);
	x->down_plain = plain;
}

static void xtcp_recv_refused(struct xport *x, struct xtcp_stream *s, struct err *why)
{
	s->rx_end = true;
	if (why->code == -EPROTO)
		err_wrap(why, "the peer broke the protocol");
	xtcp_fail(x, why);
}

/* Acts on what is complete. False: the peer broke the protocol and the stream is at its end. */
static bool xtcp_recv_act(struct xport *x, unsigned i)
{
	struct xtcp_stream *s = &x->stream[i];
	struct err why;

	for (;;) {
		if (s->busy && s->left)
			return true;
		if (s->busy)
			xtcp_frame_finish(x, s);
		if (s->header_got < XTCP_FRAME_SIZE || (i == 0 && x->inbox.mem.complete))
			return true;
		if (xtcp_frame_start(x, i, &why)) {
			xtcp_recv_refused(x, s, &why);
			return false;
		}
	}
}

int xtcp_recv_room(struct xport *x, unsigned i, struct iovec iov[2])
{
	struct xtcp_stream *s = &x->stream[i];
	bool whole = true;
	int n = 0;

	if (s->rx_end || !xtcp_recv_act(x, i) || !xtcp_recv_open(x, i))
		return 0;
	if (s->busy) {
		struct err why;

		if (xtcp_payload_room(x, s, &iov[0])) {
			err_set(&why, -ENOMEM, "no memory for a message of %u bytes",
				s->frame.length);
			xtcp_recv_refused(x, s, &why);
			return 0;
		}
		whole = iov[n++].iov_len == s->left;
	}
	if (whole)
		iov[n++] = (struct iovec){ s->header + s->header_got,
			XTCP_FRAME_SIZE - s->header_got };
	return n;
}

/* One recvmsg(). Bytes received; 0: nothing now, or the end (booked in the stream). */
static size_t xtcp_recv_once(struct xport *x, unsigned i, bool *full)
{
	struct iovec iov[2];
	struct msghdr m = { .msg_iov = iov };
	size_t want = 0;
	ssize_t n;

	m.msg_iovlen = (size_t)xtcp_recv_room(x, i, iov);
	if (m.msg_iovlen == 0)
		return 0;
	for (size_t k = 0; k < m.msg_iovlen; k++)
		want += iov[k].iov_len;
	n = recvmsg(x->stream[i].fd, &m, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			xtcp_recv_ended(x, &x->stream[i], n < 0 ? errno : 0);
		return 0;
	}
	xtcp_recv_book(x, &x->stream[i], (size_t)n);
	*full = (size_t)n == want;
	return (size_t)n;
}

bool xtcp_recv_drain(struct xport *x, unsigned i)
{
	struct iovec iov[2];
	size_t total = 0;
	bool full = true;

	for (unsigned calls = 0; full && calls < XTCP_RECV_CALLS && total < XTCP_RECV_TURN;
		calls++) {
		full = false;
		total += xtcp_recv_once(x, i, &full);
	}
	/* What is complete is acted on before anybody sleeps. */
	return xtcp_recv_room(x, i, iov) > 0 && full;
}
