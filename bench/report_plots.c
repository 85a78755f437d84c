/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what is drawn of a measurement: the distribution of a case, the time line of a move. Only
 * gnuplot commands and data; see plot.h for the drawing.
 * Next in the flow: bench/report_html.c.
 */
#include "bench/report_plots.h"

#include <stdlib.h>

#include "bench/figure.h"
#include "hv/base/clock.h"

#define PLOT_WIDTH 960

/* Where dot @i of @n stands beside its column: side by side, so that none hides another. */
static double plots_spread(unsigned i, unsigned n)
{
	return n > 1 ? ((double)i / (n - 1) - 0.5) * 0.3 : 0;
}

static void plots_dots(
	const struct bench_series *s, unsigned each, const char *key, double shift, FILE *out)
{
	const struct figure *f = figure_find(key);

	for (unsigned i = 0; i < each; i++)
		for (unsigned r = 0; r < s[i].done; r++) {
			double v = s[i].run[r].failed ? 0 : f->of(&s[i].run[r]) / 1e3;

			if (v > 0)
				fprintf(out, "%g %g\n", i + shift + plots_spread(r, s[i].done), v);
		}
	fprintf(out, "e\n");
}

static void plots_medians(const struct bench_series *s, unsigned each, FILE *out)
{
	for (unsigned i = 0; i < each; i++) {
		double v = figure_median(&s[i], "freeze_guest_us") / 1e3;

		if (v > 0)
			fprintf(out, "%g %g %g \"%.3g\"\n", i - 0.4, v, 0.4, v);
	}
	fprintf(out, "e\n");
}

/* A system below its column, in two lines: watari, tcp. Of what gnuplot takes for more, nothing. */
static void plots_name(const char *label, unsigned at, FILE *out)
{
	fputs(at ? ", \"" : "\"", out);
	for (; *label; label++) {
		if (*label == ' ')
			fputs("\\n", out);
		else
			fputc(*label == '"' || *label == '\\' ? '?' : *label, out);
	}
	fprintf(out, "\" %u", at);
}

int plots_distribution(
	const struct bench_series *s, unsigned each, unsigned number, char **svg, struct err *e)
{
	struct plot p;
	int rc = plot_open(&p, PLOT_WIDTH, 380, e);
	FILE *out = p.script;

	*svg = NULL;
	if (rc == 0) {
		fprintf(out,
			"set logscale y\nset bmargin 3.5\nset ylabel 'away (ms)'\nset xrange [-0.75:%g]\n",
			each - 0.4);
		fprintf(out,
			"set key outside top center horizontal reverse Left samplen 2\nset xtics (");
		for (unsigned i = 0; i < each; i++)
			plots_name(s[i].label, i, out);
		fprintf(out, ")\nset yrange [*<1:10<*]\n");
		fprintf(out, "plot '-' using 1:2 with points pt 7 ps 0.6 lc rgb '" PLOT_BLUE
			     "' title 'as the guest saw it', "
			     "'-' using 1:2 with points pt 13 ps 0.7 lc rgb '" PLOT_ORANGE
			     "' title 'as the observer saw it', "
			     "'-' using 1:2:3:(0) with vectors nohead lw 2 lc rgb '" PLOT_BLUE
			     "' title 'median, as the guest saw it', "
			     "'-' using 1:2:4 with labels right offset -0.3,0 notitle\n");
		plots_dots(s, each, "freeze_guest_us", -0.2, out);
		plots_dots(s, each, "freeze_observer_us", 0.2, out);
		plots_medians(s, each, out);
		plots_medians(s, each, out);
	}
	if (rc < 0) {
		plot_close(&p, number, "", svg, NULL);
		return rc;
	}
	return plot_close(
		&p, number, "How long the guest was away in each move, by system", svg, e);
}

/* ---- the time line ---- */

#define PLOT_LINE  "nohead lw 1.2 lc rgb '" PLOT_GREY "' dt 2\n"
#define PLOT_CURVE "pt 7 ps 0.45 lw 1.5 lc rgb '"
#define PLOT_ROOM  0.07 /* of the axis, for a word above it */

static double plots_ms(const struct bench_run *r, uint64_t at_ns)
{
	return (double)(int64_t)(at_ns - r->start_ns) / 1e6;
}

/* When the system was in @phase first, in ms from the request; below 0: it does not say. */
static double plots_phase(const struct bench_run *r, enum mig_phase phase)
{
	for (unsigned i = 0; i < r->points; i++)
		if (r->point[i].p.phase == phase)
			return plots_ms(r, r->point[i].at_ns);
	return phase == MIG_PHASE_DONE ? (double)r->vmm.total_ns / 1e6 : -1;
}

static void plots_line(double at, const char *word, const char *side, FILE *out)
{
	/* gnuplot's SVG forgets the colour of a line that is as wide as an axis: 1.2. */
	fprintf(out, "set arrow from %g,graph 0 to %g,graph 1 " PLOT_LINE, at, at);
	if (word)
		fprintf(out, "set label '%s' at %g,graph 1.07 %s\n", word, at, side);
}

/*
 * The pause of the move as a band, the beginning of each phase as a line. Words stand so that none
 * can meet another: the request's left of its line, the end's right of its, the pause's above.
 */
