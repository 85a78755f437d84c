/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the encoding of frame headers and every check on them (see frame.h). Must never touch the
 * memory of a region: it only says whether somebody else may.
 * Invariant: the decoder accepts exactly what the encoder writes.
 * Next in the flow: recv.c.
 */
#include "transport-tcp/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static void xtcp_store16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof(v));
}

static void xtcp_store32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void xtcp_store64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

/* Plain stores and loads rather than codec.h: one header per put, and a fixed place per field. */
void xtcp_frame_encode(const struct xtcp_frame *f, uint8_t out[XTCP_FRAME_SIZE])
{
	xtcp_store16(out + 0, XTCP_FRAME_MAGIC);
	out[2] = f->type;
	out[3] = 0;
	xtcp_store32(out + 4, f->length);
	xtcp_store32(out + 8, f->region);
	xtcp_store16(out + 12, f->msg_type);
	xtcp_store16(out + 14, 0);
	xtcp_store64(out + 16, f->offset);
	xtcp_store64(out + 24, f->seq);
}

static uint16_t xtcp_load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static uint32_t xtcp_load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t xtcp_load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

int xtcp_frame_decode(struct xtcp_frame *f, const uint8_t in[XTCP_FRAME_SIZE], struct err *e)
{
	bool put, seq;

	*f = (struct xtcp_frame){ .type = in[2],
		.length = xtcp_load32(in + 4),
		.region = xtcp_load32(in + 8),
		.msg_type = xtcp_load16(in + 12),
		.offset = xtcp_load64(in + 16),
		.seq = xtcp_load64(in + 24) };
	if (xtcp_load16(in) != XTCP_FRAME_MAGIC)
		return err_set(e, -EPROTO, "frame magic is 0x%04x, not 0x%04x", xtcp_load16(in),
			XTCP_FRAME_MAGIC);
	if (f->type < XTCP_FRAME_PUT || f->type > XTCP_FRAME_FENCE)
		return err_set(e, -EPROTO, "frame type %u is unknown", f->type);
	put = f->type == XTCP_FRAME_PUT || f->type == XTCP_FRAME_ZERO;
	seq = f->type == XTCP_FRAME_MSG || f->type == XTCP_FRAME_FENCE;
	if (in[3] || in[14] || in[15] || (!put && (f->region || f->offset)) || (!seq && f->seq) ||
		(f->type != XTCP_FRAME_MSG && f->msg_type))
		return err_set(e, -EPROTO, "a field that frames of type %u do not use is not zero",
			f->type);
	if (f->type == XTCP_FRAME_FENCE && f->length)
		return err_set(e, -EPROTO, "fence length is %u, not 0", f->length);
	return 0;
}

int xtcp_regions_add(struct xtcp_regions *g, uint32_t id, void *base, uint64_t size, struct err *e)
{
	int r = xport_region_check(id, id < XPORT_REGIONS_MAX && g->r[id].base, base, size, e);

	if (!r)
		g->r[id] = (struct xtcp_region){ base, size };
	return r;
}

int xtcp_range_check(const struct xtcp_regions *g, uint32_t region, uint64_t offset,
	uint32_t length, int code, struct err *e)
{
	uint64_t size = region < XPORT_REGIONS_MAX ? g->r[region].size : 0;

	return xport_range_check(region, size, offset, length, code, e);
}

static int xtcp_seq_check(const struct xtcp_frame *f, const struct xtcp_frame_ctx *c, struct err *e)
{
	bool msg = f->type == XTCP_FRAME_MSG;

	if (msg != (c->stream == 0))
		return err_set(
			e, -EPROTO, "a %s on stream %u", msg ? "message" : "fence", c->stream);
	if (f->seq != c->seq + 1)
		return err_set(e, -EPROTO, "%s sequence %llu on stream %u follows %llu",
			msg ? "message" : "fence", (unsigned long long)f->seq, c->stream,
			(unsigned long long)c->seq);
	if (f->length > XPORT_MSG_MAX)
		return err_set(
			e, -EPROTO, "message length %u is more than %u", f->length, XPORT_MSG_MAX);
	return 0;
}

int xtcp_frame_check(const struct xtcp_frame *f, const struct xtcp_frame_ctx *c, struct err *e)
{
	int r;

	if (f->type == XTCP_FRAME_MSG || f->type == XTCP_FRAME_FENCE)
		return xtcp_seq_check(f, c, e);
	if (!c->is_target)
		return err_set(e, -EPROTO, "frame type %u is a put, and puts go to the target only",
			f->type);
	r = xtcp_range_check(c->regions, f->region, f->offset, f->length, -EPROTO, e);
	if (r)
		return r;
	if (xport_stream_of(f->region, f->offset, c->streams) != c->stream)
		return err_set(e, -EPROTO, "put offset %llu of region %u on stream %u of %u",
			(unsigned long long)f->offset, f->region, c->stream, c->streams);
	return 0;
}
