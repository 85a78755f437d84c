/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the joining of quiet windows (see quiet.h). Must never count a window twice or let a longer
 * move be judged by less quiet time than there is.
 * Next in the flow: bench/campaign.c.
 */
#include "bench/quiet.h"

/* The window @back before the latest, or NULL. */
static const struct quiet_window *quiet_back(const struct quiet *q, unsigned back)
{
	unsigned kept = q->n < QUIET_WINDOWS ? q->n : QUIET_WINDOWS;

	return back < kept ? &q->window[(q->n - 1 - back) % QUIET_WINDOWS] : NULL;
}

uint64_t quiet_wanted(const struct quiet *q, uint64_t window_ns)
{
	const struct quiet_window *w;
	uint64_t have = 0;

	/* One place is the next window's. */
	for (unsigned i = 0; i < QUIET_WINDOWS - 1 && (w = quiet_back(q, i)); i++)
		have += w->ns;
	return window_ns > have ? window_ns - have : 0;
}

static void quiet_worse(struct watch_seen *to, const struct watch_seen *w)
{
	if (w->gap_ns > to->gap_ns) {
		to->gap_ns = w->gap_ns;
		to->gap_error_ns = w->gap_error_ns;
	}
	if (w->late_ns > to->late_ns)
		to->late_ns = w->late_ns;
}

void quiet_join(struct quiet *q, struct bench_run *r)
{
	const struct quiet_window *w;

	q->window[q->n++ % QUIET_WINDOWS] = (struct quiet_window){
		.ns = r->quiet_ns, .gap_ns = r->quiet_gap_ns, .seen = r->quiet_seen
	};
	for (unsigned i = 1; r->quiet_ns < r->window_ns && (w = quiet_back(q, i)); i++) {
		r->quiet_ns += w->ns;
		if (w->gap_ns > r->quiet_gap_ns)
			r->quiet_gap_ns = w->gap_ns;
		quiet_worse(&r->quiet_seen, &w->seen);
	}
}
