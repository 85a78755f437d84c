/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving way: while another guest that leaves over the same link is frozen, a copy phase posts
 * nothing, so that the other's last pages have the link. Pure but for what it is told to call.
 * Invariant: a guest that is frozen itself never gives way, and nobody does for longer than
 * WAY_MOST_NS in a row: a move that hangs in its blackout does not stop the others.
 * Next in the flow: pump_source.c asks before each post; hv/ctl/giveway.h is how moves tell.
 */
#ifndef WATARI_MIGRATE_WAY_H
#define WATARI_MIGRATE_WAY_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/migrate/pace.h"

#define WAY_LOOK_NS (500ull * 1000) /* between looks for a frozen guest */
#define WAY_MOST_NS (1000ull * 1000000)

struct way {
	bool (*others_frozen)(void *arg); /* NULL: there are no others */
	void *arg;
	uint64_t look, since; /* when to look again; since when another is frozen, 0: none is */
};

/* Whether nothing is to be posted at @now. */
static inline bool way_give(struct way *w, uint64_t now)
{
	if (!w->others_frozen)
		return false;
	if (now >= w->look) {
		w->look = now + WAY_LOOK_NS;
		if (!w->others_frozen(w->arg))
			w->since = 0;
		else if (!w->since)
			w->since = now;
	}
	return w->since && now - w->since < WAY_MOST_NS;
}

/* Whether something may go at @now: for others, and for this move's own pace. */
static inline bool way_may_send(struct way *w, struct pace *c, uint64_t now)
{
	if (!way_give(w, now))
		return pace_may_send(c, now);
	pace_stop(c);
	return false;
}

#endif
