/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of a measured move (see move.h): quiet window, gaps restarted, the move, the guest
 * found again, a second more, gaps read, and only then a pause to verify. Nothing of the measuring
 * may fall into the windows but the observer, which is in both, and looks at the costs.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/base/clock.h"

#define MOVE_SETTLE_MS 50                     /* after a hold, before anything counts */
#define MOVE_QUIET_NS  (1000 * NSEC_PER_MSEC) /* the least quiet window */
#define MOVE_AFTER_NS  (1000 * NSEC_PER_MSEC) /* of the time line; of the gaps: */
#define MOVE_GAP_NS    (200 * NSEC_PER_MSEC)
#define MOVE_POLL_MS   2
#define MOVE_SETTLE_NS (10 * NSEC_PER_SEC) /* for what takes milliseconds when all is well */

static uint64_t move_lost(const struct bench_run *r)
{
	return r->lost_ns > BENCH_CLOCK_NOISE_NS ? r->lost_ns : 0;
}

uint64_t bench_run_blackout_ns(const struct bench_run *r)
{
	uint64_t freeze = r->freeze_ns + move_lost(r);

	/* What the clock lost, it lost in the freeze. */
	return r->gap_ns > freeze ? r->gap_ns : freeze;
}

uint64_t bench_run_net_ns(const struct bench_run *r)
{
	uint64_t all = bench_run_blackout_ns(r);

	return all > r->quiet_gap_ns ? all - r->quiet_gap_ns : 0;
}

uint64_t bench_run_freeze_ns(const struct bench_run *r)
{
	return r->freeze_ns + move_lost(r);
}

bool bench_run_agrees(const struct bench_run *r)
{
	uint64_t guest = bench_run_freeze_ns(r), seen = r->seen.moved_ns;
	uint64_t apart = guest > seen ? guest - seen : seen - guest;

	if (guest == 0 || seen == 0) /* there was no move, or one of them has missed it */
		return guest == seen;
	return apart <= BENCH_AGREE_NS || apart <= guest / 10;
}

bool bench_run_verified(const struct bench_run *r)
{
	return !r->failed && (!r->verify_done || verify_passed(&r->verify));
}

void bench_run_free(struct bench_run *r)
{
	json_decref(r->raw);
	free(r->bucket);
	free(r->point);
	*r = (struct bench_run){ 0 };
}

static double move_rate(const struct observe_sample *a, const struct observe_sample *b)
{
	uint64_t ns = b->count_ns - a->count_ns;

	return ns ? (double)(b->written - a->written) * 1e9 / (double)ns : 0;
}

static int move_sleep(struct trace *t, uint64_t until, struct err *e)
{
	int rc = 0;

	while (rc == 0 && clock_mono_ns() < until) {
		uint64_t left = (until - clock_mono_ns()) / NSEC_PER_MSEC;

		rc = trace_wait(t, -1, left > 20 ? 20 : (int)left + 1, e);
	}
	return rc;
}

/* Restarts the gaps and waits until every vCPU has. */
static int move_arm(struct trace *t, const struct observed *o, struct err *e)
{
	uint64_t generation = observe_gap_reset(o), end = clock_mono_ns() + MOVE_SETTLE_NS;
	int rc = 0;

	while (rc == 0 && !observe_gap_armed(o, generation)) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the guest does not run");
		rc = ends_wait(t->ends, -1, MOVE_POLL_MS, e);
	}
	watch_window(&t->watch);
	return rc;
}

/* The windows of a move, CLOCK_MONOTONIC. */
struct move_times {
	uint64_t quiet, start, moved, end;
	struct observe_sample before, at_start, at_end;
};

static int move_quiet(struct bench_guest *g, struct trace *t, uint64_t ns, struct move_times *m,
	struct bench_run *out, struct err *e)
{
	int rc = move_arm(t, &g->at, e);

	m->quiet = clock_mono_ns();
	observe_count(&g->at, &m->before);
	if (rc == 0)
		rc = move_sleep(t, m->quiet + ns, e);
	out->quiet_ns = clock_mono_ns() - m->quiet;
	out->quiet_gap_ns = observe_gap_ns(&g->at, NULL);
	out->quiet_seen = watch_window(&t->watch);
	observe_count(&g->at, &m->at_start);
	out->rate_before = move_rate(&m->before, &m->at_start);
	return rc;
}

