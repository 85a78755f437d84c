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
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n"
	"<title>watari: how long a guest is away when it moves</title>\n<style>\n"
	":root{color-scheme:light dark;--ink:#1c2024;--soft:#5c6670;--line:#d5dade;--paper:#fff}\n"
	"@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#a3abb3;--line:#3a4149;"
	"--paper:#16191c}}\n"
	"body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
	"max-width:1040px;margin:2em auto;padding:0 1em}\n"
	"h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2.5em;border-top:1px solid var(--line);"
	"padding-top:1em}\n"
	"p.note,figcaption,dd,small{color:var(--soft)}small{display:block;font-size:12px;"
	"line-height:1.3}\n"
	"figure{margin:2em 0}div.wide{overflow-x:auto}div.wide svg{display:block;width:100%;"
	"min-width:700px;height:auto;color:var(--ink)}\n"
	"table{border-collapse:separate;border-spacing:0;font-variant-numeric:tabular-nums}\n"
	"th,td{padding:.25em .6em;text-align:right;white-space:nowrap;vertical-align:top;"
	"border-bottom:1px solid var(--line)}\n"
	"th:first-child,td:first-child{text-align:left;position:sticky;left:0;padding-left:0;"
	"background:var(--paper)}\n"
	"table.words td{text-align:left;white-space:normal}table.words td:first-child,"
	"table.cases td:first-child{min-width:7em;white-space:normal}\n"
	"code,pre{font:13px ui-monospace,monospace}pre{white-space:pre-wrap;"
	"overflow-wrap:anywhere;border:1px solid var(--line);padding:.7em}\n"
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

	fputs("<h2>Machine and versions</h2>\n<table class=\"words\">\n", out);
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

