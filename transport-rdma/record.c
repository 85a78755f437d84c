/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the encoding of all frames and records and every check that needs no knowledge of the move
 * (see record.h). Must never allocate, nor read past what came.
 * Invariant: the decoders accept exactly what the encoders write.
 * Next in the flow: ctrl.c.
 */
#include "transport-rdma/record.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/codec.h"

#define XRDMA_MAGIC       0x57
#define XRDMA_HELLO_MAGIC 0x414d445249524157ull

/* A place to write at; the caller has made sure that there is room. */
struct pen {
	uint8_t *p;
};

static void pen_u8(struct pen *w, uint8_t v)
{
	*w->p++ = v;
}

static void pen_u16(struct pen *w, uint16_t v)
{
	v = htole16(v);
	memcpy(w->p, &v, sizeof(v));
	w->p += sizeof(v);
}

static void pen_u32(struct pen *w, uint32_t v)
{
	v = htole32(v);
	memcpy(w->p, &v, sizeof(v));
	w->p += sizeof(v);
}

static void pen_u64(struct pen *w, uint64_t v)
{
	v = htole64(v);
	memcpy(w->p, &v, sizeof(v));
	w->p += sizeof(v);
}

static void pen_bytes(struct pen *w, const void *p, size_t n)
{
	if (n)
		memcpy(w->p, p, n);
	w->p += n;
}

void xrdma_hello_encode(const struct xrdma_hello *h, uint8_t out[XRDMA_HELLO_SIZE])
{
	struct pen w = { out };

	pen_u64(&w, XRDMA_HELLO_MAGIC);
	pen_u16(&w, XRDMA_VERSION);
	pen_u16(&w, h->line);
	pen_u16(&w, h->streams);
	pen_u16(&w, 0);
	pen_bytes(&w, h->proof, sizeof(h->proof));
}

int xrdma_hello_decode(struct xrdma_hello *h, const uint8_t *in, size_t n)
{
	struct rbuf r = rbuf_of(in, n);
	bool ok = rbuf_u64(&r) == XRDMA_HELLO_MAGIC;

	ok = rbuf_u16(&r) == XRDMA_VERSION && ok;
	h->line = rbuf_u16(&r);
	h->streams = rbuf_u16(&r);
	ok = rbuf_u16(&r) == 0 && ok;
	rbuf_copy(&r, h->proof, sizeof(h->proof));
	ok = ok && !r.failed && h->streams >= 1 && h->streams <= XRDMA_STREAMS_MAX;
	return ok && h->line <= h->streams ? 0 : -EPROTO;
}

static void frame_body_encode(const struct xrdma_frame *f, struct pen *w)
{
	size_t n = strnlen(f->text, sizeof(f->text) - 1);

	switch ((enum xrdma_frame_type)f->type) {
	case XRDMA_START:
	case XRDMA_CREDIT: return;
	case XRDMA_MSG:
		pen_u16(w, f->msg_type);
		pen_u16(w, f->fences);
		pen_u32(w, f->total);
		pen_u64(w, f->seq);
		pen_bytes(w, f->data, f->len);
		return;
	case XRDMA_MORE: pen_bytes(w, f->data, f->len); return;
	case XRDMA_ASK:
		pen_u32(w, f->region);
		pen_u32(w, f->chunk);
		pen_u32(w, f->chunks);
		pen_u64(w, f->length);
		pen_u8(w, f->shift);
		pen_u8(w, f->urgent);
		return;
	case XRDMA_KEY:
		pen_u32(w, f->region);
		pen_u32(w, f->chunk);
		pen_u32(w, f->chunks);
		pen_u64(w, f->addr);
		for (uint32_t i = 0; i < f->chunks; i++)
			pen_u32(w, f->rkey[i]);
		return;
	case XRDMA_ACK:
		pen_u8(w, f->streams);
		for (unsigned i = 0; i < f->streams; i++)
			pen_u64(w, f->consumed[i]);
		return;
	case XRDMA_NEED:
		pen_u64(w, f->bytes);
		pen_u64(w, f->all_chunks);
		return;
	case XRDMA_FAIL:
		pen_u32(w, (uint32_t)-f->code);
		pen_u16(w, (uint16_t)n);
		pen_bytes(w, f->text, n);
		return;
	}
}

