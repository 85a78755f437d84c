/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the target's half of finding each other: it answers connection requests until every line of
 * one source with the token is there. A stranger is turned away within the event that brought him,
 * so he holds nothing here, cannot end the wait, and cannot learn how much of a token was right.
 * Invariant: on failure nothing of the connection is left; the listener never outlives accept.
 * Next in the flow: send.c, ctrl.c, recv.c.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/status.h"

struct xrdma_listener {
	struct xport_addr addr;
	struct rdma_event_channel *channel;
	struct rdma_cm_id *id;
};

static void listener_free(struct xrdma_listener *l)
{
	if (l->id)
		rdma_destroy_id(l->id);
	if (l->channel)
		rdma_destroy_event_channel(l->channel);
	free(l);
}

static int listener_open(struct xrdma_listener *l, struct sockaddr *sa, struct err *e)
{
	l->channel = xrdma_channel(e);
	if (!l->channel)
		return e->code;
	if (rdma_create_id(l->channel, &l->id, NULL, RDMA_PS_TCP))
		return err_errno(e, "cannot make a listener");
	if (rdma_bind_addr(l->id, sa))
		return err_set(e, -errno,
			errno == ENODEV || errno == EADDRNOTAVAIL
				? "no RDMA device carries that address (%s); `rdma link` shows the "
				  "devices"
				: "%s",
			strerrordesc_np(errno));
	/* Bound to one address the device is known; bound to any, each line is checked. */
	if (l->id->verbs) {
		int r = xrdma_device_wished(&l->addr.rdma, l->id->verbs, e);

		if (r)
			return r;
	}
	if (rdma_listen(l->id, 2 * XRDMA_LINES))
		return err_set(e, -errno, "%s", strerrordesc_np(errno));
	return 0;
}

int xrdma_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e)
{
	char name[XPORT_HOST_MAX + 16];
	struct addrinfo *list = NULL;
	struct xrdma_listener *l;
	struct err cause = { 0 };
	int r = addr->secret ? err_set(e, -ENOTSUP, XRDMA_NO_CIPHER) : xport_addr_check(addr, e);

	if (!r)
		r = xport_addr_resolve(addr, true, &list, e);
	if (r)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l) {
		freeaddrinfo(list);
		return err_set(e, -ENOMEM, "no memory to listen with");
	}
	l->addr = *addr;
	r = listener_open(l, list->ai_addr, &cause);
	freeaddrinfo(list);
	if (r) {
		listener_free(l);
		return err_set(e, r, "cannot listen on %s over RDMA: %s",
			xport_addr_format(addr, name, sizeof(name)), cause.msg);
	}
	addr->port = l->addr.port = ntohs(rdma_get_src_port(l->id));
	/* An opaque handle: xport_listener is never defined, xrdma_listener is what it points to.
	 */
	*out = (struct xport_listener *)l;
	return 0;
}

static int request_turn_away(struct rdma_cm_id *id)
{
	rdma_reject(id, NULL, 0);
	rdma_destroy_id(id);
	return 0;
}

/* A connection request with private data @hello. 0, or an error of this host's own. */
static int request_judge(struct xport *x, const struct xport_addr *addr, struct rdma_cm_id *id,
	const uint8_t *hello, size_t n, struct err *e)
{
	struct rdma_conn_param p = { 0 };
	uint8_t want[XPORT_PROOF_SIZE];
	struct xrdma_hello h;
	struct xrdma_line *l;
	int r = xrdma_hello_decode(&h, hello, n);

	/* Not a HELLO of ours, or not our move: one answer for both. */
	if (!r)
		r = xport_prove(addr, XRDMA_PROOF, NULL, h.line, want);
	if (r || !xport_proof_equal(h.proof, want) || h.streams != addr->streams)
		return request_turn_away(id);
	l = &x->line[h.line];
	/* The manager's request has no place for a nonce of ours, so who saw one could repeat it;
	 * but a source asks for each line once. */
	if (l->id)
		return request_turn_away(id);
	l->id = id;
	id->context = l;
	r = xrdma_line_open(l, e);
	/*
	 * A request whose source has gone meanwhile cannot be accepted, nor can a queue pair be
	 * made for it (EINVAL, as its state is past that): that source is a stranger.
	 */
	if (r || rdma_accept(id, &p)) {
		if (id->qp)
			rdma_destroy_qp(id);
		request_turn_away(id);
		l->id = NULL;
	}
	return r == -EINVAL ? 0 : r;
}

static int accept_event(
	struct xport *x, const struct xport_addr *addr, struct rdma_cm_event *ev, struct err *e)
{
	uint8_t hello[XRDMA_HELLO_SIZE] = { 0 };
	enum rdma_cm_event_type type = ev->event;
	struct rdma_cm_id *id = ev->id;
	size_t n = ev->param.conn.private_data_len;

	if (type == RDMA_CM_EVENT_CONNECT_REQUEST) {
		n = n < sizeof(hello) ? n : sizeof(hello);
		if (ev->param.conn.private_data && n)
			memcpy(hello, ev->param.conn.private_data, n);
		else
			n = 0;
		rdma_ack_cm_event(ev);
		return request_judge(x, addr, id, hello, n, e);
	}
	rdma_ack_cm_event(ev);
	if (type == RDMA_CM_EVENT_DEVICE_REMOVAL)
		return xrdma_cm_error(e, type, 0);
	if (!id->context)
		return 0;
	if (type == RDMA_CM_EVENT_ESTABLISHED)
		((struct xrdma_line *)id->context)->up = true;
	else if (type != RDMA_CM_EVENT_TIMEWAIT_EXIT)
		xrdma_line_close(id->context); /* a source that has gone is a stranger */
	return 0;
}

static unsigned lines_up(const struct xport *x)
{
	unsigned n = 0;

	for (unsigned i = 0; i < x->lines; i++)
		n += x->line[i].up;
	return n;
}

int xrdma_accept(
	struct xport_listener *opaque, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	struct xrdma_listener *l = (struct xrdma_listener *)opaque;
	uint64_t deadline = xport_deadline(timeout_ns);
	struct xport *x = xrdma_new(&l->addr, true, e);
	char name[XPORT_HOST_MAX + 16], wait[32];
	struct rdma_cm_event *ev;
	struct err cause = { 0 };
	int r = x ? 0 : -ENOMEM;

	while (!r && lines_up(x) < x->lines) {
		r = xrdma_cm_next(l->channel, l->addr.lifeline, deadline, &ev);
		if (!r)
			r = accept_event(x, &l->addr, ev, &cause);
	}
	if (r == -ETIMEDOUT && !cause.code)
		err_set(e, r, "no source came to %s over RDMA within %s (%u of %u lines)",
			xport_addr_format(&l->addr, name, sizeof(name)),
			duration_format(timeout_ns, wait, sizeof(wait)), lines_up(x), x->lines);
	else if (r == -ECONNRESET && !cause.code)
		err_set(e, r, "the source ended the move before its data connection stood");
	else if (r && x)
		err_set(e, r, "waiting for the source over RDMA: %s",
			cause.code ? cause.msg : strerrordesc_np(-r));
	if (x && !r) { /* the lines live on the listener's channel */
		x->channel = l->channel;
		l->channel = NULL;
		x->stats.wire_bytes_in = x->lines * XRDMA_HELLO_SIZE;
		*out = x;
	} else if (x) {
		xrdma_free(x);
	}
	rdma_destroy_id(l->id);
	l->id = NULL;
	listener_free(l);
	return r;
}
