/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the command line of `watari bench downtime`: options in, campaign, table, JSON and page out.
 * Next in the flow: bench/plan.c reads the values, bench/campaign.c does the work.
 */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/campaign.h"
#include "bench/outfile.h"
#include "bench/plot.h"
#include "bench/remote.h"
#include "bench/report.h"

/* The keys are of no interest: an option is known by its long name. */
enum { KEY_FIRST = 0x100 };

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Of each of these a list, 1G,4G: every combination is a case.", 1 },
	{ "memory", KEY_FIRST + 1, "SIZE", 0, "guest memory (default: 1G)", 1 },
	{ "workset", KEY_FIRST + 2, "SIZE", 0, "what the guest keeps rewriting (default: 8M)", 1 },
	{ "rate", KEY_FIRST + 3, "PAGES", 0,
		"pages written per second, 0: flat out (default: 200000)", 1 },
	{ "pattern", KEY_FIRST + 4, "NAME", 0, "uniform, hot or sequential (default: uniform)", 1 },
	{ "content", KEY_FIRST + 5, "NAME", 0, "random, zero or compressible (default: random)",
		1 },
	{ "vcpus", KEY_FIRST + 6, "N", 0, "virtual CPUs, 1 to 64 (default: 1)", 1 },
	{ "downtime-limit", KEY_FIRST + 7, "TIME", 0,
		"freeze when the predicted blackout fits (default: 10ms)", 1 },
	{ "fill", KEY_FIRST + 8, "SIZE", 0,
		"memory the guest writes once at start, or all (default: all)", 1 },
	{ "streams", KEY_FIRST + 9, "N|auto", 0, "watari's data connections (default: 1)", 1 },
	{ "on-stall", KEY_FIRST + 10, "throttle|freeze|abort", 0,
		"when the guest dirties faster than it is sent (default: throttle)", 1 },
	{ "test-stall", KEY_FIRST + 11, "TIME", OPTION_HIDDEN,
		"watari stands still so long while the guest is frozen", 1 },
	{ "test-still", KEY_FIRST + 12, NULL, OPTION_HIDDEN, "do not move the guest at all", 1 },
	{ NULL, 0, NULL, 0, "Of these a list: each is measured in every case.", 2 },
	{ "transport", KEY_FIRST + 14, "NAME", 0, "how memory travels (default: tcp)", 2 },
	{ "peer-mode", KEY_FIRST + 15, "NAME", 0,
		"precopy, multifd, zero-copy (these by default), postcopy; or all", 2 },
	{ NULL, 0, NULL, 0, "The measurement:", 3 },
	{ "peer", KEY_FIRST + 17, "qemu", 0, "measure QEMU as well, in turns", 3 },
	{ "peer-binary", KEY_FIRST + 18, "FILE", 0, "which (default: qemu-system-x86_64)", 3 },
	{ "verify-peer", KEY_FIRST + 19, NULL, 0,
		"compare the peer's memory after every move, not just the first and the last", 3 },
	{ "runs", KEY_FIRST + 20, "N", 0, "moves of each system in each case (default: 5)", 3 },
	{ "warm-up", KEY_FIRST + 21, "N", 0, "moves before them that do not count (default: 1)",
		3 },
	{ "target", KEY_FIRST + 22, "ADDR:PORT", 0, "move to the watari bench target there instead",
		3 },
	{ "pin", KEY_FIRST + 23, "CPUS", 0,
		"confine every guest and VMM to these processors, 0-3,6 (default: nothing is pinned)",
		3 },
	{ "pin-observer", KEY_FIRST + 24, "CPU", 0, "and the observer's thread to this one", 3 },
	{ "json", KEY_FIRST + 25, "FILE", 0, "write the results as JSON, - for stdout", 3 },
	{ "html", KEY_FIRST + 26, "FILE", 0, "write a page with plots (needs gnuplot)", 3 },
	{ "thp", KEY_FIRST + 27, "off|on", 0,
		"guest memory of transparent huge pages, the peer's as well (default: off)", 1 },
	{ 0 },
};
#define OPTIONS (sizeof(options) / sizeof(options[0]) - 1)

