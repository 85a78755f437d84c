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

static struct bench_run make_run(uint64_t away_us, bool good)
{
	struct bench_run r = {
		.vmm = { .total_ns = 700000000,
			.rounds = 3,
			.sent_bytes = 1ull << 30,
			.goodput = 1500000000,
			.blackout.total_ns = 4000000 },
		.gap_ns = away_us * 1000 + 500,
		.freeze_ns = away_us * 1000,
		.freeze_noted = true,
		.quiet_gap_ns = 1000000,
		.seen.moved_ns = away_us * 1000,
		.rate_before = 200000,
		.rate_during = 150000.5,
		.verify_done = true,
	};

	r.verify.pages_differ = good ? 0 : 1;
	return r;
}

/* Two systems, one case, two moves each unless said otherwise. */
struct world {
	struct bench_plan plan;
	struct campaign k;
	struct bench_series series[2];
	struct bench_run run[2][2];
};

static void world_init(struct world *w, uint64_t ours_us, uint64_t peer_us)
{
	struct err e = { 0 };

	memset(w, 0, sizeof(*w));
	assert_int_equal(bench_plan_init(&w->plan, &e), 0);
	w->plan.runs = 2;
	w->k = (struct campaign){ .plan = &w->plan, .series = w->series, .nseries = 2 };
	for (int i = 0; i < 2; i++) {
		w->series[i] = (struct bench_series){ .config = &w->plan.cases[0],
			.sys = i ? &bench_qemu : &bench_watari,
			.variant = i ? "multifd" : "tcp",
			.done = 2,
			.run = w->run[i],
			.fill_bytes = 1ull << 30 };
		snprintf(w->series[i].label, sizeof(w->series[i].label), "%s",
			i ? "qemu multifd" : "watari tcp");
		for (int r = 0; r < 2; r++)
			w->run[i][r] = make_run(i ? peer_us : ours_us + 2000u * (unsigned)r, true);
	}
}

static char *table(const struct world *w)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	report_table(&w->k, f);
	fclose(f);
	return text;
}

static void json_carries_every_promised_key(void **state)
{
	static const char *const keys[] = { "transport", "memory_bytes", "blackout_guest_us",
		"blackout_vmm_us", "total_ms", "rounds", "bytes_sent", "work_rate_before",
		"work_rate_during", "verified", "freeze_guest_us", "freeze_observer_us", "timeline",
		"cpu_source_ms", "peak_target_bytes", "bytes_wire", "agrees" };
	static const char *const top[] = { "schema", "version", "machine", "cases", "runs",
		"config", "summary", "interrupted", "observer_agrees" };
	struct world w;
	json_t *j, *run, *guest;

	(void)state;
	world_init(&w, 5000, 50000);
	j = report_json(&w.k);
	assert_non_null(j);
	for (size_t i = 0; i < sizeof(top) / sizeof(top[0]); i++)
		assert_non_null(json_object_get(j, top[i]));
	assert_int_equal(json_array_size(json_object_get(j, "runs")), 4);
	run = json_array_get(json_object_get(j, "runs"), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_non_null(json_object_get(run, keys[i]));
	assert_true(json_is_true(json_object_get(run, "verified")));
	assert_int_equal(json_integer_value(json_object_get(run, "rounds")), 3);
	assert_true(json_real_value(json_object_get(run, "freeze_guest_us")) == 5000);
	assert_true(json_real_value(json_object_get(run, "total_ms")) == 700);
	guest = json_object_get(json_object_get(j, "summary"), "freeze_guest_us");
	assert_true(json_real_value(json_object_get(guest, "median")) == 6000);
	assert_int_equal(json_integer_value(json_object_get(guest, "n")), 2);
	assert_true(json_is_null(json_object_get(guest, "p99")));
	assert_true(json_is_null(json_object_get(json_object_get(j, "pinned"), "guests")));
	json_decref(j);
	bench_plan_fini(&w.plan);
}

static void what_was_pinned_stands_at_the_head(void **state)
{
	struct world w;
	char *text;
	json_t *j, *pinned;

	(void)state;
	world_init(&w, 5000, 50000);
	text = table(&w);
	assert_null(strstr(text, "Pinned"));
	free(text);
	w.plan.pin.text = "2-3";
	w.plan.pin_observer.text = "1";
	text = table(&w);
	assert_ptr_equal(
		strstr(text, "Pinned to processors: guests and VMMs on 2-3, observer on 1"), text);
	free(text);
	j = report_json(&w.k);
	pinned = json_object_get(j, "pinned");
	assert_string_equal(json_string_value(json_object_get(pinned, "guests")), "2-3");
	assert_string_equal(json_string_value(json_object_get(pinned, "observer")), "1");
	json_decref(j);
	bench_plan_fini(&w.plan);
}

static void the_ratio_is_the_peers_median_by_ours(void **state)
{
	struct world w;
	json_t *j, *systems;

	(void)state;
	world_init(&w, 5000, 60000); /* our median is 6000 */
	j = report_json(&w.k);
	systems = json_object_get(json_array_get(json_object_get(j, "cases"), 0), "systems");
	assert_int_equal(json_array_size(systems), 2);
	assert_true(json_real_value(json_object_get(
			    json_object_get(json_array_get(systems, 1), "ratio_to_first"),
			    "freeze_guest_us")) == 10);
	json_decref(j);
	bench_plan_fini(&w.plan);
}

static void a_run_that_did_not_verify_fails_the_whole(void **state)
{
	struct world w;
	json_t *j;

	(void)state;
	world_init(&w, 5000, 50000);
	assert_true(campaign_passed(&w.k));
	w.run[1][1] = make_run(7000, false); /* the peer's memory is the peer's business */
	assert_true(campaign_passed(&w.k));
	w.run[0][1] = make_run(7000, false);
	assert_false(campaign_passed(&w.k));
	j = report_json(&w.k);
	assert_true(json_is_false(
		json_object_get(json_array_get(json_object_get(j, "runs"), 1), "verified")));
	json_decref(j);
	w.series[0].done = 1;
	assert_false(campaign_passed(&w.k)); /* two were asked for */
	w.plan.runs = 1;
	assert_true(campaign_passed(&w.k));
	bench_plan_fini(&w.plan);
}

static void a_move_that_did_not_come_about_is_told_and_counts_in_no_figure(void **state)
{
	struct world w;
	char *text;
	json_t *j;

	(void)state;
	world_init(&w, 5000, 50000);
	w.k.nseries = 1;
	w.run[0][1] = (struct bench_run){ .failed = true, .why = "it dirties too fast" };
	w.series[0].failed = 1;
	assert_false(campaign_passed(&w.k));
	text = table(&w);
	assert_non_null(strstr(text, "did not move: it dirties too fast"));
	free(text);
	j = report_json(&w.k);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(j, "summary"), "freeze_guest_us"), "n")),
		1);
	json_decref(j);
	bench_plan_fini(&w.plan);
}

