/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the RDMA transport's contract (hv/migrate/xport.h): posting, the poll loop and what it
 * reports, shutting out, closing. Must never block outside xrdma_watch() with a deadline.
 * Invariant: XPORT_EV_DOWN comes after every message that arrived whole, and once.
 * Next in the flow: internal.h has the argument why its order holds; send.c, ctrl.c, recv.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/xrdma.h"

#define XRDMA_EARLY     4                    /* puts that wait at most, if they can go */
#define XRDMA_SPIN_NS   (20 * NSEC_PER_USEC) /* the queue is polled so long before anybody sleeps */
#define XRDMA_SHORT_NS  NSEC_PER_MSEC /* a caller that waits no longer is never put to sleep */
#define XRDMA_WATCH_NS  NSEC_PER_MSEC /* how often a busy end looks for news */
#define XRDMA_LINGER_NS (100 * NSEC_PER_MSEC)
#define XRDMA_SHUT_NS   (20 * NSEC_PER_MSEC)
#define XRDMA_WORD_NS   (50 * NSEC_PER_MSEC)

/* ---- memory ------------------------------------------------------------------------------- */

static int xrdma_region_add(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e)
{
	struct xrdma_region *g;
	int r = xrdma_regions_add(&x->regions, id, base, size, e);

	if (r || x->is_target) /* the target cuts when the source asks, by the source's measure */
		return r;
	g = &x->regions.r[id];
	r = xrdma_region_cut(g, xrdma_chunk_shift(size), e);
	/* Paged on demand, registration costs nothing: chunks are registered when puts come. */
	if (!r && x->wish.pin != XPORT_PIN_ODP)
		r = xrdma_reg_scan(x->reg, g, id, x->wish.pin == XPORT_PIN_ALL, e);
	return r;
}

/* ---- posting ------------------------------------------------------------------------------ */

static int xrdma_put(struct xport *x, const struct xport_put *p, struct err *e)
{
	struct xrdma_slot slot = { .kind = p->zero ? XRDMA_SLOT_ZERO : XRDMA_SLOT_PUT,
		.region = p->region,
		.offset = p->offset,
		.length = p->length,
		.cookie = p->cookie };
	int r = xrdma_range_check(&x->regions, p->region, p->offset, p->length, -EINVAL, e);
	unsigned i;

	if (r)
		return r;
	if (x->is_target)
		return err_set(e, -EINVAL, "the target of a move cannot put");
	i = xport_stream_of(p->region, p->offset, x->streams);
	if (xrdma_stream_full(&x->stream[i]))
		return -EAGAIN;
	if (!p->zero)
		r = xrdma_chunk_want(
			x, p->region, xrdma_chunk_of(&x->regions.r[p->region], p->offset), true, e);
	if (!r)
		r = xrdma_stream_push(x, i, &slot, e);
	if (r)
		return r;
	x->stats.puts++;
	x->stats.put_bytes += p->zero ? 0 : p->length;
	/* The adapter works while the caller looks for the next pages; it does not wait for poll.
	 */
	if (x->stream[i].end - x->stream[i].posted >= XRDMA_EARLY)
		xrdma_stream_flush(x, i);
	return 0;
}

static int xrdma_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e)
{
	struct xrdma_frame f = { .type = XRDMA_MSG, .msg_type = type, .total = (uint32_t)len };
	struct xrdma_slot fence = { .kind = XRDMA_SLOT_FENCE, .seq = x->tx_seq + 1 };
	uint8_t *owned = NULL;
	int r = 0;

	if (len > XPORT_MSG_MAX)
		return err_set(e, -EMSGSIZE, "a message of %zu bytes is longer than %u", len,
			XPORT_MSG_MAX);
	if (len) {
		owned = malloc(len);
		if (!owned)
			return err_set(e, -ENOMEM, "no memory for a message of %zu bytes", len);
		memcpy(owned, data, len);
	}
	for (unsigned i = 0; i < x->streams && !r; i++) {
		if (!x->stream[i].fence_due)
			continue;
		f.fences = (uint16_t)(f.fences | 1u << i);
		r = xrdma_stream_push(x, i, &fence, e);
	}
	if (r) {
		free(owned);
		return r;
	}
	f.seq = fence.seq;
	r = xrdma_ctrl_push(x, &f, owned, e);
	if (r)
		return r;
	x->tx_seq++;
	/* Out at once, if nothing is in the way: whoever sends it may do other things before poll.
	 */
	xrdma_ctrl_flush(x);
	return 0;
}

