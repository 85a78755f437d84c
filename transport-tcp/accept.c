/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the target's half of the handshake (see connect.h): it keeps a few half-open strangers at
 * bay while it waits for the one source with the token. Must never let a stranger end the wait,
 * hold more than a fixed number of sockets, learn how much of its guess was right, or use what
 * another has said: each newcomer is asked with a nonce of its own. Invariant: on return every
 * socket but the accepted streams is closed. Next in the flow: conn.c.
 */
#include "transport-tcp/connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"

#define XTCP_PENDING_MAX 32

/* Connected, HELLO not complete. */
struct xtcp_pending {
	int fd; /* -1: free */
	uint64_t deadline;
	size_t got;
	uint8_t nonce[XPORT_NONCE_SIZE];
	uint8_t hello[XTCP_HELLO_SIZE];
};

struct xtcp_listener {
	struct xport_addr addr;
	int fd;
	struct xtcp_pending pending[XTCP_PENDING_MAX];
	int stream[XTCP_STREAMS_MAX];                      /* -1: not here yet */
	uint8_t nonce[XTCP_STREAMS_MAX][XPORT_NONCE_SIZE]; /* ... it was asked with */
	unsigned have;
};

static int xtcp_bind(struct xtcp_listener *l, const struct addrinfo *a)
{
	int one = 1;

	l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return -errno;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l->fd, a->ai_addr, a->ai_addrlen) < 0 || listen(l->fd, 64) < 0) {
		int r = -errno;

		close(l->fd);
		l->fd = -1;
		return r;
	}
	return 0;
}

/* The port the kernel chose. */
static uint16_t xtcp_port(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage any;
	} u;
	socklen_t len = sizeof(u);

	memset(&u, 0, sizeof(u));
	getsockname(fd, &u.sa, &len);
	return ntohs(u.sa.sa_family == AF_INET6 ? u.in6.sin6_port : u.in.sin_port);
}

int xtcp_listen(struct xtcp_listener **out, struct xport_addr *addr, struct err *e)
{
	char name[XPORT_HOST_MAX + 16];
	struct addrinfo *list = NULL;
	struct xtcp_listener *l;
	int r = xport_addr_check(addr, e);

	if (!r)
		r = xport_addr_resolve(addr, true, &list, e);
	if (r)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l) {
		freeaddrinfo(list);
		return err_set(e, -ENOMEM, "no memory to listen with");
	}
	r = -EADDRNOTAVAIL;
	for (const struct addrinfo *a = list; a && r; a = a->ai_next)
		r = xtcp_bind(l, a);
	freeaddrinfo(list);
	if (r) {
		free(l);
		return err_set(e, r, "cannot listen on %s: %s",
			xport_addr_format(addr, name, sizeof(name)), strerrordesc_np(-r));
	}
	addr->port = xtcp_port(l->fd);
	l->addr = *addr;
	for (unsigned i = 0; i < XTCP_PENDING_MAX; i++)
		l->pending[i].fd = -1;
	for (unsigned i = 0; i < XTCP_STREAMS_MAX; i++)
		l->stream[i] = -1;
	*out = l;
	return 0;
}

const uint8_t *xtcp_listener_secret(const struct xtcp_listener *l)
{
	return l->addr.secret;
}

static void xtcp_listener_free(struct xtcp_listener *l)
{
	for (unsigned i = 0; i < XTCP_PENDING_MAX; i++)
		if (l->pending[i].fd >= 0)
			close(l->pending[i].fd);
	for (unsigned i = 0; i < XTCP_STREAMS_MAX; i++)
		if (l->stream[i] >= 0)
			close(l->stream[i]);
	close(l->fd);
	free(l);
}

static void xtcp_pending_drop(struct xtcp_pending *p)
{
	close(p->fd);
	p->fd = -1;
}

/* A free place, or that of the oldest stranger: whoever has the token says HELLO at once. */
static struct xtcp_pending *xtcp_pending_place(struct xtcp_listener *l)
{
	struct xtcp_pending *oldest = &l->pending[0];

	for (unsigned i = 0; i < XTCP_PENDING_MAX; i++) {
		if (l->pending[i].fd < 0)
			return &l->pending[i];
		if (l->pending[i].deadline < oldest->deadline)
			oldest = &l->pending[i];
	}
	xtcp_pending_drop(oldest);
	return oldest;
}

/* A new socket's send buffer is empty: what does not go out at once never will. */
static void xtcp_pending_ask(struct xtcp_pending *p)
{
	uint8_t ask[XTCP_WORD_SIZE];

	if (getrandom(p->nonce, sizeof(p->nonce), 0) == sizeof(p->nonce)) {
		xtcp_word_encode(p->nonce, ask);
		if (send(p->fd, ask, sizeof(ask), MSG_NOSIGNAL) == sizeof(ask))
			return;
	}
	xtcp_pending_drop(p);
}

/*
 * One newcomer per call, so that a flood of them cannot keep those who talk from being heard. An
 * error of the newcomer is no reason to stop; one of this host (never the strangers' doing, who
 * hold XTCP_PENDING_MAX descriptors at most) is: 0 or -errno.
 */
static int xtcp_pending_add(struct xtcp_listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct xtcp_pending *p;

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS
			       ? -errno
			       : 0;
	p = xtcp_pending_place(l);
	*p = (struct xtcp_pending){ .fd = fd, .deadline = xport_deadline(XTCP_HELLO_NS) };
	xtcp_pending_ask(p);
	return 0;
}

