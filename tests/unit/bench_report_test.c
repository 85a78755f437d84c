/* SPDX-License-Identifier: Apache-2.0 */
/* Results as JSON and table, options as text: bench/report.h, bench/config.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"

static struct bench_run make_run(uint64_t gap_us, bool good)
{
	struct bench_run r = {
		.vmm = { .total_ns = 700000000,
			.rounds = 3,
			.sent_bytes = 1ull << 30,
			.goodput = 1500000000,
			.blackout.total_ns = 4000000 },
		.gap_ns = gap_us * 1000,
		.rate_before = 200000,
		.rate_during = 150000.5,
	};

	r.verify.pages_differ = good ? 0 : 1;
	return r;
}

static struct campaign make_campaign(struct bench_run *runs, unsigned n)
{
	struct campaign k = { .done = n, .run = runs, .fill_bytes = 1ull << 30 };

	bench_config_default(&k.config);
	k.config.runs = n;
	return k;
}

static void json_carries_every_promised_key(void **state)
{
	static const char *const keys[] = { "transport", "memory_bytes", "blackout_guest_us",
		"blackout_vmm_us", "total_ms", "rounds", "bytes_sent", "work_rate_before",
		"work_rate_during", "verified" };
	struct bench_run runs[] = { make_run(5000, true), make_run(7000, true) };
	struct campaign k = make_campaign(runs, 2);
	json_t *j = report_json(&k), *run, *guest;

	(void)state;
	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "runs")), 2);
	run = json_array_get(json_object_get(j, "runs"), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(json_object_get(run, keys[i]));
	assert_true(json_is_true(json_object_get(run, "verified")));
	assert_int_equal(json_integer_value(json_object_get(run, "rounds")), 3);
	assert_true(json_real_value(json_object_get(run, "blackout_guest_us")) == 5000);
	assert_true(json_real_value(json_object_get(run, "total_ms")) == 700);
	guest = json_object_get(json_object_get(j, "summary"), "blackout_guest_us");
	assert_true(json_real_value(json_object_get(guest, "median")) == 6000);
	assert_true(json_is_null(json_object_get(guest, "p99")));
	json_decref(j);
}

static void a_run_that_did_not_verify_fails_the_whole(void **state)
{
	struct bench_run runs[] = { make_run(5000, true), make_run(7000, false) };
	struct campaign k = make_campaign(runs, 2);
	json_t *j = report_json(&k);

	(void)state;
	assert_false(campaign_passed(&k));
	assert_true(json_is_false(
		json_object_get(json_array_get(json_object_get(j, "runs"), 1), "verified")));
	k.done = 1;
	assert_false(campaign_passed(&k)); /* two were asked for */
	k.config.runs = 1;
	assert_true(campaign_passed(&k));
	json_decref(j);
}

static void the_table_has_a_dash_for_p99_and_says_why(void **state)
{
	struct bench_run runs[] = { make_run(5000, true) };
	struct campaign k = make_campaign(runs, 1);
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	report_table(&k, f);
	fclose(f);
	assert_non_null(strstr(text, "blackout, guest"));
	assert_non_null(strstr(text, "5.00 ms"));
	assert_non_null(strstr(text, "p99: not from 1 runs"));
	assert_non_null(strstr(text, "Verified: 1 of 1"));
	free(text);
}

static void a_table_without_runs_says_so(void **state)
{
	struct campaign k = make_campaign(NULL, 0);
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	report_table(&k, f);
	fclose(f);
	assert_non_null(strstr(text, "No move was completed"));
	free(text);
}

static void a_clock_that_stood_still_counts_as_blackout(void **state)
{
	struct bench_run r = make_run(3000, true);

	(void)state;
	r.lost_ns = BENCH_CLOCK_NOISE_NS; /* noise */
	assert_int_equal(bench_run_blackout_ns(&r), 3000000);
	r.lost_ns = 20000000;
	assert_int_equal(bench_run_blackout_ns(&r), 23000000);
}

static void options_become_the_guests_command_line(void **state)
{
	struct bench_config c;
	struct err e = { 0 };
	char buf[256];

	(void)state;
	bench_config_default(&c);
	assert_string_equal(bench_config_append(&c, buf, sizeof(buf)),
		"workset=8388608 rate=200000 pattern=uniform content=random fill=all cpus=1");
	assert_int_equal(bench_config_set(&c, "pattern", "hot", &e), 0);
	assert_int_equal(bench_config_set(&c, "content", "compressible", &e), 0);
	assert_int_equal(bench_config_set(&c, "fill", "64M", &e), 0);
	assert_int_equal(bench_config_set(&c, "vcpus", "2", &e), 0);
	assert_int_equal(bench_config_set(&c, "rate", "0", &e), 0);
	assert_string_equal(bench_config_append(&c, buf, sizeof(buf)),
		"workset=8388608 rate=0 pattern=hot content=compressible fill=67108864 cpus=2");
}

static void bad_values_are_named(void **state)
{
	static const struct {
		const char *option, *value;
	} bad[] = { { "memory", "banana" }, { "memory", "65M1" }, { "workset", "5000" },
		{ "vcpus", "0" }, { "vcpus", "65" }, { "runs", "0" }, { "runs", "-1" },
		{ "pattern", "warm" }, { "content", "" }, { "fill", "most" },
		{ "downtime-limit", "0" }, { "downtime-limit", "2m" }, { "rate", "1e6" } };
	struct bench_config c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		bench_config_default(&c);
		assert_int_equal(bench_config_set(&c, bad[i].option, bad[i].value, &e), -EINVAL);
		assert_non_null(strstr(e.msg, bad[i].option));
		assert_non_null(strstr(e.msg, bad[i].value));
	}
}

static void a_working_set_that_does_not_fit_is_refused(void **state)
{
	struct bench_config c;
	struct err e = { 0 };

	(void)state;
	bench_config_default(&c);
	assert_int_equal(bench_config_check(&c, &e), 0);
	c.workset = c.memory;
	assert_int_equal(bench_config_check(&c, &e), -EINVAL);
	bench_config_default(&c);
	c.memory = 1 << 20;
	assert_int_equal(bench_config_check(&c, &e), -EINVAL);
	bench_config_default(&c);
	c.fill = 2 * c.memory;
	assert_int_equal(bench_config_check(&c, &e), -EINVAL);
}

static void progress_fits_a_line_and_admits_what_it_does_not_know(void **state)
{
	struct mig_progress m = { .phase = MIG_PHASE_COPY,
		.round = 2,
		.sent_bytes = 3ull << 29,
		.goodput = 1ull << 30,
		.residual_bytes = 31ull << 20 };
	char buf[160];

	(void)state;
	progress_format(&m, buf, sizeof(buf));
	assert_non_null(strstr(buf, "copy"));
	assert_non_null(strstr(buf, "round 2"));
	assert_non_null(strstr(buf, "1.50 GiB"));
	assert_non_null(strstr(buf, "31.0 MiB"));
	assert_non_null(strstr(buf, "ETA -"));
	assert_true(strlen(buf) < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_carries_every_promised_key),
		cmocka_unit_test(a_run_that_did_not_verify_fails_the_whole),
		cmocka_unit_test(the_table_has_a_dash_for_p99_and_says_why),
		cmocka_unit_test(a_table_without_runs_says_so),
		cmocka_unit_test(a_clock_that_stood_still_counts_as_blackout),
		cmocka_unit_test(options_become_the_guests_command_line),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(a_working_set_that_does_not_fit_is_refused),
		cmocka_unit_test(progress_fits_a_line_and_admits_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
