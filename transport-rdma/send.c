/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what a source's data streams do: puts become RDMA writes out of guest memory, zero puts and
 * fences become records, many of them linked in one call of the adapter. Must never copy a put, nor
 * post a write whose chunk is not registered at both ends: it waits, and what is behind it too.
 * Invariant: a put is reported done only when the adapter has completed its write, a zero put only
 * when the target has consumed its record; each in the order of its stream.
 * Next in the flow: recv.c, which books the completions.
 */
#include <errno.h>
#include <string.h>

#include "transport-rdma/parts.h"

#define XRDMA_QUEUE_BYTES                                                                          \
	(8ull << 20)    /* a stream holds: deep enough for any link, not for stalls */
#define XRDMA_BATCH 32u /* work requests linked in one call */

/*
 * Every so many writes, or bytes, one completion: the adapter's and our work for the others is
 * saved. Far less than the queue holds of either, so that it is refilled long before it is empty.
 */
#define XRDMA_SIGNAL_EVERY (XRDMA_SQ / 4)
#define XRDMA_SIGNAL_BYTES (1ull << 20)

bool xrdma_stream_full(const struct xrdma_stream *s)
{
	/* A few places are kept for fences, which may not be refused. */
	return s->end - s->done >= XRDMA_SLOTS - 64 || s->queued_bytes >= XRDMA_QUEUE_BYTES;
}

static struct xrdma_slot *slot_at(const struct xrdma_stream *s, uint32_t i)
{
	return &s->slot[i & (XRDMA_SLOTS - 1)];
}

int xrdma_stream_push(struct xport *x, unsigned i, const struct xrdma_slot *slot, struct err *e)
{
	struct xrdma_stream *s = &x->stream[i];

	if (s->end - s->done == XRDMA_SLOTS)
		return err_set(e, -ENOBUFS, "too many messages without a poll between them");
	*slot_at(s, s->end++) = *slot;
	if (slot->kind == XRDMA_SLOT_FENCE) {
		s->fence_due = false;
		return 0;
	}
	s->queued_bytes += slot->length;
	s->fence_due = true;
	return 0;
}

int xrdma_chunk_ask(struct xport *x, uint32_t region, uint32_t chunk, bool urgent, struct err *e)
{
	struct xrdma_region *g = &x->regions.r[region];
	struct xrdma_frame ask = { .type = XRDMA_ASK,
		.region = region,
		.chunk = chunk,
		.chunks = 1,
		.length = xrdma_chunk_len(g, chunk),
		.shift = (uint8_t)g->shift,
		.urgent = urgent };
	int r;

	if (g->chunk[chunk].asked)
		return 0;
	r = xrdma_ctrl_push(x, &ask, NULL, e);
	g->chunk[chunk].asked = !r;
	return r;
}

int xrdma_chunk_want(struct xport *x, uint32_t region, uint32_t chunk, bool urgent, struct err *e)
{
	struct xrdma_region *g = &x->regions.r[region];
	struct xrdma_chunk *c = &g->chunk[chunk];
	int r = xrdma_chunk_ask(x, region, chunk, urgent, e);

	if (!r && !c->mr && xrdma_chunk_take(c))
		r = xrdma_reg_push(x->reg, g, region, chunk, 1, urgent, e);
	return r;
}

/* One call of the adapter in the making. */
struct batch {
	struct ibv_send_wr wr[XRDMA_BATCH];
	struct ibv_sge sge[XRDMA_BATCH];
	unsigned n;
	uint64_t bytes;
};

static struct ibv_send_wr *batch_add(struct batch *b, const void *p, uint32_t len, uint32_t lkey)
{
	struct ibv_send_wr *wr = &b->wr[b->n];

	b->sge[b->n] = (struct ibv_sge){ (uintptr_t)p, len, lkey };
	*wr = (struct ibv_send_wr){ .sg_list = &b->sge[b->n], .num_sge = 1 };
	if (b->n)
		b->wr[b->n - 1].next = wr;
	b->n++;
	return wr;
}

/* True if the put's write was added; false: its chunk is not ready. */
static bool batch_put(struct xport *x, struct batch *b, const struct xrdma_slot *slot)
{
	const struct xrdma_region *g = &x->regions.r[slot->region];
	const struct xrdma_chunk *c = &g->chunk[xrdma_chunk_of(g, slot->offset)];
	struct ibv_send_wr *wr;

	if (!xrdma_chunk_ready(c))
		return false;
	wr = batch_add(b, g->base + slot->offset, slot->length, c->mr->lkey);
	wr->opcode = IBV_WR_RDMA_WRITE;
	wr->wr.rdma.remote_addr = c->addr + (slot->offset & ((1ull << g->shift) - 1));
	wr->wr.rdma.rkey = c->rkey;
	b->bytes += slot->length;
	return true;
}

/* Zero puts from slot @at on, as many as follow each other, go into one record. */
static uint32_t record_zero(
	struct xrdma_stream *s, uint32_t at, uint64_t number, struct xrdma_record *rec)
{
	uint32_t n = 0;

