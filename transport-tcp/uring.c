/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the ring of a connection: its life, the turn that submits and reaps, the sleep. Must never
 * free what a request in progress may still read or write.
 * Invariant: requests in progress belong to the thread that polls; close() cancels them and waits
 * until they have ended before any memory goes.
 *
 * Guest memory is not registered with the ring. Registering pins every page, so it would fill all
 * holes of a sparse guest, and a page given back and touched again during the move would be sent
 * from the old, pinned copy. What a send reads is pinned for that send alone.
 * Next in the flow: uring_send.c.
 */
#include "transport-tcp/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/log.h"
#include "transport-tcp/connect.h"
#include "transport-tcp/xtcp.h"

/* A cancelled request ends at once; one that does not within this is a defect of the kernel. */
#define XURING_CANCEL_NS NSEC_PER_SEC

static struct __kernel_timespec xuring_timespec(uint64_t ns)
{
	return (struct __kernel_timespec){ .tv_sec = (long long)(ns / NSEC_PER_SEC),
		.tv_nsec = (long long)(ns % NSEC_PER_SEC) };
}

struct io_uring_sqe *xuring_sqe(struct xport *x)
{
	struct xuring *u = x->own;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	/* A turn makes at most two entries a stream and the ring has four, so this is for close(),
	 * whose cancellations may come on top. */
	if (!sqe) {
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

int xuring_fd(const struct xport *x, unsigned i)
{
	const struct xuring *u = x->own;

	return u->fixed_files ? (int)i : x->stream[i].fd;
}

void xuring_tag_sqe(const struct xport *x, struct io_uring_sqe *sqe, uint64_t tag)
{
	const struct xuring *u = x->own;

	sqe->flags |= u->fixed_files ? IOSQE_FIXED_FILE : 0;
	sqe->user_data = tag;
}

int xuring_open(struct xport *x, const struct xuring_options *o, struct err *e)
{
	struct xuring *u = calloc(1, sizeof(*u));
	int fds[XTCP_STREAMS_MAX];
	bool zc;
	int r;

	if (!u)
		return err_set(e, -ENOMEM, "no memory for a ring");
	r = xuring_ring_init(&u->ring, o->plain, &zc, e);
	if (r) {
		free(u);
		return err_wrap(e, "the uring transport cannot be used");
	}
	for (unsigned i = 0; i < x->streams; i++)
		fds[i] = x->stream[i].fd;
	/* Saves looking the descriptors up for every request; a kernel that refuses goes without.
	 */
	u->fixed_files = !o->plain && io_uring_register_files(&u->ring, fds, x->streams) == 0;
	u->zc_min = !zc ? XURING_ZC_OFF : o->zc_min ? o->zc_min : XURING_ZC_MIN;
	u->zc_keep = o->zc_keep;
	u->zc_reports = true;
	x->own = u;
	return 0;
}

static int xuring_open_default(struct xport *x, struct err *e)
{
	static const struct xuring_options own_choice = { 0 };

	return xuring_open(x, &own_choice, e);
}

static void xuring_broken(struct xport *x, int code)
{
	struct err why;

	if (code == -EEXIST)
		err_set(&why, code, "the connection was polled by a second thread");
	else
		err_set(&why, code, "io_uring failed: %s", strerrordesc_np(-code));
	for (unsigned i = 0; i < x->streams; i++)
		x->stream[i].tx_dead = x->stream[i].rx_end = true;
	xtcp_fail(x, &why);
}

/* What io_uring_enter() returns when all is well or will be after reaping. */
static bool xuring_harmless(int r)
{
	return r >= 0 || r == -EINTR || r == -EAGAIN || r == -EBUSY || r == -ETIME;
}

static bool xuring_enable(struct xport *x)
{
	struct xuring *u = x->own;
	int r = 0;

	/* liburing 2.3 declares io_uring_enable_rings() and forgot to export it. */
	if (!u->enabled)
		r = (int)syscall(__NR_io_uring_register, u->ring.ring_fd,
			IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (r)
		xuring_broken(x, -errno);
	else
		u->enabled = true;
	return !r;
}

static void xuring_dispatch(struct xport *x, const struct io_uring_cqe *cqe)
{
	switch ((enum xuring_kind)(cqe->user_data >> 32)) {
	case XURING_RECV: xuring_recv_done(x, cqe); break;
	case XURING_SEND: xuring_send_done(x, cqe); break;
	case XURING_CANCEL: break;
	}
}

/* All completions there are. Returns how many. */
static unsigned xuring_reap(struct xport *x)
{
	struct xuring *u = x->own;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&u->ring, head, cqe)
	{
		xuring_dispatch(x, cqe);
		n++;
	}
	io_uring_cq_advance(&u->ring, n);
	return n;
}

static bool xuring_turn(struct xport *x)
{
	struct xuring *u = x->own;
	int r;

	if (x->down.code == -EEXIST || !xuring_enable(x))
		return false;
	for (unsigned i = 0; i < x->streams; i++) {
		xuring_send(x, i);
		xuring_recv(x, i);
	}
	r = io_uring_submit_and_get_events(&u->ring);
	if (!xuring_harmless(r)) {
		xuring_broken(x, r);
		return false;
	}
	return xuring_reap(x) > 0;
}

static int xuring_sleep(struct xport *x, uint64_t deadline)
{
	struct xuring *u = x->own;
	uint64_t now = clock_mono_ns();
	struct __kernel_timespec ts = xuring_timespec(deadline > now ? deadline - now : 0);
	struct io_uring_cqe *cqe;
	int r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);

	return xuring_harmless(r) ? 0 : r;
}

/* Returns how many requests are in progress; @cancel: and asks for their end. */
static unsigned xuring_in_progress(struct xport *x, bool cancel)
{
	struct xuring *u = x->own;
	unsigned n = 0;

	for (unsigned i = 0; i < x->streams; i++) {
		const struct xuring_stream *us = &u->s[i];
		const struct {
			bool is;
			uint64_t tag;
		} r[] = { { us->receiving, xuring_tag(XURING_RECV, i, 0) },
			{ us->sending, xuring_tag(XURING_SEND, i, us->next - 1) } };

		for (unsigned k = 0; k < 2; k++) {
			n += r[k].is;
			if (!r[k].is || !cancel)
				continue;
			struct io_uring_sqe *sqe = xuring_sqe(x);

			if (!sqe)
				continue;
			io_uring_prep_cancel64(sqe, r[k].tag, 0);
			sqe->user_data = (uint64_t)XURING_CANCEL << 32;
		}
	}
	return n;
}

/*
 * Bytes the kernel sends by reference would be sent from memory that is freed next: an abortive end
 * discards them. Puts that are all done never come here.
 */
static void xuring_discard_unsettled(struct xport *x)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct xuring *u = x->own;

