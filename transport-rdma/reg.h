/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration, off the critical path: a few threads that register chunks, and at the source look
 * for those worth it ahead of the stream. Pinning a chunk takes milliseconds when its pages have to
 * be allocated first, so nobody waits for it but these threads.
 *
 * What a guest has never touched is found with mincore(): guest memory is a shared file, and a page
 * of it that is in no page cache was never written, or was swapped out. Either way it is not
 * registered ahead; if a put comes for it all the same, its chunk is asked for then.
 *
 * Threads: the calls belong to the owner of the connection. Invariant: these threads alone call
 * ibv_reg_mr() on guest memory, and every result is either taken by the owner or undone by close.
 * Next in the flow: events.c takes the results.
 */
#ifndef WATARI_TRANSPORT_RDMA_REG_H
#define WATARI_TRANSPORT_RDMA_REG_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "transport-rdma/chunk.h"

struct xrdma_reg;

struct xrdma_reg_result {
	enum { XRDMA_REG_CHUNK, XRDMA_REG_NEED } type;
	uint32_t region;
	/* CHUNK: registered, or the errno that ibv_reg_mr() left */
	uint32_t chunk;
	struct ibv_mr *mr;
	int error;
	/* NEED: what the region will pin at first */
	uint64_t bytes, chunks;
};

/* Starts the threads; @access is what chunks are registered with. */
int xrdma_reg_open(struct xrdma_reg **out, struct ibv_pd *pd, int access, struct err *e);
/* Stops them, undoes what was not taken. Waits for a chunk each at most. NULL is fine. */
void xrdma_reg_close(struct xrdma_reg *r);

/* Processor time its threads have spent on registering, in ns. */
uint64_t xrdma_reg_cpu_ns(const struct xrdma_reg *r);

/*
 * Becomes readable when there may be results. Not for each: the owner is woken for the first, for
 * each one that is urgent, for some megabytes of others, and when nothing is left to do.
 */
int xrdma_reg_fd(const struct xrdma_reg *r);
/* True and the oldest result, if there is one. Cheap when there is none. */
bool xrdma_reg_take(struct xrdma_reg *r, struct xrdma_reg_result *out);

/*
 * Registers @count chunks of @region from @first on, which the caller has the right to; @urgent:
 * before others. 0, or -ENOMEM, and then not all of them will be.
 */
int xrdma_reg_push(struct xrdma_reg *r, const struct xrdma_region *region, uint32_t id,
	uint32_t first, uint32_t count, bool urgent, struct err *e);

/*
 * Source: finds what the region needs (@all: everything), marks these chunks as wanted and reports
 * them as NEED; once xrdma_reg_go() was called for it, registers every such chunk that nobody has
 * taken. The region must stay. 0 or -ENOMEM.
 */
int xrdma_reg_scan(
	struct xrdma_reg *r, struct xrdma_region *region, uint32_t id, bool all, struct err *e);
/* From now on chunks are registered with @access. */
void xrdma_reg_go(struct xrdma_reg *r, uint32_t id, int access);

#endif
