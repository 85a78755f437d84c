/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the cipher (see seal.h), and is the only file that includes the library's headers for it.
 * Must never use a nonce twice, or let a key live longer than its seal.
 * Next in the flow: hv/migrate/sealed.c, transport-tcp/keyed.c.
 */
#include "hv/migrate/xport/seal.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seal {
	EVP_CIPHER_CTX *ctx;
	uint8_t iv[SEAL_IV_SIZE];
	uint64_t count;
	bool broken;
};

/* HMAC-SHA-256 of "purpose/index/part" under the secret, one value for the key, one for the IV. */
static int seal_part(const uint8_t secret[SEAL_SECRET_SIZE], const char *purpose, unsigned index,
	const char *part, uint8_t *out, size_t n)
{
	uint8_t value[EVP_MAX_MD_SIZE];
	char text[96];
	int len = snprintf(text, sizeof(text), "watari/%s/%u/%s", purpose, index, part);

	if (len >= (int)sizeof(text) ||
		!HMAC(EVP_sha256(), secret, SEAL_SECRET_SIZE, (const unsigned char *)text,
			(size_t)len, value, NULL))
		return -EIO;
	memcpy(out, value, n);
	explicit_bzero(value, sizeof(value));
	return 0;
}

int seal_derive(const uint8_t secret[SEAL_SECRET_SIZE], const char *purpose, unsigned index,
	uint8_t key[SEAL_KEY_SIZE], uint8_t iv[SEAL_IV_SIZE], struct err *e)
{
	if (seal_part(secret, purpose, index, "key", key, SEAL_KEY_SIZE) ||
		seal_part(secret, purpose, index, "iv", iv, SEAL_IV_SIZE))
		return err_set(e, -EIO, "cannot make keys for the data");
	return 0;
}

int seal_proof(const uint8_t *key, size_t keylen, const char *purpose, const void *about, size_t n,
	uint8_t out[SEAL_PROOF_SIZE])
{
	uint8_t text[128], value[EVP_MAX_MD_SIZE];
	int len = snprintf((char *)text, sizeof(text), "watari/%s", purpose);

	/* the name ends with its NUL, so that no two pairs of name and bytes are one text */
	if (len < 0 || (size_t)len + 1 + n > sizeof(text))
		return -EIO;
	memcpy(text + len + 1, about, n);
	if (!HMAC(EVP_sha256(), key, (int)keylen, text, (size_t)len + 1 + n, value, NULL))
		return -EIO;
	memcpy(out, value, SEAL_PROOF_SIZE);
	explicit_bzero(value, sizeof(value));
	return 0;
}

int seal_new(struct seal **out, const uint8_t secret[SEAL_SECRET_SIZE], const char *purpose,
	unsigned index, struct err *e)
{
	struct seal *s = calloc(1, sizeof(*s));
	uint8_t key[SEAL_KEY_SIZE];
	int r;

	*out = NULL;
	if (!s)
		return err_set(e, -ENOMEM, "no memory for a key");
	r = seal_derive(secret, purpose, index, key, s->iv, e);
	s->ctx = r ? NULL : EVP_CIPHER_CTX_new();
	/* the direction is set with each nonce; the key is expanded once */
	if (!r &&
		(!s->ctx || EVP_CipherInit_ex(s->ctx, EVP_aes_256_gcm(), NULL, key, NULL, 1) != 1))
		r = err_set(e, -EIO, "AES-256-GCM cannot be set up here");
	explicit_bzero(key, sizeof(key));
	if (r)
		seal_free(s);
	else
		*out = s;
	return r;
}

void seal_free(struct seal *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->ctx); /* which wipes the key */
	explicit_bzero(s, sizeof(*s));
	free(s);
}

/* Nonce, direction and head of the next one. */
static bool seal_begin(struct seal *s, bool close, const void *head, size_t headlen)
{
	uint8_t nonce[SEAL_IV_SIZE];
	int len;

	if (s->broken || s->count == UINT64_MAX)
		return false;
	memcpy(nonce, s->iv, sizeof(nonce));
	for (unsigned i = 0; i < 8; i++)
		nonce[SEAL_IV_SIZE - 1 - i] ^= (uint8_t)(s->count >> (8 * i));
	s->count++;
	return EVP_CipherInit_ex(s->ctx, NULL, NULL, NULL, nonce, close) == 1 &&
	       EVP_CipherUpdate(s->ctx, NULL, &len, head, (int)headlen) == 1;
}

int seal_close(
	struct seal *s, const void *head, size_t headlen, const uint8_t *in, size_t n, uint8_t *out)
{
	int len = 0, rest = 0;

	if (n <= INT_MAX && seal_begin(s, true, head, headlen) &&
		(n == 0 || EVP_CipherUpdate(s->ctx, out, &len, in, (int)n) == 1) &&
		EVP_CipherFinal_ex(s->ctx, out + len, &rest) == 1 && (size_t)(len + rest) == n &&
		EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_SIZE, out + n) == 1)
		return 0;
	s->broken = true;
	return -EIO;
}

int seal_open(
	struct seal *s, const void *head, size_t headlen, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t tag[SEAL_TAG_SIZE];
	int len = 0, rest = 0;

	if (n >= SEAL_TAG_SIZE && n <= INT_MAX && seal_begin(s, false, head, headlen)) {
		n -= SEAL_TAG_SIZE;
		memcpy(tag, in + n, sizeof(tag));
		if ((n == 0 || EVP_CipherUpdate(s->ctx, out, &len, in, (int)n) == 1) &&
			EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_SIZE, tag) ==
				1 &&
			EVP_CipherFinal_ex(s->ctx, out + len, &rest) == 1)
			return 0;
	}
	s->broken = true;
	return -EBADMSG;
}
