/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk's bytes on the host: a raw file or a block device, read and written asynchronously through
 * one io_uring. Knows nothing of virtio nor of guest memory: it is given host addresses.
 *
 * THREADS. block_open(), block_close() and the lock belong to whoever owns the struct;
 * block_post(), block_submit() and block_reap() to one thread at a time, which watches
 * block_event_fd(). Invariant: an accepted request ends exactly once, in block_reap(), and its
 * memory is not touched by the kernel afterwards. Between block_open() and that, nothing outside
 * [0, block_size()) is read or written. Next in the flow: block.c, block_ring.c (requests),
 * block_lock.c (who may write).
 */
#ifndef WATARI_DEV_BLOCK_H
#define WATARI_DEV_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "hv/base/err.h"

struct block;

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,   /* what was written before is on stable storage after */
	BLOCK_DISCARD, /* what is there need not be kept; a host that cannot does nothing */
	BLOCK_ZERO,    /* reads as zero after; a host that cannot punch writes zeroes */
	BLOCK_OPS
};

/* One request. The caller owns it and keeps it, and what it points to, until done() is called. */
struct block_io {
	enum block_op op;
	uint64_t off, len; /* bytes; not for BLOCK_FLUSH. Checked by block_post() */
	bool unmap;        /* BLOCK_ZERO: the host may give the space back */
	struct iovec
		*iov; /* READ, WRITE: @len bytes in all, 1..BLOCK_IOV_MAX; used up on the way */
	unsigned niov;
	/* On the thread of block_reap(). @result: 0 or negative errno. May post. */
	void (*done)(struct block_io *io, int result);
	void *arg;

	/* Private to block_ring.c. */
	struct block_io *next;
	uint64_t at; /* bytes of it that are done; of a flush: the writes it covers */
	unsigned step;
	int result;
	struct iovec part;
	void *bounce;
};

#define BLOCK_IOV_MAX 1024u

struct block_options {
	const char *name; /* the guest's name for it, used in messages */
	const char *path;
	bool readonly;
	bool direct; /* O_DIRECT: past the host's page cache */
	/* For tests, else NULL: a negative errno instead of what the kernel would answer. */
	int (*fault)(void *arg, const struct block_io *io);
	void *fault_arg;
};

/*
 * Opens, takes no lock, reads nothing. -ENOENT, -EACCES, -EINVAL (neither file nor block device,
 * empty, no direct I/O there), -ENOSYS (no io_uring) and others, each saying what to do.
 */
int block_open(struct block **out, const struct block_options *o, struct err *e);
/* Waits a few seconds for requests in progress; their done() is not called. NULL is fine. */
void block_close(struct block *b);

uint64_t block_size(const struct block *b); /* bytes, a multiple of 512; as it was at open */
uint32_t block_sector(
	const struct block *b); /* smallest unit of a request: 512 or a device's own */
bool block_readonly(const struct block *b);
const char *block_name(const struct block *b);

/*
 * Takes a request; block_submit() starts all that were taken. What cannot be (out of range, not a
 * multiple of block_sector(), a write to a read-only disk) ends in the next block_reap() like any
 * other: -EINVAL, -EROFS.
 */
void block_post(struct block *b, struct block_io *io);
void block_submit(struct block *b);
/* Becomes readable when block_reap() has something. */
int block_event_fd(const struct block *b);
/* Ends what has ended, goes on with what was done in part, starts what was posted meanwhile. */
void block_reap(struct block *b);
/* Requests posted and not ended. */
unsigned block_busy(const struct block *b);
/* Whether anything was written and no BLOCK_FLUSH has ended well since it was posted. */
bool block_unflushed(const struct block *b);
/*
 * Reaps until nothing is busy, then flushes if needed. -ETIMEDOUT after @timeout_ms, naming the
 * disk; or what the flush failed with. On return, but for -ETIMEDOUT, nothing is in progress.
 */
int block_drain(struct block *b, int timeout_ms, struct err *e);

/*
 * The lock on the image: an open-file-description lock of all of it, for writing, or for reading if
 * the disk is read-only. It ends with block_unlock(), block_close() or the process, however that
 * ends. -EAGAIN, naming the holder if it is known, after trying for @wait_ms. Locked already: 0.
 */
int block_lock(struct block *b, int wait_ms, struct err *e);
/* Nothing may be in progress. What was written must have been flushed (block_drain()). */
void block_unlock(struct block *b);
bool block_locked(const struct block *b);
/*
 * Notes beside the image that @guest holds the lock, for whoever is refused, unless block_own.h
 * has written more there. Slow, so not part of block_lock(); best effort. block_close() takes the
 * note away if it still is ours.
 */
void block_lock_note(struct block *b, const char *guest);

#endif
