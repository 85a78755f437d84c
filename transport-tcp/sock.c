/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the plain-socket engine: many frames in one sendmsg(), headers from the queue and payload
 * straight from guest memory; recvmsg() straight into it. The reference the other engine is
 * measured by. Must never block outside ppoll() with a deadline.
 * Invariant: sendmsg() copies, so what is sent is settled.
 * Next in the flow: recv.c, at the other end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "transport-tcp/conn.h"
#include "transport-tcp/xtcp.h"

/* Pieces of one sendmsg(). UIO_MAXIOV is 1024. */
#define XTCP_SEND_IOV 512

/* A turn of one stream ends after this many bytes, so that the others get theirs. */
#define XTCP_SEND_TURN (8u << 20)

static void xtcp_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	(void)addr;
	out->usable = true;
	snprintf(out->why, sizeof(out->why), "TCP sockets need nothing beyond the network");
}

static int xtcp_sock_open(struct xport *x, struct err *e)
{
	(void)e;
	x->own = NULL; /* a socket needs nothing beside itself */
	return 0;
}

static void xtcp_sock_close(struct xport *x)
{
	(void)x; /* no call is ever in progress here */
}

/* Cuts the pieces of @m down to @most bytes, of which they have @bytes. Returns what is left. */
static size_t xtcp_sock_cut(struct msghdr *m, size_t bytes, size_t most)
{
	while (bytes > most) {
		struct iovec *last = &m->msg_iov[m->msg_iovlen - 1];
		size_t over = bytes - most;

		if (over < last->iov_len) {
			last->iov_len -= over;
			return most;
		}
		bytes -= last->iov_len;
		m->msg_iovlen--;
	}
	return bytes;
}

/* Gives the kernel as much as it takes of a bounded amount. True if there is more to give it now.
 */
static bool xtcp_sock_send(struct xport *x, struct xtcp_stream *s)
{
	size_t total = 0;

	while (!s->tx_dead && s->tx.sent != s->tx.end && total < XTCP_SEND_TURN) {
		struct iovec iov[XTCP_SEND_IOV];
		struct msghdr m = { .msg_iov = iov };
		size_t want;
		bool big;
		ssize_t n;

		m.msg_iovlen = (size_t)xtcp_queue_gather(
			&s->tx, iov, XTCP_SEND_IOV, UINT32_MAX, &want, &big);
		if (x->call_max)
			want = xtcp_sock_cut(&m, want, x->call_max);
		n = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				xtcp_send_failed(x, s, errno);
			return false;
		}
		x->stats.wire_bytes_out += (uint64_t)n;
		xtcp_queue_advance(&s->tx, (size_t)n);
		xtcp_queue_settle(&s->tx, s->tx.sent);
		total += (size_t)n;
		if ((size_t)n < want)
			return false; /* the socket is full; ppoll() says when it is not */
	}
	return !s->tx_dead && s->tx.sent != s->tx.end;
}

/* One turn for every stream. True if one of them has more to move at once. */
static bool xtcp_sock_turn(struct xport *x)
{
	bool more = false;

	for (unsigned i = 0; i < x->streams; i++)
		more |= xtcp_sock_send(x, &x->stream[i]);
	for (unsigned i = 0; i < x->streams; i++)
		more |= xtcp_recv_drain(x, i);
	return more;
}

static bool xtcp_sock_unsent(struct xport *x, unsigned i)
{
	return x->stream[i].tx.sent != x->stream[i].tx.end;
}

static int xtcp_sock_sleep(struct xport *x, uint64_t deadline)
{
	return xtcp_sleep(x, deadline, xtcp_sock_unsent);
}

/* Bytes are taken by calls that return: between two of them nothing is being received. */
static void xtcp_sock_recv_stop(struct xport *x, unsigned i)
{
	(void)x;
	(void)i;
}

const struct xtcp_engine xtcp_sock_engine = {
	.open = xtcp_sock_open,
	.close = xtcp_sock_close,
	.turn = xtcp_sock_turn,
	.sleep = xtcp_sock_sleep,
	.recv_stop = xtcp_sock_recv_stop,
};

static int xtcp_sock_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	return xtcp_conn_accept(l, timeout_ns, &xtcp_sock_engine, out, e);
}

static int xtcp_sock_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	return xtcp_conn_connect(out, addr, timeout_ns, &xtcp_sock_engine, e);
}

const struct xport_ops xtcp_sock_ops = {
	.name = "tcp",
	.probe = xtcp_probe,
	.listen = xtcp_conn_listen,
	.accept = xtcp_sock_accept,
	.connect = xtcp_sock_connect,
	.close = xtcp_conn_close,
	.region_add = xtcp_conn_region_add,
	.shut = xtcp_conn_shut,
	.put = xtcp_conn_put,
	.msg = xtcp_conn_msg,
	.poll = xtcp_conn_poll,
	.stats = xtcp_conn_stats,
};
