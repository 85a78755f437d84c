/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A data stream: at the source what is to be put, in order, at the target what records have come.
 * Next in the flow: send.c, recv.c.
 */
#ifndef WATARI_TRANSPORT_RDMA_STREAM_H
#define WATARI_TRANSPORT_RDMA_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#define XRDMA_RECORDS 32u  /* receive buffers for records of a stream */
#define XRDMA_SLOTS   512u /* posted puts a stream holds; a power of two */
#define XRDMA_SQ      128u /* of them, given to the adapter at a time */

enum xrdma_slot_kind { XRDMA_SLOT_PUT, XRDMA_SLOT_ZERO, XRDMA_SLOT_FENCE };

/* What a stream is to do, in order. */
struct xrdma_slot {
	enum xrdma_slot_kind kind;
	uint32_t region, length;
	uint64_t offset, cookie;
	uint64_t seq;    /* FENCE: of its message */
	uint64_t record; /* ZERO: the number of the record it went into */
};

struct xrdma_stream {
	/*
	 * Source. Counters only grow, the place is counter & (XRDMA_SLOTS - 1). [done, posted) were
	 * given to the adapter, which has completed those before `acked`; [posted, end) wait.
	 */
	struct xrdma_slot *slot;
	uint32_t done, posted, end, acked;
	uint64_t queued_bytes; /* of puts in [done, end) */
	bool fence_due;        /* something was put since the last message */
	uint64_t records_sent, records_acked;
	/* Target */
	uint64_t records_got, records_told;
	uint64_t fence;   /* number of the last FENCE */
	uint32_t rx_open; /* receives posted and not completed */
};

#endif
