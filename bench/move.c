/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of a measured move (see move.h): quiet window, the guest held and the target
 * prepared, gaps restarted, the move, the guest found again, a second more, gaps read, and only
 * then a pause to verify. Nothing of the measuring may fall into the windows but the observer,
 * which is in all of them, and looks at the costs. Next in the flow: bench/campaign.c.
 */
#include "bench/move.h"

#include <errno.h>
#include <pthread.h>
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

/* The times of a move, CLOCK_MONOTONIC. */
struct move_times {
	uint64_t awake, start, moved, end;
	struct observe_sample at_start, at_end;
};

static void move_take(struct bench_run *out, enum bench_step step)
{
	steps_take(&out->steps, step, clock_mono_ns());
}

/* A window without a move, @o running. */
static int move_calm(
	struct trace *t, const struct observed *o, uint64_t ns, struct bench_calm *c, struct err *e)
{
	struct observe_sample before, after;
	int rc = move_arm(t, o, e);

	c->span.from = clock_mono_ns();
	observe_count(o, &before);
	if (rc == 0)
		rc = move_sleep(t, c->span.from + ns, e);
	c->span.to = clock_mono_ns();
	c->gap_ns = observe_gap_ns(o, NULL);
	c->seen = watch_window(&t->watch);
	observe_count(o, &after);
	c->rate = move_rate(&before, &after);
	return rc;
}

