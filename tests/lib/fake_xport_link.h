/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the in-memory transport, shared by its two files and nobody else. A link is one
 * allocation with both ends in it; it dies when both are closed.
 * Invariant: everything in a link is read and written under its lock.
 * Next in the flow: fake_xport.c.
 */
#ifndef WATARI_TESTS_FAKE_XPORT_LINK_H
#define WATARI_TESTS_FAKE_XPORT_LINK_H

#include <pthread.h>

#include "tests/lib/fake_xport.h"

struct fake_frame {
	struct fake_frame *next;
	bool is_put;
	struct xport_put put;
	uint16_t type; /* of a message */
	uint8_t *data; /* message body, or the bytes of a put once it left the source */
	size_t len;
};

struct fake_queue {
	struct fake_frame *head, **tail;
	unsigned count;
};

struct fake_region {
	uint8_t *base;
	uint64_t size;
};

struct xport {
	struct fake_link *link;
	struct xport *peer;
	bool target, closed, down, lazy;
	bool shut; /* no put lands here any more */
	unsigned fault[FAKE_FAULTS];
	unsigned room, posted_puts;
	unsigned release; /* frames of `wire` the peer may take; UINT_MAX: not held */
	struct fake_region region[XPORT_REGIONS_MAX];
	struct fake_queue posted; /* not polled yet */
	struct fake_queue wire;   /* left this end, not taken by the peer */
	uint64_t *done;           /* cookies to report */
	size_t ndone, done_cap;
	struct fake_frame *msg; /* what the last MSG event points into */
	bool msg_new;           /* msg is not reported yet */
	struct xport_stats stats;
};

struct fake_link {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* CLOCK_MONOTONIC; any frame, any close */
	bool dropped;
	struct xport end[2]; /* source, target */
};

struct fake_link *fake_link_new(void);
void fake_link_free(struct fake_link *l);

/* fake_xport_meet.c */
int fake_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e);
int fake_accept(struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e);
int fake_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e);

#endif
