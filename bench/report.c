/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the tables on the terminal (see report.h). Must never print a percentile of too few
 * samples, nor a ratio without both medians.
 * Next in the flow: bench/report_json.c.
 */
#include "bench/report.h"

#include <string.h>

#include "bench/figure.h"
#include "bench/foretold.h"
#include "hv/base/size.h"

#define REPORT_RUNS_MAX 24 /* more runs than this are summed up only */

static unsigned report_each(const struct campaign *k)
{
	return k->plan->ncases ? k->nseries / k->plan->ncases : 0;
}

static void report_runs(const struct bench_series *s, FILE *out)
{
	char text[48];

	fprintf(out, "%4s %-39s %49s %21s\n", "", "------ away, as seen by ------", "",
		"--- guest's work ---");
	fprintf(out, "%4s", "move");
	for (size_t f = 0; f < bench_nfigures; f++)
		if (bench_figures[f].head)
			fprintf(out, " %*s", bench_figures[f].width, bench_figures[f].head);
	fprintf(out, "  verified\n");
	for (unsigned i = 0; i < s->done; i++) {
		const struct bench_run *r = &s->run[i];

		if (r->failed) {
			fprintf(out, "%4u  did not move: %s\n", i + 1, r->why);
			continue;
		}
		fprintf(out, "%4u", i + 1);
		for (size_t f = 0; f < bench_nfigures; f++)
			if (bench_figures[f].head)
				fprintf(out, " %*s", bench_figures[f].width,
					figure_format(&bench_figures[f], bench_figures[f].of(r),
						text, sizeof(text)));
		fprintf(out, "  %s\n",
			!r->verify_done             ? "-"
			: verify_passed(&r->verify) ? "yes"
						    : "NO");
	}
	fputc('\n', out);
}

static void report_summary(const struct bench_series *s, FILE *out)
{
	char min[48], median[48], p90[48], p99[48], max[48];
	struct stats st = { 0 };

	fprintf(out, "%-18s %14s %14s %14s %14s %14s\n", "", "min", "median", "p90", "p99", "max");
	for (size_t i = 0; i < bench_nfigures; i++) {
		const struct figure *f = &bench_figures[i];

		if (!figure_stats(s, f, &st))
			continue;
		fprintf(out, "%-18s %14s %14s %14s %14s %14s\n", f->name,
			figure_format(f, st.min, min, sizeof(min)),
			figure_format(f, st.median, median, sizeof(median)),
			st.has_p90 ? figure_format(f, st.p90, p90, sizeof(p90)) : "-",
			st.has_p99 ? figure_format(f, st.p99, p99, sizeof(p99)) : "-",
			figure_format(f, st.max, max, sizeof(max)));
	}
	fprintf(out, "\nOf %u moves; a percentile needs samples: p90 %d, p99 %d.\n",
		bench_series_moved(s), STATS_P90_MIN, STATS_P99_MIN);
}

/* Median and maximum of a time, in ms. */
static void report_pair(const struct bench_series *s, const char *key, FILE *out)
{
	struct stats st;

	if (figure_stats(s, figure_find(key), &st))
		fprintf(out, " %8.2f %8.2f", st.median / 1e3, st.max / 1e3);
	else
		fprintf(out, " %8s %8s", "-", "-");
}

static void report_one(const struct bench_series *s, const char *key, int width, FILE *out)
{
	char text[48] = "-";

	if (bench_series_moved(s))
		figure_format(figure_find(key), figure_median(s, key), text, sizeof(text));
	fprintf(out, " %*s", width, text);
}

static void report_ratio(const struct bench_series *ours, const struct bench_series *s, FILE *out)
{
	static const char *const keys[] = { "freeze_guest_us", "total_ms" };
	char text[32];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		double a = figure_median(ours, keys[i]), b = figure_median(s, keys[i]);

		snprintf(text, sizeof(text), a > 0 && b > 0 ? "%.1f" : "-", a > 0 ? b / a : 0);
		fprintf(out, " %6s", text);
	}
}

