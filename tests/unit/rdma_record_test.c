/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames and records: written and read back they are the same, a byte more or less is found out,
 * and what a peer may lie about in them is refused.
 * Next in the flow: rdma_limits_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transport-rdma/record.h"

static uint8_t bytes[XRDMA_FRAME_SIZE];

static const struct xrdma_frame frames[] = {
	{ .type = XRDMA_START },
	{ .type = XRDMA_CREDIT, .credits = 64, .written = UINT64_MAX },
	{ .type = XRDMA_MSG, .msg_type = 65535, .fences = 0x8001, .total = 0, .seq = 1 },
	{ .type = XRDMA_MSG,
		.msg_type = 3,
		.total = XPORT_MSG_MAX,
		.seq = 1ull << 40,
		.data = bytes,
		.len = XRDMA_FRAME_SIZE - XRDMA_FRAME_HEAD - XRDMA_MSG_HEAD },
	{ .type = XRDMA_MORE, .data = bytes, .len = XRDMA_FRAME_SIZE - XRDMA_FRAME_HEAD },
	{ .type = XRDMA_ASK,
		.region = 3,
		.chunk = 16380,
		.chunks = 5,
		.length = 5ull << 26,
		.shift = 26,
		.urgent = true },
	{ .type = XRDMA_KEY,
		.region = 1,
		.chunk = 2,
		.chunks = 1,
		.rkey = { 0xdeadbeef },
		.addr = UINT64_MAX },
	{ .type = XRDMA_KEY,
		.chunks = XRDMA_KEYS_MAX,
		.rkey = { [XRDMA_KEYS_MAX - 1] = UINT32_MAX } },
	{ .type = XRDMA_ACK, .streams = 1, .consumed = { 7 } },
	{ .type = XRDMA_ACK, .streams = 16, .consumed = { [15] = UINT64_MAX } },
	{ .type = XRDMA_NEED, .bytes = 1ull << 40, .all_chunks = 16384 },
	{ .type = XRDMA_FAIL, .code = -ENOMEM, .text = "no room" },
};
#define FRAMES (sizeof(frames) / sizeof(frames[0]))

static void a_frame_comes_back_as_it_was(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < FRAMES; i++) {
		const struct xrdma_frame *want = &frames[i];
		uint8_t wire[XRDMA_FRAME_SIZE];
		uint32_t n = xrdma_frame_encode(want, wire);
		struct xrdma_frame f;
		struct err e = { 0 };

		assert_true(n <= XRDMA_FRAME_SIZE);
		if (xrdma_frame_decode(&f, wire, n, &e))
			fail_msg("frame %zu: %s", i, e.msg);
		if (want->len)
			assert_memory_equal(f.data, want->data, want->len);
		f.data = want->data;
		assert_int_equal(f.len, want->len);
		assert_int_equal(f.type, want->type);
		assert_int_equal(f.credits, want->credits);
		assert_true(f.written == want->written && f.seq == want->seq);
		assert_true(f.msg_type == want->msg_type && f.fences == want->fences);
		assert_true(f.total == want->total && f.region == want->region);
		assert_true(f.chunk == want->chunk && f.chunks == want->chunks);
		assert_memory_equal(f.rkey, want->rkey, sizeof(f.rkey));
		assert_true(f.addr == want->addr && f.length == want->length);
		assert_true(f.shift == want->shift && f.urgent == want->urgent);
		assert_true(f.streams == want->streams && f.bytes == want->bytes);
		assert_true(f.all_chunks == want->all_chunks && f.code == want->code);
		assert_memory_equal(f.consumed, want->consumed, sizeof(f.consumed));
		assert_string_equal(f.text, want->text);
	}
}

