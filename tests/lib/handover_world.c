/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what happens around the two machines of a hand-over (see handover_world.h): to-dos become
 * messages and steps of the storage, and those become events. Must never look into a machine but
 * for its state and its to-dos.
 * Reading order: the list of moves; world_can() says when, world_do() what.
 * Next in the flow: handover_search.c.
 */
#include "tests/lib/handover_world.h"

#include <string.h>

enum { OP_IDLE, OP_LOCKING, OP_READING, OP_WRITING };

/* Each twice, for the source and for the target: move = 2 * kind + side. */
enum kind {
	CARRY_OUT,
	ANSWERED,
	DELIVERED,
	DELIVERED_LATE, /* with the limit of the frozen phase passed */
	HELD_DELIVERED,
	TOLD_DOWN,
	LIMIT,
	ATTEMPT,
	LAST_ATTEMPT,
	CANCEL,
	POWER_OFF,
	STORAGE,       /* the next step of an attempt to acquire */
	STORAGE_WRITE, /* ... that arrives although its answer does not */
	LATE_RELEASE,
	/* faults */
	DROP,
	DELAY,
	COPY,
	CRASH,
	CUT,
	OUT_OF_REACH,
	CUT_OFF, /* link and storage at once */
	/* what goes by itself */
	BACK,     /* in reach of the storage again */
	LET_GO,   /* the lock of a process that ended, or of a host that is gone */
	EXPIRE,   /* the lease of a host that is cut off */
	LOOK,     /* somebody takes the lock to look at the record ... */
	LOOK_END, /* ... and gives it back */
	KINDS,
	FIRST_FAULT = DROP,
	LAST_FAULT = CUT_OFF,
};
_Static_assert(2 * KINDS == WORLD_MOVES, "every kind, at either side");

static unsigned todos(const struct world *w, unsigned x)
{
	return x == WORLD_SOURCE ? w->s.ntodo : w->t.ntodo;
}

bool world_waiting(const struct world *w, unsigned x)
{
	return x == WORLD_SOURCE
		       ? w->s.state == SOURCE_ARBITRATE && w->s.wait.next != UINT64_MAX
		       : (w->t.state == TARGET_ACQUIRE || w->t.state == TARGET_ARBITRATE) &&
				 w->t.wait.next != UINT64_MAX;
}

static void step(struct world *w, unsigned x, unsigned event, bool late)
{
	if (x == WORLD_SOURCE)
		world_source_step(&w->s, (enum source_event_type)event, late);
	else
		world_target_step(&w->t, (enum target_event_type)event, late);
}

/* ---- what is checked ---------------------------------------------------------------------- */

static bool in_doubt(const struct world *w, unsigned x)
{
	return w->host[x].alive &&
	       (x == WORLD_SOURCE ? w->s.state == SOURCE_IN_DOUBT : w->t.state == TARGET_IN_DOUBT);
}

static bool over(const struct world *w, unsigned x)
{
	return !w->host[x].alive || (w->host[x].finished && !todos(w, x));
}

static bool went_down(const struct world_host *h)
{
	return !h->alive && (h->wrote || h->started);
}

bool world_over(const struct world *w)
{
	return over(w, WORLD_SOURCE) && over(w, WORLD_TARGET);
}

bool world_fine(const struct world *w)
{
	const struct world_host *s = &w->host[WORLD_SOURCE], *t = &w->host[WORLD_TARGET];

	return s->running + t->running == 1 || w->off || in_doubt(w, WORLD_SOURCE) ||
	       in_doubt(w, WORLD_TARGET) || went_down(s) || went_down(t) ||
	       (!s->alive && !w->loaded);
}

bool world_moved(const struct world *w)
{
	return world_over(w) && w->host[WORLD_TARGET].running && w->s.state == SOURCE_DONE;
}