/* ---- polling ------------------------------------------------------------------------------ */

/* Everything that can be done now. True if there is more in the completion queue. */
static bool xrdma_turn(struct xport *x)
{
	bool more = xrdma_cq_turn(x);

	xrdma_reg_turn(x);
	xrdma_inbox_feed(x);
	for (unsigned i = 0; i < x->streams && !x->is_target; i++)
		xrdma_stream_flush(x, i);
	xrdma_ctrl_flush(x);
	return more;
}

/* Completions by turns from all streams, then the message if there is room. */
static int xrdma_collect(struct xport *x, struct xport_event *ev, int max)
{
	struct xrdma_inbox *in = &x->inbox;
	int n = 0;

	for (unsigned i = 0; i < x->streams && n < max && !x->is_target; i++)
		n += xrdma_stream_report(x, (x->next_report + i) % x->streams, ev + n, max - n);
	x->next_report = (x->next_report + 1) % x->streams;
	if (n < max && xrdma_inbox_ready(x)) {
		ev[n++] = (struct xport_event){ .type = XPORT_EV_MSG,
			.msg_type = in->head.msg_type,
			.data = in->mem.data,
			.len = in->mem.got };
		in->mem.delivered = true;
	}
	return n;
}

/*
 * What is worth waking up for. A target waits for what the source sends (which is marked as
 * solicited, IBA vol. 1, 11.4.2.2); that its own frames have left only if others wait for their
 * place. A failure of one flushes the receives, and is news.
 */
static enum xrdma_armed xrdma_worth(const struct xport *x)
{
	return x->is_target && !xrdma_ctrl_stuck(x) ? XRDMA_ARMED_NEWS : XRDMA_ARMED_ALL;
}

/* Sleeps until there is something to do, or only looks. 0 or negative errno. */
static int xrdma_wait(struct xport *x, uint64_t begin, uint64_t deadline, struct err *e)
{
	uint64_t now = clock_mono_ns(), left = deadline > now ? deadline - now : 0;
	bool busy = deadline - begin <= XRDMA_SHORT_NS || now - begin < XRDMA_SPIN_NS;
	enum xrdma_armed worth = xrdma_worth(x);

	if (busy || x->armed < worth) {
		/* Armed first, looked at once more after, or a completion in between is missed. */
		if (!busy && ibv_req_notify_cq(x->cq, worth == XRDMA_ARMED_NEWS) == 0)
			x->armed = worth;
		return now - x->watched_at < XRDMA_WATCH_NS ? 0 : xrdma_watch(x, 0, e);
	}
	return xrdma_watch(x, left, e);
}

/*
 * A peer that gives up says why, and then closes; but where its device is taken away, its kernel
 * closes for it, by datagrams that do not wait for what is on the queue pair, which lives a little
 * longer. So a close without a word is not told at once: the word may be right behind it.
 */
static bool xrdma_word_may_come(const struct xport *x)
{
	return x->down_plain && !x->shut && clock_mono_ns() - x->down_at < XRDMA_WORD_NS;
}

static int xrdma_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	uint64_t begin = clock_mono_ns(), deadline = xport_deadline(timeout_ns);
	int r = 0;

	if (max < 1 || x->down_told)
		return err_set(e, -EINVAL, "poll on a connection that is down, or with no room");
	if (x->inbox.mem.delivered)
		xport_inbox_release(&x->inbox.mem);
	if (begin - x->watched_at >= XRDMA_WATCH_NS)
		r = xrdma_watch(x, 0, e);
	while (!r) {
		/* Whether it is down, before what has come is looked at: then nothing is missed. */
		bool down = x->down.code;
		bool more = xrdma_turn(x);
		int n = xrdma_collect(x, ev, max);
		bool awaited = down && xrdma_word_may_come(x);

		if (n)
			return n;
		if (down && !more && !awaited) {
			ev[0] = (struct xport_event){ .type = XPORT_EV_DOWN, .err = x->down };
			x->down_told = true;
			return 1;
		}
		if (x->down.code && !awaited)
			continue;
		if (timeout_ns == 0 || clock_mono_ns() >= deadline)
			return 0;
		if (awaited)
			r = xrdma_watch(x, NSEC_PER_MSEC, e);
		else if (!more)
			r = xrdma_wait(x, begin, deadline, e);
	}
	return r;
}

