/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns `watari bench tracker`: what it costs to know which pages a guest wrote, with each tracker
 * that this KVM has. The one bench that builds a machine in its own process: the tracker's
 * interface (hv/migrate/vm_ops.h) is what it measures.
 * Must never take a harvest's cost for the guest's: the guest is stopped where a clean one is
 * timed. Next in the flow: hv/mem/dirty.h.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/config.h"
#include "bench/ends.h"
#include "bench/machine.h"
#include "bench/observe.h"
#include "bench/outfile.h"
#include "bench/stats.h"
#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/vm/vm.h"

#define TRACKER_START_NS (60 * NSEC_PER_SEC)
#define TRACKER_POLL_US  2000
#define TRACKER_RATE_US  500000 /* how long a rate is looked at */
#define TRACKER_CLEAN    20     /* harvests of a clean guest */
#define TRACKER_MAX      512    /* harvests of a busy one */

struct tracker_args {
	struct bench_config config;
	unsigned harvests;
	const char *trackers, *json;
	struct err err;
};

/* A busy guest, harvested: pages found and what that took. */
struct tracker_harvest {
	double pages, us;
};

struct tracker_result {
	const char *name; /* that the machine really has */
	double start_us, stop_us;
	struct stats clean_us;          /* nothing dirty, guest stopped */
	double fixed_us, page_ns;       /* a busy harvest: a line through the points */
	double pages_median, us_median; /* the same points */
	unsigned harvests;
	double rate_off, rate_idle, rate_on; /* pages/s: no tracking; tracking and never
					       harvesting; harvesting */
};

enum { KEY_FIRST = 0x100, KEY_TRACKERS = 0x200, KEY_HARVESTS, KEY_JSON };

