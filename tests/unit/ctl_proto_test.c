/* SPDX-License-Identifier: Apache-2.0 */
/* What one end writes of a move the other reads back, whole; what is missing or false is named. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/ctl/proto.h"

/* No two fields alike, so that a swap shows. */
static const struct mig_progress progress = {
	.phase = MIG_PHASE_COPY,
	.round = 1,
	.elapsed_ns = 2,
	.sent_bytes = 1ull << 40,
	.residual_bytes = 4,
	.goodput = 5,
	.dirty_rate = 6,
	.predicted_blackout_ns = 7,
	.eta_ns = 8,
};

static const struct mig_result result = {
	.total_ns = 1,
	.rounds = 2,
	.sent_bytes = 3,
	.wire_bytes = 4,
	.pages_sent = 5,
	.pages_zero = 6,
	.pages_skipped = 7,
	.residual_bytes = 8,
	.goodput = 9,
	.predicted_blackout_ns = 10,
	.blackout = { .total_ns = 11,
		.stop_ns = 12,
		.harvest_ns = 13,
		.residual_ns = 14,
		.save_ns = 15,
		.send_ns = 16,
		.load_ns = 17,
		.start_ns = 18 },
	.predicted = { .total_ns = 21,
		.stop_ns = 22,
		.harvest_ns = 23,
		.residual_ns = 24,
		.save_ns = 25,
		.send_ns = 26,
		.load_ns = 27,
		.start_ns = 28 },
	.committed = true,
};

static void progress_survives_the_way(void **state)
{
	json_t *j = ctl_progress_json(&progress);
	struct mig_progress got;
	struct err e;

	(void)state;
	assert_int_equal(ctl_progress_read(j, &got, &e), 0);
	assert_int_equal(got.phase, progress.phase);
	assert_int_equal(got.round, progress.round);
	assert_int_equal(got.elapsed_ns, progress.elapsed_ns);
	assert_int_equal(got.sent_bytes, progress.sent_bytes);
	assert_int_equal(got.residual_bytes, progress.residual_bytes);
	assert_int_equal(got.goodput, progress.goodput);
	assert_int_equal(got.dirty_rate, progress.dirty_rate);
	assert_int_equal(got.predicted_blackout_ns, progress.predicted_blackout_ns);
	assert_int_equal(got.eta_ns, progress.eta_ns);
	json_decref(j);
}

static void a_result_survives_the_way(void **state)
{
	json_t *j = ctl_result_json(&result);
	struct mig_result got;
	struct err e;

	(void)state;
	assert_int_equal(ctl_result_read(j, &got, &e), 0);
	assert_int_equal(got.total_ns, 1);
	assert_int_equal(got.rounds, 2);
	assert_int_equal(got.sent_bytes, 3);
	assert_int_equal(got.wire_bytes, 4);
	assert_int_equal(got.pages_sent, 5);
	assert_int_equal(got.pages_zero, 6);
	assert_int_equal(got.pages_skipped, 7);
	assert_int_equal(got.residual_bytes, 8);
	assert_int_equal(got.goodput, 9);
	assert_int_equal(got.predicted_blackout_ns, 10);
	assert_memory_equal(&got.blackout, &result.blackout, sizeof(got.blackout));
	assert_memory_equal(&got.predicted, &result.predicted, sizeof(got.predicted));
	assert_true(got.committed);
	json_decref(j);
}

/* A guest started by an earlier watari says nothing of the steps it expects. */
static void a_result_without_predicted_steps_is_read(void **state)
{
	json_t *j = ctl_result_json(&result);
	struct mig_result got;
	struct err e;

	(void)state;
	json_object_del(j, "predicted");
	assert_int_equal(ctl_result_read(j, &got, &e), 0);
	assert_int_equal(got.predicted.total_ns, 0);
	assert_int_equal(got.predicted_blackout_ns, 10);
	json_object_set_new(j, "predicted", json_pack("{s:i}", "total_ns", 1));
	assert_int_equal(ctl_result_read(j, &got, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "stop_ns"));
	json_decref(j);
}

