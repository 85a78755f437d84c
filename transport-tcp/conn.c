/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what both engines share of the contract (hv/migrate/xport.h): connection, posting, the poll
 * loop and what it reports. Must never wait but in the engine's sleep(), which has a deadline.
 * Invariant: XPORT_EV_DOWN comes after every message that arrived whole, and once.
 * Next in the flow: queue.c, recv.c, and the engines sock.c and uring.c.
 */
#include "transport-tcp/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "transport-tcp/connect.h"
#include "transport-tcp/keyed.h"

/*
 * When one stream has ended, the others get this long to bring what the peer sent on them before:
 * a message may be whole on stream 0 with a fence still on its way.
 */
#define XTCP_DRAIN_NS (200 * NSEC_PER_MSEC)

int xtcp_conn_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e)
{
	struct xtcp_listener *l;
	int r = xtcp_listen(&l, addr, e);

	/* An opaque handle: xport_listener is never defined, xtcp_listener is what it points to. */
	if (!r)
		*out = (struct xport_listener *)l;
	return r;
}

int xtcp_conn_accept(struct xport_listener *l, uint64_t timeout_ns,
	const struct xtcp_engine *engine, struct xport **out, struct err *e)
{
	/* what it points to is the caller's; the listener goes with accept() */
	const uint8_t *secret = xtcp_listener_secret((struct xtcp_listener *)l);
	int fds[XTCP_STREAMS_MAX];
	unsigned n;
	int r = xtcp_accept((struct xtcp_listener *)l, timeout_ns, fds, &n, e);

	if (!r && secret)
		r = xtcp_adopt_keyed(out, fds, n, true, secret, true, e);
	else if (!r)
		r = xtcp_adopt(out, fds, n, true, engine, e);
	if (!r)
		(*out)->stats.wire_bytes_in = n * XTCP_HELLO_SIZE;
	if (!r)
		(*out)->stats.wire_bytes_out = n * 2 * XTCP_WORD_SIZE;
	return r;
}

int xtcp_conn_connect(struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns,
	const struct xtcp_engine *engine, struct err *e)
{
	int fds[XTCP_STREAMS_MAX];
	int r = xtcp_connect(addr, timeout_ns, fds, e);

	if (!r && addr->secret)
		r = xtcp_adopt_keyed(out, fds, addr->streams, false, addr->secret, true, e);
	else if (!r)
		r = xtcp_adopt(out, fds, addr->streams, false, engine, e);
	if (!r)
		(*out)->stats.wire_bytes_out = addr->streams * XTCP_HELLO_SIZE;
	if (!r)
		(*out)->stats.wire_bytes_in = addr->streams * 2 * XTCP_WORD_SIZE;
	return r;
}

static void xtcp_conn_free(struct xport *x)
{
	for (unsigned i = 0; i < x->streams; i++) {
		close(x->stream[i].fd);
		xtcp_queue_fini(&x->stream[i].tx);
	}
	xport_inbox_fini(&x->inbox.mem);
	free(x);
}

void xtcp_close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

int xtcp_adopt(struct xport **out, const int *fds, unsigned n, bool is_target,
	const struct xtcp_engine *engine, struct err *e)
{
	struct xport *x = calloc(1, sizeof(*x));
	int r;

	if (!x) {
		xtcp_close_all(fds, n);
		return err_set(e, -ENOMEM, "no memory for a connection");
	}
	x->engine = engine;
	x->is_target = is_target;
	x->streams = n;
	for (unsigned i = 0; i < n; i++)
		x->stream[i].fd = fds[i];
	r = engine->open(x, e);
	if (r)
		xtcp_conn_free(x);
	else
		*out = x;
	return r;
}

void xtcp_conn_close(struct xport *x)
{
	if (!x)
		return;
	x->engine->close(x);
	xtcp_conn_free(x);
}