	for (unsigned i = 0; i < x->streams; i++) {
		const struct xuring_stream *us = &u->s[i];

		for (uint32_t k = us->first; k != us->next; k++)
			if (us->batch[k % XURING_BATCHES].zc)
				setsockopt(
					x->stream[i].fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	}
}

static void xuring_cancel(struct xport *x)
{
	struct xuring *u = x->own;
	uint64_t deadline = clock_mono_ns() + XURING_CANCEL_NS;

	for (unsigned i = 0; i < x->streams; i++)
		x->stream[i].tx_dead = x->stream[i].rx_end = true; /* nothing new starts */
	if (!u->enabled || xuring_in_progress(x, true) == 0)
		return;
	while (xuring_in_progress(x, false) && clock_mono_ns() < deadline) {
		if (xuring_sleep(x, deadline))
			break; /* another thread than the one that polled: exit ends them */
		xuring_reap(x);
	}
}

/*
 * The kernel may be writing into guest memory: the request is cancelled, and its end waited for.
 * With the socket shut for reading it has nothing to wait for itself, so it does end.
 */
static void xuring_recv_stop(struct xport *x, unsigned i)
{
	struct xuring *u = x->own;
	struct io_uring_sqe *sqe;

	if (!u->s[i].receiving)
		return;
	shutdown(x->stream[i].fd, SHUT_RD);
	sqe = xuring_sqe(x);
	if (sqe) {
		io_uring_prep_cancel64(sqe, xuring_tag(XURING_RECV, i, 0), 0);
		sqe->user_data = (uint64_t)XURING_CANCEL << 32;
	}
	while (u->s[i].receiving) {
		xuring_sleep(x, clock_mono_ns() + XURING_CANCEL_NS);
		xuring_reap(x);
	}
}

static void xuring_close(struct xport *x)
{
	struct xuring *u = x->own;

	xuring_cancel(x);
	xuring_discard_unsettled(x);
	/* A registered socket is kept open by the ring, whose own end is asynchronous: the peer
	 * must see this connection end now. */
	if (u->fixed_files && io_uring_unregister_files(&u->ring))
		for (unsigned i = 0; i < x->streams; i++)
			shutdown(x->stream[i].fd, SHUT_RDWR);
	io_uring_queue_exit(&u->ring);
	free(u);
}

const struct xtcp_engine xuring_engine = {
	.open = xuring_open_default,
	.close = xuring_close,
	.turn = xuring_turn,
	.sleep = xuring_sleep,
	.recv_stop = xuring_recv_stop,
};

/* The source chose for its own end; a target without io_uring speaks the same wire by sockets. */
static int xuring_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	struct xport_probe p;

	xuring_probe(NULL, &p);
	if (!p.usable)
		log_info("this end uses plain sockets: %s", p.why);
	return xtcp_conn_accept(
		l, timeout_ns, p.usable ? &xuring_engine : &xtcp_sock_engine, out, e);
}

static int xuring_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	struct xport_probe p;

	/* Before the target hears of it, so that it still waits for another attempt. */
	xuring_probe(addr, &p);
	if (!p.usable)
		return err_set(e, -EOPNOTSUPP, "the uring transport cannot be used: %s", p.why);
	return xtcp_conn_connect(out, addr, timeout_ns, &xuring_engine, e);
}

const struct xport_ops xtcp_uring_ops = {
	.name = "uring",
	.probe = xuring_probe,
	.listen = xtcp_conn_listen,
	.accept = xuring_accept,
	.connect = xuring_connect,
	.close = xtcp_conn_close,
	.region_add = xtcp_conn_region_add,
	.shut = xtcp_conn_shut,
	.put = xtcp_conn_put,
	.msg = xtcp_conn_msg,
	.poll = xtcp_conn_poll,
	.stats = xtcp_conn_stats,
};
