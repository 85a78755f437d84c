/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ib_write_bw of perftest, to have plain RDMA writes beside our own in the same run. Its server
 * runs at the far end, and is started there when the near end asks for it in a line: perftest PUT
 * STREAMS WRITES  ->  ready PORT; then ib_write_bw measures by itself end ->  done CPU_NS Only this
 * one program is ever started there, with numbers that have been looked at. Next in the flow:
 * transport.c.
 */
#ifndef WATARI_BENCH_PERFTEST_H
#define WATARI_BENCH_PERFTEST_H

#include <stdint.h>

#include "hv/base/err.h"

#define PERFTEST_WORD        "perftest " /* how its line begins */
#define PERFTEST_STREAMS_MAX 16
#define PERFTEST_WRITES_MAX  (1u << 24) /* of each stream */

struct perftest_ask {
	uint32_t put; /* bytes of a write, 4 KiB to 1 MiB */
	uint32_t streams, writes;
};

struct perftest_result {
	double goodput;                   /* bytes/s, its average */
	uint64_t bytes;                   /* written in all */
	uint64_t cpu_near_ns, cpu_far_ns; /* of either process, from its start to its end */
};

/* What asks for at least @bytes in writes of @put over @streams. */
struct perftest_ask perftest_plan(uint64_t bytes, uint32_t put, uint32_t streams);
/* The far end's part of @line that came on @fd; it listens on @host. */
int perftest_serve(int fd, const char *host, const char *line, struct err *e);
/* The near end's: asks on @fd, then measures against @host. -ENOENT: it is not installed. */
int perftest_drive(int fd, const char *host, const struct perftest_ask *ask,
	struct perftest_result *out, struct err *e);

/* The average in what ib_write_bw prints for writes of @put. -EPROTO: it is not in there. */
int perftest_parse(const char *text, uint32_t put, double *goodput, struct err *e);
/* The words of a near end's line. -EPROTO for what is out of bounds. */
int perftest_line(const char *line, struct perftest_ask *out, struct err *e);

#endif