static void move_calm_note(const struct bench_calm *c, struct bench_run *out)
{
	out->quiet_ns = c->span.to - c->span.from;
	out->quiet_gap_ns = c->gap_ns;
	out->quiet_seen = c->seen;
	out->rate_before = c->rate;
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

/* The first bucket that begins at or after @ns; of the very first no earlier count is known. */
static uint64_t move_bucket(const struct watch *w, uint64_t ns)
{
	uint64_t n =
		ns > w->start_ns ? (ns - w->start_ns + WATCH_BUCKET_NS - 1) / WATCH_BUCKET_NS : 0;

	n = n ? n : 1;
	return n < w->buckets ? n : w->buckets;
}

static uint32_t move_work(const struct watch *w, uint64_t bucket)
{
	uint64_t n = w->bucket[bucket].pages - w->bucket[bucket - 1].pages;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/*
 * The time line: the last second of the quiet window, then from the request to a second after the
 * move. What the bench did in between is cut out.
 */
static int move_buckets(const struct watch *w, const struct bench_calm *c,
	const struct move_times *m, struct bench_run *out, struct err *e)
{
	uint64_t from = c->span.to - NSEC_PER_SEC, start = move_bucket(w, m->start);
	uint64_t b0 = move_bucket(w, from > c->span.from ? from : c->span.from);
	uint64_t b1 = move_bucket(w, c->span.to), end = (m->end - w->start_ns) / WATCH_BUCKET_NS;
	double rate = out->rate_before * (double)WATCH_BUCKET_NS / 1e9, lost = 0;

	b1 = b1 > b0 ? b1 - 1 : b0; /* the last of them is over before the window is */
	end = end < w->buckets ? end : w->buckets;
	if (end <= start)
		return 0;
	out->bucket = calloc(b1 - b0 + end - start, sizeof(*out->bucket));
	if (!out->bucket)
		return err_set(e, -ENOMEM, "no memory for a time line");
	out->first_bucket_ms =
		(int)((w->start_ns + start * WATCH_BUCKET_NS - m->start) / NSEC_PER_MSEC) -
		(int)((b1 - b0) * WATCH_BUCKET_NS / NSEC_PER_MSEC);
	for (uint64_t i = b0; i < b1; i++)
		out->bucket[out->buckets++] = move_work(w, i);
	for (uint64_t i = start; i < end; i++) {
		out->bucket[out->buckets++] = move_work(w, i);
		lost += rate - (double)move_work(w, i);
	}
	if (rate > 0 && lost > 0)
		out->work_lost_ms = lost / rate * (double)WATCH_BUCKET_NS / 1e6;
	return 0;
}

/* Everything the trace has gathered, into @out. */
static int move_gather(struct trace *t, const struct bench_calm *c, const struct move_times *m,
	struct bench_run *out, struct err *e)
{
	/* The guest has stood still since the window: its rate still holds, its readings do not. */
	struct watch_span before = { m->awake, m->start }, after = { m->moved, m->end };
	int64_t lost = 0;
	int rc;

	out->observer_realtime = t->watch.realtime;
	out->cpu_source_ns = meter_cpu_ns(&t->source);
	out->cpu_target_ns = meter_cpu_ns(&t->target);
	out->peak_source = t->source.peak_bytes;
	out->peak_target = t->target.peak_bytes;
	out->start_ns = m->start;
	out->point = t->point;
	out->points = t->points;
	t->point = NULL;
	pthread_mutex_lock(&t->watch.lock);
	if (!out->failed && watch_lost(&t->watch, c->span, before, after, &lost))
		out->lost_ns = lost > 0 ? (uint64_t)lost : 0;
	rc = move_buckets(&t->watch, c, m, out, e);
	pthread_mutex_unlock(&t->watch.lock);
	return rc;
}

/* From the request on. @fatal stays unset if the guest runs on here. */
static int move_measure(struct bench_guest *g, struct trace *t, const struct bench_how *how,
	struct move_times *m, struct bench_run *out, struct err *e)
{
	uint64_t tsc = g->at.report->cpu[0].tsc;
	bool stays = false;
	struct err why = { 0 };
	int rc;

	observe_count(&g->at, &m->at_start);
	m->start = clock_mono_ns();
	if (how->still) {
		rc = move_still(g, t, how->quiet_ns, m, out, e);
		move_take(out, STEP_MOVE);
	} else {
		meter_start(&t->source, g->at.pid);
		rc = g->sys->move(g, t, &out->vmm, &out->raw, &stays, &why);
		trace_moved(t);
		m->moved = clock_mono_ns();
		move_take(out, STEP_MOVE);
		if (rc < 0 && !stays) {
			if (e)
				*e = why;
			return err_wrap(e, "move");
		}
		out->failed = rc < 0;
		snprintf(out->why, sizeof(out->why), "%.250s", why.msg);
		rc = out->failed ? 0 : move_after(g, t, m, tsc, out, e);
	}
	/* What comes after is what came before the next one. */
	if (rc == 0 && how->more && !out->failed)
		rc = move_calm(t, &g->to, MOVE_QUIET_NS, &how->chain->calm, e);
	m->end = m->moved + MOVE_AFTER_NS;
	if (rc == 0)
		rc = move_sleep(t, m->end, e);
	move_take(out, STEP_AFTER);
	return rc;
}

static int move_hold(struct bench_guest *g, bool on, struct err *e)
{
	int rc = g->held == on ? 0 : g->sys->hold(g, on, e);

	if (rc == 0)
		g->held = on;
	return rc;
}

/* The source's end, the guest held, its memory compared. */
static int move_settle(
	struct bench_guest *g, const struct bench_how *how, struct bench_run *out, struct err *e)
{
	int rc = how->still ? 0 : g->sys->leave(g, e);

	if (rc == 0)
		rc = move_hold(g, true, e);
	move_take(out, STEP_LEAVE);
	if (rc == 0 && g->to.fd >= 0 && how->verify) {
		rc = verify_compare(&g->at, &g->to, &out->verify, e);
		if (rc == 0)
			rc = verify_stamps(&g->to, &out->verify, e);
		out->verify_done = rc == 0;
		if (rc < 0)
			err_wrap(e, "verifying");
	}
	move_take(out, STEP_VERIFY);
	return rc;
}

/* The guest runs from now on, and is looked at. */
static int move_wake(
	struct bench_guest *g, struct bench_chain *c, struct progress *p, struct err *e)
{
	int rc = move_hold(g, false, e);

	if (rc == 0 && !c->going) {
		rc = trace_start(&c->trace, g->ends, p, &g->at, e);
		c->going = true; /* whatever of it there is has to be ended */
	}
	return rc < 0 ? rc : ends_wait(g->ends, -1, MOVE_SETTLE_MS, e);
}

static void *move_release(void *warm)
{
	warm_release(warm);
	return NULL;
}

/*
 * The guest held, everything that a move needs: the target's process starts while memory is let go
 * of and the process that the guest left last ends.
 */
static int move_prepare(struct bench_guest *g, struct warm *warm, struct err *e)
{
	pthread_t thread;
	int rc = move_hold(g, true, e);
	bool beside = rc == 0 && warm && pthread_create(&thread, NULL, move_release, warm) == 0;

	if (rc == 0) {
		rc = g->sys->prepare(g, e);
		if (rc < 0)
			err_wrap(e, "preparing the target");
	}
	if (beside)
		pthread_join(thread, NULL);
	else if (warm)
		warm_release(warm);
	ends_left(g->ends);
	return rc;
}

/* The guest is where it came to, and what it has left is the next target's memory. */
static void move_on(struct bench_guest *g, struct warm *warm)
{
	if (warm) {
		warm_keep(warm, g->at.fd);
		g->at.fd = -1;
	}
	observe_detach(&g->at);
	g->at = g->to;
	g->to = OBSERVED_NONE;
}

void bench_chain_end(struct bench_chain *c)
{
	if (c->going)
		trace_free(&c->trace);
	c->going = false;
}

int bench_move(struct bench_guest *g, const struct bench_how *how, struct progress *p,
	struct bench_run *out, struct err *e)
{
	uint64_t quiet = how->quiet_ns > MOVE_QUIET_NS ? how->quiet_ns : MOVE_QUIET_NS;
	struct bench_chain *c = how->chain;
	struct bench_calm calm = c->calm;
	struct move_times m = { 0 };
	int rc = 0;

	g->to = OBSERVED_NONE;
	out->quiet_shared = c->going;
	if (!out->quiet_shared) {
		ends_left(g->ends);
		rc = move_wake(g, c, p, e);
		if (rc == 0)
			rc = move_calm(&c->trace, &g->at, quiet, &calm, e);
	}
	move_calm_note(&calm, out);
	move_take(out, STEP_QUIET);
	if (rc == 0 && !how->still)
		rc = move_prepare(g, how->warm, e);
	move_take(out, STEP_PREPARE);
	if (rc == 0)
		rc = move_wake(g, c, p, e);
	m.awake = clock_mono_ns();
	if (rc == 0)
		rc = move_arm(&c->trace, &g->at, e);
	move_take(out, STEP_WAKE);
	if (rc == 0)
		rc = move_measure(g, &c->trace, how, &m, out, e);
	if (rc == 0)
		rc = move_gather(&c->trace, &calm, &m, out, e);
	if (rc == 0 && how->more && !out->failed)
		rc = trace_next(&c->trace, e);
	else
		bench_chain_end(c);
	if (out->failed)
		observe_detach(&g->to);
	if (rc == 0)
		rc = move_settle(g, how, out, e);
	if (rc < 0) {
		bench_run_free(out);
		return rc;
	}
	if (g->to.fd >= 0)
		move_on(g, how->warm);
	return 0;
}
