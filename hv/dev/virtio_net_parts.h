/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three files of the network card share; nobody else includes it. All of it runs under the
 * device's lock.
 * Invariant: pair[i].len > 0 only while a frame waits for room at the guest; then nothing more is
 * read from that queue of the tap.
 * Next in the flow: virtio_net.c.
 */
#ifndef WATARI_DEV_VIRTIO_NET_PARTS_H
#define WATARI_DEV_VIRTIO_NET_PARTS_H

#include "hv/dev/virtio_net.h"

/* Features (5.1.3). */
#define NET_F_CSUM                (1ull << 0)
#define NET_F_GUEST_CSUM          (1ull << 1)
#define NET_F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define NET_F_MAC                 (1ull << 5)
#define NET_F_GUEST_TSO4          (1ull << 7)
#define NET_F_GUEST_TSO6          (1ull << 8)
#define NET_F_GUEST_ECN           (1ull << 9)
#define NET_F_HOST_TSO4           (1ull << 11)
#define NET_F_HOST_TSO6           (1ull << 12)
#define NET_F_HOST_ECN            (1ull << 13)
#define NET_F_MRG_RXBUF           (1ull << 15)
#define NET_F_STATUS              (1ull << 16)
#define NET_F_CTRL_VQ             (1ull << 17)
#define NET_F_GUEST_ANNOUNCE      (1ull << 21)
#define NET_F_MQ                  (1ull << 22)
#define NET_F_CTRL_MAC_ADDR       (1ull << 23)
/* What the guest may switch off and on again (5.1.6.5.6). */
#define NET_F_GUEST_OFFLOADS                                                                       \
	(NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | NET_F_GUEST_ECN)

/* Configuration space (5.1.4). */
enum { NET_CONFIG_MAC = 0, NET_CONFIG_STATUS = 6, NET_CONFIG_PAIRS = 8, NET_CONFIG_LEN = 10 };
#define NET_S_LINK_UP  1u
#define NET_S_ANNOUNCE 2u

#define NET_QUEUE_MAX 512u

struct virtio_net;

/* One pair of queues: 2i receives, 2i+1 transmits. */
struct net_pair {
	struct virtio_net *net;
	unsigned index;
	bool watched; /* the tap's queue, by the worker */
	bool starved; /* ... but not for input: the guest has no room */
	bool more;    /* frames of the guest left over from the last turn */
	uint32_t len; /* of frame[]: read from the tap and not delivered yet */
	uint8_t *frame;
};

struct virtio_net {
	struct virtio *v;
	struct tap tap;
	uint64_t features;        /* agreed on; 0: not active */
	uint64_t offloads;        /* of NET_F_GUEST_OFFLOADS, those that are on */
	unsigned pairs;           /* in use, 1..tap.queues */
	uint8_t mac[6], mac_0[6]; /* as the guest set it; as it is after a reset */
	uint16_t status;          /* as in the configuration space */
	int again;                /* eventfd: some pair has `more` */
	int timer;                /* timerfd: the next announcement */
	unsigned rounds;          /* of announcements still to come */
	bool arrived;             /* loaded and not resumed yet */
	bool gone;                /* the tap was taken away: said so once */
	struct virtq_chain chain; /* the one request at hand */
	struct net_pair pair[TAP_QUEUES_MAX];
};

/* virtio_net.c: n->status goes into the configuration space, and the guest is told. */
void net_set_status(struct virtio_net *n);

/* virtio_net_io.c */
/* Sends what the guest has for pair @p; watches the tap again. */
void net_transmit(struct net_pair *p);
void net_receive(struct net_pair *p);
/* Pairs from @n->pairs on rest, those before it are watched. 0 or -errno. */
int net_watch(struct virtio_net *n, struct err *e);
void net_unwatch(struct virtio_net *n);
/* On the worker: those pairs that have `more`. */
void net_again(void *arg, uint32_t events);
/* One frame of the host's own, without a header. */
void net_send_own(struct virtio_net *n, const uint8_t *frame, size_t len);

/* virtio_net_ctrl.c */
/* The number of the control queue, or -1 if there is none. */
int net_ctrl_queue(const struct virtio_net *n);
void net_control(struct virtio_net *n);
/* Tells the tap which offloads the guest has on now. */
int net_set_offloads(struct virtio_net *n, uint64_t offloads, struct err *e);
int net_set_pairs(struct virtio_net *n, unsigned pairs, struct err *e);

#endif