/* The systems of a case, @s of @n, side by side. */
static void report_compare(const struct bench_series *s, unsigned n, FILE *out)
{
	fprintf(out, "%-16s %5s %17s %17s %17s %9s %11s %9s %13s\n", "", "", "away, guest (ms)",
		"observer (ms)", "longest (ms)", "total", "goodput", "CPU", "--- ratio ---");
	fprintf(out, "%-16s %5s %8s %8s %8s %8s %8s %8s %9s %11s %9s %6s %6s\n", "", "moves",
		"median", "max", "median", "max", "median", "max", "median", "median", "both ends",
		"away", "total");
	for (unsigned i = 0; i < n; i++) {
		char cpu[32] = "-";

		fprintf(out, "%-16s %5u", s[i].label, bench_series_moved(&s[i]));
		report_pair(&s[i], "freeze_guest_us", out);
		report_pair(&s[i], "freeze_observer_us", out);
		report_pair(&s[i], "blackout_guest_us", out);
		report_one(&s[i], "total_ms", 9, out);
		report_one(&s[i], "goodput_bytes_per_s", 11, out);
		if (bench_series_moved(&s[i]))
			duration_format((uint64_t)((figure_median(&s[i], "cpu_source_ms") +
							   figure_median(&s[i], "cpu_target_ms")) *
						   1e6),
				cpu, sizeof(cpu));
		fprintf(out, " %9s", cpu);
		report_ratio(&s[0], &s[i], out);
		fputc('\n', out);
	}
	for (unsigned i = 0; i < n; i++) {
		if (s[i].refused[0])
			fprintf(out, "%s: %s\n", s[i].label, s[i].refused);
		else if (s[i].failed)
			fprintf(out, "%s: %u of %u moves did not come about: %s\n", s[i].label,
				s[i].failed, s[i].done,
				s[i].run[s[i].done - 1].failed ? s[i].run[s[i].done - 1].why
							       : "see the JSON");
	}
	fputc('\n', out);
}

/* How good the predictions were on which each guest was frozen. */
static void report_predicted(const struct bench_series *s, unsigned n, FILE *out)
{
	unsigned within, of;
	char off[48];

	for (unsigned i = 0; i < n; i++) {
		figure_predicted(&s[i], &within, &of);
		if (of == 0)
			continue;
		fprintf(out,
			"%s: its own blackout was predicted within 25 %% or 1 ms in %u of %u moves "
			"(%.0f %%), off by %s (median).\n",
			s[i].label, within, of, 100.0 * within / of,
			figure_format(figure_find("prediction_error_us"),
				figure_median(&s[i], "prediction_error_us"), off, sizeof(off)));
		foretold_tell(&s[i], out);
	}
}

static void report_case(const struct campaign *k, unsigned number, FILE *out)
{
	unsigned each = report_each(k);
	const struct bench_series *s = &k->series[number * each];
	char title[256];
	unsigned done = 0;

	fprintf(out, "%s\n\n", bench_config_title(s->config, title, sizeof(title)));
	for (unsigned i = 0; i < each; i++)
		done += s[i].done;
	if (done == 0) {
		fprintf(out, "No move was completed.\n");
		report_compare(s, each, out);
		return;
	}
	if (each > 1) {
		report_compare(s, each, out);
		report_predicted(s, each, out);
		return;
	}
	if (s->done <= REPORT_RUNS_MAX)
		report_runs(s, out);
	if (k->plan->ncases == 1)
		report_summary(s, out);
	else
		report_compare(s, each, out);
	report_predicted(s, each, out);
}

void report_agreement(const struct campaign *k, unsigned *agree, unsigned *of)
{
	*agree = *of = 0;
	for (unsigned i = 0; i < k->nseries; i++)
		for (unsigned r = 0; r < k->series[i].done; r++) {
			const struct bench_run *run = &k->series[i].run[r];

			if (run->failed)
				continue;
			++*of;
			*agree += bench_run_agrees(run);
		}
}

static void report_verified(const struct campaign *k, FILE *out)
{
	unsigned good = 0, looked = 0, moved = 0;

	for (unsigned i = 0; i < k->nseries; i++)
		for (unsigned r = 0; r < k->series[i].done; r++) {
			const struct bench_run *run = &k->series[i].run[r];

			moved += !run->failed;
			looked += run->verify_done;
			good += run->verify_done && verify_passed(&run->verify);
		}
	fprintf(out, "Verified: %u of %u moves%s.\n", good, moved,
		looked < moved ? " (the peer's: the first and the last of each case)" : "");
}

const char *report_pinned(const struct bench_plan *p, char *buf, size_t n)
{
	const char *guests = p->pin.text, *observer = p->pin_observer.text;

	snprintf(buf, n, "%s%.60s%s%s%.20s", guests ? "guests and VMMs on " : "",
		guests ? guests : "", guests && observer ? ", " : "",
		observer ? "observer on " : "", observer ? observer : "");
	if (!guests && !observer)
		snprintf(buf, n, "nothing");
	return buf;
}

void report_table(const struct campaign *k, FILE *out)
{
	char pinned[128];
	unsigned agree, of;

	if (k->plan->pin.text || k->plan->pin_observer.text)
		fprintf(out, "Pinned to processors: %s\n\n",
			report_pinned(k->plan, pinned, sizeof(pinned)));
	if (k->no_peer[0])
		fprintf(out, "No peer: %s\n\n", k->no_peer);
	for (unsigned i = 0; i < k->plan->ncases && k->nseries; i++)
		report_case(k, i, out);
	report_agreement(k, &agree, &of);
	if (of)
		fprintf(out,
			"Guest and observer agree on %u of %u pauses (within 1 ms or a tenth)%s\n",
			agree, of,
			agree * 20 < of * 19 ? ": FEWER THAN 95 %, TRUST NEITHER." : ".");
	report_verified(k, out);
}