	rec->type = XRDMA_ZERO;
	while (at + n != s->end && n < XRDMA_RUNS_MAX) {
		struct xrdma_slot *slot = slot_at(s, at + n);

		if (slot->kind != XRDMA_SLOT_ZERO)
			break;
		slot->record = number;
		rec->run[n++] = (struct xrdma_run){ slot->region, slot->length / XPORT_PAGE_SIZE,
			slot->offset };
	}
	rec->count = (uint16_t)n;
	return n;
}

/* How many slots from @at on went into a record; 0: the target has no receive free for one. */
static uint32_t batch_record(struct xport *x, unsigned i, struct batch *b, uint32_t at)
{
	struct xrdma_stream *s = &x->stream[i];
	uint64_t number = s->records_sent + 1;
	uint32_t place = (uint32_t)(s->records_sent % XRDMA_RECORDS), used = 1, len;
	uint8_t *p = x->data_buf + ((size_t)i * XRDMA_RECORDS + place) * XRDMA_RECORD_SIZE;
	struct xrdma_record rec = { .type = XRDMA_FENCE };
	struct ibv_send_wr *wr;

	/*
	 * A record's buffer is free again when the target has consumed the record that was in it:
	 * then the adapter has read it long ago.
	 */
	if (s->records_sent - s->records_acked >= XRDMA_RECORDS)
		return 0;
	if (slot_at(s, at)->kind == XRDMA_SLOT_FENCE)
		rec.seq = slot_at(s, at)->seq;
	else
		used = record_zero(s, at, number, &rec);
	s->records_sent = number;
	len = xrdma_record_encode(&rec, p);
	wr = batch_add(b, p, len, x->data_mr->lkey);
	wr->opcode = IBV_WR_SEND;
	wr->send_flags = IBV_SEND_SOLICITED; /* wakes a target that waits for news alone */
	if (len <= x->max_inline)
		wr->send_flags |= IBV_SEND_INLINE;
	x->stats.wire_bytes_out += len;
	return used;
}

/* Fills a batch from the stream. Returns the slot after the last one it holds. */
static uint32_t batch_fill(struct xport *x, unsigned i, struct batch *b)
{
	struct xrdma_stream *s = &x->stream[i];
	uint32_t at = s->posted;
	uint64_t signalled = 0;

	while (b->n < XRDMA_BATCH && at != s->end && at - s->acked < x->sq_depth) {
		uint32_t before = at;

		if (slot_at(s, at)->kind != XRDMA_SLOT_PUT)
			at += batch_record(x, i, b, at);
		else if (batch_put(x, b, slot_at(s, at)))
			at++;
		if (at == before)
			break;
		b->wr[b->n - 1].wr_id = xrdma_wr_id(XRDMA_WR_DATA, i, at);
		if (before / XRDMA_SIGNAL_EVERY != at / XRDMA_SIGNAL_EVERY ||
			b->bytes - signalled >= XRDMA_SIGNAL_BYTES) {
			b->wr[b->n - 1].send_flags |= IBV_SEND_SIGNALED;
			signalled = b->bytes;
		}
	}
	return at;
}

void xrdma_stream_flush(struct xport *x, unsigned i)
{
	struct xrdma_stream *s = &x->stream[i];

	while (s->posted != s->end && !x->down.code) {
		struct ibv_send_wr *bad;
		struct batch b;
		uint32_t after;
		int r;

		b.n = 0;
		b.bytes = 0;
		after = batch_fill(x, i, &b);
		if (!b.n)
			return;
		/* The last of a batch always tells: nothing may follow it for a long time. */
		b.wr[b.n - 1].send_flags |= IBV_SEND_SIGNALED;
		r = ibv_post_send(xrdma_data_qp(x, i), b.wr, &bad);
		if (r) {
			struct err why;

			err_set(&why, -r, "the adapter takes no more writes: %s",
				strerrordesc_np(r));
			xrdma_fail(x, &why, false);
			return;
		}
		s->posted = after;
		x->stats.wire_bytes_out += b.bytes;
	}
}

int xrdma_stream_report(struct xport *x, unsigned i, struct xport_event *ev, int max)
{
	struct xrdma_stream *s = &x->stream[i];
	int n = 0;

	while (s->done != s->posted && n < max) {
		const struct xrdma_slot *slot = slot_at(s, s->done);

		if (slot->kind == XRDMA_SLOT_ZERO ? s->records_acked < slot->record
						  : (int32_t)(s->acked - s->done) <= 0)
			break;
		s->done++;
		if (slot->kind == XRDMA_SLOT_FENCE)
			continue;
		s->queued_bytes -= slot->length;
		/* Not the whole event: it holds an error message, and there is one per put. */
		ev[n].type = XPORT_EV_PUT_DONE;
		ev[n++].cookie = slot->cookie;
	}
	return n;
}
