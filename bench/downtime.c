/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the command line of `watari bench downtime`: options in, campaign, table and JSON out.
 * Next in the flow: bench/config.c reads the values, bench/campaign.c does the work.
 */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/campaign.h"
#include "bench/report.h"

/* The keys are of no interest: an option is known by its long name. */
enum { KEY_FIRST = 0x100 };

static const struct argp_option options[] = {
	{ "transport", KEY_FIRST, "NAME", 0, "how memory travels (default: tcp)", 0 },
	{ "memory", KEY_FIRST + 1, "SIZE", 0, "guest memory (default: 1G)", 0 },
	{ "workset", KEY_FIRST + 2, "SIZE", 0, "what the guest keeps rewriting (default: 8M)", 0 },
	{ "rate", KEY_FIRST + 3, "PAGES", 0,
		"pages written per second, 0: flat out (default: 200000)", 0 },
	{ "pattern", KEY_FIRST + 4, "NAME", 0, "uniform, hot or sequential (default: uniform)", 0 },
	{ "content", KEY_FIRST + 5, "NAME", 0, "random, zero or compressible (default: random)",
		0 },
	{ "vcpus", KEY_FIRST + 6, "N", 0, "virtual CPUs, 1 to 64 (default: 1)", 0 },
	{ "runs", KEY_FIRST + 7, "N", 0, "moves (default: 5)", 0 },
	{ "downtime-limit", KEY_FIRST + 8, "TIME", 0,
		"freeze when the predicted blackout fits (default: 10ms)", 0 },
	{ "fill", KEY_FIRST + 9, "SIZE", 0,
		"memory the guest writes once at start, or all (default: all)", 0 },
	{ "json", KEY_FIRST + 10, "FILE", 0, "write the results as JSON, - for stdout", 0 },
	{ 0 },
};
#define OPTIONS (sizeof(options) / sizeof(options[0]) - 1)

struct downtime {
	struct bench_config config;
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
		bench_config_set(&d->config, options[key - KEY_FIRST].name, arg, &d->err);
	return 0;
}

static const struct argp downtime_argp = {
	.options = options,
	.parser = downtime_parse,
	.doc = "Moves a guest back and forth between two ends on this machine, over loopback, and "
	       "measures the blackout as the guest itself saw it.\v"
	       "Exit status: 0 if every move completed and was verified, 1 if not, 2 for an unknown "
	       "option.",
};

/* With the JSON on stdout, the table goes where progress goes. */
static int downtime_report(const struct campaign *k, const struct bench_config *c)
{
	bool json_stdout = c->json && strcmp(c->json, "-") == 0;
	struct err e = { 0 };

	report_table(k, json_stdout ? stderr : stdout);
	if (c->json && report_write(k, c->json, &e) < 0) {
		fprintf(stderr, "watari: %s\n", e.msg);
		return 1;
	}
	return campaign_passed(k) ? 0 : 1;
}

int bench_downtime_main(int argc, char **argv)
{
	struct downtime d = { 0 };
	struct campaign k;
	struct progress p;
	int rc;

	bench_config_default(&d.config);
	if (argp_parse(&downtime_argp, argc, argv, 0, NULL, &d) != 0)
		return 2;
	if (d.err.code == 0)
		bench_config_check(&d.config, &d.err);
	if (d.err.code) {
		fprintf(stderr, "watari: %s\n", d.err.msg);
		return 1;
	}
	progress_init(&p, stderr);
	rc = campaign_run(&d.config, &p, &k, &d.err);
	if (rc < 0)
		fprintf(stderr, "watari: bench: %s\n", d.err.msg);
	if (rc == 0 || k.done)
		rc = downtime_report(&k, &d.config) || rc < 0;
	else
		rc = 1;
	campaign_free(&k);
	return rc;
}
