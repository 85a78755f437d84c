/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the plain-socket engine's contract (hv/migrate/xport.h): connection, posting, the poll loop
 * and what it reports. Must never block outside ppoll() with a deadline.
 * Invariant: XPORT_EV_DOWN comes after every message that arrived whole, and once.
 * Next in the flow: sock_send.c, sock_recv.c.
 */
#include "transport-tcp/sock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "transport-tcp/connect.h"
#include "transport-tcp/xtcp.h"

/*
 * When one stream has ended, the others get this long to bring what the peer sent on them before:
 * a message may be whole on stream 0 with a fence still on its way.
 */
#define XTCP_DRAIN_NS (200 * NSEC_PER_MSEC)

static void xtcp_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	(void)addr;
	out->usable = true;
	snprintf(out->why, sizeof(out->why), "TCP sockets need nothing beyond the network");
}

static int xtcp_sock_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e)
{
	struct xtcp_listener *l;
	int r = xtcp_listen(&l, addr, e);

	/* An opaque handle: xport_listener is never defined, xtcp_listener is what it points to. */
	if (!r)
		*out = (struct xport_listener *)l;
	return r;
}

static int xtcp_sock_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	int fds[XTCP_STREAMS_MAX];
	unsigned n;
	int r = xtcp_accept((struct xtcp_listener *)l, timeout_ns, fds, &n, e);

	if (!r)
		r = xtcp_sock_adopt(out, fds, n, true, e);
	if (!r)
		(*out)->stats.wire_bytes_in = n * XTCP_HELLO_SIZE;
	if (!r)
		(*out)->stats.wire_bytes_out = n * XTCP_ACK_SIZE;
	return r;
}

static int xtcp_sock_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	int fds[XTCP_STREAMS_MAX];
	int r = xtcp_connect(addr, timeout_ns, fds, e);

	if (!r)
		r = xtcp_sock_adopt(out, fds, addr->streams, false, e);
	if (!r)
		(*out)->stats.wire_bytes_out = addr->streams * XTCP_HELLO_SIZE;
	if (!r)
		(*out)->stats.wire_bytes_in = addr->streams * XTCP_ACK_SIZE;
	return r;
}

int xtcp_sock_adopt(struct xport **out, const int *fds, unsigned n, bool is_target, struct err *e)
{
	struct xport *x = calloc(1, sizeof(*x));

	if (!x) {
		for (unsigned i = 0; i < n; i++)
			close(fds[i]);
		return err_set(e, -ENOMEM, "no memory for a connection");
	}
	x->is_target = is_target;
	x->streams = n;
	for (unsigned i = 0; i < n; i++)
		x->stream[i].fd = fds[i];
	*out = x;
	return 0;
}

static void xtcp_close(struct xport *x)
{
	if (!x)
		return;
	for (unsigned i = 0; i < x->streams; i++) {
		close(x->stream[i].fd);
		xtcp_queue_fini(&x->stream[i].tx);
	}
	free(x->inbox.data);
	free(x);
}

void xtcp_sock_fail(struct xport *x, const struct err *why)
{
	if (x->down.code && !x->down_plain)
		return;
	x->down = *why;
	x->down_plain = false;
}

static int xtcp_region_add(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e)
{
	return xtcp_regions_add(&x->regions, id, base, size, e);
}

static int xtcp_put(struct xport *x, const struct xport_put *p, struct err *e)
{
	struct xtcp_frame f = { .type = p->zero ? XTCP_FRAME_ZERO : XTCP_FRAME_PUT,
		.region = p->region,
		.offset = p->offset,
		.length = p->length };
	struct xtcp_slot slot = { .is_put = true, .cookie = p->cookie };
	struct xtcp_queue *q;
	int r = xtcp_range_check(&x->regions, p->region, p->offset, p->length, -EINVAL, e);

	if (r)
		return r;
	if (x->is_target)
		return err_set(e, -EINVAL, "the target of a move cannot put");
	q = &x->stream[xtcp_stream_of(p->region, p->offset, x->streams)].tx;
	if (xtcp_queue_full(q))
		return -EAGAIN;
	xtcp_frame_encode(&f, slot.header);
	slot.payload = x->regions.r[p->region].base + p->offset;
	slot.length = xtcp_frame_payload(&f);
	if (xtcp_queue_push(q, &slot))
		return err_set(e, -ENOMEM, "no memory for a put");
	x->stats.puts++;
	x->stats.put_bytes += slot.length;
	return 0;
}

/* FENCE on every other stream, before the message itself: see frame.h. */
static int xtcp_fence(struct xport *x, uint64_t seq)
{
	struct xtcp_frame f = { .type = XTCP_FRAME_FENCE, .seq = seq };
	struct xtcp_slot slot = { 0 };

	xtcp_frame_encode(&f, slot.header);
	for (unsigned i = 1; i < x->streams; i++)
		if (xtcp_queue_push(&x->stream[i].tx, &slot))
			return -ENOMEM;
	return 0;
}

