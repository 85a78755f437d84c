/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed streams in user space: pages arrive, nothing of them is on the wire, and no byte of a
 * record that is not the peer's next one gets into guest memory. Between the two ends the test
 * carries the bytes, and may change them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "transport-tcp/keyed.h"

#define PAGE  4096u
#define PAGES 64u

static const uint8_t secret[SEAL_SECRET_SIZE] = "thirty-two bytes of a good secre";
static const uint8_t other[SEAL_SECRET_SIZE] = "thirty-two bytes of another one!";

struct rig {
	struct xport *src, *dst;
	int wire[2]; /* the other ends of the two sockets */
	_Alignas(PAGE) uint8_t from[PAGES * PAGE];
	_Alignas(PAGE) uint8_t to[PAGES * PAGE];
	uint8_t carried[2 << 20];
	size_t n;
};

static struct xport *one_end(bool is_target, const uint8_t *s, int *wire)
{
	struct xport *x;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	*wire = fd[1];
	assert_int_equal(xtcp_adopt_keyed(&x, fd, 1, is_target, s, false, NULL), 0);
	return x;
}

static void rig_open(struct rig *r, const uint8_t *target_secret)
{
	r->src = one_end(false, secret, &r->wire[0]);
	r->dst = one_end(true, target_secret, &r->wire[1]);
	assert_int_equal(xtcp_conn_region_add(r->src, 0, r->from, sizeof(r->from), NULL), 0);
	assert_int_equal(xtcp_conn_region_add(r->dst, 0, r->to, sizeof(r->to), NULL), 0);
}

static int rig_setup(void **state)
{
	struct rig *r = aligned_alloc(PAGE, sizeof(*r));

	memset(r, 0, sizeof(*r));
	*state = r;
	for (size_t i = 0; i < sizeof(r->from); i++)
		r->from[i] = (uint8_t)("a page of the guest "[i % 20]);
	rig_open(r, secret);
	return 0;
}

static void rig_close(struct rig *r)
{
	xtcp_conn_close(r->src);
	xtcp_conn_close(r->dst);
	close(r->wire[0]);
	close(r->wire[1]);
}

