/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control channel of a move: the bytes of the rendezvous, in clear or under TLS 1.3. What is
 * said on it is rendezvous.h's; who may say it is decided here, before the first byte is read.
 *
 *   CHAN_PLAIN  nobody is authenticated: loopback, or a network that is trusted
 *   CHAN_TLS    certificates at both ends, DIR/ca.pem, DIR/cert.pem, DIR/key.pem
 *   CHAN_PSK    one shared key in a file, for two hosts
 *
 * A channel belongs to one thread at a time and waits for nothing past the deadline it is given
 * (CLOCK_MONOTONIC, ns). Secrets are in no message, and are wiped when they are needed no more.
 * Next in the flow: chan.c, chan_tls.c (the only one that knows the library), rendezvous.h.
 */
#ifndef WATARI_MIGRATE_CHAN_H
#define WATARI_MIGRATE_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hv/base/err.h"

#define CHAN_PATH_MAX 256
#define CHAN_KEY_SIZE 32 /* bytes of a shared key, and of what chan_export() yields */

enum chan_how { CHAN_PLAIN, CHAN_TLS, CHAN_PSK };

/* What one end wants; plain data, no secret in it. All zero: in clear. */
struct chan_want {
	enum chan_how how;
	bool encrypt; /* the data streams, too */
	char path[CHAN_PATH_MAX];
};

/*
 * Fills in @w from the options' words, NULL for those not given. -EINVAL: both, or --encrypt with
 * neither; paths become absolute, so that another process finds the same file.
 */
int chan_want_parse(
	struct chan_want *w, const char *tls, const char *psk, bool encrypt, struct err *e);

struct chan;

/* How bytes move. A static const table, designated initialisers, no entry NULL. */
struct chan_ops {
	/* Up to @n bytes. > 0: so many; 0: the peer closed; -EAGAIN: *wants is what to poll() for;
	 * otherwise negative errno, told in @e. */
	ssize_t (*read)(struct chan *c, void *buf, size_t n, short *wants, struct err *e);
	ssize_t (*write)(struct chan *c, const void *buf, size_t n, short *wants, struct err *e);
	/* Key material of this session that nobody else has, under @label. -ENOTSUP in clear. */
	int (*export)(struct chan *c, const char *label, uint8_t out[CHAN_KEY_SIZE], struct err *e);
	/* Frees what is its own; not the socket. */
	void (*free)(struct chan *c);
};

struct chan {
	int fd; /* to watch, and to ask for addresses; never to read or write */
	const struct chan_ops *ops;
	void *own;
};

/* In clear, over the connected socket @fd, which becomes the channel's. */
struct chan chan_plain(int fd);

/*
 * Makes the channel that @w asks for over the connected socket @fd, which becomes its own, also on
 * failure. The source names the @host it meant to reach, NULL at the target. Done by @deadline or
 * -ETIMEDOUT. -EACCES: the credentials, this end's or the peer's, are not good; @e says whose and
 * why. A plain peer at a target that wants more has been told so.
 */
int chan_open(struct chan **out, int fd, const struct chan_want *w, const char *host,
	uint64_t deadline, struct err *e);
/* Whether the credentials of @w are good at this end, before a peer is there. 0 or as above. */
int chan_want_check(const struct chan_want *w, struct err *e);
/* Closes the socket and wipes the session. NULL is fine. */
void chan_close(struct chan *c);

#define CHAN_CUT_SHORT "the peer closed the connection in the middle of a message"

/*
 * All of @n bytes by @deadline. 0 or negative errno: -ECONNRESET where the peer closed before the
 * first of them, -ECONNABORTED (CHAN_CUT_SHORT) after it.
 */
int chan_read(struct chan *c, void *buf, size_t n, uint64_t deadline, struct err *e);
int chan_write(struct chan *c, const void *buf, size_t n, uint64_t deadline, struct err *e);
int chan_export(struct chan *c, const char *label, uint8_t out[CHAN_KEY_SIZE], struct err *e);
static inline bool chan_secure(const struct chan *c)
{
	return c->own != NULL;
}

/* Waits for @events on @fd. 0 or negative errno. */
int chan_wait(int fd, short events, uint64_t deadline, struct err *e);

/* ---- the parts, for each other -------------------------------------------------------------- */

/* chan_tls.c: the session; the socket stays the caller's on failure. */
int chan_tls_init(struct chan *c, const struct chan_want *w, const char *host, uint64_t deadline,
	struct err *e);
int chan_tls_check(const struct chan_want *w, struct err *e);

/* chan_key.c: the file of a shared key. The caller wipes @key. */
int chan_key_read(const char *path, uint8_t key[CHAN_KEY_SIZE], struct err *e);
/* Makes a new one with mode 0600; never over a file that is there. */
int chan_key_make(const char *path, struct err *e);
/* -EACCES with the way to mend it unless @fd is a regular file of this user that nobody else may
 * read or write. @what is how messages name it. */
int chan_key_private(int fd, const char *what, const char *path, struct err *e);

#endif
