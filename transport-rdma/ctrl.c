/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the control queue pair: frames out, as far as credits reach, and frames in. Must never let a
 * message overtake a frame queued before it: then a message can only wait for puts whose keys were
 * asked for before it, and nothing waits in a circle. What gives back (CREDIT, ACK) may overtake.
 * Invariant: a frame in is acted on when it comes, except the parts of messages, which wait in
 * their buffers for their turn; so credits, keys and acknowledgements never wait for the user.
 * Next in the flow: recv.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport-rdma/parts.h"

/* ---- out ---------------------------------------------------------------------------------- */

int xrdma_ctrl_push(struct xport *x, const struct xrdma_frame *f, uint8_t *owned, struct err *e)
{
	struct xrdma_out *o;

	/* Each frame wakes the peer once, so what belongs together travels together. */
	if (x->out_last && xrdma_frame_join(&x->out_last->frame, f))
		return 0;
	o = calloc(1, sizeof(*o));
	if (!o) {
		free(owned);
		return err_set(e, -ENOMEM, "no memory for a message");
	}
	o->frame = *f;
	o->owned = owned;
	*x->out_tail = o;
	x->out_tail = &o->next;
	x->out_last = o;
	return 0;
}

static void out_free(struct xport *x)
{
	struct xrdma_out *o = x->out_head;

	x->out_head = o->next;
	if (!x->out_head) {
		x->out_tail = &x->out_head;
		x->out_last = NULL;
	}
	free(o->owned);
	free(o);
}

void xrdma_ctrl_fini(struct xport *x)
{
	while (x->out_head)
		out_free(x);
}

/* Posts one frame; there is a credit for it. */
static void ctrl_post(struct xport *x, struct xrdma_frame *f)
{
	uint32_t place = x->tx_end % XRDMA_CREDITS;
	uint8_t *p = x->ctrl_buf + (size_t)(XRDMA_CREDITS + place) * XRDMA_FRAME_SIZE;
	struct ibv_sge sge = { .addr = (uintptr_t)p, .lkey = x->ctrl_mr->lkey };
	struct ibv_send_wr *bad, wr = { .wr_id = xrdma_wr_id(XRDMA_WR_CTRL, 0, x->tx_end + 1),
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED | IBV_SEND_SOLICITED };
	struct err why;
	int r;

	f->credits = xrdma_credit_send(&x->credit);
	f->written = x->is_target ? 0 : x->stats.put_bytes;
	sge.length = xrdma_frame_encode(f, p);
	if (sge.length <= x->max_inline)
		wr.send_flags |= IBV_SEND_INLINE;
	r = ibv_post_send(xrdma_ctrl_qp(x), &wr, &bad);
	if (r) {
		err_set(&why, -r, "the adapter takes no more messages: %s", strerrordesc_np(r));
		xrdma_fail(x, &why, false);
		return;
	}
	x->tx_end++;
	x->stats.wire_bytes_out += sge.length;
}

/* The next part of the message at the head. True if it was the last. */
static bool out_message(struct xport *x, struct xrdma_out *o)
{
	uint32_t room = XRDMA_FRAME_SIZE - XRDMA_FRAME_HEAD, left = o->frame.total - o->sent;
	struct xrdma_frame f = o->frame;

	if (o->sent)
		f.type = XRDMA_MORE;
	else
		room -= XRDMA_MSG_HEAD;
	f.len = left < room ? left : room;
	f.data = o->owned + o->sent;
	ctrl_post(x, &f);
	o->sent += f.len;
	return o->sent == o->frame.total;
}

static void ctrl_ack(struct xport *x)
{
	struct xrdma_frame f = { .type = XRDMA_ACK, .streams = (uint8_t)x->streams };

	for (unsigned i = 0; i < x->streams; i++)
		f.consumed[i] = x->stream[i].records_told = x->stream[i].records_got;
	x->ack_due = false;
	ctrl_post(x, &f);
}

static bool ctrl_room(const struct xport *x)
{
	return !x->down.code && x->tx_end - x->tx_done < XRDMA_CREDITS;
}

bool xrdma_ctrl_stuck(const struct xport *x)
{
	return x->out_head && !ctrl_room(x);
}

void xrdma_ctrl_flush(struct xport *x)
{
	if (!x->may_speak)
		return;
	if (x->ack_due && ctrl_room(x) && xrdma_credit_may_send(&x->credit))
		ctrl_ack(x);
	while (x->out_head && ctrl_room(x) && xrdma_credit_may_send(&x->credit)) {
		struct xrdma_out *o = x->out_head;

		if (o->frame.type == XRDMA_MSG) {
			if (out_message(x, o))
				out_free(x);
			continue;
		}
		ctrl_post(x, &o->frame);
		out_free(x);
	}
	if (ctrl_room(x) && xrdma_credit_may_return(&x->credit))
		ctrl_post(x, &(struct xrdma_frame){ .type = XRDMA_CREDIT });
}

/* ---- in ----------------------------------------------------------------------------------- */

/* Buffer @n is free: posts it again, and owes the peer a credit. */
static void buffer_free(struct xport *x, uint32_t n)
{
	struct err why;
	int r = xrdma_post_ctrl_recv(x, n);

	if (r) {
		err_set(&why, r, "cannot post a receive: %s", strerrordesc_np(-r));
		xrdma_fail(x, &why, false);
		return;
	}
	xrdma_credit_consumed(&x->credit);
}

static int take_ask(struct xport *x, const struct xrdma_frame *f, struct err *e)
{
	const struct xrdma_chunk_run run = { f->region, f->chunk, f->chunks, f->length, f->shift };
	int r = xrdma_region_asked(&x->regions, &run, e);

	return r ? r
		 : xrdma_reg_push(x->reg, &x->regions.r[f->region], f->region, f->chunk, f->chunks,
			   f->urgent, e);
}

