/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose guest an image's guest is: the record IMAGE.holder beside it, and what it takes to become
 * its owner. The record says which guest (its identity), which epoch of it, and on which host.
 *
 * Invariant (one owner): nobody runs a guest who does not hold the lock on the image AND has read
 * its own epoch under it AND has written the next one, durably, before the first instruction. So of
 * two who have the guest's state of epoch N one becomes the owner, whatever became of the other.
 * Next in the flow: block_own.c; hv/vm/owner.c asks.
 */
#ifndef WATARI_DEV_BLOCK_OWN_H
#define WATARI_DEV_BLOCK_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/base/uuid.h"
#include "hv/dev/block.h"

#define BLOCK_GUEST_MAX   64
#define BLOCK_RECORD_SIZE 512 /* bytes of the file: one sector, written at once */

struct block_owner {
	char guest[BLOCK_GUEST_MAX];
	uint8_t uuid[UUID_SIZE];
	uint64_t epoch; /* from 1; 0 is a note that only names the holder */
};

/* What a record says. */
struct block_record {
	struct block_owner owner;
	char host[65];
	int process;
};

/* What an attempt to become the owner found. */
enum block_own {
	BLOCK_OWN_TAKEN,  /* the lock is held here and the record says the next epoch */
	BLOCK_OWN_HELD,   /* the lock is held elsewhere, the epoch is the expected one */
	BLOCK_OWN_DENIED, /* another guest or epoch, or its owner ended it */
	BLOCK_OWN_MUTE,   /* the storage does not answer, or nonsense */
};

enum block_own_lock {
	BLOCK_OWN_LOCK_KEPT, /* held since the record was written by us */
	BLOCK_OWN_LOCK_TAKEN,
	BLOCK_OWN_LOCK_ELSEWHERE
};

/* Pure: what follows from the lock, the record (@read 0, or why there is none) and what is
 * expected. @mine: it was written by this process. */
enum block_own block_own_judge(enum block_own_lock lock, int read, const struct block_record *r,
	bool mine, const struct block_owner *expected);

/* Pure. Returns false for what is no record. @text need not end in NUL. */
bool block_record_parse(const char *text, size_t len, struct block_record *out);
void block_record_format(char out[BLOCK_RECORD_SIZE], const struct block_record *r);

/* A guest that starts: writes its record under the lock, durably. -errno: there is no arbiter. */
int block_own_begin(struct block *b, const struct block_owner *o, struct err *e);
/*
 * One attempt, without waiting for the lock; @kept: it has been held all the time. On
 * BLOCK_OWN_TAKEN, @o->epoch is the new one. On anything else a lock taken here is given up.
 */
enum block_own block_own_acquire(struct block *b, struct block_owner *o, bool kept, struct err *e);
/* Before the lock is given up: the record says so of us, or is made to. Else -EBUSY, -errno. */
int block_own_check(struct block *b, const struct block_owner *o, struct err *e);
/* Whether an image can be an arbiter: written by the guest, and a file, whose lock other hosts see.
 */
bool block_own_possible(const struct block *b);

#endif