static void the_table_has_a_dash_for_percentiles_of_too_few(void **state)
{
	struct world w;
	char *text;

	(void)state;
	world_init(&w, 5000, 50000);
	w.k.nseries = 1;
	text = table(&w);
	assert_non_null(strstr(text, "longest pause"));
	assert_non_null(strstr(text, "5.00 ms"));
	assert_non_null(strstr(text, "Of 2 moves; a percentile needs samples: p90 20, p99 100"));
	assert_non_null(strstr(text, "Verified: 2 of 2"));
	free(text);
	bench_plan_fini(&w.plan);
}

static void systems_stand_side_by_side(void **state)
{
	struct world w;
	char *text;

	(void)state;
	world_init(&w, 5000, 60000);
	snprintf(w.series[1].refused, sizeof(w.series[1].refused), "QEMU: no such mode");
	text = table(&w);
	assert_non_null(strstr(text, "watari tcp"));
	assert_non_null(strstr(text, "qemu multifd"));
	assert_non_null(strstr(text, "60.00"));
	assert_non_null(strstr(text, "10.0"));
	assert_non_null(strstr(text, "qemu multifd: QEMU: no such mode"));
	free(text);
	bench_plan_fini(&w.plan);
}

static json_t *summary_of(json_t *j, size_t system)
{
	json_t *c = json_array_get(json_object_get(j, "cases"), 0);

	return json_object_get(json_array_get(json_object_get(c, "systems"), system), "summary");
}

/* 4 ms were measured; the peer predicts nothing. */
static void a_prediction_is_held_against_the_blackout(void **state)
{
	struct world w;
	json_t *j, *off;
	char *text;

	(void)state;
	world_init(&w, 5000, 50000);
	w.run[0][0].vmm.predicted_blackout_ns = 3000000; /* 1 ms is still good */
	w.run[0][1].vmm.predicted_blackout_ns = 5100000; /* 1.1 ms and more than a quarter is not */
	j = report_json(&w.k);
	assert_int_equal(json_integer_value(json_object_get(summary_of(j, 0), "predicted")), 2);
	assert_int_equal(
		json_integer_value(json_object_get(summary_of(j, 0), "predicted_within")), 1);
	off = json_object_get(summary_of(j, 0), "prediction_error_us");
	assert_true(json_real_value(json_object_get(off, "median")) == 1050);
	assert_int_equal(json_integer_value(json_object_get(summary_of(j, 1), "predicted")), 0);
	assert_null(json_object_get(summary_of(j, 1), "prediction_error_us"));
	assert_true(json_is_null(
		json_object_get(json_array_get(json_object_get(j, "runs"), 2), "predicted_us")));
	json_decref(j);
	text = table(&w);
	assert_non_null(strstr(text, "watari tcp: its own blackout was predicted within 25 % or 1 "
				     "ms in 1 of 2 moves (50 %), off by 1.05 ms (median)"));
	assert_null(strstr(text, "qemu multifd: its own"));
	free(text);
	/* a quarter of a long one is good, however many ms */
	w.run[0][1].vmm.blackout.total_ns = 100000000;
	w.run[0][1].vmm.predicted_blackout_ns = 80000000;
	j = report_json(&w.k);
	assert_int_equal(
		json_integer_value(json_object_get(summary_of(j, 0), "predicted_within")), 2);
	json_decref(j);
	bench_plan_fini(&w.plan);
}