static int take_ack(struct xport *x, const struct xrdma_frame *f, struct err *e)
{
	for (unsigned i = 0; i < f->streams && i < x->streams; i++) {
		struct xrdma_stream *s = &x->stream[i];

		if (f->consumed[i] < s->records_acked || f->consumed[i] > s->records_sent)
			return err_set(e, -EPROTO,
				"%llu records of stream %u are acknowledged, %llu were sent",
				(unsigned long long)f->consumed[i], i,
				(unsigned long long)s->records_sent);
		s->records_acked = f->consumed[i];
	}
	return f->streams == x->streams
		       ? 0
		       : err_set(e, -EPROTO, "%u streams are acknowledged, there are %u",
				 f->streams, x->streams);
}

static int take_fail(struct xport *x, const struct xrdma_frame *f)
{
	struct err why;

	err_set(&why, f->code, "the %s gave up: %s", x->is_target ? "source" : "target", f->text);
	xrdma_fail(x, &why, false);
	return 0;
}

/* What a frame may be, to this end. */
static bool frame_for_us(const struct xport *x, uint8_t type)
{
	switch (type) {
	case XRDMA_START:
	case XRDMA_ASK:
	case XRDMA_NEED: return x->is_target;
	case XRDMA_KEY:
	case XRDMA_ACK: return !x->is_target;
	default: return true;
	}
}

/* Acts on a whole frame. 0, or an error that ends the connection. */
static int frame_take(struct xport *x, const struct xrdma_frame *f, struct err *e)
{
	if (!frame_for_us(x, f->type))
		return err_set(e, -EPROTO, "a frame of type %u is not for this end", f->type);
	if (!xrdma_credit_take(&x->credit, f->credits))
		return err_set(
			e, -EPROTO, "%u credits are given back that were never paid", f->credits);
	x->may_speak = true;
	if (x->is_target)
		x->written = f->written;
	switch (f->type) {
	case XRDMA_ASK: return take_ask(x, f, e);
	case XRDMA_KEY:
		return xrdma_region_keyed(
			&x->regions, f->region, f->chunk, f->chunks, f->rkey, f->addr, e);
	case XRDMA_ACK: return take_ack(x, f, e);
	case XRDMA_NEED: return xrdma_need_check(x, f->bytes, f->all_chunks, e);
	case XRDMA_FAIL: return take_fail(x, f);
	default: return 0;
	}
}

void xrdma_ctrl_received(struct xport *x, uint32_t n, uint32_t len)
{
	struct xrdma_frame f;
	struct err why;
	int r = xrdma_frame_decode(&f, x->ctrl_buf + (size_t)n * XRDMA_FRAME_SIZE, len, &why);

	x->stats.wire_bytes_in += len;
	if (!r)
		r = frame_take(x, &f, &why);
	if (r) {
		if (r == -EPROTO)
			err_wrap(&why, "the peer broke the protocol");
		xrdma_give_up(x, &why);
		return;
	}
	if (f.type != XRDMA_MSG && f.type != XRDMA_MORE) {
		buffer_free(x, n);
		return;
	}
	x->held[x->held_end % XRDMA_CREDITS] = (uint8_t)n;
	x->held_len[x->held_end++ % XRDMA_CREDITS] = len;
}

/* One part of a message. 0 or an error that ends the connection. */
static int inbox_take(struct xport *x, const struct xrdma_frame *f, struct err *e)
{
	struct xrdma_inbox *in = &x->inbox;

	if ((f->type == XRDMA_MSG) == in->open)
		return err_set(e, -EPROTO, "a message begins in the middle of another, or nowhere");
	if (f->type == XRDMA_MSG) {
		if (f->seq != x->rx_seq + 1 || f->fences >> x->streams ||
			(f->fences && !x->is_target))
			return err_set(e, -EPROTO, "message %llu with fences 0x%x follows %llu",
				(unsigned long long)f->seq, f->fences,
				(unsigned long long)x->rx_seq);
		in->head = *f;
		in->mem.got = 0;
		in->open = true;
		x->rx_seq = f->seq;
	}
	if (f->len > in->head.total - in->mem.got)
		return err_set(e, -EPROTO, "more bytes than the %u of the message", in->head.total);
	if (xport_inbox_room(&in->mem, f->len, in->head.total))
		return err_set(e, -ENOMEM, "no memory for a message of %u bytes", in->head.total);
	if (f->len)
		memcpy(in->mem.data + in->mem.got, f->data, f->len);
	in->mem.got += f->len;
	if (in->mem.got == in->head.total) {
		in->open = false;
		in->mem.complete = true;
	}
	return 0;
}

void xrdma_inbox_feed(struct xport *x)
{
	while (x->held_first != x->held_end && !x->inbox.mem.complete) {
		uint32_t n = x->held[x->held_first % XRDMA_CREDITS];
		uint32_t len = x->held_len[x->held_first % XRDMA_CREDITS];
		const uint8_t *p = x->ctrl_buf + (size_t)n * XRDMA_FRAME_SIZE;
		struct xrdma_frame f;
		struct err why;
		int r = xrdma_frame_decode(&f, p, len, &why);

		if (!r)
			r = inbox_take(x, &f, &why);
		if (r) {
			xrdma_give_up(x, &why);
			return;
		}
		x->held_first++;
		if (!x->down.code)
			buffer_free(x, n);
	}
}

bool xrdma_inbox_ready(const struct xport *x)
{
	if (!x->inbox.mem.complete || x->inbox.mem.delivered)
		return false;
	for (unsigned i = 0; i < x->streams; i++)
		if (x->inbox.head.fences >> i & 1 && x->stream[i].fence < x->inbox.head.seq)
			return false;
	return true;
}