/* "2.31 ms", and below it "1.90 ms – 4.00 ms"; percentiles where there are samples for them. */
static void page_cell(const struct bench_series *s, const struct figure *f, FILE *out)
{
	char text[48];
	struct stats st;

	if (!figure_stats(s, f, &st)) {
		fputs("<td>–</td>", out);
		return;
	}
	fprintf(out, "<td><b>%s</b>", figure_format(f, st.median, text, sizeof(text)));
	fprintf(out, "<small>%s – ", figure_format(f, st.min, text, sizeof(text)));
	fprintf(out, "%s</small>", figure_format(f, st.max, text, sizeof(text)));
	if (st.has_p90)
		fprintf(out, "<small>p90 %s</small>", figure_format(f, st.p90, text, sizeof(text)));
	if (st.has_p99)
		fprintf(out, "<small>p99 %s</small>", figure_format(f, st.p99, text, sizeof(text)));
	fputs("</td>", out);
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

static void page_predicted(const struct bench_series *s, unsigned each, FILE *out)
{
	unsigned within, of;

	fputs("<tr><td>predicted within 25 % or 1 ms</td>", out);
	for (unsigned i = 0; i < each; i++) {
		figure_predicted(&s[i], &within, &of);
		if (of)
			fprintf(out, "<td>%u of %u</td>", within, of);
		else
			fputs("<td>–</td>", out);
	}
	fputs("</tr>\n", out);
}

/* How many moves there were, and what is known of them. */
static void page_counts(const struct bench_series *s, unsigned each, FILE *out)
{
	fputs("<tr><td>moves</td>", out);
	for (unsigned i = 0; i < each; i++)
		fprintf(out, "<td>%u of %u</td>", bench_series_moved(&s[i]), s[i].done);
	fputs("</tr>\n<tr><td>verified</td>", out);
	for (unsigned i = 0; i < each; i++) {
		unsigned good = 0, looked = 0;

		for (unsigned r = 0; r < s[i].done; r++) {
			looked += s[i].run[r].verify_done;
			good += s[i].run[r].verify_done && verify_passed(&s[i].run[r].verify);
		}
		fprintf(out, good < looked ? "<td><b>%u of %u</b></td>" : "<td>%u of %u</td>", good,
			looked);
	}
	fputs("</tr>\n<tr><td>guest, observer agree</td>", out);
	for (unsigned i = 0; i < each; i++) {
		unsigned agree = 0;

		for (unsigned r = 0; r < s[i].done; r++)
			agree += !s[i].run[r].failed && bench_run_agrees(&s[i].run[r]);
		fprintf(out, "<td>%u of %u</td>", agree, bench_series_moved(&s[i]));
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
	fputs("</tr>\n", out);
	page_counts(s, each, out);
	for (size_t f = 0; f < bench_nfigures; f++) {
		fprintf(out, "<tr><td>%s</td>", bench_figures[f].name);
		for (unsigned i = 0; i < each; i++)
			page_cell(&s[i], &bench_figures[f], out);
		fputs("</tr>\n", out);
	}
	page_predicted(s, each, out);
	page_ratio(s, each, out);
	fputs("</table></div>\n<p class=\"note\">Bold: the median of the moves. Below it: "
	      "the least and the most of them, and percentiles where there are moves enough "
	      "(p90 from 20 on, p99 from 100).</p>\n",
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
	fprintf(out, "<figure><div class=\"wide\">%s</div><figcaption>", svg);
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
	char caption[448], *svg = NULL;
	int rc;

	if (!r)
		return 0;
	rc = plots_timeline(r, ++*number, &svg, e);
	snprintf(caption, sizeof(caption),
		"%s, time line of one move: that whose time away is nearest to the median (move %u). "
		"Top: pages the guest rewrote, by the observer, in buckets of 10 ms. Middle: what "
		"was left to send; bottom: how fast it was sent and dirtied; both as the system "
		"itself reports it. Red: the guest is away (drawn 4 ms wide at least).",
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
			"every move is a dot as the guest saw it and, right of it, a diamond as the "
			"observer outside did. The bar and its number: the guest's median.",
			out);
	free(svg);
	if (rc == 0)
		rc = page_timeline(&s[0], number, out, e);
	if (rc == 0)
		rc = page_timeline(page_best_peer(s, each), number, out, e);
	return rc;
}

static const char *const page_words[][2] = {
	{ "away, guest",
		"the pause from the guest's last heartbeat at the source to its first at the "
		"target, by the guest's own clock, time its clock lost added" },
	{ "away, observer",
		"the same, seen by a thread that reads the heartbeats at both ends by this host's "
		"clock" },
	{ "away, VMM", "what the system itself calls its downtime" },
	{ "predicted; off by",
		"the whole blackout as the system predicted it when it froze the guest; and by how "
		"much its own measure of it differs" },
	{ "guest, observer agree", "moves in which the two are within 1 ms, or a tenth" },
	{ "longest pause; longest, observer",
		"the longest pause of any kind from the request to 200 ms after the move, as the "
		"guest saw it; as the observer did. On a crowded machine that is mostly a wait for "
		"a processor" },
	{ "quiet pause; less quiet one",
		"the longest pause in as much time without a move; and what it does not explain of "
		"the longest one around the move, 0 at least" },
	{ "total; rounds", "from the request to its answer, and passes over memory, as the system "
			   "reports them" },
	{ "sent; on the wire; goodput",
		"page payload; all bytes as the system counts them; payload by the time of the whole "
		"move" },
	{ "work before; work during",
		"pages the guest rewrote per second (p/s): in the quiet time before the move; from "
		"the request until it was seen at the target" },
	{ "work lost",
		"work not done from the request to a second after the move, as time at the rate "
		"before" },
	{ "CPU", "all threads of the process but those that run the guest, while it moved" },
	{ "memory", "the most the process had resident, guest memory included" },
	{ "verified",
		"moves after which the guest's memory was compared and found whole, of those after "
		"which it was looked at" },
	{ "away, times the first", "the median by that of the first system in the table" },
};

static void page_explain(FILE *out)
{
	fputs("<h2>What the figures are</h2>\n<dl>\n", out);
	for (size_t i = 0; i < sizeof(page_words) / sizeof(page_words[0]); i++)
		fprintf(out, "<dt>%s</dt><dd>%s</dd>\n", page_words[i][0], page_words[i][1]);
	fputs("</dl>\n", out);
}

/* All cases at a glance: how long the guest was away, the systems side by side. */
static void page_overview(const struct campaign *k, FILE *out)
{
	unsigned each = k->plan->ncases ? k->nseries / k->plan->ncases : 0;
	char text[256];

	if (k->nseries < 2)
		return;
	fputs("<div class=\"wide\"><table class=\"cases\">\n<tr><th>away, as the guest saw it</th>",
		out);
	for (unsigned i = 0; i < each; i++) {
		fputs("<th>", out);
		page_text(k->series[i].label, out);
		fputs("</th>", out);
	}
	fputs("</tr>\n", out);
	for (unsigned c = 0; c < k->plan->ncases; c++) {
		const struct bench_series *s = &k->series[c * each];
		double first = figure_median(&s[0], "freeze_guest_us");

		fputs("<tr><td>", out);
		page_text(bench_config_title(s->config, text, sizeof(text)), out);
		fputs("</td>", out);
		for (unsigned i = 0; i < each; i++) {
			double v = figure_median(&s[i], "freeze_guest_us");

			fprintf(out, "<td><b>%s</b>",
				v > 0 ? figure_format(figure_find("freeze_guest_us"), v, text,
						sizeof(text))
				      : "–");
			if (i && v > 0 && first > 0)
				fprintf(out, "<small>× %.2f</small>", v / first);
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fprintf(out, "</table></div>\n<p class=\"note\">Medians of %u moves%s.</p>\n",
		k->plan->runs, each > 1 ? " each; small: how many times the first system's" : "");
}

/* What was measured on, in a line; the whole of it is at the end. */
static void page_where(const struct campaign *k, FILE *out)
{
	const struct machine *m = &k->machine;
	const struct bench_plan *p = k->plan;
	char size[32], pinned[128];

	fprintf(out, "<p class=\"note\">%u processors, ", m->cpus);
	page_text(m->cpu, out);
	fprintf(out, ", %s; ", size_format(m->memory, size, sizeof(size)));
	page_text(m->kernel, out);
	fputs("; ", out);
	page_text(m->software, out);
	if (p->peer && !k->no_peer[0]) {
		fputs("; ", out);
		page_text(p->peer_version, out);
	}
	fputs("; pinned: ", out);
	page_text(report_pinned(p, pinned, sizeof(pinned)), out);
	fprintf(out, "; %s.", m->when);
	if (m->others > 0.2)
		fprintf(out,
			" <b>As it began, others kept %.1f of the processors busy</b>: pauses are "
			"longer for it, whatever the system.",
			m->others);
	fputs("</p>\n", out);
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
	page_where(k, out);
	page_overview(k, out);
	for (unsigned i = 0; i < k->plan->ncases && k->nseries && rc == 0; i++)
		rc = page_case(k, i, &number, out, e);
	page_explain(out);
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
