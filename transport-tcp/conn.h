/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of a TCP connection, shared by its two engines, its fuzzer and its wire tests: what
 * is queued, what is being received, why it ended. An engine only moves bytes between that and the
 * sockets: struct xtcp_engine.
 * Invariants: a posted frame stays in its stream's queue, its header at one address and its source
 * bytes only read, until it is settled: the kernel needs them no more; a receiver holds one frame
 * per stream and one message in all, whatever the peer sends.
 * Next in the flow: conn.c.
 */
#ifndef WATARI_TRANSPORT_TCP_CONN_H
#define WATARI_TRANSPORT_TCP_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "hv/migrate/xport/inbox.h"
#include "transport-tcp/frame.h"
#include "transport-tcp/queue.h"

struct xtcp_stream {
	int fd;
	struct xtcp_queue tx;
	bool tx_dead; /* sending failed: the receiving side will tell why */
	bool rx_end;  /* no more will come */

	uint8_t header[XTCP_FRAME_SIZE]; /* of the next frame, header_got bytes of it */
	size_t header_got;
	bool busy; /* `frame` has payload to come */
	struct xtcp_frame frame;
	uint8_t *dst;    /* where the next byte of payload goes */
	size_t left;     /* payload bytes still to come */
	uint64_t rx_seq; /* last MSG (stream 0) or FENCE (others) consumed */
};

/* The one message being received. */
struct xtcp_inbox {
	struct xport_inbox mem;
	struct xtcp_frame frame;
};

/* How bytes get between a connection and its sockets. All calls from the thread that polls, but
 * open() and close(). */
struct xtcp_engine {
	/* Makes @x->own. 0 or negative errno. */
	int (*open)(struct xport *x, struct err *e);
	/* Ends what is in flight, so that nothing reads or writes @x's memory, and frees @x->own.
	 */
	void (*close)(struct xport *x);
	/* Sends and receives a bounded amount without waiting. True: there may be more at once. */
	bool (*turn)(struct xport *x);
	/* Waits until bytes can be moved or @deadline (CLOCK_MONOTONIC). 0 or negative errno. */
	int (*sleep)(struct xport *x, uint64_t deadline);
	/* Returns once nothing of stream @i, whose end is booked, is being received any more. */
	void (*recv_stop)(struct xport *x, unsigned i);
};

extern const struct xtcp_engine xtcp_sock_engine;

struct xport {
	const struct xtcp_engine *engine;
	void *own; /* the engine's */
	bool is_target;
	bool shut;       /* no put lands here any more */
	size_t call_max; /* bytes given to one sendmsg(); 0: what the queue gathers */
	unsigned streams;
	struct xtcp_stream stream[XTCP_STREAMS_MAX];
	struct xtcp_regions regions;
	struct xtcp_inbox inbox;
	uint64_t tx_seq; /* of the last message posted */
	struct xport_stats stats;
	unsigned next_report; /* the stream completions are taken from first */
	struct err down;      /* why the connection ended; code 0: it has not */
	bool down_plain;      /* `down` is a mere close between frames: any other cause says more */
	bool down_told;
	uint64_t down_at; /* when `down` is told even if other streams have not ended; 0: at once */
};

/*
 * Makes a connection of @n connected sockets that become its own, also on failure; any stream
 * socket will do. 0 or negative errno.
 */
int xtcp_adopt(struct xport **out, const int *fds, unsigned n, bool is_target,
	const struct xtcp_engine *engine, struct err *e);

/* Closes @n sockets that did not become a connection. */
void xtcp_close_all(const int *fds, unsigned n);

/* Remembers why the connection ended: the first cause, but a plain close gives way to any other. */
void xtcp_fail(struct xport *x, const struct err *why);

/* Books a failed send on stream @s. */
void xtcp_send_failed(struct xport *x, struct xtcp_stream *s, int err);

/* The operations of hv/migrate/xport.h that both engines share; the two that make a connection take
 * the engine. */
int xtcp_conn_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e);
int xtcp_conn_accept(struct xport_listener *l, uint64_t timeout_ns,
	const struct xtcp_engine *engine, struct xport **out, struct err *e);
int xtcp_conn_connect(struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns,
	const struct xtcp_engine *engine, struct err *e);
void xtcp_conn_close(struct xport *x);
int xtcp_conn_region_add(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e);
void xtcp_conn_shut(struct xport *x);
int xtcp_conn_put(struct xport *x, const struct xport_put *p, struct err *e);
int xtcp_conn_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e);
int xtcp_conn_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e);
/*
 * The sleep() of an engine whose sockets are read and written by calls: until one can move bytes,
 * or @deadline. @unsent: stream @i has bytes for its socket.
 */
int xtcp_sleep(struct xport *x, uint64_t deadline, bool (*unsent)(struct xport *x, unsigned i));
void xtcp_conn_stats(const struct xport *x, struct xport_stats *out);

/* recv.c */
/*
 * Acts on what is complete on stream @i and says where its next bytes go: returns the pieces in
 * @iov, or 0 if nothing may be read now: the stream has ended, or a message waits to be taken.
 */
int xtcp_recv_room(struct xport *x, unsigned i, struct iovec iov[2]);
/* Takes what has arrived by plain calls, a bounded amount. True if there may be more now. */
bool xtcp_recv_drain(struct xport *x, unsigned i);
/* @n bytes came, into what xtcp_recv_room() named. */
void xtcp_recv_book(struct xport *x, struct xtcp_stream *s, size_t n);
/* The stream is at its end: @err a positive errno, or 0 if the peer closed it. */
void xtcp_recv_ended(struct xport *x, struct xtcp_stream *s, int err);
/* True if the message in the inbox is complete and all its fences were consumed. */
bool xtcp_inbox_ready(const struct xport *x);
/* True if stream @i may be read: it has not ended and no message waits on it. */
static inline bool xtcp_recv_open(const struct xport *x, unsigned i)
{
	return !x->stream[i].rx_end && !(i == 0 && x->inbox.mem.complete);
}

#endif
