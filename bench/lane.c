/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns both ends of a lane (see lane.h). Must never have two puts of one page in flight: it walks
 * through a region far larger than what any transport keeps in flight.
 * Invariant: the clock stops when the far end has answered the message behind the last put, which
 * by the transport's contract is when all of it is in memory there.
 * Next in the flow: bench/transport.c.
 */
#include "bench/lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/line.h"
#include "bench/perftest.h"
#include "hv/base/clock.h"

#define LANE_TIMEOUT_NS (30 * NSEC_PER_SEC)
#define LANE_EVENTS     64
#define LANE_TOKEN      "watari-bench-lan" /* XPORT_TOKEN_SIZE bytes */

enum { LANE_PING = 1, LANE_PONG, LANE_END };

static uint64_t lane_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NSEC_PER_SEC +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NSEC_PER_USEC;
}

/* As good as any, for what is measured is time. */
static const uint8_t lane_secret[XPORT_SECRET_SIZE] = "a secret that every bench knows";

/* Where in @name the wish for a key begins; NULL: it has none. */
static const char *lane_encrypt(const char *name)
{
	const char *at = strchr(name, '+');

	return at && strcmp(at, LANE_ENCRYPT) == 0 ? at : NULL;
}

const struct xport_ops *lane_find(lane_transports at, const char *name, struct err *e)
{
	const char *end = lane_encrypt(name);
	size_t len = end ? (size_t)(end - name) : strlen(name);
	char known[128] = "";
	size_t n = 0;

	for (size_t i = 0; at(i); i++) {
		if (strlen(at(i)->name) == len && strncmp(at(i)->name, name, len) == 0)
			return at(i);
		n += (size_t)snprintf(known + n, n < sizeof(known) ? sizeof(known) - n : 0, "%s%s",
			i ? ", " : "", at(i)->name);
	}
	err_set(e, -EINVAL, "there is no transport '%.32s' here; there is: %s", name, known);
	return NULL;
}

static uint64_t lane_region(uint64_t bytes)
{
	return bytes < LANE_REGION_MAX ? bytes : LANE_REGION_MAX;
}

/* Memory like a guest's, all of it allocated: first touches are not the transport's. */
static void *lane_memory(uint64_t size, struct err *e)
{
	int fd = memfd_create("bench-lane", MFD_CLOEXEC);
	uint64_t *p = MAP_FAILED, x = 88172645463325252ull;

	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		err_errno(e, "cannot have %" PRIu64 " bytes of memory", size);
	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED)
		return NULL;
	for (uint64_t i = 0; i < size / sizeof(*p); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = x;
	}
	return p;
}

/* ---- the far end ---- */

/* Answers until the end. @cpu: what this process had used when the first message came. */
static int lane_answer(const struct xport_ops *ops, struct xport *x, uint64_t *cpu, struct err *e)
{
	struct xport_event ev[LANE_EVENTS];
	int rc;

	for (;;) {
		int n = ops->poll(x, LANE_TIMEOUT_NS, ev, LANE_EVENTS, e);

		if (n == 0)
			return err_set(e, -ETIMEDOUT, "nothing comes any more");
		if (n < 0)
			return n;
		for (int i = 0; i < n; i++) {
			uint16_t type = ev[i].msg_type;

			if (ev[i].type == XPORT_EV_DOWN)
				return err_set(e, ev[i].err.code, "%s", ev[i].err.msg);
			if (ev[i].type != XPORT_EV_MSG)
				continue;
			if (type == LANE_END)
				return 0;
			if (*cpu == 0) /* behind the last of what was to be put */
				*cpu = lane_cpu();
			rc = ops->msg(x, LANE_PONG, NULL, 0, e);
			if (rc < 0)
				return rc;
		}
	}
}

int lane_serve(int fd, const char *host, lane_transports at, struct err *e)
{
	struct xport_addr addr = { .token = LANE_TOKEN };
	const struct xport_ops *ops = NULL;
	struct xport_listener *l = NULL;
	char line[LINE_MAX_BYTES], name[32];
	struct xport *x = NULL;
	uint64_t cpu, until = 0, bytes = LANE_REGION_MAX, region;
	void *mem;
	int rc = line_hear(fd, line, e);

	if (rc == 0 && strncmp(line, PERFTEST_WORD, strlen(PERFTEST_WORD)) == 0)
		return perftest_serve(fd, host, line, e);
	if (rc == 0 && (sscanf(line, "ask %31s %u %" SCNu64, name, &addr.streams, &bytes) != 3 ||
			       addr.streams < 1 || addr.streams > 16 || bytes < LANE_REGION_MIN ||
			       bytes % XPORT_BLOCK_SIZE))
		return err_set(e, -EPROTO, "the other end asks '%.60s'", line);
	region = lane_region(bytes);
	if (rc < 0 || !(mem = lane_memory(region, e)))
		return rc < 0 ? rc : -ENOMEM;
	snprintf(addr.host, sizeof(addr.host), "%s", host);
	ops = lane_find(at, name, e);
	addr.secret = lane_encrypt(name) ? lane_secret : NULL;
	rc = ops ? ops->listen(&l, &addr, e) : -EINVAL;
	if (rc < 0)
		snprintf(line, sizeof(line), "error %.240s\n", e->msg);
	else
		snprintf(line, sizeof(line), "ready %u\n", addr.port);
	if (line_say(fd, line, rc < 0 ? NULL : e) < 0 || rc < 0)
		return rc < 0 ? rc : -EIO;
	cpu = lane_cpu();
	rc = ops->accept(l, LANE_TIMEOUT_NS, &x, e);
	if (rc == 0)
		rc = ops->region_add(x, 0, mem, region, e);
	if (rc == 0)
		rc = lane_answer(ops, x, &until, e);
	ops->close(x);
	if (rc == 0)
		snprintf(line, sizeof(line), "done %" PRIu64 "\n", until - cpu);
	else
		snprintf(line, sizeof(line), "error %.240s\n", e->msg);
	munmap(mem, region);
	return line_say(fd, line, rc < 0 ? NULL : e) < 0 ? -EIO : rc;
}