/* Two errors of 300 us that make up for each other show in their steps. */
static void a_prediction_is_held_against_each_step(void **state)
{
	struct world w;
	json_t *j, *steps;
	char *text;

	(void)state;
	world_init(&w, 5000, 50000);
	for (unsigned i = 0; i < 2; i++) {
		struct mig_result *r = &w.run[0][i].vmm;

		r->blackout.stop_ns = 500000;
		r->blackout.save_ns = 100000;
		r->predicted.stop_ns = 200000;
		r->predicted.save_ns = 400000;
		r->predicted_blackout_ns = r->predicted.total_ns = 600000;
	}
	j = report_json(&w.k);
	steps = json_object_get(summary_of(j, 0), "predicted_steps");
	assert_int_equal(json_object_size(steps), 7);
	steps = json_object_get(steps, "stop");
	assert_true(json_real_value(json_object_get(steps, "took_us")) == 500);
	assert_true(json_real_value(json_object_get(steps, "predicted_us")) == 200);
	assert_true(json_real_value(json_object_get(steps, "off_us")) == 300);
	assert_null(json_object_get(summary_of(j, 1), "predicted_steps"));
	json_decref(j);
	text = table(&w);
	assert_non_null(strstr(text, "  save           100 us     400 us     300 us\n"));
	free(text);
	bench_plan_fini(&w.plan);
}

static void a_table_without_runs_says_so(void **state)
{
	struct world w;
	char *text;

	(void)state;
	world_init(&w, 5000, 50000);
	w.series[0].done = w.series[1].done = 0;
	text = table(&w);
	assert_non_null(strstr(text, "No move was completed"));
	free(text);
	bench_plan_fini(&w.plan);
}

static void a_report_that_guest_and_observer_dispute_says_so(void **state)
{
	struct world w;
	char *text;

	(void)state;
	world_init(&w, 5000, 50000);
	w.run[0][0].seen.moved_ns = 6000001; /* more than 1 ms and a tenth apart */
	assert_false(bench_run_agrees(&w.run[0][0]));
	w.run[1][0].seen.moved_ns = 54000000; /* more than 1 ms, but within a tenth */
	assert_true(bench_run_agrees(&w.run[1][0]));
	text = table(&w);
	assert_non_null(strstr(text, "agree on 3 of 4"));
	assert_non_null(strstr(text, "TRUST NEITHER"));
	free(text);
	bench_plan_fini(&w.plan);
}

static void a_clock_that_stood_still_counts_as_blackout(void **state)
{
	struct bench_run r = make_run(3000, true);

	(void)state;
	r.lost_ns = BENCH_CLOCK_NOISE_NS; /* noise */
	assert_int_equal(bench_run_freeze_ns(&r), 3000000);
	r.lost_ns = 20000000;
	assert_int_equal(bench_run_freeze_ns(&r), 23000000);
	assert_int_equal(bench_run_blackout_ns(&r), 23000000);
	assert_int_equal(bench_run_net_ns(&r), 22000000);
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
		{ "vcpus", "0" }, { "vcpus", "65" }, { "streams", "17" }, { "on-stall", "wait" },
		{ "pattern", "warm" }, { "content", "" }, { "fill", "most" },
		{ "downtime-limit", "0" }, { "downtime-limit", "2m" }, { "rate", "1e6" },
		{ "test-stall", "2s" } };
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
		cmocka_unit_test(what_was_pinned_stands_at_the_head),
		cmocka_unit_test(the_ratio_is_the_peers_median_by_ours),
		cmocka_unit_test(a_run_that_did_not_verify_fails_the_whole),
		cmocka_unit_test(a_move_that_did_not_come_about_is_told_and_counts_in_no_figure),
		cmocka_unit_test(the_table_has_a_dash_for_percentiles_of_too_few),
		cmocka_unit_test(systems_stand_side_by_side),
		cmocka_unit_test(a_prediction_is_held_against_the_blackout),
		cmocka_unit_test(a_prediction_is_held_against_each_step),
		cmocka_unit_test(a_table_without_runs_says_so),
		cmocka_unit_test(a_report_that_guest_and_observer_dispute_says_so),
		cmocka_unit_test(a_clock_that_stood_still_counts_as_blackout),
		cmocka_unit_test(options_become_the_guests_command_line),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(a_working_set_that_does_not_fit_is_refused),
		cmocka_unit_test(progress_fits_a_line_and_admits_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