void xtcp_fail(struct xport *x, const struct err *why)
{
	if (x->down.code && !x->down_plain)
		return;
	x->down = *why;
	x->down_plain = false;
}

/*
 * A failed send does not end the connection by itself: what the peer said before it went may still
 * be unread, and the receiving side comes to the same end right after it.
 */
void xtcp_send_failed(struct xport *x, struct xtcp_stream *s, int err)
{
	struct err why;

	s->tx_dead = true;
	if (err == ETIMEDOUT || err == EHOSTUNREACH || err == ENETUNREACH)
		err_set(&why, -err, "the peer does not answer any more: %s", strerrordesc_np(err));
	else
		err_set(&why, -err, "the connection was cut while sending: %s",
			strerrordesc_np(err));
	xtcp_fail(x, &why);
}

int xtcp_conn_region_add(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e)
{
	return xtcp_regions_add(&x->regions, id, base, size, e);
}

int xtcp_conn_put(struct xport *x, const struct xport_put *p, struct err *e)
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
	q = &x->stream[xport_stream_of(p->region, p->offset, x->streams)].tx;
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

int xtcp_conn_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e)
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

/* Completions by turns from all streams, then the message if there is room. */
static int xtcp_collect(struct xport *x, struct xport_event *ev, int max)
{
	struct xtcp_inbox *in = &x->inbox;
	int n = 0;

	for (unsigned i = 0; i < x->streams && n < max; i++)
		n += xtcp_queue_report(
			&x->stream[(x->next_report + i) % x->streams].tx, ev + n, max - n);
	x->next_report = (x->next_report + 1) % x->streams;
	if (n < max && !in->mem.delivered && xtcp_inbox_ready(x)) {
		ev[n++] = (struct xport_event){ .type = XPORT_EV_MSG,
			.msg_type = in->frame.msg_type,
			.data = in->mem.data,
			.len = in->mem.got };
		in->mem.delivered = true;
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
		x->down_at = xport_deadline(XTCP_DRAIN_NS);
	return clock_mono_ns() >= x->down_at;
}

/* A connection that ends wakes up in time to say so. */
static uint64_t xtcp_wake_at(const struct xport *x, uint64_t deadline)
{
	return x->down.code && x->down_at < deadline ? x->down_at : deadline;
}

int xtcp_conn_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	uint64_t deadline = timeout_ns ? xport_deadline(timeout_ns) : 0;

	if (max < 1 || x->down_told)
		return err_set(e, -EINVAL, "poll on a connection that is down, or with no room");
	if (x->inbox.mem.delivered)
		xport_inbox_release(&x->inbox.mem);
	for (;;) {
		bool more = x->engine->turn(x);
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
		n = more ? 0 : x->engine->sleep(x, xtcp_wake_at(x, deadline));
		if (n)
			return err_set(e, n, "waiting for the peer: %s", strerrordesc_np(-n));
	}
}

int xtcp_sleep(struct xport *x, uint64_t deadline, bool (*unsent)(struct xport *x, unsigned i))
{
	struct pollfd p[XTCP_STREAMS_MAX];
	uint64_t now = clock_mono_ns();
	struct timespec ts;

	deadline = deadline > now ? deadline - now : 0;
	ts = (struct timespec){ (time_t)(deadline / NSEC_PER_SEC),
		(long)(deadline % NSEC_PER_SEC) };
	for (unsigned i = 0; i < x->streams; i++) {
		bool rx = xtcp_recv_open(x, i);
		bool tx = !x->stream[i].tx_dead && unsent(x, i);

		/* An ended or held stream would wake us with POLLHUP for ever: leave it out. */
		p[i] = (struct pollfd){ .fd = rx || tx ? x->stream[i].fd : -1,
			.events = (short)((rx ? POLLIN : 0) | (tx ? POLLOUT : 0)) };
	}
	if (ppoll(p, x->streams, &ts, NULL) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

void xtcp_conn_stats(const struct xport *x, struct xport_stats *out)
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
