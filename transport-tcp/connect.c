/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the source's half of the handshake and what both halves share: addresses, socket options,
 * HELLO and ACK (see connect.h). Must never wait past its deadline, except in the resolver.
 * Invariant: on failure no socket is left open.
 * Next in the flow: accept.c (the target's half).
 */
#include "transport-tcp/connect.h"

#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/codec.h"
#include "hv/base/size.h"

/*
 * No SO_SNDBUF or SO_RCVBUF: setting either switches the kernel's own sizing off and caps it at
 * net.core.[rw]mem_max (208 KiB by default), far below what tcp_[rw]mem lets a fast link grow to.
 * All failures are ignored: a socket without an option still carries bytes.
 */
void xtcp_socket_tune(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 }, /* we gather ourselves; a message must not wait */
		/* what the kernel holds unsent goes first whatever happens, also when this copy
		 * gives way to a frozen guest; the buffer itself grows as the link needs it */
		{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, 512 << 10 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, XTCP_DEAD_MS },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 1 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 1 },
		{ IPPROTO_TCP, TCP_KEEPCNT, XTCP_DEAD_MS / 1000 - 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			sizeof(options[i].value));
}

void xtcp_hello_encode(const struct xtcp_hello *h, uint8_t out[XTCP_HELLO_SIZE])
{
	uint64_t magic = htole64(XTCP_HELLO_MAGIC);
	uint16_t f[4] = { htole16(XTCP_VERSION), 0, htole16(h->stream), htole16(h->streams) };

	memcpy(out, &magic, 8);
	memcpy(out + 8, f, 8);
	memcpy(out + 16, h->proof, XPORT_PROOF_SIZE);
}

int xtcp_hello_decode(struct xtcp_hello *h, const uint8_t in[XTCP_HELLO_SIZE])
{
	struct rbuf r = rbuf_of(in, XTCP_HELLO_SIZE);
	bool ok = rbuf_u64(&r) == XTCP_HELLO_MAGIC;

	ok = rbuf_u16(&r) == XTCP_VERSION && ok;
	ok = rbuf_u16(&r) == 0 && ok;
	h->stream = rbuf_u16(&r);
	h->streams = rbuf_u16(&r);
	rbuf_copy(&r, h->proof, sizeof(h->proof));
	return ok && rbuf_done(&r) && h->stream < h->streams ? 0 : -EPROTO;
}

void xtcp_word_encode(const uint8_t what[XPORT_PROOF_SIZE], uint8_t out[XTCP_WORD_SIZE])
{
	uint64_t magic = htole64(XTCP_HELLO_MAGIC);
	uint16_t version = htole16(XTCP_VERSION);

	memset(out, 0, XTCP_WORD_SIZE);
	memcpy(out, &magic, 8);
	memcpy(out + 8, &version, 2);
	memcpy(out + XTCP_WORD_SIZE - XPORT_PROOF_SIZE, what, XPORT_PROOF_SIZE);
}

int xtcp_word_check(const uint8_t *in, size_t n, struct err *e)
{
	static const uint8_t nothing[XPORT_PROOF_SIZE];
	const size_t fixed = XTCP_WORD_SIZE - XPORT_PROOF_SIZE;
	uint8_t want[XTCP_WORD_SIZE];

	xtcp_word_encode(nothing, want);
	if (memcmp(in, want, n < fixed ? n : fixed) != 0)
		return err_set(e, -EPROTO, "the answer is not that of a watari data connection");
	return 0;
}

/* Waits for @events on @fd. 0, -ETIMEDOUT or -errno, no message. */
static int xtcp_wait(int fd, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int n = poll(&p, 1, xport_ms_left(deadline));

		if (n > 0)
			return 0;
		if (n == 0 && xport_ms_left(deadline) == 0)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/* One address. Returns a connected socket or negative errno. */
static int xtcp_connect_one(const struct addrinfo *a, uint64_t deadline)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int soerr = 0, r = 0;
	socklen_t len = sizeof(soerr);

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
		r = errno == EINPROGRESS ? xtcp_wait(fd, POLLOUT, deadline) : -errno;
		if (!r && getsockopt(fd, SOL_SOCKET, SO_ERROR, &soerr, &len) == 0)
			r = -soerr;
	}
	if (r) {
		close(fd);
		return r;
	}
	xtcp_socket_tune(fd);
	return fd;
}

static int xtcp_connect_any(const struct addrinfo *list, uint64_t deadline)
{
	int r = -EHOSTUNREACH;

	for (; list && r < 0 && r != -ETIMEDOUT; list = list->ai_next)
		r = xtcp_connect_one(list, deadline);
	return r;
}

