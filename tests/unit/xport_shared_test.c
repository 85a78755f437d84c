/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all transports share: a range outside guest memory is refused whoever names it, zero pages
 * stay holes unless an adapter holds them, a message takes no more memory than has come of it, and
 * time does not wrap.
 * Next in the flow: tcp_frame_test.c, rdma_chunk_test.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/migrate/xport/inbox.h"
#include "hv/migrate/xport/meet.h"
#include "hv/migrate/xport/range.h"

#define MIB  (1ull << 20)
#define SIZE (5 * MIB)

static void a_range_is_pages_of_one_block_of_a_region(void **state)
{
	static const struct {
		uint64_t size, offset, length;
		int want;
		const char *says;
	} ranges[] = {
		{ SIZE, 0, 4096, 0, "" },
		{ SIZE, XPORT_BLOCK_SIZE, XPORT_BLOCK_SIZE, 0, "" },
		{ SIZE, SIZE - 4096, 4096, 0, "" },
		{ 0, 0, 4096, -EPROTO, "region 7 is unknown" },
		{ SIZE, 1, 4096, -EPROTO, "not the start of a page" },
		{ SIZE, SIZE, 4096, -EPROTO, "not the start of a page" },
		{ SIZE, UINT64_MAX - 4095, 4096, -EPROTO, "not the start of a page" },
		{ SIZE, 0, 0, -EPROTO, "not whole pages" },
		{ SIZE, 0, 100, -EPROTO, "not whole pages" },
		{ SIZE, 0, UINT64_MAX - 4095, -EPROTO, "not whole pages" },
		{ SIZE, 4096, XPORT_BLOCK_SIZE, -EPROTO, "crosses a block" },
		{ SIZE, SIZE - 4096, 8192, -EPROTO, "past the end" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct err e = { 0 };

		assert_int_equal(xport_range_check(7, ranges[i].size, ranges[i].offset,
					 ranges[i].length, -EPROTO, &e),
			ranges[i].want);
		assert_non_null(strstr(e.msg, ranges[i].says));
	}
}

static void a_region_is_whole_pages_and_has_its_number_alone(void **state)
{
	void *base = (void *)(uintptr_t)0x10000;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xport_region_check(0, false, base, SIZE, &e), 0);
	assert_int_equal(xport_region_check(XPORT_REGIONS_MAX, false, base, SIZE, &e), -EINVAL);
	assert_int_equal(xport_region_check(0, true, base, SIZE, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "already known"));
	assert_int_equal(xport_region_check(0, false, NULL, SIZE, &e), -EINVAL);
	assert_int_equal(xport_region_check(0, false, base, 0, &e), -EINVAL);
	assert_int_equal(xport_region_check(0, false, base, SIZE + 1, &e), -EINVAL);
	assert_int_equal(xport_region_check(0, false, (char *)base + 1, SIZE, &e), -EINVAL);
}

static bool in_memory(void *p)
{
	unsigned char in;

	assert_int_equal(mincore(p, XPORT_PAGE_SIZE, &in), 0);
	return in & 1;
}

static void zero_pages_are_given_back_unless_an_adapter_holds_them(void **state)
{
	int fd = memfd_create("zero", MFD_CLOEXEC);
	uint8_t *p;

	(void)state;
	assert_int_equal(ftruncate(fd, 4 * XPORT_PAGE_SIZE), 0);
	p = mmap(NULL, 4 * XPORT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 1, 3 * XPORT_PAGE_SIZE);
	xport_zero(p, XPORT_PAGE_SIZE, false);
	assert_false(in_memory(p));
	xport_zero(p + 3 * XPORT_PAGE_SIZE, XPORT_PAGE_SIZE, false);
	assert_false(in_memory(p + 3 * XPORT_PAGE_SIZE)); /* a hole was not read */
	xport_zero(p + XPORT_PAGE_SIZE, XPORT_PAGE_SIZE, true);
	assert_true(in_memory(p + XPORT_PAGE_SIZE));
	for (size_t i = 0; i < XPORT_PAGE_SIZE; i++) {
		assert_int_equal(p[i], 0);
		assert_int_equal(p[XPORT_PAGE_SIZE + i], 0);
		assert_int_equal(p[2 * XPORT_PAGE_SIZE + i], 1);
	}
	munmap(p, 4 * XPORT_PAGE_SIZE);
	close(fd);
}

