/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transport by itself, between two processes: puts as fast as it takes them, then messages that
 * wait for each other. No guest, no plan. The processes agree over a stream socket (a line each
 * way), so the far one may be on another host.
 * Next in the flow: transport.c.
 */
#ifndef WATARI_BENCH_LANE_H
#define WATARI_BENCH_LANE_H

#include <stdint.h>

#include "bench/stats.h"
#include "hv/base/err.h"
#include "hv/migrate/xport.h"

/* Bytes of memory at either end, allocated before: as much as is put, but within these. */
#define LANE_REGION_MAX (256ull << 20)
#define LANE_REGION_MIN (64ull << 20)
#define LANE_PINGS      1000

struct lane_ask {
	const char *transport;
	unsigned streams;
	uint32_t put;   /* bytes of each */
	uint64_t bytes; /* to put in all, a multiple of @put, LANE_REGION_MIN at least */
};

struct lane_result {
	double goodput;                   /* bytes/s, until all of it was in the far memory */
	uint64_t cpu_near_ns, cpu_far_ns; /* of the whole process, user and system */
	uint64_t wire_bytes;
	uint64_t zc_bytes, zc_copied_bytes; /* of these by reference; of those copied after all */
	struct stats latency_us; /* of a put and a message behind it, there and its answer back */
};

/* A transport by its number, NULL behind the last. */
typedef const struct xport_ops *(*lane_transports)(size_t i);

/*
 * The far end: serves one ask that comes on @fd, listening on @host; or runs the server of
 * ib_write_bw for it (perftest.h).
 */
int lane_serve(int fd, const char *host, lane_transports at, struct err *e);
/* The near end: asks on @fd, then connects to @host. */
int lane_drive(int fd, const char *host, const struct lane_ask *ask, lane_transports at,
	struct lane_result *out, struct err *e);
/* "NAME+encrypt" asks for its streams under a key. */
#define LANE_ENCRYPT "+encrypt"
/* NAME or NAME+encrypt. NULL and an error that lists the known ones. */
const struct xport_ops *lane_find(lane_transports at, const char *name, struct err *e);

#endif
