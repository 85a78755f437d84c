/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the one sentence about what RDMA could do here: device, port, GID, what may be pinned; or
 * what is missing and how to mend it. Must leave nothing behind, and wait a second at most.
 * Next in the flow: hv/cmd chooses by it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "transport-rdma/parts.h"
#include "transport-rdma/limits.h"
#include "transport-rdma/status.h"
#include "transport-rdma/xrdma.h"

#define XRDMA_PROBE_NS NSEC_PER_SEC /* milliseconds, but for an address that answers no ARP */
#define XRDMA_CM_NODE  "/dev/infiniband/rdma_cm"
#define XRDMA_NO_DEVICE                                                                            \
	"no RDMA device; without hardware: rdma link add rxe0 type rxe netdev DEV (docs/rdma.md)"

static void probe_no(struct xport_probe *out, const char *why)
{
	out->usable = false;
	snprintf(out->why, sizeof(out->why), "%.*s", (int)sizeof(out->why) - 1, why);
}

/* "fe80::1" or "192.0.2.1" */
static const char *gid_text(const union ibv_gid *g, char *buf, size_t n)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (memcmp(g->raw, mapped, sizeof(mapped)) == 0)
		return inet_ntop(AF_INET, g->raw + 12, buf, (socklen_t)n);
	return inet_ntop(AF_INET6, g->raw, buf, (socklen_t)n);
}

/* True if the guest cannot be registered: it does not fit the limit, and has to be pinned. */
static bool probe_too_large(struct ibv_context *ctx, const struct xport_addr *addr,
	const struct xrdma_memlock *m, struct xport_probe *out)
{
	char need[32], room[32];

	if (!addr || addr->rdma.pin == XPORT_PIN_ODP ||
		(addr->rdma.pin == XPORT_PIN_AUTO && xrdma_has_odp(ctx)) ||
		xrdma_memlock_check(m, addr->memory, NULL) == 0)
		return false;
	snprintf(out->why, sizeof(out->why),
		"%s of guest memory have to be pinned, %s may be: `ulimit -l unlimited` before "
		"watari, LimitMEMLOCK=infinity in its unit",
		size_format(addr->memory, need, sizeof(need)),
		size_format(m->limit, room, sizeof(room)));
	return true;
}

/* A device and port that a move could use: says so, or why not. */
static void probe_port(struct ibv_context *ctx, uint8_t port, const union ibv_gid *gid,
	const struct xport_addr *addr, struct xport_probe *out)
{
	const char *name = ibv_get_device_name(ctx->device);
	struct ibv_port_attr pa;
	struct xrdma_memlock m;
	char lock[64], gid_str[INET6_ADDRSTRLEN];

	if (ibv_query_port(ctx, port, &pa)) {
		snprintf(out->why, sizeof(out->why), "device %s does not answer", name);
		return;
	}
	if (pa.state != IBV_PORT_ACTIVE) {
		snprintf(out->why, sizeof(out->why),
			"port %u of device %s is %s: look at cable, switch and `ip link`", port,
			name, ibv_port_state_str(pa.state));
		return;
	}
	xrdma_memlock_read(&m);
	if (addr && addr->rdma.pin == XPORT_PIN_ODP && !xrdma_has_odp(ctx)) {
		snprintf(out->why, sizeof(out->why),
			"device %s has no on-demand paging for writes over reliable connections",
			name);
		return;
	}
	if (probe_too_large(ctx, addr, &m, out))
		return;
	out->usable = true;
	snprintf(out->why, sizeof(out->why), "device %s port %u active (%s), GID %s, %s%s", name,
		port, pa.link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" : "InfiniBand",
		gid_text(gid, gid_str, sizeof(gid_str)), xrdma_memlock_text(&m, lock, sizeof(lock)),
		xrdma_has_odp(ctx) ? ", on-demand paging" : "");
}

/* Without an address: the first device with an active port, or the one that is wished for. */
static void probe_any(const struct xport_addr *addr, struct xport_probe *out)
{
	const char *wish = addr ? addr->rdma.device : "";
	int n = 0;
	struct ibv_device **list = ibv_get_device_list(&n);

	if (n == 0)
		probe_no(out, XRDMA_NO_DEVICE);
	else if (wish[0])
		snprintf(out->why, sizeof(out->why), XRDMA_NO_SUCH_DEVICE, wish);
	for (int i = 0; i < n && !out->usable; i++) {
		struct ibv_context *ctx;
		union ibv_gid gid = { 0 };

		if (wish[0] && strcmp(ibv_get_device_name(list[i]), wish) != 0)
			continue;
		ctx = ibv_open_device(list[i]);
		if (!ctx) {
			probe_no(out, "an RDMA device cannot be opened: /dev/infiniband/uverbs* is "
				      "missing or not ours (module ib_uverbs)");
			continue;
		}
		/* the first port; entry 1 of RoCE is the IP address where there is one */
		if (ibv_query_gid(ctx, 1, 1, &gid) || gid.global.interface_id == 0)
			ibv_query_gid(ctx, 1, 0, &gid);
		probe_port(ctx, 1, &gid, addr, out);
		ibv_close_device(ctx);
	}
	if (list)
		ibv_free_device_list(list);
}