/* Waits until every vCPU has ticked at the target. */
static int move_find(struct bench_guest *g, struct trace *t, struct err *e)
{
	uint64_t end = clock_mono_ns() + MOVE_SETTLE_NS, beats[BENCH_CPUS_MAX];
	int rc = observe_header(&g->to, e);

	observe_beats(&g->at, beats); /* final: the guest does not run there any more */
	while (rc == 0 && !observe_ticked(&g->to, beats)) {
		if (clock_mono_ns() > end)
			return err_set(e, -ETIMEDOUT, "the guest does not run at the target");
		rc = ends_wait(t->ends, -1, MOVE_POLL_MS, e);
	}
	return rc;
}

/* The pause of the move in the guest's notes: as the observer kept them, or as they are now. */
static uint64_t move_freeze(struct bench_guest *g, struct trace *t)
{
	uint64_t ns = 0;

	pthread_mutex_lock(&t->watch.lock);
	if (t->watch.arrived)
		ns = observe_freeze_in(&g->at, t->watch.arrival);
	pthread_mutex_unlock(&t->watch.lock);
	return ns ? ns : observe_freeze_ns(&g->at, &g->to);
}

/* After the move: what the guest saw of it, soon, as its notes are overwritten; then the rest. */
static int move_after(struct bench_guest *g, struct trace *t, struct move_times *m, uint64_t tsc,
	struct bench_run *out, struct err *e)
{
	uint64_t gap_end = 0;
	int rc = move_find(g, t, e);

	if (rc < 0)
		return err_wrap(e, "finding the guest at the target");
	m->moved = clock_mono_ns();
	out->freeze_ns = move_freeze(g, t);
	observe_count(&g->to, &m->at_end);
	out->rate_during = move_rate(&m->at_start, &m->at_end);
	rc = move_sleep(t, m->moved + MOVE_GAP_NS, e);
	out->gap_source_ns = observe_gap_ns(&g->at, NULL);
	out->gap_ns = observe_gap_ns(&g->to, &gap_end);
	out->gap_end_ns = gap_end > tsc ? observe_ticks_ns(&g->to, gap_end - tsc) : 0;
	out->seen = watch_window(&t->watch);
	out->window_ns = clock_mono_ns() - m->start;
	out->freeze_noted = out->freeze_ns != 0;
	if (!out->freeze_noted)
		out->freeze_ns = out->gap_ns;
	return rc;
}

/* Instead of a move. */
static int move_still(struct bench_guest *g, struct trace *t, uint64_t ns, struct move_times *m,
	struct bench_run *out, struct err *e)
{
	int rc = move_sleep(t, m->start + ns, e);

	m->moved = clock_mono_ns();
	out->gap_ns = observe_gap_ns(&g->at, NULL);
	out->seen = watch_window(&t->watch);
	out->window_ns = m->moved - m->start;
	observe_count(&g->at, &m->at_end);
	out->rate_during = move_rate(&m->at_start, &m->at_end);
	return rc;
}

/* The buckets from a second before the request to a second after the move. */
static int move_buckets(
	const struct watch *w, const struct move_times *m, struct bench_run *out, struct err *e)
{
	uint64_t from = m->start - NSEC_PER_SEC, first, last;
	double rate = out->rate_before * (double)WATCH_BUCKET_NS / 1e9, lost = 0;

	first = from > w->start_ns ? (from - w->start_ns + WATCH_BUCKET_NS - 1) / WATCH_BUCKET_NS
				   : 1;
	first = first ? first : 1; /* of the very first, no earlier count is known */
	last = (m->end - w->start_ns) / WATCH_BUCKET_NS;
	last = last < w->buckets ? last : w->buckets;
	if (last <= first)
		return 0;
	out->bucket = calloc(last - first, sizeof(*out->bucket));
	if (!out->bucket)
		return err_set(e, -ENOMEM, "no memory for a time line");
	out->buckets = (unsigned)(last - first);
	out->first_bucket_ms = (int)((int64_t)(w->start_ns + first * WATCH_BUCKET_NS - m->start) /
				     (int64_t)NSEC_PER_MSEC);
	for (uint64_t i = first; i < last; i++) {
		uint64_t n = w->bucket[i].pages - w->bucket[i - 1].pages;

		out->bucket[i - first] = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
		if (w->start_ns + i * WATCH_BUCKET_NS >= m->start)
			lost += rate - (double)n;
	}
	if (rate > 0 && lost > 0)
		out->work_lost_ms = lost / rate * (double)WATCH_BUCKET_NS / 1e6;
	return 0;
}

