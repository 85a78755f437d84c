/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What travels between the ends of a move: messages survive the round trip, anything else is
 * refused in words; the rendezvous tells strangers and other versions apart, in bounded time.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/base/clock.h"
#include "hv/migrate/rdv_codec.h"
#include "hv/migrate/wire.h"

#define LIMIT (2 * NSEC_PER_SEC)

static void messages_survive_the_round_trip(void **state)
{
	struct wire_msg in = { .round = 3,
		.save_ns = 1,
		.load_ns = 2,
		.state_bytes = 4,
		.clock_real_ns = 5,
		.clock_offset_ns = -6,
		.text = "reason" };
	struct wire_msg out;
	struct wbuf w;

	(void)state;
	wbuf_init(&w);
	for (unsigned t = WIRE_READY; t <= WIRE_ABORT; t++) {
		in.type = (enum wire_type)t;
		wbuf_reset(&w);
		wire_encode(&in, &w);
		assert_int_equal(wire_decode(&out, t, w.data, w.len, NULL), 0);
		assert_int_equal(out.type, t);
		if (t == WIRE_ROUND || t == WIRE_ROUND_ACK)
			assert_int_equal(out.round, 3);
		if (t == WIRE_READY)
			assert_int_equal(out.state_bytes, 4);
		if (t == WIRE_STATE)
			assert_true(out.clock_offset_ns == -6 && rbuf_left(&out.state) == 0);
		if (t == WIRE_ABORT)
			assert_string_equal(out.text, "reason");
	}
	wbuf_fini(&w);
}

static void malformed_messages_are_named(void **state)
{
	uint8_t junk[64] = { 0 };
	struct wire_msg m;
	struct err e;

	(void)state;
	assert_int_equal(wire_decode(&m, 99, junk, 0, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "type 99"));
	for (unsigned t = WIRE_READY; t <= WIRE_ABORT; t++) {
		if (t == WIRE_STATE)
			continue; /* its tail is sections, checked by the machine */
		assert_int_equal(wire_decode(&m, t, junk, sizeof(junk), &e), -EPROTO);
		assert_non_null(strstr(e.msg, wire_type_name(t)));
	}
	assert_int_equal(wire_decode(&m, WIRE_STATE, junk, 15, &e), -EPROTO);
}

/* What the target of these tests can do. */
static const struct rdv_transports able = {
	.n = 2,
	.t = { { "rdma", { false, "no RDMA device" } }, { "tcp", { true, "always" } } },
};

/* Both ends of a rendezvous; the target's half runs on a thread. */
struct pair {
	int fd[2];
	struct chan chan[2]; /* over fd, which stays the test's */
	struct rdv_offer *offer;
	uint64_t memory;
	int rc;
	struct err err;
};

static void *pair_target(void *arg)
{
	struct rdv_accept a = { .port = 4711, .token = "0123456789abcde" };
	struct pair *p = arg;

	p->rc = rdv_hello_read(&p->chan[1], &p->memory, LIMIT, &p->err);
	if (!p->rc)
		p->rc = rdv_offer_read(&p->chan[1], &able, NULL, p->offer, LIMIT, &p->err);
	if (!p->rc)
		p->rc = rdv_accept_send(&p->chan[1], &a, LIMIT, &p->err);
	if (!p->rc)
		p->rc = rdv_clock_serve(&p->chan[1], LIMIT, &p->err);
	return NULL;
}

static int pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->offer = calloc(1, sizeof(*p->offer));
	*state = p;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, p->fd))
		return -1;
	for (int i = 0; i < 2; i++)
		p->chan[i] = chan_plain(p->fd[i]);
	return 0;
}

static int pair_teardown(void **state)
{
	struct pair *p = *state;

	close(p->fd[0]);
	close(p->fd[1]);
	free(p->offer);
	free(p);
	return 0;
}

