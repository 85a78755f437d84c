/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of the RDMA transport: everything that travels by SEND, that is all but the bytes
 * of the puts. Does no I/O.
 *
 * A move has one control queue pair and one to sixteen for data. All integers little-endian.
 *
 *   HELLO, in the private data of each connection request, XRDMA_HELLO_SIZE bytes:
 *     u64 magic | u16 version | u16 line | u16 streams | u16 0 | 16 bytes proof
 *   line 0..streams-1 is a data stream, line == streams the control. The proof is one of the move's
 *   token for that line: it opens no other, and a line is opened once.
 *
 *   Frames, on the control queue pair, both ways, at most XRDMA_FRAME_SIZE bytes:
 *     u8 magic | u8 type | u16 credits given back | u32 body length | u64 put bytes posted so far
 *     START             empty; the source's first word: an iWARP target may not speak before it
 *     MSG               u16 type | u16 fences | u32 total | u64 number | the first bytes of it
 *     MORE              further bytes of the message begun before
 *     CREDIT            empty
 *     ASK   to target   u32 region | u32 chunk | u32 chunks from there on | u64 bytes of them all |
 *                       u8 log2 of the chunk size | u8 urgent
 *     KEY   to source   u32 region | u32 chunk | u32 chunks from there on, at most XRDMA_KEYS_MAX |
 *                       u64 address of the first one's first byte, the others follow it |
 *                       u32 rkey, for each
 *     ACK   to source   u8 streams | u64 records consumed, for each stream
 *     NEED  to target   u64 bytes | u64 chunks that will be asked for, as known now
 *     FAIL              u32 errno | string: why the sender gives up; the last frame
 *
 *   Records, on a data queue pair, source to target only, at most XRDMA_RECORD_SIZE bytes:
 *     u8 magic | u8 type | u16 count | u32 0 | u64 number
 *     FENCE             count 0; number is that of the message it belongs to
 *     ZERO              number 0; count times  u32 region | u32 pages | u64 offset
 *
 * Invariant: what a decoder lets through has its lengths inside its bytes and its numbers inside
 * their types' ranges; whether a region or a chunk exists is chunk.h's to say.
 * Next in the flow: ctrl.c (frames), send.c and recv.c (records).
 */
#ifndef WATARI_TRANSPORT_RDMA_RECORD_H
#define WATARI_TRANSPORT_RDMA_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport/meet.h"

#define XRDMA_VERSION     3 /* raised with every change of what is above */
#define XRDMA_HELLO_SIZE  32
#define XRDMA_STREAMS_MAX XPORT_STREAMS_MAX
#define XRDMA_FRAME_SIZE  8192u
#define XRDMA_FRAME_HEAD  16u
#define XRDMA_MSG_HEAD    16u /* of MSG's body, before the bytes */
#define XRDMA_RECORD_SIZE 1024u
#define XRDMA_RECORD_HEAD 16u
#define XRDMA_RUNS_MAX    63u /* of one ZERO record */
#define XRDMA_KEYS_MAX    64u /* of one KEY frame */
#define XRDMA_FAIL_TEXT   400

#define XRDMA_PROOF "RDMA connection of the source" /* what a proof is made for */

struct xrdma_hello {
	uint16_t line, streams;
	uint8_t proof[XPORT_PROOF_SIZE];
};
void xrdma_hello_encode(const struct xrdma_hello *h, uint8_t out[XRDMA_HELLO_SIZE]);
/* @n may be more than the size: InfiniBand pads private data. 0 or -EPROTO: not a HELLO of ours. */
int xrdma_hello_decode(struct xrdma_hello *h, const uint8_t *in, size_t n);

enum xrdma_frame_type {
	XRDMA_START = 1,
	XRDMA_MSG,
	XRDMA_MORE,
	XRDMA_CREDIT,
	XRDMA_ASK,
	XRDMA_KEY,
	XRDMA_ACK,
	XRDMA_NEED,
	XRDMA_FAIL,
};

/* A frame in the host's terms: what its type uses, the rest is 0. */
struct xrdma_frame {
	uint8_t type;
	uint16_t credits;
	uint64_t written;
	/* MSG, MORE */
	uint16_t msg_type;
	uint16_t fences; /* bit i: a FENCE of this number travels on data stream i */
	uint32_t total;  /* bytes of the whole message */
	uint64_t seq;
	const uint8_t *data; /* of this frame; points into the frame's bytes */
	uint32_t len;
	/* ASK, KEY */
	uint32_t region, chunk, chunks;
	uint64_t addr, length;
	uint32_t rkey[XRDMA_KEYS_MAX];
	uint8_t shift;
	bool urgent;
	/* ACK */
	uint8_t streams;
	uint64_t consumed[XRDMA_STREAMS_MAX];
	/* NEED */
	uint64_t bytes, all_chunks;
	/* FAIL */
	int code; /* negative errno */
	char text[XRDMA_FAIL_TEXT];
};

/*
 * Makes one frame of two: an ASK or KEY that goes on where @f ends is added to it. False: it does
 * not, or it is no such frame.
 */
bool xrdma_frame_join(struct xrdma_frame *f, const struct xrdma_frame *more);
/* Writes a frame whose data, if any, fits. Returns its length. */
uint32_t xrdma_frame_encode(const struct xrdma_frame *f, uint8_t out[XRDMA_FRAME_SIZE]);
/* 0, or -EPROTO with a message that names the field. */
int xrdma_frame_decode(struct xrdma_frame *f, const uint8_t *in, size_t n, struct err *e);

enum xrdma_record_type { XRDMA_FENCE = 1, XRDMA_ZERO };

struct xrdma_run {
	uint32_t region;
	uint32_t pages; /* of 4 KiB */
	uint64_t offset;
};

struct xrdma_record {
	uint8_t type;
	uint16_t count;
	uint64_t seq;
	struct xrdma_run run[XRDMA_RUNS_MAX];
};

uint32_t xrdma_record_encode(const struct xrdma_record *r, uint8_t out[XRDMA_RECORD_SIZE]);
int xrdma_record_decode(struct xrdma_record *r, const uint8_t *in, size_t n, struct err *e);

#endif
