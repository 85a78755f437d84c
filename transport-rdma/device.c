/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what a connection holds of the adapter: protection domains, completion queue, queue pairs,
 * buffers, in that order, and their end in the opposite one. Must leave nothing registered, so
 * nothing pinned, after xrdma_free().
 * Invariant: a line's receives are posted before its connection can be accepted or completed.
 * Next in the flow: connect.c and accept.c connect the lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/limits.h"

struct rdma_event_channel *xrdma_channel(struct err *e)
{
	struct rdma_event_channel *c;

	/*
	 * Before the first use of verbs in this process. Guest memory and our buffers are shared
	 * mappings, which fork() does not turn copy-on-write; this is for the provider's own
	 * queues, on kernels before 5.12 that need it. It may be called again, and may fail where
	 * it is not needed.
	 */
	ibv_fork_init();
	c = rdma_create_event_channel();
	if (!c) {
		err_set(e, errno ? -errno : -ENODEV,
			"RDMA cannot be used here: %s; needed are an RDMA device (see `rdma link`) "
			"and the kernel module rdma_ucm",
			errno == ENOENT || errno == ENODEV ? "no /dev/infiniband/rdma_cm"
							   : strerrordesc_np(errno));
		return NULL;
	}
	fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
	return c;
}

int xrdma_cm_next(
	struct rdma_event_channel *c, int lifeline, uint64_t deadline, struct rdma_cm_event **out)
{
	for (;;) {
		struct pollfd p[] = { { .fd = c->fd, .events = POLLIN },
			{ .fd = lifeline > 0 ? lifeline : -1, .events = POLLRDHUP } };
		uint64_t now = clock_mono_ns(), left = deadline > now ? deadline - now : 0;
		uint64_t ms = (left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;

		if (rdma_get_cm_event(c, out) == 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (!left)
			return -ETIMEDOUT;
		if (poll(p, 2, ms < 3600000 ? (int)ms : 3600000) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents && !p[0].revents)
			return -ECONNRESET;
	}
}

int xrdma_access(const struct xport *x, bool odp)
{
	/* The adapter writes into the target's memory and only reads the source's. */
	int access = x->is_target ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;

	return odp ? access | IBV_ACCESS_ON_DEMAND : access;
}

bool xrdma_has_odp(struct ibv_context *verbs)
{
	struct ibv_device_attr_ex a;

	if (ibv_query_device_ex(verbs, NULL, &a))
		return false;
	return a.odp_caps.general_caps & IBV_ODP_SUPPORT &&
	       a.odp_caps.per_transport_caps.rc_odp_caps & IBV_ODP_SUPPORT_WRITE;
}

/* Shared with nobody, but not private either: fork() leaves the pages where the adapter knows them.
 */
static uint8_t *buffer_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t data_buf_size(const struct xport *x)
{
	return (size_t)x->streams * XRDMA_RECORDS * XRDMA_RECORD_SIZE;
}

#define XRDMA_CTRL_BUF ((size_t)2 * XRDMA_CREDITS * XRDMA_FRAME_SIZE) /* receives, then sends */

struct xport *xrdma_new(const struct xport_addr *addr, bool is_target, struct err *e)
{
	struct xport *x = calloc(1, sizeof(*x));

	if (!x) {
		err_set(e, -ENOMEM, "no memory for a connection");
		return NULL;
	}
	x->is_target = is_target;
	x->may_speak = !is_target;
	x->streams = addr->streams;
	x->lines = addr->streams + 1;
	x->wish = addr->rdma;
	x->out_tail = &x->out_head;
	x->max_inline = XRDMA_INLINE;
	xrdma_credit_init(&x->credit);
	for (unsigned i = 0; i < x->lines; i++)
		x->line[i] = (struct xrdma_line){ .x = x, .index = i };
	x->data_buf = buffer_new(data_buf_size(x));
	x->ctrl_buf = buffer_new(XRDMA_CTRL_BUF);
	for (unsigned i = 0; i < x->streams && !is_target; i++) {
		x->stream[i].slot = calloc(XRDMA_SLOTS, sizeof(struct xrdma_slot));
		if (!x->stream[i].slot) {
			xrdma_free(x);
			err_set(e, -ENOMEM, "no memory for a connection");
			return NULL;
		}
	}
	if (!x->data_buf || !x->ctrl_buf) {
		xrdma_free(x);
		err_set(e, -ENOMEM, "no memory for a connection");
		return NULL;
	}
	return x;
}

/* Completions outstanding at most, so that the queue cannot overrun. */
static int cq_size(const struct xport *x)
{
	uint32_t line = x->is_target ? XRDMA_RECORDS : x->sq_depth;

	return (int)(x->streams * line + 2 * XRDMA_CREDITS + 16);
}

static int shared_limits(struct xport *x, struct err *e)
{
	const char *name = ibv_get_device_name(x->verbs->device);
	struct xrdma_memlock m;
	int r;

	if (ibv_query_device(x->verbs, &x->attr))
		return err_errno(e, "cannot ask RDMA device %s for its limits", name);
	x->sq_depth =
		XRDMA_SQ < (uint32_t)x->attr.max_qp_wr ? XRDMA_SQ : (uint32_t)x->attr.max_qp_wr;
	if ((uint32_t)x->attr.max_qp_wr < XRDMA_CREDITS)
		return err_set(e, -ENOSPC,
			"a queue pair of device %s holds %d work requests, %u are needed", name,
			x->attr.max_qp_wr, XRDMA_CREDITS);
	if (cq_size(x) > x->attr.max_cqe)
		return err_set(e, -ENOSPC,
			"a completion queue of device %s holds %d entries, %d are needed: use "
			"fewer --streams",
			name, x->attr.max_cqe, cq_size(x));
	x->odp = xrdma_has_odp(x->verbs);
	if (x->wish.pin == XPORT_PIN_ODP && !x->odp)
		return err_set(e, -EOPNOTSUPP,
			"--rdma-pin odp: device %s has no on-demand paging for writes over "
			"reliable connections; use auto or chunk",
			name);
	xrdma_memlock_read(&m);
	r = xrdma_memlock_check(&m, data_buf_size(x) + XRDMA_CTRL_BUF, e);
	return r ? err_wrap(e, "no room even for the buffers of a connection") : 0;
}

/* What all lines share, on the device of the first one. */
static int shared_open(struct xport *x, struct rdma_cm_id *id, struct err *e)
{
	int r;

	x->verbs = id->verbs;
	x->port = id->port_num;
	r = shared_limits(x, e);
	if (r)
		return r;
	x->data_pd = ibv_alloc_pd(x->verbs);
	x->ctrl_pd = ibv_alloc_pd(x->verbs);
	if (!x->data_pd || !x->ctrl_pd)
		return err_errno(e, "cannot make a protection domain");
	x->comp = ibv_create_comp_channel(x->verbs);
	if (!x->comp)
		return err_errno(e, "cannot make a completion channel");
	fcntl(x->comp->fd, F_SETFL, fcntl(x->comp->fd, F_GETFL) | O_NONBLOCK);
	/* All connections of a process share this descriptor; nobody of us blocks on it. */
	fcntl(x->verbs->async_fd, F_SETFL, fcntl(x->verbs->async_fd, F_GETFL) | O_NONBLOCK);
	x->cq = ibv_create_cq(x->verbs, cq_size(x), NULL, x->comp, 0);
	if (!x->cq)
		return err_errno(e, "cannot make a completion queue of %d entries", cq_size(x));
	x->data_mr = ibv_reg_mr(x->data_pd, x->data_buf, data_buf_size(x), IBV_ACCESS_LOCAL_WRITE);
	x->ctrl_mr = ibv_reg_mr(x->ctrl_pd, x->ctrl_buf, XRDMA_CTRL_BUF, IBV_ACCESS_LOCAL_WRITE);
	if (!x->data_mr || !x->ctrl_mr)
		return err_errno(e, "cannot register the buffers of a connection");
	return xrdma_reg_open(
		&x->reg, x->data_pd, xrdma_access(x, x->wish.pin == XPORT_PIN_ODP), e);
}

int xrdma_post_record_recv(struct xport *x, unsigned stream, uint32_t n)
{
	uint8_t *p = x->data_buf + ((size_t)stream * XRDMA_RECORDS + n) * XRDMA_RECORD_SIZE;
	struct ibv_sge sge = { (uintptr_t)p, XRDMA_RECORD_SIZE, x->data_mr->lkey };
	struct ibv_recv_wr wr = {
		.wr_id = xrdma_wr_id(XRDMA_WR_RECORD_IN, stream, n), .sg_list = &sge, .num_sge = 1
	};
	struct ibv_recv_wr *bad;
	int r = ibv_post_recv(xrdma_data_qp(x, stream), &wr, &bad);

	if (!r)
		x->stream[stream].rx_open++;
	return -r;
}

int xrdma_post_ctrl_recv(struct xport *x, uint32_t n)
{
	uint8_t *p = x->ctrl_buf + (size_t)n * XRDMA_FRAME_SIZE;
	struct ibv_sge sge = { (uintptr_t)p, XRDMA_FRAME_SIZE, x->ctrl_mr->lkey };
	struct ibv_recv_wr wr = {
		.wr_id = xrdma_wr_id(XRDMA_WR_CTRL_IN, 0, n), .sg_list = &sge, .num_sge = 1
	};
	struct ibv_recv_wr *bad;

	return -ibv_post_recv(xrdma_ctrl_qp(x), &wr, &bad);
}

static int line_qp(struct xrdma_line *l, struct err *e)
{
	struct xport *x = l->x;
	bool ctrl = l->index == x->streams;
	struct ibv_qp_init_attr a = { .send_cq = x->cq, .recv_cq = x->cq, .qp_type = IBV_QPT_RC };

	a.cap.max_send_wr = ctrl ? XRDMA_CREDITS : x->is_target ? 1 : x->sq_depth;
	a.cap.max_recv_wr = ctrl ? XRDMA_CREDITS : x->is_target ? XRDMA_RECORDS : 1;
	a.cap.max_send_sge = a.cap.max_recv_sge = 1;
	a.cap.max_inline_data = XRDMA_INLINE;
	if (rdma_create_qp(l->id, ctrl ? x->ctrl_pd : x->data_pd, &a)) {
		a.cap.max_inline_data = 0; /* a device without it */
		if (rdma_create_qp(l->id, ctrl ? x->ctrl_pd : x->data_pd, &a))
			return err_errno(e, "cannot make a queue pair on device %s",
				ibv_get_device_name(x->verbs->device));
	}
	if (a.cap.max_inline_data < x->max_inline)
		x->max_inline = a.cap.max_inline_data;
	return 0;
}

int xrdma_line_open(struct xrdma_line *l, struct err *e)
{
	struct xport *x = l->x;
	uint32_t receives = l->index == x->streams ? XRDMA_CREDITS
			    : x->is_target         ? XRDMA_RECORDS
						   : 0;
	int r = xrdma_device_wished(&x->wish, l->id->verbs, e);

	if (!r && !x->verbs)
		r = shared_open(x, l->id, e);
	if (r)
		return r;
	if (l->id->verbs != x->verbs)
		return err_set(e, -ENODEV,
			"the streams lead over different RDMA devices, %s and %s",
			ibv_get_device_name(x->verbs->device),
			ibv_get_device_name(l->id->verbs->device));
	r = line_qp(l, e);
	if (r)
		return r;
	if (l->index != x->streams)
		x->stream[l->index].rx_open = 0;
	for (uint32_t n = 0; n < receives && !r; n++)
		r = l->index == x->streams ? xrdma_post_ctrl_recv(x, n)
					   : xrdma_post_record_recv(x, l->index, n);
	return r ? err_set(e, r, "cannot post receives: %s", strerrordesc_np(-r)) : 0;
}

void xrdma_line_close(struct xrdma_line *l)
{
	if (!l->id)
		return;
	if (l->id->qp)
		rdma_destroy_qp(l->id);
	rdma_destroy_id(l->id);
	l->id = NULL;
	l->up = false;
}

static void regions_close(struct xport *x)
{
	for (unsigned i = 0; i < XPORT_REGIONS_MAX; i++)
		for (uint32_t c = 0; c < x->regions.r[i].count; c++)
			if (x->regions.r[i].chunk[c].mr)
				ibv_dereg_mr(x->regions.r[i].chunk[c].mr);
	xrdma_regions_fini(&x->regions);
}

/*
 * First all lines are disconnected, so that the peer hears of it at once, then queue pairs end, so
 * that no adapter uses the memory, then the memory is unregistered, which takes the longest.
 */
void xrdma_free(struct xport *x)
{
	for (unsigned i = 0; i < x->lines; i++)
		if (x->line[i].id && x->line[i].up)
			rdma_disconnect(x->line[i].id);
	for (unsigned i = 0; i < x->lines; i++)
		xrdma_line_close(&x->line[i]);
	xrdma_reg_close(x->reg);
	regions_close(x);
	if (x->data_mr)
		ibv_dereg_mr(x->data_mr);
	if (x->ctrl_mr)
		ibv_dereg_mr(x->ctrl_mr);
	if (x->cq)
		ibv_destroy_cq(x->cq);
	if (x->comp)
		ibv_destroy_comp_channel(x->comp);
	if (x->data_pd)
		ibv_dealloc_pd(x->data_pd);
	if (x->ctrl_pd)
		ibv_dealloc_pd(x->ctrl_pd);
	if (x->channel)
		rdma_destroy_event_channel(x->channel);
	xrdma_ctrl_fini(x);
	for (unsigned i = 0; i < x->streams; i++)
		free(x->stream[i].slot);
	if (x->data_buf)
		munmap(x->data_buf, data_buf_size(x));
	if (x->ctrl_buf)
		munmap(x->ctrl_buf, XRDMA_CTRL_BUF);
	xport_inbox_fini(&x->inbox.mem);
	free(x);
}