static void the_rendezvous_agrees_and_measures_the_clock(void **state)
{
	struct rdv_offer *o = calloc(1, sizeof(*o));
	struct pair *p = *state;
	struct rdv_transports there;
	struct rdv_clock clock;
	struct rdv_accept a;
	pthread_t t;

	strcpy(o->software, rdv_software());
	strcpy(o->name, "guest");
	strcpy(o->transport, "tcp");
	o->streams = 2;
	o->nregions = 1;
	o->region[0] = (struct rdv_region){ 0, 64ull << 20 };
	o->config_len = 3;
	memcpy(o->config, "abc", 3);
	pthread_create(&t, NULL, pair_target, p);
	assert_int_equal(rdv_meet(&p->chan[0], 42, LIMIT, &p->err), 0);
	assert_int_equal(rdv_can_read(&p->chan[0], &there, LIMIT, &p->err), 0);
	assert_int_equal(there.n, 2);
	assert_string_equal(there.t[0].name, "rdma");
	assert_false(there.t[0].can.usable);
	assert_string_equal(there.t[0].can.why, "no RDMA device");
	assert_true(there.t[1].can.usable);
	assert_int_equal(rdv_offer_send(&p->chan[0], o, &a, LIMIT, &p->err), 0);
	assert_int_equal(rdv_clock_measure(&p->chan[0], &clock, LIMIT, &p->err), 0);
	pthread_join(t, NULL);
	assert_int_equal(p->rc, 0);
	assert_int_equal(a.port, 4711);
	assert_memory_equal(a.token, "0123456789abcde", 16);
	assert_int_equal(p->memory, 42);
	assert_string_equal(p->offer->name, "guest");
	assert_int_equal(p->offer->streams, 2);
	assert_int_equal(p->offer->region[0].size, 64ull << 20);
	assert_memory_equal(p->offer->config, "abc", 3);
	/* one clock on both ends: the offset is within the error the round trip allows */
	assert_true((uint64_t)llabs((long long)clock.offset_ns) <= clock.rtt_ns);
	assert_int_equal(rdv_peer_gone(p->fd[0]), 0);
	shutdown(p->fd[1], SHUT_RDWR);
	assert_int_equal(rdv_peer_gone(p->fd[0]), 1);
	free(o);
}

/* Says what it was asked, the other way round. */
static int pair_facts(void *arg, const void *body, size_t len, struct wbuf *out, struct err *e)
{
	const uint8_t *p = body;

	(void)arg;
	if (len == 4)
		return err_set(e, -EPROTO, "no facts came");
	while (len)
		wbuf_u8(out, p[--len]);
	return 0;
}

static void *pair_asked(void *arg)
{
	const struct rdv_checker check = { .facts = pair_facts };
	struct pair *p = arg;

	p->rc = rdv_hello_read(&p->chan[1], &p->memory, LIMIT, &p->err);
	if (!p->rc)
		p->rc = rdv_offer_read(&p->chan[1], &able, &check, p->offer, LIMIT, &p->err);
	return NULL;
}

static void pair_meet(struct pair *p, pthread_t *t)
{
	struct rdv_transports there;
	struct err e;

	pthread_create(t, NULL, pair_asked, p);
	assert_int_equal(rdv_meet(&p->chan[0], 0, LIMIT, &e), 0);
	assert_int_equal(rdv_can_read(&p->chan[0], &there, LIMIT, &e), 0);
}

static void a_source_asks_before_its_offer_and_may_leave_it_at_that(void **state)
{
	static uint8_t body[RDV_FRAME_MAX];
	struct pair *p = *state;
	struct rdv_clock clock;
	uint64_t rate;
	struct wbuf w;
	struct err e;
	pthread_t t;
	size_t len;

	wbuf_init(&w);
	wbuf_bytes(&w, "facts", 5);
	pair_meet(p, &t);
	assert_int_equal(rdv_check_send(&p->chan[0], &w, body, &len, LIMIT, &e), 0);
	assert_int_equal(len, 5);
	assert_memory_equal(body, "stcaf", 5);
	assert_int_equal(rdv_clock_measure(&p->chan[0], &clock, LIMIT, &e), 0);
	assert_true((uint64_t)llabs((long long)clock.offset_ns) <= clock.rtt_ns);
	assert_int_equal(rdv_rate_measure(&p->chan[0], &rate, LIMIT, &e), 0);
	assert_true(rate > 0);
	shutdown(p->fd[0], SHUT_RDWR);
	pthread_join(t, NULL);
	assert_int_equal(p->rc, 1);
	wbuf_fini(&w);
}

/* The first @n bytes of an OFFER, the first of its body among them, and then the source closes. */
static void pair_leaves(struct pair *p, size_t n)
{
	static const uint8_t offer[8] = { 100, 0, 0, 0, RDV_OFFER, 0, 'x', 'x' };
	pthread_t t;

	pair_meet(p, &t);
	if (n)
		assert_int_equal(write(p->fd[0], offer, n), n);
	shutdown(p->fd[0], SHUT_WR);
	pthread_join(t, NULL);
}

