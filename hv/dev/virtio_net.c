/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the network card as a device (see virtio_net.h): features, configuration space, state, and
 * the announcements after a move. Must never send for the guest while the guest is held.
 * Invariant: what the tap was told (offloads, queues) is what `offloads` and `pairs` say.
 * Next in the flow: virtio_net_io.c, announce.h.
 */
#include "hv/dev/virtio_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "hv/dev/announce.h"
#include "hv/dev/virtio_net_parts.h"

#define NET_CLASS    0x020000u /* Ethernet controller */
#define NET_VERSION  1u
#define NET_SEGMENTS NET_QUEUE_MAX /* of a request: as many as a queue has descriptors */

/* ---- announcements ----------------------------------------------------------------------------
 */

/* When each follows the one before, in ns: five over a second, the first at once. */
static const uint64_t net_rounds[] = { 1, 100000000, 200000000, 300000000, 400000000 };
#define NET_ROUNDS (sizeof(net_rounds) / sizeof(net_rounds[0]))

static void net_timer_set(struct virtio_net *n, uint64_t ns)
{
	const struct itimerspec at = { .it_value.tv_nsec = (long)ns };

	timerfd_settime(n->timer, 0, &at, NULL);
}

void net_set_status(struct virtio_net *n)
{
	const uint8_t le[] = { (uint8_t)n->status, (uint8_t)(n->status >> 8) };

	virtio_config_set(n->v, NET_CONFIG_STATUS, le, sizeof(le));
}

/*
 * The host speaks first, so that the switches know at once, then asks the guest, which knows its IP
 * addresses. It is asked again each time: it may have answered while its own links were not up.
 */
static void net_announce(void *arg, uint32_t events)
{
	struct virtio_net *n = arg;
	uint8_t frame[ANNOUNCE_SIZE];
	uint64_t count;

	(void)events;
	if (read(n->timer, &count, sizeof(count)) < 0 || n->rounds == 0)
		return;
	announce_rarp(frame, n->mac);
	net_send_own(n, frame, sizeof(frame));
	announce_arp(frame, n->mac);
	net_send_own(n, frame, sizeof(frame));
	if (n->features & NET_F_GUEST_ANNOUNCE) {
		n->status |= NET_S_ANNOUNCE;
		net_set_status(n);
	}
	if (--n->rounds)
		net_timer_set(n, net_rounds[NET_ROUNDS - n->rounds]);
}

/* ---- the device -------------------------------------------------------------------------------
 */

static bool net_reset(void *self)
{
	struct virtio_net *n = self;

	net_unwatch(n);
	virtio_unwatch(n->v, n->again);
	virtio_unwatch(n->v, n->timer);
	tap_use_queues(&n->tap, 1, NULL);
	tap_offload(&n->tap, 0, NULL);
	n->pairs = 1;
	n->offloads = n->features = 0;
	n->rounds = 0;
	n->arrived = false;
	n->status = NET_S_LINK_UP;
	memcpy(n->mac, n->mac_0, sizeof(n->mac));
	for (unsigned i = 0; i < n->tap.queues; i++)
		n->pair[i].len = 0;
	return true;
}

static int net_activate(void *self, uint64_t features, struct err *e)
{
	struct virtio_net *n = self;
	int r;

	n->features = features;
	n->arrived = false;
	/*
	 * What came while nobody took it was meant for a guest that was not there, or, in a machine
	 * that is being loaded, for the guest at the source, which had it.
	 */
	tap_drain(&n->tap);
	r = net_set_offloads(n, features & NET_F_GUEST_OFFLOADS, e);
	if (r == 0)
		r = net_set_pairs(n, 1, e);
	if (r == 0)
		r = virtio_watch(n->v, n->again, EPOLLIN, net_again, n, e);
	if (r == 0)
		r = virtio_watch(n->v, n->timer, EPOLLIN, net_announce, n, e);
	if (r)
		net_reset(n);
	return r;
}

static void net_notify(void *self, unsigned q)
{
	struct virtio_net *n = self;

	if ((int)q == net_ctrl_queue(n))
		net_control(n);
	else if (q < 2 * n->pairs && q % 2)
		net_transmit(&n->pair[q / 2]);
	else if (q < 2 * n->pairs && !n->gone)
		net_receive(&n->pair[q / 2]);
}

static void net_resume(void *self)
{
	struct virtio_net *n = self;

	if (n->arrived && n->features) {
		n->rounds = NET_ROUNDS;
		net_timer_set(n, net_rounds[0]);
	}
	n->arrived = false;
}

/* Address and status are in the configuration space, which is the core's to save. */
static void net_save(void *self, struct wbuf *w)
{
	struct virtio_net *n = self;

	wbuf_u64(w, n->offloads);
	wbuf_u8(w, (uint8_t)n->pairs);
	for (unsigned i = 0; i < n->pairs; i++) {
		wbuf_u32(w, n->pair[i].len);
		wbuf_bytes(w, n->pair[i].frame, n->pair[i].len);
	}
}

static int net_load_frames(struct virtio_net *n, struct rbuf *r, struct err *e)
{
	for (unsigned i = 0; i < n->pairs; i++) {
		uint32_t len = rbuf_u32(r);

		if (r->failed || len > TAP_FRAME_MAX || (len && len < TAP_HDR_SIZE))
			return err_set(e, -EPROTO, "a frame of %u bytes", len);
		rbuf_copy(r, n->pair[i].frame, len);
		n->pair[i].len = r->failed ? 0 : len;
	}
	return r->failed ? err_set(e, -EPROTO, "it ends inside a frame") : 0;
}