static void a_byte_more_or_less_is_found_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAMES; i++) {
		uint8_t wire[XRDMA_FRAME_SIZE + 1] = { 0 };
		uint32_t n = xrdma_frame_encode(&frames[i], wire);
		struct xrdma_frame f;
		struct err e = { 0 };

		assert_int_equal(xrdma_frame_decode(&f, wire, n + 1, &e), -EPROTO);
		assert_int_equal(xrdma_frame_decode(&f, wire, n - 1, &e), -EPROTO);
		assert_true(e.msg[0]);
		assert_int_equal(xrdma_frame_decode(&f, wire, 0, &e), -EPROTO);
	}
}

/* A field of a good frame, at @at, made @value. */
static int spoiled(size_t frame, size_t at, uint8_t value)
{
	uint8_t wire[XRDMA_FRAME_SIZE];
	uint32_t n = xrdma_frame_encode(&frames[frame], wire);
	struct xrdma_frame f;
	struct err e;

	wire[at] = value;
	return xrdma_frame_decode(&f, wire, n, &e);
}

static void a_lie_is_refused(void **state)
{
	(void)state;
	assert_int_equal(spoiled(0, 0, 0), -EPROTO);                    /* magic */
	assert_int_equal(spoiled(0, 1, 0), -EPROTO);                    /* type */
	assert_int_equal(spoiled(0, 1, 10), -EPROTO);                   /* type */
	assert_int_equal(spoiled(0, 4, 1), -EPROTO);                    /* body length */
	assert_int_equal(spoiled(3, XRDMA_FRAME_HEAD + 7, 5), -EPROTO); /* too long a message */
	assert_int_equal(spoiled(3, XRDMA_FRAME_HEAD + 7, 0), -EPROTO); /* shorter than its part */
	assert_int_equal(spoiled(5, XRDMA_FRAME_HEAD + 20, 63), -EPROTO); /* chunk size */
	assert_int_equal(spoiled(5, XRDMA_FRAME_HEAD + 21, 2), -EPROTO);  /* urgent */
	assert_int_equal(spoiled(6, XRDMA_FRAME_HEAD + 8, 0), -EPROTO);   /* keys */
	assert_int_equal(spoiled(6, XRDMA_FRAME_HEAD + 8, 2), -EPROTO);
	assert_int_equal(spoiled(7, XRDMA_FRAME_HEAD + 8, XRDMA_KEYS_MAX + 1), -EPROTO);
	assert_int_equal(spoiled(8, XRDMA_FRAME_HEAD, 0), -EPROTO); /* streams */
	assert_int_equal(spoiled(9, XRDMA_FRAME_HEAD, 17), -EPROTO);
	assert_int_equal(spoiled(11, XRDMA_FRAME_HEAD + 3, 1), -EPROTO);  /* errno */
	assert_int_equal(spoiled(11, XRDMA_FRAME_HEAD + 6, 27), -EPROTO); /* control character */
}

static void what_lies_side_by_side_is_asked_for_at_once(void **state)
{
	struct xrdma_frame f = {
		.type = XRDMA_ASK, .chunk = 3, .chunks = 2, .length = 8, .shift = 21
	};
	struct xrdma_frame more = f;

	(void)state;
	assert_false(xrdma_frame_join(&f, &more)); /* again, or a hole between */
	more.chunk = 6;
	assert_false(xrdma_frame_join(&f, &more));
	more.chunk = 5;
	more.region = 1;
	assert_false(xrdma_frame_join(&f, &more));
	more.region = 0;
	more.urgent = true; /* would be held up, or pushed */
	assert_false(xrdma_frame_join(&f, &more));
	more.urgent = false;
	assert_true(xrdma_frame_join(&f, &more));
	assert_true(f.chunk == 3 && f.chunks == 4 && f.length == 16);
	f.type = more.type = XRDMA_NEED;
	more.chunk = 7;
	assert_false(xrdma_frame_join(&f, &more));
}