static void a_missing_key_is_named(void **state)
{
	static const char *const keys[] = { "total_ns", "rounds", "pages_skipped", "blackout",
		"committed" };
	struct mig_result got;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *j = ctl_result_json(&result);

		json_object_del(j, keys[i]);
		assert_int_equal(ctl_result_read(j, &got, &e), -EPROTO);
		if (strcmp(keys[i], "blackout") != 0)
			assert_non_null(strstr(e.msg, keys[i]));
		json_decref(j);
	}
}

static void false_numbers_are_refused(void **state)
{
	json_t *j = ctl_progress_json(&progress);
	struct mig_progress got;
	struct err e;

	(void)state;
	json_object_set_new(j, "round", json_integer(1ll << 40));
	assert_int_equal(ctl_progress_read(j, &got, &e), -EPROTO);
	json_object_set_new(j, "round", json_integer(-1));
	assert_int_equal(ctl_progress_read(j, &got, &e), -EPROTO);
	json_object_set_new(j, "round", json_string("1"));
	assert_int_equal(ctl_progress_read(j, &got, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "round"));
	json_object_set_new(j, "round", json_integer(1));
	json_object_set_new(j, "phase", json_string("flying"));
	assert_int_equal(ctl_progress_read(j, &got, &e), -EPROTO);
	json_decref(j);
}

static void answers_are_told_apart(void **state)
{
	struct err why = { .code = -EBUSY, .msg = "busy with \"that\"" }, e;
	json_t *ok = ctl_ok(), *error = ctl_error(&why), *neither = json_object();

	(void)state;
	assert_int_equal(ctl_answer_check(ok, &e), 0);
	assert_int_equal(ctl_answer_check(error, &e), -EREMOTEIO);
	assert_string_equal(e.msg, why.msg);
	assert_int_equal(ctl_answer_check(neither, &e), -EPROTO);
	assert_int_equal(ctl_answer_check(NULL, &e), -EPROTO);
	json_decref(ok);
	json_decref(error);
	json_decref(neither);
}

static void an_error_that_is_no_utf8_is_still_an_answer(void **state)
{
	struct err why = { .code = -EINVAL, .msg = "what is \xff\xfe" }, e;
	json_t *j = ctl_error(&why);

	(void)state;
	assert_non_null(j);
	assert_int_equal(ctl_answer_check(j, &e), -EREMOTEIO);
	json_decref(j);
}

static void names_are_checked(void **state)
{
	char longest[CTL_NAME_MAX + 1];

	(void)state;
	memset(longest, 'n', sizeof(longest));
	longest[CTL_NAME_MAX] = '\0';
	assert_false(ctl_name_ok(longest));
	longest[CTL_NAME_MAX - 1] = '\0';
	assert_true(ctl_name_ok(longest));
	assert_true(ctl_name_ok("a.b_c-9"));
	assert_false(ctl_name_ok(""));
	assert_false(ctl_name_ok("."));
	assert_false(ctl_name_ok("-x"));
	assert_false(ctl_name_ok("../x"));
	assert_false(ctl_name_ok("a/b"));
	assert_false(ctl_name_ok("a b"));
}

static void the_runtime_directory_follows_the_environment(void **state)
{
	(void)state;
	setenv("WATARI_RUNTIME_DIR", "/somewhere", 1);
	assert_string_equal(ctl_runtime_dir(), "/somewhere");
	setenv("WATARI_RUNTIME_DIR", "", 1);
	assert_string_equal(ctl_runtime_dir(), CTL_DIR_DEFAULT);
	unsetenv("WATARI_RUNTIME_DIR");
	assert_string_equal(ctl_runtime_dir(), CTL_DIR_DEFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(progress_survives_the_way),
		cmocka_unit_test(a_result_survives_the_way),
		cmocka_unit_test(a_result_without_predicted_steps_is_read),
		cmocka_unit_test(a_missing_key_is_named),
		cmocka_unit_test(false_numbers_are_refused),
		cmocka_unit_test(answers_are_told_apart),
		cmocka_unit_test(an_error_that_is_no_utf8_is_still_an_answer),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(the_runtime_directory_follows_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
