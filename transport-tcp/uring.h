/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the io_uring engine: one ring for all streams of a connection, because one thread
 * drives it and one system call then serves them all. At most one receive and one send a stream are
 * in progress; sends whose bytes the kernel still reads by reference are kept as batches.
 * Invariant: a batch is settled when its send has completed and, for a zero-copy send, its
 * notification has come, and not before the batches ahead of it.
 * Next in the flow: uring.c, then uring_send.c, uring_recv.c.
 */
#ifndef WATARI_TRANSPORT_TCP_URING_H
#define WATARI_TRANSPORT_TCP_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "transport-tcp/conn.h"

/* Linux 6.2; newer than some distributions' headers. */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

#define XURING_BATCHES  64  /* sends of one stream not settled yet; a power of two */
#define XURING_SEND_IOV 512 /* pieces of one send; UIO_MAXIOV is 1024 */

/*
 * Bytes from which on a put is sent by reference. Below, pinning its pages and waiting for the
 * notification costs more than copying them: docs/transport-tcp.md has the measurement.
 */
#define XURING_ZC_MIN (16u << 10)
#define XURING_ZC_OFF UINT32_MAX

/* What tests force; zeroes are the engine's own choice. */
struct xuring_options {
	uint32_t zc_min; /* instead of XURING_ZC_MIN; XURING_ZC_OFF: never by reference */
	bool zc_keep;    /* goes on by reference even when the kernel copies */
	bool plain;      /* as on a kernel without DEFER_TASKRUN and registered files */
};

struct xuring_batch {
	uint32_t end;   /* the queue's `sent` when the send had completed */
	bool sending;   /* the completion is to come */
	bool notifying; /* the notification is to come */
	bool zc;
	size_t bytes; /* that the kernel took */
};

struct xuring_stream {
	struct xuring_batch batch[XURING_BATCHES];
	uint32_t first, next; /* batches [first, next) are not settled; they only grow */
	struct msghdr tx, rx;
	struct iovec tx_iov[XURING_SEND_IOV], rx_iov[2];
	bool sending, receiving;
};

struct xuring {
	struct io_uring ring;
	bool enabled;      /* from the first poll on: from then the ring is bound to that thread */
	bool fixed_files;  /* descriptors are registered: stream i is file i */
	bool zc_reports;   /* the kernel says whether it copied */
	bool zc_keep;      /* see xuring_options */
	uint32_t zc_min;   /* XURING_ZC_OFF: no zero-copy (any more) */
	uint64_t tried;    /* zero-copy sends of which a notification came or will, ... */
	uint64_t notified; /* ... those of which it came, ... */
	uint64_t copied;   /* ... and of those, copied after all */
	struct xuring_stream s[XTCP_STREAMS_MAX];
};

extern const struct xtcp_engine xuring_engine;

/* engine->open() with other choices than the engine's own. */
int xuring_open(struct xport *x, const struct xuring_options *o, struct err *e);

/* What a completion belongs to. */
enum xuring_kind { XURING_RECV = 1, XURING_SEND, XURING_CANCEL };
static inline uint64_t xuring_tag(enum xuring_kind kind, unsigned stream, uint32_t batch)
{
	return (uint64_t)kind << 32 | (batch % XURING_BATCHES) << 8 | stream;
}

/* An entry on stream @i's socket, for prep functions that were given @i or the descriptor by
 * xuring_fd(); never NULL, because the ring is submitted before it is full. */
struct io_uring_sqe *xuring_sqe(struct xport *x);
int xuring_fd(const struct xport *x, unsigned i);
void xuring_tag_sqe(const struct xport *x, struct io_uring_sqe *sqe, uint64_t tag);

/* uring_send.c: starts the next send of stream @i if none is in progress; books a completion. */
void xuring_send(struct xport *x, unsigned i);
void xuring_send_done(struct xport *x, const struct io_uring_cqe *cqe);

/* uring_recv.c: the same for receiving. */
void xuring_recv(struct xport *x, unsigned i);
void xuring_recv_done(struct xport *x, const struct io_uring_cqe *cqe);

/* uring_probe.c */
void xuring_probe(const struct xport_addr *addr, struct xport_probe *out);
/* A disabled ring for one connection, with the best flags this kernel has; fills *zc, whether it
 * has zero-copy sends. 0, or negative errno and why not. */
int xuring_ring_init(struct io_uring *ring, bool plain, bool *zc, struct err *e);

#endif
