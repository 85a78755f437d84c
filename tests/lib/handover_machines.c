/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two machines of a move, brought to the point where the hand-over begins, and time in two
 * sizes: an event comes before every limit or after it, and after each the machines' times are set
 * back, so that equal situations are equal values. Must never change anything else in them.
 * Next in the flow: handover_world.c.
 */
#include <errno.h>

#include "tests/lib/handover_world.h"
#include "tests/lib/source_copy.h"

static void source_now(struct source *s)
{
	s->since = s->far.phase_start = WORLD_SOON;
	if (s->state != SOURCE_ARBITRATE)
		return;
	s->wait.until = 2 * (uint64_t)WORLD_SOON;
	s->wait.pause = 1;
	if (s->wait.next != UINT64_MAX)
		s->wait.next = WORLD_SOON;
}

void world_source_step(struct source *s, enum source_event_type type, bool late)
{
	struct source_event ev = { .type = type,
		.now = late ? WORLD_LATE : WORLD_SOON,
		.code = type >= SOURCE_EV_HELD ? -EIO : 0,
		.text = type >= SOURCE_EV_HELD ? "as the test has it" : NULL };

	source_step(s, &ev);
	source_now(s);
}

void world_target_step(struct target *t, enum target_event_type type, bool late)
{
	struct target_event ev = { .type = type,
		.now = late ? WORLD_LATE : WORLD_SOON,
		.a = type == TARGET_EV_COMMIT ? t->epoch : 0,
		.code = type >= TARGET_EV_HELD ? -EIO : 0,
		.text = type >= TARGET_EV_HELD ? "as the test has it" : NULL };

	if (type == TARGET_EV_STATE)
		ev.a = t->epoch;
	target_step(t, &ev);
	t->since = WORLD_SOON;
	t->wait.until = 2 * (uint64_t)WORLD_SOON;
	t->wait.pause = 1;
	if (t->wait.next != UINT64_MAX)
		t->wait.next = WORLD_SOON;
}

void world_machines(struct source *s, struct target *t, bool arbiter)
{
	static const struct source_event copy[] = { SOURCE_COPY_EVENTS };
	struct source_params sp = { .downtime_limit_ns = 1000000000,
		.answer_timeout_ns = 10000000000ull,
		.epoch = arbiter ? WORLD_EPOCH : 0,
		.arbitrate_timeout_ns = HANDOVER_ARBITRATE_NS };
	struct target_params tp = { .commit_timeout_ns = HANDOVER_COMMIT_NS,
		.acquire_timeout_ns = HANDOVER_ACQUIRE_NS,
		.arbitrate_timeout_ns = HANDOVER_ARBITRATE_NS };
	uint64_t now = WORLD_SOON / 2;

	mig_limits_default(&sp.limits);
	source_init(s, &sp);
	for (size_t i = 0; i < sizeof(copy) / sizeof(copy[0]); i++) {
		struct source_event ev = copy[i];

		ev.now = now += 1000000;
		source_step(s, &ev);
		s->ntodo = 0;
	}
	source_now(s);
	target_init(t, &tp);
	target_step(t, &(struct target_event){ .type = TARGET_EV_CONNECTED, .now = now });
	target_step(t, &(struct target_event){ .type = TARGET_EV_REHEARSED, .now = now });
	t->ntodo = 0;
	t->wait.next = UINT64_MAX;
	t->epoch = sp.epoch; /* what STATE will say */
}
