/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credits: two ends that talk as they like never overrun each other's receive buffers and never
 * come to stand still while one of them has something to say.
 * Next in the flow: rdma_chunk_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "transport-rdma/credit.h"

static void a_new_end_may_send_all_but_the_kept_ones(void **state)
{
	struct xrdma_credit c;
	unsigned n = 0;

	(void)state;
	xrdma_credit_init(&c);
	while (xrdma_credit_may_send(&c)) {
		assert_int_equal(xrdma_credit_send(&c), 0);
		n++;
	}
	assert_int_equal(n, XRDMA_CREDITS - XRDMA_CREDITS_KEPT);
	assert_false(xrdma_credit_may_return(&c)); /* it owes nothing */
}

static void what_was_consumed_is_given_back_once(void **state)
{
	struct xrdma_credit c;

	(void)state;
	xrdma_credit_init(&c);
	for (unsigned i = 0; i < XRDMA_CREDITS / 4; i++) {
		assert_false(xrdma_credit_may_return(&c));
		xrdma_credit_consumed(&c);
	}
	assert_true(xrdma_credit_may_return(&c));
	assert_int_equal(xrdma_credit_send(&c), XRDMA_CREDITS / 4);
	assert_int_equal(xrdma_credit_send(&c), 0);
}

static void more_than_was_paid_is_a_lie(void **state)
{
	struct xrdma_credit c;

	(void)state;
	xrdma_credit_init(&c);
	assert_false(xrdma_credit_take(&c, 1));
	xrdma_credit_send(&c);
	assert_false(xrdma_credit_take(&c, 2));
	assert_true(xrdma_credit_take(&c, 1));
	assert_false(xrdma_credit_take(&c, UINT16_MAX));
}

/* One end of a pretended line: frames on their way carry what they give back. */
struct peer {
	struct xrdma_credit c;
	uint16_t wire[XRDMA_CREDITS]; /* towards the other */
	unsigned first, last;         /* of wire; counters */
	unsigned to_say, said, heard;
};

static void peer_post(struct peer *p)
{
	assert_true(p->last - p->first < XRDMA_CREDITS); /* the peer has a receive for it */
	p->wire[p->last++ % XRDMA_CREDITS] = xrdma_credit_send(&p->c);
}

static void peer_speak(struct peer *p)
{
	while (p->said < p->to_say && xrdma_credit_may_send(&p->c)) {
		peer_post(p);
		p->said++;
	}
	if (xrdma_credit_may_return(&p->c))
		peer_post(p);
}

/* Takes up to @n frames; a receive counts as free only when its frame was taken. */
static void peer_listen(struct peer *p, struct peer *from, unsigned n)
{
	while (n-- && from->first != from->last) {
		assert_true(xrdma_credit_take(&p->c, from->wire[from->first++ % XRDMA_CREDITS]));
		xrdma_credit_consumed(&p->c);
		p->heard++;
	}
}

static void random_talk_neither_overruns_nor_stops(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct peer a = { 0 }, b = { 0 };
		unsigned steps = 0;

		srand(seed);
		xrdma_credit_init(&a.c);
		xrdma_credit_init(&b.c);
		/* From one that only listens to two that shout. */
		a.to_say = 2000;
		b.to_say = (unsigned)rand() % 3 * 1000;
		while (a.said < a.to_say || b.said < b.to_say) {
			assert_true(++steps < 100000);
			if (rand() % 2)
				peer_speak(&a);
			if (rand() % 2)
				peer_speak(&b);
			peer_listen(&a, &b, (unsigned)rand() % 70);
			peer_listen(&b, &a, (unsigned)rand() % 70);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_end_may_send_all_but_the_kept_ones),
		cmocka_unit_test(what_was_consumed_is_given_back_once),
		cmocka_unit_test(more_than_was_paid_is_a_lie),
		cmocka_unit_test(random_talk_neither_overruns_nor_stops),
	};

	return cmocka_run_group_tests_name("rdma: credits", tests, NULL, NULL);
}