/* ---- the near end ---- */

/* Events until the answer to a message (@pong) or until at least one came. */
static int lane_events(const struct xport_ops *ops, struct xport *x, bool pong, struct err *e)
{
	struct xport_event ev[LANE_EVENTS];

	for (;;) {
		int n = ops->poll(x, LANE_TIMEOUT_NS, ev, LANE_EVENTS, e);

		if (n <= 0)
			return n < 0 ? n : err_set(e, -ETIMEDOUT, "the other end does not answer");
		for (int i = 0; i < n; i++) {
			if (ev[i].type == XPORT_EV_DOWN)
				return err_set(e, ev[i].err.code, "%s", ev[i].err.msg);
			if (ev[i].type == XPORT_EV_MSG && pong)
				return 0;
		}
		if (!pong)
			return 0;
	}
}

static int lane_put(const struct xport_ops *ops, struct xport *x, const struct lane_ask *ask,
	uint64_t at, struct err *e)
{
	struct xport_put p = {
		.offset = at % lane_region(ask->bytes), .length = ask->put, .cookie = at
	};
	int rc;

	while ((rc = ops->put(x, &p, e)) == -EAGAIN) {
		rc = lane_events(ops, x, false, e);
		if (rc < 0)
			break;
	}
	return rc;
}

static int lane_ping(const struct xport_ops *ops, struct xport *x, struct err *e)
{
	int rc = ops->msg(x, LANE_PING, NULL, 0, e);

	return rc < 0 ? rc : lane_events(ops, x, true, e);
}

static int lane_measure(const struct xport_ops *ops, struct xport *x, const struct lane_ask *ask,
	struct lane_result *out, struct err *e)
{
	uint64_t start = clock_mono_ns(), cpu = lane_cpu();
	double us[LANE_PINGS];
	struct xport_stats st;
	int rc = 0;

	for (uint64_t at = 0; at < ask->bytes && rc == 0; at += ask->put)
		rc = lane_put(ops, x, ask, at, e);
	if (rc == 0)
		rc = lane_ping(ops, x, e);
	out->goodput = (double)ask->bytes * 1e9 / (double)(clock_mono_ns() - start);
	out->cpu_near_ns = lane_cpu() - cpu;
	ops->stats(x, &st);
	out->wire_bytes = st.wire_bytes_out;
	out->zc_bytes = st.zc_bytes;
	out->zc_copied_bytes = st.zc_copied_bytes;
	for (unsigned i = 0; i < LANE_PINGS && rc == 0; i++) {
		start = clock_mono_ns();
		rc = lane_put(ops, x, ask, (uint64_t)i * ask->put, e);
		if (rc == 0)
			rc = lane_ping(ops, x, e);
		us[i] = (double)(clock_mono_ns() - start) / 1e3;
	}
	if (rc < 0)
		return rc;
	stats_of(us, LANE_PINGS, &out->latency_us);
	rc = ops->msg(x, LANE_END, NULL, 0, e);
	if (rc == 0)
		lane_events(ops, x, false, NULL); /* carries it out; the far end then hangs up */
	return rc;
}

int lane_drive(int fd, const char *host, const struct lane_ask *ask, lane_transports at,
	struct lane_result *out, struct err *e)
{
	struct xport_addr addr = { .streams = ask->streams, .token = LANE_TOKEN };
	const struct xport_ops *ops = lane_find(at, ask->transport, e);
	char line[LINE_MAX_BYTES];
	struct xport *x = NULL;
	uint64_t region = lane_region(ask->bytes);
	unsigned port = 0;
	void *mem;
	int rc;

	*out = (struct lane_result){ 0 };
	if (!ops || !(mem = lane_memory(region, e)))
		return e->code;
	snprintf(addr.host, sizeof(addr.host), "%s", host);
	addr.secret = lane_encrypt(ask->transport) ? lane_secret : NULL;
	snprintf(line, sizeof(line), "ask %.31s %u %" PRIu64 "\n", ask->transport, ask->streams,
		ask->bytes);
	rc = line_say(fd, line, e);
	if (rc == 0)
		rc = line_hear(fd, line, e);
	if (rc == 0 && (sscanf(line, "ready %u", &port) != 1 || port == 0 || port > UINT16_MAX))
		rc = err_set(e, -EPROTO, "the other end says: %.240s", line);
	addr.port = (uint16_t)port;
	if (rc == 0)
		rc = ops->connect(&x, &addr, LANE_TIMEOUT_NS, e);
	if (rc == 0)
		rc = ops->region_add(x, 0, mem, region, e);
	if (rc == 0)
		rc = lane_measure(ops, x, ask, out, e);
	if (rc == 0)
		rc = line_hear(fd, line, e);
	if (rc == 0 && sscanf(line, "done %" SCNu64, &out->cpu_far_ns) != 1)
		rc = err_set(e, -EPROTO, "the other end says: %.240s", line);
	ops->close(x);
	munmap(mem, region);
	return rc;
}
