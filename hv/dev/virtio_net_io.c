/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the frames of the network card, both ways between tap and queues (virtio 1.2, 5.1.6.2 and
 * 5.1.6.4). Headers are the tap's own: both ends speak virtio_net_hdr, and it is the kernel that
 * checks what a guest writes into one.
 * Invariant: a turn ends after NET_BUDGET frames, whatever the guest does, so that the device's
 * lock is given away and a freeze does not wait for a busy guest.
 * Next in the flow: tap.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "hv/base/log.h"
#include "hv/dev/virtio_net_parts.h"

#define NET_BUDGET      128u /* frames in one turn of one direction of one pair */
#define NET_NUM_BUFFERS 10u  /* offset in the header */

/* ---- from the guest ---------------------------------------------------------------------------
 */

/* True unless the guest broke the rules. What the tap does not take is lost, as on any wire. */
static bool net_send(struct virtio_net *n, unsigned pair, const struct virtq_chain *c)
{
	if (c->nin || c->out_len < TAP_HDR_SIZE) {
		virtio_needs_reset(n->v, c->nin ? "a frame to send is writable"
						: "a frame to send is shorter than its header");
		return false;
	}
	tap_write(&n->tap, pair, c->iov, (int)c->nout);
	return true;
}

void net_transmit(struct net_pair *p)
{
	struct virtio_net *n = p->net;
	struct virtq *q = virtio_queue(n->v, 2 * p->index + 1);
	unsigned sent = 0;

	p->more = false;
	do {
		virtq_kicks_off(q);
		while (sent < NET_BUDGET && virtq_pop(q, &n->chain) > 0) {
			if (!net_send(n, p->index, &n->chain))
				return;
			virtq_fill(q, &n->chain, 0);
			sent++;
		}
		/*
		 * The guest hears of it before it is asked to kick: where it shares a processor
		 * with us, the interrupt lets it run at once, and what it sends then costs no exit.
		 */
		virtq_flush(q);
		virtq_signal(q);
	} while (sent < NET_BUDGET && virtq_kicks_on(q));
	if (sent < NET_BUDGET)
		return;
	p->more = true;
	if (write(n->again, &(uint64_t){ 1 }, sizeof(uint64_t)) < 0)
		log_debug("network card: %s", strerrordesc_np(errno)); /* is set already */
}

void net_again(void *arg, uint32_t events)
{
	struct virtio_net *n = arg;
	uint64_t count;

	(void)events;
	if (read(n->again, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < n->tap.queues; i++) {
		if (n->pair[i].more)
			net_transmit(&n->pair[i]);
	}
}

void net_send_own(struct virtio_net *n, const uint8_t *frame, size_t len)
{
	static const uint8_t header[TAP_HDR_SIZE]; /* nothing is left to do */
	const struct iovec iov[] = {
		{ .iov_base = (void *)header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)frame, .iov_len = len },
	};

	tap_write(&n->tap, 0, iov, 2);
}

/* ---- to the guest -----------------------------------------------------------------------------
 */

enum net_fit { NET_FITS, NET_NEVER, NET_NO_ROOM };

/* Whether the guest may give a buffer such as this for part @k of a frame. */
static bool net_buffer_right(struct virtio_net *n, const struct virtq_chain *c, unsigned k)
{
	const char *why = NULL;

	if (c->nout)
		why = "a receive buffer is not writable";
	else if (c->in_len == 0 || (k == 0 && c->in_len < TAP_HDR_SIZE))
		why = "a receive buffer has no room for a header";
	if (why)
		virtio_needs_reset(n->v, why);
	return !why;
}

/* Takes requests until the frame fits, all of them back again, and says whether it did. */
static enum net_fit net_fit(struct virtio_net *n, struct virtq *q, uint32_t len, unsigned *buffers)
{
	unsigned k = 0, most = n->features & NET_F_MRG_RXBUF ? q->size : 1;
	uint64_t room = 0;

	while (room < len && k < most) {
		if (virtq_pop(q, &n->chain) > 0) {
			if (!net_buffer_right(n, &n->chain, k++))
				return NET_NEVER;
			room += n->chain.in_len;
		} else if (!virtq_kicks_on(q)) {
			/* With all of them taken, so that it is the next one that brings a kick. */
			break;
		}
	}
	virtq_unpop(q, k);
	*buffers = k;
	if (room >= len)
		return NET_FITS;
	return k == most ? NET_NEVER : NET_NO_ROOM;
}