static void xrdma_stats(const struct xport *x, struct xport_stats *out)
{
	*out = x->stats;
	out->streams = x->streams;
	out->one_sided = x->is_target;
	out->helpers_ns = xrdma_reg_cpu_ns(x->reg);
	if (x->is_target)
		out->wire_bytes_in += x->written;
	for (unsigned i = 0; i < x->streams; i++)
		out->in_transit_bytes += x->stream[i].queued_bytes;
	for (const struct xrdma_out *o = x->out_head; o; o = o->next)
		out->in_transit_bytes += o->frame.total - o->sent;
}

/* ---- the end ------------------------------------------------------------------------------ */

/*
 * The error state makes a queue pair drop what comes; the receives that were posted on it complete
 * as flushed. When the last of them has, the adapter has worked through the change, and nothing of
 * this queue pair is on its way to memory. One that does not get there in time is destroyed, which
 * waits for the adapter in the kernel. Registrations stay until close(): undoing them is slow, and
 * without a queue pair of their protection domain they open nothing to anybody.
 */
static void xrdma_shut(struct xport *x)
{
	struct ibv_qp_attr error = { .qp_state = IBV_QPS_ERR };
	uint64_t deadline = clock_mono_ns() + XRDMA_SHUT_NS;
	bool open = true;

	if (x->shut || !x->is_target)
		return;
	x->shut = true;
	for (unsigned i = 0; i < x->streams; i++)
		ibv_modify_qp(xrdma_data_qp(x, i), &error, IBV_QP_STATE);
	while (open && clock_mono_ns() < deadline) {
		open = false;
		xrdma_cq_turn(x);
		for (unsigned i = 0; i < x->streams; i++)
			open |= x->stream[i].rx_open > 0;
	}
	for (unsigned i = 0; i < x->streams; i++)
		if (x->stream[i].rx_open)
			rdma_destroy_qp(x->line[i].id);
	x->sealed = true;
}

/* True while a message, or a fence that belongs to one, has left and is not with the peer yet. */
static bool xrdma_speaking(const struct xport *x)
{
	if (x->tx_end != x->tx_done)
		return true;
	for (unsigned i = 0; i < x->streams && !x->is_target; i++) {
		const struct xrdma_stream *s = &x->stream[i];

		for (uint32_t at = s->acked; at != s->posted; at++)
			if (s->slot[at & (XRDMA_SLOTS - 1)].kind == XRDMA_SLOT_FENCE)
				return true;
	}
	return false;
}

/*
 * An adapter forgets what a destroyed queue pair still had to send, unlike a kernel with a closed
 * socket: so messages already given to it get a moment. Completions count also when they are
 * errors, so a dead peer is not waited for.
 */
static void xrdma_close(struct xport *x)
{
	uint64_t deadline = clock_mono_ns() + XRDMA_LINGER_NS;

	if (!x)
		return;
	while (xrdma_speaking(x) && clock_mono_ns() < deadline) {
		xrdma_cq_turn(x);
		if (x->down.code && x->down.code != -EPROTO && x->tx_end == x->tx_done)
			break;
	}
	xrdma_free(x);
}

const struct xport_ops xrdma_ops = {
	.name = "rdma",
	.probe = xrdma_probe,
	.listen = xrdma_listen,
	.accept = xrdma_accept,
	.connect = xrdma_connect,
	.close = xrdma_close,
	.region_add = xrdma_region_add,
	.shut = xrdma_shut,
	.put = xrdma_put,
	.msg = xrdma_msg,
	.poll = xrdma_poll,
	.stats = xrdma_stats,
};
