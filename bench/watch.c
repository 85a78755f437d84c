/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the observer's thread and its arithmetic (see watch.h). A pause is known to within the looks
 * around its ends; both bounds are kept, so that a look that came late shows as uncertainty and
 * not as a pause of the guest's.
 * Next in the flow: bench/trace.c.
 */
#include "bench/watch.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "hv/base/clock.h"

#define WATCH_PAUSE_NS 100000 /* between two looks */
#define WATCH_PRIORITY 20     /* SCHED_FIFO */
#define WATCH_ROUNDED  0.001  /* the part by which a frequency may differ from the one told */

static void watch_pause(
	struct watch *w, const struct watch_cpu *c, int end, uint64_t now, uint64_t before)
{
	/* Stopped somewhere in (last_but, last], went on somewhere in (before, now]. */
	uint64_t most = now - c->last_but, least = before > c->last ? before - c->last : 0;
	uint64_t gap = least + (most - least) / 2, error = (most - least + 1) / 2;

	if (gap > w->seen.gap_ns) {
		w->seen.gap_ns = gap;
		w->seen.gap_error_ns = error;
	}
	if (end != c->end && gap > w->seen.moved_ns) {
		w->seen.moved_ns = gap;
		w->seen.moved_error_ns = error;
		w->seen.moved_at_ns = c->last;
	}
}

static void watch_bucket(
	struct watch *w, const struct bench_slot *first, uint64_t pages, uint64_t now)
{
	uint64_t n = (now - w->start_ns) / WATCH_BUCKET_NS;
	double ahead;
	struct watch_bucket *b;

	if (n >= WATCH_BUCKETS_MAX)
		return;
	/* Buckets in which nobody looked repeat the one before: no work is known of them. */
	for (; w->buckets <= n; w->buckets++) {
		w->bucket[w->buckets] = (struct watch_bucket){ 0 };
		if (w->buckets)
			w->bucket[w->buckets].pages = w->bucket[w->buckets - 1].pages;
	}
	b = &w->bucket[n];
	b->pages = pages;
	ahead = (double)(int64_t)(first->tsc - b->tsc) * 1e6 / (double)w->tsc_khz;
	if (b->mono_ns == 0 || ahead > (double)(now - b->mono_ns)) {
		b->tsc = first->tsc;
		b->mono_ns = now;
	}
}

void watch_look(
	struct watch *w, const struct bench_slot *src, const struct bench_slot *dst, uint64_t now)
{
	uint64_t before = w->looked_ns, pages = 0;
	const struct bench_slot *first = NULL;

	for (unsigned i = 0; i < w->cpus; i++) {
		struct watch_cpu *c = &w->cpu[i];
		int end = dst && dst[i].heartbeat > src[i].heartbeat;
		const struct bench_slot *s = end ? &dst[i] : &src[i];

		pages += s->pages_written;
		first = first ? first : s;
		if (s->heartbeat <= c->beat)
			continue;
		if (c->last)
			watch_pause(w, c, end, now, before);
		c->beat = s->heartbeat;
		c->last_but = before ? before : now;
		c->last = now;
		c->end = end;
	}
	if (before && now - before > w->seen.late_ns)
		w->seen.late_ns = now - before;
	if (w->bucket && first)
		watch_bucket(w, first, pages, now);
	w->looked_ns = now;
	w->looks++;
}

static bool watch_read(const struct watch *w, int end, struct bench_slot *slots)
{
	ssize_t n = (ssize_t)(w->cpus * sizeof(*slots));

	return w->fd[end] >= 0 && pread(w->fd[end], slots, (size_t)n, (off_t)w->off[end]) == n;
}

/* Once, when all vCPUs run at the target: their notes of the pause, while they are there. */
static void watch_arrival(struct watch *w)
{
	uint64_t off = w->off[1] - offsetof(struct bench_report, cpu);
	ssize_t n = sizeof(*w->arrival);

	for (unsigned i = 0; i < w->cpus; i++)
		if (w->cpu[i].end != 1)
			return;
	w->arrived = pread(w->fd[1], w->arrival, (size_t)n, (off_t)off) == n;
}