static void who_leaves_between_two_messages_only_looked(void **state)
{
	struct pair *p = *state;

	pair_leaves(p, 0);
	assert_int_equal(p->rc, 1);
}

static void who_leaves_within_the_head_of_one_is_told_so(void **state)
{
	struct pair *p = *state;

	pair_leaves(p, 5);
	assert_int_equal(p->rc, -ECONNABORTED);
	assert_string_equal(p->err.msg, CHAN_CUT_SHORT);
}

static void who_leaves_before_the_body_of_one_is_told_so(void **state)
{
	struct pair *p = *state;

	pair_leaves(p, 6);
	assert_int_equal(p->rc, -ECONNABORTED);
	assert_string_equal(p->err.msg, CHAN_CUT_SHORT);
}

static void a_source_that_asks_for_ever_is_refused(void **state)
{
	static uint8_t body[RDV_FRAME_MAX];
	struct pair *p = *state;
	struct wbuf w;
	struct err e;
	pthread_t t;
	size_t len;
	int i, rc;

	wbuf_init(&w);
	wbuf_bytes(&w, "facts", 5);
	pair_meet(p, &t);
	for (i = 0, rc = 0; rc == 0 && i < 100; i++)
		rc = rdv_check_send(&p->chan[0], &w, body, &len, LIMIT, &e);
	pthread_join(t, NULL);
	assert_int_equal(p->rc, -EPROTO);
	assert_string_equal(p->err.msg, "the source asks without end");
	assert_int_equal(rc, -ECONNREFUSED);
	assert_int_equal(i, 5);
	wbuf_fini(&w);
}

static void facts_that_are_none_are_refused_with_the_reason(void **state)
{
	static uint8_t body[RDV_FRAME_MAX];
	struct pair *p = *state;
	struct wbuf w;
	struct err e;
	pthread_t t;
	size_t len;

	wbuf_init(&w);
	wbuf_bytes(&w, "none", 4);
	pair_meet(p, &t);
	assert_int_equal(rdv_check_send(&p->chan[0], &w, body, &len, LIMIT, &e), -ECONNREFUSED);
	assert_string_equal(e.msg, "the target refused: no facts came");
	pthread_join(t, NULL);
	assert_int_equal(p->rc, -EPROTO);
	wbuf_fini(&w);
}

static void *pair_keeper(void *arg)
{
	struct pair *p = arg;

	p->rc = rdv_hello_read(&p->chan[1], &p->memory, LIMIT, &p->err);
	if (!p->rc)
		p->rc = rdv_offer_read(&p->chan[1], &able, NULL, p->offer, LIMIT, &p->err);
	if (!p->rc)
		p->rc = rdv_kept_send(&p->chan[1], LIMIT, &p->err);
	return NULL;
}

static void a_definition_alone_is_kept_and_that_is_all(void **state)
{
	struct rdv_offer *o = calloc(1, sizeof(*o));
	struct pair *p = *state;
	struct rdv_transports there;
	pthread_t t;

	strcpy(o->software, rdv_software());
	strcpy(o->name, "guest");
	o->definition = true;
	o->config_len = RDV_CONFIG_MAX;
	memset(o->config, 'x', RDV_CONFIG_MAX);
	pthread_create(&t, NULL, pair_keeper, p);
	assert_int_equal(rdv_meet(&p->chan[0], 0, LIMIT, &p->err), 0);
	assert_int_equal(rdv_can_read(&p->chan[0], &there, LIMIT, &p->err), 0);
	assert_int_equal(rdv_define_send(&p->chan[0], o, LIMIT, &p->err), 0);
	pthread_join(t, NULL);
	assert_int_equal(p->rc, 0);
	assert_true(p->offer->definition);
	assert_string_equal(p->offer->name, "guest");
	assert_int_equal(p->offer->config_len, RDV_CONFIG_MAX);
	assert_memory_equal(p->offer->config, o->config, RDV_CONFIG_MAX);
	free(o);
}

