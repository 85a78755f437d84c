/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that lie: raw sockets that speak garbage, half-frames, absurd lengths and strange
 * handshakes to the TCP engine. Each must end in one clear error, or be dropped without notice.
 * Next in the flow: tests/fuzz/tcp_frame_fuzz.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "transport-tcp/connect.h"
#include "transport-tcp/conn.h"
#include "transport-tcp/xtcp.h"

#define LONG_NS     20000000000ull
#define REGION_SIZE (1u << 20)
#define STREAMS     3

static const struct xport_ops *const ops = &xtcp_sock_ops;

/* A target on one side of socket pairs, the test itself as the source on the other. */
struct rig {
	struct xport *x;
	int peer[STREAMS];
	uint8_t *mem;
};

static void rig_open(struct rig *r, bool is_target)
{
	int fds[STREAMS];
	struct err e;

	for (int i = 0; i < STREAMS; i++) {
		int sv[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
		fds[i] = sv[0];
		r->peer[i] = sv[1];
	}
	r->mem = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->mem, MAP_FAILED);
	assert_int_equal(xtcp_adopt(&r->x, fds, STREAMS, is_target, &xtcp_sock_engine, &e), 0);
	assert_int_equal(ops->region_add(r->x, 0, r->mem, REGION_SIZE, &e), 0);
}

static void rig_close(struct rig *r)
{
	ops->close(r->x);
	for (int i = 0; i < STREAMS; i++)
		close(r->peer[i]);
	munmap(r->mem, REGION_SIZE);
}

