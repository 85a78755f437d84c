/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns all news that are not completions: from the connection manager, the device and the
 * registration thread; and the one reason for which a connection ends.
 * Invariant: the first cause is kept, but a mere close or flush gives way to one that says more.
 * Next in the flow: xport.c reports it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hv/base/clock.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/limits.h"
#include "transport-rdma/status.h"

/* A port that is down for longer than this ends the connection; a shorter flap, retries bridge. */
#define XRDMA_PORT_DOWN_NS NSEC_PER_SEC

/* Work that is not reported on for so long is lost: several times what all retries take. */
#define XRDMA_STALL_NS (20 * NSEC_PER_SEC)

void xrdma_fail(struct xport *x, const struct err *why, bool plain)
{
	if (x->down.code && (!x->down_plain || plain))
		return;
	if (!x->down.code)
		x->down_at = clock_mono_ns();
	x->down = *why;
	x->down_plain = plain;
}

void xrdma_give_up(struct xport *x, const struct err *why)
{
	struct xrdma_frame f = { .type = XRDMA_FAIL, .code = why->code };

	if (x->down.code)
		return;
	snprintf(f.text, sizeof(f.text), "%.*s", (int)sizeof(f.text) - 1, why->msg);
	if (xrdma_ctrl_push(x, &f, NULL, NULL) == 0)
		xrdma_ctrl_flush(x);
	xrdma_fail(x, why, false);
}

/* ---- registration ------------------------------------------------------------------------- */

/* What of a need is registered, and so counted by the kernel, already. */
static uint64_t registered_bytes(const struct xport *x)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < XPORT_REGIONS_MAX; i++)
		for (uint32_t c = 0; c < x->regions.r[i].count; c++)
			if (x->regions.r[i].chunk[c].mr)
				sum += xrdma_chunk_len(&x->regions.r[i], c);
	return sum;
}

int xrdma_need_check(struct xport *x, uint64_t bytes, uint64_t chunks, struct err *e)
{
	uint64_t have = registered_bytes(x);
	struct xrdma_memlock m;
	int r;

	if (x->wish.pin == XPORT_PIN_ODP)
		return 0;
	xrdma_memlock_read(&m);
	r = xrdma_device_check(&x->attr, chunks, 1, ibv_get_device_name(x->verbs->device), e);
	if (!r)
		r = xrdma_memlock_check(&m, bytes > have ? bytes - have : 0, e);
	if (!r || x->wish.pin != XPORT_PIN_AUTO || !x->odp)
		return r;
	/* It does not fit, and the adapter can do without: the chunks stay, pinning goes. */
	x->wish.pin = XPORT_PIN_ODP;
	xrdma_reg_go(x->reg, 0, xrdma_access(x, true));
	return 0;
}

/*
 * Asks for the keys of all that the scan found, so that the target registers while this end does.
 * Few frames: what lies side by side is joined.
 */
static int reg_ask(struct xport *x, uint32_t region, struct err *e)
{
	const struct xrdma_region *g = &x->regions.r[region];
	int r = 0;

	for (uint32_t i = 0; i < g->count && !r; i++)
		if (g->chunk[i].wanted)
			r = xrdma_chunk_ask(x, region, i, false, e);
	return r;
}

/* Source: the scan of a region is through. Both ends look at their limits before it goes on. */
static int reg_need(struct xport *x, const struct xrdma_reg_result *res, struct err *e)
{
	struct xrdma_frame f = { .type = XRDMA_NEED };
	int r;

	x->need_bytes += res->bytes;
	x->need_chunks += res->chunks;
	f.bytes = x->need_bytes;
	f.all_chunks = x->need_chunks;
	r = xrdma_need_check(x, x->need_bytes, x->need_chunks, e);
	if (!r)
		r = xrdma_ctrl_push(x, &f, NULL, e);
	if (r)
		return r;
	xrdma_reg_go(x->reg, res->region, xrdma_access(x, x->wish.pin == XPORT_PIN_ODP));
	return reg_ask(x, res->region, e);
}