static void a_malformed_definition_is_refused(void **state)
{
	struct rdv_offer *o = calloc(1, sizeof(*o)), *got = calloc(1, sizeof(*got));
	struct err e = { 0 };
	struct wbuf w;
	struct rbuf r;

	(void)state;
	strcpy(o->name, "guest");
	o->config_len = 3;
	wbuf_init(&w);
	rdv_define_encode(o, &w);
	for (size_t n = 0; n < w.len; n++) {
		r = rbuf_of(w.data, n);
		assert_int_equal(rdv_define_decode(got, &r, &e), -EPROTO);
	}
	wbuf_patch_u32(&w, w.len - 7, RDV_CONFIG_MAX + 1);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rdv_define_decode(got, &r, &e), -EPROTO);
	wbuf_fini(&w);
	free(o);
	free(got);
}

static void a_refusal_carries_the_targets_words(void **state)
{
	struct rdv_offer *o = calloc(1, sizeof(*o));
	struct pair *p = *state;
	struct rdv_accept a;
	struct err e;

	rdv_refuse_send(&p->chan[1], "the name 'guest' is in use");
	assert_int_equal(rdv_offer_send(&p->chan[0], o, &a, LIMIT, &e), -ECONNREFUSED);
	assert_string_equal(e.msg, "the target refused: the name 'guest' is in use");
	free(o);
}

static void a_stranger_is_no_watari(void **state)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
	struct pair *p = *state;
	struct err e;

	assert_int_equal(write(p->fd[1], http, sizeof(http) - 1), sizeof(http) - 1);
	assert_int_equal(rdv_meet(&p->chan[0], 0, LIMIT, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "no watari"));
	/* the other end has our HELLO, and then it hears a stranger */
	assert_int_equal(write(p->fd[0], http, sizeof(http) - 1), sizeof(http) - 1);
	assert_int_equal(rdv_hello_read(&p->chan[1], &p->memory, LIMIT, &e), 0);
	assert_int_equal(rdv_offer_read(&p->chan[1], &able, NULL, p->offer, LIMIT, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "no watari"));
}

static void another_version_is_refused_naming_both(void **state)
{
	struct pair *p = *state;
	struct wbuf w, frame;
	char theirs[32];
	struct err e;

	wbuf_init(&w);
	wbuf_init(&frame);
	wbuf_u64(&w, RDV_MAGIC);
	wbuf_u32(&w, RDV_PROTOCOL + 8);
	wbuf_str(&w, "9.9");
	wbuf_u32(&frame, (uint32_t)w.len);
	wbuf_u16(&frame, RDV_HELLO);
	wbuf_bytes(&frame, w.data, w.len);
	assert_int_equal(write(p->fd[0], frame.data, frame.len), frame.len);
	assert_int_equal(rdv_hello_read(&p->chan[1], &p->memory, LIMIT, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "9.9"));
	snprintf(theirs, sizeof(theirs), "protocol %d", RDV_PROTOCOL + 8);
	assert_non_null(strstr(e.msg, theirs));
	assert_non_null(strstr(e.msg, rdv_software()));
	wbuf_fini(&w);
	wbuf_fini(&frame);
}

static void a_silent_or_closing_peer_ends_the_wait(void **state)
{
	struct rdv_offer *o = calloc(1, sizeof(*o));
	struct pair *p = *state;
	struct rdv_accept a;
	struct err e;

	assert_int_equal(rdv_offer_send(&p->chan[0], o, &a, NSEC_PER_MSEC, &e), -ETIMEDOUT);
	shutdown(p->fd[1], SHUT_WR);
	assert_int_equal(rdv_offer_send(&p->chan[0], o, &a, LIMIT, &e), -ECONNRESET);
	assert_string_equal(e.msg, "the peer closed the connection");
	free(o);
}

static void every_cut_of_an_offer_is_refused(void **state)
{
	struct rdv_offer *o = calloc(1, sizeof(*o));
	struct wbuf w;
	struct rbuf r;

	(void)state;
	o->streams = 1;
	o->nregions = 2;
	o->region[0] = o->region[1] = (struct rdv_region){ 0, 1 << 20 };
	o->config_len = 100;
	wbuf_init(&w);
	rdv_offer_encode(o, &w);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rdv_offer_decode(o, &r, NULL), 0);
	for (size_t n = 0; n < w.len; n++) {
		uint8_t *cut = malloc(n + 1);

		r = rbuf_of(memcpy(cut, w.data, n), n);
		assert_int_equal(rdv_offer_decode(o, &r, NULL), -EPROTO);
		free(cut);
	}
	wbuf_fini(&w);
	free(o);
}

