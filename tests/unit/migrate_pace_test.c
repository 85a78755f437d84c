/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move may send and when: as its bandwidth lets it, nothing while another guest is frozen,
 * and as before when that is over. Time is a number here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/migrate/pace.h"
#include "hv/migrate/way.h"

#define MSEC 1000000ull
#define SEC  (1000 * MSEC)
#define PUT  (256ull << 10)

/* Sends all that may go in @ns, a put at a time, looking every 100 us. */
static uint64_t send_for(struct pace *c, uint64_t *now, uint64_t ns)
{
	uint64_t end = *now + ns, sent = 0;

	for (; *now < end; *now += 100000) {
		for (unsigned i = 0; i < 8 && pace_may_send(c, *now); i++) {
			pace_sent(c, PUT);
			sent += PUT;
		}
	}
	return sent;
}

static void without_a_limit_all_may_go(void **state)
{
	uint64_t now = 5 * SEC;
	struct pace c;

	(void)state;
	pace_init(&c, 0, now);
	assert_int_equal(send_for(&c, &now, SEC), 8 * PUT * 10000);
}

static void a_limit_is_kept_over_time(void **state)
{
	uint64_t now = 5 * SEC, rate = 100ull << 20, sent;
	struct pace c;

	(void)state;
	pace_init(&c, rate, now);
	sent = send_for(&c, &now, 2 * SEC);
	assert_in_range(sent, rate * 2 * 95 / 100, rate * 2 + PUT + rate / 50);
}

/* However much has gone before: what has no limit owes nothing. */
static void what_stopped_for_others_goes_on(void **state)
{
	static const uint64_t rates[] = { 0, 100ull << 20 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t now = 5 * SEC;
		struct pace c;

		pace_init(&c, rates[i], now);
		assert_true(send_for(&c, &now, SEC) > 0);
		pace_round(&c);
		pace_stop(&c);
		assert_true(pace_wants_idle(&c));
		pace_idle(&c, now);
		now += 70 * MSEC;
		assert_true(pace_may_send(&c, now));
		assert_int_equal(c.idle_ns, 70 * MSEC); /* which the round's speed does not count */
		assert_true(send_for(&c, &now, SEC) > 0);
	}
}

/* ---- giving way ------------------------------------------------------------------------------ */

struct others {
	bool frozen;
	unsigned asked;
};

static bool others_frozen(void *arg)
{
	struct others *o = arg;

	o->asked++;
	return o->frozen;
}

static void who_has_no_others_never_gives_way(void **state)
{
	struct way w = { 0 };

	(void)state;
	assert_false(way_give(&w, SEC));
}

static void way_is_given_while_another_is_frozen(void **state)
{
	struct others o = { .frozen = true };
	struct way w = { .others_frozen = others_frozen, .arg = &o };
	uint64_t now = SEC;

	(void)state;
	assert_true(way_give(&w, now));
	o.frozen = false;
	assert_true(way_give(&w, now + WAY_LOOK_NS - 1)); /* it has not looked again */
	assert_int_equal(o.asked, 1);
	assert_false(way_give(&w, now + WAY_LOOK_NS));
}

static void nobody_gives_way_for_ever_and_a_next_one_gets_it_again(void **state)
{
	struct others o = { .frozen = true };
	struct way w = { .others_frozen = others_frozen, .arg = &o };
	uint64_t now = SEC;

	(void)state;
	for (; now < SEC + WAY_MOST_NS; now += WAY_LOOK_NS)
		assert_true(way_give(&w, now));
	for (; now < 5 * SEC; now += WAY_LOOK_NS)
		assert_false(way_give(&w, now));
	o.frozen = false;
	assert_false(way_give(&w, now += WAY_LOOK_NS));
	o.frozen = true;
	assert_true(way_give(&w, now += WAY_LOOK_NS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_limit_all_may_go),
		cmocka_unit_test(a_limit_is_kept_over_time),
		cmocka_unit_test(what_stopped_for_others_goes_on),
		cmocka_unit_test(who_has_no_others_never_gives_way),
		cmocka_unit_test(way_is_given_while_another_is_frozen),
		cmocka_unit_test(nobody_gives_way_for_ever_and_a_next_one_gets_it_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
