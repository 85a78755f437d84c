/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the form of the results (see report.h): one list of figures serves the table and the JSON,
 * so that neither knows one that the other does not.
 * Must never print a percentile of too few samples.
 */
#include "bench/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/guest/page.h"
#include "bench/stats.h"
#include "hv/base/size.h"
#include "hv/ctl/proto.h"

#define REPORT_RUNS_MAX 24 /* more runs than this are summed up only */

static double figure_guest(const struct bench_run *r)
{
	return (double)bench_run_blackout_ns(r) / 1e3;
}

static double figure_freeze(const struct bench_run *r)
{
	return (double)bench_run_freeze_ns(r) / 1e3;
}

static double figure_vmm(const struct bench_run *r)
{
	return (double)r->vmm.blackout.total_ns / 1e3;
}

static double figure_total(const struct bench_run *r)
{
	return (double)r->vmm.total_ns / 1e6;
}

static double figure_rounds(const struct bench_run *r)
{
	return r->vmm.rounds;
}

static double figure_bytes(const struct bench_run *r)
{
	return (double)r->vmm.sent_bytes;
}

static double figure_goodput(const struct bench_run *r)
{
	return (double)r->vmm.goodput;
}

static double figure_before(const struct bench_run *r)
{
	return r->rate_before;
}

static double figure_during(const struct bench_run *r)
{
	return r->rate_during;
}

/* How a person wants to read it. */
enum figure_form { FORM_TIME_US, FORM_TIME_MS, FORM_COUNT, FORM_BYTES, FORM_BYTES_S, FORM_PAGES_S };

static const struct figure {
	const char *key; /* in JSON */
	const char *name;
	const char *head; /* over a column of the table of runs, */
	int width;        /* characters */
	double (*of)(const struct bench_run *r);
	enum figure_form form;
	bool whole; /* an integer in JSON */
} figures[] = {
	{ "blackout_guest_us", "blackout, guest", "guest", 9, figure_guest, FORM_TIME_US, false },
	{ "freeze_guest_us", "of it, freeze", "freeze", 9, figure_freeze, FORM_TIME_US, false },
	{ "blackout_vmm_us", "blackout, VMM", "VMM", 9, figure_vmm, FORM_TIME_US, false },
	{ "total_ms", "total", "total", 9, figure_total, FORM_TIME_MS, false },
	{ "rounds", "rounds", "rounds", 6, figure_rounds, FORM_COUNT, true },
	{ "bytes_sent", "sent", "sent", 10, figure_bytes, FORM_BYTES, true },
	{ "goodput_bytes_per_s", "goodput", "goodput", 11, figure_goodput, FORM_BYTES_S, true },
	{ "work_rate_before", "work before", "before", 11, figure_before, FORM_PAGES_S, false },
	{ "work_rate_during", "work during", "during", 11, figure_during, FORM_PAGES_S, false },
};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

static const char *figure_format(const struct figure *f, double v, char *buf, size_t n)
{
	char size[32];

	switch (f->form) {
	case FORM_TIME_US: return duration_format((uint64_t)(v * 1e3), buf, n);
	case FORM_TIME_MS: return duration_format((uint64_t)(v * 1e6), buf, n);
	case FORM_BYTES: return size_format((uint64_t)v, buf, n);
	case FORM_BYTES_S:
		snprintf(buf, n, "%s/s", size_format((uint64_t)v, size, sizeof(size)));
		return buf;
	case FORM_PAGES_S: snprintf(buf, n, "%.0f p/s", v); return buf;
	case FORM_COUNT: break;
	}
	snprintf(buf, n, "%g", v);
	return buf;
}

/* The statistics of one figure over all runs done. False without memory. */
static bool figure_stats(const struct campaign *k, const struct figure *f, struct stats *out)
{
	double *v = malloc((k->done ? k->done : 1) * sizeof(*v));

	if (!v)
		return false;
	for (unsigned i = 0; i < k->done; i++)
		v[i] = f->of(&k->run[i]);
	stats_of(v, k->done, out);
	free(v);
	return true;
}