static void rig_send(struct rig *r, int stream, const void *data, size_t len)
{
	assert_int_equal(send(r->peer[stream], data, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void rig_frame(struct rig *r, int stream, struct xtcp_frame f)
{
	uint8_t b[XTCP_FRAME_SIZE];

	xtcp_frame_encode(&f, b);
	rig_send(r, stream, b, sizeof(b));
}

static struct xport_event rig_event(struct rig *r)
{
	static struct xport_event ev[1];
	struct err e;

	assert_int_equal(ops->poll(r->x, LONG_NS, ev, 1, &e), 1);
	return ev[0];
}

static void rig_expect_down(struct rig *r, int code, const char *says)
{
	struct xport_event ev = rig_event(r);

	assert_int_equal(ev.type, XPORT_EV_DOWN);
	assert_int_equal(ev.err.code, code);
	if (!strstr(ev.err.msg, says))
		fail_msg("the error is \"%s\", it should say \"%s\"", ev.err.msg, says);
}

static void garbage(void **state)
{
	uint8_t noise[512];
	struct rig r;

	(void)state;
	memset(noise, 0xff, sizeof(noise));
	for (int stream = 0; stream < STREAMS; stream++) {
		rig_open(&r, true);
		rig_send(&r, stream, noise, sizeof(noise));
		rig_expect_down(&r, -EPROTO, "magic");
		rig_close(&r);
	}
}

static void wild_frames(void **state)
{
	static const struct {
		int stream;
		struct xtcp_frame f;
		const char *says;
	} cases[] = {
		{ 0, { .type = XTCP_FRAME_PUT, .region = 1, .length = 4096 }, "region 1" },
		{ 0, { .type = XTCP_FRAME_PUT, .offset = 100, .length = 4096 }, "offset 100" },
		{ 0, { .type = XTCP_FRAME_PUT, .offset = 1ull << 63, .length = 4096 }, "offset" },
		{ 0, { .type = XTCP_FRAME_PUT, .length = UINT32_MAX }, "length 4294967295" },
		{ 0, { .type = XTCP_FRAME_ZERO, .length = 1u << 31 }, "length 2147483648" },
		{ 1, { .type = XTCP_FRAME_PUT, .length = 4096 }, "stream 1 of 3" },
		{ 0, { .type = XTCP_FRAME_MSG, .length = UINT32_MAX, .seq = 1 }, "message length" },
		{ 0, { .type = XTCP_FRAME_MSG, .seq = 2 }, "sequence 2" },
		{ 2, { .type = XTCP_FRAME_FENCE, .seq = 0 }, "sequence 0" },
		{ 2, { .type = XTCP_FRAME_MSG, .seq = 1 }, "message on stream 2" },
		{ 0, { .type = XTCP_FRAME_FENCE, .seq = 1 }, "fence on stream 0" },
		{ 0, { .type = 77 }, "type 77" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		rig_open(&r, true);
		rig_frame(&r, cases[i].stream, cases[i].f);
		rig_expect_down(&r, -EPROTO, cases[i].says);
		for (unsigned k = 0; k < REGION_SIZE; k++)
			assert_int_equal(r.mem[k], 0);
		rig_close(&r);
	}
}

static void put_to_a_source(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r, false);
	rig_frame(&r, 0, (struct xtcp_frame){ .type = XTCP_FRAME_PUT, .length = 4096 });
	rig_expect_down(&r, -EPROTO, "target only");
	rig_close(&r);
}

static void truncated(void **state)
{
	struct xtcp_frame put = { .type = XTCP_FRAME_PUT, .length = 8192 };
	uint8_t b[XTCP_FRAME_SIZE], page[4096];
	struct rig r;

	(void)state;
	xtcp_frame_encode(&put, b);
	memset(page, 7, sizeof(page));
	for (int body = 0; body < 2; body++) {
		rig_open(&r, true);
		rig_send(&r, 0, b, body ? sizeof(b) : 5);
		if (body)
			rig_send(&r, 0, page, sizeof(page));
		for (int i = 0; i < STREAMS; i++)
			shutdown(r.peer[i], SHUT_WR);
		rig_expect_down(&r, -ECONNRESET, "middle of a frame");
		rig_close(&r);
	}
}

/* Header by header, byte by byte: boundaries of reads are not boundaries of frames. */
static void one_byte_at_a_time(void **state)
{
	struct xtcp_frame put = { .type = XTCP_FRAME_PUT, .length = 4096, .offset = 4096 };
	struct xtcp_frame msg = { .type = XTCP_FRAME_MSG, .length = 3, .seq = 1, .msg_type = 9 };
	uint8_t wire[XTCP_FRAME_SIZE * 2 + 4096 + 3];
	struct xport_event ev[1];
	struct rig r;
	struct err e;

	(void)state;
	xtcp_frame_encode(&put, wire);
	memset(wire + XTCP_FRAME_SIZE, 0x5a, 4096);
	xtcp_frame_encode(&msg, wire + XTCP_FRAME_SIZE + 4096);
	memcpy(wire + sizeof(wire) - 3, "abc", 3);
	rig_open(&r, true);
	for (int i = 1; i < STREAMS; i++)
		rig_frame(&r, i, (struct xtcp_frame){ .type = XTCP_FRAME_FENCE, .seq = 1 });
	for (size_t i = 0; i < sizeof(wire); i++) {
		rig_send(&r, 0, wire + i, 1);
		assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), i + 1 == sizeof(wire));
	}
	assert_int_equal(ev[0].type, XPORT_EV_MSG);
	assert_int_equal(ev[0].msg_type, 9);
	assert_memory_equal(ev[0].data, "abc", 3);
	assert_int_equal(r.mem[4095], 0);
	assert_int_equal(r.mem[4096], 0x5a);
	assert_int_equal(r.mem[8191], 0x5a);
	assert_int_equal(r.mem[8192], 0);
	rig_close(&r);
}

/* The message is whole, a fence is missing: it must wait, and go when the last fence is in. */
static void message_waits_for_every_fence(void **state)
{
	struct xtcp_frame fence = { .type = XTCP_FRAME_FENCE, .seq = 1 };
	struct xport_event ev[1];
	struct rig r;
	struct err e;

	(void)state;
	rig_open(&r, true);
	rig_frame(&r, 0, (struct xtcp_frame){ .type = XTCP_FRAME_MSG, .seq = 1 });
	assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0);
	rig_frame(&r, 2, fence);
	assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0);
	rig_frame(&r, 1, fence);
	assert_int_equal(rig_event(&r).type, XPORT_EV_MSG);
	rig_close(&r);
}

