/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns QEMU as a system under test (see system.h): the same guest, the same kind of memory file,
 * one process a host, QMP. docs/bench.md has its settings and why they are its best.
 * Must never wait for QEMU without an end, nor measure the start of the target's process, which a
 * host would have done before.
 * Next in the flow: bench/qmp.c, bench/move.c.
 */
#include "bench/system.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/plan.h"
#include "bench/qmp.h"
#include "hv/base/clock.h"
#include "hv/mem/backing.h"

#define QEMU_START_NS    (20 * NSEC_PER_SEC)
#define QEMU_TIMEOUT_NS  (300 * NSEC_PER_SEC)
#define QEMU_PATIENCE_NS (30 * NSEC_PER_SEC) /* after the first pass, for the guest to fit */
#define QEMU_POLL_MS     10
#define QEMU_LOOK_MS     50            /* between two questions how the move goes */
#define QEMU_LOW         0x80000000ull /* q35: RAM below 4 GiB if it is QEMU_SPLIT or more, */
#define QEMU_SPLIT       0xb0000000ull
#define QEMU_HIGH        0x100000000ull /* and where the rest is */

enum { MODE_MULTIFD = 1, MODE_ZERO_COPY = 2, MODE_POSTCOPY = 4 };
static const unsigned mode_flags[] = { 0, MODE_MULTIFD, MODE_MULTIFD | MODE_ZERO_COPY,
	MODE_POSTCOPY };
const char *const bench_qemu_modes[] = { "precopy", "multifd", "zero-copy", "postcopy", NULL };

static unsigned qemu_flags(const struct bench_guest *g)
{
	for (size_t i = 0; bench_qemu_modes[i]; i++)
		if (strcmp(bench_qemu_modes[i], g->variant) == 0)
			return mode_flags[i];
	return 0;
}

/* ---- processes ---- */

static uint32_t qemu_regions(uint64_t memory, struct observe_region *r)
{
	if (memory < QEMU_SPLIT) {
		r[0] = (struct observe_region){ .gpa = 0, .size = memory, .fd_offset = 0 };
		return 1;
	}
	r[0] = (struct observe_region){ .gpa = 0, .size = QEMU_LOW, .fd_offset = 0 };
	r[1] = (struct observe_region){
		.gpa = QEMU_HIGH, .size = memory - QEMU_LOW, .fd_offset = QEMU_LOW
	};
	return 2;
}

static int qemu_memory(const struct bench_config *c, int *fd, struct err *e)
{
	const struct backing b = { .thp = c->thp }; /* QEMU asks for huge pages by itself */
	int rc = backing_check(&b, c->memory, e);

	*fd = rc == 0 ? backing_file(&b, "bench-peer", e) : rc;
	if (*fd < 0)
		return *fd;
	if (ftruncate(*fd, (off_t)c->memory) < 0)
		return err_errno(e, "cannot make a memory file of %" PRIu64 " bytes", c->memory);
	return 0;
}

/*
 * The process may take its time to end. The memory file stays: @g->at or @g->to has its own
 * descriptor of it.
 */
static void qemu_quit(struct bench_ends *x, struct bench_qemu_vm *v)
{
	if (v->pid && (!v->qmp || qmp_call(v->qmp, "quit", NULL, NULL, NULL) < 0))
		kill(v->pid, SIGKILL);
	qmp_close(v->qmp);
	v->qmp = NULL;
	if (v->pid)
		ends_leave(x, v->pid);
	v->pid = 0;
	if (v->mem >= 0)
		close(v->mem);
	v->mem = -1;
}

static int qemu_connect(
	struct bench_guest *g, struct bench_qemu_vm *v, const char *path, struct err *e)
{
	uint64_t end = clock_mono_ns() + QEMU_START_NS;
	struct err why = { 0 };
	int rc = 0;

	while (rc == 0 && qmp_open(&v->qmp, path, &why) < 0) {
		rc = ends_alive(&v->pid, g->plan->peer_binary, e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "QEMU does not answer: %.300s", why.msg);
		if (rc == 0)
			rc = ends_wait(g->ends, -1, QEMU_POLL_MS, e);
	}
	return rc;
}

/*
 * Whether the guest is about to touch (nearly) all of its memory. Then it is touched for it at the
 * start, in a fraction of the time; a target has to do that in the move, as any target does.
 */
