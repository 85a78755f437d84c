/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection ends, what it counts, and that poll() keeps to its time.
 * Next in the flow: tests/unit/tcp_wire_test.c (peers that lie).
 */
#include "tests/contract/contract.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"

static void end_shut(struct end *e)
{
	e->ops->close(e->x);
	e->x = NULL;
	e->down = true; /* the recorder polls it no more */
}

static void down_when_the_target_goes_mid_put(void **state)
{
	struct pair p;

	pair_open(&p, *state);
	for (unsigned i = 0; i < 12; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, false, i);
	end_poll(&p.src, 0);
	end_shut(&p.dst);
	DRIVE(&p, p.src.down);
	assert_true(p.src.why.code < 0 && p.src.why.msg[0]);
	pair_close(&p);
}

static void down_when_the_source_goes_mid_put(void **state)
{
	struct pair p;

	pair_open(&p, *state);
	for (unsigned i = 0; i < 12; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, false, i);
	end_poll(&p.src, 0);
	end_shut(&p.src);
	DRIVE(&p, p.dst.down);
	assert_int_equal(p.dst.msgs, 0);
	pair_close(&p);
}

/*
 * The last words of a peer that closes: they count, with everything before them. The target is not
 * polled between the first of them and the close; only what has to be set up once for each part of
 * its memory is set up before, by a round of other puts.
 */
static void last_words_arrive_before_down(void **state)
{
	struct pair p;

	pair_open(&p, *state);
	for (unsigned i = 0; i < 64; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, PAGE, false, i);
	DRIVE(&p, p.src.done == 64);
	p.src.done = 0;
	for (unsigned i = 0; i < 64; i++) {
		page_fill(p.src.mem[0] + i * (uint64_t)XPORT_BLOCK_SIZE, i);
		if (i % 8 == 7)
			end_msg(&p.src, (uint16_t)i, "word", 4);
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, PAGE, false, i);
	}
	end_msg(&p.src, 99, "last", 4);
	/* The target takes only what the source needs it to: sent by reference, a put is done when
	 * the peer has it, and a peer that takes nothing may have no room for all of them. */
	for (uint64_t t0 = now_ns(); p.src.done < 64 && now_ns() - t0 < LONG_NS;)
		if (end_poll(&p.src, 10 * NSEC_PER_MSEC) == 0)
			end_poll(&p.dst, 0);
	for (int i = 0; i < 8; i++)
		end_poll(&p.src, 0);
	end_shut(&p.src);
	DRIVE(&p, p.dst.down);
	assert_int_equal(p.dst.msgs, 9);
	assert_int_equal(p.dst.msg[8].type, 99);
	for (unsigned i = 0; i < 64; i++)
		assert_true(page_has(p.dst.mem[0] + i * (uint64_t)XPORT_BLOCK_SIZE, i));
	pair_close(&p);
}

static void close_with_everything_in_flight(void **state)
{
	struct pair p;
	uint64_t t0;

	pair_open(&p, *state);
	for (unsigned i = 0; i < 12; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, false, i);
	end_msg(&p.src, 1, "x", 1);
	end_msg(&p.dst, 1, "x", 1);
	end_poll(&p.src, 0);
	end_poll(&p.dst, 0);
	t0 = now_ns();
	pair_close(&p);
	assert_true(now_ns() - t0 < NSEC_PER_SEC);
}

/* The target knows less memory than the source: the put must not land, and must end it all. */
static void put_outside_the_targets_region(void **state)
{
	const struct subject *s = *state;
	static uint8_t src[4 * PAGE] __attribute__((aligned(4096)));
	static uint8_t dst[4 * PAGE] __attribute__((aligned(4096)));
	struct pair p;
	struct err e;

	pair_connect(&p, s);
	memset(src, 0x77, sizeof(src));
	memset(dst, 0, sizeof(dst));
	assert_int_equal(s->ops->region_add(p.src.x, 0, src, sizeof(src), &e), 0);
	assert_int_equal(s->ops->region_add(p.dst.x, 0, dst, 2 * PAGE, &e), 0);
	end_put(&p.src, 0, PAGE, 2 * PAGE, false, 0);
	end_msg(&p.src, 1, NULL, 0);
	DRIVE(&p, p.dst.down);
	assert_int_equal(p.dst.why.code, -EPROTO);
	assert_int_equal(p.dst.msgs, 0);
	for (unsigned i = 0; i < sizeof(dst); i++)
		assert_int_equal(dst[i], 0);
	pair_close(&p);
}