/* One stream has ended, what was said on another is still under way: it counts. */
static void end_of_one_stream_waits_for_the_others(void **state)
{
	struct xtcp_frame fence = { .type = XTCP_FRAME_FENCE, .seq = 1 };
	struct xport_event ev[1];
	struct rig r;
	struct err e;

	(void)state;
	rig_open(&r, true);
	rig_frame(&r, 1, fence);
	rig_frame(&r, 2, fence);
	shutdown(r.peer[1], SHUT_WR);
	assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0);
	assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0);
	rig_frame(&r, 0, (struct xtcp_frame){ .type = XTCP_FRAME_MSG, .seq = 1 });
	assert_int_equal(rig_event(&r).type, XPORT_EV_MSG);
	rig_expect_down(&r, -ECONNRESET, "closed the connection");
	rig_close(&r);
}

/* 64 MiB announced, nothing sent: no memory may be taken for it. */
static void announced_is_not_allocated(void **state)
{
	struct xport_event ev[1];
	struct rig r;
	struct err e;

	(void)state;
	rig_open(&r, true);
	rig_frame(&r, 0,
		(struct xtcp_frame){ .type = XTCP_FRAME_MSG, .seq = 1, .length = XPORT_MSG_MAX });
	assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0);
	assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0);
	assert_true(r.x->inbox.mem.cap <= 64u << 10);
	rig_close(&r);
}

/* Messages nobody takes: the target holds one, and TCP holds the peer. */
static void flood_of_messages_is_held_back(void **state)
{
	struct xtcp_frame msg = { .type = XTCP_FRAME_MSG };
	struct xport_event ev[1];
	struct rig r;
	struct err e;

	(void)state;
	rig_open(&r, true);
	for (msg.seq = 1; msg.seq <= 50; msg.seq++)
		rig_frame(&r, 0, msg);
	for (int i = 0; i < 10; i++)
		assert_int_equal(ops->poll(r.x, 0, ev, 1, &e), 0); /* its fences never came */
	assert_int_equal(r.x->stream[0].rx_seq, 1);
	assert_true(r.x->stats.wire_bytes_in <= 2 * XTCP_FRAME_SIZE);
	rig_close(&r);
}

/* ---- strangers at the door ---------------------------------------------------------------- */

struct door {
	struct xport_addr addr;
	struct xport_listener *l;
	pthread_t thread;
	struct xport *x;
	int r;
	struct err e;
};

static void *door_main(void *arg)
{
	struct door *d = arg;

	d->r = ops->accept(d->l, LONG_NS, &d->x, &d->e);
	return NULL;
}

static void door_open(struct door *d)
{
	*d = (struct door){ .addr = { .host = "127.0.0.1", .streams = 2 } };
	memcpy(d->addr.token, "correct token 16", XPORT_TOKEN_SIZE);
	assert_int_equal(ops->listen(&d->l, &d->addr, &d->e), 0);
	assert_int_equal(pthread_create(&d->thread, NULL, door_main, d), 0);
}

/* The source with the token comes after all the strangers and must be let in. */
static void door_expect_source(struct door *d)
{
	struct xport *src;
	struct err e;

	if (ops->connect(&src, &d->addr, LONG_NS, &e))
		fail_msg("%s", e.msg);
	pthread_join(d->thread, NULL);
	assert_int_equal(d->r, 0);
	ops->close(src);
	ops->close(d->x);
}

static int door_knock(const struct door *d)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(d->addr.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)(void *)&to, sizeof(to)), 0);
	return fd;
}

/* True once the door has shut this socket, whatever it asked before; blocks until then. */
static bool door_shut(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
	return true;
}

/* What a source with the token says to what this socket is asked. */
static void door_answer(const struct door *d, int fd, uint16_t stream, uint8_t out[XTCP_HELLO_SIZE])
{
	struct xtcp_hello h = { .stream = stream, .streams = (uint16_t)d->addr.streams };
	uint8_t ask[XTCP_WORD_SIZE];

	assert_int_equal(recv(fd, ask, sizeof(ask), MSG_WAITALL), sizeof(ask));
	assert_int_equal(xtcp_word_check(ask, sizeof(ask), NULL), 0);
	assert_int_equal(xport_prove(&d->addr, xtcp_proof_purpose(true),
				 ask + XTCP_WORD_SIZE - XPORT_NONCE_SIZE, stream, h.proof),
		0);
	xtcp_hello_encode(&h, out);
}