static void plots_phases(const struct bench_run *r, bool label, FILE *out)
{
	double at = plots_ms(r, r->seen.moved_at_ns), until = at + (double)r->seen.moved_ns / 1e6;
	double copy = plots_phase(r, MIG_PHASE_COPY), done = plots_phase(r, MIG_PHASE_DONE);
	bool room = done - copy > (double)r->buckets * 10 * PLOT_ROOM;

	fprintf(out, "unset arrow\nunset label\n");
	if (r->seen.moved_ns)
		fprintf(out,
			"set object 1 rectangle from %g,graph 0 to %g,graph 1 fc rgb '" PLOT_RED
			"' fillstyle solid 0.6 noborder behind\n",
			at, until - at < 4 ? at + 4 : until);
	plots_line(0, label ? "request " : NULL, "right", out);
	if (copy >= 0)
		plots_line(copy, label && room ? " copy" : NULL, "left", out);
	if (done > 0)
		plots_line(done, label ? " done" : NULL, "left", out);
	if (label && r->seen.moved_ns)
		fprintf(out,
			"set label 'away %.3g ms' at %g,graph 1.2 center tc rgb '" PLOT_RED "'\n",
			(double)r->seen.moved_ns / 1e6, at);
}

static void plots_work(const struct bench_run *r, FILE *out)
{
	for (unsigned i = 0; i < r->buckets; i++)
		fprintf(out, "%d %g\n", r->first_bucket_ms + (int)i * 10,
			r->bucket[i] * (1e9 / WATCH_BUCKET_NS) / 1e3);
	fprintf(out, "e\n");
}

enum plots_what { PLOTS_RESIDUAL, PLOTS_GOODPUT, PLOTS_DIRTY };

/* How many points there are; they go to @out unless that is NULL. */
static unsigned plots_points(const struct bench_run *r, enum plots_what what, FILE *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->points; i++) {
		const struct mig_progress *p = &r->point[i].p;
		uint64_t v = what == PLOTS_RESIDUAL  ? p->residual_bytes
			     : what == PLOTS_GOODPUT ? p->goodput
						     : p->dirty_rate;

		if ((what != PLOTS_RESIDUAL && v == 0) || p->phase == MIG_PHASE_INIT)
			continue; /* not known yet */
		if (out)
			fprintf(out, "%g %g\n", plots_ms(r, r->point[i].at_ns),
				(double)v / (double)(1u << 20));
		n++;
	}
	if (out)
		fprintf(out, n ? "e\n" : "0 NaN\ne\n");
	return n;
}

static void plots_curve(const struct bench_run *r, enum plots_what what, const char *style,
	const char *title, FILE *out)
{
	fprintf(out, "'-' using 1:2 with linespoints %s title '%s%s'", style, title,
		plots_points(r, what, NULL) ? "" : ": not reported");
}

static void plots_panel(const struct bench_run *r, unsigned panel, FILE *out)
{
	static const char *const axis[] = { "1000 pages/s", "MiB", "MiB/s" };
	static const double top[] = { 0.91, 0.62, 0.36 }, bottom[] = { 0.67, 0.41, 0.11 };

	fprintf(out, "set tmargin at screen %g\nset bmargin at screen %g\nset ylabel '%s'\n",
		top[panel], bottom[panel], axis[panel]);
	plots_phases(r, panel == 0, out);
	fprintf(out, panel == 2 ? "set xlabel 'ms from the request'\nset format x\n"
				: "unset xlabel\nset format x ''\n");
}

int plots_timeline(const struct bench_run *r, unsigned number, char **svg, struct err *e)
{
	struct plot p;
	int rc = plot_open(&p, PLOT_WIDTH, 560, e);
	FILE *out = p.script;

	*svg = NULL;
	if (rc < 0) {
		plot_close(&p, number, "", svg, NULL);
		return rc;
	}
	fprintf(out,
		"set multiplot\nset lmargin at screen 0.1\nset rmargin at screen 0.98\n"
		"set xrange [%d:%d]\nset yrange [0:*]\nset key top left reverse Left samplen 2\nset offsets 0, 0, graph 0.35, 0\n"
		"set style fill solid 0.5\n",
		r->first_bucket_ms, r->first_bucket_ms + (int)r->buckets * 10);
	plots_panel(r, 0, out);
	fprintf(out, "plot '-' using 1:2 with fillsteps lc rgb '" PLOT_GREEN
		     "' title 'work of the guest'\n");
	plots_work(r, out);
	plots_panel(r, 1, out);
	fprintf(out, "plot ");
	plots_curve(r, PLOTS_RESIDUAL, PLOT_CURVE PLOT_BLUE "'", "left to send (residual)", out);
	fputc('\n', out);
	plots_points(r, PLOTS_RESIDUAL, out);
	plots_panel(r, 2, out);
	fprintf(out, "plot ");
	plots_curve(r, PLOTS_GOODPUT, PLOT_CURVE PLOT_BLUE "'", "goodput", out);
	fprintf(out, ", ");
	plots_curve(r, PLOTS_DIRTY, PLOT_CURVE PLOT_ORANGE "'", "dirty rate", out);
	fputc('\n', out);
	plots_points(r, PLOTS_GOODPUT, out);
	plots_points(r, PLOTS_DIRTY, out);
	fprintf(out, "unset multiplot\n");
	return plot_close(&p, number,
		"Time line of one move: work of the guest, residual, goodput and dirty rate", svg,
		e);
}