static void put_before_the_target_knows_a_region(void **state)
{
	const struct subject *s = *state;
	static uint8_t src[PAGE] __attribute__((aligned(4096)));
	struct pair p;
	struct err e;

	pair_connect(&p, s);
	assert_int_equal(s->ops->region_add(p.src.x, 0, src, sizeof(src), &e), 0);
	end_put(&p.src, 0, 0, PAGE, false, 0);
	DRIVE(&p, p.dst.down);
	assert_int_equal(p.dst.why.code, -EPROTO);
	pair_close(&p);
}

/* A source that was shut out can talk, and cannot write: not even into pages it once reached. */
static void shut_lets_messages_through_and_no_put(void **state)
{
	struct pair p;

	pair_open(&p, *state);
	page_fill(p.src.mem[0], 1);
	end_put(&p.src, 0, 0, PAGE, false, 0);
	end_msg(&p.src, 1, NULL, 0);
	DRIVE(&p, p.dst.msgs == 1 && p.src.done == 1);
	p.dst.ops->shut(p.dst.x);
	p.dst.ops->shut(p.dst.x);
	end_msg(&p.dst, 2, "shut", 4);
	end_msg(&p.src, 3, "out", 3);
	DRIVE(&p, p.dst.msgs == 2 && p.src.msgs == 1);
	assert_false(p.src.down || p.dst.down);

	page_fill(p.src.mem[0], 2);
	end_put(&p.src, 0, 0, PAGE, false, 1);
	end_put(&p.src, 0, 3 * XPORT_BLOCK_SIZE, PAGE, false, 2);
	DRIVE(&p, p.src.down || p.dst.down);
	assert_true(page_has(p.dst.mem[0], 1));
	for (unsigned i = 0; i < PAGE; i++)
		assert_int_equal(p.dst.mem[0][3 * XPORT_BLOCK_SIZE + i], 0);
	pair_close(&p);
}

/* Shut in the middle of a burst: what the memory holds when shut returns is what it keeps. */
static void shut_in_a_burst_of_puts(void **state)
{
	uint8_t *copy = malloc(REGION0_SIZE);
	struct pair p;

	assert_non_null(copy);
	pair_open(&p, *state);
	memset(p.src.mem[0], 0x3c, REGION0_SIZE);
	end_put(&p.src, 0, 0, PAGE, false, 0);
	DRIVE(&p, p.src.done == 1); /* whatever had to be set up for this part of memory is */
	for (unsigned i = 0; i < 8; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, false, i);
	end_poll(&p.src, 0);
	end_poll(&p.dst, 0);
	p.dst.ops->shut(p.dst.x);
	memcpy(copy, p.dst.mem[0], REGION0_SIZE);
	for (unsigned i = 8; i < 12; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, false, i);
	DRIVE(&p, p.src.down || p.dst.down);
	assert_memory_equal(copy, p.dst.mem[0], REGION0_SIZE);
	free(copy);
	pair_close(&p);
}

static void poll_after_down_is_misuse(void **state)
{
	struct xport_event ev[1];
	struct err e = { 0 };
	struct pair p;

	pair_open(&p, *state);
	end_shut(&p.src);
	DRIVE(&p, p.dst.down);
	assert_true(p.dst.ops->poll(p.dst.x, 0, ev, 1, &e) < 0);
	assert_true(e.msg[0]);
	pair_close(&p);
}