/* Who sees a source's answer on its way has nothing that lets him in beside it, or in its place. */
static void what_a_source_said_opens_no_other_connection(void **state)
{
	uint8_t said[XTCP_HELLO_SIZE], again[XTCP_HELLO_SIZE];
	struct door d;
	int first, second;

	(void)state;
	door_open(&d);
	first = door_knock(&d);
	door_answer(&d, first, 0, said);
	assert_null(memmem(said, sizeof(said), d.addr.token, XPORT_TOKEN_SIZE));
	assert_int_equal(send(first, said, sizeof(said), 0), sizeof(said));
	for (uint16_t stream = 0; stream < 2; stream++) { /* for the same stream, and for another */
		second = door_knock(&d);
		memcpy(again, said, sizeof(again));
		again[12] = (uint8_t)stream;
		assert_int_equal(send(second, again, sizeof(again), 0), sizeof(again));
		assert_true(door_shut(second));
		close(second);
	}
	/* the first one is in as before: it waits for its other stream, and is answered then */
	second = door_knock(&d);
	door_answer(&d, second, 1, said);
	assert_int_equal(send(second, said, sizeof(said), 0), sizeof(said));
	assert_int_equal(recv(first, again, XTCP_WORD_SIZE, MSG_WAITALL), XTCP_WORD_SIZE);
	pthread_join(d.thread, NULL);
	assert_int_equal(d.r, 0);
	ops->close(d.x);
	close(first);
	close(second);
}

/* A target that has the address but not the token. */
static void *impostor_main(void *arg)
{
	static const uint8_t guess[XPORT_PROOF_SIZE] = "a wrong guess..";
	uint8_t word[XTCP_WORD_SIZE], hello[XTCP_HELLO_SIZE];
	int fd = accept(*(int *)arg, NULL, NULL);

	xtcp_word_encode(guess, word); /* for a nonce this is fine */
	if (fd >= 0 && (send(fd, word, sizeof(word), MSG_NOSIGNAL) != sizeof(word) ||
			       recv(fd, hello, sizeof(hello), MSG_WAITALL) != sizeof(hello) ||
			       send(fd, word, sizeof(word), MSG_NOSIGNAL) != sizeof(word)))
		perror("impostor");
	return (void *)(intptr_t)fd;
}

static void strangers_are_dropped(void **state)
{
	static const struct {
		size_t byte;
		uint8_t flip;
	} lies[] = {
		{ 0, 1 },  /* magic */
		{ 8, 1 },  /* version */
		{ 10, 1 }, /* reserved */
		{ 12, 2 }, /* stream 2 of 2 */
		{ 14, 1 }, /* stream count */
		{ 16, 1 }, /* proof, first byte */
		{ 31, 1 }, /* proof, last byte */
	};
	struct door d;

	(void)state;
	door_open(&d);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint8_t b[XTCP_HELLO_SIZE];
		int fd = door_knock(&d);

		door_answer(&d, fd, 0, b);
		b[lies[i].byte] ^= lies[i].flip;
		assert_int_equal(send(fd, b, sizeof(b), 0), sizeof(b));
		assert_true(door_shut(fd));
		close(fd);
	}
	door_expect_source(&d);
}

/* More silent strangers than there are places: none keeps the source out. */
static void silent_strangers_do_not_fill_the_door(void **state)
{
	enum { MANY = 60 };
	int fd[MANY];
	struct door d;

	(void)state;
	door_open(&d);
	for (int i = 0; i < MANY; i++) {
		fd[i] = door_knock(&d);
		assert_int_equal(send(fd[i], "WR", 2, 0), 2);
	}
	door_expect_source(&d);
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
}

static void slow_stranger_is_dropped_in_time(void **state)
{
	struct door d;
	uint64_t t0;
	int fd;

	(void)state;
	door_open(&d);
	fd = door_knock(&d);
	t0 = clock_mono_ns();
	assert_true(door_shut(fd));
	assert_in_range(clock_mono_ns() - t0, XTCP_HELLO_NS / 2, 3 * XTCP_HELLO_NS);
	close(fd);
	door_expect_source(&d);
}

