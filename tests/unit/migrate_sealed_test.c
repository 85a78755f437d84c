/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed messages: what was sent arrives, once, in order, from the other end, or the connection is
 * at its end. Between the two ends is a wire that the test reads and rewrites.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/migrate/sealed.h"

/* A transport that keeps the last messages where the test can get at them. */
struct xport {
	struct {
		uint16_t type;
		uint8_t data[64];
		size_t len;
	} wire[4];
	unsigned n, next;
};

static int wire_msg(struct xport *x, uint16_t type, const void *data, size_t len, struct err *e)
{
	(void)e;
	assert_true(x->n < 4 && len <= sizeof(x->wire[0].data));
	x->wire[x->n].type = type;
	x->wire[x->n].len = len;
	memcpy(x->wire[x->n++].data, data, len);
	return 0;
}

static int wire_poll(
	struct xport *x, uint64_t timeout_ns, struct xport_event *ev, int max, struct err *e)
{
	(void)timeout_ns;
	(void)e;
	if (x->next == x->n || max < 1)
		return 0;
	*ev = (struct xport_event){ .type = XPORT_EV_MSG,
		.msg_type = x->wire[x->next].type,
		.data = x->wire[x->next].data,
		.len = x->wire[x->next].len };
	x->next++;
	return 1;
}

static void wire_close(struct xport *x)
{
	(void)x;
}

static const struct xport_ops wire_ops = {
	.name = "wire", .msg = wire_msg, .poll = wire_poll, .close = wire_close
};

static const uint8_t secret[SEAL_SECRET_SIZE] = "thirty-two bytes of a good secre";

struct rig {
	struct xport wire;
	const struct xport_ops *ops[2];
	struct xport *end[2]; /* source, target: on one wire, which carries one direction */
};

static int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct err e;

	*state = r;
	for (int i = 0; i < 2; i++) {
		r->ops[i] = &wire_ops;
		r->end[i] = &r->wire;
		if (sealed_wrap(&r->ops[i], &r->end[i], secret, i == 1, &e))
			return -1;
	}
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 2; i++)
		r->ops[i]->close(r->end[i]);
	free(r);
	return 0;
}

static void say(struct rig *r, uint16_t type, const char *text)
{
	assert_int_equal(r->ops[0]->msg(r->end[0], type, text, strlen(text) + 1, NULL), 0);
}

static void hear(struct rig *r, uint16_t type, const char *text)
{
	struct xport_event ev;

	assert_int_equal(r->ops[1]->poll(r->end[1], 0, &ev, 1, NULL), 1);
	assert_int_equal(ev.type, XPORT_EV_MSG);
	assert_int_equal(ev.msg_type, type);
	assert_int_equal(ev.len, strlen(text) + 1);
	assert_string_equal((const char *)ev.data, text);
}

static void hear_the_end(struct rig *r)
{
	struct xport_event ev;

	assert_int_equal(r->ops[1]->poll(r->end[1], 0, &ev, 1, NULL), 1);
	assert_int_equal(ev.type, XPORT_EV_DOWN);
	assert_int_equal(ev.err.code, -EBADMSG);
	assert_non_null(strstr(ev.err.msg, "not sealed with this move's key"));
}

static void messages_arrive_and_nobody_else_can_read_them(void **state)
{
	struct rig *r = *state;

	say(r, 4, "state of the guest");
	say(r, 6, "");
	assert_null(memmem(r->wire.wire[0].data, r->wire.wire[0].len, "guest", 5));
	hear(r, 4, "state of the guest");
	hear(r, 6, "");
}

static void every_changed_bit_ends_the_connection(void **state)
{
	for (size_t bit = 0; bit < 8 * (2 + 6 + SEAL_TAG_SIZE); bit++) {
		struct rig *r;

		rig_teardown(state);
		rig_setup(state);
		r = *state;
		say(r, 6, "commit");
		if (bit < 16)
			r->wire.wire[0].type ^= (uint16_t)(1u << bit);
		else
			r->wire.wire[0].data[bit / 8 - 2] ^= (uint8_t)(1u << bit % 8);
		hear_the_end(r);
	}
}

static void a_message_said_twice_is_heard_once(void **state)
{
	struct rig *r = *state;

	say(r, 6, "commit");
	r->wire.wire[1] = r->wire.wire[0];
	r->wire.n = 2;
	hear(r, 6, "commit");
	hear_the_end(r);
}

static void a_message_left_out_or_reordered_ends_the_connection(void **state)
{
	struct rig *r = *state;

	say(r, 2, "round");
	say(r, 4, "state");
	r->wire.next = 1;
	hear_the_end(r);
	/* and what would have been right comes too late */
	r->wire.next = 0;
	hear_the_end(r);
}

static void an_end_does_not_take_its_own_words_back(void **state)
{
	struct rig *r = *state;
	struct xport_event ev;

	say(r, 6, "commit");
	assert_int_equal(r->ops[0]->poll(r->end[0], 0, &ev, 1, NULL), 1);
	assert_int_equal(ev.type, XPORT_EV_DOWN);
}

static void a_message_too_short_to_be_sealed_ends_the_connection(void **state)
{
	struct rig *r = *state;

	wire_msg(&r->wire, 6, "x", 1, NULL);
	hear_the_end(r);
}

static void another_secret_opens_nothing(void **state)
{
	static const uint8_t other[SEAL_SECRET_SIZE] = "thirty-two bytes of another one!";
	struct rig *r = *state;
	const struct xport_ops *ops = &wire_ops;
	struct xport *x = &r->wire;
	struct xport_event ev;

	assert_int_equal(sealed_wrap(&ops, &x, other, true, NULL), 0);
	say(r, 6, "commit");
	assert_int_equal(ops->poll(x, 0, &ev, 1, NULL), 1);
	assert_int_equal(ev.type, XPORT_EV_DOWN);
	ops->close(x);
}

int main(void)
{
#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		RIG_TEST(messages_arrive_and_nobody_else_can_read_them),
		RIG_TEST(every_changed_bit_ends_the_connection),
		RIG_TEST(a_message_said_twice_is_heard_once),
		RIG_TEST(a_message_left_out_or_reordered_ends_the_connection),
		RIG_TEST(an_end_does_not_take_its_own_words_back),
		RIG_TEST(a_message_too_short_to_be_sealed_ends_the_connection),
		RIG_TEST(another_secret_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
