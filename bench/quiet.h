/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quiet windows: what the guest's pauses are while nothing moves. A move is compared with a window
 * as long as itself; waiting that long before every move would double the time of a measurement,
 * so the short windows before this move and the ones before it are laid end to end.
 * Invariant: only windows of one series are put together, and always the latest ones.
 * Next in the flow: campaign.h.
 */
#ifndef WATARI_BENCH_QUIET_H
#define WATARI_BENCH_QUIET_H

#include <stdint.h>

#include "bench/move.h"

#define QUIET_WINDOWS 32

struct quiet_window {
	uint64_t ns; /* how long it was */
	uint64_t gap_ns;
	struct watch_seen seen;
};

/* All zero: none yet. */
struct quiet {
	unsigned n; /* taken so far; window[(n - 1) % QUIET_WINDOWS] is the latest */
	struct quiet_window window[QUIET_WINDOWS];
};

/* How long the next window has to be, so that with those before it @window_ns come together. */
uint64_t quiet_wanted(const struct quiet *q, uint64_t window_ns);
/*
 * Takes the window that @r itself had, and gives it the worst of the latest windows that together
 * are as long as its move, or of all there are.
 */
void quiet_join(struct quiet *q, struct bench_run *r);

#endif
