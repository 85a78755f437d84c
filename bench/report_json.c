/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the JSON of a measurement (see report.h); docs/bench.md is its schema. A key once given
 * keeps its meaning; what breaks a reader raises REPORT_VERSION.
 * Next in the flow: bench/report_html.c.
 */
#include "bench/report.h"

#include <math.h>

#include "bench/figure.h"
#include "bench/foretold.h"
#include "bench/outfile.h"
#include "hv/base/clock.h"
#include "hv/ctl/proto.h"

static json_t *json_config(const struct bench_series *s)
{
	const struct bench_config *c = s->config;

	return json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:s,s:i,s:i,s:s,s:b,s:I,s:I,s:f}",
		"system", s->sys->name, s->sys == &bench_watari ? "transport" : "mode", s->variant,
		"label", s->label, "memory_bytes", (json_int_t)c->memory, "workset_bytes",
		(json_int_t)c->workset, "fill_bytes", (json_int_t)s->fill_bytes, "rate",
		(json_int_t)c->rate, "pattern", bench_pattern_name(c->pattern), "content",
		bench_content_name(c->content), "vcpus", (int)c->vcpus, "streams", (int)c->streams,
		"on_stall", mig_on_stall_name(c->on_stall), "thp", c->thp, "downtime_limit_ns",
		(json_int_t)c->downtime_limit_ns, "test_stall_ns", (json_int_t)c->test_stall_ns,
		"fill_s", (double)s->fill_ns / 1e9);
}

/* Seconds of each step: a mean of @moves. */
static json_t *json_steps(const struct steps *s, unsigned moves)
{
	json_t *j = json_object();

	for (enum bench_step i = 0; j && i < STEPS; i++)
		json_object_set_new(
			j, steps_name(i), json_real((double)s->ns[i] / 1e9 / (double)moves));
	return j;
}

static json_t *json_verify(const struct verify_result *v)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "pages_compared", (json_int_t)v->pages_compared,
		"pages_differ", (json_int_t)v->pages_differ, "stamps_checked",
		(json_int_t)v->stamps_checked, "stamps_bad", (json_int_t)v->stamps_bad,
		"stamp_errors", (json_int_t)v->stamp_errors);
}

static json_t *json_seen(const struct watch_seen *s)
{
	return json_pack("{s:f,s:f,s:f,s:f,s:f}", "gap_us", (double)s->gap_ns / 1e3, "gap_error_us",
		(double)s->gap_error_ns / 1e3, "away_us", (double)s->moved_ns / 1e3,
		"away_error_us", (double)s->moved_error_ns / 1e3, "late_us",
		(double)s->late_ns / 1e3);
}

/* What the guest worked, in buckets, and what the system said, as columns. */
static json_t *json_timeline(const struct bench_run *r)
{
	json_t *pages = json_array(), *points = json_array();

	for (unsigned i = 0; i < r->buckets; i++)
		json_array_append_new(pages, json_integer(r->bucket[i]));
	for (unsigned i = 0; i < r->points; i++) {
		const struct mig_progress *p = &r->point[i].p;

		json_array_append_new(
			points, json_pack("[f,s,i,I,I,I,I]",
					(double)(int64_t)(r->point[i].at_ns - r->start_ns) / 1e6,
					mig_phase_name(p->phase), (int)p->round,
					(json_int_t)p->sent_bytes, (json_int_t)p->residual_bytes,
					(json_int_t)p->goodput, (json_int_t)p->dirty_rate));
	}
	return json_pack("{s:i,s:i,s:o,s:[s,s,s,s,s,s,s],s:o}", "bucket_ms",
		(int)(WATCH_BUCKET_NS / NSEC_PER_MSEC), "first_bucket_ms", r->first_bucket_ms,
		"work_pages", pages, "point_columns", "at_ms", "phase", "round", "sent_bytes",
		"residual_bytes", "goodput", "dirty_rate", "points", points);
}

