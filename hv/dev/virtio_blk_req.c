/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the decoding of a disk's requests (see virtio_blk_req.h). Must never assume how a driver cut
 * a request into segments (virtio 1.2, 2.7.4): the header is the first 16 bytes it gave us, the
 * status the last byte it lets us write.
 * Next in the flow: virtio_blk_queue.c.
 */
#include "hv/dev/virtio_blk_req.h"

#include <string.h>

#include "hv/base/codec.h"

/* Request types (5.2.6). */
enum {
	VBLK_T_IN = 0,
	VBLK_T_OUT = 1,
	VBLK_T_FLUSH = 4,
	VBLK_T_GET_ID = 8,
	VBLK_T_DISCARD = 11,
	VBLK_T_WRITE_ZEROES = 13,
};

#define VBLK_FLAG_UNMAP 1u

static enum vblk_verdict req_answer(struct vblk_order *o, enum vblk_status status)
{
	o->status = status;
	return VBLK_ANSWER;
}

static enum vblk_verdict req_broken(struct vblk_order *o, const char *why)
{
	o->why = why;
	return VBLK_BROKEN;
}

/* Sectors to bytes, if all of it is on the disk and in its units. */
static bool req_range(
	const struct vblk_limits *l, uint64_t sector, uint64_t bytes, struct vblk_range *out)
{
	if (sector > l->size / VBLK_SECTOR || bytes > l->size - sector * VBLK_SECTOR)
		return false;
	out->off = sector * VBLK_SECTOR;
	out->len = bytes;
	return out->off % l->unit == 0 && bytes % l->unit == 0;
}

/* The segments @src[0..n-1] less @skip bytes at the start, @len bytes in all. */
static unsigned req_memory(
	const struct iovec *src, unsigned n, uint64_t skip, uint64_t len, struct iovec *out)
{
	unsigned k = 0;

	for (unsigned i = 0; i < n && len; i++) {
		uint64_t have = src[i].iov_len, from = skip < have ? skip : have;

		skip -= from;
		have -= from;
		if (have > len)
			have = len;
		if (!have)
			continue;
		out[k].iov_base = (uint8_t *)src[i].iov_base + from;
		out[k].iov_len = have;
		k++;
		len -= have;
	}
	return k;
}

static enum vblk_verdict req_transfer(const struct virtq_chain *c, const struct vblk_limits *l,
	uint64_t sector, struct vblk_order *o, struct iovec *iov)
{
	bool in = o->op == BLOCK_READ;
	uint64_t bytes = in ? c->in_len - 1 : c->out_len - VBLK_HEADER_LEN;

	if (!in && l->readonly)
		return req_answer(o, VBLK_S_IOERR);
	if (!req_range(l, sector, bytes, &o->range[0]))
		return req_answer(o, VBLK_S_IOERR);
	o->nranges = 1;
	o->niov = in ? req_memory(c->iov + c->nout, c->nin, 0, bytes, iov)
		     : req_memory(c->iov, c->nout, VBLK_HEADER_LEN, bytes, iov);
	return bytes ? VBLK_DO : req_answer(o, VBLK_S_OK);
}

/* The payload is a list of ranges: sector, number of sectors, flags. */
static enum vblk_verdict req_ranges(
	const struct virtq_chain *c, const struct vblk_limits *l, struct vblk_order *o)
{
	uint64_t bytes = c->out_len - VBLK_HEADER_LEN;
	uint8_t raw[VBLK_RANGE_BYTES] = { 0 };

	if (l->readonly || bytes == 0 || bytes % VBLK_RANGE_BYTES ||
		bytes / VBLK_RANGE_BYTES > VBLK_RANGES)
		return req_answer(o, VBLK_S_IOERR);
	for (; o->nranges < bytes / VBLK_RANGE_BYTES; o->nranges++) {
		struct vblk_range *out = &o->range[o->nranges];
		struct rbuf r = rbuf_of(raw, sizeof(raw));
		uint32_t n, flags;
		uint64_t sector;

		virtq_chain_read(
			c, VBLK_HEADER_LEN + o->nranges * VBLK_RANGE_BYTES, raw, sizeof(raw));
		sector = rbuf_u64(&r);
		n = rbuf_u32(&r);
		flags = rbuf_u32(&r);
		/* A discard has no flag (5.2.6.2). */
		if (flags & ~(o->op == BLOCK_ZERO ? VBLK_FLAG_UNMAP : 0u))
			return req_answer(o, VBLK_S_UNSUPP);
		if (n > VBLK_RANGE_MAX || !req_range(l, sector, (uint64_t)n * VBLK_SECTOR, out))
			return req_answer(o, VBLK_S_IOERR);
		out->unmap = flags & VBLK_FLAG_UNMAP;
	}
	return VBLK_DO;
}

static bool req_agreed(const struct vblk_limits *l, unsigned bit)
{
	return l->features >> bit & 1;
}

enum vblk_verdict vblk_decode(const struct virtq_chain *c, const struct vblk_limits *l,
	struct vblk_order *o, struct iovec *iov)
{
	uint8_t raw[VBLK_HEADER_LEN] = { 0 };
	struct rbuf r = rbuf_of(raw, sizeof(raw));
	uint32_t type;
	uint64_t sector;

	memset(o, 0, sizeof(*o));
	if (c->in_len < 1)
		return req_broken(o, "a disk request has no room for its status");
	if (c->in_len > VBLK_DATA_MAX || c->out_len > VBLK_DATA_MAX)
		return req_broken(o, "a disk request has more than 1 GiB of memory");
	if (virtq_chain_read(c, 0, raw, sizeof(raw)) != sizeof(raw))
		return req_broken(o, "a disk request is shorter than its header");
	type = rbuf_u32(&r);
	rbuf_u32(&r); /* reserved */
	sector = rbuf_u64(&r);
	switch (type) {
	case VBLK_T_IN: o->op = BLOCK_READ; return req_transfer(c, l, sector, o, iov);
	case VBLK_T_OUT: o->op = BLOCK_WRITE; return req_transfer(c, l, sector, o, iov);
	case VBLK_T_FLUSH:
		o->op = BLOCK_FLUSH;
		o->nranges = 1;
		return VBLK_DO;
	case VBLK_T_GET_ID: return VBLK_ID;
	case VBLK_T_DISCARD:
		o->op = BLOCK_DISCARD;
		return req_agreed(l, VBLK_F_DISCARD) ? req_ranges(c, l, o)
						     : req_answer(o, VBLK_S_UNSUPP);
	case VBLK_T_WRITE_ZEROES:
		o->op = BLOCK_ZERO;
		return req_agreed(l, VBLK_F_WRITE_ZEROES) ? req_ranges(c, l, o)
							  : req_answer(o, VBLK_S_UNSUPP);
	default: return req_answer(o, VBLK_S_UNSUPP);
	}
}
