/* SPDX-License-Identifier: Apache-2.0 */
/* Refused peers are told of, each with its reason; a flood of them is counted, and drowns nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "hv/cmd/refusals.h"

#define T0 5000000000ull

struct heard {
	unsigned lines;
	char last[1024];
};

static void heard_line(void *arg, const char *text)
{
	struct heard *h = arg;

	h->lines++;
	snprintf(h->last, sizeof(h->last), "%s", text);
}

static void a_refusal_is_told_with_address_and_reason(void **state)
{
	struct heard h = { 0 };
	struct refusals f = { .line = heard_line, .arg = &h };

	(void)state;
	refusals_add(&f, "192.0.2.1", "it has another key", T0);
	assert_string_equal(h.last, "refused 192.0.2.1: it has another key");
	refusals_end(&f, T0 + REFUSALS_NS);
	assert_int_equal(h.lines, 1); /* nothing was left out, so there is nothing to add */
}

static void what_a_terminal_should_not_get_is_taken_out(void **state)
{
	struct heard h = { 0 };
	struct refusals f = { .line = heard_line, .arg = &h };

	(void)state;
	refusals_add(&f, "::1", "a\x1b[2Jb\nc\x7f", T0);
	assert_string_equal(h.last, "refused ::1: a?[2Jb?c?");
}

static void of_a_flood_the_first_are_told_and_the_rest_counted(void **state)
{
	struct heard h = { 0 };
	struct refusals f = { .line = heard_line, .arg = &h };

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		refusals_add(&f, "192.0.2.1", "no", T0 + i);
	assert_int_equal(h.lines, REFUSALS_OF_PEER);
	refusals_end(&f, T0 + REFUSALS_NS - 1); /* not yet */
	assert_int_equal(h.lines, REFUSALS_OF_PEER);
	refusals_end(&f, T0 + REFUSALS_NS);
	assert_int_equal(h.lines, REFUSALS_OF_PEER + 1);
	assert_string_equal(h.last, "1990 more refusals of 192.0.2.1 in the last 10 s");
	/* and it begins anew, also without a timer */
	refusals_add(&f, "192.0.2.1", "no", T0 + 2 * REFUSALS_NS);
	assert_string_equal(h.last, "refused 192.0.2.1: no");
	for (unsigned i = 0; i < REFUSALS_OF_PEER; i++)
		refusals_add(&f, "192.0.2.1", "no", T0 + 2 * REFUSALS_NS);
	refusals_add(&f, "192.0.2.1", "again", T0 + 3 * REFUSALS_NS);
	assert_string_equal(h.last, "refused 192.0.2.1: again");
	assert_int_equal(h.lines, 2 * REFUSALS_OF_PEER + 3); /* "1 more refusal" among them */
}

static void a_flood_does_not_hide_another_peer(void **state)
{
	struct heard h = { 0 };
	struct refusals f = { .line = heard_line, .arg = &h };

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		refusals_add(&f, "192.0.2.1", "no", T0);
	refusals_add(&f, "192.0.2.2", "its certificate has expired", T0);
	assert_string_equal(h.last, "refused 192.0.2.2: its certificate has expired");
}

static void a_flood_from_everywhere_is_bounded_and_none_is_lost(void **state)
{
	struct heard h = { 0 };
	struct refusals f = { .line = heard_line, .arg = &h };
	uint64_t left_out = 0;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "2001:db8::%x", i);
		refusals_add(&f, name, "no", T0);
	}
	assert_in_range(h.lines, REFUSALS_PEERS, REFUSALS_LINES);
	for (unsigned i = 0; i <= REFUSALS_PEERS; i++)
		left_out += f.peer[i].left_out;
	assert_int_equal(h.lines + left_out, 5000);
	refusals_end(&f, UINT64_MAX);
	assert_non_null(strstr(h.last, "more refusals of other addresses"));
	assert_in_range(h.lines, 0, REFUSALS_LINES + REFUSALS_PEERS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusal_is_told_with_address_and_reason),
		cmocka_unit_test(what_a_terminal_should_not_get_is_taken_out),
		cmocka_unit_test(of_a_flood_the_first_are_told_and_the_rest_counted),
		cmocka_unit_test(a_flood_does_not_hide_another_peer),
		cmocka_unit_test(a_flood_from_everywhere_is_bounded_and_none_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
