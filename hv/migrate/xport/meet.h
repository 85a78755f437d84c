/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every transport needs to find its other end: addresses as text and as the system's, proofs
 * of the token, deadlines. Opens nothing. Next in the flow: transport-tcp/connect.c,
 * transport-rdma/connect.c.
 */
#ifndef WATARI_MIGRATE_XPORT_MEET_H
#define WATARI_MIGRATE_XPORT_MEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"
#include "hv/migrate/xport.h"

#define XPORT_STREAMS_MAX 16

/* "1.2.3.4:99", "[::1]:99" into @buf; returns @buf. */
const char *xport_addr_format(const struct xport_addr *a, char *buf, size_t n);
/* -EINVAL unless host and streams are in range. */
int xport_addr_check(const struct xport_addr *a, struct err *e);
/*
 * Resolves @a; *out is freed with freeaddrinfo(). The resolver of a name has time-outs of its own;
 * numeric addresses never wait for it. -EHOSTUNREACH or -ENOMEM.
 */
struct addrinfo;
int xport_addr_resolve(
	const struct xport_addr *a, bool passive, struct addrinfo **out, struct err *e);

#define XPORT_NONCE_SIZE 16
#define XPORT_PROOF_SIZE 16

/*
 * What an end presents in place of the token of @a, which never travels: a proof of it for
 * @purpose, stream @stream, and @nonce, XPORT_NONCE_SIZE bytes of the other end's choice, NULL
 * where the transport has no place for them. 0 or -EIO.
 */
int xport_prove(const struct xport_addr *a, const char *purpose, const uint8_t *nonce,
	unsigned stream, uint8_t out[XPORT_PROOF_SIZE]);
/* Equal or not in a time that does not depend on where they differ. */
bool xport_proof_equal(const uint8_t a[XPORT_PROOF_SIZE], const uint8_t b[XPORT_PROOF_SIZE]);

/* now + @timeout_ns, without wrapping (CLOCK_MONOTONIC). */
uint64_t xport_deadline(uint64_t timeout_ns);
/* Milliseconds for poll(2) until @deadline_ns, rounded up, an hour at most; 0: it is past. */
int xport_ms_left(uint64_t deadline_ns);

#endif
