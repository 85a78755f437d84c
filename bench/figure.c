/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the list of figures (see figure.h); docs/bench.md defines each.
 * Next in the flow: bench/report.c, bench/report_json.c.
 */
#include "bench/figure.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/size.h"

/* A prediction is good within either. */
#define FIGURE_PREDICTED    0.25
#define FIGURE_PREDICTED_US 1000.0

static double figure_guest(const struct bench_run *r)
{
	return (double)bench_run_blackout_ns(r) / 1e3;
}

static double figure_net(const struct bench_run *r)
{
	return (double)bench_run_net_ns(r) / 1e3;
}

static double figure_freeze(const struct bench_run *r)
{
	return (double)bench_run_freeze_ns(r) / 1e3;
}

static double figure_observer(const struct bench_run *r)
{
	return (double)r->seen.moved_ns / 1e3;
}

static double figure_observer_gap(const struct bench_run *r)
{
	return (double)r->seen.gap_ns / 1e3;
}

static double figure_vmm(const struct bench_run *r)
{
	return (double)r->vmm.blackout.total_ns / 1e3;
}

static double figure_prediction(const struct bench_run *r)
{
	return r->vmm.predicted_blackout_ns ? (double)r->vmm.predicted_blackout_ns / 1e3 : NAN;
}

/* Against what the same system measured, from the same moment to the same moment. */
static double figure_prediction_error(const struct bench_run *r)
{
	return fabs(figure_vmm(r) - figure_prediction(r));
}

static double figure_quiet(const struct bench_run *r)
{
	return (double)r->quiet_gap_ns / 1e3;
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

static double figure_wire(const struct bench_run *r)
{
	return (double)r->vmm.wire_bytes;
}

static double figure_goodput(const struct bench_run *r)
{
	/* The same for every system, whatever each calls its own. */
	return r->vmm.total_ns ? (double)r->vmm.sent_bytes * 1e9 / (double)r->vmm.total_ns : 0;
}

static double figure_before(const struct bench_run *r)
{
	return r->rate_before;
}

static double figure_during(const struct bench_run *r)
{
	return r->rate_during;
}

static double figure_work_lost(const struct bench_run *r)
{
	return r->work_lost_ms;
}

static double figure_cpu_source(const struct bench_run *r)
{
	return (double)r->cpu_source_ns / 1e6;
}

static double figure_cpu_target(const struct bench_run *r)
{
	return (double)r->cpu_target_ns / 1e6;
}

static double figure_peak_source(const struct bench_run *r)
{
	return (double)r->peak_source;
}

static double figure_peak_target(const struct bench_run *r)
{
	return (double)r->peak_target;
}

const struct figure bench_figures[] = {
	{ "freeze_guest_us", "away, guest", "guest", 9, figure_freeze, FORM_TIME_US, false },
	{ "freeze_observer_us", "away, observer", "observer", 9, figure_observer, FORM_TIME_US,
		false },
	{ "blackout_vmm_us", "away, VMM", "VMM", 9, figure_vmm, FORM_TIME_US, false },
	{ "predicted_us", "predicted", "predicted", 9, figure_prediction, FORM_TIME_US, false },
	{ "prediction_error_us", "prediction off by", NULL, 0, figure_prediction_error,
		FORM_TIME_US, false },
	{ "blackout_guest_us", "longest pause", "longest", 9, figure_guest, FORM_TIME_US, false },
	{ "blackout_net_us", "less quiet one", NULL, 0, figure_net, FORM_TIME_US, false },
	{ "quiet_gap_us", "quiet pause", NULL, 0, figure_quiet, FORM_TIME_US, false },
	{ "gap_observer_us", "longest, observer", NULL, 0, figure_observer_gap, FORM_TIME_US,
		false },
	{ "total_ms", "total", "total", 9, figure_total, FORM_TIME_MS, false },
	{ "rounds", "rounds", "rounds", 6, figure_rounds, FORM_COUNT, true },
	{ "bytes_sent", "sent", "sent", 10, figure_bytes, FORM_BYTES, true },
	{ "bytes_wire", "on the wire", NULL, 0, figure_wire, FORM_BYTES, true },
	{ "goodput_bytes_per_s", "goodput", "goodput", 11, figure_goodput, FORM_BYTES_S, true },
	{ "work_rate_before", "work before", "before", 10, figure_before, FORM_PAGES_S, false },
	{ "work_rate_during", "work during", "during", 10, figure_during, FORM_PAGES_S, false },
	{ "work_lost_ms", "work lost", NULL, 0, figure_work_lost, FORM_TIME_MS, false },
	{ "cpu_source_ms", "CPU, source", NULL, 0, figure_cpu_source, FORM_TIME_MS, false },
	{ "cpu_target_ms", "CPU, target", NULL, 0, figure_cpu_target, FORM_TIME_MS, false },
	{ "peak_source_bytes", "memory, source", NULL, 0, figure_peak_source, FORM_BYTES, true },
	{ "peak_target_bytes", "memory, target", NULL, 0, figure_peak_target, FORM_BYTES, true },
};
const size_t bench_nfigures = sizeof(bench_figures) / sizeof(bench_figures[0]);

const struct figure *figure_find(const char *key)
{
	for (size_t i = 0; i < bench_nfigures; i++)
		if (strcmp(bench_figures[i].key, key) == 0)
			return &bench_figures[i];
	return NULL;
}

const char *figure_format(const struct figure *f, double v, char *buf, size_t n)
{
	char size[32];

	if (isnan(v)) {
		snprintf(buf, n, "-");
		return buf;
	}
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

bool figure_stats(const struct bench_series *s, const struct figure *f, struct stats *out)
{
	double *v = calloc(s->done ? s->done : 1, sizeof(*v));
	unsigned n = 0;

	*out = (struct stats){ 0 };
	if (!v)
		return false;
	for (unsigned i = 0; i < s->done; i++) {
		v[n] = s->run[i].failed ? NAN : f->of(&s->run[i]);
		n += !isnan(v[n]);
	}
	stats_of(v, n, out);
	free(v);
	return n > 0;
}

void figure_predicted(const struct bench_series *s, unsigned *within, unsigned *of)
{
	*within = *of = 0;
	for (unsigned i = 0; i < s->done; i++) {
		const struct bench_run *r = &s->run[i];
		double off = r->failed ? NAN : figure_prediction_error(r);

		if (isnan(off))
			continue;
		++*of;
		*within += off <= FIGURE_PREDICTED_US || off <= figure_vmm(r) * FIGURE_PREDICTED;
	}
}

double figure_median(const struct bench_series *s, const char *key)
{
	const struct figure *f = figure_find(key);
	struct stats st;

	return f && figure_stats(s, f, &st) ? st.median : 0;
}