/* A complete HELLO: takes the socket as a stream, or drops it. */
static void xtcp_pending_judge(struct xtcp_listener *l, struct xtcp_pending *p)
{
	uint8_t want[XPORT_PROOF_SIZE];
	struct xtcp_hello h;
	int r = xtcp_hello_decode(&h, p->hello);

	if (!r)
		r = xport_prove(&l->addr, xtcp_proof_purpose(true), p->nonce, h.stream, want);
	if (r || !xport_proof_equal(h.proof, want) || h.streams != l->addr.streams) {
		xtcp_pending_drop(p);
		return;
	}
	if (l->stream[h.stream] >= 0)
		close(l->stream[h.stream]); /* the source tries again: the newer one counts */
	else
		l->have++;
	xtcp_socket_tune(p->fd);
	l->stream[h.stream] = p->fd;
	memcpy(l->nonce[h.stream], p->nonce, sizeof(p->nonce));
	p->fd = -1;
}

static void xtcp_pending_read(struct xtcp_listener *l, struct xtcp_pending *p)
{
	ssize_t n = recv(p->fd, p->hello + p->got, sizeof(p->hello) - p->got, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		xtcp_pending_drop(p);
		return;
	}
	p->got += (size_t)n;
	if (p->got == sizeof(p->hello))
		xtcp_pending_judge(l, p);
}

/* Drops those whose time is up; returns the earliest deadline of those left, at most @deadline. */
static uint64_t xtcp_pending_expire(struct xtcp_listener *l, uint64_t deadline)
{
	uint64_t now = clock_mono_ns();

	for (unsigned i = 0; i < XTCP_PENDING_MAX; i++) {
		struct xtcp_pending *p = &l->pending[i];

		if (p->fd >= 0 && p->deadline <= now)
			xtcp_pending_drop(p);
		else if (p->fd >= 0 && p->deadline < deadline)
			deadline = p->deadline;
	}
	return deadline;
}

/* One wait. 0, -errno, or -ECONNRESET: the lifeline has ended, and nothing else came. */
static int xtcp_accept_step(struct xtcp_listener *l, uint64_t deadline)
{
	enum { LISTEN, LIFELINE, PENDING };
	struct pollfd pfd[PENDING + XTCP_PENDING_MAX] = {
		[LISTEN] = { .fd = l->fd, .events = POLLIN },
		/* poll() leaves negative descriptors alone */
		[LIFELINE] = { .fd = l->addr.lifeline > 0 ? l->addr.lifeline : -1,
			.events = POLLRDHUP },
	};
	uint64_t until = xtcp_pending_expire(l, deadline);
	int n;

	for (unsigned i = 0; i < XTCP_PENDING_MAX; i++)
		pfd[PENDING + i] = (struct pollfd){ .fd = l->pending[i].fd, .events = POLLIN };
	n = poll(pfd, PENDING + XTCP_PENDING_MAX, xport_ms_left(until));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 1 && pfd[LIFELINE].revents)
		return -ECONNRESET;
	for (unsigned i = 0; i < XTCP_PENDING_MAX; i++)
		if (pfd[PENDING + i].revents && l->pending[i].fd == pfd[PENDING + i].fd)
			xtcp_pending_read(l, &l->pending[i]);
	return pfd[LISTEN].revents ? xtcp_pending_add(l) : 0;
}

/*
 * All streams are here: says so on each. A source that has gone meanwhile is a stranger: its dead
 * streams are forgotten and the wait goes on. -EAGAIN then. -EIO: this host can make no proof.
 */
static int xtcp_accept_finish(struct xtcp_listener *l)
{
	uint8_t proof[XPORT_PROOF_SIZE], ack[XTCP_WORD_SIZE];
	int r = 0;

	for (unsigned i = 0; i < l->addr.streams; i++) {
		char c;
		bool gone = recv(l->stream[i], &c, 1, MSG_PEEK) == 0;

		if (xport_prove(&l->addr, xtcp_proof_purpose(false), l->nonce[i], i, proof))
			return -EIO;
		xtcp_word_encode(proof, ack);
		if (!gone && send(l->stream[i], ack, sizeof(ack), MSG_NOSIGNAL) == sizeof(ack))
			continue;
		close(l->stream[i]);
		l->stream[i] = -1;
		l->have--;
		r = -EAGAIN;
	}
	return r;
}

int xtcp_accept(struct xtcp_listener *l, uint64_t timeout_ns, int fds[XTCP_STREAMS_MAX],
	unsigned *streams, struct err *e)
{
	uint64_t deadline = xport_deadline(timeout_ns);
	char name[XPORT_HOST_MAX + 16], wait[32];
	int r;

	do {
		r = xtcp_accept_step(l, deadline);
		if (!r && l->have == l->addr.streams) {
			r = xtcp_accept_finish(l);
			if (!r)
				break;
			if (r == -EAGAIN)
				r = 0;
		}
		if (!r && xport_ms_left(deadline) == 0)
			r = -ETIMEDOUT;
	} while (!r);
	if (r == -ETIMEDOUT)
		err_set(e, r, "no source came to %s within %s (%u of %u streams)",
			xport_addr_format(&l->addr, name, sizeof(name)),
			duration_format(timeout_ns, wait, sizeof(wait)), l->have, l->addr.streams);
	else if (r == -ECONNRESET)
		err_set(e, r, "the source ended the move before its data connection stood");
	else if (r)
		err_set(e, r, "waiting for the source: %s", strerrordesc_np(-r));
	*streams = l->addr.streams;
	for (unsigned i = 0; !r && i < XTCP_STREAMS_MAX; i++) {
		fds[i] = l->stream[i];
		l->stream[i] = -1;
	}
	xtcp_listener_free(l);
	return r;
}