static const struct argp_option options[] = {
	{ "memory", KEY_FIRST, "SIZE", 0, "guest memory (default: 1G)", 0 },
	{ "workset", KEY_FIRST + 1, "SIZE", 0, "what the guest keeps rewriting (default: 64M)", 0 },
	{ "rate", KEY_FIRST + 2, "PAGES", 0, "pages per second, 0: flat out, the default", 0 },
	{ "pattern", KEY_FIRST + 3, "NAME", 0, "uniform, hot or sequential", 0 },
	{ "vcpus", KEY_FIRST + 4, "N", 0, "virtual CPUs (default: 1)", 0 },
	{ "tracking", KEY_TRACKERS, "LIST", 0, "which trackers (default: ring,log)", 0 },
	{ "harvests", KEY_HARVESTS, "N", 0, "of a busy guest (default: 60)", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results as JSON, - for stdout", 0 },
	{ 0 },
};

static error_t tracker_parse(int key, char *arg, struct argp_state *state)
{
	struct tracker_args *a = state->input;
	uint64_t v = 0;

	if (key == ARGP_KEY_ARG)
		argp_error(state, "unexpected argument '%s'", arg);
	else if (key == KEY_TRACKERS)
		a->trackers = arg;
	else if (key == KEY_JSON)
		a->json = arg;
	else if (key == KEY_HARVESTS) {
		number_parse(arg, "--harvests", 3, TRACKER_MAX, &v, &a->err);
		a->harvests = (unsigned)v;
	} else if (key >= KEY_FIRST && key < KEY_FIRST + 5) {
		if (a->err.code == 0)
			bench_config_set(&a->config, options[key - KEY_FIRST].name, arg, &a->err);
	} else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const struct argp tracker_argp = {
	.options = options,
	.parser = tracker_parse,
	.doc = "Measures what finding the pages that a guest wrote costs: to start, to harvest and "
	       "re-arm, to stop, and to the guest.",
};

/* ---- the guest ---- */

struct tracker_guest {
	struct vm *vm;
	struct observed o;
	struct dirty_map map;
	char kernel[64];
};

static int tracker_observe(struct tracker_guest *g, struct err *e)
{
	const struct gmem *m = vm_mem(g->vm);
	struct observe_region r[GMEM_REGIONS_MAX];
	int fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(e, "cannot look at the guest's memory");
	for (uint32_t i = 0; i < m->nregions; i++)
		r[i] = (struct observe_region){ .gpa = m->regions[i].gpa,
			.size = m->regions[i].size,
			.fd_offset = m->regions[i].fd_offset };
	return observe_attach_file(&g->o, 0, fd, r, m->nregions, true, e);
}

/* Until it has filled its memory and works. */
static int tracker_wait(struct tracker_guest *g, struct err *e)
{
	uint64_t end = clock_mono_ns() + TRACKER_START_NS;
	int rc;

	while ((rc = observe_header(&g->o, e)) == -EAGAIN && clock_mono_ns() < end)
		usleep(TRACKER_POLL_US);
	if (rc == 0)
		rc = observe_populate(&g->o, e);
	while (rc == 0 && !observe_all(&g->o, BENCH_STATE_RUNNING)) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the guest does not come up");
		usleep(TRACKER_POLL_US);
	}
	return rc;
}

static int tracker_boot(
	struct tracker_guest *g, const struct bench_config *c, const char *tracking, struct err *e)
{
	struct vm_config v = {
		.name = "bench", .cpus = c->vcpus, .memory = c->memory, .serial = "none"
	};
	int fd, rc;

	*g = (struct tracker_guest){ .o = OBSERVED_NONE, .kernel = "/tmp/watari-bench.XXXXXX" };
	v.tracking = strcmp(tracking, "ring") == 0 ? VM_TRACKING_RING : VM_TRACKING_LOG;
	fd = mkstemp(g->kernel);
	if (fd < 0)
		return err_errno(e, "cannot make a file for the guest's kernel");
	close(fd);
	rc = ends_write_guest(g->kernel, e);
	snprintf(v.kernel, sizeof(v.kernel), "%s", g->kernel);
	bench_config_append(c, v.append, sizeof(v.append));
	if (rc == 0)
		rc = vm_new(&g->vm, &v, e);
	if (rc == 0)
		rc = vm_boot(g->vm, e);
	if (rc == 0)
		rc = dirty_map_init(&g->map, vm_mem(g->vm), e);
	if (rc == 0)
		rc = tracker_observe(g, e);
	if (rc < 0)
		return rc;
	vm_release(g->vm, VM_HOLD_SETUP);
	return tracker_wait(g, e);
}

static void tracker_end(struct tracker_guest *g)
{
	observe_detach(&g->o);
	if (g->vm) {
		dirty_map_fini(&g->map);
		vm_free(g->vm);
	}
	unlink(g->kernel);
}

static double tracker_rate(const struct observed *o)
{
	struct observe_sample a, b;

	observe_count(o, &a);
	usleep(TRACKER_RATE_US);
	observe_count(o, &b);
	return (double)(b.written - a.written) * 1e9 / (double)(b.count_ns - a.count_ns);
}

/* ---- the tracker ---- */

static int tracker_harvest(struct tracker_guest *g, struct tracker_harvest *h, struct err *e)
{
	uint64_t t;
	int rc;

	dirty_map_clear(&g->map);
	t = clock_mono_ns();
	rc = vm_mig_ops.track_harvest(g->vm, &g->map, e);
	h->us = (double)(clock_mono_ns() - t) / 1e3;
	h->pages = (double)dirty_map_count(&g->map);
	return rc;
}

/* Least squares: us = fixed + pages * slope. */
static void tracker_line(const struct tracker_harvest *h, unsigned n, struct tracker_result *r)
{
	double x = 0, y = 0, xx = 0, xy = 0, d;

	for (unsigned i = 0; i < n; i++) {
		x += h[i].pages;
		y += h[i].us;
		xx += h[i].pages * h[i].pages;
		xy += h[i].pages * h[i].us;
	}
	d = n * xx - x * x;
	r->page_ns = d > 0 ? (n * xy - x * y) / d * 1e3 : 0;
	r->fixed_us = (y - r->page_ns / 1e3 * x) / n;
}

/* A busy guest at three different intervals, so that there are few and many pages. */
static int tracker_busy(
	struct tracker_guest *g, unsigned n, struct tracker_result *r, struct err *e)
{
	static const unsigned every_us[] = { 1000, 10000, 50000 };
	struct tracker_harvest h[TRACKER_MAX];
	double pages[TRACKER_MAX], us[TRACKER_MAX];
	struct observe_sample a, b;
	struct stats s;
	int rc = tracker_harvest(g, &h[0], e); /* what was dirtied until now */

	observe_count(&g->o, &a);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		usleep(every_us[i % 3]);
		rc = tracker_harvest(g, &h[i], e);
		pages[i] = h[i].pages;
		us[i] = h[i].us;
	}
	if (rc < 0)
		return rc;
	observe_count(&g->o, &b);
	r->rate_on = (double)(b.written - a.written) * 1e9 / (double)(b.count_ns - a.count_ns);
	r->harvests = n;
	tracker_line(h, n, r);
	stats_of(pages, n, &s);
	r->pages_median = s.median;
	stats_of(us, n, &s);
	r->us_median = s.median;
	return 0;
}

/* A guest that stands still: what is left is looking. */
static int tracker_clean(struct tracker_guest *g, struct tracker_result *r, struct err *e)
{
	double us[TRACKER_CLEAN];
	struct tracker_harvest h;
	int rc = vm_hold(g->vm, VM_HOLD_USER, e);

	if (rc == 0)
		rc = tracker_harvest(g, &h, e);
	for (unsigned i = 0; i < TRACKER_CLEAN && rc == 0; i++) {
		rc = tracker_harvest(g, &h, e);
		us[i] = h.us;
		if (rc == 0 && h.pages > 0)
			rc = err_set(e, -EIO, "a guest that stands still has written %.0f pages",
				h.pages);
	}
	if (rc < 0)
		return rc;
	stats_of(us, TRACKER_CLEAN, &r->clean_us);
	vm_release(g->vm, VM_HOLD_USER);
	return 0;
}

