/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person sees while a measurement runs: on a terminal one line redrawn in place, elsewhere
 * plain lines, one per step and move. Writes to the given stream only.
 */
#ifndef WATARI_BENCH_PROGRESS_H
#define WATARI_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "hv/migrate/move.h"

struct progress {
	FILE *out;
	bool live;  /* a terminal: lines may be redrawn */
	bool drawn; /* a redrawn line stands there */
	char prefix[64];
};

void progress_init(struct progress *p, FILE *out);
/* A step: a line of its own; on a terminal it is replaced by whatever comes next. */
void progress_step(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line that stays. */
void progress_line(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Where a move stands; drawn on a terminal only. */
void progress_move(struct progress *p, const struct mig_progress *m);
/* Removes the redrawn line. */
void progress_end(struct progress *p);

/* "copy  round 2  0.75 GiB  1.80 GiB/s  residual 31.0 MiB  ETA 120 ms" into @buf; returns @buf. */
const char *progress_format(const struct mig_progress *m, char *buf, size_t n);

#endif