struct downtime {
	struct bench_plan plan;
	struct err err; /* the first value that is no good */
};

static error_t downtime_parse(int key, char *arg, struct argp_state *state)
{
	struct downtime *d = state->input;

	if (key == ARGP_KEY_ARG) {
		argp_error(state, "unexpected argument '%s'", arg);
		return 0;
	}
	if (key < KEY_FIRST || key >= KEY_FIRST + (int)OPTIONS)
		return ARGP_ERR_UNKNOWN;
	if (d->err.code == 0)
		bench_plan_set(&d->plan, options[key - KEY_FIRST].name, arg ? arg : "", &d->err);
	return 0;
}

static const struct argp downtime_argp = {
	.options = options,
	.parser = downtime_parse,
	.doc = "Moves a guest back and forth between two ends on this machine, over loopback, and "
	       "measures the blackout as the guest itself and an observer outside saw it.\v"
	       "Ctrl-C ends the measurement and reports what was done until then. Exit status: 0 if "
	       "every move of watari completed and was verified, 1 if not, 2 for an unknown option.",
};

/* What would only be found out when all is measured. */
static int downtime_ready(const struct bench_plan *p, struct err *e)
{
	int rc = p->json ? outfile_check("json", p->json, e) : 0;

	if (rc == 0 && p->html)
		rc = outfile_check("html", p->html, e);
	return rc == 0 && p->html ? plot_ready(e) : rc;
}

/* With the JSON on stdout, the table goes where progress goes. */
static int downtime_report(const struct campaign *k)
{
	const struct bench_plan *p = k->plan;
	struct err e = { 0 };
	int rc = 0;

	report_table(k, p->json && strcmp(p->json, "-") == 0 ? stderr : stdout);
	fflush(stdout); /* the table first, then what is wrong */
	if (p->json && report_write(k, p->json, &e) < 0) {
		fprintf(stderr, "watari: %s\n", e.msg);
		rc = 1;
	}
	if (p->html && report_html(k, p->html, &e) < 0) {
		fprintf(stderr, "watari: %s\n", e.msg);
		rc = 1;
	}
	return rc == 0 && campaign_passed(k) ? 0 : 1;
}

int bench_downtime_main(int argc, char **argv, bench_transports at)
{
	struct downtime d = { 0 };
	struct campaign k = { 0 };
	struct progress p;
	int rc;

	(void)at;
	if (bench_plan_init(&d.plan, &d.err) == 0 &&
		argp_parse(&downtime_argp, argc, argv, 0, NULL, &d) != 0)
		return 2;
	bench_plan_command(&d.plan, argc, argv);
	if (d.err.code == 0)
		bench_plan_check(&d.plan, &d.err);
	if (d.err.code == 0)
		downtime_ready(&d.plan, &d.err);
	if (d.err.code) {
		fprintf(stderr, "watari: %s\n", d.err.msg);
		bench_plan_fini(&d.plan);
		return 1;
	}
	progress_init(&p, stderr);
	if (d.plan.target) {
		rc = remote_run(&d.plan, &p, &d.err);
		if (rc < 0)
			fprintf(stderr, "watari: bench: %s\n", d.err.msg);
		bench_plan_fini(&d.plan);
		return rc < 0 ? 1 : 0;
	}
	rc = campaign_run(&d.plan, &p, &k, &d.err);
	if (rc < 0)
		fprintf(stderr, "watari: bench: %s\n", d.err.msg);
	if (k.nseries)
		rc = downtime_report(&k) || rc < 0;
	else
		rc = 1;
	campaign_free(&k);
	bench_plan_fini(&d.plan);
	return rc;
}
