/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the collecting (see trace.h). Looks at the costs fifty times a second at most: each look
 * costs something itself.
 * Next in the flow: bench/move.c.
 */
#include "bench/trace.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "hv/base/clock.h"

#define TRACE_METER_NS (20 * NSEC_PER_MSEC)

int trace_start(struct trace *t, struct bench_ends *x, struct progress *p, const struct observed *o,
	struct err *e)
{
	*t = (struct trace){ .ends = x, .progress = p };
	t->point = calloc(TRACE_POINTS_MAX, sizeof(*t->point));
	if (!t->point)
		return err_set(e, -ENOMEM, "no memory for a move's time line");
	return watch_start(&t->watch, o, x->pin_observer, e);
}

int trace_next(struct trace *t, struct err *e)
{
	if (!t->point) /* the last move's were taken away */
		t->point = calloc(TRACE_POINTS_MAX, sizeof(*t->point));
	if (!t->point)
		return err_set(e, -ENOMEM, "no memory for a move's time line");
	t->points = 0;
	t->target_known = false;
	t->source = t->target = (struct meter){ 0 };
	watch_next(&t->watch);
	return 0;
}

static void trace_meter(struct trace *t)
{
	t->metered_ns = clock_mono_ns();
	meter_sample(&t->source);
	meter_sample(&t->target);
}

int trace_wait(struct trace *t, int fd, int ms, struct err *e)
{
	struct pollfd news = { .fd = fd, .events = POLLIN };
	int rc;

	if (clock_mono_ns() - t->metered_ns >= TRACE_METER_NS)
		trace_meter(t);
	rc = ends_wait(t->ends, fd, ms, e);
	/* News may be the last, after which the source's process ends: look while it is there. */
	if (rc == 0 && fd >= 0 && poll(&news, 1, 0) == 1)
		trace_meter(t);
	return rc;
}

void trace_target(struct trace *t, const struct observed *o, pid_t pid, bool fresh)
{
	if (t->target_known)
		return;
	t->target_known = true;
	watch_target(&t->watch, o);
	if (fresh)
		meter_start_new(&t->target, pid);
	else
		meter_start(&t->target, pid);
}

void trace_moved(struct trace *t)
{
	meter_sample(&t->source);
	meter_sample(&t->target);
	t->source.pid = t->target.pid = 0;
}

void trace_point(struct trace *t, const struct mig_progress *p)
{
	progress_move(t->progress, p);
	if (t->points < TRACE_POINTS_MAX)
		t->point[t->points++] = (struct trace_point){ .at_ns = clock_mono_ns(), .p = *p };
}

void trace_free(struct trace *t)
{
	watch_free(&t->watch);
	free(t->point);
	t->point = NULL;
}