static void *watch_main(void *arg)
{
	const struct timespec pause = { .tv_nsec = WATCH_PAUSE_NS };
	struct bench_slot src[BENCH_CPUS_MAX], dst[BENCH_CPUS_MAX];
	struct watch *w = arg;

	pthread_setname_np(pthread_self(), "observer");
	prctl(PR_SET_TIMERSLACK, 1);
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		pthread_mutex_lock(&w->lock);
		/* The target first: its heartbeat must not be older than the source's. */
		bool there = watch_read(w, 1, dst);

		if (watch_read(w, 0, src))
			watch_look(w, src, there ? dst : NULL, clock_mono_ns());
		if (there && !w->arrived)
			watch_arrival(w);
		pthread_mutex_unlock(&w->lock);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static int watch_end(struct watch *w, int end, const struct observed *o)
{
	uint64_t off;

	if (!observe_offset(o, BENCH_REPORT_GPA + offsetof(struct bench_report, cpu),
		    sizeof(struct bench_slot) * w->cpus, &off))
		return -EPROTO;
	pthread_mutex_lock(&w->lock);
	w->off[end] = off;
	w->fd[end] = o->fd;
	pthread_mutex_unlock(&w->lock);
	return 0;
}

int watch_start(struct watch *w, const struct observed *o, const struct pin *pin, struct err *e)
{
	const struct sched_param priority = { .sched_priority = WATCH_PRIORITY };
	int rc;

	*w = (struct watch){ .fd = { -1, -1 },
		.cpus = (unsigned)o->h.cpus,
		.tsc_khz = o->h.tsc_khz ? o->h.tsc_khz : 1,
		.start_ns = clock_mono_ns() };
	pthread_mutex_init(&w->lock, NULL);
	if (watch_end(w, 0, o) < 0)
		return err_set(e, -EPROTO, "the guest has no memory where its report should be");
	w->bucket = calloc(WATCH_BUCKETS_MAX, sizeof(*w->bucket));
	w->arrival = calloc(1, sizeof(*w->arrival));
	if (!w->bucket || !w->arrival)
		return err_set(e, -ENOMEM, "no memory for the observer's notes");
	rc = pthread_create(&w->thread, NULL, watch_main, w);
	if (rc)
		return err_set(e, -rc, "cannot start the observer: %s", strerrordesc_np(rc));
	w->started = true;
	if (pin && pin->text) {
		rc = pthread_setaffinity_np(w->thread, sizeof(pin->set), &pin->set);
		if (rc)
			return err_set(e, -rc, "cannot pin the observer to processor %.20s: %s",
				pin->text, strerrordesc_np(rc));
	}
	/* Without the right to, it looks as often as it is let; then its uncertainty says so. */
	w->realtime = pthread_setschedparam(w->thread, SCHED_FIFO, &priority) == 0;
	return 0;
}

void watch_target(struct watch *w, const struct observed *o)
{
	watch_end(w, 1, o);
}

void watch_next(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->fd[0] = w->fd[1];
	w->off[0] = w->off[1];
	w->fd[1] = -1;
	for (unsigned i = 0; i < w->cpus; i++)
		w->cpu[i].end = 0;
	w->arrived = false;
	memset(w->arrival, 0, sizeof(*w->arrival));
	pthread_mutex_unlock(&w->lock);
}

struct watch_seen watch_window(struct watch *w)
{
	struct watch_seen seen;

	pthread_mutex_lock(&w->lock);
	seen = w->seen;
	w->seen = (struct watch_seen){ 0 };
	pthread_mutex_unlock(&w->lock);
	return seen;
}

void watch_stop(struct watch *w)
{
	if (!w->started)
		return;
	__atomic_store_n(&w->stop, 1, __ATOMIC_RELEASE);
	pthread_join(w->thread, NULL);
	w->started = false;
}

void watch_free(struct watch *w)
{
	watch_stop(w);
	free(w->bucket);
	free(w->arrival);
	w->bucket = NULL;
	w->arrival = NULL;
}

/* ---- the guest's clock ---- */

/* Of the buckets in @s the pair whose guest clock is furthest ahead, judged by @khz. */
static bool watch_fresh(
	const struct watch *w, struct watch_span s, double khz, struct watch_bucket *out)
{
	bool any = false;

	for (uint32_t i = 0; i < w->buckets; i++) {
		const struct watch_bucket *k = &w->bucket[i];
		double ahead;

		if (k->mono_ns < s.from || k->mono_ns >= s.to)
			continue;
		ahead = any ? (double)(int64_t)(k->tsc - out->tsc) * 1e6 / khz -
					(double)(int64_t)(k->mono_ns - out->mono_ns)
			    : 0;
		if (any && ahead <= 0)
			continue;
		*out = *k;
		any = true;
	}
	return any;
}

bool watch_lost(const struct watch *w, struct watch_span rate, struct watch_span before,
	struct watch_span after, int64_t *lost_ns)
{
	uint64_t third = (rate.to - rate.from) / 3;
	struct watch_bucket first, last, left, came;
	double khz = (double)w->tsc_khz, seen;

	if (!watch_fresh(w, (struct watch_span){ rate.from, rate.from + third }, khz, &first) ||
		!watch_fresh(w, (struct watch_span){ rate.to - third, rate.to }, khz, &last) ||
		!watch_fresh(w, before, khz, &left) || !watch_fresh(w, after, khz, &came) ||
		last.mono_ns <= first.mono_ns)
		return false;
	/*
	 * The frequency the guest was told is rounded, and this host's clock is disciplined. A rate
	 * further off than that explains is of readings that came too late: over a long move it
	 * would look like a clock that was lost.
	 */
	seen = (double)(last.tsc - first.tsc) * 1e6 / (double)(last.mono_ns - first.mono_ns);
	if (seen > khz * (1 - WATCH_ROUNDED) && seen < khz * (1 + WATCH_ROUNDED))
		khz = seen;
	*lost_ns = (int64_t)((double)(came.mono_ns - left.mono_ns) -
			     (double)(int64_t)(came.tsc - left.tsc) * 1e6 / khz);
	return true;
}
