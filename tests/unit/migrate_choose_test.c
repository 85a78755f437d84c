/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which transport a move takes: the best that both ends can use, with the reason for each that was
 * passed over; and the one asked for by name, or an error.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/migrate/choose.h"

static void says_yes(const struct xport_addr *addr, struct xport_probe *out)
{
	out->usable = true;
	snprintf(out->why, sizeof(out->why), "reaches %.100s", addr ? addr->host : "anybody");
}

static void says_no(const struct xport_addr *addr, struct xport_probe *out)
{
	(void)addr;
	out->usable = false;
	snprintf(out->why, sizeof(out->why), "no adapter: load its module");
}

/* Only names and probes are looked at before the choice. */
static const struct xport_ops fast = { .name = "fast", .probe = says_yes };
static const struct xport_ops lame = { .name = "fast", .probe = says_no };
static const struct xport_ops next = { .name = "next", .probe = says_yes };
static const struct xport_ops plain = { .name = "plain", .probe = says_yes };

static const struct xport_ops *const able[] = { &fast, &next, &plain };
static const struct xport_ops *const limping[] = { &lame, &next, &plain };
static const struct xport_ops *const simple[] = { &plain };

#define LIST(a)                                                                                    \
	(struct xport_list)                                                                        \
	{                                                                                          \
		.ops = (a), .n = sizeof(a) / sizeof((a)[0])                                        \
	}

static const struct xport_addr target = { .host = "10.0.0.2" };

static void probing_asks_each_about_the_address(void **state)
{
	struct rdv_transports here;

	(void)state;
	choose_probe(&LIST(limping), &target, &here);
	assert_int_equal(here.n, 3);
	assert_string_equal(here.t[0].name, "fast");
	assert_false(here.t[0].can.usable);
	assert_string_equal(here.t[1].name, "next");
	assert_true(here.t[1].can.usable);
	assert_string_equal(here.t[1].can.why, "reaches 10.0.0.2");
	choose_probe(&LIST(simple), NULL, &here);
	assert_int_equal(here.n, 1);
	assert_string_equal(here.t[0].can.why, "reaches anybody");
}

/* Chooses from @l at the source, while the target has @t. */
static const struct xport_ops *choose(
	struct xport_list l, struct xport_list t, char *note, struct err *e)
{
	struct rdv_transports here, there;

	choose_probe(&l, &target, &here);
	choose_probe(&t, NULL, &there);
	return choose_transport(&l, &here, &there, note, e);
}

static void auto_takes_the_first_that_both_can_use(void **state)
{
	char note[CHOOSE_NOTE_MAX];

	(void)state;
	assert_ptr_equal(choose(LIST(able), LIST(able), note, NULL), &fast);
	assert_string_equal(note, "fast (reaches 10.0.0.2)");
	assert_ptr_equal(choose(LIST(able), LIST(limping), note, NULL), &next);
	assert_string_equal(note, "next (not fast: on the target: no adapter: load its module)");
	assert_ptr_equal(choose(LIST(limping), LIST(able), note, NULL), &next);
	assert_string_equal(note, "next (not fast: here: no adapter: load its module)");
	assert_ptr_equal(choose(LIST(able), LIST(simple), note, NULL), &plain);
	assert_string_equal(note, "plain (not fast: the target's watari has no such transport; "
				  "not next: the target's watari has no such transport)");
}

static void a_lone_transport_needs_no_words(void **state)
{
	char note[CHOOSE_NOTE_MAX];

	(void)state;
	assert_ptr_equal(choose(LIST(simple), LIST(able), note, NULL), &plain);
	assert_string_equal(note, "plain");
}

static void a_name_is_taken_or_refused_never_replaced(void **state)
{
	const struct xport_ops *const by_name[] = { &fast };
	const struct xport_ops *const by_lame_name[] = { &lame };
	struct xport_list l = LIST(by_name);
	char note[CHOOSE_NOTE_MAX];
	struct err e = { 0 };

	(void)state;
	l.named = true;
	assert_ptr_equal(choose(l, LIST(able), note, &e), &fast);
	assert_null(choose(l, LIST(limping), note, &e));
	assert_int_equal(e.code, -EOPNOTSUPP);
	assert_string_equal(e.msg,
		"transport fast cannot be used: on the target: no adapter: load its "
		"module (--transport auto takes the best that can)");
	assert_null(choose(l, LIST(simple), note, &e));
	assert_non_null(strstr(e.msg, "has no such transport"));
	l.ops = by_lame_name;
	assert_null(choose(l, LIST(able), note, &e));
	assert_non_null(strstr(e.msg, "here: no adapter"));
}

static void nothing_in_common_is_an_error_with_every_reason(void **state)
{
	const struct xport_ops *const hopeless[] = { &lame };
	char note[CHOOSE_NOTE_MAX];
	struct err e = { 0 };

	(void)state;
	assert_null(choose(LIST(hopeless), LIST(able), note, &e));
	assert_int_equal(e.code, -EOPNOTSUPP);
	assert_string_equal(e.msg,
		"no transport can be used by both ends: fast: here: no adapter: load "
		"its module");
}

static void long_reasons_are_cut_not_overrun(void **state)
{
	struct rdv_transports here, there;
	struct xport_list l = LIST(able);
	char note[CHOOSE_NOTE_MAX + 1];
	struct err e = { 0 };

	(void)state;
	choose_probe(&l, NULL, &here);
	there = here;
	for (unsigned i = 0; i < there.n; i++) {
		there.t[i].can.usable = i == 2;
		memset(there.t[i].can.why, 'x', sizeof(there.t[i].can.why) - 1);
	}
	note[CHOOSE_NOTE_MAX] = 77;
	assert_ptr_equal(choose_transport(&l, &here, &there, note, &e), &plain);
	assert_true(strlen(note) < CHOOSE_NOTE_MAX);
	assert_int_equal(note[CHOOSE_NOTE_MAX], 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probing_asks_each_about_the_address),
		cmocka_unit_test(auto_takes_the_first_that_both_can_use),
		cmocka_unit_test(a_lone_transport_needs_no_words),
		cmocka_unit_test(a_name_is_taken_or_refused_never_replaced),
		cmocka_unit_test(nothing_in_common_is_an_error_with_every_reason),
		cmocka_unit_test(long_reasons_are_cut_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
