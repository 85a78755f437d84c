/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the decisions of a move at its source: when a round ends, when to freeze, when to give up,
 * and the moment of commit (see source.h). Must never do I/O or read a clock.
 * Reading order: the table `rules` is the machine; predict.c has the arithmetic.
 * Next in the flow: pump_source.c.
 */
#include "hv/migrate/source.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hv/mem/gmem.h"
#include "hv/migrate/predict.h"

static void source_do(struct source *s, enum source_todo_type type, uint64_t a)
{
	s->todo[s->ntodo++] = (struct source_todo){ type, a };
}

static void source_goto(struct source *s, enum source_state st, const struct source_event *ev)
{
	enum mig_limit was = limits_phase(s);

	s->state = st;
	s->since = ev->now;
	if (limits_phase(s) != was)
		s->far.phase_start = ev->now;
}

/*
 * The guest lives on here: the guest first, then the news. Thawing comes before anything that may
 * take time, and turning tracking off (milliseconds per GiB) comes after the thaw.
 */
static void source_back(struct source *s, const struct source_event *ev)
{
	s->ntodo = 0; /* what was still to be done for the move is not to be done any more */
	if (s->share != SOURCE_SHARE_FULL)
		source_do(s, SOURCE_DO_THROTTLE, SOURCE_SHARE_FULL);
	s->share = SOURCE_SHARE_FULL;
	if (s->frozen)
		source_do(s, SOURCE_DO_THAW, 0);
	s->frozen = false;
	if (!s->down)
		source_do(s, SOURCE_DO_ABORT, 0);
	if (s->tracking)
		source_do(s, SOURCE_DO_UNTRACK, 0);
	s->tracking = false;
	source_do(s, SOURCE_DO_FINISH, 0);
	source_goto(s, SOURCE_GIVEN_UP, ev);
}

/* The target may be, or become, the owner: nothing runs here before the storage says so. */
static void source_arbitrate(struct source *s, const struct source_event *ev)
{
	s->ntodo = 0;
	handover_begin(&s->wait, ev->now, s->params.arbitrate_timeout_ns);
	source_do(s, SOURCE_DO_ACQUIRE, s->params.epoch);
	source_goto(s, SOURCE_ARBITRATE, ev);
}

/* Every ending before commit. Once the target has what it needs to run, the epoch must move on. */
static void source_give_up(struct source *s, const struct source_event *ev)
{
	if (ev->type == SOURCE_EV_DOWN)
		s->down = true;
	if (s->shared)
		source_arbitrate(s, ev);
	else
		source_back(s, ev);
}

/* Nobody can say who owns the guest: it stays frozen, and err says what to do. */
static void source_in_doubt(struct source *s, const struct source_event *ev)
{
	s->ntodo = 0;
	if (s->share != SOURCE_SHARE_FULL)
		source_do(s, SOURCE_DO_THROTTLE, SOURCE_SHARE_FULL);
	s->share = SOURCE_SHARE_FULL;
	if (s->tracking)
		source_do(s, SOURCE_DO_UNTRACK, 0);
	s->tracking = false;
	source_do(s, SOURCE_DO_FINISH, 0);
	source_goto(s, SOURCE_IN_DOUBT, ev);
}

static void source_connected(struct source *s, const struct source_event *ev)
{
	source_goto(s, SOURCE_WAIT_READY, ev);
}

static void source_ready(struct source *s, const struct source_event *ev)
{
	s->save_ns = ev->a;
	s->load_ns = ev->b;
	s->state_bytes = ev->c;
	s->tracking = true; /* from here on it may be on, so every ending turns it off */
	source_do(s, SOURCE_DO_TRACK, 0);
	source_goto(s, SOURCE_TRACK, ev);
}

static void source_send_round(struct source *s, const struct source_event *ev)
{
	s->round++;
	s->round_start = ev->now;
	source_do(s, SOURCE_DO_SEND, s->hold);
	source_goto(s, SOURCE_SEND, ev);
}

static void source_tracking(struct source *s, const struct source_event *ev)
{
	s->residual_pages = ev->a;
	s->best_pages = UINT64_MAX;
	source_send_round(s, ev);
}

static void source_sent(struct source *s, const struct source_event *ev)
{
	s->round_bytes = ev->a;
	s->round_idle = ev->b;
	s->round_posted = ev->now - s->round_start;
	source_do(s, SOURCE_DO_ROUND, s->round);
	source_goto(s, SOURCE_WAIT_ACK, ev);
}