static void keys_travel_together_as_far_as_there_is_room(void **state)
{
	struct xrdma_frame f = { .type = XRDMA_KEY, .chunk = 0, .chunks = 1, .addr = 4096 };
	struct xrdma_frame more = { .type = XRDMA_KEY, .chunks = 1 };

	(void)state;
	for (uint32_t i = 1; i < XRDMA_KEYS_MAX; i++) {
		more.chunk = i;
		more.rkey[0] = i;
		assert_true(xrdma_frame_join(&f, &more));
	}
	more.chunk = XRDMA_KEYS_MAX;
	assert_false(xrdma_frame_join(&f, &more));
	assert_int_equal(f.chunks, XRDMA_KEYS_MAX);
	assert_int_equal(f.addr, 4096);
	for (uint32_t i = 0; i < XRDMA_KEYS_MAX; i++)
		assert_int_equal(f.rkey[i], i);
}

static void records_come_back_as_they_were(void **state)
{
	struct xrdma_record out = { .type = XRDMA_ZERO, .count = XRDMA_RUNS_MAX }, in;
	struct xrdma_record fence = { .type = XRDMA_FENCE, .seq = 1ull << 50 };
	uint8_t wire[XRDMA_RECORD_SIZE];
	struct err e = { 0 };
	uint32_t n;

	(void)state;
	for (uint32_t i = 0; i < XRDMA_RUNS_MAX; i++)
		out.run[i] = (struct xrdma_run){ i % 4, i + 1, (uint64_t)i << 40 };
	n = xrdma_record_encode(&out, wire);
	assert_int_equal(n, XRDMA_RECORD_SIZE);
	assert_int_equal(xrdma_record_decode(&in, wire, n, &e), 0);
	assert_int_equal(in.count, out.count);
	assert_memory_equal(in.run, out.run, sizeof(in.run));
	assert_int_equal(xrdma_record_decode(&in, wire, n - 16, &e), -EPROTO);
	wire[2] = XRDMA_RUNS_MAX + 1;
	assert_int_equal(xrdma_record_decode(&in, wire, n, &e), -EPROTO);
	wire[2] = 0;
	assert_int_equal(xrdma_record_decode(&in, wire, XRDMA_RECORD_HEAD, &e), -EPROTO);

	n = xrdma_record_encode(&fence, wire);
	assert_int_equal(xrdma_record_decode(&in, wire, n, &e), 0);
	assert_true(in.type == XRDMA_FENCE && in.seq == fence.seq);
	wire[2] = 1;
	assert_int_equal(xrdma_record_decode(&in, wire, n, &e), -EPROTO);
}

static void a_hello_is_ours_or_nothing(void **state)
{
	struct xrdma_hello out = { .line = 4, .streams = 4, .proof = "0123456789abcde" }, in;
	uint8_t wire[56] = { 0 }; /* private data comes padded */

	(void)state;
	xrdma_hello_encode(&out, wire);
	assert_int_equal(xrdma_hello_decode(&in, wire, sizeof(wire)), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(xrdma_hello_decode(&in, wire, XRDMA_HELLO_SIZE - 1), -EPROTO);
	assert_int_equal(xrdma_hello_decode(&in, wire, 0), -EPROTO);
	wire[10] = 5; /* line */
	assert_int_equal(xrdma_hello_decode(&in, wire, sizeof(wire)), -EPROTO);
	wire[10] = 4;
	wire[12] = 17; /* streams */
	assert_int_equal(xrdma_hello_decode(&in, wire, sizeof(wire)), -EPROTO);
	wire[12] = 4;
	wire[8]++; /* version */
	assert_int_equal(xrdma_hello_decode(&in, wire, sizeof(wire)), -EPROTO);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_comes_back_as_it_was),
		cmocka_unit_test(a_byte_more_or_less_is_found_out),
		cmocka_unit_test(a_lie_is_refused),
		cmocka_unit_test(what_lies_side_by_side_is_asked_for_at_once),
		cmocka_unit_test(keys_travel_together_as_far_as_there_is_room),
		cmocka_unit_test(records_come_back_as_they_were),
		cmocka_unit_test(a_hello_is_ours_or_nothing),
	};

	return cmocka_run_group_tests_name("rdma: frames and records", tests, NULL, NULL);
}
