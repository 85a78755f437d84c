/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the plain-socket engine, for its three files, its fuzzer and its wire tests.
 * Invariants: a posted frame stays in its stream's queue, and its source bytes are only read, until
 * the kernel has taken all of it; a receiver holds one frame per stream and one message in all,
 * whatever the peer sends.
 * Next in the flow: sock.c.
 */
#ifndef WATARI_TRANSPORT_TCP_SOCK_H
#define WATARI_TRANSPORT_TCP_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/migrate/xport.h"
#include "transport-tcp/frame.h"

/* One frame to send. */
struct xtcp_slot {
	uint8_t header[XTCP_FRAME_SIZE];
	const uint8_t *payload; /* guest memory, or `owned` */
	uint32_t length;        /* of the payload on the wire */
	uint8_t *owned;         /* a message's copy; freed with the slot */
	bool is_put;            /* reported when done */
	uint64_t cookie;
};

/*
 * Frames in the order they go out: [done, sent) were taken by the kernel and are to be reported,
 * [sent, end) are to be sent. Counters only grow; the place is counter & (cap - 1).
 */
struct xtcp_queue {
	struct xtcp_slot *slot;
	uint32_t cap; /* a power of two; 0 at first */
	uint32_t done, sent, end;
	size_t sent_bytes;     /* of slot `sent`, header included */
	uint64_t queued_bytes; /* in [sent, end), headers included, less sent_bytes */
	uint32_t posted_puts;  /* in [done, end) */
};

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

/* The one message being received: its memory grows with what has arrived, not with what was
 * announced. */
struct xtcp_inbox {
	uint8_t *data;
	size_t cap, got;
	bool complete;  /* all bytes are here; waits for its fences */
	bool delivered; /* reported; data belongs to the user until the next poll() */
	struct xtcp_frame frame;
};

struct xport {
	bool is_target;
	bool shut; /* no put lands here any more */
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
 * socket will do. 0 or -ENOMEM.
 */
int xtcp_sock_adopt(struct xport **out, const int *fds, unsigned n, bool is_target, struct err *e);

/* Remembers why the connection ended: the first cause, but a plain close gives way to any other. */
void xtcp_sock_fail(struct xport *x, const struct err *why);

/* sock_send.c */
bool xtcp_queue_full(const struct xtcp_queue *q);
/* Takes the slot with its owned memory, also on failure. 0 or -ENOMEM. */
int xtcp_queue_push(struct xtcp_queue *q, const struct xtcp_slot *s);
void xtcp_queue_fini(struct xtcp_queue *q);
/* Reports up to @max completions of @q, in order, and frees their slots. Returns how many. */
int xtcp_queue_report(struct xtcp_queue *q, struct xport_event *ev, int max);
/* Gives the kernel as much as it takes of a bounded amount. True if there is more to give it now.
 */
bool xtcp_stream_send(struct xport *x, struct xtcp_stream *s);

/* sock_recv.c */
/* Lets no further byte of a put into guest memory: a stream with one under way is at its end. */
void xtcp_recv_shut(struct xport *x);
/* Takes what has arrived, a bounded amount. True if there may be more now. */
bool xtcp_stream_recv(struct xport *x, unsigned i);
/* True if the message in the inbox is complete and all its fences were consumed. */
bool xtcp_inbox_ready(const struct xport *x);
/* Forgets a delivered message, so that the next can come. */
void xtcp_inbox_release(struct xport *x);

#endif
