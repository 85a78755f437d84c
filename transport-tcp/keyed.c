/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the engine that makes and opens the records of keyed streams itself (see keyed.h). Must
 * never let a byte into guest memory, or act on one, before its record is proven: hence a buffer
 * between, which the engines in clear do without. Nor seal guest memory in place of a copy, which
 * the guest could change between the cipher and the tag.
 * Invariant: what is sealed has been copied, so it is settled at once; a stream holds a fixed
 * amount, whatever the peer sends.
 * Next in the flow: recv.c.
 */
#include "transport-tcp/keyed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define KEYED_RECORD (KEYED_HEAD + KEYED_BODY_MAX)
#define KEYED_OUT    4  /* records sealed ahead of the socket */
#define KEYED_IN     16 /* ... taken from it in one call */
#define KEYED_IOV    64
#define KEYED_TURN   (8u << 20) /* bytes, after which the other streams get theirs */

struct keyed_stream {
	struct seal *tx, *rx;
	size_t out_at, out_end;     /* sealed, to be sent */
	size_t in_at, in_end;       /* received, to be opened */
	size_t clear_at, clear_end; /* opened, to be taken */
	uint8_t out[KEYED_OUT * KEYED_RECORD];
	uint8_t in[KEYED_IN * KEYED_RECORD];
	uint8_t clear[KEYED_BODY_MAX];
};

int keyed_head_decode(const uint8_t head[KEYED_HEAD])
{
	int n = head[3] << 8 | head[4];

	if (head[0] != KEYED_TYPE || head[1] != 3 || head[2] != 3 || n < KEYED_BODY_MIN ||
		n > (int)KEYED_BODY_MAX)
		return -EPROTO;
	return n;
}

