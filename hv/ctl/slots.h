/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many moves a host has under way at once, each way: numbered places, which are lock files in
 * the runtime directory (".out.0", ".in.3"), and a queue of tickets before them. Nobody manages
 * them: a place is free when its file's lock can be taken, so none is lost with a process.
 * Invariant: a move whose host allows N at once has a place below N, and none passes an older
 * ticket on its way to a place that this one could have taken.
 * Next in the flow: migrate.c (out), hv/cmd/incoming.c (in).
 */
#ifndef WATARI_CTL_SLOTS_H
#define WATARI_CTL_SLOTS_H

#include <stdbool.h>

#include "hv/base/err.h"

#define CTL_SLOTS_MAX    64
#define CTL_SLOTS_OUT    2 /* moves from a host at once, unless told otherwise */
#define CTL_SLOTS_IN     8 /* and to it */
#define CTL_SLOT_FILE    64
#define CTL_SLOT_TEXT    256
#define CTL_SLOTS_TEXT   400
#define CTL_SLOT_POLL_MS 50 /* between looks of one that waits */

enum ctl_way { CTL_OUT, CTL_IN };

struct ctl_slot {
	enum ctl_way way;
	unsigned most;
	int dir_fd; /* -1: neither place nor ticket */
	int place_fd, ticket_fd;
	char place[CTL_SLOT_FILE], ticket[CTL_SLOT_FILE];
	char what[CTL_SLOT_TEXT]; /* who it is, for those who wait */
};
#define CTL_SLOT_NONE ((struct ctl_slot){ .dir_fd = -1, .place_fd = -1, .ticket_fd = -1 })

/*
 * Stands in line in runtime directory @dir for one of @most places, 1..CTL_SLOTS_MAX, at the end,
 * and looks once. @what: a few words such as "guest bird to host:1". Returns as ctl_slot_look().
 */
int ctl_slot_open(struct ctl_slot *s, const char *dir, enum ctl_way way, unsigned most,
	const char *what, struct err *e);
/*
 * 1: has its place. 0: it has to wait, and @waits (CTL_SLOTS_TEXT bytes, may be NULL) says for
 * whom. Negative errno: the files cannot be used.
 */
int ctl_slot_look(struct ctl_slot *s, char *waits, struct err *e);
/* Gives place or ticket back. Harmless with neither. */
void ctl_slot_close(struct ctl_slot *s);

#endif
