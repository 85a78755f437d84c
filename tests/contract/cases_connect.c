/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends find each other, or say within their time why not; strangers change nothing.
 * Next in the flow: cases_msg.c.
 */
#include "tests/contract/contract.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hv/base/clock.h"

static void probe_speaks(void **state)
{
	const struct subject *s = *state;
	struct xport_probe pr = { 0 };

	s->ops->probe(NULL, &pr);
	assert_true(pr.usable);
	assert_true(pr.why[0] && memchr(pr.why, '\0', sizeof(pr.why)));
	assert_non_null(s->ops->name);
}

static void listen_fills_in_the_port(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l;
	struct xport *x = NULL;
	struct err e;

	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	assert_int_not_equal(a.port, 0);
	assert_int_equal(s->ops->accept(l, 0, &x, &e), -ETIMEDOUT);
}

static void accept_gives_up_in_time(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l;
	struct xport *x;
	struct err e = { 0 };
	uint64_t t0 = now_ns(), took;

	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	assert_int_equal(s->ops->accept(l, 50 * NSEC_PER_MSEC, &x, &e), -ETIMEDOUT);
	took = now_ns() - t0;
	assert_int_equal(e.code, -ETIMEDOUT);
	assert_true(e.msg[0]);
	assert_in_range(took, 50 * NSEC_PER_MSEC, 2 * NSEC_PER_SEC);
}

/* A source that has given up holds nothing here: not even the wait for it. */
static void accept_ends_with_its_lifeline(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l;
	struct acceptor *acc;
	struct xport *x;
	struct err e = { 0 };
	uint64_t t0;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	a.lifeline = ends[0];
	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	acc = acceptor_start(s, l, 2 * LONG_NS);
	t0 = now_ns();
	assert_int_equal(write(ends[1], "x", 1), 1); /* a word is not an end */
	close(ends[1]);
	assert_int_equal(acceptor_join(acc, &x, &e), -ECONNRESET);
	assert_true(e.msg[0]);
	assert_in_range(now_ns() - t0, 0, LONG_NS);
	close(ends[0]);
}

static void connect_to_nobody_is_refused(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l;
	struct xport *x;
	struct err e = { 0 };

	/* A port that was just given back: nobody else listens there. */
	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	assert_int_equal(s->ops->accept(l, 0, &x, &e), -ETIMEDOUT);
	assert_int_equal(s->ops->connect(&x, &a, LONG_NS, &e), -ECONNREFUSED);
	assert_non_null(strstr(e.msg, "refused"));
}

static void connect_gives_up_in_time(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l;
	struct xport *x;
	struct err e = { 0 };
	uint64_t t0, took;

	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	t0 = now_ns();
	if (s->ops->connect(&x, &a, 50 * NSEC_PER_MSEC, &e) != -ETIMEDOUT)
		fail_msg("connect: %d %s", e.code, e.msg);
	took = now_ns() - t0;
	assert_true(e.msg[0]);
	assert_in_range(took, 50 * NSEC_PER_MSEC, 2 * NSEC_PER_SEC);
	assert_int_equal(s->ops->accept(l, 0, &x, &e), -ETIMEDOUT);
}

static void wrong_token_is_dropped_and_the_right_one_still_taken(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s), wrong;
	struct xport_listener *l;
	struct xport *src = NULL, *dst = NULL;
	struct acceptor *acc;
	struct err e = { 0 };

	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	acc = acceptor_start(s, l, LONG_NS);
	wrong = a;
	wrong.token[XPORT_TOKEN_SIZE - 1] ^= 1;
	assert_true(s->ops->connect(&src, &wrong, LONG_NS, &e) < 0);
	assert_non_null(strstr(e.msg, "token"));
	if (s->ops->connect(&src, &a, LONG_NS, &e))
		fail_msg("connect: %s", e.msg);
	assert_int_equal(acceptor_join(acc, &dst, &e), 0);
	s->ops->close(src);
	s->ops->close(dst);
}

static void a_used_port_is_refused(void **state)
{
	const struct subject *s = *state;
	struct xport_addr a = subject_addr(s);
	struct xport_listener *l, *second;
	struct xport *x;
	struct err e = { 0 };

	assert_int_equal(s->ops->listen(&l, &a, &e), 0);
	assert_int_equal(s->ops->listen(&second, &a, &e), -EADDRINUSE);
	assert_non_null(strstr(e.msg, "in use"));
	assert_int_equal(s->ops->accept(l, 0, &x, &e), -ETIMEDOUT);
}

static void close_of_nothing_is_fine(void **state)
{
	const struct subject *s = *state;

	s->ops->close(NULL);
	assert_non_null(s->ops->close);
}

const struct contract_case cases_connect[] = {
	{ "probe says in one sentence that it is usable", probe_speaks },
	{ "listening on port 0 fills in the port", listen_fills_in_the_port },
	{ "accept gives up in time", accept_gives_up_in_time },
	{ "accept ends when its lifeline does", accept_ends_with_its_lifeline },
	{ "connecting to nobody is refused", connect_to_nobody_is_refused },
	{ "connect gives up in time when nobody accepts", connect_gives_up_in_time },
	{ "a wrong token is dropped and the right one still taken",
		wrong_token_is_dropped_and_the_right_one_still_taken },
	{ "listening on a used port is refused", a_used_port_is_refused },
	{ "closing NULL is fine", close_of_nothing_is_fine },
	{ NULL, NULL },
};
