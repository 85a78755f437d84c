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
	t->epoch = ev->a;
	target_do(t, TARGET_DO_LOAD, 0);
	t->state = TARGET_LOAD;
}

static void target_loaded(struct target *t, const struct target_event *ev)
{
	t->load_ns = ev->a;
	t->since = ev->now;
	target_do(t, TARGET_DO_LOADED, 0);
	t->state = TARGET_LOADED;
}

/* ---- the hand-over ------------------------------------------------------------------------ */

static void target_commit(struct target *t, const struct target_event *ev)
{
	if (ev->a != t->epoch) {
		err_set(&t->err, -EPROTO,
			"the source commits epoch %" PRIu64 " after the state of epoch %" PRIu64,
			ev->a, t->epoch);
		target_give_up(t, true);
		return;
	}
	t->committed = true;
	handover_begin(&t->wait, ev->now, t->params.acquire_timeout_ns);
	target_do(t, TARGET_DO_ACQUIRE, t->epoch);
	t->state = TARGET_ACQUIRE;
}

/* Only now may it run; the news after, since the source waits for nothing any more. */
static void target_acquired(struct target *t, const struct target_event *ev)
{
	(void)ev;
	target_do(t, TARGET_DO_THAW, 0);
	t->state = TARGET_THAW;
}

static void target_denied(struct target *t, const struct target_event *ev)
{
	err_set(&t->err, ev->code ? ev->code : -EBUSY, "the guest cannot become this host's: %s",
		ev->text ? ev->text : "its epoch moved on");
	target_give_up(t, t->state == TARGET_ACQUIRE);
}

/* The abort is a promise: whatever the storage says later, nothing runs here. */
static void target_not_acquired(struct target *t, const struct target_event *ev)
{
	if (!handover_again(&t->wait, ev->now))
		target_denied(t, ev);
}

static void target_in_doubt(struct target *t)
{
	t->ntodo = 0;
	target_do(t, TARGET_DO_FINISH, 0);
	t->state = TARGET_IN_DOUBT;
}

/* Loaded, and no word from the source any more: it may be lost, or run the guest. */
static void target_lost(struct target *t, const struct target_event *ev)
{
	const char *what = ev->text ? ev->text : "no answer";

	if (!t->epoch) {
		err_set(&t->err, ev->code ? ev->code : -EIO,
			"the source was lost before it handed the guest over (%s), and no disk on shared "
			"storage can decide; it stays frozen here: see whether it runs on the source, then "
			"end this copy (watari kill) or run it here (watari own)",
			what);
		target_in_doubt(t);
		return;
	}
	err_set(&t->err, ev->code ? ev->code : -EIO, "the source was lost (%s)", what);
	handover_begin(&t->wait, ev->now, t->params.arbitrate_timeout_ns);
	target_do(t, TARGET_DO_ACQUIRE, t->epoch);
	t->state = TARGET_ARBITRATE;
}

static void target_loaded_tick(struct target *t, const struct target_event *ev)
{
	struct target_event lost = *ev;

	if (ev->now < target_deadline(t))
		return;
	lost.code = -ETIMEDOUT;
	lost.text = "it does not say whether the guest is handed over";
	target_lost(t, &lost);
}

/* Told COMMIT, and nobody is there who would hear of a refusal: the longer limit. */
static void target_acquire_down(struct target *t, const struct target_event *ev)
{
	t->wait.until = ev->now + t->params.arbitrate_timeout_ns;
	t->state = TARGET_ARBITRATE;
}

static void target_arbitrate_again(struct target *t, const struct target_event *ev)
{
	if (handover_again(&t->wait, ev->now))
		return;
	/* Who holds the lock is there, and this host is not needed. */
	if (t->epoch && ev->type == TARGET_EV_HELD) {
		target_denied(t, ev);
		return;
	}
	err_set(&t->err, ev->code ? ev->code : -EIO,
		"the source was lost and the storage did not tell whose the guest is (%s); it stays frozen "
		"here: once the storage answers, watari own runs it here if it is this host's, watari kill "
		"ends this copy",
		ev->text ? ev->text : "no answer");
	target_in_doubt(t);
}

static void target_acquire_tick(struct target *t, const struct target_event *ev)
{
	if (handover_due(&t->wait, ev->now))
		target_do(t, TARGET_DO_ACQUIRE, t->epoch);
}

static void target_arbitrate_commit(struct target *t, const struct target_event *ev)
{
	t->committed = t->committed || ev->a == t->epoch;
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
	{ TARGET_LOADED, TARGET_EV_DOWN, target_lost },
	{ TARGET_LOADED, TARGET_EV_TICK, target_loaded_tick },
	{ TARGET_ACQUIRE, TARGET_EV_ACQUIRED, target_acquired },
	{ TARGET_ACQUIRE, TARGET_EV_HELD, target_not_acquired },
	{ TARGET_ACQUIRE, TARGET_EV_MUTE, target_not_acquired },
	{ TARGET_ACQUIRE, TARGET_EV_DENIED, target_denied },
	{ TARGET_ACQUIRE, TARGET_EV_TICK, target_acquire_tick },
	{ TARGET_ACQUIRE, TARGET_EV_DOWN, target_acquire_down },
	{ TARGET_ACQUIRE, TARGET_EV_FAILED, target_ignore },
	{ TARGET_ARBITRATE, TARGET_EV_ACQUIRED, target_acquired },
	{ TARGET_ARBITRATE, TARGET_EV_HELD, target_arbitrate_again },
	{ TARGET_ARBITRATE, TARGET_EV_MUTE, target_arbitrate_again },
	{ TARGET_ARBITRATE, TARGET_EV_DENIED, target_denied },
	{ TARGET_ARBITRATE, TARGET_EV_TICK, target_acquire_tick },
	{ TARGET_ARBITRATE, TARGET_EV_COMMIT, target_arbitrate_commit },
	{ TARGET_ARBITRATE, TARGET_EV_DOWN, target_ignore },
	{ TARGET_ARBITRATE, TARGET_EV_FAILED, target_ignore },
	{ TARGET_THAW, TARGET_EV_RUNS, target_runs },
	{ TARGET_THAW, TARGET_EV_ABORT, target_ignore },
	{ TARGET_THAW, TARGET_EV_DOWN, target_ignore },
	{ TARGET_THAW, TARGET_EV_FAILED, target_ignore },
};

static const struct target_rule always[] = {
	{ TARGET_STATES, TARGET_EV_TICK, target_ignore },
	{ TARGET_STATES, TARGET_EV_ABORT, target_fault },
	{ TARGET_STATES, TARGET_EV_DOWN, target_fault },
	{ TARGET_STATES, TARGET_EV_FAILED, target_fault },
};

void target_init(struct target *t, const struct target_params *p)
{
	memset(t, 0, sizeof(*t));
	t->params = *p;
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
	/* Once it acquires, what a source says out of turn cannot take the guest back. */
	if (t->state == TARGET_ACQUIRE || t->state == TARGET_ARBITRATE || t->state == TARGET_THAW)
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
	return t->state == TARGET_DONE || t->state == TARGET_GIVEN_UP ||
	       t->state == TARGET_IN_DOUBT;
}

uint64_t target_deadline(const struct target *t)
{
	switch (t->state) {
	case TARGET_LOADED: return t->since + t->params.commit_timeout_ns;
	case TARGET_ACQUIRE:
	case TARGET_ARBITRATE: return t->wait.next;
	default: return UINT64_MAX;
	}
}
