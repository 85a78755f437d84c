/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frame headers: written and read back they are the same, and every field a peer may lie about is
 * found out and named.
 * Next in the flow: tcp_wire_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "transport-tcp/frame.h"

#define REGION_SIZE (1u << 20)

static uint8_t memory[REGION_SIZE] __attribute__((aligned(4096)));

static const struct xtcp_frame good[] = {
	{ .type = XTCP_FRAME_PUT, .length = 4096, .region = 0, .offset = 8192 },
	{ .type = XTCP_FRAME_ZERO, .length = XPORT_BLOCK_SIZE, .region = 0, .offset = 0 },
	{ .type = XTCP_FRAME_MSG, .msg_type = 65535, .length = XPORT_MSG_MAX, .seq = 5 },
	{ .type = XTCP_FRAME_FENCE, .seq = 5 },
};

static void round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint8_t b[XTCP_FRAME_SIZE];
		struct xtcp_frame f;
		struct err e;

		xtcp_frame_encode(&good[i], b);
		assert_int_equal(xtcp_frame_decode(&f, b, &e), 0);
		assert_int_equal(f.type, good[i].type);
		assert_int_equal(f.msg_type, good[i].msg_type);
		assert_int_equal(f.length, good[i].length);
		assert_int_equal(f.region, good[i].region);
		assert_int_equal(f.offset, good[i].offset);
		assert_int_equal(f.seq, good[i].seq);
	}
}

/* The bytes themselves: another engine, another version must agree on them. */
static void layout(void **state)
{
	static const uint8_t want[XTCP_FRAME_SIZE] = { 0x57, 0x54, 1, 0, 0x00, 0x10, 0, 0, 3, 0, 0,
		0, 0, 0, 0, 0, 0, 0x20, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct xtcp_frame f = {
		.type = XTCP_FRAME_PUT, .length = 4096, .region = 3, .offset = 0x100002000
	};
	uint8_t b[XTCP_FRAME_SIZE];

	(void)state;
	xtcp_frame_encode(&f, b);
	assert_memory_equal(b, want, sizeof(want));
}

/* Any one byte that is not what the encoder would write is refused or changes a used field. */
static void shape(void **state)
{
	static const struct {
		unsigned frame, byte;
		uint8_t value;
		const char *says;
	} bad[] = {
		{ 0, 0, 0x58, "magic" },
		{ 0, 2, 0, "type 0" },
		{ 0, 2, 5, "type 5" },
		{ 0, 3, 1, "not zero" },
		{ 0, 12, 1, "not zero" },
		{ 0, 14, 1, "not zero" },
		{ 0, 24, 1, "not zero" },
		{ 2, 8, 1, "not zero" },
		{ 2, 16, 1, "not zero" },
		{ 3, 4, 1, "fence length" },
		{ 3, 12, 1, "not zero" },
		{ 3, 15, 1, "not zero" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t b[XTCP_FRAME_SIZE];
		struct xtcp_frame f;
		struct err e = { 0 };

		xtcp_frame_encode(&good[bad[i].frame], b);
		b[bad[i].byte] = bad[i].value;
		assert_int_equal(xtcp_frame_decode(&f, b, &e), -EPROTO);
		assert_non_null(strstr(e.msg, bad[i].says));
	}
}

static void meaning(void **state)
{
	static const struct {
		struct xtcp_frame f;
		unsigned stream, streams;
		bool source;
		const char *says; /* NULL: accepted */
	} cases[] = {
		{ { .type = XTCP_FRAME_PUT, .length = 4096 }, 0, 1, false, NULL },
		{ { .type = XTCP_FRAME_PUT, .length = 4096 }, 0, 1, true, "target only" },
		{ { .type = XTCP_FRAME_ZERO, .length = 4096 }, 0, 1, true, "target only" },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .region = 1 }, 1, 4, false,
			"region 1" },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .region = UINT32_MAX }, 0, 1, false,
			"region 4294967295" },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .offset = 1 }, 0, 1, false,
			"offset 1" },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .offset = REGION_SIZE }, 0, 1, false,
			"offset 1048576" },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .offset = UINT64_MAX - 4095 }, 0, 1,
			false, "offset" },
		{ { .type = XTCP_FRAME_PUT, .length = 0 }, 0, 1, false, "length 0" },
		{ { .type = XTCP_FRAME_PUT, .length = 4097 }, 0, 1, false, "length 4097" },
		{ { .type = XTCP_FRAME_ZERO, .length = UINT32_MAX - 4095 }, 0, 1, false, "length" },
		{ { .type = XTCP_FRAME_PUT, .length = 8192, .offset = REGION_SIZE - 4096 }, 0, 1,
			false, "past the end" },
		{ { .type = XTCP_FRAME_PUT, .length = XPORT_BLOCK_SIZE, .offset = 4096 }, 0, 1,
			false, "crosses" },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .offset = XPORT_BLOCK_SIZE }, 1, 4,
			false, NULL },
		{ { .type = XTCP_FRAME_PUT, .length = 4096, .offset = XPORT_BLOCK_SIZE }, 2, 4,
			false, "on stream 2" },
		{ { .type = XTCP_FRAME_MSG, .seq = 8 }, 0, 4, true, NULL },
		{ { .type = XTCP_FRAME_MSG, .seq = 8 }, 1, 4, false, "message on stream 1" },
		{ { .type = XTCP_FRAME_MSG, .seq = 7 }, 0, 4, false, "sequence 7" },
		{ { .type = XTCP_FRAME_MSG, .seq = 9 }, 0, 4, false, "sequence 9" },
		{ { .type = XTCP_FRAME_MSG, .seq = 8, .length = XPORT_MSG_MAX + 1 }, 0, 4, false,
			"message length" },
		{ { .type = XTCP_FRAME_FENCE, .seq = 8 }, 3, 4, false, NULL },
		{ { .type = XTCP_FRAME_FENCE, .seq = 8 }, 0, 4, false, "fence on stream 0" },
		{ { .type = XTCP_FRAME_FENCE, .seq = 10 }, 3, 4, false, "sequence 10" },
	};
	struct xtcp_regions g = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xtcp_regions_add(&g, 0, memory, sizeof(memory), &e), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xtcp_frame_ctx c = { &g, !cases[i].source, cases[i].stream, cases[i].streams,
			7 };
		int r = xtcp_frame_check(&cases[i].f, &c, &e);

		assert_int_equal(r, cases[i].says ? -EPROTO : 0);
		if (cases[i].says && !strstr(e.msg, cases[i].says))
			fail_msg("case %zu says \"%s\", not \"%s\"", i, e.msg, cases[i].says);
	}
}

static void streams(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= XTCP_STREAMS_MAX; n++)
		for (uint64_t off = 0; off < 40ull * XPORT_BLOCK_SIZE; off += 4096) {
			unsigned s = xport_stream_of(1, off, n);

			assert_true(s < n);
			/* all pages of a block agree */
			assert_int_equal(
				s, xport_stream_of(1, off & ~(XPORT_BLOCK_SIZE - 1ull), n));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(layout),
		cmocka_unit_test(shape),
		cmocka_unit_test(meaning),
		cmocka_unit_test(streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