static void source_acked(struct source *s, const struct source_event *ev)
{
	uint64_t ns = ev->now - s->round_start;

	if (ev->a != s->round) {
		err_set(&s->err, -EPROTO,
			"the target acknowledged round %" PRIu64 " while round %u was under way",
			ev->a, s->round);
		source_give_up(s, ev);
		return;
	}
	s->pace = estimate_pace(s->pace, s->round_bytes, ns);
	/* A frozen guest is sent without a limit, so the time lost to it does not count. */
	if (s->round_idle < s->round_posted) {
		ns -= s->round_idle;
		s->round_posted -= s->round_idle;
	}
	estimate_round(&s->learned, s->round_bytes, s->round_posted, ns);
	source_do(s, SOURCE_DO_HARVEST, 0);
	source_goto(s, SOURCE_HARVEST, ev);
}

/* A round that leaves at least nine tenths of the least ever left has gained nothing. */
static bool source_stalled(struct source *s)
{
	if (s->best_pages == UINT64_MAX || s->residual_pages < s->best_pages / 10 * 9) {
		s->best_pages = s->residual_pages;
		s->stalls = 0;
		return false;
	}
	return ++s->stalls >= (s->params.on_stall == MIG_ON_STALL_THROTTLE
					      ? PREDICT_STALL_ROUNDS_THROTTLE
					      : PREDICT_STALL_ROUNDS);
}

static void source_freeze(struct source *s, const struct source_event *ev)
{
	if (limits_forbid_freeze(s, &s->err)) {
		source_give_up(s, ev);
		return;
	}
	s->frozen = true; /* from the attempt on: a failed freeze is thawed as well */
	source_do(s, SOURCE_DO_FREEZE, 0);
	source_goto(s, SOURCE_FREEZE, ev);
}

/* Rounds do not get smaller. */
static void source_stall(struct source *s, const struct source_event *ev)
{
	if (s->params.on_stall == MIG_ON_STALL_FREEZE) {
		source_freeze(s, ev);
	} else if (s->params.on_stall == MIG_ON_STALL_ABORT || s->share == SOURCE_SHARE_LEAST ||
		   predict_impossible(s)) {
		predict_explain_stall(s, &s->err);
		source_give_up(s, ev);
	} else {
		s->share = predict_share(s);
		s->best_pages = UINT64_MAX;
		s->stalls = 0;
		source_do(s, SOURCE_DO_THROTTLE, s->share);
		source_send_round(s, ev);
	}
}

static void source_nudged(struct source *s, const struct source_event *ev)
{
	estimate_stop(&s->learned, ev->a);
}

/* Meeting the limit is enough to freeze, but not while the blackout still gets much shorter. */
static void source_harvested(struct source *s, const struct source_event *ev)
{
	s->round_ns = ev->now - s->round_start;
	s->residual_pages = ev->a;
	s->hot_pages = ev->d;
	s->harvest_ns = ev->c;
	estimate_harvest(&s->learned, ev->b, ev->c, s->round_ns);
	s->dirty_rate = estimate_rate(ev->b * GMEM_PAGE_SIZE, s->round_ns);
	s->cold_rate = estimate_rate((ev->b - ev->d) * GMEM_PAGE_SIZE, s->round_ns);
	predict_blackout(s, &s->predicted);
	s->hold = predict_hold(s);
	if (s->predicted.total_ns > s->params.downtime_limit_ns) {
		if (source_stalled(s))
			source_stall(s, ev);
		else
			source_send_round(s, ev);
	} else if (predict_worth_a_round(s)) {
		s->polish++;
		source_send_round(s, ev);
	} else {
		source_freeze(s, ev);
	}
}

static void source_frozen(struct source *s, const struct source_event *ev)
{
	(void)ev;
	source_do(s, SOURCE_DO_HARVEST, 0);
	source_goto(s, SOURCE_LAST_HARVEST, ev);
}

static void source_last_harvested(struct source *s, const struct source_event *ev)
{
	s->residual_pages = ev->a;
	source_do(s, SOURCE_DO_SEND, 0);
	source_goto(s, SOURCE_LAST_SEND, ev);
}

