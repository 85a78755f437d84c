/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever cancels a move is answered: at its end, or soon if the end takes long; nobody twice. And
 * what is typed of limits arrives in the guest's process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/ctl/cancel.h"
#include "hv/ctl/limits.h"
#include "tests/lib/ctl_stage.h"

struct stage {
	struct ctl_stage at;
	struct ctl_cancel cancel;
	unsigned asked;
};

static void stage_request(void *arg, struct ctl_conn *c, const char *op, const json_t *request)
{
	struct stage *s = arg;

	(void)op;
	(void)request;
	ctl_cancel_wait(&s->cancel, c, s->asked++ ? MIG_PHASE_FROZEN : MIG_PHASE_COPY);
}

static void stage_leave(void *arg, struct ctl_conn *c, bool gone)
{
	struct stage *s = arg;

	if (gone)
		ctl_cancel_forget(&s->cancel, c);
}

static int stage_setup(void **state)
{
	static const struct ctl_server_ops ops = { .request = stage_request, .leave = stage_leave };
	struct stage *s = calloc(1, sizeof(*s));
	int rc = ctl_stage_init(&s->at, &ops, s);

	ctl_cancel_init(&s->cancel, s->at.loop);
	*state = s;
	return rc;
}

static int stage_teardown(void **state)
{
	struct stage *s = *state;

	ctl_stage_fini(&s->at);
	free(s);
	return 0;
}

/* A client that has cancelled and waits. */
static struct ctl_client *come(struct stage *s)
{
	json_t *request = json_pack("{s:s}", "op", "cancel");
	struct ctl_client *c = ctl_stage_come(&s->at);
	struct err e = { 0 };

	assert_non_null(c);
	assert_int_equal(ctl_client_send(c, request, &e), 0);
	json_decref(request);
	assert_true(ctl_stage_turn(&s->at));
	return c;
}

/* The answer, or NULL. */
static json_t *hear(struct stage *s, struct ctl_client *c)
{
	json_t *j;

	return ctl_stage_hear(&s->at, c, &j) == 1 ? j : NULL;
}

static void expect(json_t *j, bool ended, const char *reason)
{
	const char *got = json_string_value(json_object_get(j, "reason"));

	assert_non_null(j);
	assert_true(json_is_true(json_object_get(j, "ok")));
	assert_int_equal(json_is_true(json_object_get(j, "ended")), ended);
	assert_string_equal(json_string_value(json_object_get(j, "phase")), "copy");
	if (reason)
		assert_string_equal(got, reason);
	else
		assert_null(got);
	json_decref(j);
}

static void all_who_cancelled_are_answered_at_the_end(void **state)
{
	const struct err why = { .code = -ECANCELED, .msg = "somebody did" };
	struct stage *s = *state;
	struct ctl_client *one = come(s), *two = come(s);

	assert_null(hear(s, one));
	ctl_cancel_ended(&s->cancel, &why);
	expect(hear(s, one), true, "somebody did");
	expect(hear(s, two), true, "somebody did");
	ctl_cancel_ended(&s->cancel, &why); /* nobody waits any more */
	assert_null(hear(s, one));
	assert_int_equal(s->cancel.timer_fd, -1);
	ctl_client_close(one);
	ctl_client_close(two);
}

static void an_end_that_takes_long_is_not_waited_for(void **state)
{
	const struct err why = { .code = -ECANCELED, .msg = "somebody did" };
	struct stage *s = *state;
	uint64_t begin = clock_mono_ns();
	struct ctl_client *c = come(s);

	while (loop_once(s->at.loop, CTL_CANCEL_MS * 10) == 0)
		;
	assert_true(clock_mono_ns() - begin < (CTL_CANCEL_MS + 5000) * NSEC_PER_MSEC);
	assert_true(clock_mono_ns() - begin >= CTL_CANCEL_MS * NSEC_PER_MSEC);
	expect(hear(s, c), false, NULL);
	ctl_cancel_ended(&s->cancel, &why); /* it has had its answer */
	assert_null(hear(s, c));
	ctl_client_close(c);
}

static void who_is_gone_is_forgotten(void **state)
{
	const struct err why = { .code = -ECANCELED, .msg = "somebody did" };
	struct stage *s = *state;
	struct ctl_client *one = come(s), *two = come(s);

	ctl_client_close(one);
	assert_true(ctl_stage_turn(&s->at));
	ctl_cancel_ended(&s->cancel, &why);
	expect(hear(s, two), true, "somebody did");
	ctl_client_close(two);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void limits_survive_the_way(void **state)
{
	const struct ctl_limits typed = { { "2m", "90m", "none", "250ms" } };
	json_t *request = json_object();
	struct mig_limits got;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ctl_limits_put(&typed, NSEC_PER_MSEC, request, &e), 0);
	assert_int_equal(ctl_limits_get(request, NSEC_PER_MSEC, &got, &e), 0);
	assert_int_equal(got.ns[MIG_LIMIT_INIT], 120 * NSEC_PER_SEC);
	assert_int_equal(got.ns[MIG_LIMIT_COPY], 90 * 60 * NSEC_PER_SEC);
	assert_int_equal(got.ns[MIG_LIMIT_QUIESCE], 0);
	assert_int_equal(got.ns[MIG_LIMIT_FROZEN], 250 * NSEC_PER_MSEC);
	json_decref(request);
}

static void what_is_not_said_has_its_default(void **state)
{
	json_t *request = json_object();
	struct mig_limits got, dflt;
	struct err e = { 0 };

	(void)state;
	mig_limits_default(&dflt);
	assert_int_equal(
		ctl_limits_put(&(struct ctl_limits){ { NULL } }, 10 * NSEC_PER_MSEC, request, &e),
		0);
	assert_int_equal(json_object_size(request), 0);
	assert_int_equal(ctl_limits_get(request, 10 * NSEC_PER_MSEC, &got, &e), 0);
	assert_memory_equal(&got, &dflt, sizeof(got));
	/* a long blackout that is allowed is not given up half-way */
	assert_int_equal(ctl_limits_get(request, 10 * NSEC_PER_SEC, &got, &e), 0);
	assert_int_equal(got.ns[MIG_LIMIT_FROZEN], 20 * NSEC_PER_SEC);
	json_decref(request);
}

static void limits_that_make_no_sense_are_named(void **state)
{
	json_t *request = json_pack("{s:s}", "copy_timeout_ns", "long");
	struct mig_limits got;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ctl_limits_get(request, 1, &got, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "copy_timeout_ns"));
	json_object_set_new(request, "copy_timeout_ns", json_integer(-1));
	assert_int_equal(ctl_limits_get(request, 1, &got, &e), -EINVAL);
	json_object_clear(request);
	json_object_set_new(request, "frozen_timeout_ns", json_integer(5));
	assert_int_equal(ctl_limits_get(request, 6, &got, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "--frozen-timeout"));
	assert_int_equal(ctl_limits_get(request, 5, &got, &e), 0);
	json_decref(request);
}

int main(void)
{
#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)
	const struct CMUnitTest tests[] = {
		STAGE_TEST(all_who_cancelled_are_answered_at_the_end),
		STAGE_TEST(an_end_that_takes_long_is_not_waited_for),
		STAGE_TEST(who_is_gone_is_forgotten),
		cmocka_unit_test(limits_survive_the_way),
		cmocka_unit_test(what_is_not_said_has_its_default),
		cmocka_unit_test(limits_that_make_no_sense_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
