/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the decoder of disk requests: how the request is cut, what the disk is, then the bytes of
 * the readable part. What it lets through must lie on the disk and have memory of just that length,
 * all of it the chain's.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/dev/virtio_blk_req.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct room {
	uint8_t out[2048], in[8192];
	struct iovec iov[VBLK_SEGMENTS], data[VBLK_SEGMENTS];
};

static unsigned cut(struct iovec *iov, unsigned max, uint8_t *p, size_t len, size_t piece)
{
	unsigned n = 0;

	for (size_t at = 0; at < len; n++) {
		size_t k = n + 1 < max && piece && piece < len - at ? piece : len - at;

		iov[n] = (struct iovec){ p + at, k };
		at += k;
	}
	return n;
}

static void check_memory(const struct room *r, const struct vblk_order *o)
{
	bool in = o->op == BLOCK_READ;
	const uint8_t *from = in ? r->in : r->out,
		      *end = from + (in ? sizeof(r->in) : sizeof(r->out));
	uint64_t len = 0;

	for (unsigned i = 0; i < o->niov; i++) {
		const uint8_t *p = r->data[i].iov_base;

		if (p < from || p > end || r->data[i].iov_len > (size_t)(end - p))
			abort();
		len += r->data[i].iov_len;
	}
	if (len != o->range[0].len || o->nranges != 1)
		abort();
}

static void check(const struct room *r, const struct vblk_limits *l, const struct vblk_order *o)
{
	if (o->nranges < 1 || o->nranges > VBLK_RANGES || o->op >= BLOCK_OPS)
		abort();
	if (l->readonly && o->op != BLOCK_READ && o->op != BLOCK_FLUSH)
		abort();
	for (unsigned i = 0; i < o->nranges; i++) {
		const struct vblk_range *x = &o->range[i];

		if (x->off > l->size || x->len > l->size - x->off || x->off % l->unit ||
			x->len % l->unit)
			abort();
	}
	if (o->op == BLOCK_READ || o->op == BLOCK_WRITE)
		check_memory(r, o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtq_chain c = { .max = VBLK_SEGMENTS };
	struct vblk_limits l = { 0 };
	struct vblk_order o;
	struct room *r;

	if (size < 8)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return 0;
	l.unit = data[0] & 1 ? 4096 : 512;
	l.readonly = data[0] & 2;
	l.features = data[0] & 4 ? 0 : UINT64_MAX;
	l.size = (uint64_t)(data[1] + 1) * 4096;
	c.iov = r->iov;
	c.out_len = size - 8 < sizeof(r->out) ? size - 8 : sizeof(r->out);
	c.in_len = (data[2] | data[3] << 8) % (sizeof(r->in) + 1);
	memcpy(r->out, data + 8, c.out_len);
	c.nout = cut(r->iov, VBLK_SEGMENTS / 2, r->out, c.out_len, data[4]);
	c.nin = cut(r->iov + c.nout, VBLK_SEGMENTS / 2, r->in, c.in_len, data[5] * 8u);
	switch (vblk_decode(&c, &l, &o, r->data)) {
	case VBLK_BROKEN:
		if (!o.why)
			abort();
		break;
	case VBLK_ANSWER:
		if (o.status > VBLK_S_UNSUPP)
			abort();
		break;
	case VBLK_ID: break;
	case VBLK_DO: check(r, &l, &o); break;
	}
	free(r);
	return 0;
}