/* Every shorter version of @w must be refused by the decoder. */
static void expect_cuts_refused(const struct wbuf *w, bool hello)
{
	struct rdv_transports t;
	uint64_t memory;
	struct rbuf r;

	for (size_t n = 0; n < w->len; n++) {
		uint8_t *cut = malloc(n + 1);

		r = rbuf_of(memcpy(cut, w->data, n), n);
		assert_int_equal(
			hello ? rdv_hello_decode(&memory, &r, NULL) : rdv_can_decode(&t, &r, NULL),
			-EPROTO);
		free(cut);
	}
}

static void every_cut_of_a_greeting_or_a_list_is_refused(void **state)
{
	struct rdv_transports got;
	uint64_t memory;
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	rdv_hello_encode(1ull << 40, &w);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rdv_hello_decode(&memory, &r, NULL), 0);
	assert_int_equal(memory, 1ull << 40);
	expect_cuts_refused(&w, true);
	wbuf_reset(&w);
	rdv_can_encode(&able, &w);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rdv_can_decode(&got, &r, NULL), 0);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.t[0].can.why, "no RDMA device");
	expect_cuts_refused(&w, false);
	wbuf_fini(&w);
}

static void a_list_of_transports_is_bounded(void **state)
{
	struct rdv_transports got, many = { .n = RDV_TRANSPORTS_MAX };
	struct err e;
	struct wbuf w;
	struct rbuf r;

	(void)state;
	for (unsigned i = 0; i < RDV_TRANSPORTS_MAX; i++)
		strcpy(many.t[i].name, "tcp");
	wbuf_init(&w);
	rdv_can_encode(&many, &w);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rdv_can_decode(&got, &r, &e), 0);
	assert_int_equal(got.n, RDV_TRANSPORTS_MAX);
	w.data[0]++;
	wbuf_str(&w, "one");
	wbuf_u8(&w, 1);
	wbuf_str(&w, "more");
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rdv_can_decode(&got, &r, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "malformed list"));
	wbuf_fini(&w);
}

/* A target that looks for its adapters has said before that it is there. */
static void a_target_that_takes_its_time_is_not_taken_for_dead(void **state)
{
	struct rdv_transports there;
	uint8_t head[6] = { 0 };
	struct pair *p = *state;
	struct err e;
	struct wbuf w;

	wbuf_init(&w);
	rdv_hello_encode(42, &w);
	/* the source's greeting, as it would send it */
	head[0] = (uint8_t)w.len;
	head[4] = RDV_HELLO;
	assert_int_equal(write(p->fd[0], head, sizeof(head)), sizeof(head));
	assert_int_equal(write(p->fd[0], w.data, w.len), w.len);
	assert_int_equal(rdv_hello_read(&p->chan[1], &p->memory, LIMIT, &e), 0);
	/* answered before anything about transports is known: the source's first wait is over */
	assert_int_equal(rdv_meet(&p->chan[0], 42, LIMIT, &e), 0);
	assert_int_equal(rdv_can_read(&p->chan[0], &there, NSEC_PER_MSEC, &e), -ETIMEDOUT);
	wbuf_fini(&w);
}

int main(void)
{
#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_survive_the_round_trip),
		cmocka_unit_test(malformed_messages_are_named),
		PAIR_TEST(the_rendezvous_agrees_and_measures_the_clock),
		PAIR_TEST(a_definition_alone_is_kept_and_that_is_all),
		cmocka_unit_test(a_malformed_definition_is_refused),
		PAIR_TEST(a_refusal_carries_the_targets_words),
		PAIR_TEST(a_stranger_is_no_watari),
		PAIR_TEST(another_version_is_refused_naming_both),
		PAIR_TEST(a_silent_or_closing_peer_ends_the_wait),
		cmocka_unit_test(every_cut_of_an_offer_is_refused),
		PAIR_TEST(a_source_asks_before_its_offer_and_may_leave_it_at_that),
		PAIR_TEST(who_leaves_between_two_messages_only_looked),
		PAIR_TEST(who_leaves_within_the_head_of_one_is_told_so),
		PAIR_TEST(who_leaves_before_the_body_of_one_is_told_so),
		PAIR_TEST(a_source_that_asks_for_ever_is_refused),
		PAIR_TEST(facts_that_are_none_are_refused_with_the_reason),
		cmocka_unit_test(every_cut_of_a_greeting_or_a_list_is_refused),
		PAIR_TEST(a_target_that_takes_its_time_is_not_taken_for_dead),
		cmocka_unit_test(a_list_of_transports_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
