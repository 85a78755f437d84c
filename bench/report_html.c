/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the page (see report.h): one file, no script, nothing fetched; light or dark as the reader
 * has it. Must never write text into it unescaped.
 * Next in the flow: docs/bench.md.
 */
#include "bench/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/figure.h"
#include "bench/outfile.h"
#include "bench/report_plots.h"
#include "hv/base/size.h"

static const char page_head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n"
	"<title>watari: how long a guest is away when it moves</title>\n<style>\n"
	":root{color-scheme:light dark;--ink:#1c2024;--soft:#5c6670;--line:#d5dade;--paper:#fff}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#a3abb3;--line:#3a4149;"
	"--paper:#16191c}}\n"
	"body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
	"max-width:1040px;margin:2em auto;padding:0 1em}\n"
	"h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2.5em;border-top:1px solid var(--line);"
	"padding-top:1em}\n"
	"p.note,figcaption,dd{color:var(--soft)}figure{margin:1.5em 0}svg{width:100%;height:auto;"
	"color:var(--ink)}\n"
	"div.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
	"\nth,td{padding:.25em .7em;text-align:right;white-space:nowrap;"
	"border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}\n"
	"code,pre{font:13px ui-monospace,monospace}pre{white-space:pre-wrap;border:1px solid "
	"var(--line);padding:.7em}\n"
	"dt{font-weight:600}dd{margin:0 0 .5em 1em}\n</style></head><body>\n";

static void page_text(const char *s, FILE *out)
{
	for (; *s; s++) {
		switch (*s) {
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '&': fputs("&amp;", out); break;
		case '"': fputs("&quot;", out); break;
		default: fputc(*s, out);
		}
	}
}

static void page_row(const char *name, const char *value, FILE *out)
{
	fputs("<tr><td>", out);
	page_text(name, out);
	fputs("</td><td>", out);
	page_text(value, out);
	fputs("</td></tr>\n", out);
}

static void page_machine(const struct campaign *k, FILE *out)
{
	const struct machine *m = &k->machine;
	char text[192], size[32];

	fputs("<h2>Machine and versions</h2>\n<table>\n", out);
	snprintf(text, sizeof(text), "%u, %s", m->cpus, m->cpu);
	page_row("processors", text, out);
	page_row("memory", size_format(m->memory, size, sizeof(size)), out);
	page_row("kernel", m->kernel, out);
	page_row("KVM", m->kvm, out);
	page_row("software", m->software, out);
	if (k->plan->peer && !k->no_peer[0]) {
		snprintf(text, sizeof(text), "%s, -cpu %s", k->plan->peer_version,
			k->plan->peer_cpu);
		page_row("peer", text, out);
	}
	page_row("pinned", report_pinned(k->plan, text, sizeof(text)), out);
	page_row("when", m->when, out);
	snprintf(text, sizeof(text), "load %.2f, others kept %.1f processors busy", m->load1,
		m->others);
	page_row("at the start", text, out);
	fputs("</table>\n<h2>How to repeat</h2>\n<pre>", out);
	page_text(k->plan->command ? k->plan->command : "watari bench downtime", out);
	fputs("</pre>\n", out);
}

/* "2.31 ms (1.90 ms – 4.00 ms)" */
static void page_cell(const struct bench_series *s, const struct figure *f, FILE *out)
{
	char median[48], min[48], max[48];
	struct stats st;

	if (!figure_stats(s, f, &st)) {
		fputs("<td>–</td>", out);
		return;
	}
	fprintf(out, "<td><b>%s</b> (%s – %s)</td>",
		figure_format(f, st.median, median, sizeof(median)),
		figure_format(f, st.min, min, sizeof(min)),
		figure_format(f, st.max, max, sizeof(max)));
}

static void page_ratio(const struct bench_series *s, unsigned each, FILE *out)
{
	fputs("<tr><td>away, times the first</td>", out);
	for (unsigned i = 0; i < each; i++) {
		double a = figure_median(&s[0], "freeze_guest_us");
		double b = figure_median(&s[i], "freeze_guest_us");

		if (a > 0 && b > 0)
			fprintf(out, "<td>%.2f</td>", b / a);
		else
			fputs("<td>–</td>", out);
	}
	fputs("</tr>\n", out);
}

static void page_table(const struct bench_series *s, unsigned each, FILE *out)
{
	fputs("<div class=\"wide\"><table>\n<tr><th></th>", out);
	for (unsigned i = 0; i < each; i++) {
		fputs("<th>", out);
		page_text(s[i].label, out);
		fputs("</th>", out);
	}
	fputs("</tr>\n<tr><td>moves</td>", out);
	for (unsigned i = 0; i < each; i++)
		fprintf(out, "<td>%u of %u</td>", bench_series_moved(&s[i]), s[i].done);
	fputs("</tr>\n", out);
	for (size_t f = 0; f < bench_nfigures; f++) {
		fprintf(out, "<tr><td>%s</td>", bench_figures[f].name);
		for (unsigned i = 0; i < each; i++)
			page_cell(&s[i], &bench_figures[f], out);
		fputs("</tr>\n", out);
	}
	page_ratio(s, each, out);
	fputs("</table></div>\n<p class=\"note\">Median (minimum – maximum) of the moves.</p>\n",
		out);
	for (unsigned i = 0; i < each; i++) {
		if (!s[i].refused[0])
			continue;
		fputs("<p>", out);
		page_text(s[i].label, out);
		fputs(": ", out);
		page_text(s[i].refused, out);
		fputs("</p>\n", out);
	}
}

