/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the channel in clear and the waiting of both kinds (see chan.h). Must never wait without a
 * limit, nor let a peer that sends a byte now and then move that limit.
 * Next in the flow: chan_tls.c.
 */
#include "hv/migrate/chan.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"

int chan_wait(int fd, short events, uint64_t deadline, struct err *e)
{
	uint64_t now = clock_mono_ns();
	struct pollfd pfd = { .fd = fd, .events = events };
	struct timespec ts;
	int n;

	if (now > deadline)
		now = deadline;
	ts.tv_sec = (time_t)((deadline - now) / NSEC_PER_SEC);
	ts.tv_nsec = (long)((deadline - now) % NSEC_PER_SEC);
	n = ppoll(&pfd, 1, &ts, NULL);
	if (n < 0 && errno != EINTR)
		return err_errno(e, "waiting for the peer failed");
	if (n == 0)
		return err_set(e, -ETIMEDOUT, "the peer does not answer");
	return 0;
}

/* ---- in clear ------------------------------------------------------------------------------- */

static ssize_t chan_plain_read(struct chan *c, void *buf, size_t n, short *wants, struct err *e)
{
	ssize_t got = recv(c->fd, buf, n, MSG_DONTWAIT);

	if (got >= 0)
		return got;
	*wants = POLLIN;
	if (errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	return err_errno(e, "cannot read from the peer");
}

static ssize_t chan_plain_write(
	struct chan *c, const void *buf, size_t n, short *wants, struct err *e)
{
	ssize_t put = send(c->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put > 0)
		return put;
	*wants = POLLOUT;
	if (put == 0 || errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	return err_errno(e, "cannot write to the peer");
}

static int chan_plain_export(
	struct chan *c, const char *label, uint8_t out[CHAN_KEY_SIZE], struct err *e)
{
	(void)c;
	(void)label;
	memset(out, 0, CHAN_KEY_SIZE);
	return err_set(e, -ENOTSUP, "a connection in clear has no keys: --tls or --psk has");
}

static void chan_plain_free(struct chan *c)
{
	(void)c; /* a socket needs nothing beside itself */
}

static const struct chan_ops chan_plain_ops = {
	.read = chan_plain_read,
	.write = chan_plain_write,
	.export = chan_plain_export,
	.free = chan_plain_free,
};

struct chan chan_plain(int fd)
{
	return (struct chan){ .fd = fd, .ops = &chan_plain_ops };
}

/* ---- both kinds ------------------------------------------------------------------------------ */

int chan_want_parse(
	struct chan_want *w, const char *tls, const char *psk, bool encrypt, struct err *e)
{
	const char *path = tls ? tls : psk;
	char *real;
	int r = 0;

	*w = (struct chan_want){ .how = CHAN_PLAIN };
	if (tls && psk)
		return err_set(e, -EINVAL, "--tls and --psk exclude each other: say one of them");
	if (encrypt && !path)
		return err_set(e, -EINVAL,
			"--encrypt needs keys that both hosts trust: say --tls DIR or --psk FILE, too");
	if (!path)
		return 0;
	real = realpath(path, NULL);
	if (!real)
		return err_errno(e, "cannot use %s '%s'", tls ? "--tls" : "--psk", path);
	if (strlen(real) >= sizeof(w->path))
		r = err_set(e, -ENAMETOOLONG, "the path '%s' is longer than %u bytes", real,
			CHAN_PATH_MAX - 1);
	else
		strcpy(w->path, real);
	free(real);
	w->how = tls ? CHAN_TLS : CHAN_PSK;
	w->encrypt = encrypt;
	return r;
}

int chan_want_check(const struct chan_want *w, struct err *e)
{
	return w->how == CHAN_PLAIN ? 0 : chan_tls_check(w, e);
}

int chan_open(struct chan **out, int fd, const struct chan_want *w, const char *host,
	uint64_t deadline, struct err *e)
{
	struct chan *c = malloc(sizeof(*c));
	int r = 0;

	*out = NULL;
	if (!c) {
		close(fd);
		return err_set(e, -ENOMEM, "no memory for a connection");
	}
	*c = chan_plain(fd);
	if (w->how != CHAN_PLAIN)
		r = chan_tls_init(c, w, host, deadline, e);
	if (r)
		chan_close(c);
	else
		*out = c;
	return r;
}

void chan_close(struct chan *c)
{
	if (!c)
		return;
	c->ops->free(c);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

int chan_read(struct chan *c, void *buf, size_t n, uint64_t deadline, struct err *e)
{
	uint8_t *p = buf;

	while (n) {
		short wants = 0;
		ssize_t got = c->ops->read(c, p, n, &wants, e);
		int r;

		if (got > 0) {
			p += got;
			n -= (size_t)got;
			continue;
		}
		if (got == 0 && p != buf)
			return err_set(e, -ECONNABORTED, CHAN_CUT_SHORT);
		if (got == 0)
			return err_set(e, -ECONNRESET, "the peer closed the connection");
		r = got == -EAGAIN ? chan_wait(c->fd, wants, deadline, e) : (int)got;
		if (r)
			return r;
	}
	return 0;
}

int chan_write(struct chan *c, const void *buf, size_t n, uint64_t deadline, struct err *e)
{
	const uint8_t *p = buf;

	while (n) {
		short wants = 0;
		ssize_t put = c->ops->write(c, p, n, &wants, e);
		int r;

		if (put > 0) {
			p += put;
			n -= (size_t)put;
			continue;
		}
		r = put == -EAGAIN ? chan_wait(c->fd, wants, deadline, e) : (int)put;
		if (r)
			return r;
	}
	return 0;
}

int chan_export(struct chan *c, const char *label, uint8_t out[CHAN_KEY_SIZE], struct err *e)
{
	return c->ops->export(c, label, out, e);
}
