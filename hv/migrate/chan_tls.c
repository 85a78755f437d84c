/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the session under TLS 1.3, and is the only file that includes the library's headers for it.
 * Must never let a byte of the rendezvous through before the peer is authenticated at this end,
 * wait past a deadline, ask a terminal for a passphrase, or name more of a secret than its file.
 * Invariant: both ends prove themselves, by certificate or by the shared key; no earlier version,
 * no session is resumed, nothing is said early.
 * Next in the flow: rendezvous.c speaks on what stands here; decision 66 says why OpenSSL.
 */
#include "hv/migrate/chan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define TLS_IDENTITY  "watari" /* of the one shared key there is */
#define TLS_CIPHER    "TLS_AES_256_GCM_SHA384"
#define TLS_CERTS_MAX (64 << 10) /* bytes of a peer's certificates */
#define TLS_FLUSH_MS  300        /* for a refusal to be read before the close */

struct chan_tls {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO_METHOD *method;
	SSL_SESSION *psk;
	enum chan_how how;
	bool source;
	char host[CHAN_PATH_MAX]; /* the source's: whom it meant to reach */
};

/* ---- what went wrong, in one sentence ---------------------------------------------------------
 */

struct tls_reason {
	int code;
	const char *text;
};

/* Of the peer's certificate, or of our own. */
static const char *tls_verify_text(long code)
{
	static const struct tls_reason table[] = {
		{ X509_V_ERR_CERT_HAS_EXPIRED, "has expired: make a new one" },
		{ X509_V_ERR_CERT_NOT_YET_VALID,
			"is not valid yet: look at the clocks of both hosts" },
		{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
			"is not signed by the authority in ca.pem" },
		{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
			"is not signed by the authority in ca.pem" },
		{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
			"is not signed by the authority in ca.pem" },
		{ X509_V_ERR_CERT_SIGNATURE_FAILURE, "is not signed by the authority in ca.pem" },
		{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
			"is signed by itself, not by the authority in ca.pem" },
		{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
			"comes from another authority than the one in ca.pem" },
		{ X509_V_ERR_INVALID_PURPOSE,
			"is not made for this use: its extendedKeyUsage must name serverAuth at a "
			"target, clientAuth at a source" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].code == code)
			return table[i].text;
	return NULL;
}