static bool qemu_all_filled(const struct bench_config *c)
{
	return bench_config_filled(c) >= c->memory - c->memory / 16;
}

/* One process with memory of its own; @incoming: it waits for a guest. */
static int qemu_start(struct bench_guest *g, struct bench_qemu_vm *v, bool incoming, struct err *e)
{
	const struct bench_config *c = g->config;
	char name[64], smp[16], size[32], object[160], append[256], qmp[ENDS_PATH_MAX + 32],
		path[ENDS_PATH_MAX];
	const char *const args[] = { g->plan->peer_binary, "-name", name, "-nodefaults",
		"-no-user-config", "-display", "none", "-machine",
		"q35,accel=kvm,memory-backend=ram", "-cpu", g->plan->peer_cpu, "-smp", smp, "-m",
		size, "-object", object, "-kernel", g->ends->kernel, "-append", append, "-qmp", qmp,
		incoming ? "-incoming" : NULL, "defer", NULL };
	struct ends_child child = { .program = g->plan->peer_binary,
		.out = g->ends->end[0].out,
		.log = g->ends->peer_log,
		.dir = g->ends->end[0].dir };
	int rc;

	*v = (struct bench_qemu_vm){ .mem = -1 };
	rc = qemu_memory(c, &v->mem, e);
	if (rc < 0)
		return rc;
	child.keep_fd = v->mem;
	snprintf(name, sizeof(name), "%.31s,debug-threads=on", g->name);
	snprintf(smp, sizeof(smp), "%u", c->vcpus);
	snprintf(size, sizeof(size), "%" PRIu64 "K", c->memory >> 10);
	snprintf(object, sizeof(object),
		"memory-backend-file,id=ram,mem-path=/proc/self/fd/%d,size=%" PRIu64 ",share=on%s",
		v->mem, c->memory, !incoming && qemu_all_filled(c) ? ",prealloc=on" : "");
	snprintf(path, sizeof(path), "%.170s/%.31s.%u", g->ends->base, g->name, g->serial++);
	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", path);
	bench_config_append(c, append, sizeof(append));
	rc = ends_spawn(g->ends, &child, args, &v->pid, e);
	if (rc == 0)
		rc = qemu_connect(g, v, path, e);
	if (rc < 0)
		qemu_quit(g->ends, v);
	return rc;
}