static json_t *json_run(const struct bench_series *s, unsigned number)
{
	const struct bench_run *r = &s->run[number];
	json_t *j = json_config(s);

	if (!j)
		return NULL;
	json_object_set_new(j, "move", json_integer(number + 1));
	json_object_set_new(j, "moved", json_boolean(!r->failed));
	json_object_set_new(j, "timeline", json_timeline(r));
	json_object_set_new(j, "steps_s", json_steps(&r->steps, 1));
	if (r->failed) {
		json_object_set_new(j, "why", json_string(r->why));
		return j;
	}
	for (size_t f = 0; f < bench_nfigures; f++) {
		double v = bench_figures[f].of(r);

		json_object_set_new(j, bench_figures[f].key,
			isnan(v)                 ? json_null()
			: bench_figures[f].whole ? json_integer((json_int_t)v)
						 : json_real(v));
	}
	json_object_set_new(j, "verified",
		r->verify_done ? json_boolean(verify_passed(&r->verify)) : json_null());
	json_object_set_new(j, "agrees", json_boolean(bench_run_agrees(r)));
	json_object_set_new(j, "guest_gap_us", json_real((double)r->gap_ns / 1e3));
	json_object_set_new(j, "guest_gap_end_ms", json_real((double)r->gap_end_ns / 1e6));
	json_object_set_new(
		j, "guest_gap_before_freeze_us", json_real((double)r->gap_source_ns / 1e3));
	json_object_set_new(j, "guest_clock_lost_us", json_real((double)r->lost_ns / 1e3));
	json_object_set_new(j, "freeze_noted", json_boolean(r->freeze_noted));
	json_object_set_new(j, "window_ms", json_real((double)r->window_ns / 1e6));
	json_object_set_new(j, "quiet_ms", json_real((double)r->quiet_ns / 1e6));
	json_object_set_new(j, "quiet_shared", json_boolean(r->quiet_shared));
	json_object_set_new(j, "observer", json_seen(&r->seen));
	json_object_set_new(j, "observer_quiet", json_seen(&r->quiet_seen));
	json_object_set_new(j, "observer_realtime", json_boolean(r->observer_realtime));
	json_object_set_new(j, "verify", json_verify(&r->verify));
	json_object_set_new(j, "vmm", ctl_result_json(&r->vmm));
	if (r->raw && s->sys != &bench_watari)
		json_object_set(j, "peer_words", r->raw);
	return j;
}

static json_t *json_summary(const struct bench_series *s)
{
	json_t *j = json_object(), *foretold;
	unsigned verified = 0, agree = 0, within, predicted;
	struct stats st;

	for (size_t f = 0; j && f < bench_nfigures; f++) {
		if (!figure_stats(s, &bench_figures[f], &st))
			continue;
		json_object_set_new(j, bench_figures[f].key,
			json_pack("{s:i,s:f,s:f,s:o,s:o,s:f}", "n", (int)st.n, "min", st.min,
				"median", st.median, "p90",
				st.has_p90 ? json_real(st.p90) : json_null(), "p99",
				st.has_p99 ? json_real(st.p99) : json_null(), "max", st.max));
	}
	for (unsigned i = 0; i < s->done; i++) {
		const struct bench_run *r = &s->run[i];

		verified += r->verify_done && verify_passed(&r->verify);
		agree += !r->failed && bench_run_agrees(r);
	}
	figure_predicted(s, &within, &predicted);
	if (j) {
		json_object_set_new(j, "steps_s", json_steps(&s->spent, s->moves ? s->moves : 1));
		json_object_set_new(j, "predicted", json_integer(predicted));
		json_object_set_new(j, "predicted_within", json_integer(within));
		if ((foretold = foretold_json(s)))
			json_object_set_new(j, "predicted_steps", foretold);
		json_object_set_new(j, "runs", json_integer(s->done));
		json_object_set_new(j, "moved", json_integer(bench_series_moved(s)));
		json_object_set_new(j, "verified", json_integer(verified));
		json_object_set_new(j, "agree", json_integer(agree));
	}
	return j;
}

