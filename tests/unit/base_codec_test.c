/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding and sections: what goes in comes out, in little-endian; what is cut short or hostile is
 * noticed and never read past its end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/base/section.h"

static void numbers_are_little_endian(void **state)
{
	static const uint8_t want[] = { 0x01, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 8, 7, 6, 5, 4, 3,
		2, 1 };
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	wbuf_u8(&w, 1);
	wbuf_u16(&w, 0x1234);
	wbuf_u32(&w, 0x12345678);
	wbuf_u64(&w, 0x0102030405060708ull);
	assert_int_equal(w.len, sizeof(want));
	assert_memory_equal(w.data, want, sizeof(want));
	r = rbuf_of(w.data, w.len);
	assert_int_equal(rbuf_u8(&r), 1);
	assert_int_equal(rbuf_u16(&r), 0x1234);
	assert_int_equal(rbuf_u32(&r), 0x12345678);
	assert_int_equal(rbuf_u64(&r), 0x0102030405060708ull);
	assert_true(rbuf_done(&r));
	wbuf_fini(&w);
}

static void reading_past_the_end_gives_zero_and_sticks(void **state)
{
	uint8_t two[2] = { 0xff, 0xff };
	struct rbuf r = rbuf_of(two, sizeof(two));

	(void)state;
	assert_int_equal(rbuf_u32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(rbuf_u8(&r), 0); /* one byte is left, but the reader has failed */
	assert_false(rbuf_done(&r));
}

static void strings_are_bounded_and_clean(void **state)
{
	char small[4], big[16];
	struct wbuf w;
	struct rbuf r;

	(void)state;
	wbuf_init(&w);
	wbuf_str(&w, "bird");
	r = rbuf_of(w.data, w.len);
	rbuf_str(&r, big, sizeof(big));
	assert_string_equal(big, "bird");
	r = rbuf_of(w.data, w.len);
	rbuf_str(&r, small, sizeof(small)); /* no room for the NUL */
	assert_true(r.failed);
	assert_string_equal(small, "");
	w.data[3] = '\n'; /* would break a log line */
	r = rbuf_of(w.data, w.len);
	rbuf_str(&r, big, sizeof(big));
	assert_true(r.failed);
	wbuf_fini(&w);
}

static void a_length_larger_than_the_rest_is_refused(void **state)
{
	uint8_t bytes[] = { 0xff, 0xff, 'x' };
	struct rbuf r = rbuf_of(bytes, sizeof(bytes));
	char s[8];

	(void)state;
	rbuf_str(&r, s, sizeof(s));
	assert_true(r.failed);
}

static void sections_are_found_by_name_and_length(void **state)
{
	struct err e;
	struct section s;
	struct wbuf w;
	struct rbuf r;
	size_t at;

	(void)state;
	wbuf_init(&w);
	at = section_begin(&w, "first", 0, 1);
	wbuf_u32(&w, 42);
	section_end(&w, at);
	at = section_begin(&w, "second", 7, 3);
	section_end(&w, at);
	r = rbuf_of(w.data, w.len);
	assert_int_equal(section_next(&r, &s, &e), 1);
	assert_string_equal(s.name, "first");
	assert_int_equal(rbuf_u32(&s.body), 42);
	assert_int_equal(section_done(&s, &e), 0);
	assert_int_equal(section_next(&r, &s, &e), 1);
	assert_string_equal(s.name, "second");
	assert_int_equal(s.instance, 7);
	assert_int_equal(section_version(&s, 3, &e), 0);
	assert_int_equal(section_version(&s, 2, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "'second' has version 3"));
	assert_int_equal(section_next(&r, &s, &e), 0);
	wbuf_fini(&w);
}

static void every_cut_of_a_section_is_noticed(void **state)
{
	struct section s;
	struct err e;
	struct wbuf w;
	size_t at;

	(void)state;
	wbuf_init(&w);
	at = section_begin(&w, "name", 1, 1);
	wbuf_u64(&w, 1);
	section_end(&w, at);
	for (size_t n = 1; n < w.len; n++) {
		uint8_t *cut = malloc(n); /* exact size, so that a sanitizer sees an overrun */
		struct rbuf r = rbuf_of(memcpy(cut, w.data, n), n);

		assert_int_equal(section_next(&r, &s, &e), -EPROTO);
		free(cut);
	}
	wbuf_fini(&w);
}

static void a_body_read_short_or_long_is_an_error_that_names_it(void **state)
{
	struct section s = { .name = "pit", .version = 1 };
	uint8_t b[4] = { 0 };
	struct err e;

	(void)state;
	s.body = rbuf_of(b, sizeof(b));
	assert_int_equal(section_done(&s, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "'pit'"));
	assert_non_null(strstr(e.msg, "too long"));
	rbuf_u64(&s.body);
	assert_int_equal(section_done(&s, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "too short"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(reading_past_the_end_gives_zero_and_sticks),
		cmocka_unit_test(strings_are_bounded_and_clean),
		cmocka_unit_test(a_length_larger_than_the_rest_is_refused),
		cmocka_unit_test(sections_are_found_by_name_and_length),
		cmocka_unit_test(every_cut_of_a_section_is_noticed),
		cmocka_unit_test(a_body_read_short_or_long_is_an_error_that_names_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