static void page_figure(const char *svg, const char *caption, FILE *out)
{
	fprintf(out, "<figure>%s<figcaption>", svg);
	page_text(caption, out);
	fputs("</figcaption></figure>\n", out);
}

/* The move of @s whose time away is the median, or NULL. */
static const struct bench_run *page_typical(const struct bench_series *s)
{
	double median = figure_median(s, "freeze_guest_us") * 1e3, best = 0;
	const struct bench_run *found = NULL;

	for (unsigned i = 0; i < s->done; i++) {
		double apart = (double)bench_run_freeze_ns(&s->run[i]) - median;

		apart = apart < 0 ? -apart : apart;
		if (s->run[i].failed || s->run[i].buckets == 0 || (found && apart >= best))
			continue;
		found = &s->run[i];
		best = apart;
	}
	return found;
}

/* The peer's mode that kept the guest away for the shortest time, or NULL. */
static const struct bench_series *page_best_peer(const struct bench_series *s, unsigned each)
{
	const struct bench_series *best = NULL;
	double least = 0;

	for (unsigned i = 0; i < each; i++) {
		double v = figure_median(&s[i], "freeze_guest_us");

		if (s[i].sys == &bench_watari || v <= 0 || (best && v >= least))
			continue;
		best = &s[i];
		least = v;
	}
	return best;
}

static int page_timeline(const struct bench_series *s, unsigned *number, FILE *out, struct err *e)
{
	const struct bench_run *r = s ? page_typical(s) : NULL;
	char caption[320], *svg = NULL;
	int rc;

	if (!r)
		return 0;
	rc = plots_timeline(r, ++*number, &svg, e);
	snprintf(caption, sizeof(caption),
		"%s, the move whose time away is nearest to the median (move %u). Top: pages the "
		"guest rewrote, by the observer, in buckets of 10 ms. Middle and bottom: as the "
		"system reports its progress. Red: the guest is away (drawn 4 ms wide at least).",
		s->label, (unsigned)(r - s->run) + 1);
	if (rc == 0)
		page_figure(svg, caption, out);
	free(svg);
	return rc;
}

static int page_case(
	const struct campaign *k, unsigned n, unsigned *number, FILE *out, struct err *e)
{
	unsigned each = k->nseries / k->plan->ncases, moved = 0;
	const struct bench_series *s = &k->series[n * each];
	char title[256], *svg = NULL;
	int rc;

	fputs("<h2>", out);
	page_text(bench_config_title(s->config, title, sizeof(title)), out);
	fputs("</h2>\n", out);
	page_table(s, each, out);
	for (unsigned i = 0; i < each; i++)
		moved += bench_series_moved(&s[i]);
	if (moved == 0)
		return 0;
	rc = plots_distribution(s, each, ++*number, &svg, e);
	if (rc == 0)
		page_figure(svg,
			"How long the guest was away in each move, in ms, on a logarithmic axis: "
			"every dot is a move, left as the guest saw it and right as the observer "
			"outside did; the bar is the guest's median.",
			out);
	free(svg);
	if (rc == 0)
		rc = page_timeline(&s[0], number, out, e);
	if (rc == 0)
		rc = page_timeline(page_best_peer(s, each), number, out, e);
	return rc;
}

static void page_words(FILE *out)
{
	fputs("<h2>What the figures are</h2>\n<dl>"
	      "<dt>away, guest</dt><dd>the pause from the guest's last heartbeat at the source to "
	      "its first at the target, by the guest's own clock, time its clock lost added</dd>"
	      "<dt>away, observer</dt><dd>the same, seen by a thread that reads the heartbeats at "
	      "both ends by this host's clock</dd>"
	      "<dt>away, VMM</dt><dd>what the system itself calls its downtime</dd>"
	      "<dt>longest pause; less quiet one</dt><dd>the guest's longest pause of any kind "
	      "around the move; and what a window as long without a move does not explain of it"
	      "</dd><dt>work lost</dt><dd>work not done from the request to a second after the "
	      "move, as time at the rate before</dd>"
	      "<dt>CPU</dt><dd>all threads of the process but those that run the guest</dd></dl>\n",
		out);
}

static int page_write(const struct campaign *k, FILE *out, struct err *e)
{
	unsigned number = 0, agree, of;
	int rc = 0;

	fputs(page_head, out);
	fputs("<h1>How long a guest is away when it moves</h1>\n", out);
	report_agreement(k, &agree, &of);
	fprintf(out,
		"<p>Guest and observer agree on %u of %u pauses (within 1 ms or a tenth)%s. Both "
		"ends, the guest and the observer share one machine, over loopback.%s</p>\n",
		agree, of, agree * 20 < of * 19 ? ": <b>fewer than 95 %, trust neither</b>" : "",
		k->interrupted ? " <b>The measurement was interrupted.</b>" : "");
	if (k->no_peer[0]) {
		fputs("<p>No peer: ", out);
		page_text(k->no_peer, out);
		fputs("</p>\n", out);
	}
	for (unsigned i = 0; i < k->plan->ncases && k->nseries && rc == 0; i++)
		rc = page_case(k, i, &number, out, e);
	page_words(out);
	page_machine(k, out);
	fputs("</body></html>\n", out);
	return rc;
}

int report_html(const struct campaign *k, const char *path, struct err *e)
{
	FILE *out = fopen(path, "we");
	int rc;

	if (!out)
		return err_errno(e, "cannot write %s", path);
	rc = page_write(k, out, e);
	rc = outfile_close(out, path, rc, e);
	return rc < 0 ? err_wrap(e, "the page %s", path) : 0;
}
