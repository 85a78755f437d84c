/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: bytes that only the other end of one move can read, and that nobody can change, repeat,
 * leave out or reorder. AES-256-GCM, one key a direction, the nonce an IV of the key XOR a counter
 * that both ends keep and never send, as TLS 1.3 does (RFC 8446 5.3). Keys come from the move's
 * TLS session (hv/migrate/chan.h), one for each purpose, direction and stream.
 * A seal belongs to one thread at a time. Invariant: a counter is used once; after a failed open
 * the seal stays unusable.
 * Next in the flow: hv/migrate/sealed.c for messages, transport-tcp/keyed.c for streams.
 */
#ifndef WATARI_MIGRATE_XPORT_SEAL_H
#define WATARI_MIGRATE_XPORT_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "hv/base/err.h"

#define SEAL_SECRET_SIZE 32
#define SEAL_TAG_SIZE    16 /* what is sealed is so much longer */
#define SEAL_KEY_SIZE    32
#define SEAL_IV_SIZE     12
#define SEAL_PROOF_SIZE  16

struct seal;

/* The key and IV for @purpose, a short name, and @index, out of @secret. The caller wipes them. */
int seal_derive(const uint8_t secret[SEAL_SECRET_SIZE], const char *purpose, unsigned index,
	uint8_t key[SEAL_KEY_SIZE], uint8_t iv[SEAL_IV_SIZE], struct err *e);

/* One direction of sealing or opening, by seal_derive(). 0 or negative errno. */
int seal_new(struct seal **out, const uint8_t secret[SEAL_SECRET_SIZE], const char *purpose,
	unsigned index, struct err *e);
/* Wipes the key. NULL is fine. */
void seal_free(struct seal *s);

/*
 * Seals @n bytes of @in into n + SEAL_TAG_SIZE bytes of @out, and @head with them, which travels
 * in clear. @in may be @out; else they do not overlap. @in must not change meanwhile. 0 or -EIO.
 */
int seal_close(struct seal *s, const void *head, size_t headlen, const uint8_t *in, size_t n,
	uint8_t *out);
/*
 * The reverse, of @n bytes, into n - SEAL_TAG_SIZE of @out, which is worth nothing on failure.
 * -EBADMSG: it is not what the other end sealed next.
 */
int seal_open(struct seal *s, const void *head, size_t headlen, const uint8_t *in, size_t n,
	uint8_t *out);

/*
 * A proof of having @key, made for @purpose, a short name, and the @n bytes of @about: who does not
 * have it cannot make one, and who has seen one cannot make another. 0 or -EIO.
 */
int seal_proof(const uint8_t *key, size_t keylen, const char *purpose, const void *about, size_t n,
	uint8_t out[SEAL_PROOF_SIZE]);

#endif