/* The first instruction of the guest at @x. */
static void start(struct world *w, unsigned x)
{
	struct world_host *h = &w->host[x];

	if (w->host[0].running || w->host[1].running)
		w->violation = "two runners";
	else if (h->image != w->version)
		w->violation = "the guest is started from a state that is not its newest";
	else if (w->p.arbiter && w->lock != x && !(w->writer == x && h->expired))
		w->violation = "the guest is started without the lock";
	h->image = ++w->version;
	h->running = h->started = true;
}

/* ---- the storage -------------------------------------------------------------------------- */

static void answer(struct world *w, unsigned x, unsigned source_event, unsigned target_event)
{
	struct world_host *h = &w->host[x];

	h->op = OP_IDLE;
	h->pending = (uint8_t)(1 + (x == WORLD_SOURCE ? source_event : target_event));
	h->mute = source_event == SOURCE_EV_MUTE;
	h->late = h->last;
	h->last = false;
}
#define ANSWER(w, x, what) answer(w, x, SOURCE_EV_##what, TARGET_EV_##what)

/* What cannot be given up goes with the process or the lease. */
static void unlock(struct world *w, unsigned x)
{
	if (w->lock != x)
		return;
	if (w->host[x].reach)
		w->lock = WORLD_NOBODY;
	else
		w->host[x].lets_go = true;
}

static void write_record(struct world *w, unsigned x)
{
	if (w->epoch < 2)
		w->epoch++;
	w->writer = (uint8_t)x;
	w->host[x].wrote = true;
}

static bool free_for(const struct world *w, unsigned x)
{
	return w->lock == x || w->lock == WORLD_NOBODY;
}

static bool own_write(const struct world *w, unsigned x)
{
	return w->epoch == 1 && w->writer == x;
}

static void storage_lock(struct world *w, unsigned x)
{
	if (free_for(w, x)) {
		w->lock = (uint8_t)x;
		w->host[x].lets_go = false;
		w->host[x].op = OP_READING;
	} else if (w->epoch == 0) {
		ANSWER(w, x, HELD);
	} else if (own_write(w, x)) {
		ANSWER(w, x, MUTE); /* it may be ours */
	} else {
		ANSWER(w, x, DENIED);
	}
}

static void storage_read(struct world *w, unsigned x)
{
	if (w->epoch == 0 || w->p.broken == WORLD_NO_EPOCH) {
		w->host[x].op = OP_WRITING;
	} else if (own_write(w, x)) {
		ANSWER(w, x, ACQUIRED); /* the answer was lost */
	} else {
		unlock(w, x);
		ANSWER(w, x, DENIED);
	}
}

static void storage_step(struct world *w, unsigned x, bool arrives)
{
	struct world_host *h = &w->host[x];

	if (!h->reach) {
		if (arrives)
			write_record(w, x);
		unlock(w, x);
		ANSWER(w, x, MUTE);
	} else if (h->op == OP_LOCKING) {
		storage_lock(w, x);
	} else if (h->op == OP_READING) {
		storage_read(w, x);
	} else if (w->lock != x && w->p.broken != WORLD_NO_FENCE) {
		h->op = OP_LOCKING; /* refused: once more from the lock on */
	} else {
		write_record(w, x);
		ANSWER(w, x, ACQUIRED);
	}
}

/* An attempt that would be answered as the last one was is left out. */
static bool other_answer(const struct world *w, unsigned x)
{
	const struct world_host *h = &w->host[x];

	if (h->mute)
		return h->reach && (free_for(w, x) || !own_write(w, x));
	return !h->reach || free_for(w, x) || (w->epoch != 0 && !own_write(w, x));
}

/* The limits are longer than a lease, and than what a host that is there does with a lock before
 * its part has ended. */
static bool patience_ends(const struct world *w, unsigned x)
{
	const struct world_host *o = &w->host[1 - x];

	return !w->host[x].reach || (w->lock == 1 - x && o->alive && !o->lets_go && o->finished);
}

/* ---- the to-dos --------------------------------------------------------------------------- */

static void put(struct world_host *h, unsigned event)
{
	if (h->nto < WORLD_LINK)
		h->to[h->nto++] = (uint8_t)(1 + event);
}