/* What this end found, or the peer told in an alert, by the library's reason. */
static const char *tls_reason_text(int reason, bool source)
{
	static const struct tls_reason at_source[] = {
		{ SSL_R_WRONG_VERSION_NUMBER,
			"the target does not speak TLS: is its 'watari receive' started with --tls or "
			"--psk?" },
		{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
			"the target takes certificates, and this end has none: say --tls DIR" },
		{ SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "the target has another key" },
		{ SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER, "the target has another key" },
		{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
			"the target takes other credentials: one end was given --tls, the other --psk" },
		{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
			"the target refused this host's certificate: it has expired there" },
		{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
			"the target refused this host's certificate: it is not valid yet, or not at all" },
		{ SSL_R_TLSV1_ALERT_UNKNOWN_CA,
			"the target refused this host's certificate: it trusts another authority" },
		{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
			"the target refused this host's certificate: it is not made for clientAuth" },
		{ SSL_R_TLSV1_ALERT_INTERNAL_ERROR,
			"too many guests are arriving at the target at once; try again" },
		{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the target does not speak TLS 1.3" },
	};
	static const struct tls_reason at_target[] = {
		{ SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS" },
		{ SSL_R_HTTP_REQUEST, "the peer speaks HTTP, not TLS" },
		{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the source presented no certificate" },
		{ SSL_R_BINDER_DOES_NOT_VERIFY, "the source has another key" },
		{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
			"the source did not present the shared key: it has certificates, or nothing" },
		{ SSL_R_NO_SHARED_CIPHER,
			"the source did not present the shared key: it has certificates, or nothing" },
		{ SSL_R_UNSUPPORTED_PROTOCOL, "the source does not speak TLS 1.3" },
		{ SSL_R_TLSV1_ALERT_UNKNOWN_CA,
			"the source refused this host's certificate: it trusts another authority, or "
			"was given --psk" },
		{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
			"the source refused this host's certificate: it is not valid yet, or not for "
			"the name or address the source used" },
		{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
			"the source refused this host's certificate: it has expired there" },
		{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
			"the source refused this host's certificate: it is not made for serverAuth" },
	};
	const struct tls_reason *t = source ? at_source : at_target;
	size_t n = source ? sizeof(at_source) / sizeof(at_source[0])
			  : sizeof(at_target) / sizeof(at_target[0]);

	for (size_t i = 0; i < n; i++)
		if (t[i].code == reason)
			return t[i].text;
	return NULL;
}

/* The peer's certificate did not convince us. */
static int tls_bad_peer(const struct chan_tls *t, long verify, struct err *e)
{
	const char *who = t->source ? "target" : "source";
	const char *text = tls_verify_text(verify);

	if (t->how == CHAN_PSK)
		return err_set(e, -EACCES,
			"the %s presents a certificate in place of the shared key: it was given --tls",
			who);
	if (verify == X509_V_ERR_HOSTNAME_MISMATCH || verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
		return err_set(e, -EACCES,
			"the target's certificate is not for '%s': use the name or address it is for, "
			"or make one for this (subjectAltName)",
			t->host);
	return err_set(e, -EACCES, "the certificate of the %s %s", who,
		text ? text : X509_verify_cert_error_string(verify));
}

/* Why a call of the library failed for good. Never returns 0 or -EAGAIN. */
static int tls_failed(struct chan_tls *t, int saved, struct err *e)
{
	unsigned long first = ERR_peek_error();
	int reason = first && ERR_GET_LIB(first) == ERR_LIB_SSL ? ERR_GET_REASON(first) : 0;
	long verify = SSL_get_verify_result(t->ssl);
	const char *text = reason ? tls_reason_text(reason, t->source) : NULL;
	char detail[160] = "it closed the connection";

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK)
		tls_bad_peer(t, verify, e);
	else if (text)
		err_set(e, -EACCES, "%s", text);
	else if (!first && saved)
		err_set(e, -saved, "the secure connection was cut: %s", strerrordesc_np(saved));
	else {
		if (first && ERR_reason_error_string(first))
			snprintf(detail, sizeof(detail), "%s", ERR_reason_error_string(first));
		err_set(e, first ? -EACCES : -ECONNRESET, "the %s ended the secure connection: %s",
			t->source ? "target" : "source", detail);
	}
	ERR_clear_error();
	return e ? e->code : -EACCES;
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

static struct chan *tls_bio_chan(BIO *b)
{
	return BIO_get_data(b);
}

/* The socket through calls that neither block nor raise SIGPIPE. */
static int tls_bio_write(BIO *b, const char *buf, int n)
{
	ssize_t put = send(tls_bio_chan(b)->fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (put < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(b);
	return (int)put;
}

static int tls_bio_read(BIO *b, char *buf, int n)
{
	ssize_t got = recv(tls_bio_chan(b)->fd, buf, (size_t)n, MSG_DONTWAIT);

	BIO_clear_retry_flags(b);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(b);
	return (int)got;
}

static long tls_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH; /* nothing is kept back here */
}

static int tls_attach(struct chan *c, struct chan_tls *t)
{
	BIO *b;

	t->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
	if (!t->method || !BIO_meth_set_write(t->method, tls_bio_write) ||
		!BIO_meth_set_read(t->method, tls_bio_read) ||
		!BIO_meth_set_ctrl(t->method, tls_bio_ctrl))
		return -ENOMEM;
	b = BIO_new(t->method);
	if (!b)
		return -ENOMEM;
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	return 0;
}

/* What a call that returned @rc <= 0 waits for: -EAGAIN and *wants; 0: the peer closed; else why.
 */
static ssize_t tls_result(struct chan_tls *t, int rc, short *wants, struct err *e)
{
	int saved = errno;

	switch (SSL_get_error(t->ssl, rc)) {
	case SSL_ERROR_WANT_READ: *wants = POLLIN; return -EAGAIN;
	case SSL_ERROR_WANT_WRITE: *wants = POLLOUT; return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN: return 0;
	default: return tls_failed(t, rc < 0 ? saved : 0, e);
	}
}

static int tls_bound(size_t n)
{
	return n > 1 << 20 ? 1 << 20 : (int)n;
}

static ssize_t tls_read(struct chan *c, void *buf, size_t n, short *wants, struct err *e)
{
	struct chan_tls *t = c->own;
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_read(t->ssl, buf, tls_bound(n));
	return rc > 0 ? rc : tls_result(t, rc, wants, e);
}

static ssize_t tls_write(struct chan *c, const void *buf, size_t n, short *wants, struct err *e)
{
	struct chan_tls *t = c->own;
	ssize_t r;
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_write(t->ssl, buf, tls_bound(n));
	if (rc > 0)
		return rc;
	r = tls_result(t, rc, wants, e);
	return r ? r : err_set(e, -ECONNRESET, "the peer closed the connection");
}

static int tls_export(struct chan *c, const char *label, uint8_t out[CHAN_KEY_SIZE], struct err *e)
{
	struct chan_tls *t = c->own;

	if (SSL_export_keying_material(
		    t->ssl, out, CHAN_KEY_SIZE, label, strlen(label), NULL, 0, 0) == 1)
		return 0;
	ERR_clear_error();
	return err_set(e, -EIO, "the secure connection yields no keys for the data");
}

static void tls_free(struct chan *c)
{
	struct chan_tls *t = c->own;

	if (!t)
		return;
	SSL_free(t->ssl); /* and its BIO; the library wipes its keys */
	SSL_CTX_free(t->ctx);
	SSL_SESSION_free(t->psk);
	BIO_meth_free(t->method);
	free(t);
	c->own = NULL;
}

static const struct chan_ops chan_tls_ops = {
	.read = tls_read,
	.write = tls_write,
	.export = tls_export,
	.free = tls_free,
};

/* ---- credentials ------------------------------------------------------------------------------
 */

static int tls_no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int tls_load_key(SSL_CTX *ctx, const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	EVP_PKEY *key = NULL;
	BIO *b;

	if (fd < 0)
		return err_errno(e, "cannot open the private key %s", path);
	r = chan_key_private(fd, "the private key", path, e);
	b = r ? NULL : BIO_new_fd(fd, BIO_NOCLOSE);
	if (b)
		key = PEM_read_bio_PrivateKey(b, NULL, tls_no_passphrase, NULL);
	if (!r && !key)
		r = err_set(e, -EACCES, "%s holds no private key in PEM form without a passphrase",
			path);
	if (!r && SSL_CTX_use_PrivateKey(ctx, key) != 1)
		r = err_set(e, -EACCES, "the private key %s does not belong to cert.pem beside it",
			path);
	EVP_PKEY_free(key);
	BIO_free(b);
	close(fd);
	return r;
}

/* Our own certificate as the peer will see it: what it would refuse is said here, by its name. */
static int tls_check_own(SSL_CTX *ctx, const char *path, struct err *e)
{
	X509_STORE_CTX *s = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = NULL;
	const char *text;
	int code, r = 0;

	SSL_CTX_get0_chain_certs(ctx, &chain);
	if (!s || X509_STORE_CTX_init(s, SSL_CTX_get_cert_store(ctx), SSL_CTX_get0_certificate(ctx),
			  chain) != 1) {
		r = err_set(e, -ENOMEM, "no memory to check %s", path);
	} else if (X509_verify_cert(s) != 1) {
		code = X509_STORE_CTX_get_error(s);
		text = tls_verify_text(code);
		r = err_set(e, -EACCES, "this host's certificate %s %s", path,
			text ? text : X509_verify_cert_error_string(code));
	}
	X509_STORE_CTX_free(s);
	return r;
}

static int tls_load_certs(SSL_CTX *ctx, const char *dir, struct err *e)
{
	char ca[CHAN_PATH_MAX + 16], cert[CHAN_PATH_MAX + 16], key[CHAN_PATH_MAX + 16];
	int r;

	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	if (access(ca, R_OK) || access(cert, R_OK))
		return err_errno(e,
			"cannot read %s: --tls needs ca.pem, cert.pem and key.pem there",
			access(ca, R_OK) ? ca : cert);
	if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		return err_set(e, -EACCES, "%s holds no certificate in PEM form", ca);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return err_set(e, -EACCES, "%s holds no certificate in PEM form", cert);
	r = tls_load_key(ctx, key, e);
	return r ? r : tls_check_own(ctx, cert, e);
}

/* The shared key as the session that the library resumes: that is how TLS 1.3 sees it. */
static int tls_load_psk(SSL_SESSION **out, SSL *ssl, const char *path, struct err *e)
{
	static const unsigned char aes_256_gcm[] = { 0x13, 0x02 };
	uint8_t key[CHAN_KEY_SIZE];
	SSL_SESSION *s;
	int r = chan_key_read(path, key, e);

	if (r)
		return r;
	s = SSL_SESSION_new();
	if (!s || SSL_SESSION_set1_master_key(s, key, sizeof(key)) != 1 ||
		SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, aes_256_gcm)) != 1 ||
		SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) != 1) {
		SSL_SESSION_free(s);
		s = NULL;
		r = err_set(e, -ENOMEM, "no memory for a key");
	}
	explicit_bzero(key, sizeof(key));
	*out = s;
	return r;
}

static int tls_psk_use(
	SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *idlen, SSL_SESSION **sess)
{
	struct chan_tls *t = SSL_get_app_data(ssl);

	*sess = NULL;
	if (md && EVP_MD_get_type(md) != NID_sha384)
		return 1; /* the key is for the one cipher there is */
	*id = (const unsigned char *)TLS_IDENTITY;
	*idlen = strlen(TLS_IDENTITY);
	if (SSL_SESSION_up_ref(t->psk))
		*sess = t->psk;
	return *sess != NULL;
}

static int tls_psk_find(SSL *ssl, const unsigned char *id, size_t idlen, SSL_SESSION **sess)
{
	struct chan_tls *t = SSL_get_app_data(ssl);

	*sess = NULL;
	if (idlen == strlen(TLS_IDENTITY) && memcmp(id, TLS_IDENTITY, idlen) == 0 &&
		SSL_SESSION_up_ref(t->psk))
		*sess = t->psk;
	return 1;
}

/* ---- the session ------------------------------------------------------------------------------
 */

static int tls_name(struct chan_tls *t, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(t->ssl);
	struct in6_addr any;

	snprintf(t->host, sizeof(t->host), "%s", host);
	t->host[strcspn(t->host, "%")] = '\0'; /* a zone is this host's affair */
	if (inet_pton(AF_INET, t->host, &any) == 1 || inet_pton(AF_INET6, t->host, &any) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(p, t->host) == 1 ? 0 : -ENOMEM;
	X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(p, t->host, 0) == 1 &&
			       SSL_set_tlsext_host_name(t->ssl, t->host) == 1
		       ? 0
		       : -ENOMEM;
}

static int tls_prepare(struct chan_tls *t, const struct chan_want *w, struct err *e)
{
	int r = 0;

	t->how = w->how;
	t->ctx = SSL_CTX_new(t->source ? TLS_client_method() : TLS_server_method());
	if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(t->ctx, TLS_CIPHER) != 1)
		return err_set(e, -ENOMEM, "TLS 1.3 with %s cannot be set up here", TLS_CIPHER);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_num_tickets(t->ctx, 0);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(t->ctx, TLS_CERTS_MAX);
	SSL_CTX_set_mode(
		t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* With a shared key no certificate is trusted, so a target that shows one is refused. */
	SSL_CTX_set_verify(t->ctx,
		t->how == CHAN_TLS || t->source ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
						: SSL_VERIFY_NONE,
		NULL);
	if (t->how == CHAN_TLS)
		r = tls_load_certs(t->ctx, w->path, e);
	if (!r && !(t->ssl = SSL_new(t->ctx)))
		r = err_set(e, -ENOMEM, "no memory for a secure connection");
	if (!r && t->how == CHAN_PSK)
		r = tls_load_psk(&t->psk, t->ssl, w->path, e);
	ERR_clear_error();
	if (r || t->how != CHAN_PSK)
		return r;
	SSL_set_app_data(t->ssl, t);
	if (t->source)
		SSL_set_psk_use_session_callback(t->ssl, tls_psk_use);
	else
		SSL_set_psk_find_session_callback(t->ssl, tls_psk_find);
	return 0;
}

static int tls_handshake(struct chan *c, struct chan_tls *t, uint64_t deadline, struct err *e)
{
	for (;;) {
		short wants = 0;
		int rc, r;

		ERR_clear_error();
		errno = 0;
		rc = t->source ? SSL_connect(t->ssl) : SSL_accept(t->ssl);
		if (rc == 1)
			break;
		r = (int)tls_result(t, rc, &wants, e);
		if (r == -EAGAIN)
			r = chan_wait(c->fd, wants, deadline, e);
		else if (r == 0)
			r = err_set(e, -ECONNRESET, "the peer closed the connection");
		if (r)
			return r;
	}
	if (t->how == CHAN_PSK && !SSL_session_reused(t->ssl))
		return err_set(e, -EACCES, "the peer did not present the shared key");
	return 0;
}

/* Closing with unread bytes would take our alert with it: they are read and thrown away, a bounded
 * while and amount. */
static void tls_flush(int fd)
{
	uint64_t deadline = clock_mono_ns() + TLS_FLUSH_MS * NSEC_PER_MSEC;
	char waste[4096];

	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(fd, waste, sizeof(waste), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN) ||
			(n < 0 && chan_wait(fd, POLLIN, deadline, NULL)))
			return;
	}
}

int chan_tls_init(struct chan *c, const struct chan_want *w, const char *host, uint64_t deadline,
	struct err *e)
{
	struct chan_tls *t = calloc(1, sizeof(*t));
	struct err local = { 0 };
	int r;

	if (!e)
		e = &local;
	if (!t)
		return err_set(e, -ENOMEM, "no memory for a secure connection");
	c->own = t;
	c->ops = &chan_tls_ops;
	t->source = host != NULL;
	r = tls_prepare(t, w, e);
	if (!r && (tls_attach(c, t) || (host && t->how == CHAN_TLS && tls_name(t, host))))
		r = err_set(e, -ENOMEM, "no memory for a secure connection");
	if (!r) {
		r = tls_handshake(c, t, deadline, e);
		if (r == -EACCES && !t->source)
			tls_flush(c->fd);
	}
	return r;
}

int chan_tls_check(const struct chan_want *w, struct err *e)
{
	struct chan_tls *t = calloc(1, sizeof(*t));
	struct chan c = { .own = t };
	int r = t ? tls_prepare(t, w, e) : err_set(e, -ENOMEM, "no memory to check credentials");

	tls_free(&c);
	return r;
}
