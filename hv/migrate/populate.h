/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory at the target, allocated ahead of the stream: threads that take the extents the source
 * announced, in the stream's order, and let the kernel allocate and clear their pages a little
 * before they arrive. The receiver then copies into memory that is there. They never touch a hole,
 * and never run further ahead than POPULATE_WINDOW: a guest whose memory is mostly zero pages is
 * sent in jumps, and what the stream has passed is not worth allocating any more.
 *
 * THREADS. All calls from the thread that polls the transport.
 * Next in the flow: hv/migrate/pump_target.c.
 */
#ifndef WATARI_MIGRATE_POPULATE_H
#define WATARI_MIGRATE_POPULATE_H

#include <stdint.h>

#include "hv/base/codec.h"
#include "hv/base/err.h"
#include "hv/mem/gmem.h"

#define POPULATE_WINDOW (128ull << 20) /* bytes of extents ahead of the stream, at most */

struct populate;

/* Starts on the extents of a WIRE_EXTENTS message. 0, -EPROTO for what the peer sent, -ENOMEM. */
int populate_start(
	struct populate **out, const struct gmem *m, struct rbuf *extents, struct err *e);
/* The stream has come to byte @end of @region. */
void populate_at(struct populate *p, uint32_t region, uint64_t end);
/* No more is wanted: the threads end when they have what they are at. Never waits. */
void populate_quit(struct populate *p);
/*
 * Waits for the threads and frees. Returns the bytes they allocated or found there; @cpu_ns, if not
 * NULL, is the processor time they used. A @p of NULL: both 0.
 */
uint64_t populate_free(struct populate *p, uint64_t *cpu_ns);

#endif