static json_t *json_ratio(const struct bench_series *ours, const struct bench_series *s)
{
	static const char *const keys[] = { "freeze_guest_us", "freeze_observer_us",
		"blackout_guest_us", "total_ms", "work_lost_ms" };
	json_t *j = json_object();

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		double a = figure_median(ours, keys[i]), b = figure_median(s, keys[i]);

		json_object_set_new(j, keys[i], a > 0 && b > 0 ? json_real(b / a) : json_null());
	}
	return j;
}

/* A case: each system's statistics, and how many times ours its medians are. */
static json_t *json_case(const struct campaign *k, unsigned number)
{
	unsigned each = k->nseries / k->plan->ncases;
	const struct bench_series *s = &k->series[number * each];
	json_t *systems = json_array();
	char title[256];

	for (unsigned i = 0; i < each; i++) {
		json_t *j = json_pack("{s:o,s:o,s:o}", "config", json_config(&s[i]), "summary",
			json_summary(&s[i]), "ratio_to_first", json_ratio(&s[0], &s[i]));

		if (s[i].refused[0])
			json_object_set_new(j, "refused", json_string(s[i].refused));
		json_array_append_new(systems, j);
	}
	return json_pack("{s:s,s:o}", "title", bench_config_title(s->config, title, sizeof(title)),
		"systems", systems);
}

static json_t *json_machine(const struct campaign *k)
{
	const struct machine *m = &k->machine;

	return json_pack("{s:s,s:i,s:I,s:I,s:s,s:s,s:s,s:s,s:f,s:f}", "cpu", m->cpu, "processors",
		(int)m->cpus, "memory_bytes", (json_int_t)m->memory, "available_bytes",
		(json_int_t)m->available, "kernel", m->kernel, "kvm", m->kvm, "software",
		m->software, "when", m->when, "load1", m->load1, "busy_by_others", m->others);
}

json_t *report_json(const struct campaign *k)
{
	json_t *runs = json_array(), *cases = json_array(), *j;
	unsigned agree, of;

	for (unsigned i = 0; i < k->nseries; i++)
		for (unsigned r = 0; r < k->series[i].done; r++)
			json_array_append_new(runs, json_run(&k->series[i], r));
	for (unsigned i = 0; i < k->plan->ncases && k->nseries; i++)
		json_array_append_new(cases, json_case(k, i));
	report_agreement(k, &agree, &of);
	j = json_pack("{s:s,s:i,s:o,s:b,s:f,s:i,s:i,s:{s:i,s:i},s:o,s:o}", "schema", REPORT_SCHEMA,
		"version", REPORT_VERSION, "machine", json_machine(k), "interrupted",
		k->interrupted, "took_s", (double)k->took_ns / 1e9, "runs_asked",
		(int)k->plan->runs, "warm_ups", (int)k->plan->warm_ups, "observer_agrees", "moves",
		(int)agree, "of", (int)of, "cases", cases, "runs", runs);
	if (!j)
		return NULL;
	if (k->nseries) { /* the first series by itself, as version 1 had it */
		json_object_set_new(j, "config", json_config(&k->series[0]));
		json_object_set_new(j, "summary", json_summary(&k->series[0]));
	}
	if (k->plan->command)
		json_object_set_new(j, "command", json_string(k->plan->command));
	json_object_set_new(j, "pinned",
		json_pack("{s:s?,s:s?}", "guests", k->plan->pin.text, "observer",
			k->plan->pin_observer.text));
	if (k->no_peer[0])
		json_object_set_new(j, "no_peer", json_string(k->no_peer));
	else if (k->plan->peer)
		json_object_set_new(j, "peer",
			json_pack("{s:s,s:s,s:s}", "version", k->plan->peer_version, "cpu_model",
				k->plan->peer_cpu, "binary", k->plan->peer_binary));
	return j;
}

int report_write(const struct campaign *k, const char *path, struct err *e)
{
	json_t *j = report_json(k);
	int rc = outfile_json(j, path, e);

	json_decref(j);
	return rc;
}