/* With STATE the target has all it needs to run the guest if we are lost: rule 6 of protocol.md. */
static void source_last_sent(struct source *s, const struct source_event *ev)
{
	s->shared = s->params.epoch != 0;
	source_do(s, SOURCE_DO_SAVE, 0);
	source_goto(s, SOURCE_SAVE, ev);
}

static void source_saved(struct source *s, const struct source_event *ev)
{
	s->state_bytes = ev->a;
	source_goto(s, SOURCE_WAIT_LOADED, ev);
}

/* The locks go before the word: who gets COMMIT finds them free. */
static void source_loaded(struct source *s, const struct source_event *ev)
{
	s->load_ns = ev->a;
	s->shared = true;
	source_do(s, SOURCE_DO_RELEASE, 0);
	source_goto(s, SOURCE_RELEASE, ev);
}

static void source_released(struct source *s, const struct source_event *ev)
{
	s->committed = true;
	source_do(s, SOURCE_DO_COMMIT, s->params.epoch);
	source_goto(s, SOURCE_WAIT_THAWED, ev);
}

/* Tracking is not turned off: the machine goes away with its process. */
static void source_thawed(struct source *s, const struct source_event *ev)
{
	source_do(s, SOURCE_DO_FINISH, 0);
	source_goto(s, SOURCE_DONE, ev);
}

static void source_fault(struct source *s, const struct source_event *ev)
{
	err_set(&s->err, ev->code ? ev->code : -EIO, "%s", ev->text ? ev->text : "unknown fault");
	s->promised = ev->type == SOURCE_EV_ABORT;
	if (s->promised)
		err_wrap(&s->err, "the target gave the move up");
	source_give_up(s, ev);
}

static void source_cancel(struct source *s, const struct source_event *ev)
{
	limits_explain_cancel(s, &s->err);
	source_give_up(s, ev);
}

/* Committed and no answer: the target may run the guest or may be gone. */
static void source_lost(struct source *s, const struct source_event *ev)
{
	const char *what = ev->text ? ev->text : "no answer";

	if (ev->type == SOURCE_EV_DOWN)
		s->down = true;
	if (s->params.epoch) {
		err_set(&s->err, ev->code ? ev->code : -EIO,
			"the target has not said that it runs the guest (%s)", what);
		source_arbitrate(s, ev);
		return;
	}
	err_set(&s->err, ev->code ? ev->code : -EIO,
		"the guest was handed over but the target has not said that it runs (%s), and no disk on "
		"shared storage can decide; it stays frozen here: see whether it runs on the target, then "
		"end this copy (watari kill) or run it here (watari own)",
		what);
	source_in_doubt(s, ev);
}

/* After COMMIT: the target's promise never to run the guest. */
static void source_refused(struct source *s, const struct source_event *ev)
{
	s->promised = true;
	err_set(&s->err, ev->code ? ev->code : -EIO, "the target gave the move up: %s",
		ev->text ? ev->text : "it does not say why");
	source_arbitrate(s, ev);
}

/* ---- arbitration -------------------------------------------------------------------------- */

static void source_acquired(struct source *s, const struct source_event *ev)
{
	if (s->committed && !s->promised)
		err_wrap(&s->err,
			"the move was given up: by the lock on its disk the guest is this host's");
	source_back(s, ev);
}

/* Held elsewhere with our epoch, or no answer: an attempt later may be told more. */
static void source_not_acquired(struct source *s, const struct source_event *ev)
{
	if (handover_again(&s->wait, ev->now))
		return;
	err_set(&s->err, ev->code ? ev->code : -EIO,
		"the storage did not tell whose the guest is (%s); it stays frozen here: once the storage "
		"answers, watari own runs it here if it is this host's, watari kill ends this copy",
		ev->text ? ev->text : "no answer");
	source_in_doubt(s, ev);
}

/* The epoch moved on: somebody became the owner after us. */
static void source_denied(struct source *s, const struct source_event *ev)
{
	const char *what = ev->text ? ev->text : "the epoch moved on";

	s->ntodo = 0;
	if (s->promised) {
		err_set(&s->err, -EBUSY,
			"the target gave the move up, but the guest is not this host's any more (%s); it "
			"stays frozen here: watari kill ends this copy",
			what);
		source_in_doubt(s, ev);
		return;
	}
	err_set(&s->err, ev->code ? ev->code : -EIO,
		"the target's word that it runs the guest was lost, but the guest is not this host's any "
		"more: %s",
		what);
	source_do(s, SOURCE_DO_FINISH, 0);
	source_goto(s, SOURCE_MOVED, ev);
}