/*
 * Requests are filled in the order in which they were taken, the one with the header first
 * (5.1.6.4), and each is whole before it is filled, which marks it. The guest may have changed its
 * descriptors since net_fit() looked; then the frame has no place any more.
 */
static void net_fill(struct virtio_net *n, struct virtq *q, struct net_pair *p, unsigned buffers)
{
	uint32_t done = 0;

	p->frame[NET_NUM_BUFFERS] = (uint8_t)buffers;
	p->frame[NET_NUM_BUFFERS + 1] = (uint8_t)(buffers >> 8);
	for (unsigned k = 0; k < buffers; k++) {
		uint32_t put;

		if (virtq_pop(q, &n->chain) <= 0)
			return;
		put = (uint32_t)virtq_chain_write(&n->chain, 0, p->frame + done, p->len - done);
		virtq_fill(q, &n->chain, put);
		done += put;
	}
	if (done < p->len)
		virtio_needs_reset(n->v, "receive buffers changed while in use");
}

/* The worker looks at the tap's queue from now on, or not. */
static void net_want_input(struct net_pair *p, bool want)
{
	if (p->watched && p->starved == want)
		virtio_watch_events(p->net->v, p->net->tap.fd[p->index], want ? EPOLLIN : 0);
	p->starved = !want;
}

/* Delivers the frame that was read. False if it has to wait for room. */
static bool net_deliver(struct net_pair *p, struct virtq *q)
{
	unsigned buffers = 0;
	enum net_fit fit = net_fit(p->net, q, p->len, &buffers);

	if (fit == NET_NO_ROOM)
		return false;
	virtq_kicks_off(q);
	if (fit == NET_FITS)
		net_fill(p->net, q, p, buffers);
	p->len = 0;
	return true;
}

/* The tap is not there any more, somebody removed it: the guest's cable is out. */
static void net_gone(struct virtio_net *n, long why)
{
	if (n->gone)
		return;
	n->gone = true;
	log_warn(
		"network card: tap '%s' cannot be read any more (%s); the guest sees its link down",
		n->tap.name, strerrordesc_np((int)-why));
	net_unwatch(n);
	n->status &= (uint16_t)~NET_S_LINK_UP;
	net_set_status(n);
}

void net_receive(struct net_pair *p)
{
	struct virtio_net *n = p->net;
	struct virtq *q = virtio_queue(n->v, 2 * p->index);
	bool room = true;

	for (unsigned i = 0; i < NET_BUDGET; i++) {
		if (p->len == 0) {
			long got = tap_read(&n->tap, p->index, p->frame, TAP_FRAME_MAX);

			if (got == -EAGAIN)
				break;
			if (got < 0) {
				net_gone(n, got);
				break;
			}
			p->len = got >= (long)TAP_HDR_SIZE ? (uint32_t)got : 0;
		}
		room = p->len == 0 || net_deliver(p, q);
		if (!room || !q->ready)
			break;
	}
	net_want_input(p, room);
	virtq_flush(q);
	virtq_signal(q);
}

static void net_readable(void *arg, uint32_t events)
{
	struct net_pair *p = arg;

	if (events & (EPOLLERR | EPOLLHUP))
		net_gone(p->net, -ENODEV);
	else
		net_receive(p);
}

int net_watch(struct virtio_net *n, struct err *e)
{
	for (unsigned i = 0; i < n->tap.queues; i++) {
		struct net_pair *p = &n->pair[i];
		bool want = i < n->pairs && !n->gone;
		int r;

		if (want == p->watched)
			continue;
		if (!want) {
			virtio_unwatch(n->v, n->tap.fd[i]);
			p->watched = false;
			continue;
		}
		r = virtio_watch(n->v, n->tap.fd[i], EPOLLIN, net_readable, p, e);
		if (r)
			return r;
		p->watched = true;
		p->starved = false;
	}
	return 0;
}

void net_unwatch(struct virtio_net *n)
{
	for (unsigned i = 0; i < n->tap.queues; i++) {
		if (n->pair[i].watched)
			virtio_unwatch(n->v, n->tap.fd[i]);
		n->pair[i].watched = false;
	}
}
