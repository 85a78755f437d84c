/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport contract: what the migration asks of RDMA, io_uring, plain TCP, and of the fake in
 * tests/lib. One suite (tests/contract/) holds every implementation to it.
 *
 * A connection carries puts from source to target and messages both ways. A put names (region,
 * offset, length), never a byte stream, and lands in the target's guest memory with no bounce
 * buffer. Several streams (sockets, queue pairs) are the transport's own business.
 *
 * ORDER. (1) Messages of one direction arrive in the order they were sent. (2) A message is a
 * fence: when it is delivered, every put posted before it, on every stream, is in the target's
 * memory and visible to any thread of the target that is told so. (3) Two puts of the same page
 * take effect in the order they were posted, although the source never posts a page that is still
 * in flight. Nothing else is ordered.
 *
 * SOURCE BYTES. From post to completion the transport may read the source page at any time, more
 * than once, while the guest changes it; what arrives may be a mixture. That is fine: a page
 * changed in flight is dirty again and is sent again.
 *
 * THREADS. A connection belongs to one thread at a time, and from its first poll() on to that one.
 * Nothing blocks but poll() and connect(), accept() with their timeouts. Each end makes progress
 * only while it is polled, and may need the other's to finish what it was given.
 *
 * ERRORS. Every failure is a negative errno and a sentence a person can act on. After a failed
 * call or an XPORT_EV_DOWN event only close() may be called.
 *
 * Next in the flow: hv/migrate/pump.c drives it; transport-tcp/ implements it.
 */
#ifndef WATARI_MIGRATE_XPORT_H
#define WATARI_MIGRATE_XPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport_addr.h"

#define XPORT_BLOCK_SIZE  (256u << 10) /* no put crosses a multiple of this within its region */
#define XPORT_MSG_MAX     (64u << 20)  /* bytes of one message */
#define XPORT_REGIONS_MAX 4

struct xport;          /* a connection */
struct xport_listener; /* a target that waits for one */

/* What a transport could do on this host. */
struct xport_probe {
	bool usable;
	char why[160]; /* one sentence: what it found, or what is missing and how to mend it */
};

struct xport_put {
	uint32_t region;
	uint64_t offset; /* bytes from the region's start, page-aligned */
	uint32_t length; /* bytes, 4 KiB..XPORT_BLOCK_SIZE, whole pages */
	bool zero;       /* the pages are zero: no source bytes are read */
	uint64_t cookie; /* comes back in the completion */
};

enum xport_event_type {
	XPORT_EV_PUT_DONE, /* source: this put needs its source bytes no more (cookie) */
	XPORT_EV_MSG,      /* a message: type, data, len; data is valid until the next poll() */
	XPORT_EV_DOWN,     /* the connection is gone: err; the last event there is */
};

struct xport_event {
	enum xport_event_type type;
	uint64_t cookie;
	uint16_t msg_type;
	const uint8_t *data;
	size_t len;
	struct err err;
};

struct xport_stats {
	uint64_t put_bytes; /* payload of all puts (zero puts count 0) */
	uint64_t puts;
	uint64_t wire_bytes_out; /* everything sent, headers and messages included */
	uint64_t wire_bytes_in;
	uint64_t in_transit_bytes; /* posted, not known to have reached the peer's host */
	uint32_t arrived_region;   /* Target: where the last put that came ends; 0 and 0: */
	uint64_t arrived_end;      /* not known (yet) */
	bool one_sided; /* Target: puts need no hand of ours, nor memory that we allocate ahead */
	uint64_t zc_bytes;        /* sent by reference, headers included; 0 if none ever is */
	uint64_t zc_copied_bytes; /* of those, copied by the kernel after all */
	uint64_t helpers_ns;      /* processor time its own threads spent on guest memory */
	unsigned streams;
};

/* A static const table, designated initialisers, no entry NULL. */
struct xport_ops {
	const char *name; /* "tcp", "uring", "rdma", "fake" */

	/* What this host can do, towards @addr->host if any. Never fails; may take 1 s. */
	void (*probe)(const struct xport_addr *addr, struct xport_probe *out);

	/* Target: starts listening on @addr and fills in its port. */
	int (*listen)(struct xport_listener **out, struct xport_addr *addr, struct err *e);
	/*
	 * Target: waits up to @timeout_ns for a source that proves the token, with all its
	 * streams, and ends the listening; strangers are dropped and do not end the wait. Frees
	 * @l whatever happens. -ETIMEDOUT: nobody came; -ECONNRESET: the lifeline ended first.
	 */
	int (*accept)(
		struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e);
	/* Source: connects all streams to @addr within @timeout_ns. */
	int (*connect)(struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns,
		struct err *e);
	/*
	 * Frees everything and waits for nothing that is still to be posted. Messages that poll()
	 * has given to the adapter or the kernel still leave, if they can within 100 ms. NULL is
	 * fine.
	 */
	void (*close)(struct xport *x);

	/*
	 * Makes @size bytes at @base known as region @id, on both ends, before the first put. On
	 * the target a put outside a region is a protocol error that ends the connection. The
	 * memory stays the caller's and outlives the connection; as long as that lives none of it
	 * is given back to the kernel (no holes punched), for an adapter may have pinned it.
	 */
	int (*region_add)(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e);
	/*
	 * Target, before the guest runs: when it returns, no byte of a put can land any more,
	 * whatever the peer does. Messages go on, both ways, at least from then on; a put that is
	 * tried all the same ends the connection. Quick, as it may be part of the blackout. Cannot
	 * fail: what cannot be shut is torn down, and poll() then reports XPORT_EV_DOWN. May be
	 * called more than once, and after XPORT_EV_DOWN.
	 */
	void (*shut)(struct xport *x);

	/* Source: posts one put. -EAGAIN: no room now, poll() first. Not flushed before poll(). */
	int (*put)(struct xport *x, const struct xport_put *p, struct err *e);
	/*
	 * Either end: posts a message of @type (any value), up to XPORT_MSG_MAX bytes, copied
	 * before it returns. Never -EAGAIN: messages are few.
	 */
	int (*msg)(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e);
	/*
	 * Moves data, waits up to @timeout_ns for something to report, and fills up to @max events.
	 * Returns how many, 0 on time-out, or negative errno for misuse (a lost peer is
	 * XPORT_EV_DOWN). At most one XPORT_EV_MSG per call. @timeout_ns 0 never waits.
	 */
	int (*poll)(struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max,
		struct err *e);

	void (*stats)(const struct xport *x, struct xport_stats *out);
};

#endif