static void source_arbitrate_tick(struct source *s, const struct source_event *ev)
{
	if (handover_due(&s->wait, ev->now))
		source_do(s, SOURCE_DO_ACQUIRE, s->params.epoch);
}

/* It was only slow. One that says so before COMMIT is not believed. */
static void source_arbitrate_thawed(struct source *s, const struct source_event *ev)
{
	if (!s->committed)
		return;
	s->ntodo = 0;
	source_thawed(s, ev);
}

static void source_arbitrate_down(struct source *s, const struct source_event *ev)
{
	(void)ev;
	s->down = true;
}

static void source_arbitrate_abort(struct source *s, const struct source_event *ev)
{
	(void)ev;
	s->promised = true;
}

/* Whoever waits for the target waits so long, whatever the phase's own limit. */
static uint64_t source_silence(const struct source *s)
{
	switch (s->state) {
	case SOURCE_WAIT_ACK:
	case SOURCE_LAST_SEND:
	case SOURCE_WAIT_LOADED:
	case SOURCE_WAIT_THAWED: return s->since + s->params.answer_timeout_ns;
	default: return UINT64_MAX;
	}
}

uint64_t source_deadline(const struct source *s)
{
	uint64_t silence = source_silence(s), limit = limits_deadline(s);

	if (s->state == SOURCE_ARBITRATE)
		return s->wait.next;
	return silence < limit ? silence : limit;
}

static void source_tick(struct source *s, const struct source_event *ev)
{
	if (ev->now < source_silence(s))
		return;
	err_set(&s->err, -ETIMEDOUT, "the target has not answered for %.1f s%s",
		(double)s->params.answer_timeout_ns / 1e9,
		s->frozen ? " while the guest was frozen" : "");
	source_give_up(s, ev);
}

/*
 * The limit of the present phase, looked at before any event that would carry the move on. LOADED
 * is the last of them: a LOADED that comes too late gives the move up, one in time commits it in
 * the same step. From then on limits_deadline() is "never" whatever was configured, because a
 * committed move is in no phase; so no limit can fire after SOURCE_DO_COMMIT, and the silence of
 * the target that was given the guest ends in doubt (source_tick_committed), never in a thaw.
 * Events that end the move by themselves keep their own reason.
 */
static bool source_late(struct source *s, const struct source_event *ev)
{
	if (ev->type >= SOURCE_EV_CANCEL || ev->now < limits_deadline(s))
		return false;
	limits_explain(s, ev->now, &s->err);
	source_give_up(s, ev);
	return true;
}

static void source_tick_committed(struct source *s, const struct source_event *ev)
{
	struct source_event lost = *ev;

	if (ev->now < source_deadline(s))
		return;
	lost.code = -ETIMEDOUT;
	lost.text = "no answer in time";
	source_lost(s, &lost);
}

/* Too late to cancel, or a wait that only time can end: nothing happens. */
static void source_ignore(struct source *s, const struct source_event *ev)
{
	(void)s;
	(void)ev;
}

struct source_rule {
	enum source_state state;
	enum source_event_type event;
	void (*fn)(struct source *s, const struct source_event *ev);
};