/* ---- the table ---- */

static void report_title(const struct campaign *k, FILE *out)
{
	const struct bench_config *c = &k->config;
	char memory[32], workset[32], fill[32], limit[32], rate[48] = "flat out";

	if (c->rate)
		snprintf(rate, sizeof(rate), "at %llu pages/s", (unsigned long long)c->rate);
	fprintf(out,
		"%s guest, %u vCPU%s, %s %s; %s working set rewritten %s (%s); %s, limit %s\n\n",
		size_format(c->memory, memory, sizeof(memory)), c->vcpus, c->vcpus == 1 ? "" : "s",
		size_format(k->fill_bytes, fill, sizeof(fill)), bench_content_name(c->content),
		size_format(c->workset, workset, sizeof(workset)), rate,
		bench_pattern_name(c->pattern), c->transport,
		duration_format(c->downtime_limit_ns, limit, sizeof(limit)));
}

static void report_runs(const struct campaign *k, FILE *out)
{
	char text[48];

	fprintf(out, "%4s %29s %39s %23s\n", "", "--------- blackout ----------", "",
		"--- guest's work ---");
	fprintf(out, "%4s", "move");
	for (size_t f = 0; f < FIGURES; f++)
		fprintf(out, " %*s", figures[f].width, figures[f].head);
	fprintf(out, "  verified\n");
	for (unsigned i = 0; i < k->done; i++) {
		fprintf(out, "%4u", i + 1);
		for (size_t f = 0; f < FIGURES; f++)
			fprintf(out, " %*s", figures[f].width,
				figure_format(&figures[f], figures[f].of(&k->run[i]), text,
					sizeof(text)));
		fprintf(out, "  %s\n", verify_passed(&k->run[i].verify) ? "yes" : "NO");
	}
	fputc('\n', out);
}

static void report_summary(const struct campaign *k, FILE *out)
{
	char min[48], median[48], p99[48], max[48];
	struct stats s = { 0 };

	fprintf(out, "%-16s %15s %15s %15s %15s\n", "", "min", "median", "p99", "max");
	for (size_t f = 0; f < FIGURES; f++) {
		if (!figure_stats(k, &figures[f], &s))
			return;
		fprintf(out, "%-16s %15s %15s %15s %15s\n", figures[f].name,
			figure_format(&figures[f], s.min, min, sizeof(min)),
			figure_format(&figures[f], s.median, median, sizeof(median)),
			s.has_p99 ? figure_format(&figures[f], s.p99, p99, sizeof(p99)) : "-",
			figure_format(&figures[f], s.max, max, sizeof(max)));
	}
	fprintf(out,
		"\nguest: its longest pause of any kind around the move; freeze: the one in which it "
		"moved;\nVMM: freeze to thaw as the source measured it.\n");
	if (!s.has_p99)
		fprintf(out, "p99: not from %u runs; it takes at least %d.\n", k->done,
			STATS_P99_MIN);
}

static unsigned report_verified(const struct campaign *k)
{
	unsigned n = 0;

	for (unsigned i = 0; i < k->done; i++)
		n += verify_passed(&k->run[i].verify);
	return n;
}

void report_table(const struct campaign *k, FILE *out)
{
	report_title(k, out);
	if (k->done == 0) {
		fprintf(out, "No move was completed.\n");
		return;
	}
	if (k->done <= REPORT_RUNS_MAX)
		report_runs(k, out);
	report_summary(k, out);
	fprintf(out, "Verified: %u of %u moves asked for.\n", report_verified(k), k->config.runs);
}

/* ---- JSON ---- */

static json_t *report_number(const struct figure *f, double v)
{
	return f->whole ? json_integer((json_int_t)v) : json_real(v);
}

