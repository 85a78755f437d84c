/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the two ends of the TCP transport find each other: addresses, listening, and the handshake
 * that binds N sockets to one move. Yields connected, non-blocking sockets, stream i in place i.
 * Does not know what travels on them later; both engines use it.
 *
 *   each stream, source: HELLO(magic, version, stream, streams, token)   XTCP_HELLO_SIZE bytes
 *   target, once it has all streams, on each: ACK(magic, version)        XTCP_ACK_SIZE bytes
 *
 *   HELLO: u64 magic | u16 version | u16 0 | u16 stream | u16 streams | 16 bytes token
 *   ACK:   u64 magic | u16 version | 6 bytes 0                          all little-endian
 *
 * Next in the flow: conn.c.
 */
#ifndef WATARI_TRANSPORT_TCP_CONNECT_H
#define WATARI_TRANSPORT_TCP_CONNECT_H

#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport.h"
#include "transport-tcp/frame.h"

#define XTCP_HELLO_MAGIC 0x4f4c4c45484e5257ull
#define XTCP_VERSION     1 /* raised with every change of hello or frame */
#define XTCP_HELLO_SIZE  32
#define XTCP_ACK_SIZE    16

/*
 * An established link that loses its peer is given up after this long: with data outstanding by
 * TCP_USER_TIMEOUT, without by keepalive probes. The kernel applies the first to a peer that keeps
 * its window shut too, so an end that does not poll for that long counts as gone.
 */
#define XTCP_DEAD_MS 5000

/* A peer that presents no complete HELLO within this is dropped. */
#define XTCP_HELLO_NS 2000000000ull

struct xtcp_listener;

/* Listens on @addr and fills in its port. The listener is freed by xtcp_accept(). */
int xtcp_listen(struct xtcp_listener **out, struct xport_addr *addr, struct err *e);

/* The address's secret, NULL: in clear. */
const uint8_t *xtcp_listener_secret(const struct xtcp_listener *l);

/*
 * Waits up to @timeout_ns for all streams of one source that presents the token and fills
 * fds[0..addr.streams-1]. *streams is how many. Frees @l whatever happens. -ETIMEDOUT: nobody came.
 */
int xtcp_accept(struct xtcp_listener *l, uint64_t timeout_ns, int fds[XTCP_STREAMS_MAX],
	unsigned *streams, struct err *e);

/*
 * Connects all streams within @timeout_ns, acknowledged by the target. The resolver of a host name
 * has time-outs of its own; numeric addresses never wait for it. -ECONNREFUSED: nobody listens, or
 * the listener did not take the token; -ETIMEDOUT.
 */
int xtcp_connect(const struct xport_addr *addr, uint64_t timeout_ns, int fds[XTCP_STREAMS_MAX],
	struct err *e);

/* For both of the above: options of a data socket; what is not supported is left alone. */
void xtcp_socket_tune(int fd);

struct xtcp_hello {
	uint16_t stream, streams;
	uint8_t token[XPORT_TOKEN_SIZE];
};
void xtcp_hello_encode(const struct xtcp_hello *h, uint8_t out[XTCP_HELLO_SIZE]);
/* 0, or -EPROTO: not a HELLO of this version. */
int xtcp_hello_decode(struct xtcp_hello *h, const uint8_t in[XTCP_HELLO_SIZE]);
void xtcp_ack_encode(uint8_t out[XTCP_ACK_SIZE]);
int xtcp_ack_decode(const uint8_t in[XTCP_ACK_SIZE], struct err *e);

#endif
