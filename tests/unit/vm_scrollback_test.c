/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console's last bytes: readers come late, are slow, or see all; the ring wraps; what is saved is
 * the end, and a saved length is never believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "hv/vm/scrollback.h"

static struct scrollback *fresh(void)
{
	struct scrollback *s;
	struct err e;

	assert_int_equal(scrollback_new(&s, &e), 0);
	return s;
}

static bool told(struct scrollback *s)
{
	struct pollfd p = { .fd = scrollback_fd(s), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void each_reader_has_a_place_of_its_own(void **state)
{
	struct scrollback *s = fresh();
	uint64_t a = scrollback_start(s), b, lost;
	char buf[16] = "";

	(void)state;
	scrollback_write(s, "hello ", 6);
	assert_int_equal(scrollback_read(s, &a, buf, sizeof(buf), &lost), 6);
	a += 6;
	scrollback_write(s, "world", 5);
	b = scrollback_start(s);
	assert_int_equal(scrollback_read(s, &b, buf, sizeof(buf), &lost), 11);
	assert_memory_equal(buf, "hello world", 11);
	assert_int_equal(scrollback_read(s, &a, buf, 2, &lost), 2);
	assert_memory_equal(buf, "wo", 2);
	assert_int_equal(lost, 0);
	a += 5;
	assert_int_equal(scrollback_read(s, &a, buf, sizeof(buf), &lost), 0);
	scrollback_free(s);
}

/* Byte number i of the stream is i % 251, so that any place in it can be recognised. */
static void stream(struct scrollback *s, uint64_t from, uint64_t to)
{
	uint8_t chunk[1000];

	while (from < to) {
		size_t n = to - from < sizeof(chunk) ? (size_t)(to - from) : sizeof(chunk);

		for (size_t i = 0; i < n; i++)
			chunk[i] = (uint8_t)((from + i) % 251);
		scrollback_write(s, chunk, n);
		from += n;
	}
}

static void a_reader_too_far_behind_is_told_what_it_missed(void **state)
{
	struct scrollback *s = fresh();
	uint64_t pos = 0, lost;
	static uint8_t buf[SCROLLBACK_SIZE + 1];
	size_t n;

	(void)state;
	stream(s, 0, SCROLLBACK_SIZE + 777);
	n = scrollback_read(s, &pos, buf, sizeof(buf), &lost);
	assert_int_equal(lost, 777);
	assert_int_equal(pos, 777);
	assert_int_equal(n, SCROLLBACK_SIZE);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf[i], (777 + i) % 251);
	assert_int_equal(scrollback_start(s), 777);
	scrollback_free(s);
}

static void one_write_larger_than_the_ring_keeps_its_end(void **state)
{
	static uint8_t big[SCROLLBACK_SIZE + 10], buf[SCROLLBACK_SIZE];
	struct scrollback *s = fresh();
	uint64_t pos = 0, lost;

	(void)state;
	memset(big, 'x', 10);
	memset(big + 10, 'y', SCROLLBACK_SIZE);
	scrollback_write(s, big, sizeof(big));
	assert_int_equal(scrollback_read(s, &pos, buf, sizeof(buf), &lost), SCROLLBACK_SIZE);
	assert_int_equal(lost, 10);
	assert_int_equal(buf[0], 'y');
	scrollback_free(s);
}

static void the_descriptor_tells_once_and_only_if_watched(void **state)
{
	struct scrollback *s = fresh();

	(void)state;
	scrollback_write(s, "a", 1);
	assert_false(told(s));
	scrollback_watch(s, true);
	scrollback_write(s, "b", 1);
	scrollback_write(s, "c", 1);
	assert_true(told(s));
	scrollback_told(s);
	assert_false(told(s));
	scrollback_write(s, "d", 1);
	assert_true(told(s));
	scrollback_free(s);
}

static void the_end_of_it_moves(void **state)
{
	struct scrollback *a = fresh(), *b = fresh();
	static uint8_t buf[SCROLLBACK_SIZE];
	uint64_t pos = 0, lost;
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	scrollback_save(a, &w); /* empty, too */
	stream(a, 0, 100000);
	scrollback_save(a, &w);
	r = rbuf_of(w.data, w.len);
	scrollback_load(b, &r);
	scrollback_load(b, &r);
	assert_true(rbuf_done(&r));
	assert_int_equal(scrollback_read(b, &pos, buf, sizeof(buf), &lost), SCROLLBACK_TRAVEL);
	for (size_t i = 0; i < SCROLLBACK_TRAVEL; i++)
		assert_int_equal(buf[i], (100000 - SCROLLBACK_TRAVEL + i) % 251);
	wbuf_fini(&w);
	scrollback_free(a);
	scrollback_free(b);
}

static void a_length_is_not_believed(void **state)
{
	static const uint8_t more[] = { 5, 0, 0, 0, 'a', 'b' };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 'a' };
	struct scrollback *s = fresh();
	struct rbuf r;
	uint64_t pos = 0, lost;
	char c;

	(void)state;
	r = rbuf_of(more, sizeof(more));
	scrollback_load(s, &r);
	assert_true(r.failed);
	r = rbuf_of(huge, sizeof(huge));
	scrollback_load(s, &r);
	assert_true(r.failed);
	assert_int_equal(scrollback_read(s, &pos, &c, 1, &lost), 0);
	scrollback_free(s);
}

static void *writer(void *arg)
{
	stream(arg, 0, 1u << 20);
	return NULL;
}

/* For the thread sanitizer as much as for the bytes: a reader beside a writer sees the stream. */
static void a_reader_beside_a_writer_sees_the_stream(void **state)
{
	struct scrollback *s = fresh();
	uint64_t pos = 0, lost;
	uint8_t buf[512];
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, writer, s), 0);
	while (pos < 1u << 20) {
		size_t n = scrollback_read(s, &pos, buf, sizeof(buf), &lost);

		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf[i], (pos + i) % 251);
		pos += n;
	}
	pthread_join(t, NULL);
	scrollback_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reader_has_a_place_of_its_own),
		cmocka_unit_test(a_reader_too_far_behind_is_told_what_it_missed),
		cmocka_unit_test(one_write_larger_than_the_ring_keeps_its_end),
		cmocka_unit_test(the_descriptor_tells_once_and_only_if_watched),
		cmocka_unit_test(the_end_of_it_moves),
		cmocka_unit_test(a_length_is_not_believed),
		cmocka_unit_test(a_reader_beside_a_writer_sees_the_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
