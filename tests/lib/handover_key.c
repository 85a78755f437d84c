/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first situation of a hand-over, and what makes two situations the same: a key with all that
 * counts for what may happen next. Must never leave out a thing that does.
 * Next in the flow: handover_world.c.
 */
#include <string.h>

#include "tests/lib/handover_world.h"

void world_init(struct world *w, const struct world_params *p)
{
	memset(w, 0, sizeof(*w));
	w->p = *p;
	world_machines(&w->s, &w->t, p->arbiter);
	for (unsigned x = 0; x < 2; x++)
		w->host[x].alive = w->host[x].reach = true;
	w->lock = w->writer = WORLD_SOURCE;
	w->version = 1;
	w->faults = (uint8_t)p->faults;
	w->host[WORLD_SOURCE].image = 1;
	w->host[WORLD_SOURCE].pending = SOURCE_EV_SAVED + 1; /* STATE is on its way */
	w->host[WORLD_TARGET].to[w->host[WORLD_TARGET].nto++] = TARGET_EV_STATE + 1;
}

void world_key(const struct world *w, struct world_key *k)
{
	uint8_t *b = k->b;

	memset(k, 0, sizeof(*k));
	*b++ = (uint8_t)w->s.state;
	*b++ = (uint8_t)w->t.state;
	*b++ = (uint8_t)(w->s.shared | w->s.committed << 1 | w->s.promised << 2 | w->s.down << 3 |
			 w->s.frozen << 4 | w->s.tracking << 5 | w->t.committed << 6);
	*b++ = (uint8_t)(world_waiting(w, 0) | world_waiting(w, 1) << 1 | w->cut << 2 |
			 w->cancelled << 3 | w->looked << 4 | w->off << 5 | w->loaded << 6 |
			 w->late_release << 7);
	for (unsigned i = 0; i < w->s.ntodo; i++)
		*b++ = (uint8_t)(w->s.todo[i].type + 1);
	b = &k->b[4 + SOURCE_TODOS];
	for (unsigned i = 0; i < w->t.ntodo; i++)
		*b++ = (uint8_t)(w->t.todo[i].type + 1);
	b = &k->b[4 + SOURCE_TODOS + TARGET_TODOS];
	*b++ = (uint8_t)(w->lock | w->writer << 2 | w->epoch << 4);
	*b++ = w->version;
	*b++ = w->faults;
	for (unsigned x = 0; x < 2; x++) {
		const struct world_host *h = &w->host[x];

		*b++ = (uint8_t)(h->alive | h->finished << 1 | h->reach << 2 | h->told_down << 3 |
				 h->running << 4 | h->started << 5 | h->wrote << 6 |
				 h->lets_go << 7);
		*b++ = (uint8_t)(h->expired | h->mute << 1 | h->last << 2 | h->late << 3 |
				 h->op << 4);
		*b++ = h->pending;
		memcpy(b, h->to, WORLD_LINK);
		b += WORLD_LINK;
		*b++ = h->held;
		*b++ = h->image;
	}
	_Static_assert(4 + SOURCE_TODOS + TARGET_TODOS + 3 + 2 * (5 + WORLD_LINK) <= sizeof(k->b),
		"a key has room for all of it");
}