static struct keyed_stream *keyed_of(struct xport *x, unsigned i)
{
	return (struct keyed_stream *)x->own + i;
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* Copies up to @n bytes of the pieces, which move on. Returns how many. */
static size_t keyed_copy(uint8_t *to, size_t n, struct iovec **iov, int *pieces)
{
	size_t done = 0;

	while (done < n && *pieces) {
		size_t part = (*iov)->iov_len < n - done ? (*iov)->iov_len : n - done;

		memcpy(to + done, (*iov)->iov_base, part);
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + part;
		(*iov)->iov_len -= part;
		done += part;
		if (!(*iov)->iov_len) {
			(*iov)++;
			(*pieces)--;
		}
	}
	return done;
}

/* Seals what the queue has next, as much as there is room for. 0 or negative errno. */
static int keyed_fill(struct xtcp_stream *s, struct keyed_stream *k)
{
	struct iovec iov[KEYED_IOV], *at = iov;
	size_t want, taken = 0;
	bool big;
	int pieces = xtcp_queue_gather(&s->tx, iov, KEYED_IOV, UINT32_MAX, &want, &big), r = 0;

	k->out_at = k->out_end = 0;
	for (int i = 0; i < KEYED_OUT && pieces && !r; i++) {
		uint8_t *head = k->out + k->out_end, *body = head + KEYED_HEAD;
		size_t n = keyed_copy(body, KEYED_CLEAR_MAX, &at, &pieces);
		size_t len = n + 1 + SEAL_TAG_SIZE;

		memcpy(head, (uint8_t[]){ KEYED_TYPE, 3, 3, (uint8_t)(len >> 8), (uint8_t)len },
			KEYED_HEAD);
		body[n] = KEYED_TYPE;
		r = seal_close(k->tx, head, KEYED_HEAD, body, n + 1, body);
		k->out_end += KEYED_HEAD + len;
		taken += n;
	}
	xtcp_queue_advance(&s->tx, taken);
	xtcp_queue_settle(&s->tx, s->tx.sent);
	return r;
}

/* True if there is more to give the kernel now. */
static bool keyed_send(struct xport *x, unsigned i)
{
	struct xtcp_stream *s = &x->stream[i];
	struct keyed_stream *k = keyed_of(x, i);

	for (size_t total = 0; !s->tx_dead && total < KEYED_TURN;) {
		ssize_t n;

		if (k->out_at == k->out_end) {
			if (s->tx.sent == s->tx.end)
				return false;
			if (keyed_fill(s, k)) {
				xtcp_send_failed(x, s, EIO);
				return false;
			}
		}
		n = send(s->fd, k->out + k->out_at, k->out_end - k->out_at,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				xtcp_send_failed(x, s, errno);
			return false;
		}
		x->stats.wire_bytes_out += (uint64_t)n;
		k->out_at += (size_t)n;
		total += (size_t)n;
	}
	return !s->tx_dead;
}

/* ---- receiving --------------------------------------------------------------------------------
 */

static void keyed_refuse(struct xport *x, struct xtcp_stream *s, const char *what)
{
	struct err why;

	err_set(&why, -EPROTO, "the peer broke the protocol: %s", what);
	s->rx_end = true;
	xtcp_fail(x, &why);
}

/* The length of the record that is here whole, 0 if none is, or -EPROTO. */
static int keyed_whole(const struct keyed_stream *k)
{
	size_t have = k->in_end - k->in_at;
	int n;

	if (have < KEYED_HEAD)
		return 0;
	n = keyed_head_decode(k->in + k->in_at);
	return n < 0 || have >= KEYED_HEAD + (size_t)n ? n : 0;
}

/* Takes what has come from the socket. True if anything has. */
static bool keyed_take(struct xport *x, struct xtcp_stream *s, struct keyed_stream *k)
{
	ssize_t n;

	memmove(k->in, k->in + k->in_at, k->in_end - k->in_at);
	k->in_end -= k->in_at;
	k->in_at = 0;
	n = recv(s->fd, k->in + k->in_end, sizeof(k->in) - k->in_end, MSG_DONTWAIT);
	if (n > 0) {
		k->in_end += (size_t)n;
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		xtcp_recv_ended(x, s, n < 0 ? errno : 0);
	return false;
}

/* Opens the next record. True: there are bytes to take; false: not now, or the stream has ended. */
static bool keyed_next(struct xport *x, struct xtcp_stream *s, struct keyed_stream *k)
{
	int n;

	while ((n = keyed_whole(k)) == 0)
		if (!keyed_take(x, s, k))
			return false;
	if (n < 0) {
		keyed_refuse(x, s, "what came is no encrypted record");
		return false;
	}
	if (seal_open(k->rx, k->in + k->in_at, KEYED_HEAD, k->in + k->in_at + KEYED_HEAD, (size_t)n,
		    k->clear) ||
		k->clear[n - KEYED_BODY_MIN] != KEYED_TYPE) {
		keyed_refuse(x, s, "a record is not sealed with this move's key, or was changed");
		return false;
	}
	k->in_at += KEYED_HEAD + (size_t)n;
	k->clear_at = 0;
	k->clear_end = (size_t)n - KEYED_BODY_MIN;
	x->stats.wire_bytes_in +=
		KEYED_HEAD + KEYED_BODY_MIN; /* the rest is booked as it is taken */
	return true;
}

/* True if there may be more now. */
static bool keyed_recv(struct xport *x, unsigned i)
{
	struct xtcp_stream *s = &x->stream[i];
	struct keyed_stream *k = keyed_of(x, i);

	for (size_t total = 0; total < KEYED_TURN;) {
		struct iovec iov[2];
		size_t done = 0;
		/* first, so that what is complete is acted on before anybody sleeps */
		int pieces = xtcp_recv_room(x, i, iov);

		if (!pieces || (k->clear_at == k->clear_end && !keyed_next(x, s, k)))
			return false;
		for (int p = 0; p < pieces && k->clear_at < k->clear_end; p++) {
			size_t left = k->clear_end - k->clear_at;
			size_t part = iov[p].iov_len < left ? iov[p].iov_len : left;

			memcpy(iov[p].iov_base, k->clear + k->clear_at, part);
			k->clear_at += part;
			done += part;
		}
		xtcp_recv_book(x, s, done);
		total += done + 1;
	}
	return true;
}

/* ---- the engine -------------------------------------------------------------------------------
 */

static bool keyed_turn(struct xport *x)
{
	bool more = false;

	for (unsigned i = 0; i < x->streams; i++)
		more |= keyed_send(x, i);
	for (unsigned i = 0; i < x->streams; i++)
		more |= keyed_recv(x, i);
	return more;
}

static bool keyed_unsent(struct xport *x, unsigned i)
{
	const struct keyed_stream *k = keyed_of(x, i);

	return k->out_at != k->out_end || x->stream[i].tx.sent != x->stream[i].tx.end;
}

static int keyed_sleep(struct xport *x, uint64_t deadline)
{
	return xtcp_sleep(x, deadline, keyed_unsent);
}

static int keyed_open(struct xport *x, struct err *e)
{
	x->own = calloc(x->streams, sizeof(struct keyed_stream));
	return x->own ? 0 : err_set(e, -ENOMEM, "no memory for encrypted streams");
}

static void keyed_close(struct xport *x)
{
	for (unsigned i = 0; i < x->streams; i++) {
		struct keyed_stream *s = keyed_of(x, i);

		/* what poll() took as given to the kernel */
		if (s->out_at != s->out_end)
			(void)!send(x->stream[i].fd, s->out + s->out_at, s->out_end - s->out_at,
				MSG_DONTWAIT | MSG_NOSIGNAL);
		seal_free(s->tx);
		seal_free(s->rx);
		explicit_bzero(s->clear, sizeof(s->clear));
	}
	free(x->own);
}

static void keyed_recv_stop(struct xport *x, unsigned i)
{
	struct keyed_stream *k = keyed_of(x, i);

	k->clear_at = k->clear_end = 0; /* the stream is at its end: nothing of it is taken */
}

static const struct xtcp_engine keyed_engine = {
	.open = keyed_open,
	.close = keyed_close,
	.turn = keyed_turn,
	.sleep = keyed_sleep,
	.recv_stop = keyed_recv_stop,
};

int xtcp_adopt_keyed(struct xport **out, const int *fds, unsigned n, bool is_target,
	const uint8_t secret[SEAL_SECRET_SIZE], bool allow_kernel, struct err *e)
{
	int r = allow_kernel ? 0 : -ENOTSUP;
	bool kernel;

	for (unsigned i = 0; i < n && !r; i++) {
		r = keyed_kernel(fds[i], i, is_target, secret, e);
		if (r == -ENOTSUP && i)
			r = err_set(e, -EIO, "the kernel encrypts some streams, and others not");
	}
	kernel = !r;
	if (r == -ENOTSUP)
		r = 0;
	/* an adopted connection owns the sockets, also on failure */
	if (!r)
		r = xtcp_adopt(
			out, fds, n, is_target, kernel ? &xtcp_sock_engine : &keyed_engine, e);
	else
		xtcp_close_all(fds, n);
	if (!r && kernel)
		(*out)->call_max = KEYED_CALL_MAX;
	if (r || kernel)
		return r;
	for (unsigned i = 0; i < n && !r; i++) {
		struct keyed_stream *k = keyed_of(*out, i);

		r = seal_new(&k->tx, secret, keyed_purpose(!is_target), i, e);
		if (!r)
			r = seal_new(&k->rx, secret, keyed_purpose(is_target), i, e);
	}
	if (r) {
		xtcp_conn_close(*out);
		*out = NULL;
	}
	return r;
}
