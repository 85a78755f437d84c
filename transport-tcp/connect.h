/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the two ends of the TCP transport find each other: addresses, listening, and the handshake
 * that binds N sockets to one move. Yields connected, non-blocking sockets, stream i in place i.
 * Does not know what travels on them later; both engines use it.
 *
 *   each stream, target, at once: ASK(nonce)
 *   each stream, source: HELLO(stream, streams, proof)
 *   target, once it has all streams, on each: ACK(proof)
 *
 *   ASK:   u64 magic | u16 version | 6 bytes 0 | 16 bytes nonce
 *   HELLO: u64 magic | u16 version | u16 0 | u16 stream | u16 streams | 16 bytes proof
 *   ACK:   u64 magic | u16 version | 6 bytes 0 | 16 bytes proof       all little-endian
 *
 * A proof is one of the move's token (xport_prove()) for this direction, the stream and the nonce
 * of this very connection: the token is never on the wire, and what is on it opens no other
 * connection.
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
#define XTCP_VERSION     2 /* raised with every change of hello or frame */
#define XTCP_HELLO_SIZE  32
#define XTCP_WORD_SIZE   32 /* ASK, ACK */

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
 * Waits up to @timeout_ns for all streams of one source that proves the token and fills
 * fds[0..addr.streams-1]. *streams is how many. Frees @l whatever happens. -ETIMEDOUT: nobody came.
 */
int xtcp_accept(struct xtcp_listener *l, uint64_t timeout_ns, int fds[XTCP_STREAMS_MAX],
	unsigned *streams, struct err *e);

/*
 * Connects all streams within @timeout_ns, acknowledged by the target. The resolver of a host name
 * has time-outs of its own; numeric addresses never wait for it. -ECONNREFUSED: nobody listens, or
 * the listener did not take the token; -EPROTO: it is no target, or not this move's; -ETIMEDOUT.
 */
int xtcp_connect(const struct xport_addr *addr, uint64_t timeout_ns, int fds[XTCP_STREAMS_MAX],
	struct err *e);

/* For both of the above: options of a data socket; what is not supported is left alone. */
void xtcp_socket_tune(int fd);

struct xtcp_hello {
	uint16_t stream, streams;
	uint8_t proof[XPORT_PROOF_SIZE];
};
void xtcp_hello_encode(const struct xtcp_hello *h, uint8_t out[XTCP_HELLO_SIZE]);
/* 0, or -EPROTO: not a HELLO of this version. */
int xtcp_hello_decode(struct xtcp_hello *h, const uint8_t in[XTCP_HELLO_SIZE]);
/* What an ASK and an ACK are but for their last 16 bytes, @what: nonce or proof. */
void xtcp_word_encode(const uint8_t what[XPORT_PROOF_SIZE], uint8_t out[XTCP_WORD_SIZE]);
/* Whether the first @n bytes of one, up to all, are as they have to be. 0 or -EPROTO. */
int xtcp_word_check(const uint8_t *in, size_t n, struct err *e);

/* What the proofs of a direction are made for. */
static inline const char *xtcp_proof_purpose(bool of_source)
{
	return of_source ? "data connection of the source" : "data connection of the target";
}

#endif