/* A listener that answers something else, to the source's side of the handshake. */
static void *liar_main(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);

	if (fd >= 0 && send(fd, "HTTP/1.1 400 Bad Request\r\n", 26, MSG_NOSIGNAL) < 0)
		perror("send");
	return (void *)(intptr_t)fd;
}

/* Connects to @server; how that fails is @code and @words. */
static void source_meets(void *(*server)(void *), int code, const char *words)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct xport_addr a = { .host = "127.0.0.1", .streams = 1 };
	socklen_t len = sizeof(at);
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct xport *x;
	struct err e = { 0 };
	pthread_t thread;
	void *fd;

	assert_int_equal(bind(l, (struct sockaddr *)(void *)&at, sizeof(at)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)(void *)&at, &len), 0);
	a.port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&thread, NULL, server, &l), 0);
	assert_int_equal(ops->connect(&x, &a, LONG_NS, &e), code);
	assert_non_null(strstr(e.msg, words));
	pthread_join(thread, &fd);
	close((int)(intptr_t)fd);
	close(l);
}

static void source_meets_something_else(void **state)
{
	(void)state;
	source_meets(liar_main, -EPROTO, "not that of a watari");
}

static void source_meets_a_target_without_the_token(void **state)
{
	(void)state;
	source_meets(impostor_main, -EPROTO, "does not prove that it is this move's target");
}

static void refused_sentence(void **state)
{
	struct xport_addr a = { .host = "127.0.0.1", .streams = 1 };
	struct xport_listener *l;
	char want[96];
	struct xport *x;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ops->listen(&l, &a, &e), 0);
	assert_int_equal(ops->accept(l, 0, &x, &e), -ETIMEDOUT);
	assert_int_equal(ops->connect(&x, &a, LONG_NS, &e), -ECONNREFUSED);
	snprintf(want, sizeof(want), "cannot connect to 127.0.0.1:%u: Connection refused", a.port);
	assert_string_equal(e.msg, want);
}

static void bad_addresses(void **state)
{
	struct xport_addr a = { .host = "", .streams = 1 };
	struct xport_listener *l;
	struct xport *x;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ops->connect(&x, &a, LONG_NS, &e), -EINVAL);
	snprintf(a.host, sizeof(a.host), "127.0.0.1");
	a.streams = 0;
	assert_int_equal(ops->listen(&l, &a, &e), -EINVAL);
	a.streams = XTCP_STREAMS_MAX + 1;
	assert_int_equal(ops->listen(&l, &a, &e), -EINVAL);
	a.streams = 1;
	memset(a.host, 'x', sizeof(a.host));
	assert_int_equal(ops->connect(&x, &a, LONG_NS, &e), -EINVAL);
	snprintf(a.host, sizeof(a.host), "256.256.256.256.invalid");
	assert_true(ops->connect(&x, &a, LONG_NS, &e) < 0);
	assert_non_null(strstr(e.msg, "256.256.256.256.invalid"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage),
		cmocka_unit_test(wild_frames),
		cmocka_unit_test(put_to_a_source),
		cmocka_unit_test(truncated),
		cmocka_unit_test(one_byte_at_a_time),
		cmocka_unit_test(message_waits_for_every_fence),
		cmocka_unit_test(end_of_one_stream_waits_for_the_others),
		cmocka_unit_test(announced_is_not_allocated),
		cmocka_unit_test(flood_of_messages_is_held_back),
		cmocka_unit_test(strangers_are_dropped),
		cmocka_unit_test(silent_strangers_do_not_fill_the_door),
		cmocka_unit_test(slow_stranger_is_dropped_in_time),
		cmocka_unit_test(what_a_source_said_opens_no_other_connection),
		cmocka_unit_test(source_meets_something_else),
		cmocka_unit_test(source_meets_a_target_without_the_token),
		cmocka_unit_test(refused_sentence),
		cmocka_unit_test(bad_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
