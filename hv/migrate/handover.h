/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both ends of the hand-over share: how long who tries to become the owner (acquire() of
 * vm_ops.h) goes on trying, and how often. Pure. docs/protocol.md draws the hand-over.
 * Next in the flow: source.h, target.h.
 */
#ifndef WATARI_MIGRATE_HANDOVER_H
#define WATARI_MIGRATE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

/* A host that was lost keeps its locks on NFS for a lease, 90 s by default: longer than that. */
#define HANDOVER_ARBITRATE_NS (120ull * 1000000000)
/* A target that was told COMMIT: the source has let go, so it takes a round trip to the storage.
 * Less than the source waits for THAWED, so that it hears of a refusal. */
#define HANDOVER_ACQUIRE_NS (5ull * 1000000000)
/* From LOADED to COMMIT nothing takes long. */
#define HANDOVER_COMMIT_NS (10ull * 1000000000)

#define HANDOVER_PAUSE_LEAST_NS (2ull * 1000000)
#define HANDOVER_PAUSE_MOST_NS  (250ull * 1000000)

struct handover_wait {
	uint64_t until; /* monotonic ns: no new attempt from then on */
	uint64_t next;  /* of the next attempt; UINT64_MAX: one is under way */
	uint64_t pause;
};

static inline void handover_begin(struct handover_wait *w, uint64_t now, uint64_t limit)
{
	*w = (struct handover_wait){
		.until = now + limit, .next = UINT64_MAX, .pause = HANDOVER_PAUSE_LEAST_NS
	};
}

/* An attempt failed in a way that another may not. False: the time is up. */
static inline bool handover_again(struct handover_wait *w, uint64_t now)
{
	if (now >= w->until)
		return false;
	w->next = now + w->pause;
	w->pause = w->pause * 2 < HANDOVER_PAUSE_MOST_NS ? w->pause * 2 : HANDOVER_PAUSE_MOST_NS;
	return true;
}

/* True, once, when the next attempt is due. */
static inline bool handover_due(struct handover_wait *w, uint64_t now)
{
	if (now < w->next)
		return false;
	w->next = UINT64_MAX;
	return true;
}

#endif