static int tracker_measure(
	const struct tracker_args *a, const char *tracking, struct tracker_result *r, struct err *e)
{
	struct tracker_guest g;
	struct vm_info info;
	uint64_t t;
	int rc = tracker_boot(&g, &a->config, tracking, e);

	*r = (struct tracker_result){ 0 };
	if (rc < 0)
		goto out;
	vm_info(g.vm, &info);
	r->name = info.tracking;
	r->rate_off = tracker_rate(&g.o);
	t = clock_mono_ns();
	rc = vm_mig_ops.track_start(g.vm, e);
	r->start_us = (double)(clock_mono_ns() - t) / 1e3;
	if (rc < 0)
		goto out;
	r->rate_idle = tracker_rate(&g.o);
	rc = tracker_busy(&g, a->harvests, r, e);
	if (rc == 0)
		rc = tracker_clean(&g, r, e);
	t = clock_mono_ns();
	vm_mig_ops.track_stop(g.vm);
	r->stop_us = (double)(clock_mono_ns() - t) / 1e3;
out:
	tracker_end(&g);
	return rc;
}

/* ---- the report ---- */

static void tracker_row(
	const struct tracker_args *a, const struct tracker_result *r, FILE *out, json_t *rows)
{
	double gib = (double)a->config.memory / (double)(1ull << 30);

	fprintf(out, "%-6s %9.1f %9.1f %9.1f %11.1f %9.0f %8.0f %9.1f%% %9.1f%%\n", r->name,
		r->start_us / gib, r->stop_us / gib, r->clean_us.median / gib, r->fixed_us,
		r->page_ns, r->pages_median, 100 * (1 - r->rate_idle / r->rate_off),
		100 * (1 - r->rate_on / r->rate_off));
	json_array_append_new(rows,
		json_pack("{s:s,s:f,s:f,s:f,s:i,s:f,s:f,s:i,s:f,s:f,s:f,s:f,s:f}", "tracker",
			r->name, "start_us", r->start_us, "stop_us", r->stop_us, "clean_harvest_us",
			r->clean_us.median, "clean_harvests", (int)r->clean_us.n,
			"harvest_fixed_us", r->fixed_us, "harvest_page_ns", r->page_ns, "harvests",
			(int)r->harvests, "harvest_pages_median", r->pages_median,
			"harvest_us_median", r->us_median, "rate_off", r->rate_off, "rate_tracking",
			r->rate_idle, "rate_harvesting", r->rate_on));
}

static int tracker_run(const struct tracker_args *a, struct err *e)
{
	FILE *out = a->json && strcmp(a->json, "-") == 0 ? stderr : stdout;
	json_t *rows = json_array(), *j;
	char words[64], *list = words, title[256];
	struct machine m;
	int rc = 0;

	snprintf(words, sizeof(words), "%s", a->trackers);
	machine_look(&m);
	fprintf(out, "%s, %u processors; others keep %.1f busy\n%s\n\n", m.cpu, m.cpus, m.others,
		bench_config_title(&a->config, title, sizeof(title)));
	fprintf(out, "%-6s %29s %31s %20s\n", "", "------- us per GiB ---------",
		"----- harvest of a busy guest -", "- guest slower by -");
	fprintf(out, "%-6s %9s %9s %9s %11s %9s %8s %10s %10s\n", "", "start", "stop", "clean",
		"fixed, us", "ns a page", "pages", "tracking", "harvesting");
	for (char *w = strsep(&list, ","); w && rc == 0; w = strsep(&list, ",")) {
		struct tracker_result r;
		struct err why = { 0 };

		if (strcmp(w, "ring") != 0 && strcmp(w, "log") != 0)
			rc = err_set(e, -EINVAL, "--tracking '%s' is not one of ring and log", w);
		else if (tracker_measure(a, w, &r, &why) == 0)
			tracker_row(a, &r, out, rows);
		else
			fprintf(out, "%-6s no figure: %s\n", w, why.msg);
		fflush(out);
	}
	fprintf(out,
		"\nA harvest finds the pages and re-arms them in one call; its cost is a line through "
		"%u of them.\n",
		a->harvests);
	j = json_pack("{s:s,s:i,s:s,s:f,s:I,s:I,s:o}", "schema", "watari-bench-tracker", "version",
		1, "cpu", m.cpu, "busy_by_others", m.others, "memory_bytes",
		(json_int_t)a->config.memory, "workset_bytes", (json_int_t)a->config.workset,
		"rows", rows);
	if (rc == 0 && a->json)
		rc = outfile_json(j, a->json, e);
	json_decref(j);
	return rc;
}

int bench_tracker_main(int argc, char **argv, bench_transports at)
{
	struct tracker_args a = { .trackers = "ring,log", .harvests = 60 };
	int rc;

	(void)at;
	bench_config_default(&a.config);
	a.config.workset = 64ull << 20;
	a.config.rate = 0;
	if (argp_parse(&tracker_argp, argc, argv, 0, NULL, &a) != 0)
		return 2;
	rc = a.err.code;
	if (rc == 0)
		rc = bench_config_check(&a.config, &a.err);
	if (rc == 0 && a.json)
		rc = outfile_check("json", a.json, &a.err);
	if (rc == 0)
		rc = tracker_run(&a, &a.err);
	if (rc < 0)
		fprintf(stderr, "watari: bench: %s\n", a.err.msg);
	return rc < 0 ? 1 : 0;
}
