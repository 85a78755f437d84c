/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a move learns while it copies, for each step of the blackout that is to come. Every round is
 * a rehearsal of its last one: pages are posted, a word follows them, the answer says that they are
 * there; and every harvest is one of the last harvest. Pure: time is passed in.
 * Invariant: whatever was fed, in whatever order, no estimate is a division by zero, and one that
 * nothing was learned for is 0 or what was known before the move.
 * Next in the flow: predict.h makes a blackout of these.
 */
#ifndef WATARI_MIGRATE_ESTIMATE_H
#define WATARI_MIGRATE_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* Smaller rounds measure latency, larger ones goodput. */
#define ESTIMATE_ROUND_MIN (1ull << 20)

/* Nothing large enough was sent yet: a slow link rather than a fast one; Gigabit Ethernet. */
#define ESTIMATE_SLOW 100000000ull

struct estimate {
	uint64_t goodput; /* bytes/s the link carries to memory that is there; 0: not known */
	bool warm;        /* ... seen in a round after the first, whose pages the target had to make */
	uint64_t answer_ns;  /* a word to the target and its answer, with nothing to send between */
	bool answered;       /* ... seen in a round, not at the rendezvous */
	unsigned posting;    /* thousandths of a round's time until all of it was posted */
	uint64_t harvest_ns; /* the least that any harvest took ... */
	uint64_t page_ps;    /* ... and what each page found adds, in ps */
	uint64_t workset;    /* pages: most that any harvest found */
	uint64_t write_rate; /* pages/s that the guest writes, as in a time too short to repeat any */
};

/* @answer_ns: what a word and its answer took at the rendezvous. */
void estimate_init(struct estimate *m, uint64_t answer_ns);

/* Bytes/s of @bytes in @ns; 0 if @ns is 0. */
uint64_t estimate_rate(uint64_t bytes, uint64_t ns);
/* How long @bytes take at @rate bytes/s; 0: not known, then at ESTIMATE_SLOW. */
uint64_t estimate_time(uint64_t bytes, uint64_t rate);

/*
 * The goodput after a round: the new figure weighs as much as all before it. A round too small to
 * say how fast the link is may still say that it is no slower than that.
 */
uint64_t estimate_goodput(uint64_t old, uint64_t bytes, uint64_t ns);

/*
 * A round is over: its first page was posted at 0, its last after @posted_ns, all were acknowledged
 * after @ns; time lost to a limit that a frozen guest does not know is in neither.
 */
void estimate_round(struct estimate *m, uint64_t bytes, uint64_t posted_ns, uint64_t ns);

/* A harvest took @ns and found @pages of what the guest wrote in @since_ns. */
void estimate_harvest(struct estimate *m, uint64_t pages, uint64_t ns, uint64_t since_ns);

/*
 * Pages that are dirtied in the next @ns and are not among the @todo that are to be sent anyway.
 * Writes fall on the working set evenly, as far as is known.
 */
uint64_t estimate_fresh(const struct estimate *m, uint64_t todo, uint64_t ns);

/* How long a harvest that finds @pages takes. */
uint64_t estimate_harvest_ns(const struct estimate *m, uint64_t pages);

#endif
