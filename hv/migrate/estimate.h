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
	bool warm; /* ... seen in a round after the first, whose pages the target had to make */
	uint64_t burst;     /* bytes/s of small rounds, their answers included; 0: there was none */
	uint64_t stop_ns;   /* until all vCPUs have left the guest */
	bool stopped;       /* ... measured in this move */
	uint64_t answer_ns; /* a word to the target and its answer, with nothing to send between */
	unsigned posting;   /* thousandths of a round's time until all of it was posted */
	uint64_t harvest_ns; /* the least that any harvest took ... */
	uint64_t page_ps;    /* ... and what each page found adds, in ps */
	uint64_t workset;    /* pages: most that any harvest found */
	uint64_t write_rate; /* pages/s that the guest writes, as in a time too short to repeat any
			      */
};

/* @answer_ns: what a word and its answer took at the rendezvous. */
void estimate_init(struct estimate *m, uint64_t answer_ns);

/* Bytes/s of @bytes in @ns; 0 if @ns is 0. */
uint64_t estimate_rate(uint64_t bytes, uint64_t ns);
/* How long @bytes take at @rate bytes/s; 0: not known, then at ESTIMATE_SLOW. */
uint64_t estimate_time(uint64_t bytes, uint64_t rate);
/* The pace of rounds after one: a new figure weighs as much as all before; small ones not at all.
 */
uint64_t estimate_pace(uint64_t old, uint64_t bytes, uint64_t ns);

/*
 * The speed after a round that took @bytes in @ns. One that is faster than before counts at once,
 * one that is slower by a quarter: rounds wait for the guest and for others on the host, which the
 * last one, the guest frozen and its senders urgent, does not.
 */
uint64_t estimate_speed(uint64_t old, uint64_t bytes, uint64_t ns);

/*
 * How long @bytes take with the guest frozen: the first ESTIMATE_ROUND_MIN as fast as small rounds
 * went, if that is faster; what is beyond by the goodput, for a link may let a little go at once.
 */
uint64_t estimate_transfer(const struct estimate *m, uint64_t bytes);

/*
 * A round is over: its first page was posted at 0, its last after @posted_ns, all were acknowledged
 * after @ns; time lost to a limit that a frozen guest does not know is in neither.
 */
void estimate_round(struct estimate *m, uint64_t bytes, uint64_t posted_ns, uint64_t ns);

/* All vCPUs were made to leave the guest in @ns, which counts as much as all before it; 0: not
 * known. */
void estimate_stop(struct estimate *m, uint64_t ns);

/* A harvest took @ns and found @pages of what the guest wrote in @since_ns. */
void estimate_harvest(struct estimate *m, uint64_t pages, uint64_t ns, uint64_t since_ns);

/*
 * Pages that are dirtied in the next @ns and are not among the @todo that are to be sent anyway.
 * Writes fall on the working set evenly, as far as is known.
 */
uint64_t estimate_fresh(const struct estimate *m, uint64_t todo, uint64_t ns);

/* How long a harvest that finds @pages takes. */
uint64_t estimate_harvest_ns(const struct estimate *m, uint64_t pages);

/*
 * What something takes that was tried @n times in a row and will then be done once, cold: as long
 * as the first try; unless that is so much more than the middle one that it must have waited. Puts
 * the samples in order. 0 if @n is 0.
 */
uint64_t estimate_cold(uint64_t *samples, unsigned n);

#endif
