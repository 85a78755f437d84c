/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the completion queue: every completion is booked here, and the records that came are acted
 * on. Must never believe a record: what it names is checked like a command line.
 * Invariant: records of a stream are acted on in the order they came, and a fence is booked only
 * after every earlier record of its stream was.
 * Next in the flow: hv/migrate/target.c decides what a message means.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/base/clock.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/status.h"

#define XRDMA_CQ_BATCH 32
#define XRDMA_CQ_TURN  64 /* batches; then the caller gets its turn */

/*
 * Pages of a chunk that is, or is about to be, registered are not given back: the adapter keeps the
 * old physical pages pinned, and a later write would land where nobody looks.
 */
static void zero_pages(const struct xrdma_region *g, uint64_t offset, uint64_t len)
{
	bool pinned = g->chunk && g->chunk[xrdma_chunk_of(g, offset)].asked;

	xport_zero(g->base + offset, len, pinned);
}

static int record_zero(struct xport *x, unsigned i, const struct xrdma_record *rec, struct err *e)
{
	for (unsigned n = 0; n < rec->count; n++) {
		const struct xrdma_run *run = &rec->run[n];
		uint64_t len = (uint64_t)run->pages * XPORT_PAGE_SIZE;
		int r = xrdma_range_check(&x->regions, run->region, run->offset, len, -EPROTO, e);

		if (r)
			return r;
		if (xport_stream_of(run->region, run->offset, x->streams) != i)
			return err_set(e, -EPROTO, "zero pages at %llu of region %u on stream %u",
				(unsigned long long)run->offset, run->region, i);
		zero_pages(&x->regions.r[run->region], run->offset, len);
	}
	x->ack_due = true; /* the source waits for it: its pages are in flight until then */
	return 0;
}

static int record_take(struct xport *x, unsigned i, uint32_t n, uint32_t len, struct err *e)
{
	const uint8_t *p = x->data_buf + ((size_t)i * XRDMA_RECORDS + n) * XRDMA_RECORD_SIZE;
	struct xrdma_stream *s = &x->stream[i];
	struct xrdma_record rec;
	int r = xrdma_record_decode(&rec, p, len, e);

	x->stats.wire_bytes_in += len;
	if (!r && rec.type == XRDMA_ZERO)
		r = record_zero(x, i, &rec, e);
	if (r)
		return r;
	if (rec.type == XRDMA_FENCE) {
		if (rec.seq <= s->fence)
			return err_set(e, -EPROTO, "fence %llu on stream %u follows %llu",
				(unsigned long long)rec.seq, i, (unsigned long long)s->fence);
		s->fence = rec.seq;
	}
	s->records_got++;
	if (s->records_got - s->records_told >= XRDMA_RECORDS / 4)
		x->ack_due = true;
	return 0;
}

/* A record is here: acted on, and its receive posted again. */
static void record_received(struct xport *x, unsigned i, uint32_t n, uint32_t len)
{
	struct err why;
	int r = record_take(x, i, n, len, &why);

	if (r) {
		err_wrap(&why, "the peer broke the protocol");
		xrdma_give_up(x, &why);
		return;
	}
	if (x->shut || x->down.code)
		return;
	r = xrdma_post_record_recv(x, i, n);
	if (r) {
		err_set(&why, r, "cannot post a receive: %s", strerrordesc_np(-r));
		xrdma_fail(x, &why, false);
	}
}

static const char *wr_name(enum xrdma_wr kind)
{
	static const char *const names[] = { [XRDMA_WR_DATA] = "a write",
		[XRDMA_WR_RECORD_IN] = "receiving a record",
		[XRDMA_WR_CTRL] = "sending a message",
		[XRDMA_WR_CTRL_IN] = "receiving a message" };

	return names[kind];
}

static void cq_failed(struct xport *x, enum xrdma_wr kind, const struct ibv_wc *wc)
{
	bool flush = wc->status == IBV_WC_WR_FLUSH_ERR;
	struct ibv_port_attr port;
	struct err why;

	if (kind == XRDMA_WR_RECORD_IN && x->shut)
		return; /* that is what shutting the stream out does */
	xrdma_status_error(&why, wc, wr_name(kind));
	/* What a status cannot say: adapters and soft-RoCE name a dead link differently. */
	if (!flush && ibv_query_port(x->verbs, x->port, &port) == 0 &&
		port.state != IBV_PORT_ACTIVE)
		err_wrap(&why, "port %u of RDMA device %s is %s (cable, switch or `ip link`)",
			x->port, ibv_get_device_name(x->verbs->device),
			ibv_port_state_str(port.state));
	xrdma_fail(x, &why, flush);
}

static void cq_one(struct xport *x, const struct ibv_wc *wc)
{
	enum xrdma_wr kind = (enum xrdma_wr)(wc->wr_id >> 56);
	unsigned line = wc->wr_id >> 32 & 0xff;
	uint32_t n = (uint32_t)wc->wr_id;
	bool ok = wc->status == IBV_WC_SUCCESS;

	if (kind == XRDMA_WR_RECORD_IN)
		x->stream[line].rx_open--;
	if (kind == XRDMA_WR_CTRL)
		x->tx_done = n;
	if (kind == XRDMA_WR_RECORD_IN && x->sealed)
		return; /* received in time, looked at too late */
	if (!ok) {
		cq_failed(x, kind, wc);
		return;
	}
	switch (kind) {
	case XRDMA_WR_DATA: x->stream[line].acked = n; return;
	case XRDMA_WR_RECORD_IN: record_received(x, line, n, wc->byte_len); return;
	case XRDMA_WR_CTRL: return;
	case XRDMA_WR_CTRL_IN: xrdma_ctrl_received(x, n, wc->byte_len); return;
	}
}

bool xrdma_cq_turn(struct xport *x)
{
	struct ibv_wc wc[XRDMA_CQ_BATCH];
	int n = XRDMA_CQ_BATCH;

	for (int turn = 0; turn < XRDMA_CQ_TURN && n == XRDMA_CQ_BATCH; turn++) {
		n = ibv_poll_cq(x->cq, XRDMA_CQ_BATCH, wc);
		if (n > 0)
			x->progress_at = clock_mono_ns();
		for (int i = 0; i < n; i++)
			cq_one(x, &wc[i]);
	}
	if (n < 0) {
		struct err why;

		err_set(&why, -EIO, "the completion queue is broken");
		xrdma_fail(x, &why, false);
	}
	return n == XRDMA_CQ_BATCH;
}
