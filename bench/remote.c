/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the near end of a measurement between two hosts (see remote.h). Must never print a time
 * between two clocks without its uncertainty.
 * Next in the flow: bench/far.c.
 */
#include "bench/outfile.h"
#include "bench/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/fill.h"
#include "bench/line.h"
#include "bench/machine.h"
#include "bench/report.h"
#include "bench/system.h"
#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/ctl/proto.h"
#include "hv/migrate/xport.h"

#define REMOTE_PINGS    200
#define REMOTE_QUIET_MS 1000
#define REMOTE_ARM_NS   (10 * NSEC_PER_SEC)

struct remote {
	struct bench_plan *plan;
	struct progress *p;
	struct bench_ends ends;
	int fd;
	char receiver[XPORT_HOST_MAX + 8]; /* HOST:PORT */
	unsigned serial;
	json_t *rows;
};

struct remote_run {
	struct mig_result vmm;
	struct remote_clock clock;
	uint64_t freeze_ns, longest_ns; /* the guest's clock */
	uint64_t quiet_ns;              /* its longest pause before the move */
	double away_ns, away_error_ns;  /* the two observers' */
};

void remote_clock_add(struct remote_clock *c, uint64_t t0, uint64_t t1, uint64_t theirs)
{
	uint64_t error = (t1 - t0 + 1) / 2;

	if (c->error_ns && error >= c->error_ns)
		return;
	c->error_ns = error ? error : 1;
	c->offset_ns = (int64_t)(theirs - (t0 + (t1 - t0) / 2));
}

/* Says @line and hears the answer into @answer; "error ..." is one. */
static int remote_ask(struct remote *r, const char *line, char *answer, struct err *e)
{
	int rc = line_say(r->fd, line, e);

	if (rc == 0)
		rc = line_hear(r->fd, answer, e);
	if (rc == 0 && strncmp(answer, "error ", 6) == 0)
		rc = err_set(e, -EREMOTEIO, "the far end: %.300s", answer + 6);
	return rc;
}

static int remote_clock(struct remote *r, struct remote_clock *c, struct err *e)
{
	char answer[LINE_MAX_BYTES];
	int rc = 0;

	*c = (struct remote_clock){ 0 };
	for (int i = 0; i < REMOTE_PINGS && rc == 0; i++) {
		uint64_t t0 = clock_mono_ns();

		rc = remote_ask(r, "clock\n", answer, e);
		if (rc == 0)
			remote_clock_add(c, t0, clock_mono_ns(), strtoull(answer, NULL, 10));
	}
	return rc;
}

static int remote_meet(struct remote *r, struct err *e)
{
	char host[XPORT_HOST_MAX], answer[LINE_MAX_BYTES];
	unsigned version, port;
	int rc;

	r->fd = line_socket(r->plan->target, false, host, e);
	if (r->fd < 0)
		return r->fd;
	rc = remote_ask(r, "hello\n", answer, e);
	if (rc < 0)
		return rc;
	if (sscanf(answer, "watari-bench-target %u %u", &version, &port) != 2 || version != 1)
		return err_set(
			e, -EPROTO, "%s is no watari bench target of version 1", r->plan->target);
	snprintf(r->receiver, sizeof(r->receiver), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		port);
	return 0;
}

static int remote_arm(struct remote *r, struct bench_guest *g, struct err *e)
{
	uint64_t generation = observe_gap_reset(&g->at), end = clock_mono_ns() + REMOTE_ARM_NS;
	int rc = 0;

	while (rc == 0 && !observe_gap_armed(&g->at, generation)) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the guest does not run");
		rc = ends_wait(&r->ends, -1, 2, e);
	}
	return rc;
}

/* What the far end saw, put together with what was seen here. */
static int remote_gather(struct remote *r, struct bench_guest *g, const struct watch *w,
	struct remote_run *out, struct err *e)
{
	char line[LINE_MAX_BYTES], answer[LINE_MAX_BYTES];
	uint64_t first, before;
	size_t n;
	int rc;