static int rig_teardown(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

/* Posts all pages and a message, and takes from the source what it sends. */
static void send_all(struct rig *r)
{
	struct xport_put p = { .length = 16 * PAGE };
	struct xport_event ev[8];
	ssize_t n;

	for (p.offset = 0; p.offset < sizeof(r->from); p.offset += p.length)
		assert_int_equal(xtcp_conn_put(r->src, &p, NULL), 0);
	assert_int_equal(xtcp_conn_msg(r->src, 2, "round", 6, NULL), 0);
	r->n = 0;
	do {
		assert_true(xtcp_conn_poll(r->src, 0, ev, 8, NULL) >= 0);
		n = recv(r->wire[0], r->carried + r->n, sizeof(r->carried) - r->n, MSG_DONTWAIT);
		r->n += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	assert_true(r->n > sizeof(r->from));
}

/* Gives the target @n bytes; returns the event that it reports, if any. */
static enum xport_event_type deliver(struct rig *r, const uint8_t *at, size_t n, struct err *why)
{
	struct xport_event ev;

	for (;;) {
		ssize_t put = n ? send(r->wire[1], at, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		int got;

		if (put > 0) {
			at += put;
			n -= (size_t)put;
		}
		got = xtcp_conn_poll(r->dst, 0, &ev, 1, NULL);
		assert_true(got >= 0);
		if (got) {
			*why = ev.err;
			return ev.type;
		}
		if (!n)
			return XPORT_EV_PUT_DONE; /* which a target never reports: nothing */
	}
}

static void pages_arrive_and_none_is_on_the_wire(void **state)
{
	struct rig *r = *state;
	struct err why;

	send_all(r);
	assert_null(memmem(r->carried, r->n, "of the guest", 12));
	assert_null(memmem(r->carried, r->n, "round", 5));
	assert_int_equal(deliver(r, r->carried, r->n, &why), XPORT_EV_MSG);
	assert_memory_equal(r->from, r->to, sizeof(r->to));
}

/*
 * A kernel that encrypts gets no more in one call than it is quick with, and still all of it. On a
 * socket of packets a call is one.
 */
static void what_one_call_gives_to_a_kernel_that_encrypts_is_bounded(void **state)
{
	struct rig *r = *state;
	struct xport_put p = { .length = 16 * PAGE };
	struct xport_event ev[8];
	size_t whole = 0, calls = 0;
	struct xport *x;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(xtcp_adopt(&x, fd, 1, false, &xtcp_sock_engine, NULL), 0);
	assert_int_equal(xtcp_conn_region_add(x, 0, r->from, sizeof(r->from), NULL), 0);
	x->call_max = 5000;
	for (p.offset = 0; p.offset < sizeof(r->from); p.offset += p.length)
		assert_int_equal(xtcp_conn_put(x, &p, NULL), 0);
	for (;;) {
		ssize_t n;

		assert_true(xtcp_conn_poll(x, 0, ev, 8, NULL) >= 0);
		n = recv(fd[1], r->carried, sizeof(r->carried), MSG_DONTWAIT);
		if (n < 0)
			break;
		assert_in_range(n, 1, x->call_max);
		whole += (size_t)n;
		calls++;
	}
	assert_int_equal(whole, sizeof(r->from) + PAGES / 16 * XTCP_FRAME_SIZE);
	assert_int_equal(calls, (whole + x->call_max - 1) / x->call_max);
	xtcp_conn_close(x);
	close(fd[1]);
}

/* However the bytes are cut, the same comes of them. */
static void pieces_of_any_size_make_the_same_pages(void **state)
{
	struct rig *r = *state;
	struct err why;
	size_t step = 1;

	send_all(r);
	for (size_t at = 0; at < r->n; at += step, step = step % 5000 + 617) {
		size_t n = step < r->n - at ? step : r->n - at;

		assert_int_equal(deliver(r, r->carried + at, n, &why),
			at + n == r->n ? XPORT_EV_MSG : XPORT_EV_PUT_DONE);
	}
	assert_memory_equal(r->from, r->to, sizeof(r->to));
}

static size_t record_at(const struct rig *r, unsigned i)
{
	size_t at = 0;

	while (i--)
		at += KEYED_HEAD + (size_t)keyed_head_decode(r->carried + at);
	return at;
}

/* A byte changed anywhere in the third record: what came before is there, nothing of it is. */
static void a_changed_record_gets_nothing_into_memory(void **state)
{
	static const size_t places[] = { 0, 1, 2, 4, 5, 6, 5000, 16388, 16400, 16405 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct rig *r;
		struct err why;
		size_t at;

		rig_teardown(state);
		rig_setup(state);
		r = *state;
		send_all(r);
		at = record_at(r, 2);
		r->carried[at + places[i]] ^= 4;
		assert_int_equal(deliver(r, r->carried, r->n, &why), XPORT_EV_DOWN);
		assert_int_equal(why.code, -EPROTO);
		assert_memory_equal(r->from, r->to, 2 * KEYED_CLEAR_MAX - 2 * XTCP_FRAME_SIZE);
		for (size_t k = 2 * KEYED_CLEAR_MAX; k < sizeof(r->to); k++)
			assert_int_equal(r->to[k], 0);
	}
}

static void a_record_again_or_left_out_ends_the_connection(void **state)
{
	struct rig *r = *state;
	struct err why;
	size_t second;

	send_all(r);
	second = record_at(r, 1);
	assert_int_equal(deliver(r, r->carried, second, &why), XPORT_EV_PUT_DONE);
	assert_int_equal(deliver(r, r->carried, second, &why), XPORT_EV_DOWN);
	assert_non_null(strstr(why.msg, "not sealed with this move's key"));
	rig_teardown(state);
	rig_setup(state);
	r = *state;
	send_all(r);
	second = record_at(r, 1);
	assert_int_equal(deliver(r, r->carried + second, r->n - second, &why), XPORT_EV_DOWN);
}

static void another_secret_or_none_gets_nothing_in(void **state)
{
	static const uint8_t clear[64] = "a put in clear, it seems";
	struct rig *r = *state;
	struct err why;

	rig_close(r);
	rig_open(r, other);
	send_all(r);
	assert_int_equal(deliver(r, r->carried, r->n, &why), XPORT_EV_DOWN);
	rig_close(r);
	rig_open(r, secret);
	assert_int_equal(deliver(r, clear, sizeof(clear), &why), XPORT_EV_DOWN);
	assert_non_null(strstr(why.msg, "no encrypted record"));
	for (size_t k = 0; k < sizeof(r->to); k++)
		assert_int_equal(r->to[k], 0);
}

static void only_a_record_of_data_has_a_length(void **state)
{
	static const struct {
		uint8_t head[KEYED_HEAD];
		int n;
	} heads[] = { { { 23, 3, 3, 0, 17 }, 17 }, { { 23, 3, 3, 0x40, 0x11 }, 16401 },
		{ { 23, 3, 3, 0x40, 0x12 }, -EPROTO }, { { 23, 3, 3, 0, 16 }, -EPROTO },
		{ { 22, 3, 3, 0, 17 }, -EPROTO }, { { 23, 3, 1, 0, 17 }, -EPROTO },
		{ { 23, 2, 3, 0, 17 }, -EPROTO } };

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		assert_int_equal(keyed_head_decode(heads[i].head), heads[i].n);
}

int main(void)
{
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(pages_arrive_and_none_is_on_the_wire),
		RIG_TEST(what_one_call_gives_to_a_kernel_that_encrypts_is_bounded),
		RIG_TEST(pieces_of_any_size_make_the_same_pages),
		RIG_TEST(a_changed_record_gets_nothing_into_memory),
		RIG_TEST(a_record_again_or_left_out_ends_the_connection),
		RIG_TEST(another_secret_or_none_gets_nothing_in),
		cmocka_unit_test(only_a_record_of_data_has_a_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
