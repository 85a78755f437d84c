/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the RDMA transport offer each other, file by file, in the order of the flow.
 * Everything belongs to the owner of the connection's thread.
 * Next in the flow: device.c.
 */
#ifndef WATARI_TRANSPORT_RDMA_PARTS_H
#define WATARI_TRANSPORT_RDMA_PARTS_H

#include "hv/migrate/xport/meet.h"
#include "transport-rdma/internal.h"

/* device.c */
/* A connection with nothing connected; @addr is checked. NULL and @e on failure. */
struct xport *xrdma_new(const struct xport_addr *addr, bool is_target, struct err *e);
/* Everything a line needs before it can be connected: queue pair, receives. On the first line
 * also what all share. */
int xrdma_line_open(struct xrdma_line *l, struct err *e);
void xrdma_line_close(struct xrdma_line *l);
/*
 * Waits until @deadline for an event of the connection manager; ack it. -ETIMEDOUT, or -ECONNRESET
 * when the socket @lifeline (0: none) has ended at the peer's side.
 */
int xrdma_cm_next(
	struct rdma_event_channel *c, int lifeline, uint64_t deadline, struct rdma_cm_event **out);
/* Frees everything. */
void xrdma_free(struct xport *x);
/* What chunks are registered with at this end, by @odp or by pinning. */
int xrdma_access(const struct xport *x, bool odp);
/* True if the device can page on demand what this end of a move does. */
bool xrdma_has_odp(struct ibv_context *verbs);
int xrdma_post_record_recv(struct xport *x, unsigned stream, uint32_t n);
int xrdma_post_ctrl_recv(struct xport *x, uint32_t n);

/* connect.c, accept.c: the operations of the contract. */
/* Why --encrypt and RDMA exclude each other. */
#define XRDMA_NO_CIPHER                                                                            \
	"rdma cannot encrypt: the adapter writes guest memory as it is, with no "                  \
	"processor between"

int xrdma_connect(
	struct xport **out, const struct xport_addr *addr, uint64_t timeout_ns, struct err *e);
int xrdma_listen(struct xport_listener **out, struct xport_addr *addr, struct err *e);
int xrdma_accept(struct xport_listener *l, uint64_t timeout_ns, struct xport **out, struct err *e);
/* A channel of connection manager events, non-blocking; NULL says in @e what is missing. */
struct rdma_event_channel *xrdma_channel(struct err *e);
/* -ENODEV if the wish is for another device than this. */
int xrdma_device_wished(const struct xport_rdma *w, struct ibv_context *verbs, struct err *e);
#define XRDMA_NO_SUCH_DEVICE "there is no RDMA device %s here; `rdma link` shows them"
/* Fills @sa with an address of the wished device, to connect from. 0 or -ENODEV. */
struct sockaddr_storage;
int xrdma_device_source(const char *device, int family, struct sockaddr_storage *sa, struct err *e);

/* probe.c */
void xrdma_probe(const struct xport_addr *addr, struct xport_probe *out);

/* send.c */
bool xrdma_stream_full(const struct xrdma_stream *s);
int xrdma_stream_push(struct xport *x, unsigned i, const struct xrdma_slot *s, struct err *e);
/* Gives the adapter what it takes and what is ready. */
void xrdma_stream_flush(struct xport *x, unsigned i);
int xrdma_stream_report(struct xport *x, unsigned i, struct xport_event *ev, int max);
/* Source: makes sure that both ends' registration of a chunk is under way. */
int xrdma_chunk_want(struct xport *x, uint32_t region, uint32_t chunk, bool urgent, struct err *e);
/* Source: asks the target for its key, if that was not done yet. */
int xrdma_chunk_ask(struct xport *x, uint32_t region, uint32_t chunk, bool urgent, struct err *e);

/* ctrl.c */
/* Queues a frame; a message's bytes in @owned become its own, also on failure. 0 or -ENOMEM. */
int xrdma_ctrl_push(struct xport *x, const struct xrdma_frame *f, uint8_t *owned, struct err *e);
void xrdma_ctrl_flush(struct xport *x);
void xrdma_ctrl_fini(struct xport *x);
/* True if frames wait for the adapter to be done with others. */
bool xrdma_ctrl_stuck(const struct xport *x);
/* A frame was received into buffer @n. */
void xrdma_ctrl_received(struct xport *x, uint32_t n, uint32_t len);
/* Takes parts of messages out of their buffers, up to the end of one message. */
void xrdma_inbox_feed(struct xport *x);
bool xrdma_inbox_ready(const struct xport *x);

/* recv.c */
/* Polls the completion queue until it is empty or enough was done. True if there was anything. */
bool xrdma_cq_turn(struct xport *x);

/* events.c */
/* Remembers why the connection ended: the first cause, but a plain end gives way to any other. */
void xrdma_fail(struct xport *x, const struct err *why, bool plain);
/* As xrdma_fail(), and tells the peer. */
void xrdma_give_up(struct xport *x, const struct err *why);
/* What the source will register, against the limits of this end. 0 or an error to give up with. */
int xrdma_need_check(struct xport *x, uint64_t bytes, uint64_t chunks, struct err *e);
/* Takes the registration thread's results. */
void xrdma_reg_turn(struct xport *x);
/* Waits up to @timeout_ns for anything to do; takes events of connection manager and device. */
int xrdma_watch(struct xport *x, uint64_t timeout_ns, struct err *e);

#endif
