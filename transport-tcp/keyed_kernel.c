/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the hand-over of a stream's records to the kernel (Documentation/networking/tls.rst). Must
 * never leave a socket with one direction under a key and the other in clear.
 * Next in the flow: sock.c, to which such a socket is one like any other.
 */
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "transport-tcp/keyed.h"

static int kernel_direction(int fd, int which, const uint8_t secret[SEAL_SECRET_SIZE],
	const char *purpose, unsigned i, struct err *e)
{
	struct tls12_crypto_info_aes_gcm_256 c = {
		.info = { .version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_256 }
	};
	uint8_t key[SEAL_KEY_SIZE], iv[SEAL_IV_SIZE];
	int r = seal_derive(secret, purpose, i, key, iv, e);

	_Static_assert(sizeof(c.key) == SEAL_KEY_SIZE, "AES-256");
	_Static_assert(sizeof(c.salt) + sizeof(c.iv) == SEAL_IV_SIZE, "the IV in two parts");
	memcpy(c.key, key, sizeof(c.key));
	memcpy(c.salt, iv, sizeof(c.salt));
	memcpy(c.iv, iv + sizeof(c.salt), sizeof(c.iv));
	if (!r && setsockopt(fd, SOL_TLS, which, &c, sizeof(c)) < 0)
		r = -errno;
	explicit_bzero(&c, sizeof(c));
	explicit_bzero(key, sizeof(key));
	explicit_bzero(iv, sizeof(iv));
	return r;
}

int keyed_kernel(
	int fd, unsigned i, bool is_target, const uint8_t secret[SEAL_SECRET_SIZE], struct err *e)
{
	int r;

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0)
		return -ENOTSUP;
	/* Until a direction has its key the socket passes bytes on as before. */
	if (kernel_direction(fd, TLS_TX, secret, keyed_purpose(!is_target), i, e))
		return -ENOTSUP;
	r = kernel_direction(fd, TLS_RX, secret, keyed_purpose(is_target), i, e);
	return r ? err_set(e, r, "the kernel encrypts what is sent, but not what is received: %s",
			   strerrordesc_np(-r))
		 : 0;
}