	n = (size_t)snprintf(line, sizeof(line), "report %" PRIu64, g->at.report->cpu[0].heartbeat);
	for (unsigned i = 0; i < g->at.h.cpus && n < sizeof(line) - 32; i++)
		n += (size_t)snprintf(
			line + n, sizeof(line) - n, " %" PRIu64, g->at.report->cpu[i].tsc);
	snprintf(line + n, sizeof(line) - n, "\n");
	rc = remote_ask(r, line, answer, e);
	if (rc < 0)
		return rc;
	if (sscanf(answer, "ok %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &first, &before,
		    &out->freeze_ns, &out->longest_ns) != 4)
		return err_set(e, -EPROTO, "the far end says '%.60s'", answer);
	/* Left somewhere in (last_but, last] of ours, came somewhere in (before, first] of theirs.
	 */
	out->away_ns = ((double)first + (double)before) / 2 - (double)out->clock.offset_ns -
		       ((double)w->cpu[0].last + (double)w->cpu[0].last_but) / 2;
	out->away_error_ns = (double)out->clock.error_ns + (double)(first - before) / 2 +
			     (double)(w->cpu[0].last - w->cpu[0].last_but) / 2;
	return 0;
}

static int remote_measure(struct remote *r, struct bench_guest *g, struct trace *t,
	struct remote_run *out, struct err *e)
{
	char line[LINE_MAX_BYTES], answer[LINE_MAX_BYTES];
	json_t *raw = NULL;
	bool stays;
	int rc = remote_arm(r, g, e);

	if (rc == 0)
		rc = ends_wait(&r->ends, -1, REMOTE_QUIET_MS, e);
	out->quiet_ns = observe_gap_ns(&g->at, NULL);
	if (rc == 0)
		rc = remote_clock(r, &out->clock, e);
	snprintf(line, sizeof(line), "arrive %s %u\n", g->name, g->config->vcpus);
	if (rc == 0)
		rc = remote_ask(r, line, answer, e);
	if (rc == 0)
		rc = remote_arm(r, g, e);
	if (rc == 0)
		rc = g->sys->move(g, t, &out->vmm, &raw, &stays, e);
	json_decref(raw);
	watch_stop(&t->watch);
	return rc < 0 ? rc : remote_gather(r, g, &t->watch, out, e);
}

/* One guest, from its start here to its end there. */
static int remote_one(struct remote *r, const struct bench_config *c, const char *transport,
	struct remote_run *out, struct err *e)
{
	struct bench_guest g = { .sys = &bench_watari,
		.variant = transport,
		.config = c,
		.plan = r->plan,
		.ends = &r->ends,
		.at = OBSERVED_NONE,
		.to = OBSERVED_NONE,
		.remote = r->receiver };
	char line[LINE_MAX_BYTES], answer[LINE_MAX_BYTES];
	struct trace t = { 0 };
	uint64_t bytes, ns;
	int rc;

	*out = (struct remote_run){ 0 };
	snprintf(g.name, sizeof(g.name), "bench-%d-%u", (int)getpid(), r->serial++);
	rc = g.sys->boot(&g, e);
	if (rc == 0)
		rc = bench_fill(&r->ends, &g.at, &bytes, &ns, e);
	if (rc == 0)
		rc = trace_start(&t, &r->ends, r->p, &g.at, e);
	if (rc == 0)
		rc = remote_measure(r, &g, &t, out, e);
	trace_free(&t);
	snprintf(line, sizeof(line), "end %s\n", g.name);
	if (remote_ask(r, line, answer, rc < 0 ? NULL : e) < 0 && rc == 0)
		rc = e->code;
	g.sys->end(&g);
	return rc;
}

