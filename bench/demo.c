/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns `watari bench demo`: a move to look at, without options, in under a minute.
 * Next in the flow: bench/campaign.c.
 */
#include <argp.h>
#include <stdio.h>

#include "bench/bench.h"
#include "bench/campaign.h"
#include "bench/figure.h"
#include "bench/report.h"
#include "hv/base/size.h"
#include "hv/migrate/xport.h"

static error_t demo_parse(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(state, "unexpected argument '%s'", arg);
	return key == ARGP_KEY_ARG ? 0 : ARGP_ERR_UNKNOWN;
}

static const struct argp demo_argp = {
	.parser = demo_parse,
	.doc = "Moves a running 1 GiB guest five times between two ends on this machine and tells "
	       "how long it was away.",
};

/* What a guest could travel by on this machine, and why not; the first that can is taken. */
static void demo_transports(bench_transports at)
{
	struct xport_addr here = { .host = "127.0.0.1", .streams = 1 };
	const struct xport_ops *ops;
	struct xport_probe can;

	printf("Transports:\n");
	for (size_t i = 0; (ops = at(i)); i++) {
		ops->probe(&here, &can);
		printf("  %-6s %-10s %s\n", ops->name, can.usable ? "usable" : "unusable", can.why);
	}
	printf("\n");
}

/* The one sentence to remember. */
static void demo_conclude(const struct campaign *k)
{
	struct stats f, g, o;
	char away[32], most[32], seen[32], longest[32];

	if (!figure_stats(&k->series[0], figure_find("freeze_guest_us"), &f) ||
		!figure_stats(&k->series[0], figure_find("freeze_observer_us"), &o) ||
		!figure_stats(&k->series[0], figure_find("blackout_guest_us"), &g))
		return;
	printf("\nThe guest moved %zu times while it worked, and was away for %s at the median and %s "
	       "at most%s. An observer outside, with a clock of its own, saw %s at the median. (The "
	       "guest's longest pause of any kind around a move, waiting for a processor included: "
	       "%s.)\n",
		f.n, duration_format((uint64_t)(f.median * 1e3), away, sizeof(away)),
		duration_format((uint64_t)(f.max * 1e3), most, sizeof(most)),
		campaign_passed(k) ? "; not a byte of it was lost on the way"
				   : "; NOT everything arrived as it left",
		duration_format((uint64_t)(o.median * 1e3), seen, sizeof(seen)),
		duration_format((uint64_t)(g.max * 1e3), longest, sizeof(longest)));
}

int bench_demo_main(int argc, char **argv, bench_transports at)
{
	struct bench_plan plan;
	struct err e = { 0 };
	struct campaign k = { 0 };
	struct progress p;
	int rc;

	if (argp_parse(&demo_argp, argc, argv, 0, NULL, NULL) != 0)
		return 2;
	printf("A guest of 1 GiB, full of random data, rewrites 8 MiB of it at 200 000 pages a "
	       "second.\nIt will move five times between two watari processes on this machine, "
	       "running all the time.\n\n");
	demo_transports(at);
	fflush(stdout);
	progress_init(&p, stdout);
	rc = bench_plan_init(&plan, &e);
	plan.warm_ups = 0;
	if (rc == 0)
		rc = bench_plan_check(&plan, &e);
	if (rc == 0)
		rc = campaign_run(&plan, &p, &k, &e);
	if (rc < 0) {
		fprintf(stderr, "watari: demo: %s\n", e.msg);
	} else {
		fputc('\n', stdout);
		report_table(&k, stdout);
		demo_conclude(&k);
	}
	rc = rc == 0 && campaign_passed(&k) ? 0 : 1;
	campaign_free(&k);
	bench_plan_fini(&plan);
	return rc;
}
