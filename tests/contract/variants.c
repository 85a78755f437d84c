/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the subjects that are not one engine as it comes: an engine at either end, and io_uring as
 * on another kernel or path. The operations behind connect and accept are one set of functions, so
 * a mixed pair is a table with one from each.
 * Next in the flow: contract.c.
 */
#include "tests/contract/contract.h"

#include "transport-tcp/conn.h"
#include "transport-tcp/uring.h"
#include "transport-tcp/xtcp.h"

static int sock_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	return xtcp_sock_ops.accept(l, timeout_ns, out, e);
}

static int sock_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	return xtcp_sock_ops.connect(out, addr, timeout_ns, e);
}

static int uring_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	return xtcp_uring_ops.accept(l, timeout_ns, out, e);
}

static int uring_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	return xtcp_uring_ops.connect(out, addr, timeout_ns, e);
}

/* Every put by reference, also when the kernel copies it in the end. */
static int zc_open(struct xport *x, struct err *e)
{
	static const struct xuring_options o = { .zc_min = PAGE, .zc_keep = true };

	return xuring_open(x, &o, e);
}

static int zc_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	static struct xtcp_engine engine;

	engine = xuring_engine;
	engine.open = zc_open;
	return xtcp_conn_connect(out, addr, timeout_ns, &engine, e);
}

/* As on Linux 5.11: no zero-copy, no registered files, completions when they like. */
static int plain_open(struct xport *x, struct err *e)
{
	static const struct xuring_options o = { .zc_min = XURING_ZC_OFF, .plain = true };

	return xuring_open(x, &o, e);
}

static int plain_accept(
	struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e)
{
	static struct xtcp_engine engine;

	engine = xuring_engine;
	engine.open = plain_open;
	return xtcp_conn_accept(l, timeout_ns, &engine, out, e);
}

static int plain_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e)
{
	static struct xtcp_engine engine;

	engine = xuring_engine;
	engine.open = plain_open;
	return xtcp_conn_connect(out, addr, timeout_ns, &engine, e);
}

#define SHARED                                                                                     \
	.probe = xuring_probe, .listen = xtcp_conn_listen, .close = xtcp_conn_close,               \
	.region_add = xtcp_conn_region_add, .shut = xtcp_conn_shut, .put = xtcp_conn_put,          \
	.msg = xtcp_conn_msg, .poll = xtcp_conn_poll, .stats = xtcp_conn_stats

const struct xport_ops variant_sock_to_uring = {
	.name = "tcp to uring", SHARED, .connect = sock_connect, .accept = uring_accept
};
const struct xport_ops variant_uring_to_sock = {
	.name = "uring to tcp", SHARED, .connect = uring_connect, .accept = sock_accept
};
const struct xport_ops variant_uring_zc = {
	.name = "uring, zero-copy", SHARED, .connect = zc_connect, .accept = uring_accept
};
const struct xport_ops variant_uring_plain = {
	.name = "uring, plain", SHARED, .connect = plain_connect, .accept = plain_accept
};