/* Everything the trace has gathered, into @out. */
static int move_gather(struct bench_guest *g, struct trace *t, const struct move_times *m,
	struct bench_run *out, struct err *e)
{
	int64_t lost = 0;

	watch_stop(&t->watch);
	if (out->failed)
		observe_detach(&g->to);
	out->observer_realtime = t->watch.realtime;
	if (!out->failed && watch_lost(&t->watch, m->quiet, m->start, m->moved, m->end, &lost))
		out->lost_ns = lost > 0 ? (uint64_t)lost : 0;
	out->cpu_source_ns = meter_cpu_ns(&t->source);
	out->cpu_target_ns = meter_cpu_ns(&t->target);
	out->peak_source = t->source.peak_bytes;
	out->peak_target = t->target.peak_bytes;
	out->start_ns = m->start;
	out->point = t->point;
	out->points = t->points;
	t->point = NULL;
	return move_buckets(&t->watch, m, out, e);
}

/* From the request on. @fatal stays unset if the guest runs on here. */
static int move_measure(struct bench_guest *g, struct trace *t, const struct bench_how *how,
	struct move_times *m, struct bench_run *out, struct err *e)
{
	uint64_t tsc = g->at.report->cpu[0].tsc;
	bool stays = false;
	struct err why = { 0 };
	int rc;

	m->start = clock_mono_ns();
	if (how->still) {
		rc = move_still(g, t, how->quiet_ns, m, out, e);
	} else {
		meter_start(&t->source, g->at.pid);
		rc = g->sys->move(g, t, &out->vmm, &out->raw, &stays, &why);
		trace_moved(t);
		m->moved = clock_mono_ns();
		if (rc < 0 && !stays) {
			if (e)
				*e = why;
			return err_wrap(e, "move");
		}
		out->failed = rc < 0;
		snprintf(out->why, sizeof(out->why), "%.250s", why.msg);
		rc = out->failed ? 0 : move_after(g, t, m, tsc, out, e);
	}
	if (rc == 0)
		rc = move_sleep(t, m->moved + MOVE_AFTER_NS, e);
	m->end = clock_mono_ns();
	return rc;
}

/* The guest held, its memory compared, its old home left. */
static int move_settle(
	struct bench_guest *g, const struct bench_how *how, struct bench_run *out, struct err *e)
{
	int rc = g->sys->hold(g, true, e);

	if (rc == 0 && g->to.fd >= 0 && how->verify) {
		rc = verify_compare(&g->at, &g->to, &out->verify, e);
		if (rc == 0)
			rc = verify_stamps(&g->to, &out->verify, e);
		out->verify_done = rc == 0;
		if (rc < 0)
			err_wrap(e, "verifying");
	}
	return rc;
}

int bench_move(struct bench_guest *g, const struct bench_how *how, struct progress *p,
	struct bench_run *out, struct err *e)
{
	uint64_t quiet = how->quiet_ns > MOVE_QUIET_NS ? how->quiet_ns : MOVE_QUIET_NS;
	struct move_times m = { 0 };
	struct trace t;
	int rc;

	*out = (struct bench_run){ 0 };
	g->to = OBSERVED_NONE;
	rc = how->still ? 0 : g->sys->prepare(g, e);
	if (rc < 0)
		return err_wrap(e, "preparing the target");
	rc = trace_start(&t, g->ends, p, &g->at, e);
	if (rc == 0)
		rc = ends_wait(g->ends, -1, MOVE_SETTLE_MS, e);
	if (rc == 0)
		rc = move_quiet(g, &t, quiet, &m, out, e);
	if (how->warm)
		warm_release(how->warm);
	if (rc == 0)
		rc = move_arm(&t, &g->at, e);
	if (rc == 0)
		rc = move_measure(g, &t, how, &m, out, e);
	if (rc == 0)
		rc = move_gather(g, &t, &m, out, e);
	trace_free(&t);
	if (rc == 0 && !how->still)
		rc = g->sys->leave(g, e);
	if (rc == 0)
		rc = move_settle(g, how, out, e);
	if (rc < 0) {
		bench_run_free(out);
		return rc;
	}
	if (g->to.fd >= 0) {
		observe_detach(&g->at);
		g->at = g->to;
		g->to = OBSERVED_NONE;
	}
	return 0;
}