static void send(struct world *w, unsigned x, unsigned event)
{
	struct world_host *o = &w->host[1 - x];

	if (!w->cut && o->alive && !o->finished)
		put(o, event);
}

static unsigned take(struct world_host *h)
{
	unsigned event = h->to[0] - 1u;

	memmove(&h->to[0], &h->to[1], --h->nto);
	h->to[h->nto] = 0;
	return event;
}

static void start_unless_running(struct world *w, unsigned x)
{
	if (!w->host[x].running)
		start(w, x);
}

static void acquire(struct world *w, unsigned x)
{
	if (w->p.arbiter)
		w->host[x].op = OP_LOCKING;
	else
		ANSWER(w, x, ACQUIRED);
}

/* A copy that is not run is given up, and with it what it holds of the storage. */
static void finish(struct world *w, unsigned x)
{
	w->host[x].finished = true;
	if (w->p.arbiter && !w->host[x].running && !in_doubt(w, x))
		unlock(w, x);
}

static void source_carry_out(struct world *w)
{
	struct world_host *h = &w->host[WORLD_SOURCE];
	bool early = w->p.broken == WORLD_SOURCE_EARLY && w->s.committed;
	struct source_todo d;

	source_todo(&w->s, &d);
	switch (d.type) {
	case SOURCE_DO_RELEASE:
		h->pending = (h->reach ? SOURCE_EV_RELEASED : SOURCE_EV_FAILED) + 1;
		if (w->p.broken == WORLD_RELEASE_LATE)
			w->late_release = true;
		else if (h->reach)
			unlock(w, WORLD_SOURCE);
		break;
	case SOURCE_DO_COMMIT:
		if (d.a != w->s.params.epoch)
			w->violation = "COMMIT says another epoch";
		send(w, WORLD_SOURCE, TARGET_EV_COMMIT);
		break;
	case SOURCE_DO_ACQUIRE:
		if (early)
			start_unless_running(w, WORLD_SOURCE);
		acquire(w, WORLD_SOURCE);
		break;
	case SOURCE_DO_THAW: start_unless_running(w, WORLD_SOURCE); break;
	case SOURCE_DO_ABORT: send(w, WORLD_SOURCE, TARGET_EV_ABORT); break;
	case SOURCE_DO_FINISH:
		if (early && !w->p.arbiter && w->s.state == SOURCE_IN_DOUBT)
			start_unless_running(w, WORLD_SOURCE);
		finish(w, WORLD_SOURCE);
		break;
	default: break;
	}
}

static void target_carry_out(struct world *w)
{
	struct world_host *h = &w->host[WORLD_TARGET];
	bool early = w->p.broken == WORLD_TARGET_EARLY;
	struct target_todo d;

	target_todo(&w->t, &d);
	switch (d.type) {
	case TARGET_DO_LOAD:
		h->image = 1;
		h->pending = TARGET_EV_STATE_LOADED + 1;
		break;
	case TARGET_DO_LOADED:
		w->loaded = true;
		send(w, WORLD_TARGET, SOURCE_EV_LOADED);
		if (early && !w->p.arbiter)
			start_unless_running(w, WORLD_TARGET);
		break;
	case TARGET_DO_ACQUIRE:
		if (early)
			start_unless_running(w, WORLD_TARGET);
		acquire(w, WORLD_TARGET);
		break;
	case TARGET_DO_THAW:
		start_unless_running(w, WORLD_TARGET);
		h->pending = TARGET_EV_RUNS + 1;
		break;
	case TARGET_DO_THAWED: send(w, WORLD_TARGET, SOURCE_EV_THAWED); break;
	case TARGET_DO_ABORT: send(w, WORLD_TARGET, SOURCE_EV_ABORT); break;
	case TARGET_DO_FINISH: finish(w, WORLD_TARGET); break;
	default: break;
	}
}

/* ---- what may happen ---------------------------------------------------------------------- */

static bool limited(const struct world *w, unsigned x)
{
	return x == WORLD_TARGET ? w->t.state == TARGET_LOADED
				 : w->s.state == SOURCE_SAVE || w->s.state == SOURCE_WAIT_LOADED ||
					   w->s.state == SOURCE_WAIT_THAWED;
}