static int reg_failed(const struct xport *x, const struct xrdma_reg_result *res, struct err *e)
{
	uint64_t len = xrdma_chunk_len(&x->regions.r[res->region], res->chunk);
	struct xrdma_memlock m;

	xrdma_memlock_read(&m);
	if (res->error == ENOMEM && xrdma_memlock_check(&m, len, e))
		return e->code;
	return err_set(e, -res->error,
		"device %s cannot register %llu bytes of guest memory (chunk %u of region %u): %s",
		ibv_get_device_name(x->verbs->device), (unsigned long long)len, res->chunk,
		res->region, strerrordesc_np(res->error));
}

static int reg_chunk(struct xport *x, const struct xrdma_reg_result *res, struct err *e)
{
	struct xrdma_region *g = &x->regions.r[res->region];
	struct xrdma_chunk *c = &g->chunk[res->chunk];
	struct xrdma_frame key = {
		.type = XRDMA_KEY, .region = res->region, .chunk = res->chunk, .chunks = 1
	};

	if (!res->mr)
		return reg_failed(x, res, e);
	c->mr = res->mr;
	if (!x->is_target)
		return xrdma_chunk_ask(x, res->region, res->chunk, false, e);
	key.rkey[0] = c->mr->rkey;
	key.addr = (uintptr_t)xrdma_chunk_base(g, res->chunk);
	c->keyed = true;
	return xrdma_ctrl_push(x, &key, NULL, e);
}

void xrdma_reg_turn(struct xport *x)
{
	struct xrdma_reg_result res;
	struct err why;
	int r;

	while (xrdma_reg_take(x->reg, &res)) {
		r = res.type == XRDMA_REG_NEED ? reg_need(x, &res, &why) : reg_chunk(x, &res, &why);
		if (r)
			xrdma_give_up(x, &why);
	}
}

/* ---- connection manager and device -------------------------------------------------------- */

static void watch_cm(struct xport *x)
{
	struct rdma_cm_event *ev;

	while (rdma_get_cm_event(x->channel, &ev) == 0) {
		enum rdma_cm_event_type type = ev->event;
		int status = ev->status;
		struct err why;

		rdma_ack_cm_event(ev);
		if (type == RDMA_CM_EVENT_ADDR_CHANGE || type == RDMA_CM_EVENT_ESTABLISHED)
			continue;
		xrdma_cm_error(&why, type, status);
		if (type == RDMA_CM_EVENT_DEVICE_REMOVAL)
			xrdma_give_up(x, &why); /* the peer hears why, if the adapter still can */
		xrdma_fail(x, &why,
			type == RDMA_CM_EVENT_DISCONNECTED || type == RDMA_CM_EVENT_TIMEWAIT_EXIT);
	}
}

static bool qp_is_ours(const struct xport *x, const struct ibv_qp *qp)
{
	for (unsigned i = 0; i < x->lines; i++)
		if (x->line[i].id && x->line[i].id->qp == qp)
			return true;
	return false;
}

/*
 * Events of a queue pair follow its completions, which say more; so they only count if nothing else
 * is known. A process with several connections on a device shares its events: the others' are lost
 * on us, and they find out by their completions.
 */
static void async_one(struct xport *x, const struct ibv_async_event *ev)
{
	struct err why;

	switch (ev->event_type) {
	case IBV_EVENT_DEVICE_FATAL:
		err_set(&why, -ENODEV, "RDMA device %s failed or was removed",
			ibv_get_device_name(x->verbs->device));
		xrdma_fail(x, &why, false);
		return;
	case IBV_EVENT_PORT_ERR:
		if (ev->element.port_num == x->port && !x->port_down_at)
			x->port_down_at = clock_mono_ns();
		return;
	case IBV_EVENT_PORT_ACTIVE:
		if (ev->element.port_num == x->port)
			x->port_down_at = 0;
		return;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		if (!qp_is_ours(x, ev->element.qp) || x->shut)
			return;
		err_set(&why, ev->event_type == IBV_EVENT_QP_ACCESS_ERR ? -EPROTO : -EIO,
			"the adapter ended a queue pair: %s%s", ibv_event_type_str(ev->event_type),
			ev->event_type == IBV_EVENT_QP_ACCESS_ERR
				? "; the peer tried to reach memory that is not its own"
				: "");
		xrdma_fail(x, &why, true);
		return;
	default: return;
	}
}

