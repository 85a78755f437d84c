/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What --bandwidth lets go: a bucket that fills at the given rate; and stops for others. Pure: time
 * is passed in. Invariant: over any time longer than PACE_HOLD_NS, what goes is what the rate
 * allows, and one put. Next in the flow: pump_source.c.
 */
#ifndef WATARI_MIGRATE_PACE_H
#define WATARI_MIGRATE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_HOLD_NS  (20ull * 1000000) /* what the bucket holds: so much time's worth */
#define PACE_BURST_NS (5ull * 1000000)  /* and once empty it fills for so long */

struct pace {
	uint64_t rate;  /* bytes/s, 0: no limit */
	int64_t budget; /* bytes that may go now, and as of when */
	uint64_t at;
	bool spent;       /* waits until there is budget for a burst */
	uint64_t idle_at; /* since when the link is idle for that; 0: it is not */
	uint64_t idle_ns; /* in this round */
};

void pace_init(struct pace *c, uint64_t rate, uint64_t now);
/*
 * Whether something may go at @now. The bucket may be overdrawn by one put; a wait that lasted
 * longer than PACE_HOLD_NS is not made up for by a burst. Once it is empty it fills for
 * PACE_BURST_NS, so that what goes in one burst is enough to see how fast the link is.
 */
bool pace_may_send(struct pace *c, uint64_t now);
/* Nothing more is to go for now, whatever the budget, until pace_may_send() is asked again. */
void pace_stop(struct pace *c);
/* @bytes went. */
void pace_sent(struct pace *c, uint64_t bytes);
/* A round begins: nothing was idle in it. */
void pace_round(struct pace *c);
/* True while the budget is spent and it is not known yet that the link has run empty. */
bool pace_wants_idle(const struct pace *c);
/* It has run empty, at @now: what it carries when nothing limits it is the rest of the round. */
void pace_idle(struct pace *c, uint64_t now);

#endif
