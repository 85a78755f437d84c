/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the rendezvous connection: frames with a deadline each, and the conversation of
 * rendezvous.h. Must never read more than a frame's bound from a peer, nor wait without a limit.
 * Next in the flow: move.c.
 */
#include "hv/migrate/rendezvous.h"

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
#include "hv/migrate/rdv_codec.h"

#define RDV_PINGS   8
#define RDV_CHECKS  4u                   /* of them CHECKs, which take our time */
#define RDV_ASKS    256u                 /* frames a source may send before its offer */
#define RDV_FILL_NS (60 * NSEC_PER_MSEC) /* a link is timed for so long ... */
#define RDV_FILLS   128u                 /* ... or by so many frames of RDV_FRAME_MAX */

#define RDV_TLS_HANDSHAKE 0x16 /* what TLS begins with; of a frame it would be the length */

#ifndef WATARI_VERSION
#define WATARI_VERSION "0.1"
#endif

const char *rdv_software(void)
{
	return WATARI_VERSION;
}

/* ---- frames ------------------------------------------------------------------------------- */

/* One frame: header and body in one write, so that it leaves in one packet. */
static int rdv_send(struct chan *c, enum rdv_type type, const struct wbuf *body, uint64_t deadline,
	struct err *e)
{
	struct wbuf w;
	int r;

	wbuf_init(&w);
	wbuf_u32(&w, body ? (uint32_t)body->len : 0);
	wbuf_u16(&w, (uint16_t)type);
	if (body)
		wbuf_bytes(&w, body->data, body->len);
	if (w.failed || (body && body->failed))
		r = err_set(e, -ENOMEM, "no memory for a message to the peer");
	else
		r = chan_write(c, w.data, w.len, deadline, e);
	wbuf_fini(&w);
	return r;
}

struct rdv_frame {
	unsigned type;
	size_t len;
	uint8_t body[RDV_FRAME_MAX];
};

static int rdv_recv(struct chan *c, struct rdv_frame *f, uint64_t deadline, struct err *e)
{
	uint8_t head[6];
	struct rbuf r;
	int rc = chan_read(c, head, sizeof(head), deadline, e);

	if (rc)
		return rc;
	r = rbuf_of(head, sizeof(head));
	f->len = rbuf_u32(&r);
	f->type = rbuf_u16(&r);
	if (head[0] == RDV_TLS_HANDSHAKE && head[1] == 3)
		return err_set(e, -EPROTO,
			"the peer speaks TLS, and this end was started without --tls or --psk");
	if (f->len > sizeof(f->body) || f->type < RDV_HELLO || f->type > RDV_LAST)
		return err_set(e, -EPROTO, "the peer is no watari: it does not speak its protocol");
	rc = chan_read(c, f->body, f->len, deadline, e);
	return rc == -ECONNRESET ? err_set(e, -ECONNABORTED, CHAN_CUT_SHORT) : rc;
}

/* As rdv_recv(), and the frame must be of @type. A refusal comes back as the peer's own words. */
static int rdv_expect(
	struct chan *c, struct rdv_frame *f, enum rdv_type type, uint64_t deadline, struct err *e)
{
	int r = rdv_recv(c, f, deadline, e);
	char why[400];
	struct rbuf b;

	if (r || f->type == type)
		return r;
	if (f->type != RDV_REFUSE && f->type != RDV_BUSY)
		return err_set(e, -EPROTO, "the peer spoke out of turn (frame %u instead of %u)",
			f->type, type);
	b = rbuf_of(f->body, f->len);
	rbuf_str(&b, why, sizeof(why));
	if (!rbuf_done(&b))
		return err_set(e, -EPROTO, "the peer refused without a readable reason");
	if (f->type == RDV_BUSY)
		return err_set(e, -EUSERS, "the target is busy: %s", why);
	return err_set(e, -ECONNREFUSED, "the target refused: %s", why);
}

/* ---- the source's half -------------------------------------------------------------------- */

static int rdv_connect_one(const struct addrinfo *ai, uint64_t deadline, struct err *e)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0, one = 1;
	socklen_t len = sizeof(err);

	if (fd < 0)
		return err_errno(e, "cannot make a socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS) {
		err_errno(e, "cannot connect");
		goto out;
	}
	if (chan_wait(fd, POLLOUT, deadline, e))
		goto out;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		errno = err;
		err_errno(e, "cannot connect");
		goto out;
	}
	return fd;
out:
	close(fd);
	return e->code;
}