static void watch_device(struct xport *x)
{
	struct ibv_async_event ev;

	while (ibv_get_async_event(x->verbs, &ev) == 0) {
		async_one(x, &ev);
		ibv_ack_async_event(&ev);
	}
}

static void watch_port(struct xport *x)
{
	struct err why;

	if (!x->port_down_at || clock_mono_ns() - x->port_down_at < XRDMA_PORT_DOWN_NS)
		return;
	err_set(&why, -ENETDOWN, "port %u of RDMA device %s is down: cable, switch or `ip link`",
		x->port, ibv_get_device_name(x->verbs->device));
	xrdma_fail(x, &why, false);
}

/* True if the adapter was given work that it has not reported done. */
static bool adapter_owes(const struct xport *x)
{
	if (x->tx_end != x->tx_done)
		return true;
	for (unsigned i = 0; i < x->streams; i++)
		if (x->stream[i].posted != x->stream[i].acked)
			return true;
	return false;
}

/*
 * Retries are counted by the adapter, and end in an error. One that loses work instead, or the
 * timer behind it, would be waited for without end. Time in which nobody looked does not count.
 */
static void watch_stall(struct xport *x, bool away)
{
	struct err why;

	if (away || !adapter_owes(x))
		x->progress_at = x->watched_at;
	if (x->watched_at < x->progress_at + XRDMA_STALL_NS)
		return;
	err_set(&why, -ETIMEDOUT,
		"RDMA device %s has had work for %llu s and reports none of it done or failed",
		ibv_get_device_name(x->verbs->device), XRDMA_STALL_NS / NSEC_PER_SEC);
	xrdma_fail(x, &why, false);
}

static void watch_completions(struct xport *x)
{
	struct ibv_cq *cq;
	void *context;

	/* One for each time it was armed; were there another, the channel would stay readable. */
	if (ibv_get_cq_event(x->comp, &cq, &context) == 0)
		ibv_ack_cq_events(x->cq, 1);
	x->armed = XRDMA_ARMED_NOT;
}

int xrdma_watch(struct xport *x, uint64_t timeout_ns, struct err *e)
{
	enum { CM, COMP, REG, ASYNC, FDS };
	struct pollfd p[FDS] = {
		[CM] = { .fd = x->channel->fd, .events = POLLIN },
		[COMP] = { .fd = x->comp->fd, .events = POLLIN },
		[REG] = { .fd = xrdma_reg_fd(x->reg), .events = POLLIN },
		[ASYNC] = { .fd = x->verbs->async_fd, .events = POLLIN },
	};
	uint64_t before = x->watched_at;
	struct timespec ts;

	if (x->port_down_at && timeout_ns > XRDMA_PORT_DOWN_NS / 4)
		timeout_ns = XRDMA_PORT_DOWN_NS / 4;
	ts = (struct timespec){ (time_t)(timeout_ns / NSEC_PER_SEC),
		(long)(timeout_ns % NSEC_PER_SEC) };
	if (ppoll(p, FDS, &ts, NULL) < 0 && errno != EINTR)
		return err_errno(e, "waiting for the adapter");
	x->watched_at = clock_mono_ns();
	if (p[COMP].revents)
		watch_completions(x);
	if (p[ASYNC].revents)
		watch_device(x);
	if (p[CM].revents)
		watch_cm(x);
	watch_port(x);
	watch_stall(x, x->watched_at - before > NSEC_PER_SEC);
	return 0;
}
