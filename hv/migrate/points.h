/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named points of the hand-over at which a test lets this process die, or its connection. In every
 * build, so that what is tested is what is used; without the variables it costs a comparison with
 * NULL. Names and use: docs/hacking.md. Next in the flow: pump_source.c, pump_target.c.
 */
#ifndef WATARI_MIGRATE_POINTS_H
#define WATARI_MIGRATE_POINTS_H

#include <stdbool.h>

struct mig_points {
	const char *crash, *cut; /* a point's name; NULL: none */
};

/* $WATARI_CRASH_AT and $WATARI_CUT_AT; read when a move starts, never during it. */
void mig_points_read(struct mig_points *p);
bool mig_point_crashes(const struct mig_points *p, const char *name);
bool mig_point_cuts(const struct mig_points *p, const char *name);
/* SIGKILL: nothing is cleaned up, as by the kernel when memory runs out. */
_Noreturn void mig_point_crash(void);
/* Shuts every TCP connection of this process down: a move's process has those of the move. */
void mig_point_cut(void);

#endif
