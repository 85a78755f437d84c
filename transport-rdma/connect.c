/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the source's half of finding each other, and what both halves share about addresses and
 * devices. All lines are connected at once, each with a HELLO (record.h) in its private data.
 * Must never wait past its deadline, except in the resolver.
 * Invariant: on failure nothing of the connection is left.
 * Next in the flow: accept.c (the target's half).
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/status.h"

/*
 * How long an adapter waits for an acknowledgement before it sends again, as the exponent of
 * 4.096 us: 0.54 s. With six retries a peer that has fallen silent is given up after 3.8 s, close
 * to TCP's measure here (XTCP_DEAD_MS); the default of RoCE would be 17 s. Not seven, the most
 * there can be: Linux's soft-RoCE takes that for "for ever".
 */
#define XRDMA_ACK_TIMEOUT 17
#define XRDMA_RETRIES     6

/*
 * No retry when the peer has no receive posted: credits say that it has, so this is a breach, and
 * an error is better than a stall.
 */
#define XRDMA_RNR_RETRIES 0

int xrdma_device_wished(const struct xport_rdma *w, struct ibv_context *verbs, struct err *e)
{
	if (!verbs)
		return err_set(e, -ENODEV, "no RDMA device carries that address");
	if (w->device[0] == '\0' || strcmp(w->device, ibv_get_device_name(verbs->device)) == 0)
		return 0;
	return err_set(e, -ENODEV, "that address leads over RDMA device %s, not %s as asked for",
		ibv_get_device_name(verbs->device), w->device);
}

/* A GID that is an IPv4 or a global IPv6 address of family @family. */
static bool gid_address(const union ibv_gid *g, int family, struct sockaddr_storage *sa)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
	bool v4 = memcmp(g->raw, mapped, sizeof(mapped)) == 0;

	if (v4 != (family == AF_INET) || (!v4 && g->raw[0] == 0xfe))
		return false;
	memset(sa, 0, sizeof(*sa));
	sa->ss_family = (sa_family_t)family;
	if (v4)
		memcpy(&in->sin_addr, g->raw + 12, 4);
	else
		memcpy(&in6->sin6_addr, g->raw, 16);
	return true;
}

static struct ibv_context *device_open(const char *device)
{
	int n = 0;
	struct ibv_device **list = ibv_get_device_list(&n);
	struct ibv_context *ctx = NULL;

	for (int i = 0; i < n && !ctx; i++)
		if (strcmp(ibv_get_device_name(list[i]), device) == 0)
			ctx = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return ctx;
}

int xrdma_device_source(const char *device, int family, struct sockaddr_storage *sa, struct err *e)
{
	struct ibv_gid_entry gid[64];
	struct ibv_context *ctx = device_open(device);
	bool found = false;
	ssize_t n;

	if (!ctx)
		return err_set(e, -ENODEV, XRDMA_NO_SUCH_DEVICE, device);
	n = ibv_query_gid_table(ctx, gid, sizeof(gid) / sizeof(gid[0]), 0);
	for (ssize_t i = 0; i < n && !found; i++)
		found = gid_address(&gid[i].gid, family, sa);
	ibv_close_device(ctx);
	if (!found)
		return err_set(e, -ENODEV, "RDMA device %s has no %s address", device,
			family == AF_INET ? "IPv4" : "IPv6");
	return 0;
}

static int line_start(
	struct xrdma_line *l, struct sockaddr *from, struct sockaddr *to, int ms, struct err *e)
{
	uint8_t timeout = XRDMA_ACK_TIMEOUT;

	if (rdma_create_id(l->x->channel, &l->id, l, RDMA_PS_TCP))
		return err_errno(e, "cannot begin a connection");
	/* Older kernels do not know it; the default works, it is only slower to give up. */
	rdma_set_option(
		l->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof(timeout));
	if (rdma_resolve_addr(l->id, from, to, ms))
		return xrdma_cm_error(e, RDMA_CM_EVENT_ADDR_ERROR, -errno);
	return 0;
}

