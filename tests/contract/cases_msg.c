/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: both ways, in order, whole, of any length up to the limit.
 * Next in the flow: cases_put.c.
 */
#include "tests/contract/contract.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void ping_pong(void **state)
{
	struct pair p;

	pair_open(&p, *state);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t v;

		end_msg(&p.src, (uint16_t)i, &i, sizeof(i));
		DRIVE(&p, p.dst.msgs == i + 1);
		end_msg(&p.dst, (uint16_t)(i + 1000), p.dst.msg[i].data, p.dst.msg[i].len);
		DRIVE(&p, p.src.msgs == i + 1);
		assert_int_equal(p.dst.msg[i].type, i);
		assert_int_equal(p.src.msg[i].type, i + 1000);
		assert_int_equal(p.src.msg[i].len, sizeof(v));
		memcpy(&v, p.src.msg[i].data, sizeof(v));
		assert_int_equal(v, i);
	}
	pair_close(&p);
}

/* Posted without a poll in between: they must all be taken, and arrive one a poll, in order. */
static void many_at_once(void **state)
{
	enum { MANY = 2000 };
	struct pair p;

	pair_open(&p, *state);
	for (unsigned i = 0; i < MANY; i++) {
		end_msg(&p.src, (uint16_t)i, "x", i % 2);
		end_msg(&p.dst, (uint16_t)i, "y", i % 2);
	}
	DRIVE(&p, p.dst.msgs == MANY && p.src.msgs == MANY);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(p.dst.msg[i].type, i);
		assert_int_equal(p.dst.msg[i].len, i % 2);
		assert_int_equal(p.src.msg[i].type, i);
	}
	pair_close(&p);
}

static void biggest(void **state)
{
	uint8_t *big = malloc(XPORT_MSG_MAX);
	uint64_t seed = 1;
	struct pair p;

	assert_non_null(big);
	for (size_t i = 0; i < XPORT_MSG_MAX; i += 8) {
		uint64_t v = rng_next(&seed);

		memcpy(big + i, &v, 8);
	}
	pair_open(&p, *state);
	end_msg(&p.src, 7, big, XPORT_MSG_MAX);
	end_msg(&p.src, 8, "after", 5);
	DRIVE(&p, p.dst.msgs == 2);
	assert_int_equal(p.dst.msg[0].type, 7);
	assert_int_equal(p.dst.msg[0].len, XPORT_MSG_MAX);
	assert_memory_equal(p.dst.msg[0].data, big, XPORT_MSG_MAX);
	assert_int_equal(p.dst.msg[1].len, 5);
	assert_memory_equal(p.dst.msg[1].data, "after", 5);
	free(big);
	pair_close(&p);
}

static void oversize(void **state)
{
	struct err e = { 0 };
	struct pair p;

	pair_open(&p, *state);
	/* The length alone must refuse it: the byte is not read. */
	assert_int_equal(p.src.ops->msg(p.src.x, 1, "x", (size_t)XPORT_MSG_MAX + 1, &e), -EMSGSIZE);
	assert_true(e.msg[0]);
	pair_close(&p);
}

/* msg() copies: the caller's bytes may change at once. */
static void copied(void **state)
{
	char text[] = "before";
	struct pair p;

	pair_open(&p, *state);
	end_msg(&p.src, 1, text, sizeof(text));
	memset(text, 'x', sizeof(text));
	DRIVE(&p, p.dst.msgs == 1);
	assert_string_equal((char *)p.dst.msg[0].data, "before");
	pair_close(&p);
}

const struct contract_case cases_msg[] = {
	{ "messages go back and forth in order", ping_pong },
	{ "thousands posted at once arrive in order", many_at_once },
	{ "the longest message arrives whole", biggest },
	{ "a longer one is refused", oversize },
	{ "a message is copied before msg returns", copied },
	{ NULL, NULL },
};
