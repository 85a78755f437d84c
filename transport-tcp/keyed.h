/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams under a key (xport_addr.secret): what travels on them are the records of TLS 1.3
 * (RFC 8446 5.2) without its handshake, for both ends have the keys from the move's own session.
 * So either end may leave the records to the kernel (kTLS) and the other make them itself.
 *
 *   u8 23 | u16 0x0303 | u16 length, big-endian | AES-256-GCM of (bytes | u8 23)
 *
 * Next in the flow: keyed.c (user space), keyed_kernel.c.
 */
#ifndef WATARI_TRANSPORT_TCP_KEYED_H
#define WATARI_TRANSPORT_TCP_KEYED_H

#include "hv/migrate/xport/seal.h"
#include "transport-tcp/conn.h"

#define KEYED_HEAD      5           /* bytes before a record */
#define KEYED_TYPE      23          /* application data, outside and inside */
#define KEYED_CLEAR_MAX (16u << 10) /* bytes in one record */
/*
 * Bytes for the kernel to encrypt in one call: meanwhile it holds the socket, and answers no probe
 * of the peer's, so on a slow host a long call would look like a lost peer.
 */
#define KEYED_CALL_MAX (128u << 10)
#define KEYED_BODY_MIN (1 + SEAL_TAG_SIZE)
#define KEYED_BODY_MAX (KEYED_CLEAR_MAX + 1 + SEAL_TAG_SIZE)

/*
 * As xtcp_adopt(), with streams under @secret: by the kernel where it can, else here.
 * @allow_kernel false: a test that wants the other one.
 */
int xtcp_adopt_keyed(struct xport **out, const int *fds, unsigned n, bool is_target,
	const uint8_t secret[SEAL_SECRET_SIZE], bool allow_kernel, struct err *e);

/* The length of the body that @head announces, KEYED_BODY_MIN..KEYED_BODY_MAX, or -EPROTO. */
int keyed_head_decode(const uint8_t head[KEYED_HEAD]);

/* What the keys of a direction are derived by. */
static inline const char *keyed_purpose(bool of_source)
{
	return of_source ? "stream of the source" : "stream of the target";
}

/*
 * keyed_kernel.c: leaves the records of stream @i, socket @fd, to the kernel. 0; -ENOTSUP: it does
 * not do that, and the socket is as it was; other errors end the connection.
 */
int keyed_kernel(
	int fd, unsigned i, bool is_target, const uint8_t secret[SEAL_SECRET_SIZE], struct err *e);

#endif