static int line_connect(struct xrdma_line *l, const struct xport_addr *addr, struct err *e)
{
	struct xrdma_hello h = { .line = (uint16_t)l->index, .streams = (uint16_t)addr->streams };
	uint8_t hello[XRDMA_HELLO_SIZE];
	struct rdma_conn_param p = { .private_data = hello,
		.private_data_len = sizeof(hello),
		.retry_count = XRDMA_RETRIES,
		.rnr_retry_count = XRDMA_RNR_RETRIES };
	int r = xrdma_line_open(l, e);

	if (r)
		return r;
	if (xport_prove(addr, XRDMA_PROOF, NULL, l->index, h.proof))
		return err_set(e, -EIO, "cannot make a proof of the token");
	xrdma_hello_encode(&h, hello);
	if (rdma_connect(l->id, &p))
		return err_errno(e, "cannot ask for a connection");
	return 0;
}

static int line_step(struct xrdma_line *l, const struct xport_addr *addr,
	enum rdma_cm_event_type type, int status, int ms, struct err *e)
{
	switch (type) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		return rdma_resolve_route(l->id, ms) ? err_errno(e, "cannot look for the way") : 0;
	case RDMA_CM_EVENT_ROUTE_RESOLVED: return line_connect(l, addr, e);
	case RDMA_CM_EVENT_ESTABLISHED: l->up = true; return 0;
	default: return xrdma_cm_error(e, type, status);
	}
}

static bool all_up(const struct xport *x)
{
	for (unsigned i = 0; i < x->lines; i++)
		if (!x->line[i].up)
			return false;
	return true;
}

/* The connection manager takes 0 for a failure of its own. */
static int ms_left(uint64_t deadline)
{
	int ms = xport_ms_left(deadline);

	return ms ? ms : 1;
}

static int connect_lines(struct xport *x, const struct xport_addr *addr, struct sockaddr *to,
	uint64_t deadline, struct err *e)
{
	struct sockaddr_storage from;
	bool forced = addr->rdma.device[0] != '\0';
	int r = 0;

	if (forced)
		r = xrdma_device_source(addr->rdma.device, to->sa_family, &from, e);
	for (unsigned i = 0; i < x->lines && !r; i++)
		r = line_start(&x->line[i], forced ? (struct sockaddr *)&from : NULL, to,
			ms_left(deadline), e);
	while (!r && !all_up(x)) {
		struct rdma_cm_event *ev;
		enum rdma_cm_event_type type;
		struct xrdma_line *l;
		int status;

		r = xrdma_cm_next(x->channel, 0, deadline, &ev);
		if (r)
			return err_set(e, r, r == -ETIMEDOUT ? "it did not answer in time" : "%s",
				strerrordesc_np(-r));
		l = ev->id->context;
		type = ev->event;
		status = ev->status;
		rdma_ack_cm_event(ev);
		r = line_step(l, addr, type, status, ms_left(deadline), e);
	}
	return r;
}

int xrdma_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = xport_deadline(timeout_ns);
	struct xrdma_frame start = { .type = XRDMA_START };
	char name[XPORT_HOST_MAX + 16];
	struct addrinfo *list = NULL;
	struct err cause = { 0 };
	struct xport *x = NULL;
	int r = addr->secret ? err_set(e, -ENOTSUP, XRDMA_NO_CIPHER) : xport_addr_check(addr, e);

	if (!r)
		r = xport_addr_resolve(addr, false, &list, e);
	if (r)
		return r;
	x = xrdma_new(addr, false, &cause);
	if (x)
		x->channel = xrdma_channel(&cause);
	r = x && x->channel ? connect_lines(x, addr, list->ai_addr, deadline, &cause) : cause.code;
	freeaddrinfo(list);
	if (!r)
		r = xrdma_ctrl_push(x, &start, NULL, &cause);
	if (r) {
		if (x)
			xrdma_free(x);
		return err_set(e, r, "cannot connect to %s over RDMA: %s",
			xport_addr_format(addr, name, sizeof(name)), cause.msg);
	}
	x->stats.wire_bytes_out = x->lines * XRDMA_HELLO_SIZE;
	*out = x;
	return 0;
}
