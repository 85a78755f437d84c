/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of the TCP transport: what both engines write and read, and what a receiver
 * accepts. Does no I/O.
 * Invariant: a frame that xtcp_frame_decode() and xtcp_frame_check() let through can be acted on
 * without a further check: its bytes lie inside a region, or it is a message of a bounded length.
 *
 * A frame is a header of 32 bytes, little-endian, then @length bytes of payload (PUT and MSG only):
 *
 *    0  u16 magic     XTCP_FRAME_MAGIC
 *    2  u8  type      enum xtcp_frame_type
 *    3  u8  reserved  0
 *    4  u32 length    PUT, ZERO: bytes of guest memory; MSG: bytes of body; FENCE: 0
 *    8  u32 region    PUT, ZERO; else 0
 *   12  u16 msg_type  MSG; else 0
 *   14  u16 reserved  0
 *   16  u64 offset    PUT, ZERO: bytes from the region's start; else 0
 *   24  u64 sequence  MSG, FENCE: 1, 2, 3 ... of this direction; else 0
 *
 * FENCE. Message k travels on stream 0; on every other stream a FENCE k takes its place. Each
 * stream keeps its own order (it is TCP), so once a receiver has consumed FENCE k on a stream, it
 * has consumed every put posted before message k on it. Message k is delivered when that holds for
 * all streams. A receiver may run ahead of a fence: puts posted after a message may land before the
 * message is delivered, which the contract allows; only the other direction is forbidden.
 *
 * A page always travels on the same stream (xport_stream_of()), so two puts of a page keep their
 * order without any fence.
 * Next in the flow: queue.c, recv.c.
 */
#ifndef WATARI_TRANSPORT_TCP_FRAME_H
#define WATARI_TRANSPORT_TCP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport/meet.h"
#include "hv/migrate/xport/range.h"

#define XTCP_FRAME_SIZE  32
#define XTCP_FRAME_MAGIC 0x5457 /* "WT" on the wire */
#define XTCP_STREAMS_MAX XPORT_STREAMS_MAX

enum xtcp_frame_type {
	XTCP_FRAME_PUT = 1,
	XTCP_FRAME_ZERO = 2,
	XTCP_FRAME_MSG = 3,
	XTCP_FRAME_FENCE = 4,
};

/* A header in the host's terms; see above for the fields. */
struct xtcp_frame {
	uint8_t type;
	uint16_t msg_type;
	uint32_t length;
	uint32_t region;
	uint64_t offset;
	uint64_t seq;
};

/* Guest memory known to one end; base NULL: no such region. */
struct xtcp_region {
	uint8_t *base;
	uint64_t size;
};

struct xtcp_regions {
	struct xtcp_region r[XPORT_REGIONS_MAX];
};

/* What the receiver of a frame knows, to check it against. */
struct xtcp_frame_ctx {
	const struct xtcp_regions *regions;
	bool is_target;   /* puts come only to a target */
	unsigned stream;  /* the frame came on this one ... */
	unsigned streams; /* ... of so many */
	uint64_t seq;     /* of the last MSG (stream 0) or FENCE (others) on this stream */
};

/* 0, or -EINVAL: number taken or out of range, no base, or a size that is not whole pages. */
int xtcp_regions_add(struct xtcp_regions *g, uint32_t id, void *base, uint64_t size, struct err *e);

/* 0, or @code with a message that names the field: the range is no run of pages of a region. */
int xtcp_range_check(const struct xtcp_regions *g, uint32_t region, uint64_t offset,
	uint32_t length, int code, struct err *e);

/* Bytes that follow the header on the wire. */
static inline uint32_t xtcp_frame_payload(const struct xtcp_frame *f)
{
	return f->type == XTCP_FRAME_PUT || f->type == XTCP_FRAME_MSG ? f->length : 0;
}

void xtcp_frame_encode(const struct xtcp_frame *f, uint8_t out[XTCP_FRAME_SIZE]);
/* Shape only. 0, or -EPROTO with a message that names the field. */
int xtcp_frame_decode(struct xtcp_frame *f, const uint8_t in[XTCP_FRAME_SIZE], struct err *e);
/* Meaning: a decoded frame against what the receiver knows. 0 or -EPROTO, naming the field. */
int xtcp_frame_check(const struct xtcp_frame *f, const struct xtcp_frame_ctx *c, struct err *e);

#endif