int rdv_connect(struct chan **out, const char *host, uint16_t port, const struct chan_want *want,
	uint64_t timeout_ns, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct addrinfo *list, *ai;
	struct err local;
	char service[8];
	int r, fd = -1;

	*out = NULL;
	if (!e)
		e = &local;
	snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, &list);
	if (r)
		return err_set(e, -EHOSTUNREACH, "cannot resolve '%s': %s", host, gai_strerror(r));
	for (ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = rdv_connect_one(ai, deadline, e);
	freeaddrinfo(list);
	if (fd < 0)
		return err_wrap(e, "the target %s:%u cannot be reached", host, port);
	r = chan_open(out, fd, want, host, deadline, e);
	return r ? err_wrap(e, "no secure connection to %s:%u", host, port) : 0;
}

int rdv_host(int fd, bool peer, char *host, struct err *e)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int r = peer ? getpeername(fd, (struct sockaddr *)&sa, &len)
		     : getsockname(fd, (struct sockaddr *)&sa, &len);

	if (r < 0)
		return err_errno(e, "cannot tell the %s address", peer ? "peer's" : "own");
	r = getnameinfo((struct sockaddr *)&sa, len, host, XPORT_HOST_MAX, NULL, 0, NI_NUMERICHOST);
	if (r)
		return err_set(e, -EIO, "cannot tell the %s address: %s", peer ? "peer's" : "own",
			gai_strerror(r));
	return 0;
}

int rdv_meet(struct chan *c, uint64_t memory, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns, none;
	struct rdv_frame f;
	struct wbuf w;
	struct rbuf b;
	int r;

	wbuf_init(&w);
	rdv_hello_encode(memory, &w);
	r = rdv_send(c, RDV_HELLO, &w, deadline, e);
	if (!r)
		r = rdv_expect(c, &f, RDV_HELLO, deadline, e);
	wbuf_fini(&w);
	if (r)
		return r;
	b = rbuf_of(f.body, f.len);
	return rdv_hello_decode(&none, &b, e);
}

int rdv_can_read(struct chan *c, struct rdv_transports *there, uint64_t timeout_ns, struct err *e)
{
	struct rdv_frame f;
	struct rbuf b;
	int r = rdv_expect(c, &f, RDV_CAN, clock_mono_ns() + timeout_ns, e);

	if (r)
		return r;
	b = rbuf_of(f.body, f.len);
	return rdv_can_decode(there, &b, e);
}

int rdv_offer_send(struct chan *c, const struct rdv_offer *o, struct rdv_accept *out,
	uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct rdv_frame f;
	struct wbuf w;
	struct rbuf b;
	int r;

	wbuf_init(&w);
	rdv_offer_encode(o, &w);
	r = rdv_send(c, RDV_OFFER, &w, deadline, e);
	if (!r)
		r = rdv_expect(c, &f, RDV_ACCEPT, deadline, e);
	wbuf_fini(&w);
	if (r)
		return r;
	b = rbuf_of(f.body, f.len);
	return rdv_accept_decode(out, &b, e);
}

int rdv_define_send(struct chan *c, const struct rdv_offer *o, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct rdv_frame f;
	struct wbuf w;
	int r;

	wbuf_init(&w);
	rdv_define_encode(o, &w);
	r = rdv_send(c, RDV_DEFINE, &w, deadline, e);
	if (!r)
		r = rdv_expect(c, &f, RDV_KEPT, deadline, e);
	wbuf_fini(&w);
	return r;
}

int rdv_check_send(struct chan *c, const struct wbuf *facts, uint8_t *body, size_t *len,
	uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct rdv_frame f;
	int r = rdv_send(c, RDV_CHECK, facts, deadline, e);

	if (!r)
		r = rdv_expect(c, &f, RDV_FACTS, deadline, e);
	if (r)
		return r;
	memcpy(body, f.body, f.len);
	*len = f.len;
	return 0;
}

static int rdv_ping(struct chan *c, uint64_t deadline, struct rdv_frame *f, struct err *e)
{
	int r = rdv_send(c, RDV_PING, NULL, deadline, e);

	return r ? r : rdv_expect(c, f, RDV_PONG, deadline, e);
}

