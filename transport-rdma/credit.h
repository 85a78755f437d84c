/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credits of the control queue pair: a send is posted only when a receive buffer is known to wait
 * for it at the peer, so that no receiver is ever not ready. Arithmetic only.
 *
 * Each end starts with XRDMA_CREDITS and pays one for every frame. What an end has consumed it
 * owes, and gives back in the head of whatever frame it sends next; when it owes a quarter and has
 * nothing to say, it sends a frame that only gives back.
 *
 * NO DEADLOCK. The last XRDMA_CREDITS_KEPT are for frames that only give back. Suppose both ends
 * want to send, nothing is in flight and neither may. An end that is out of ordinary credits has
 * spent at least XRDMA_CREDITS - XRDMA_CREDITS_KEPT that the peer consumed and owes, which is more
 * than a quarter, so the peer may give back if it has one credit left. It spent the kept ones only
 * on giving back, and each of those was earned by consuming a quarter of the other's frames, which
 * the other could only send because it had been given back that much. So the kept ones run out at
 * neither end. The unit test plays this with random traffic.
 *
 * Invariant: can_send <= XRDMA_CREDITS; whoever makes it more has lied.
 * Next in the flow: ctrl.c.
 */
#ifndef WATARI_TRANSPORT_RDMA_CREDIT_H
#define WATARI_TRANSPORT_RDMA_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#define XRDMA_CREDITS      64u /* receive buffers an end keeps posted */
#define XRDMA_CREDITS_KEPT 8u

struct xrdma_credit {
	uint32_t can_send; /* the peer's free receive buffers */
	uint32_t owed;     /* ours that are free again and the peer does not know of */
};

static inline void xrdma_credit_init(struct xrdma_credit *c)
{
	*c = (struct xrdma_credit){ .can_send = XRDMA_CREDITS };
}

/* True if an ordinary frame may be posted now. */
static inline bool xrdma_credit_may_send(const struct xrdma_credit *c)
{
	return c->can_send > XRDMA_CREDITS_KEPT;
}

/* True if a frame that only gives back is due and may be posted now. */
static inline bool xrdma_credit_may_return(const struct xrdma_credit *c)
{
	return c->owed >= XRDMA_CREDITS / 4 && c->can_send > 0;
}

/* A frame is posted: returns what its head gives back. */
static inline uint16_t xrdma_credit_send(struct xrdma_credit *c)
{
	uint16_t back = (uint16_t)c->owed;

	c->can_send--;
	c->owed = 0;
	return back;
}

/* A frame came and its head gives back @n. False: more than was ever paid. */
static inline bool xrdma_credit_take(struct xrdma_credit *c, uint16_t n)
{
	if (n > XRDMA_CREDITS - c->can_send)
		return false;
	c->can_send += n;
	return true;
}

/* A receive buffer was emptied and posted again. */
static inline void xrdma_credit_consumed(struct xrdma_credit *c)
{
	c->owed++;
}

#endif