/* The machine. What is not here and not in `always` is a fault of the peer or of the pump. */
static const struct source_rule rules[] = {
	{ SOURCE_IDLE, SOURCE_EV_CONNECTED, source_connected },
	{ SOURCE_WAIT_READY, SOURCE_EV_READY, source_ready },
	{ SOURCE_TRACK, SOURCE_EV_TRACKING, source_tracking },
	{ SOURCE_SEND, SOURCE_EV_SENT, source_sent },
	{ SOURCE_WAIT_ACK, SOURCE_EV_ACKED, source_acked },
	{ SOURCE_HARVEST, SOURCE_EV_NUDGED, source_nudged },
	{ SOURCE_HARVEST, SOURCE_EV_HARVESTED, source_harvested },
	{ SOURCE_FREEZE, SOURCE_EV_FROZEN, source_frozen },
	{ SOURCE_LAST_HARVEST, SOURCE_EV_HARVESTED, source_last_harvested },
	{ SOURCE_LAST_SEND, SOURCE_EV_SENT, source_last_sent },
	{ SOURCE_SAVE, SOURCE_EV_SAVED, source_saved },
	{ SOURCE_WAIT_LOADED, SOURCE_EV_LOADED, source_loaded },
	/* the word for which a cancel competes is ours already */
	{ SOURCE_RELEASE, SOURCE_EV_RELEASED, source_released },
	{ SOURCE_RELEASE, SOURCE_EV_CANCEL, source_ignore },
	/* committed: no way back but through the storage, whatever anybody says */
	{ SOURCE_WAIT_THAWED, SOURCE_EV_THAWED, source_thawed },
	{ SOURCE_WAIT_THAWED, SOURCE_EV_TICK, source_tick_committed },
	{ SOURCE_WAIT_THAWED, SOURCE_EV_CANCEL, source_ignore },
	{ SOURCE_WAIT_THAWED, SOURCE_EV_ABORT, source_refused },
	{ SOURCE_WAIT_THAWED, SOURCE_EV_DOWN, source_lost },
	{ SOURCE_WAIT_THAWED, SOURCE_EV_FAILED, source_lost },
	{ SOURCE_ARBITRATE, SOURCE_EV_ACQUIRED, source_acquired },
	{ SOURCE_ARBITRATE, SOURCE_EV_HELD, source_not_acquired },
	{ SOURCE_ARBITRATE, SOURCE_EV_MUTE, source_not_acquired },
	{ SOURCE_ARBITRATE, SOURCE_EV_DENIED, source_denied },
	{ SOURCE_ARBITRATE, SOURCE_EV_THAWED, source_arbitrate_thawed },
	{ SOURCE_ARBITRATE, SOURCE_EV_ABORT, source_arbitrate_abort },
	{ SOURCE_ARBITRATE, SOURCE_EV_DOWN, source_arbitrate_down },
	{ SOURCE_ARBITRATE, SOURCE_EV_TICK, source_arbitrate_tick },
	{ SOURCE_ARBITRATE, SOURCE_EV_CANCEL, source_ignore },
	{ SOURCE_ARBITRATE, SOURCE_EV_FAILED, source_ignore },
};

/* In every other state before commit. */
static const struct source_rule always[] = {
	{ SOURCE_STATES, SOURCE_EV_TICK, source_tick },
	{ SOURCE_STATES, SOURCE_EV_CANCEL, source_cancel },
	{ SOURCE_STATES, SOURCE_EV_ABORT, source_fault },
	{ SOURCE_STATES, SOURCE_EV_DOWN, source_fault },
	{ SOURCE_STATES, SOURCE_EV_FAILED, source_fault },
};

void source_init(struct source *s, const struct source_params *p)
{
	memset(s, 0, sizeof(*s));
	s->params = *p;
	s->best_pages = UINT64_MAX;
	s->share = SOURCE_SHARE_FULL;
	estimate_init(&s->learned, p->rtt_ns);
}

void source_step(struct source *s, const struct source_event *ev)
{
	struct source_event bad = *ev;

	if (source_ended(s))
		return;
	limits_note(s, ev);
	if (source_late(s, ev))
		return;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].state == s->state && rules[i].event == ev->type) {
			rules[i].fn(s, ev);
			return;
		}
	}
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
		if (always[i].event == ev->type) {
			always[i].fn(s, ev);
			return;
		}
	}
	if (s->state == SOURCE_ARBITRATE) /* only the storage decides now */
		return;
	err_set(&s->err, -EPROTO, "out of turn: %s while in state %s", source_event_name(ev->type),
		source_state_name(s->state));
	if (!source_committed(s)) {
		source_give_up(s, ev);
		return;
	}
	bad.text = "the target spoke out of turn";
	bad.code = -EPROTO;
	source_lost(s, &bad);
}

bool source_todo(struct source *s, struct source_todo *out)
{
	if (s->ntodo == 0)
		return false;
	*out = s->todo[0];
	memmove(&s->todo[0], &s->todo[1], --s->ntodo * sizeof(s->todo[0]));
	return true;
}

bool source_ended(const struct source *s)
{
	return s->state == SOURCE_DONE || s->state == SOURCE_MOVED || s->state == SOURCE_GIVEN_UP ||
	       s->state == SOURCE_IN_DOUBT;
}

bool source_committed(const struct source *s)
{
	return s->committed && s->state != SOURCE_GIVEN_UP;
}