int rdv_rate_measure(struct chan *c, uint64_t *rate, uint64_t timeout_ns, struct err *e)
{
	static const uint8_t nothing[RDV_FRAME_MAX];
	uint64_t deadline = clock_mono_ns() + timeout_ns, begun, bytes = 0, ns;
	struct rdv_frame f;
	struct wbuf w;
	int r;

	wbuf_init(&w);
	wbuf_bytes(&w, nothing, sizeof(nothing));
	begun = clock_mono_ns();
	for (unsigned i = 0; i < RDV_FILLS && clock_mono_ns() - begun < RDV_FILL_NS; i++) {
		r = rdv_send(c, RDV_FILL, &w, deadline, e);
		if (r)
			goto out;
		bytes += w.len;
	}
	/* The answer comes once the target has read all of them. */
	r = rdv_ping(c, deadline, &f, e);
	ns = clock_mono_ns() - begun;
	*rate = (uint64_t)((double)bytes * NSEC_PER_SEC / (double)(ns ? ns : 1));
out:
	wbuf_fini(&w);
	return r;
}

int rdv_clock_measure(struct chan *c, struct rdv_clock *out, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct rdv_frame f;
	int r;

	*out = (struct rdv_clock){ .rtt_ns = UINT64_MAX };
	for (int i = 0; i < RDV_PINGS; i++) {
		uint64_t t0 = clock_real_ns(), m0 = clock_mono_ns(), rtt, theirs;
		struct rbuf b;

		r = rdv_ping(c, deadline, &f, e);
		if (r)
			return r;
		rtt = clock_mono_ns() - m0;
		b = rbuf_of(f.body, f.len);
		theirs = rbuf_u64(&b);
		if (!rbuf_done(&b))
			return err_set(e, -EPROTO, "the target sent a malformed time");
		/* the quickest round trip bounds the error best: half of it */
		if (rtt < out->rtt_ns) {
			out->rtt_ns = rtt;
			out->offset_ns = (int64_t)(theirs - (t0 + rtt / 2));
		}
	}
	return rdv_send(c, RDV_CLOCK_END, NULL, deadline, e);
}

/* ---- the target's half -------------------------------------------------------------------- */

static void rdv_reason_send(struct chan *c, enum rdv_type type, const char *reason)
{
	struct wbuf w;

	wbuf_init(&w);
	wbuf_str(&w, reason);
	/* a second is enough for one packet; if it does not leave, the source sees the close */
	rdv_send(c, type, &w, clock_mono_ns() + NSEC_PER_SEC, NULL);
	wbuf_fini(&w);
}

void rdv_refuse_send(struct chan *c, const char *reason)
{
	rdv_reason_send(c, RDV_REFUSE, reason);
}

void rdv_busy_send(struct chan *c, const char *reason)
{
	rdv_reason_send(c, RDV_BUSY, reason);
}

