/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks through all that may happen in a hand-over, depth first, every situation once; or through
 * one random schedule after another. A walk ends at the first violation, with its trace.
 * Next in the flow: tests/unit/migrate_handover_test.c.
 */
#ifndef WATARI_TESTS_LIB_HANDOVER_SEARCH_H
#define WATARI_TESTS_LIB_HANDOVER_SEARCH_H

#include "tests/lib/handover_world.h"

#define SEARCH_DEPTH 400

struct search {
	uint64_t states, ends;
	double schedules;      /* different ways from the beginning to an end */
	unsigned longest;      /* moves */
	const char *violation; /* NULL: none */
	unsigned depth;
	uint8_t trace[SEARCH_DEPTH]; /* the moves that led to it */
};

/* What an end must be beside over: world_fine, world_moved, or NULL (safety alone). */
typedef bool search_end(const struct world *w);

/* Every schedule. A situation that comes again on the way from itself is a violation: it need not
 * ever end. */
void search_all(struct search *s, const struct world_params *p, search_end *end);
/* @runs random schedules, @s->violation of the first that has one; @seed gives them. */
void search_random(struct search *s, const struct world_params *p, search_end *end, unsigned runs,
	uint64_t seed);
void search_print(const struct search *s);

#endif
