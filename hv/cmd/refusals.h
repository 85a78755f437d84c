/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What receive says of peers it refused: each with its address and the reason, but not more lines
 * than somebody would read, however many knock. Within a time of REFUSALS_NS the first
 * REFUSALS_OF_PEER of one peer are told in full, and REFUSALS_LINES of all; the others are counted,
 * and told at its end by one line for each peer. Peers past REFUSALS_PEERS share a count.
 *
 * Time (CLOCK_MONOTONIC, ns) is passed in; nothing is allocated. One thread.
 * Next in the flow: receive.c, whose timer calls refusals_end().
 */
#ifndef WATARI_CMD_REFUSALS_H
#define WATARI_CMD_REFUSALS_H

#include <stdint.h>

#include "hv/migrate/xport_addr.h"

#define REFUSALS_NS      10000000000ull
#define REFUSALS_OF_PEER 10u
#define REFUSALS_LINES   50u
#define REFUSALS_PEERS   16u

struct refusals {
	void (*line)(void *arg, const char *text); /* takes one line, without its newline */
	void *arg;
	uint64_t end;   /* of the time that runs; 0: none does */
	unsigned lines; /* told in it */
	struct refusals_peer {
		char name[XPORT_HOST_MAX]; /* "": free */
		unsigned told;
		uint64_t left_out;
	} peer[REFUSALS_PEERS + 1]; /* the last: all others */
};

/* All zero but @line and @arg is a fresh one. @why is a sentence; what no terminal should get in it
 * becomes '?'. */
void refusals_add(struct refusals *f, const char *peer, const char *why, uint64_t now);
/* Tells what was left out, if the time that runs ends by @now. UINT64_MAX: in any case. */
void refusals_end(struct refusals *f, uint64_t now);

#endif