void rdv_turn_away(int fd, const struct chan_want *want)
{
	/* RFC 8446 6.2: a fatal internal_error, the one alert that this end has no other use for */
	static const uint8_t alert[] = { 0x15, 3, 3, 0, 2, 2, 80 };
	struct chan clear = chan_plain(fd);

	if (want->how == CHAN_PLAIN)
		rdv_busy_send(&clear, "too many are knocking here at once");
	else
		(void)!send(fd, alert, sizeof(alert), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* 1 if the first byte is there and no TLS, 0 if it is, or negative errno. Takes nothing away. */
static int rdv_is_clear(int fd, uint64_t deadline, struct err *e)
{
	for (;;) {
		uint8_t first;
		ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
		int r;

		if (n > 0)
			return first != RDV_TLS_HANDSHAKE;
		if (n == 0)
			return err_set(e, -ECONNRESET, "the peer closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(e, "cannot read from the peer");
		r = chan_wait(fd, POLLIN, deadline, e);
		if (r)
			return r;
	}
}

int rdv_welcome(
	struct chan **out, int fd, const struct chan_want *want, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	int r = want->how == CHAN_PLAIN ? 0 : rdv_is_clear(fd, deadline, e);

	*out = NULL;
	if (r == 0)
		return chan_open(out, fd, want, NULL, deadline, e);
	if (r > 0) {
		struct chan clear = chan_plain(fd);

		rdv_refuse_send(&clear, "it takes guests under TLS only: say --tls or --psk");
		r = err_set(e, -EACCES, "the peer does not speak TLS");
	}
	close(fd);
	return r;
}

int rdv_hello_read(struct chan *c, uint64_t *memory, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct err local = { 0 };
	struct rdv_frame f;
	struct wbuf w;
	struct rbuf b;
	int r;

	if (!e)
		e = &local;
	wbuf_init(&w);
	rdv_hello_encode(0, &w);
	r = rdv_expect(c, &f, RDV_HELLO, deadline, e);
	if (!r) {
		/* Another version is answered with a refusal (below) that names both. */
		b = rbuf_of(f.body, f.len);
		r = rdv_hello_decode(memory, &b, e);
	}
	if (!r)
		r = rdv_send(c, RDV_HELLO, &w, deadline, e);
	wbuf_fini(&w);
	if (r)
		rdv_refuse_send(c, e->msg);
	return r;
}

static int rdv_pong(struct chan *c, uint64_t deadline, struct err *e)
{
	struct wbuf w;
	int r;

	wbuf_init(&w);
	wbuf_u64(&w, clock_real_ns());
	r = rdv_send(c, RDV_PONG, &w, deadline, e);
	wbuf_fini(&w);
	return r;
}

static int rdv_facts(struct chan *c, const struct rdv_checker *check, const struct rdv_frame *f,
	uint64_t *deadline, struct err *e)
{
	uint64_t begun = clock_mono_ns();
	struct wbuf w;
	int r;

	wbuf_init(&w);
	r = check->facts(check->arg, f->body, f->len, &w, e);
	*deadline += clock_mono_ns() - begun; /* our time, not the source's */
	if (!r && w.len > RDV_FRAME_MAX)
		r = err_set(e, -EMSGSIZE, "what this host has does not fit a message");
	if (!r)
		r = rdv_send(c, RDV_FACTS, &w, *deadline, e);
	wbuf_fini(&w);
	return r;
}

/* Answers what is asked ahead of the offer, which is then in @f. 1: it was all the source wanted.
 */
static int rdv_answer(struct chan *c, const struct rdv_checker *check, struct rdv_frame *f,
	uint64_t deadline, struct err *e)
{
	unsigned checked = 0;

	for (unsigned i = 0; i < RDV_ASKS; i++) {
		int r = rdv_recv(c, f, deadline, e);

		if (r == -ECONNRESET)
			return 1; /* between two messages: it has seen what it wanted to see */
		if (r || !check || f->type == RDV_OFFER || f->type == RDV_DEFINE)
			return r;
		if (f->type == RDV_CHECK && checked == RDV_CHECKS)
			return err_set(e, -EPROTO, "the source asks without end");
		if (f->type == RDV_CHECK)
			r = rdv_facts(c, check, f, &deadline, e);
		else if (f->type == RDV_PING)
			r = rdv_pong(c, deadline, e);
		else if (f->type != RDV_CLOCK_END && f->type != RDV_FILL)
			return 0; /* out of turn: the caller says so */
		if (r)
			return r;
		checked += f->type == RDV_CHECK;
	}
	return err_set(e, -EPROTO, "the source asks without end");
}

int rdv_offer_read(struct chan *c, const struct rdv_transports *here,
	const struct rdv_checker *check, struct rdv_offer *o, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct err local = { 0 };
	struct rdv_frame f;
	struct wbuf w;
	struct rbuf b;
	int r;

	if (!e)
		e = &local;
	wbuf_init(&w);
	rdv_can_encode(here, &w);
	r = rdv_send(c, RDV_CAN, &w, deadline, e);
	wbuf_fini(&w);
	if (!r)
		r = rdv_answer(c, check, &f, deadline, e);
	if (!r) {
		b = rbuf_of(f.body, f.len);
		if (f.type == RDV_DEFINE)
			r = rdv_define_decode(o, &b, e);
		else if (f.type == RDV_OFFER)
			r = rdv_offer_decode(o, &b, e);
		else
			r = err_set(e, -EPROTO, "the source spoke out of turn (frame %u)", f.type);
	}
	if (r < 0)
		rdv_refuse_send(c, e->msg);
	return r;
}

int rdv_accept_send(struct chan *c, const struct rdv_accept *a, uint64_t timeout_ns, struct err *e)
{
	struct wbuf w;
	int r;

	wbuf_init(&w);
	rdv_accept_encode(a, &w);
	r = rdv_send(c, RDV_ACCEPT, &w, clock_mono_ns() + timeout_ns, e);
	wbuf_fini(&w);
	return r;
}

int rdv_kept_send(struct chan *c, uint64_t timeout_ns, struct err *e)
{
	return rdv_send(c, RDV_KEPT, NULL, clock_mono_ns() + timeout_ns, e);
}

int rdv_clock_serve(struct chan *c, uint64_t timeout_ns, struct err *e)
{
	uint64_t deadline = clock_mono_ns() + timeout_ns;
	struct rdv_frame f;
	int r;

	for (;;) {
		r = rdv_recv(c, &f, deadline, e);
		if (r || f.type == RDV_CLOCK_END)
			return r;
		if (f.type != RDV_PING)
			return err_set(
				e, -EPROTO, "the source spoke out of turn (frame %u)", f.type);
		r = rdv_pong(c, deadline, e);
		if (r)
			return r;
	}
}

int rdv_peer_gone(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}
