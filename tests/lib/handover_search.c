/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the walks of handover_search.h: the table of situations seen, with how many schedules lead
 * from each to an end, and the trace of the present one. Must never leave out a move that may
 * happen. Invariant: no situation is on the way twice. Next in the flow: handover_world.c.
 */
#include "tests/lib/handover_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
	struct world_key key;
	double schedules; /* 0: unused; negative: on the way */
};

struct walk {
	struct search *out;
	search_end *end;
	struct seen *seen;
	size_t size, used; /* size: a power of two */
};

static size_t seen_hash(const struct world_key *k)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(k->b); i += 8) {
		uint64_t word;

		memcpy(&word, &k->b[i], 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return (size_t)h;
}

static struct seen *seen_slot(struct walk *k, const struct world_key *key)
{
	size_t i = seen_hash(key) & (k->size - 1);

	while (k->seen[i].schedules != 0 && memcmp(&k->seen[i].key, key, sizeof(*key)) != 0)
		i = (i + 1) & (k->size - 1);
	return &k->seen[i];
}

static void seen_grow(struct walk *k)
{
	struct seen *old = k->seen;
	size_t n = k->size;

	k->size *= 2;
	k->seen = calloc(k->size, sizeof(*k->seen));
	if (!k->seen)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (old[i].schedules != 0)
			*seen_slot(k, &old[i].key) = old[i];
	}
	free(old);
}

/* The moves of @w into @moves: those of a limit only if the patient have nothing else to wait for.
 */
static unsigned moves_of(const struct world *w, uint8_t *moves)
{
	unsigned n = 0;

	for (unsigned pass = 0; pass < 2 && n == 0; pass++) {
		for (unsigned m = 0; m < WORLD_MOVES; m++) {
			if (w->p.patient && world_is_limit(m) != (pass == 1))
				continue;
			if (world_can(w, m))
				moves[n++] = (uint8_t)m;
		}
	}
	return n;
}

static const char *end_violation(const struct world *w, search_end *end)
{
	if (!world_over(w))
		return "nothing happens any more, and the hand-over has not ended";
	return end && !end(w) ? "it does not end as it must" : NULL;
}

static double walk(struct walk *k, const struct world *w)
{
	struct search *s = k->out;
	uint8_t moves[WORLD_MOVES];
	double schedules = 0;
	struct world_key key;
	struct seen *seen;
	unsigned n;

	if (2 * k->used >= k->size)
		seen_grow(k);
	world_key(w, &key);
	seen = seen_slot(k, &key);
	if (w->violation || seen->schedules < 0 || s->depth + 1 == SEARCH_DEPTH) {
		s->violation = w->violation ? w->violation : "a circle: it need not ever end";
		return 0;
	}
	if (seen->schedules > 0)
		return seen->schedules;
	*seen = (struct seen){ key, -1 };
	k->used++;
	s->states++;
	n = moves_of(w, moves);
	for (unsigned i = 0; i < n; i++) {
		struct world next = *w;

		world_do(&next, moves[i]);
		s->trace[s->depth++] = moves[i];
		if (s->depth > s->longest)
			s->longest = s->depth;
		schedules += walk(k, &next);
		if (s->violation)
			return 0;
		s->depth--;
	}
	if (n == 0) {
		s->ends++;
		schedules = 1;
		s->violation = end_violation(w, k->end);
	}
	seen_slot(k, &key)->schedules = schedules; /* the table may have grown meanwhile */
	return schedules;
}

void search_all(struct search *s, const struct world_params *p, search_end *end)
{
	struct walk k = { .out = s, .end = end, .size = 1u << 16 };
	struct world w;

	memset(s, 0, sizeof(*s));
	k.seen = calloc(k.size, sizeof(*k.seen));
	if (!k.seen)
		abort();
	world_init(&w, p);
	s->schedules = walk(&k, &w);
	free(k.seen);
}

/* xorshift64*: the same schedules for the same seed, everywhere. */
static uint64_t search_next(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * 0x2545f4914f6cdd1du;
}

void search_random(struct search *s, const struct world_params *p, search_end *end, unsigned runs,
	uint64_t seed)
{
	uint64_t x = seed;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < runs; i++) {
		uint8_t moves[WORLD_MOVES];
		struct world w;
		unsigned n;

		world_init(&w, p);
		s->depth = 0;
		while ((n = moves_of(&w, moves)) > 0 && !w.violation && s->depth < SEARCH_DEPTH) {
			uint8_t m = moves[search_next(&x) % n];

			s->trace[s->depth++] = m;
			world_do(&w, m);
			s->states++;
		}
		s->longest = s->depth > s->longest ? s->depth : s->longest;
		s->violation = w.violation ? w.violation
			       : n         ? "it does not end"
					   : end_violation(&w, end);
		if (s->violation)
			return;
		s->schedules++;
	}
}

void search_print(const struct search *s)
{
	printf("# %s, after:\n", s->violation ? s->violation : "no violation");
	for (unsigned i = 0; i < s->depth; i++)
		printf("#   %s %s\n", s->trace[i] % 2 == WORLD_SOURCE ? "source" : "target",
			world_move_name(s->trace[i]));
}