/* Which device leads to the address, as the connection manager sees it. */
static int probe_resolve(
	struct rdma_cm_id *id, const struct xport_addr *addr, uint64_t deadline, struct err *e)
{
	bool forced = addr->rdma.device[0] != '\0';
	struct xport_addr any = *addr;
	struct sockaddr_storage from;
	struct addrinfo *list;
	struct rdma_cm_event *ev;
	int r;

	any.port = any.port ? any.port : 1; /* the connection manager wants one; none is opened */
	r = xport_addr_resolve(&any, false, &list, e);
	if (r)
		return r;
	if (forced) /* as connecting does */
		r = xrdma_device_source(addr->rdma.device, list->ai_addr->sa_family, &from, e);
	if (!r && rdma_resolve_addr(id, forced ? (struct sockaddr *)&from : NULL, list->ai_addr,
			  (int)(XRDMA_PROBE_NS / NSEC_PER_MSEC)))
		r = xrdma_cm_error(e, RDMA_CM_EVENT_ADDR_ERROR, -errno);
	freeaddrinfo(list);
	if (r)
		return r;
	r = xrdma_cm_next(id->channel, 0, deadline, &ev);
	if (r)
		return err_set(e, r, "the way to %s was not found within a second", addr->host);
	if (ev->event != RDMA_CM_EVENT_ADDR_RESOLVED)
		r = xrdma_cm_error(e, ev->event, ev->status);
	rdma_ack_cm_event(ev);
	return r ? r : xrdma_device_wished(&addr->rdma, id->verbs, e);
}

/*
 * And whether the device has an entry for that way. An address of this host resolves to a device,
 * 127.0.0.1 to any, and only the route tells that nothing can go there.
 */
static int probe_route(
	struct rdma_cm_id *id, const struct xport_addr *addr, uint64_t deadline, struct err *e)
{
	struct rdma_cm_event *ev;
	int r;

	if (rdma_resolve_route(id, (int)(XRDMA_PROBE_NS / NSEC_PER_MSEC)))
		return xrdma_cm_error(e, RDMA_CM_EVENT_ADDR_ERROR, -errno);
	r = xrdma_cm_next(id->channel, 0, deadline, &ev);
	if (r)
		return err_set(e, r, "the way to %s was not found within a second", addr->host);
	if (ev->event != RDMA_CM_EVENT_ROUTE_RESOLVED)
		r = xrdma_cm_error(e, ev->event, ev->status);
	rdma_ack_cm_event(ev);
	return r;
}

void xrdma_probe(const struct xport_addr *addr, struct xport_probe *out)
{
	struct rdma_event_channel *c;
	struct rdma_cm_id *id = NULL;
	uint64_t deadline;
	struct err e = { 0 };

	*out = (struct xport_probe){ 0 };
	if (addr && addr->encrypt) {
		probe_no(out, XRDMA_NO_CIPHER);
		return;
	}
	c = xrdma_channel(&e);
	if (!c) {
		/* librdmacm has no channel without a device either */
		probe_no(out, access(XRDMA_CM_NODE, F_OK) == 0
				      ? XRDMA_NO_DEVICE
				      : "no " XRDMA_CM_NODE
					": RDMA needs a device (`rdma link`) and "
					"the kernel modules rdma_ucm and ib_uverbs");
		return;
	}
	/* The network's second begins here: the first channel of a process loads drivers. */
	deadline = clock_mono_ns() + XRDMA_PROBE_NS;
	if (!addr || !addr->host[0]) {
		probe_any(addr, out);
	} else if (rdma_create_id(c, &id, NULL, RDMA_PS_TCP)) {
		probe_no(out, "the connection manager does not answer");
	} else if (probe_resolve(id, addr, deadline, &e) || probe_route(id, addr, deadline, &e)) {
		probe_no(out, e.msg);
	} else {
		probe_port(id->verbs, id->port_num, &id->route.addr.addr.ibaddr.sgid, addr, out);
	}
	if (id)
		rdma_destroy_id(id);
	rdma_destroy_event_channel(c);
}

void xrdma_warm(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	if (list)
		ibv_free_device_list(list);
}
