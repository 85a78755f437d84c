/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the RDMA transport, for its own files and its tests.
 *
 * QUEUE PAIRS. One reliable connected queue pair for control, both ways, and `streams` for data,
 * source to target. All share one completion queue, which only the owner of the connection polls.
 *
 * PROTECTION. Guest memory is registered in a protection domain of the data queue pairs; the
 * control queue pair has another, with nothing in it but its own buffers. An rkey is valid only on
 * a queue pair of its own protection domain (IBA vol. 1, 10.6.3), so once the data queue pairs are
 * in the error state, which drops what comes (10.3.1), the peer holds no way into guest memory,
 * while control goes on. That is shut(). rkeys travel on the control queue pair only.
 *
 * ORDER. Message k travels on the control queue pair; on each data stream that was put to since the
 * message before, a FENCE k is sent behind those puts, and the message names these streams. The
 * target delivers k when it has k and all its fences. Why that is enough: a responder executes the
 * requests of a queue pair in the order they were posted (IBA vol. 1, 9.5 and table 10.8.3.3), and
 * completes a receive only after the effects of all writes that precede the SEND on the same queue
 * pair are visible in its memory (9.5: that is one of the three events on which an application may
 * rely for the content of a write). A completion of the write at the source would not be: it only
 * says that the data reached the responder. So the fence travels, and costs the source no round
 * trip. Between queue pairs nothing is ordered, and nothing here assumes it.
 *
 * ZERO PUTS are SEND records on the data stream of their pages. By the same rule every earlier
 * write to the page is in memory when the record is received, and the target's own hand then makes
 * it zero. Later writes: a zero put is done only when the target has said that it consumed the
 * record (ACK), and the source never posts a page that is in flight.
 *
 * CREDITS. Control: credit.h. Records: XRDMA_RECORDS receive buffers for each stream at the target,
 * given back by ACK. A receive is always posted before the peer may use it.
 *
 * Next in the flow: connect.c, accept.c; send.c, ctrl.c, recv.c; xport.c.
 */
#ifndef WATARI_TRANSPORT_RDMA_INTERNAL_H
#define WATARI_TRANSPORT_RDMA_INTERNAL_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "hv/migrate/xport.h"
#include "hv/migrate/xport/inbox.h"
#include "transport-rdma/chunk.h"
#include "transport-rdma/credit.h"
#include "transport-rdma/record.h"
#include "transport-rdma/reg.h"
#include "transport-rdma/stream.h"

#define XRDMA_LINES  (XRDMA_STREAMS_MAX + 1)
#define XRDMA_INLINE 64u /* bytes that travel inside the work request, where there is room */

/* One queue pair and its end of the connection manager. */
struct xrdma_line {
	struct xport *x;
	unsigned index; /* 0..streams-1 data, streams: control */
	struct rdma_cm_id *id;
	bool up;
};

/* A frame to send; a message stays at the head until its last part is posted. */
struct xrdma_out {
	struct xrdma_out *next;
	uint8_t *owned; /* a message's copy */
	uint32_t sent;  /* bytes of it */
	struct xrdma_frame frame;
};

/* The one message being received. */
struct xrdma_inbox {
	struct xport_inbox mem;
	bool open; /* begun and not complete */
	struct xrdma_frame head;
};

/* What the completion channel will tell of, from least to most. */
enum xrdma_armed {
	XRDMA_ARMED_NOT,
	XRDMA_ARMED_NEWS, /* what the peer sends: our own sends, once done, wake nobody */
	XRDMA_ARMED_ALL,
};

struct xport {
	bool is_target, may_speak;
	bool shut;   /* the data queue pairs are being ended, or have been */
	bool sealed; /* nothing that comes on them counts any more */
	unsigned streams, lines;
	struct xrdma_line line[XRDMA_LINES];
	struct xrdma_stream stream[XRDMA_STREAMS_MAX];
	struct xrdma_regions regions;
	struct xport_rdma wish;

	struct rdma_event_channel *channel;
	struct ibv_context *verbs; /* of the device all lines are on; librdmacm's */
	uint8_t port;
	struct ibv_device_attr attr;
	bool odp; /* the adapter pages on demand for our kind of queue pair and use */
	struct ibv_pd *data_pd, *ctrl_pd;
	struct ibv_comp_channel *comp;
	struct ibv_cq *cq;
	enum xrdma_armed armed;
	uint32_t sq_depth, max_inline;
	struct ibv_mr *data_mr, *ctrl_mr;
	uint8_t *data_buf, *ctrl_buf;
	struct xrdma_reg *reg;
	uint64_t need_bytes, need_chunks; /* source: of all regions scanned so far */

	struct xrdma_credit credit;
	struct xrdma_out *out_head, *out_last, **out_tail;
	uint32_t tx_end, tx_done;    /* control sends posted, completed */
	uint8_t held[XRDMA_CREDITS]; /* receive buffers with parts of messages, oldest first */
	uint32_t held_len[XRDMA_CREDITS];
	uint32_t held_first, held_end;
	bool ack_due;
	uint64_t tx_seq, rx_seq;
	struct xrdma_inbox inbox;

	struct xport_stats stats;
	uint64_t written; /* target: put bytes, as the source says in every frame */
	unsigned next_report;
	uint64_t watched_at, port_down_at;
	uint64_t progress_at; /* when the adapter last completed anything, or had nothing to do */
	struct err down;      /* why the connection ended; code 0: it has not */
	bool down_plain;      /* a mere close or flush: any other cause says more */
	bool down_told;
	uint64_t down_at; /* since when it has ended */
};

/* Kinds of work requests, in the high byte of wr_id; below it line or stream, then a number. */
enum xrdma_wr { XRDMA_WR_DATA = 1, XRDMA_WR_RECORD_IN, XRDMA_WR_CTRL, XRDMA_WR_CTRL_IN };

static inline uint64_t xrdma_wr_id(enum xrdma_wr kind, unsigned line, uint32_t n)
{
	return (uint64_t)kind << 56 | (uint64_t)line << 32 | n;
}

static inline struct ibv_qp *xrdma_data_qp(const struct xport *x, unsigned stream)
{
	return x->line[stream].id->qp;
}

static inline struct ibv_qp *xrdma_ctrl_qp(const struct xport *x)
{
	return x->line[x->streams].id->qp;
}

#endif