/* What comes to the machine at @x: to-dos first, then one thing at a time. */
static bool can_hear(const struct world *w, enum kind k, unsigned x)
{
	const struct world_host *h = &w->host[x], *o = &w->host[1 - x];
	bool source = x == WORLD_SOURCE;

	if (k == ANSWERED)
		return h->pending;
	if (h->pending || h->op != OP_IDLE)
		return false;
	switch (k) {
	case DELIVERED: return h->nto && !h->told_down;
	case DELIVERED_LATE:
		return source && !w->p.patient && w->s.state == SOURCE_WAIT_LOADED && h->nto &&
		       !h->told_down;
	case HELD_DELIVERED: return h->held;
	case TOLD_DOWN: return !h->told_down && (w->cut || !o->alive || (o->finished && !h->nto));
	case LIMIT: return limited(w, x);
	case ATTEMPT: return world_waiting(w, x) && other_answer(w, x);
	case LAST_ATTEMPT: return world_waiting(w, x) && patience_ends(w, x);
	case CANCEL:
		return source && !w->p.patient && !w->cancelled &&
		       (w->s.state == SOURCE_SAVE || w->s.state == SOURCE_WAIT_LOADED);
	default: return false;
	}
}

static bool can_fault(const struct world *w, enum kind k, unsigned x)
{
	const struct world_host *h = &w->host[x];

	if (!w->faults || !h->alive)
		return false;
	switch (k) {
	case DROP: return h->nto;
	case DELAY:
	case COPY: return h->nto && !h->held;
	case CRASH: return true;
	case CUT: return x == WORLD_SOURCE && !w->cut;
	default: return w->p.arbiter && h->reach;
	}
}

static bool can_go_by_itself(const struct world *w, enum kind k, unsigned x)
{
	const struct world_host *h = &w->host[x];

	switch (k) {
	case BACK: return !h->reach;
	case LET_GO: return w->lock == x && h->lets_go;
	case EXPIRE: return w->lock == x && !h->reach;
	case LOOK:
		return w->p.arbiter && x == WORLD_SOURCE && w->lock == WORLD_NOBODY && !w->looked;
	default: return x == WORLD_SOURCE && w->lock == WORLD_OTHER;
	}
}

bool world_is_limit(unsigned move)
{
	return move / 2 == LIMIT || move / 2 == LAST_ATTEMPT;
}

bool world_can(const struct world *w, unsigned move)
{
	enum kind k = (enum kind)(move / 2);
	unsigned x = move % 2;
	const struct world_host *h = &w->host[x];
	bool idle = h->alive && !todos(w, x);

	if (k == CARRY_OUT)
		return h->alive && todos(w, x);
	if (k >= FIRST_FAULT && k <= LAST_FAULT)
		return can_fault(w, k, x);
	if (k >= BACK)
		return can_go_by_itself(w, k, x);
	switch (k) {
	case POWER_OFF: return !w->p.patient && idle && h->running && h->finished;
	case STORAGE: return idle && h->op != OP_IDLE;
	case STORAGE_WRITE: return idle && h->op == OP_WRITING && !h->reach && w->lock == x;
	case LATE_RELEASE:
		return w->late_release && x == WORLD_SOURCE && idle && h->op == OP_IDLE &&
		       w->s.state > SOURCE_WAIT_THAWED;
	default: return idle && !h->finished && can_hear(w, k, x);
	}
}

static void do_fault(struct world *w, enum kind k, unsigned x)
{
	struct world_host *h = &w->host[x];

	w->faults--;
	switch (k) {
	case DROP: take(h); break;
	case DELAY: h->held = (uint8_t)(1 + take(h)); break;
	case COPY: h->held = h->to[0]; break;
	case CRASH:
		h->alive = h->running = false;
		h->op = OP_IDLE;
		h->pending = 0;
		h->lets_go = true;
		break;
	case CUT: w->cut = true; break;
	default: h->reach = false; w->cut = w->cut || k == CUT_OFF;
	}
}