static json_t *report_json_run(const struct campaign *k, const struct bench_run *r)
{
	const struct verify_result *v = &r->verify;
	json_t *j = json_pack("{s:s,s:I}", "transport", k->config.transport, "memory_bytes",
		(json_int_t)k->config.memory);

	for (size_t f = 0; j && f < FIGURES; f++)
		json_object_set_new(
			j, figures[f].key, report_number(&figures[f], figures[f].of(r)));
	if (!j)
		return NULL;
	json_object_set_new(j, "verified", json_boolean(verify_passed(v)));
	json_object_set_new(j, "guest_gap_us", json_real((double)r->gap_ns / 1e3));
	json_object_set_new(j, "guest_gap_end_ms", json_real((double)r->gap_end_ns / 1e6));
	json_object_set_new(
		j, "guest_gap_before_freeze_us", json_real((double)r->gap_source_ns / 1e3));
	json_object_set_new(j, "guest_clock_lost_us", json_real((double)r->lost_ns / 1e3));
	json_object_set_new(j, "verify",
		json_pack("{s:I,s:I,s:I,s:I,s:I}", "pages_compared", (json_int_t)v->pages_compared,
			"pages_differ", (json_int_t)v->pages_differ, "stamps_checked",
			(json_int_t)v->stamps_checked, "stamps_bad", (json_int_t)v->stamps_bad,
			"stamp_errors", (json_int_t)v->stamp_errors));
	json_object_set_new(j, "vmm", ctl_result_json(&r->vmm));
	return j;
}

static json_t *report_json_summary(const struct campaign *k)
{
	json_t *j = json_object();
	struct stats s;

	for (size_t f = 0; j && f < FIGURES; f++) {
		if (!figure_stats(k, &figures[f], &s))
			continue;
		json_object_set_new(j, figures[f].key,
			json_pack("{s:f,s:f,s:o,s:f}", "min", s.min, "median", s.median, "p99",
				s.has_p99 ? json_real(s.p99) : json_null(), "max", s.max));
	}
	if (j) {
		json_object_set_new(j, "runs", json_integer(k->done));
		json_object_set_new(j, "verified", json_integer(report_verified(k)));
	}
	return j;
}

json_t *report_json(const struct campaign *k)
{
	const struct bench_config *c = &k->config;
	json_t *runs = json_array();

	for (unsigned i = 0; runs && i < k->done; i++)
		json_array_append_new(runs, report_json_run(k, &k->run[i]));
	return json_pack("{s:{s:s,s:I,s:I,s:I,s:I,s:s,s:s,s:i,s:i,s:I,s:f},s:o,s:o}", "config",
		"transport", c->transport, "memory_bytes", (json_int_t)c->memory, "workset_bytes",
		(json_int_t)c->workset, "fill_bytes", (json_int_t)k->fill_bytes, "rate",
		(json_int_t)c->rate, "pattern", bench_pattern_name(c->pattern), "content",
		bench_content_name(c->content), "vcpus", (int)c->vcpus, "runs", (int)c->runs,
		"downtime_limit_ns", (json_int_t)c->downtime_limit_ns, "fill_s",
		(double)k->fill_ns / 1e9, "runs", runs, "summary", report_json_summary(k));
}

int report_write(const struct campaign *k, const char *path, struct err *e)
{
	json_t *j = report_json(k);
	bool to_stdout = strcmp(path, "-") == 0;
	int rc = 0;

	if (!j)
		return err_set(e, -ENOMEM, "no memory for the results");
	errno = 0;
	if (to_stdout ? json_dumpf(j, stdout, JSON_INDENT(2)) < 0 || puts("") < 0
		      : json_dump_file(j, path, JSON_INDENT(2)) < 0)
		rc = err_set(e, -EIO, "cannot write the results to %s%s%s", path, errno ? ": " : "",
			errno ? strerrordesc_np(errno) : "");
	json_decref(j);
	return rc;
}