/* What @v's memory looks like from here. */
static int qemu_observe(const struct bench_guest *g, const struct bench_qemu_vm *v, bool map,
	struct observed *o, struct err *e)
{
	struct observe_region r[2];
	int fd = fcntl(v->mem, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(e, "cannot duplicate a memory file");
	return observe_attach_file(o, v->pid, fd, r, qemu_regions(g->config->memory, r), map, e);
}

static int qemu_boot(struct bench_guest *g, struct err *e)
{
	int rc = qemu_start(g, &g->here, false, e);

	return rc < 0 ? rc : qemu_observe(g, &g->here, true, &g->at, e);
}

/* ---- the move ---- */

static int qemu_cap(struct qmp *q, const char *name, struct err *e)
{
	return qmp_call(q, "migrate-set-capabilities",
		json_pack("{s:[{s:s,s:b}]}", "capabilities", "capability", name, "state", 1), NULL,
		e);
}

/* Capabilities and parameters of both ends. */
static int qemu_settings(struct bench_guest *g, struct err *e)
{
	unsigned flags = qemu_flags(g);
	uint64_t limit_ms = (g->config->downtime_limit_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	struct qmp *both[2] = { g->here.qmp, g->there.qmp };
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		if (flags & MODE_MULTIFD)
			rc = qemu_cap(both[i], "multifd", e);
		if (rc == 0 && flags & MODE_POSTCOPY)
			rc = qemu_cap(both[i], "postcopy-ram", e);
		if (rc == 0 && flags & MODE_MULTIFD)
			rc = qmp_call(both[i], "migrate-set-parameters",
				json_pack("{s:i}", "multifd-channels", PLAN_PEER_CHANNELS), NULL,
				e);
	}
	if (rc == 0 && g->config->on_stall == MIG_ON_STALL_THROTTLE && !(flags & MODE_POSTCOPY))
		rc = qemu_cap(g->here.qmp, "auto-converge", e);
	if (rc == 0 && flags & MODE_ZERO_COPY)
		rc = qemu_cap(g->here.qmp, "zero-copy-send", e);
	if (rc == 0)
		rc = qmp_call(g->here.qmp, "migrate-set-parameters",
			json_pack("{s:i,s:I}", "max-bandwidth", 0, "downtime-limit",
				(json_int_t)limit_ms),
			NULL, e);
	return rc;
}

/* The port the target listens on, as it says itself. */
static int qemu_port(struct bench_guest *g, struct err *e)
{
	json_t *j = NULL;
	const char *port;
	int rc = qmp_call(g->there.qmp, "query-migrate", NULL, &j, e);

	if (rc < 0)
		return rc;
	port = json_string_value(
		json_object_get(json_array_get(json_object_get(j, "socket-address"), 0), "port"));
	g->port = port ? (uint16_t)atoi(port) : 0;
	json_decref(j);
	return g->port ? 0 : err_set(e, -EPROTO, "QEMU does not say where it listens");
}

static int qemu_prepare(struct bench_guest *g, struct err *e)
{
	int rc = qemu_start(g, &g->there, true, e);

	if (rc == 0)
		rc = qemu_settings(g, e);
	if (rc == 0)
		rc = qmp_call(g->there.qmp, "migrate-incoming",
			json_pack("{s:s}", "uri", "tcp:127.0.0.1:0"), NULL, e);
	return rc < 0 ? rc : qemu_port(g, e);
}

static uint64_t qemu_number(const json_t *j, const char *a, const char *b)
{
	const json_t *v = json_object_get(j, a);

	return (uint64_t)json_number_value(b ? json_object_get(v, b) : v);
}

static void qemu_progress(struct trace *t, const json_t *j, const char *status)
{
	uint64_t page = qemu_number(j, "ram", "page-size");
	uint64_t left = qemu_number(j, "ram", "remaining");
	double mbps = json_number_value(json_object_get(json_object_get(j, "ram"), "mbps"));
	struct mig_progress m = {
		.phase = strcmp(status, "setup") == 0       ? MIG_PHASE_INIT
			 : strcmp(status, "completed") == 0 ? MIG_PHASE_DONE
			 : strcmp(status, "device") == 0    ? MIG_PHASE_FROZEN
							    : MIG_PHASE_COPY,
		.round = (unsigned)qemu_number(j, "ram", "dirty-sync-count"),
		.elapsed_ns = qemu_number(j, "total-time", NULL) * NSEC_PER_MSEC,
		.sent_bytes = qemu_number(j, "ram", "normal-bytes"),
		.residual_bytes = left,
		.goodput = (uint64_t)(mbps * 1e6 / 8),
		.dirty_rate = qemu_number(j, "ram", "dirty-pages-rate") * page,
	};

	m.eta_ns = m.goodput ? (uint64_t)((double)left * 1e9 / (double)m.goodput) : 0;
	trace_point(t, &m);
}

static void qemu_result(const json_t *j, struct mig_result *out)
{
	uint64_t syncs = qemu_number(j, "ram", "dirty-sync-count");
	uint64_t setup = qemu_number(j, "setup-time", NULL) * NSEC_PER_MSEC;

	*out = (struct mig_result){
		.total_ns = qemu_number(j, "total-time", NULL) * NSEC_PER_MSEC,
		.rounds = (unsigned)(syncs > 1 ? syncs - 1 : 1),
		.sent_bytes = qemu_number(j, "ram", "normal-bytes"),
		.wire_bytes = qemu_number(j, "ram", "transferred"),
		.pages_sent = qemu_number(j, "ram", "normal"),
		.pages_zero = qemu_number(j, "ram", "duplicate"),
		.blackout.total_ns = qemu_number(j, "downtime", NULL) * NSEC_PER_MSEC,
		.committed = true,
	};
	/* After postcopy QEMU 7.2 at times gives a clock reading where the downtime belongs. */
	if (out->blackout.total_ns > out->total_ns)
		out->blackout.total_ns = 0;
	if (out->total_ns > setup)
		out->goodput =
			(uint64_t)((double)out->sent_bytes * 1e9 / (double)(out->total_ns - setup));
}

/* What to do about a guest that dirties faster than it is sent, once, after some patience. */
static int qemu_stalled(struct bench_guest *g, struct err *e)
{
	if (g->config->on_stall == MIG_ON_STALL_FREEZE)
		return qmp_call(g->here.qmp, "migrate-set-parameters",
			json_pack("{s:i}", "downtime-limit", 60000), NULL, e);
	return qmp_call(g->here.qmp, "migrate_cancel", NULL, NULL, e);
}

struct qemu_way {
	uint64_t first_pass_ns; /* when it ended; 0: it has not */
	bool postcopy, stalled;
};

/* One look at the move: 1 it is over, 0 it goes on. */
static int qemu_look(
	struct bench_guest *g, struct trace *t, struct qemu_way *w, json_t **j, struct err *e)
{
	const char *status;
	int rc = qmp_call(g->here.qmp, "query-migrate", NULL, j, e);

