/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the sealing of a move's messages (see sealed.h). Must never hand a message on that the other
 * end did not seal as the next one of its direction.
 * Invariant: what is wrapped has the ORDER and THREADS of xport.h, and so has this.
 * Next in the flow: the transport that is wrapped.
 */
#include "hv/migrate/sealed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Only this file knows this one; the wrapped transport has a struct xport of its own. */
struct xport {
	const struct xport_ops *ops;
	struct xport *x;
	struct seal *tx, *rx;
	uint8_t *out, *in; /* one message each way; they only grow, so that a second one of a size
			    * allocates nothing */
	size_t out_cap, in_cap;
};

static int sealed_room(uint8_t **p, size_t *cap, size_t n)
{
	uint8_t *bigger;

	if (n <= *cap)
		return 0;
	bigger = malloc(n);
	if (!bigger)
		return -ENOMEM;
	if (*p)
		explicit_bzero(*p, *cap);
	free(*p);
	*p = bigger;
	*cap = n;
	return 0;
}

/* What travels in clear beside a sealed message is its type; it is sealed as well. */
static void sealed_head(uint16_t type, uint8_t head[2])
{
	head[0] = (uint8_t)type;
	head[1] = (uint8_t)(type >> 8);
}

static int sealed_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e)
{
	uint8_t head[2];

	sealed_head(type, head);
	if (len > XPORT_MSG_MAX - SEAL_TAG_SIZE)
		return err_set(e, -EMSGSIZE, "a message of %zu bytes is longer than %u", len,
			XPORT_MSG_MAX - SEAL_TAG_SIZE);
	if (sealed_room(&x->out, &x->out_cap, len + SEAL_TAG_SIZE))
		return err_set(e, -ENOMEM, "no memory for a message of %zu bytes", len);
	if (seal_close(x->tx, head, sizeof(head), data, len, x->out))
		return err_set(e, -EIO, "a message could not be encrypted");
	return x->ops->msg(x->x, type, x->out, len + SEAL_TAG_SIZE, e);
}

/* A message in clear, or the end of the connection in place of one that is not what it should be.
 */
static void sealed_unwrap(struct xport *x, struct xport_event *ev)
{
	uint8_t head[2];
	struct err why;
	int r = sealed_room(&x->in, &x->in_cap, ev->len);

	sealed_head(ev->msg_type, head);
	if (!r)
		r = seal_open(x->rx, head, sizeof(head), ev->data, ev->len, x->in);
	if (r == 0) {
		ev->data = x->in;
		ev->len -= SEAL_TAG_SIZE;
		return;
	}
	if (r == -ENOMEM)
		err_set(&why, r, "no memory for a message of %zu bytes", ev->len);
	else
		err_set(&why, r,
			"a message was changed on its way, or comes from somebody else: it is not "
			"sealed with this move's key");
	*ev = (struct xport_event){ .type = XPORT_EV_DOWN, .err = why };
}

static int sealed_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	int n = x->ops->poll(x->x, timeout_ns, ev, max, e);

	for (int i = 0; i < n; i++) {
		if (ev[i].type != XPORT_EV_MSG)
			continue;
		sealed_unwrap(x, &ev[i]);
		if (ev[i].type == XPORT_EV_DOWN)
			return i + 1; /* the last event there is */
	}
	return n;
}

static void sealed_close(struct xport *x)
{
	if (!x)
		return;
	x->ops->close(x->x);
	seal_free(x->tx);
	seal_free(x->rx);
	if (x->out)
		explicit_bzero(x->out, x->out_cap);
	if (x->in)
		explicit_bzero(x->in, x->in_cap);
	free(x->out);
	free(x->in);
	free(x);
}

static int sealed_region_add(struct xport *x, uint32_t id, void *base, uint64_t size, struct err *e)
{
	return x->ops->region_add(x->x, id, base, size, e);
}

static void sealed_shut(struct xport *x)
{
	x->ops->shut(x->x);
}

static int sealed_put(struct xport *x, const struct xport_put *p, struct err *e)
{
	return x->ops->put(x->x, p, e);
}

static void sealed_stats(const struct xport *x, struct xport_stats *out)
{
	x->ops->stats(x->x, out);
}

/* A connection is made before it is wrapped, so these are never what connects. */
static void sealed_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	(void)addr;
	*out = (struct xport_probe){ .why = "it only wraps a connection that stands" };
}

static int sealed_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e)
{
	(void)out;
	(void)addr;
	return err_set(e, -ENOTSUP, "a wrapped connection is not made by listening");
}

static int sealed_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	(void)l;
	(void)timeout_ns;
	(void)out;
	return err_set(e, -ENOTSUP, "a wrapped connection is not made by accepting");
}

static int sealed_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	(void)out;
	(void)addr;
	(void)timeout_ns;
	return err_set(e, -ENOTSUP, "a wrapped connection is not made by connecting");
}

static const struct xport_ops sealed_ops = {
	.name = "sealed",
	.probe = sealed_probe,
	.listen = sealed_listen,
	.accept = sealed_accept,
	.connect = sealed_connect,
	.close = sealed_close,
	.region_add = sealed_region_add,
	.shut = sealed_shut,
	.put = sealed_put,
	.msg = sealed_msg,
	.poll = sealed_poll,
	.stats = sealed_stats,
};

int sealed_wrap(const struct xport_ops **ops, struct xport **x,
	const uint8_t secret[SEAL_SECRET_SIZE], bool is_target, struct err *e)
{
	struct xport *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(e, -ENOMEM, "no memory for a connection");
	r = seal_new(is_target ? &w->rx : &w->tx, secret, "messages of the source", 0, e);
	if (!r)
		r = seal_new(is_target ? &w->tx : &w->rx, secret, "messages of the target", 0, e);
	if (r) {
		seal_free(w->tx);
		seal_free(w->rx);
		free(w);
		return r;
	}
	w->ops = *ops;
	w->x = *x;
	*ops = &sealed_ops;
	*x = w;
	return 0;
}