static void stats_add_up(void **state)
{
	const struct subject *s = *state;
	struct xport_stats a, b;
	struct pair p;

	pair_open(&p, s);
	for (unsigned i = 0; i < 8; i++)
		end_put(&p.src, 0, i * (uint64_t)XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, i % 2, i);
	s->ops->stats(p.src.x, &a);
	assert_int_equal(a.puts, 8);
	assert_int_equal(a.put_bytes, 4 * XPORT_BLOCK_SIZE);
	assert_true(a.in_transit_bytes >= a.put_bytes);
	end_msg(&p.src, 1, "0123456789", 10);
	DRIVE(&p, p.dst.msgs == 1);
	end_msg(&p.dst, 1, "0123456789", 10);
	DRIVE(&p, p.src.msgs == 1 && p.src.done == 8);
	s->ops->stats(p.src.x, &a);
	s->ops->stats(p.dst.x, &b);
	assert_int_equal(a.streams, s->streams);
	assert_int_equal(b.streams, s->streams);
	assert_int_equal(a.wire_bytes_out, b.wire_bytes_in);
	assert_int_equal(b.wire_bytes_out, a.wire_bytes_in);
	assert_true(a.wire_bytes_out > a.put_bytes + 10);
	assert_true(a.wire_bytes_out < a.put_bytes + 10 + 64 * 64);
	assert_int_equal(b.puts, 0);
	/* A transport that knows where puts arrive says so; one-sided ones cannot. */
	if (b.arrived_end) {
		assert_int_equal(b.arrived_region, 0);
		assert_int_equal(b.arrived_end % XPORT_BLOCK_SIZE, 0);
		assert_in_range(b.arrived_end, XPORT_BLOCK_SIZE, 8 * XPORT_BLOCK_SIZE);
	}
	/* What was delivered is acknowledged as soon as the peer's host gets to it. */
	for (uint64_t t0 = now_ns(); a.in_transit_bytes && now_ns() - t0 < LONG_NS;) {
		end_poll(&p.src, NSEC_PER_MSEC);
		s->ops->stats(p.src.x, &a);
	}
	assert_int_equal(a.in_transit_bytes, 0);
	pair_close(&p);
}

/* Loosely: ten thousand idle polls that waited but 1 ms each would take ten seconds. */
static void poll_zero_never_waits(void **state)
{
	struct pair p;
	uint64_t t0;

	pair_open(&p, *state);
	t0 = now_ns();
	for (int i = 0; i < 10000; i++)
		assert_int_equal(end_poll(&p.src, 0), 0);
	assert_true(now_ns() - t0 < 5 * NSEC_PER_SEC);
	pair_close(&p);
}

static void poll_waits_as_told(void **state)
{
	struct pair p;
	uint64_t t0, took;

	pair_open(&p, *state);
	t0 = now_ns();
	assert_int_equal(end_poll(&p.dst, 30 * NSEC_PER_MSEC), 0);
	took = now_ns() - t0;
	assert_in_range(took, 30 * NSEC_PER_MSEC, 2 * NSEC_PER_SEC);
	pair_close(&p);
}

const struct contract_case cases_end[] = {
	{ "the source sees a target that goes mid-put", down_when_the_target_goes_mid_put },
	{ "the target sees a source that goes mid-put", down_when_the_source_goes_mid_put },
	{ "what was sent before a close arrives before the end", last_words_arrive_before_down },
	{ "close does not wait for what is in flight", close_with_everything_in_flight },
	{ "a put outside the target's region ends the connection", put_outside_the_targets_region },
	{ "so does a put before the target knows the region",
		put_before_the_target_knows_a_region },
	{ "a source that was shut out can talk but not put",
		shut_lets_messages_through_and_no_put },
	{ "shut in a burst of puts freezes the memory", shut_in_a_burst_of_puts },
	{ "polling a connection that is down is misuse", poll_after_down_is_misuse },
	{ "the statistics of both ends add up", stats_add_up },
	{ "poll with time-out 0 never waits", poll_zero_never_waits },
	{ "poll with a time-out waits that long", poll_waits_as_told },
	{ NULL, NULL },
};