static void a_message_takes_what_has_come_of_it_twice_at_most(void **state)
{
	struct xport_inbox in = { 0 };
	size_t total = 10 * MIB + 1;

	(void)state;
	assert_int_equal(xport_inbox_room(&in, 1, total), 0);
	assert_int_equal(in.cap, XPORT_INBOX_FIRST);
	while (in.got < total) {
		size_t n = total - in.got < 8192 ? total - in.got : 8192;

		assert_int_equal(xport_inbox_room(&in, n, total), 0);
		assert_true(in.cap >= in.got + n && in.cap <= total);
		assert_true(in.cap <= XPORT_INBOX_FIRST || in.cap <= 2 * (in.got + n));
		memset(in.data + in.got, 7, n);
		in.got += n;
	}
	assert_int_equal(in.cap, total);
	in.complete = in.delivered = true;
	xport_inbox_release(&in);
	assert_true(!in.data && !in.cap && !in.got && !in.complete && !in.delivered);
	/* What is small stays for the next. */
	assert_int_equal(xport_inbox_room(&in, 10, 10), 0);
	xport_inbox_release(&in);
	assert_int_equal(in.cap, XPORT_INBOX_FIRST);
	xport_inbox_fini(&in);
	assert_null(in.data);
}

static void addresses_are_checked_and_told(void **state)
{
	struct xport_addr a = { .host = "192.0.2.1", .port = 7, .streams = 16 };
	char text[XPORT_HOST_MAX + 16];
	struct err e = { 0 };

	(void)state;
	assert_int_equal(xport_addr_check(&a, &e), 0);
	assert_string_equal(xport_addr_format(&a, text, sizeof(text)), "192.0.2.1:7");
	strcpy(a.host, "2001:db8::1");
	assert_string_equal(xport_addr_format(&a, text, sizeof(text)), "[2001:db8::1]:7");
	a.streams = 0;
	assert_int_equal(xport_addr_check(&a, &e), -EINVAL);
	a.streams = 17;
	assert_int_equal(xport_addr_check(&a, &e), -EINVAL);
	a.streams = 1;
	a.host[0] = '\0';
	assert_int_equal(xport_addr_check(&a, &e), -EINVAL);
	memset(a.host, 'x', sizeof(a.host)); /* no end */
	assert_int_equal(xport_addr_check(&a, &e), -EINVAL);
}

static void a_proof_is_equal_in_every_byte_or_not(void **state)
{
	uint8_t a[XPORT_PROOF_SIZE] = { 1, 2, 3 }, b[XPORT_PROOF_SIZE] = { 1, 2, 3 };

	(void)state;
	assert_true(xport_proof_equal(a, b));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		assert_false(xport_proof_equal(a, b));
		b[i] ^= 0x80;
	}
}

/* Nothing that was seen once can be used for anything else. */
static void a_proof_is_for_one_purpose_nonce_and_stream_of_one_move(void **state)
{
	struct xport_addr a = { .host = "::1", .streams = 4, .token = "one move's token" };
	struct xport_addr fewer = a, another = a;
	uint8_t nonce[XPORT_NONCE_SIZE] = { 7 }, other[XPORT_NONCE_SIZE] = { 8 };
	uint8_t p[8][XPORT_PROOF_SIZE];

	(void)state;
	fewer.streams = 3;
	another.token[15] ^= 1;
	assert_int_equal(xport_prove(&a, "source", nonce, 1, p[0]), 0);
	assert_int_equal(xport_prove(&a, "target", nonce, 1, p[1]), 0);
	assert_int_equal(xport_prove(&a, "source", other, 1, p[2]), 0);
	assert_int_equal(xport_prove(&a, "source", nonce, 2, p[3]), 0);
	assert_int_equal(xport_prove(&fewer, "source", nonce, 1, p[4]), 0);
	assert_int_equal(xport_prove(&another, "source", nonce, 1, p[5]), 0);
	assert_int_equal(xport_prove(&a, "source", NULL, 1, p[6]), 0);
	assert_int_equal(xport_prove(&a, "source", nonce, 257, p[7]), 0);
	for (unsigned i = 0; i < 8; i++) {
		assert_memory_not_equal(p[i], a.token, XPORT_PROOF_SIZE);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(p[i], p[k], XPORT_PROOF_SIZE);
	}
	assert_int_equal(xport_prove(&a, "source", nonce, 1, p[1]), 0);
	assert_memory_equal(p[0], p[1], XPORT_PROOF_SIZE);
}

static void time_does_not_wrap(void **state)
{
	(void)state;
	assert_true(xport_deadline(UINT64_MAX) == UINT64_MAX);
	assert_int_equal(xport_ms_left(0), 0);
	assert_int_equal(xport_ms_left(UINT64_MAX), 3600000);
	assert_in_range(xport_ms_left(xport_deadline(5000000)), 1, 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_pages_of_one_block_of_a_region),
		cmocka_unit_test(a_region_is_whole_pages_and_has_its_number_alone),
		cmocka_unit_test(zero_pages_are_given_back_unless_an_adapter_holds_them),
		cmocka_unit_test(a_message_takes_what_has_come_of_it_twice_at_most),
		cmocka_unit_test(addresses_are_checked_and_told),
		cmocka_unit_test(a_proof_is_equal_in_every_byte_or_not),
		cmocka_unit_test(a_proof_is_for_one_purpose_nonce_and_stream_of_one_move),
		cmocka_unit_test(time_does_not_wrap),
	};

	return cmocka_run_group_tests_name("what transports share", tests, NULL, NULL);
}
