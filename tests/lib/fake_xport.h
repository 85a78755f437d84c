/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport contract (hv/migrate/xport.h) in memory, with faults on demand, for tests of what
 * stands on a transport. Both ends may be driven by one thread in turns or by two threads.
 * Invariant: as strict as the contract allows, never stricter: bytes of a put are read at the
 * source's poll(), not at put(), and land at the target's poll().
 * Next in the flow: tests/contract/contract.c holds it to the same rules as the real ones.
 */
#ifndef WATARI_TESTS_FAKE_XPORT_H
#define WATARI_TESTS_FAKE_XPORT_H

#include <stdbool.h>

#include "hv/migrate/xport.h"

/*
 * listen/accept/connect meet in a registry of this process, keyed by port (the host is not looked
 * at). As with sockets, connect() returns only once accept() has taken it: use two threads, or
 * fake_xport_pair().
 */
extern const struct xport_ops fake_xport_ops;

/* Two connected ends, at once, for one thread that drives both. 0 or -ENOMEM. Close each. */
int fake_xport_pair(struct xport **source, struct xport **target);

enum fake_fault {
	FAKE_FAIL_PUT,  /* put() returns -EIO */
	FAKE_FAIL_MSG,  /* msg() returns -EIO */
	FAKE_FAIL_POLL, /* poll() returns -EIO */
	FAKE_DOWN_POLL, /* poll() reports XPORT_EV_DOWN, and the peer gets it too */
	FAKE_DROP,      /* the connection goes down, for both, instead of carrying this frame (a put
			   or a message that leaves @x); frames before it arrive */
	FAKE_FAULTS,
};

/*
 * Arms a fault at end @x: the @countdown-th occasion from now (1: the next one) fails, and every
 * one after it. 0 disarms. Any thread.
 */
void fake_xport_fault(struct xport *x, enum fake_fault f, unsigned countdown);

/* Holds back every frame that leaves @x until released; posting and completions go on. */
void fake_xport_hold(struct xport *x);
/* Lets the next @frames frames of a held end through (it stays held); UINT_MAX ends the hold. */
void fake_xport_release(struct xport *x, unsigned frames);

/*
 * Target: puts land as late as the contract allows: not before the message after them is delivered.
 * The default is to land them as they arrive.
 */
void fake_xport_lazy(struct xport *x, bool lazy);

/* Source: put() says -EAGAIN when @puts puts are posted and their completion not yet taken (default
 * 64). */
void fake_xport_room(struct xport *x, unsigned puts);

/* Frames that left @x and have not been taken by the peer's poll(), held ones included. */
unsigned fake_xport_queued(struct xport *x);

#endif