static void go_by_itself(struct world *w, enum kind k, unsigned x)
{
	struct world_host *h = &w->host[x];

	if (k == BACK) {
		h->reach = true;
		return;
	}
	w->lock = k == LOOK ? WORLD_OTHER : WORLD_NOBODY;
	w->looked = w->looked || k == LOOK;
	h->expired = h->expired || k == EXPIRE;
	if (k == LET_GO)
		h->lets_go = false;
}

static void do_hear(struct world *w, enum kind k, unsigned x)
{
	struct world_host *h = &w->host[x];
	unsigned tick = x == WORLD_SOURCE ? SOURCE_EV_TICK : (unsigned)TARGET_EV_TICK;
	unsigned event = tick;
	bool late = k == LIMIT || k == DELIVERED_LATE;

	if (k == ANSWERED) {
		event = h->pending - 1u;
		late = h->late;
		h->pending = 0;
		h->late = false;
	} else if (k == DELIVERED || k == DELIVERED_LATE) {
		event = take(h);
	} else if (k == HELD_DELIVERED) {
		event = h->held - 1u;
		h->held = 0;
	} else if (k == TOLD_DOWN) {
		h->told_down = true;
		event = x == WORLD_SOURCE ? SOURCE_EV_DOWN : (unsigned)TARGET_EV_DOWN;
	} else if (k == CANCEL) {
		w->cancelled = true;
		event = SOURCE_EV_CANCEL;
	} else if (k == LAST_ATTEMPT) {
		h->last = true;
	}
	step(w, x, event, late);
}

void world_do(struct world *w, unsigned move)
{
	enum kind k = (enum kind)(move / 2);
	unsigned x = move % 2;

	if (k >= FIRST_FAULT) {
		if (k <= LAST_FAULT)
			do_fault(w, k, x);
		else
			go_by_itself(w, k, x);
		return;
	}
	switch (k) {
	case CARRY_OUT:
		if (x == WORLD_SOURCE)
			source_carry_out(w);
		else
			target_carry_out(w);
		break;
	case POWER_OFF:
		w->host[x].running = false;
		w->off = true;
		unlock(w, x);
		break;
	case STORAGE:
	case STORAGE_WRITE: storage_step(w, x, k == STORAGE_WRITE); break;
	case LATE_RELEASE:
		w->late_release = false;
		unlock(w, x);
		break;
	default: do_hear(w, k, x);
	}
}

const char *world_move_name(unsigned move)
{
	static const char *const names[KINDS] = {
		[CARRY_OUT] = "carries a to-do out",
		[ANSWERED] = "is answered",
		[DELIVERED] = "gets a message",
		[DELIVERED_LATE] = "gets a message after the limit",
		[HELD_DELIVERED] = "gets a message that was delayed or copied",
		[TOLD_DOWN] = "learns that the link is down",
		[LIMIT] = "waited to the limit",
		[ATTEMPT] = "tries again to acquire",
		[LAST_ATTEMPT] = "tries for the last time to acquire",
		[CANCEL] = "is cancelled",
		[POWER_OFF] = "sees the guest power off",
		[STORAGE] = "goes on with its attempt to acquire",
		[STORAGE_WRITE] = "writes the record, but gets no answer",
		[LATE_RELEASE] = "releases the lock late",
		[DROP] = "FAULT loses a message on its way here",
		[DELAY] = "FAULT has a message delayed",
		[COPY] = "FAULT has a message copied",
		[CRASH] = "FAULT crashes",
		[CUT] = "FAULT the link is cut",
		[OUT_OF_REACH] = "FAULT cannot reach the storage",
		[CUT_OFF] = "FAULT loses link and storage",
		[BACK] = "reaches the storage again",
		[LET_GO] = "no longer holds the lock it let go",
		[EXPIRE] = "loses its lease",
		[LOOK] = "(a third looks at the lock)",
		[LOOK_END] = "(the third is gone)",
	};

	return names[move / 2];
}
