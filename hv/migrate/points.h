/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named points of the hand-over at which a test lets this process die, or its connection. In every
 * build, so that what is tested is what is used; without the variables it costs a comparison with
 * NULL. Names and use: docs/hacking.md. Next in the flow: pump_source.c, pump_target.c.
 */
#ifndef WATARI_MIGRATE_POINTS_H
#define WATARI_MIGRATE_POINTS_H

#include <stdint.h>

#include "hv/migrate/xport.h"

struct mig_points {
	const char *crash, *cut; /* a point's name; NULL: none */
};

/* $WATARI_CRASH_AT and $WATARI_CUT_AT; read when a move starts, never during it. */
void mig_points_read(struct mig_points *p);
/*
 * Point @name is reached. If it is the one: SIGKILL, as by the kernel when memory runs out, or
 * every TCP connection of this process is shut down, which are those of the move.
 */
void mig_point(
	const struct mig_points *p, const char *name, const struct xport_ops *ops, struct xport *x);
/* A blackout of known length: whoever measures blackouts has to find it. docs/bench.md. */
void mig_stall(uint64_t ns);

#endif