/* What the guest was told stays, but for the link: that is of this host. */
static void net_load_config(struct virtio_net *n)
{
	uint8_t status[2];

	virtio_config_get(n->v, NET_CONFIG_MAC, n->mac, sizeof(n->mac));
	virtio_config_get(n->v, NET_CONFIG_STATUS, status, sizeof(status));
	n->status = NET_S_LINK_UP | (status[0] & NET_S_ANNOUNCE);
	if (n->status != (status[0] | status[1] << 8))
		net_set_status(n);
}

/* After activate() with the same features, if the device was active. */
static int net_load(void *self, uint32_t version, struct rbuf *r, struct err *e)
{
	struct virtio_net *n = self;
	uint64_t offloads = rbuf_u64(r);
	unsigned pairs = rbuf_u8(r);
	int rc = 0;

	(void)version;
	if (r->failed || (offloads & ~(n->features & NET_F_GUEST_OFFLOADS)))
		return err_set(e, -EPROTO, "offloads 0x%llx were not agreed on",
			(unsigned long long)offloads);
	if (pairs < 1 || pairs > (n->features & NET_F_MQ ? n->tap.queues : 1))
		return err_set(e, -EPROTO, "%u pairs of queues in use, there are %u", pairs,
			n->tap.queues);
	n->pairs = pairs;
	if (n->features)
		rc = net_set_offloads(n, offloads, e);
	if (rc == 0 && n->features)
		rc = net_set_pairs(n, pairs, e);
	if (rc == 0)
		rc = net_load_frames(n, r, e);
	net_load_config(n);
	n->arrived = rc == 0;
	return rc;
}

static void net_free(void *self)
{
	struct virtio_net *n = self;

	for (unsigned i = 0; i < TAP_QUEUES_MAX; i++)
		free(n->pair[i].frame);
	virtq_chain_fini(&n->chain);
	if (n->again >= 0)
		close(n->again);
	if (n->timer >= 0)
		close(n->timer);
	tap_close(&n->tap);
	free(n);
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.class_code = NET_CLASS,
	.activate = net_activate,
	.reset = net_reset,
	.notify = net_notify,
	.resume = net_resume,
	.save = net_save,
	.load = net_load,
	.free = net_free,
};

const struct dev_ops virtio_net_dev_ops = VIRTIO_DEV_OPS("virtio-net", NET_VERSION);

/* ---- building it ------------------------------------------------------------------------------
 */

static uint64_t net_features(const struct tap *t)
{
	uint64_t f = NET_F_MAC | NET_F_STATUS | NET_F_MRG_RXBUF | NET_F_CTRL_VQ |
		     NET_F_GUEST_ANNOUNCE | NET_F_CTRL_MAC_ADDR;

	if (t->offload & TAP_OFFLOAD_CSUM)
		f |= NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_CTRL_GUEST_OFFLOADS;
	if (t->offload & TAP_OFFLOAD_TSO4)
		f |= NET_F_HOST_TSO4 | NET_F_GUEST_TSO4;
	if (t->offload & TAP_OFFLOAD_TSO6)
		f |= NET_F_HOST_TSO6 | NET_F_GUEST_TSO6;
	if (t->offload & TAP_OFFLOAD_ECN)
		f |= NET_F_HOST_ECN | NET_F_GUEST_ECN;
	return t->queues > 1 ? f | NET_F_MQ : f;
}

static int net_make(struct virtio_net *n, const uint8_t mac[6], struct err *e)
{
	int r = virtq_chain_init(&n->chain, NET_SEGMENTS, e);

	memcpy(n->mac, mac, sizeof(n->mac));
	memcpy(n->mac_0, mac, sizeof(n->mac_0));
	n->status = NET_S_LINK_UP;
	n->pairs = 1;
	n->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r)
		return r;
	if (n->again < 0 || n->timer < 0)
		return err_errno(e, "cannot make a network card's events");
	for (unsigned i = 0; i < n->tap.queues; i++) {
		n->pair[i].net = n;
		n->pair[i].index = i;
		n->pair[i].frame = malloc(TAP_FRAME_MAX);
		if (!n->pair[i].frame)
			return err_set(e, -ENOMEM, "no memory for a frame");
	}
	return tap_use_queues(&n->tap, 1, e);
}

int virtio_net_new(struct virtio **out, struct pci_bus *bus, unsigned slot, const struct gmem *mem,
	const struct tap *tap, const uint8_t mac[6], struct err *e)
{
	struct virtio_net *n = calloc(1, sizeof(*n));
	uint8_t config[NET_CONFIG_LEN] = { 0 };
	struct tap t = *tap;
	int r;

	if (!n) {
		tap_close(&t);
		return err_set(e, -ENOMEM, "no memory for a network card");
	}
	n->tap = t;
	memcpy(config + NET_CONFIG_MAC, mac, 6);
	config[NET_CONFIG_STATUS] = NET_S_LINK_UP;
	config[NET_CONFIG_PAIRS] = (uint8_t)t.queues;
	r = net_make(n, mac, e);
	if (r == 0) {
		const struct virtio_shape shape = {
			.ops = &net_ops,
			.self = n,
			.features = net_features(&t),
			.queues = 2 * t.queues + 1,
			.queue_max = NET_QUEUE_MAX,
			.config = config,
			.config_len = sizeof(config),
		};

		r = virtio_new(&n->v, bus, slot, mem, &shape, e);
	}
	if (r) {
		net_free(n);
		return r;
	}
	*out = n->v;
	return 0;
}
