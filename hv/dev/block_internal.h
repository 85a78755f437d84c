/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block backend from within: what block.c, block_ring.c and block_lock.c share.
 * Next in the flow: block.c.
 */
#ifndef WATARI_DEV_BLOCK_INTERNAL_H
#define WATARI_DEV_BLOCK_INTERNAL_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/block.h"
#include "hv/dev/block_own.h"

#define BLOCK_RING      128u         /* requests the kernel holds at a time; the others wait here */
#define BLOCK_BOUNCE    (256u << 10) /* bytes copied at a time for memory that is not aligned */
#define BLOCK_BEHIND    (16u << 20)  /* bytes written before the host is asked to write them out */
#define BLOCK_PATH      1024u
#define BLOCK_NOTE      ".holder" /* appended to the image's path: the record beside it */
#define BLOCK_NOTE_PATH (BLOCK_PATH + sizeof(BLOCK_NOTE))

/* A queue of requests, first in, first out. */
struct block_list {
	struct block_io *first, **last;
};

struct block {
	char name[64], path[BLOCK_PATH];
	int fd;          /* as asked for; carries the lock */
	int fd_buffered; /* direct I/O only, else -1: for what is not aligned for it */
	bool readonly, direct, device, locked;
	bool noted; /* the record was written by us, and says `owner` */
	struct block_owner owner;
	uint64_t size;
	uint32_t sector;
	uint32_t align_mem, align_off; /* bytes; 1: anything goes */
	int (*fault)(void *arg, const struct block_io *io);
	void *fault_arg;

	struct io_uring ring;
	bool have_ring;
	int event_fd;
	struct block_list waiting; /* posted, not with the kernel yet */
	struct block_list ended;   /* refused: done() is due */
	unsigned busy, in_kernel;
	uint64_t written, flushed; /* changes that have ended; how many of them a flush covered */
	struct block_io
		behind; /* asks the host to write out; so a flush in a freeze finds little */
	uint64_t behind_bytes;
	bool behind_busy;
	struct block_io drain; /* the flush of block_drain() */
	int drain_result;
};

/* block_ring.c */
int block_ring_open(struct block *b, struct err *e);
/* False if requests are still in progress: the ring must then be left alone. */
bool block_ring_close(struct block *b);

/* block_lock.c: takes our record away, if it still is ours and the lock can be had. */
void block_lock_note_end(struct block *b);
bool block_note_path(const struct block *b, char *out, size_t size);

/* block_own.c: 0, -ENOENT, -EBADMSG (no record of ours), or what the storage says. */
int block_record_read(const struct block *b, struct block_record *out);
/* Also remembers what was written. @durable: it is on stable storage on return. */
int block_record_write(struct block *b, const struct block_owner *o, bool durable);

#endif
