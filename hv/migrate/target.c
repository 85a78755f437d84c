/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the order of things at the target of a move (see target.h). Must never do I/O.
 * Reading order: the table `rules` is the machine.
 * Next in the flow: pump_target.c.
 */
#include "hv/migrate/target.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void target_do(struct target *t, enum target_todo_type type, uint64_t a)
{
	t->todo[t->ntodo++] = (struct target_todo){ type, a };
}

static void target_give_up(struct target *t, bool tell)
{
	t->ntodo = 0;
	if (tell)
		target_do(t, TARGET_DO_ABORT, 0);
	target_do(t, TARGET_DO_FINISH, 0);
	t->state = TARGET_GIVEN_UP;
}

static void target_connected(struct target *t, const struct target_event *ev)
{
	(void)ev;
	target_do(t, TARGET_DO_REHEARSE, 0);
	t->state = TARGET_REHEARSE;
}

static void target_rehearsed(struct target *t, const struct target_event *ev)
{
	t->save_ns = ev->a;
	t->load_ns = ev->b;
	t->state_bytes = ev->c;
	target_do(t, TARGET_DO_READY, 0);
	t->state = TARGET_COPY;
}

static void target_round(struct target *t, const struct target_event *ev)
{
	if (ev->a != t->rounds + 1) {
		err_set(&t->err, -EPROTO, "the source sent round %" PRIu64 " after round %" PRIu64,
			ev->a, t->rounds);
		target_give_up(t, true);
		return;
	}
	t->rounds = ev->a;
	target_do(t, TARGET_DO_ACK, ev->a);
}

static void target_state_here(struct target *t, const struct target_event *ev)
{
	(void)ev;
	target_do(t, TARGET_DO_LOAD, 0);
	t->state = TARGET_LOAD;
}

static void target_loaded(struct target *t, const struct target_event *ev)
{
	t->load_ns = ev->a;
	target_do(t, TARGET_DO_LOADED, 0);
	t->state = TARGET_LOADED;
}

/* The guest first, the news after: the source waits for nothing any more. */
static void target_commit(struct target *t, const struct target_event *ev)
{
	(void)ev;
	target_do(t, TARGET_DO_THAW, 0);
	t->state = TARGET_THAW;
}

static void target_runs(struct target *t, const struct target_event *ev)
{
	(void)ev;
	target_do(t, TARGET_DO_THAWED, 0);
	target_do(t, TARGET_DO_FINISH, 0);
	t->state = TARGET_DONE;
}

static void target_fault(struct target *t, const struct target_event *ev)
{
	err_set(&t->err, ev->code ? ev->code : -EIO, "%s", ev->text ? ev->text : "unknown fault");
	if (ev->type == TARGET_EV_ABORT)
		err_wrap(&t->err, "the source gave the move up");
	target_give_up(t, ev->type == TARGET_EV_FAILED);
}

/* The guest is ours: that the source has gone, or says otherwise, changes nothing. */
static void target_ignore(struct target *t, const struct target_event *ev)
{
	(void)t;
	(void)ev;
}

struct target_rule {
	enum target_state state;
	enum target_event_type event;
	void (*fn)(struct target *t, const struct target_event *ev);
};

static const struct target_rule rules[] = {
	{ TARGET_IDLE, TARGET_EV_CONNECTED, target_connected },
	{ TARGET_REHEARSE, TARGET_EV_REHEARSED, target_rehearsed },
	{ TARGET_COPY, TARGET_EV_ROUND, target_round },
	{ TARGET_COPY, TARGET_EV_STATE, target_state_here },
	{ TARGET_LOAD, TARGET_EV_STATE_LOADED, target_loaded },
	{ TARGET_LOADED, TARGET_EV_COMMIT, target_commit },
	{ TARGET_THAW, TARGET_EV_RUNS, target_runs },
	{ TARGET_THAW, TARGET_EV_ABORT, target_ignore },
	{ TARGET_THAW, TARGET_EV_DOWN, target_ignore },
	{ TARGET_THAW, TARGET_EV_FAILED, target_ignore },
};

static const struct target_rule always[] = {
	{ TARGET_STATES, TARGET_EV_ABORT, target_fault },
	{ TARGET_STATES, TARGET_EV_DOWN, target_fault },
	{ TARGET_STATES, TARGET_EV_FAILED, target_fault },
};

void target_init(struct target *t)
{
	memset(t, 0, sizeof(*t));
}

void target_step(struct target *t, const struct target_event *ev)
{
	if (target_ended(t))
		return;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].state == t->state && rules[i].event == ev->type) {
			rules[i].fn(t, ev);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		if (always[i].event == ev->type) {
			always[i].fn(t, ev);
			return;
		}
	}
	/* A source that talks out of turn while the guest is being thawed cannot take it back. */
	if (t->state == TARGET_THAW)
		return;
	err_set(&t->err, -EPROTO, "out of turn: %s while in state %s", target_event_name(ev->type),
		target_state_name(t->state));
	target_give_up(t, true);
}

bool target_todo(struct target *t, struct target_todo *out)
{
	if (t->ntodo == 0)
		return false;
	*out = t->todo[0];
	memmove(&t->todo[0], &t->todo[1], --t->ntodo * sizeof(t->todo[0]));
	return true;
}

bool target_ended(const struct target *t)
{
	return t->state == TARGET_DONE || t->state == TARGET_GIVEN_UP;
}

const char *target_state_name(enum target_state st)
{
	static const char *const names[] = {
		[TARGET_IDLE] = "IDLE",
		[TARGET_REHEARSE] = "REHEARSE",
		[TARGET_COPY] = "COPY",
		[TARGET_LOAD] = "LOAD",
		[TARGET_LOADED] = "LOADED",
		[TARGET_THAW] = "THAW",
		[TARGET_DONE] = "DONE",
		[TARGET_GIVEN_UP] = "GIVEN_UP",
	};

	return st < TARGET_STATES ? names[st] : "?";
}

const char *target_event_name(enum target_event_type t)
{
	static const char *const names[] = {
		[TARGET_EV_CONNECTED] = "CONNECTED",
		[TARGET_EV_REHEARSED] = "REHEARSED",
		[TARGET_EV_ROUND] = "ROUND",
		[TARGET_EV_STATE] = "STATE",
		[TARGET_EV_STATE_LOADED] = "STATE_LOADED",
		[TARGET_EV_COMMIT] = "COMMIT",
		[TARGET_EV_RUNS] = "RUNS",
		[TARGET_EV_ABORT] = "ABORT",
		[TARGET_EV_DOWN] = "DOWN",
		[TARGET_EV_FAILED] = "FAILED",
	};

	return t < TARGET_EVENTS ? names[t] : "?";
}

const char *target_todo_name(enum target_todo_type t)
{
	static const char *const names[] = {
		[TARGET_DO_REHEARSE] = "rehearse",
		[TARGET_DO_READY] = "ready",
		[TARGET_DO_ACK] = "ack",
		[TARGET_DO_LOAD] = "load",
		[TARGET_DO_LOADED] = "loaded",
		[TARGET_DO_THAW] = "thaw",
		[TARGET_DO_THAWED] = "thawed",
		[TARGET_DO_ABORT] = "abort",
		[TARGET_DO_FINISH] = "finish",
	};

	return names[t];
}