bool xrdma_frame_join(struct xrdma_frame *f, const struct xrdma_frame *more)
{
	bool ask = f->type == XRDMA_ASK;

	if (f->type != more->type || (!ask && f->type != XRDMA_KEY) || f->region != more->region ||
		(uint64_t)f->chunk + f->chunks != more->chunk || f->shift != more->shift ||
		f->urgent != more->urgent)
		return false;
	if (!ask && f->chunks + more->chunks > XRDMA_KEYS_MAX)
		return false;
	for (uint32_t i = 0; !ask && i < more->chunks; i++)
		f->rkey[f->chunks + i] = more->rkey[i];
	f->chunks += more->chunks;
	f->length += more->length;
	return true;
}

uint32_t xrdma_frame_encode(const struct xrdma_frame *f, uint8_t out[XRDMA_FRAME_SIZE])
{
	struct pen head = { out }, body = { out + XRDMA_FRAME_HEAD };

	frame_body_encode(f, &body);
	pen_u8(&head, XRDMA_MAGIC);
	pen_u8(&head, f->type);
	pen_u16(&head, f->credits);
	pen_u32(&head, (uint32_t)(body.p - out) - XRDMA_FRAME_HEAD);
	pen_u64(&head, f->written);
	return (uint32_t)(body.p - out);
}

static void frame_take_rest(struct xrdma_frame *f, struct rbuf *r)
{
	f->len = (uint32_t)rbuf_left(r);
	f->data = rbuf_bytes(r, f->len);
}

static int frame_msg_decode(struct xrdma_frame *f, struct rbuf *r, struct err *e)
{
	f->msg_type = rbuf_u16(r);
	f->fences = rbuf_u16(r);
	f->total = rbuf_u32(r);
	f->seq = rbuf_u64(r);
	frame_take_rest(f, r);
	if (f->total > XPORT_MSG_MAX)
		return err_set(
			e, -EPROTO, "message length %u is more than %u", f->total, XPORT_MSG_MAX);
	if (f->len > f->total)
		return err_set(e, -EPROTO, "%u bytes of a message of %u", f->len, f->total);
	return 0;
}

static int frame_ask_decode(struct xrdma_frame *f, struct rbuf *r, struct err *e)
{
	uint8_t urgent;

	f->region = rbuf_u32(r);
	f->chunk = rbuf_u32(r);
	f->chunks = rbuf_u32(r);
	f->length = rbuf_u64(r);
	f->shift = rbuf_u8(r);
	urgent = rbuf_u8(r);
	f->urgent = urgent == 1;
	if (f->shift > 62 || urgent > 1)
		return err_set(e, -EPROTO, "chunk size 2^%u, urgent %u", f->shift, urgent);
	return 0;
}

static int frame_key_decode(struct xrdma_frame *f, struct rbuf *r, struct err *e)
{
	f->region = rbuf_u32(r);
	f->chunk = rbuf_u32(r);
	f->chunks = rbuf_u32(r);
	f->addr = rbuf_u64(r);
	if (f->chunks < 1 || f->chunks > XRDMA_KEYS_MAX)
		return err_set(e, -EPROTO, "keys of %u chunks in one frame", f->chunks);
	for (uint32_t i = 0; i < f->chunks; i++)
		f->rkey[i] = rbuf_u32(r);
	return 0;
}

static int frame_fail_decode(struct xrdma_frame *f, struct rbuf *r, struct err *e)
{
	uint32_t code = rbuf_u32(r);

	rbuf_str(r, f->text, sizeof(f->text));
	if (code < 1 || code > 4095)
		return err_set(e, -EPROTO, "error number %u of a peer that gives up", code);
	f->code = -(int)code;
	return 0;
}