static void remote_row(struct remote *r, const struct bench_config *c, const char *transport,
	const struct remote_run *o)
{
	char freeze[32], away[32], error[32], vmm[32], longest[32], total[32], clock[32],
		title[256];

	progress_end(r->p);
	printf("%-8s away, guest %s; observers %s +- %s; VMM %s; longest %s; total %s; clocks +- %s\n",
		transport, duration_format(o->freeze_ns, freeze, sizeof(freeze)),
		duration_format(o->away_ns > 0 ? (uint64_t)o->away_ns : 0, away, sizeof(away)),
		duration_format((uint64_t)o->away_error_ns, error, sizeof(error)),
		duration_format(o->vmm.blackout.total_ns, vmm, sizeof(vmm)),
		duration_format(o->longest_ns, longest, sizeof(longest)),
		duration_format(o->vmm.total_ns, total, sizeof(total)),
		duration_format(o->clock.error_ns, clock, sizeof(clock)));
	fflush(stdout);
	json_array_append_new(r->rows,
		json_pack("{s:s,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:f,s:o}", "case",
			bench_config_title(c, title, sizeof(title)), "transport", transport,
			"freeze_guest_us", (double)o->freeze_ns / 1e3, "away_observers_us",
			o->away_ns / 1e3, "away_observers_error_us", o->away_error_ns / 1e3,
			"blackout_vmm_us", (double)o->vmm.blackout.total_ns / 1e3,
			"blackout_guest_us", (double)o->longest_ns / 1e3, "quiet_gap_us",
			(double)o->quiet_ns / 1e3, "clock_offset_ns",
			(json_int_t)o->clock.offset_ns, "clock_error_us",
			(double)o->clock.error_ns / 1e3, "vmm", ctl_result_json(&o->vmm)));
}

static int remote_cases(struct remote *r, struct err *e)
{
	const struct bench_plan *p = r->plan;
	char title[256];
	unsigned failed = 0;
	int rc;

	for (unsigned i = 0; i < p->ncases; i++) {
		printf("%s\n", bench_config_title(&p->cases[i], title, sizeof(title)));
		for (unsigned n = 0; n < p->runs + p->warm_ups; n++)
			for (unsigned t = 0; t < p->transports; t++) {
				struct remote_run out;
				struct err why = { 0 };

				progress_step(r->p, "%s, move %u/%u", p->transport[t], n + 1,
					p->runs + p->warm_ups);
				rc = remote_one(r, &p->cases[i], p->transport[t], &out, &why);
				if (rc == -ECANCELED)
					return err_set(e, rc, "%s", why.msg);
				if (rc < 0) {
					progress_line(r->p, "%s, move %u: %s", p->transport[t],
						n + 1, why.msg);
					failed++;
					continue;
				}
				if (n >= p->warm_ups)
					remote_row(r, &p->cases[i], p->transport[t], &out);
			}
	}
	if (failed)
		return err_set(e, -EIO, "%u moves did not come about", failed);
	return 0;
}

static int remote_json(const struct remote *r, struct err *e)
{
	json_t *j = json_pack("{s:s,s:i,s:s,s:O}", "schema", "watari-bench-target", "version", 1,
		"target", r->plan->target, "runs", r->rows);
	int rc = outfile_json(j, r->plan->json, e);

	json_decref(j);
	return rc;
}

int remote_run(struct bench_plan *plan, struct progress *p, struct err *e)
{
	struct remote r = { .plan = plan, .p = p, .fd = -1, .rows = json_array() };
	int rc;

	if (plan->peer || plan->html)
		return err_set(e, -EINVAL, "--target goes with neither --peer nor --html");
	rc = ends_init(&r.ends, e);
	r.ends.pin = &plan->pin;
	r.ends.pin_observer = &plan->pin_observer;
	if (rc == 0)
		rc = remote_meet(&r, e);
	if (rc == 0)
		rc = remote_cases(&r, e);
	progress_end(p);
	if (plan->json && json_array_size(r.rows))
		rc = remote_json(&r, rc < 0 ? NULL : e) < 0 && rc == 0 ? e->code : rc;
	if (r.fd >= 0)
		close(r.fd);
	ends_fini(&r.ends);
	json_decref(r.rows);
	return rc;
}