static int xtcp_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e)
{
	struct xtcp_frame f = { .type = XTCP_FRAME_MSG,
		.msg_type = type,
		.length = (uint32_t)len,
		.seq = x->tx_seq + 1 };
	struct xtcp_slot slot = { .length = (uint32_t)len };

	if (len > XPORT_MSG_MAX)
		return err_set(e, -EMSGSIZE, "a message of %zu bytes is longer than %u", len,
			XPORT_MSG_MAX);
	if (len) {
		slot.owned = malloc(len);
		if (!slot.owned)
			return err_set(e, -ENOMEM, "no memory for a message of %zu bytes", len);
		memcpy(slot.owned, data, len);
		slot.payload = slot.owned;
	}
	xtcp_frame_encode(&f, slot.header);
	if (xtcp_fence(x, f.seq)) {
		free(slot.owned);
		return err_set(e, -ENOMEM, "no memory for a fence");
	}
	if (xtcp_queue_push(&x->stream[0].tx, &slot))
		return err_set(e, -ENOMEM, "no memory for a message");
	x->tx_seq++;
	return 0;
}

/* One turn for every stream. True if one of them has more to move at once. */
static bool xtcp_turn(struct xport *x)
{
	bool more = false;

	for (unsigned i = 0; i < x->streams; i++)
		more |= xtcp_stream_send(x, &x->stream[i]);
	for (unsigned i = 0; i < x->streams; i++)
		more |= xtcp_stream_recv(x, i);
	return more;
}

/* Completions by turns from all streams, then the message if there is room. */
static int xtcp_collect(struct xport *x, struct xport_event *ev, int max)
{
	struct xtcp_inbox *in = &x->inbox;
	int n = 0;

	for (unsigned i = 0; i < x->streams && n < max; i++)
		n += xtcp_queue_report(
			&x->stream[(x->next_report + i) % x->streams].tx, ev + n, max - n);
	x->next_report = (x->next_report + 1) % x->streams;
	if (n < max && !in->delivered && xtcp_inbox_ready(x)) {
		ev[n++] = (struct xport_event){ .type = XPORT_EV_MSG,
			.msg_type = in->frame.msg_type,
			.data = in->data,
			.len = in->got };
		in->delivered = true;
	}
	return n;
}

static bool xtcp_all_ended(const struct xport *x)
{
	for (unsigned i = 0; i < x->streams; i++)
		if (!x->stream[i].rx_end)
			return false;
	return true;
}

/* True once nothing that arrived before the end can still be reported. */
static bool xtcp_down_due(struct xport *x)
{
	if (!x->down.code)
		return false;
	if (x->down.code == -EPROTO || x->down.code == -ENOMEM || xtcp_all_ended(x))
		return true;
	if (!x->down_at)
		x->down_at = xtcp_deadline(XTCP_DRAIN_NS);
	return clock_mono_ns() >= x->down_at;
}

/* Sleeps until a socket can move bytes or @deadline. 0 or negative errno. */
static int xtcp_sleep(struct xport *x, uint64_t deadline)
{
	struct pollfd p[XTCP_STREAMS_MAX];
	uint64_t now = clock_mono_ns();
	struct timespec ts;

	if (x->down.code && x->down_at < deadline)
		deadline = x->down_at;
	deadline = deadline > now ? deadline - now : 0;
	ts = (struct timespec){ (time_t)(deadline / NSEC_PER_SEC),
		(long)(deadline % NSEC_PER_SEC) };
	for (unsigned i = 0; i < x->streams; i++) {
		const struct xtcp_stream *s = &x->stream[i];
		bool rx = !s->rx_end && !(i == 0 && x->inbox.complete);
		bool tx = !s->tx_dead && s->tx.sent != s->tx.end;

		/* An ended or held stream would wake us with POLLHUP for ever: leave it out. */
		p[i] = (struct pollfd){ .fd = rx || tx ? s->fd : -1,
			.events = (short)((rx ? POLLIN : 0) | (tx ? POLLOUT : 0)) };
	}
	if (ppoll(p, x->streams, &ts, NULL) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int xtcp_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	uint64_t deadline = timeout_ns ? xtcp_deadline(timeout_ns) : 0;

	if (max < 1 || x->down_told)
		return err_set(e, -EINVAL, "poll on a connection that is down, or with no room");
	if (x->inbox.delivered)
		xtcp_inbox_release(x);
	for (;;) {
		bool more = xtcp_turn(x);
		int n = xtcp_collect(x, ev, max);

		if (n)
			return n;
		if (xtcp_down_due(x)) {
			ev[0] = (struct xport_event){ .type = XPORT_EV_DOWN, .err = x->down };
			x->down_told = true;
			return 1;
		}
		if (timeout_ns == 0 || clock_mono_ns() >= deadline)
			return 0;
		n = more ? 0 : xtcp_sleep(x, deadline);
		if (n)
			return err_set(e, n, "waiting for the peer: %s", strerrordesc_np(-n));
	}
}

static void xtcp_stats(const struct xport *x, struct xport_stats *out)
{
	*out = x->stats;
	out->streams = x->streams;
	for (unsigned i = 0; i < x->streams; i++) {
		int unacked = 0;

		/* What the kernel holds and the peer's kernel has not acknowledged. */
		if (ioctl(x->stream[i].fd, SIOCOUTQ, &unacked) == 0 && unacked > 0)
			out->in_transit_bytes += (uint64_t)unacked;
		out->in_transit_bytes += x->stream[i].tx.queued_bytes;
	}
}

const struct xport_ops xtcp_sock_ops = {
	.name = "tcp",
	.probe = xtcp_probe,
	.listen = xtcp_sock_listen,
	.accept = xtcp_sock_accept,
	.connect = xtcp_sock_connect,
	.close = xtcp_close,
	.region_add = xtcp_region_add,
	.shut = xtcp_recv_shut,
	.put = xtcp_put,
	.msg = xtcp_msg,
	.poll = xtcp_poll,
	.stats = xtcp_stats,
};