static int frame_body_decode(struct xrdma_frame *f, struct rbuf *r, struct err *e)
{
	switch (f->type) {
	case XRDMA_START:
	case XRDMA_CREDIT: return 0;
	case XRDMA_MSG: return frame_msg_decode(f, r, e);
	case XRDMA_MORE:
		frame_take_rest(f, r);
		return f->len ? 0 : err_set(e, -EPROTO, "no bytes in a part of a message");
	case XRDMA_ASK: return frame_ask_decode(f, r, e);
	case XRDMA_KEY: return frame_key_decode(f, r, e);
	case XRDMA_ACK:
		f->streams = rbuf_u8(r);
		if (f->streams < 1 || f->streams > XRDMA_STREAMS_MAX)
			return err_set(e, -EPROTO, "%u streams are acknowledged", f->streams);
		for (unsigned i = 0; i < f->streams; i++)
			f->consumed[i] = rbuf_u64(r);
		return 0;
	case XRDMA_NEED:
		f->bytes = rbuf_u64(r);
		f->all_chunks = rbuf_u64(r);
		return 0;
	case XRDMA_FAIL: return frame_fail_decode(f, r, e);
	default: return err_set(e, -EPROTO, "frame type %u is unknown", f->type);
	}
}

int xrdma_frame_decode(struct xrdma_frame *f, const uint8_t *in, size_t n, struct err *e)
{
	struct rbuf r = rbuf_of(in, n);
	uint8_t magic = rbuf_u8(&r);
	uint32_t length;
	int rc;

	memset(f, 0, sizeof(*f));
	f->type = rbuf_u8(&r);
	f->credits = rbuf_u16(&r);
	length = rbuf_u32(&r);
	f->written = rbuf_u64(&r);
	if (r.failed || magic != XRDMA_MAGIC)
		return err_set(e, -EPROTO, "%zu bytes that are no frame", n);
	if (length != rbuf_left(&r))
		return err_set(e, -EPROTO, "body of %u bytes in a frame of %zu", length, n);
	rc = frame_body_decode(f, &r, e);
	if (rc)
		return rc;
	if (!rbuf_done(&r))
		return err_set(
			e, -EPROTO, "a frame of type %u cannot have %u bytes", f->type, length);
	return 0;
}

uint32_t xrdma_record_encode(const struct xrdma_record *rec, uint8_t out[XRDMA_RECORD_SIZE])
{
	struct pen w = { out };

	pen_u8(&w, XRDMA_MAGIC);
	pen_u8(&w, rec->type);
	pen_u16(&w, rec->count);
	pen_u32(&w, 0);
	pen_u64(&w, rec->seq);
	for (unsigned i = 0; i < rec->count; i++) {
		pen_u32(&w, rec->run[i].region);
		pen_u32(&w, rec->run[i].pages);
		pen_u64(&w, rec->run[i].offset);
	}
	return (uint32_t)(w.p - out);
}

int xrdma_record_decode(struct xrdma_record *rec, const uint8_t *in, size_t n, struct err *e)
{
	struct rbuf r = rbuf_of(in, n);
	bool ok = rbuf_u8(&r) == XRDMA_MAGIC;

	rec->type = rbuf_u8(&r);
	rec->count = rbuf_u16(&r);
	ok = rbuf_u32(&r) == 0 && ok;
	rec->seq = rbuf_u64(&r);
	if (!ok || r.failed || (rec->type != XRDMA_FENCE && rec->type != XRDMA_ZERO))
		return err_set(e, -EPROTO, "%zu bytes that are no record", n);
	if (rec->type == XRDMA_FENCE && rec->count)
		return err_set(e, -EPROTO, "a fence with %u runs", rec->count);
	if (rec->type == XRDMA_ZERO && (!rec->count || rec->count > XRDMA_RUNS_MAX || rec->seq))
		return err_set(e, -EPROTO, "%u zero runs, number %llu", rec->count,
			(unsigned long long)rec->seq);
	for (unsigned i = 0; i < rec->count; i++) {
		rec->run[i].region = rbuf_u32(&r);
		rec->run[i].pages = rbuf_u32(&r);
		rec->run[i].offset = rbuf_u64(&r);
	}
	if (!rbuf_done(&r))
		return err_set(e, -EPROTO, "%u runs in a record of %zu bytes", rec->count, n);
	return 0;
}
