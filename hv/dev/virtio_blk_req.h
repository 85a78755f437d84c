/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest asks of its disk, read out of one chain of a virtqueue (virtio 1.2, 5.2.6) and
 * checked. Does no I/O and changes nothing: it says what is to be done.
 * Invariant: what vblk_decode() lets through lies inside the disk, and its memory is exactly as
 * long as its range.
 * Next in the flow: virtio_blk_queue.c.
 */
#ifndef WATARI_DEV_VIRTIO_BLK_REQ_H
#define WATARI_DEV_VIRTIO_BLK_REQ_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/block.h"
#include "hv/dev/virtio_queue.h"

#define VBLK_SECTOR      512u         /* what sectors are counted in, whatever the disk's unit */
#define VBLK_SEGMENTS    256u         /* of a chain: header, data, status */
#define VBLK_RANGES      16u          /* of one discard or write-zeroes */
#define VBLK_RANGE_MAX   (1u << 22)   /* sectors of each: 2 GiB */
#define VBLK_DATA_MAX    (1ull << 30) /* bytes of a request; a driver has no reason for more */
#define VBLK_ID_LEN      20u
#define VBLK_HEADER_LEN  16u
#define VBLK_RANGE_BYTES 16u

/* Feature bits (5.2.3). */
enum {
	VBLK_F_SEG_MAX = 2,
	VBLK_F_RO = 5,
	VBLK_F_BLK_SIZE = 6,
	VBLK_F_FLUSH = 9,
	VBLK_F_TOPOLOGY = 10,
	VBLK_F_MQ = 12,
	VBLK_F_DISCARD = 13,
	VBLK_F_WRITE_ZEROES = 14,
};

/* Answers (5.2.6). */
enum vblk_status { VBLK_S_OK, VBLK_S_IOERR, VBLK_S_UNSUPP };

/* What the requests of a disk are held against. */
struct vblk_limits {
	uint64_t size;     /* bytes */
	uint32_t unit;     /* bytes that offsets and lengths are multiples of */
	uint64_t features; /* agreed on */
	bool readonly;
};

struct vblk_range {
	uint64_t off, len; /* bytes */
	bool unmap;
};

enum vblk_verdict {
	VBLK_BROKEN, /* not a request at all: the device needs a reset */
	VBLK_ANSWER, /* to be answered with `status` at once */
	VBLK_ID,     /* to be given the disk's serial number */
	VBLK_DO,     /* op on range[0..nranges-1], in this order */
};

struct vblk_order {
	enum block_op op;
	enum vblk_status status;
	unsigned nranges;
	struct vblk_range range[VBLK_RANGES];
	/* READ, WRITE: the memory, written to the array given to vblk_decode(). */
	unsigned niov;
	const char *why; /* VBLK_BROKEN: a sentence */
};

/* @iov has room for VBLK_SEGMENTS. Any thread. */
enum vblk_verdict vblk_decode(const struct virtq_chain *c, const struct vblk_limits *l,
	struct vblk_order *o, struct iovec *iov);

#endif