	if (rc < 0)
		return rc;
	status = json_string_value(json_object_get(*j, "status"));
	status = status ? status : "none";
	qemu_progress(t, *j, status);
	if (strcmp(status, "completed") == 0)
		return 1;
	if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0) {
		const char *why = json_string_value(json_object_get(*j, "error-desc"));

		if (w->stalled)
			return err_set(e, -ECONNABORTED,
				"did not converge in %llu s after its first pass and was cancelled",
				(unsigned long long)(QEMU_PATIENCE_NS / NSEC_PER_SEC));
		return err_set(e, -ECONNABORTED, "the move %s: %.300s", status,
			why ? why : "QEMU does not say why");
	}
	if (w->first_pass_ns == 0 && qemu_number(*j, "ram", "dirty-sync-count") > 1)
		w->first_pass_ns = clock_mono_ns();
	if (w->first_pass_ns && qemu_flags(g) & MODE_POSTCOPY && !w->postcopy) {
		w->postcopy = true;
		return qmp_call(g->here.qmp, "migrate-start-postcopy", NULL, NULL, e);
	}
	if (w->first_pass_ns && !w->postcopy && !w->stalled &&
		clock_mono_ns() - w->first_pass_ns > QEMU_PATIENCE_NS) {
		w->stalled = true;
		return qemu_stalled(g, e);
	}
	return 0;
}

static int qemu_move(struct bench_guest *g, struct trace *t, struct mig_result *out, json_t **raw,
	bool *stays, struct err *e)
{
	uint64_t end = clock_mono_ns() + QEMU_TIMEOUT_NS;
	struct qemu_way way = { 0 };
	json_t *j = NULL;
	char uri[64];
	int rc;

	*stays = true;
	rc = qemu_observe(g, &g->there, false, &g->to, e);
	if (rc < 0)
		return rc;
	trace_target(t, &g->to, g->there.pid, false);
	snprintf(uri, sizeof(uri), "tcp:127.0.0.1:%u", g->port);
	rc = qmp_call(g->here.qmp, "migrate", json_pack("{s:s}", "uri", uri), NULL, e);
	while (rc == 0) {
		rc = trace_wait(t, -1, QEMU_LOOK_MS, e);
		json_decref(j);
		j = NULL;
		if (rc == 0)
			rc = qemu_look(g, t, &way, &j, e);
		if (rc == 0 && clock_mono_ns() > end)
			rc = err_set(e, -ETIMEDOUT, "the move does not end");
	}
	if (rc == 1) {
		qemu_result(j, out);
		*raw = json_incref(j);
		rc = observe_report(&g->to, e);
		*stays = false;
	} else {
		*stays = rc != -ECANCELED && rc != -ETIMEDOUT && !way.postcopy;
	}
	json_decref(j);
	return rc;
}

static int qemu_leave(struct bench_guest *g, struct err *e)
{
	(void)e;
	if (g->to.fd < 0) {
		qemu_quit(g->ends, &g->there);
		return 0;
	}
	qemu_quit(g->ends, &g->here);
	g->here = g->there;
	g->there = (struct bench_qemu_vm){ .mem = -1 };
	return 0;
}

static int qemu_hold(struct bench_guest *g, bool on, struct err *e)
{
	return qmp_call(g->here.qmp, on ? "stop" : "cont", NULL, NULL, e);
}

static void qemu_end(struct bench_guest *g)
{
	qemu_quit(g->ends, &g->there);
	qemu_quit(g->ends, &g->here);
	observe_detach(&g->to);
	observe_detach(&g->at);
}

const struct bench_system bench_qemu = {
	.name = "qemu",
	.boot = qemu_boot,
	.prepare = qemu_prepare,
	.move = qemu_move,
	.leave = qemu_leave,
	.hold = qemu_hold,
	.end = qemu_end,
};