/* One ASK or ACK; @what is its last 16 bytes. */
static int xtcp_word_read(int fd, uint64_t deadline, uint8_t what[XPORT_PROOF_SIZE], struct err *e)
{
	uint8_t b[XTCP_WORD_SIZE];
	size_t got = 0;

	while (got < sizeof(b)) {
		ssize_t n = recv(fd, b + got, sizeof(b) - got, 0);
		int r;

		if (n > 0) {
			got += (size_t)n;
			r = xtcp_word_check(b, got, e);
			if (r)
				return r;
			continue;
		}
		if (n == 0 || errno == ECONNRESET)
			return err_set(e, -ECONNREFUSED,
				"it closed the connection; it waits for this move no longer, "
				"or expects another token or version");
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(e, "reading its answer");
		r = xtcp_wait(fd, POLLIN, deadline);
		if (r == -ETIMEDOUT)
			return err_set(e, r, "it did not answer in time");
		if (r)
			return err_set(e, r, "waiting for its answer: %s", strerrordesc_np(-r));
	}
	memcpy(what, b + XTCP_WORD_SIZE - XPORT_PROOF_SIZE, XPORT_PROOF_SIZE);
	return 0;
}

/* Answers the target's ASK. A new socket's send buffer is empty, so 32 bytes go out at once or the
 * socket is dead. @ack is what the target will have to say then. */
static int xtcp_hello(int fd, const struct xport_addr *addr, unsigned stream, uint64_t deadline,
	uint8_t ack[XPORT_PROOF_SIZE], struct err *e)
{
	struct xtcp_hello h = { .stream = (uint16_t)stream, .streams = (uint16_t)addr->streams };
	uint8_t nonce[XPORT_NONCE_SIZE], b[XTCP_HELLO_SIZE];
	int r = xtcp_word_read(fd, deadline, nonce, e);
	ssize_t n;

	_Static_assert(XPORT_NONCE_SIZE == XPORT_PROOF_SIZE, "an ASK is as long as an ACK");
	if (r)
		return r;
	if (xport_prove(addr, xtcp_proof_purpose(true), nonce, stream, h.proof) ||
		xport_prove(addr, xtcp_proof_purpose(false), nonce, stream, ack))
		return err_set(e, -EIO, "cannot make a proof of the token");
	xtcp_hello_encode(&h, b);
	n = send(fd, b, sizeof(b), MSG_NOSIGNAL);
	if (n < 0)
		return err_errno(e, "answering it");
	return n == (ssize_t)sizeof(b) ? 0 : err_set(e, -EIO, "answering it was cut short");
}

static int xtcp_connect_all(const struct xport_addr *addr, const struct addrinfo *list,
	uint64_t deadline, int fds[], struct err *e)
{
	uint8_t want[XTCP_STREAMS_MAX][XPORT_PROOF_SIZE], ack[XPORT_PROOF_SIZE];
	int r = 0;

	for (unsigned i = 0; i < addr->streams; i++) {
		fds[i] = xtcp_connect_any(list, deadline);
		if (fds[i] < 0)
			return err_set(e, fds[i], "%s", strerrordesc_np(-fds[i]));
	}
	for (unsigned i = 0; i < addr->streams && !r; i++)
		r = xtcp_hello(fds[i], addr, i, deadline, want[i], e);
	for (unsigned i = 0; i < addr->streams && !r; i++) {
		r = xtcp_word_read(fds[i], deadline, ack, e);
		if (!r && !xport_proof_equal(ack, want[i]))
			r = err_set(e, -EPROTO, "it does not prove that it is this move's target");
	}
	return r;
}

int xtcp_connect(const struct xport_addr *addr, uint64_t timeout_ns, int fds[XTCP_STREAMS_MAX],
	struct err *e)
{
	uint64_t deadline = xport_deadline(timeout_ns);
	char name[XPORT_HOST_MAX + 16];
	struct addrinfo *list;
	struct err cause = { 0 };
	int r = xport_addr_check(addr, e);

	if (!r)
		r = xport_addr_resolve(addr, false, &list, e);
	if (r)
		return r;
	for (unsigned i = 0; i < XTCP_STREAMS_MAX; i++)
		fds[i] = -1;
	r = xtcp_connect_all(addr, list, deadline, fds, &cause);
	freeaddrinfo(list);
	if (!r)
		return 0;
	for (unsigned i = 0; i < XTCP_STREAMS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err_set(e, r, "cannot connect to %s: %s",
		xport_addr_format(addr, name, sizeof(name)), cause.msg);
}
