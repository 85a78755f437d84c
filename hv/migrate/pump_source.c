/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the source's side of a running move: the plan, the transport, the clock. Decides nothing:
 * source.c does. Runs on one thread, the migration's.
 * Invariant: harvest, then post. Every page is re-armed by the harvest that reported it before its
 * bytes are read for a put, so a write during the put shows in the next harvest.
 * Next in the flow: pump_pages.c; on the other end pump_target.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/urgency.h"
#include "hv/migrate/cancel.h"
#include "hv/migrate/extents.h"
#include "hv/migrate/predict.h"
#include "hv/migrate/pump_parts.h"
#include "hv/migrate/wire.h"

/*
 * A cancel goes before anything that would carry the move on: so a guest is not frozen for a move
 * that is cancelled, and LOADED, which commits, is told only if no cancel was first. After the
 * commit the machine ignores it.
 */
void pump_event(struct pump *p, struct source_event ev)
{
	struct source_event cancel = { .type = SOURCE_EV_CANCEL,
		.now = clock_mono_ns(),
		.a = p->plan.pages_sent << GMEM_PAGE_SHIFT,
		.b = p->plan.todo_pages + p->plan.inflight_pages };

	ev.now = cancel.now;
	if (mig_is_cancelled(p->a->cancel) ||
		(ev.type == SOURCE_EV_LOADED && !mig_may_commit(p->a->cancel)))
		source_step(&p->s, &cancel);
	source_step(&p->s, &ev);
}

void pump_simple(struct pump *p, enum source_event_type type, uint64_t a, uint64_t b, uint64_t c)
{
	pump_event(p, (struct source_event){ .type = type, .a = a, .b = b, .c = c });
}

void pump_fault(struct pump *p, enum source_event_type type, const struct err *e)
{
	if (type == SOURCE_EV_DOWN)
		p->down = true;
	pump_event(p, (struct source_event){ .type = type, .code = e->code, .text = e->msg });
}

/* Sends one message whose body is in p->msg (or empty). */
static void pump_send(struct pump *p, enum wire_type type)
{
	struct err e = { 0 };

	if (p->down)
		return;
	if (p->msg.failed)
		err_set(&e, -ENOMEM, "no memory for a %s message", wire_type_name(type));
	else
		p->a->xport->msg(p->x, (uint16_t)type, p->msg.data, p->msg.len, &e);
	if (e.code)
		pump_fault(p, p->msg.failed ? SOURCE_EV_FAILED : SOURCE_EV_DOWN, &e);
}

static void pump_send_simple(struct pump *p, const struct wire_msg *m)
{
	wbuf_reset(&p->msg);
	wire_encode(m, &p->msg);
	pump_send(p, m->type);
}

/* A test may want to see this process, or its connection, gone here. */
#define pump_point(p, name) mig_point(&(p)->a->points, name, (p)->a->xport, (p)->x)

/* ---- to-dos ------------------------------------------------------------------------------- */

static void pump_do_track(struct pump *p)
{
	struct err e = { 0 };
	int r;

	/*
	 * Tracking first, the scan of what is allocated second: a page touched in between is found
	 * by one or by both, never by none.
	 */
	r = p->a->ops->track_start(p->a->vm, &e);
	if (!r)
		r = dirty_map_add_allocated(&p->found, p->a->mem, &e);
	if (r) {
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	/* What will arrive goes ahead of it, so that the target can make room. */
	wbuf_reset(&p->msg);
	extents_encode(&p->found, &p->msg);
	pump_send(p, WIRE_EXTENTS);
	plan_add(&p->plan, &p->found);
	/* The switchover must allocate nothing: room for the state as large as rehearsed, twice. */
	if (p->s.state_bytes < XPORT_MSG_MAX / 2 &&
		wbuf_reserve(&p->msg, (size_t)p->s.state_bytes * 2 + 4096)) {
		err_set(&e, -ENOMEM, "no memory to save the guest's state");
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	p->copy_at = clock_mono_ns();
	pump_simple(p, SOURCE_EV_TRACKING, p->plan.todo_pages, 0, 0);
}

/* As urgently as at the freeze; before a harvest, which finds what is written meanwhile. */
static void pump_nudge(struct pump *p)
{
	urgency_set(URGENCY_HIGH);
	pump_simple(p, SOURCE_EV_NUDGED, p->a->ops->nudge(p->a->vm), 0, 0);
	urgency_set(URGENCY_NORMAL);
	p->nudged_at = clock_mono_ns();
}

static void pump_do_harvest(struct pump *p)
{
	uint64_t t, found;
	struct err e = { 0 };

	if (!p->s.frozen && clock_mono_ns() - p->nudged_at >= PUMP_NUDGE_NS)
		pump_nudge(p);
	t = clock_mono_ns();
	if (p->a->ops->track_harvest(p->a->vm, &p->found, &e)) {
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	found = dirty_map_count(&p->found);
	if (p->s.frozen)
		plan_add(&p->plan, &p->found);
	else
		plan_add_round(&p->plan, &p->found);
	p->at.harvested = clock_mono_ns();
	pump_event(p, (struct source_event){ .type = SOURCE_EV_HARVESTED,
			      .a = p->plan.todo_pages,
			      .b = found,
			      .c = p->at.harvested - t,
			      .d = p->plan.hot_pages });
}

/* Books what the share so far has cost, and goes on with @share. */
static void pump_share(struct pump *p, unsigned share)
{
	uint64_t now = clock_mono_ns();

	p->out->throttled_ns +=
		(now - p->share_at) / SOURCE_SHARE_FULL * (SOURCE_SHARE_FULL - p->share);
	if (share < p->out->share_least)
		p->out->share_least = share;
	p->share = share;
	p->share_at = now;
}

static void pump_tick(struct pump *p)
{
	pump_simple(p, SOURCE_EV_TICK, p->plan.pages_sent << GMEM_PAGE_SHIFT,
		p->plan.todo_pages + p->plan.inflight_pages, 0);
}

static void pump_do_freeze(struct pump *p)
{
	struct err e = { 0 };
	int r;

	urgency_set(URGENCY_HIGH);
	p->at.freeze = clock_mono_ns();
	pump_share(p, p->share);
	p->out->predicted = p->s.predicted;
	p->out->rounds = p->s.round;
	/* Cancelled since the decision, or past the limit and let go: nothing may follow. */
	if (mig_is_cancelled(p->a->cancel) ||
		(r = quiesce_freeze(&p->quiesce, limits_deadline(&p->s), &e)) > 0) {
		pump_tick(p);
		return;
	}
	if (r) {
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	mig_stall(p->a->params.test_stall_ns);
	p->at.stopped = clock_mono_ns();
	pump_point(p, "source-frozen");
	pump_simple(p, SOURCE_EV_FROZEN, 0, 0, 0);
}

static void pump_do_save(struct pump *p)
{
	struct wire_msg m = { .type = WIRE_STATE, .clock_offset_ns = p->clock.offset_ns };
	struct err e = { 0 };

	p->at.posted = clock_mono_ns();
	wbuf_reset(&p->msg);
	m.clock_real_ns = clock_real_ns();
	memcpy(m.uuid, p->owner.uuid, sizeof(m.uuid));
	m.epoch = p->owner.epoch;
	wire_encode(&m, &p->msg);
	if (p->a->ops->save(p->a->vm, &p->msg, &e)) {
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	p->at.saved = clock_mono_ns();
	pump_send(p, WIRE_STATE);
	pump_point(p, "source-state-sent");
	pump_simple(p, SOURCE_EV_SAVED, p->msg.len, 0, 0);
}

static void pump_do_release(struct pump *p)
{
	struct err e = { 0 };

	p->at.loaded = clock_mono_ns();
	pump_point(p, "source-loaded");
	if (p->a->own && p->a->own->release(p->a->vm, &e)) {
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	pump_point(p, "source-released");
	pump_simple(p, SOURCE_EV_RELEASED, 0, 0, 0);
}

static void pump_do_acquire(struct pump *p, uint64_t epoch)
{
	enum mig_acquire found = MIG_ACQUIRED;
	struct err e = { 0 };

	pump_point(p, "source-arbitrate");
	if (p->a->own)
		found = p->a->own->acquire(p->a->vm, epoch, &e);
	if (found == MIG_ACQUIRED)
		pump_point(p, "source-acquired");
	pump_event(p, (struct source_event){
			      .type = SOURCE_EV_ACQUIRED + found, .code = e.code, .text = e.msg });
}

static void pump_do_abort(struct pump *p)
{
	struct wire_msg m = { .type = WIRE_ABORT };
	struct xport_event ignored;

	snprintf(m.text, sizeof(m.text), "%.*s", (int)sizeof(m.text) - 1, p->s.err.msg);
	pump_send_simple(p, &m);
	if (!p->down) /* give it a moment to leave this host; the guest already runs */
		p->a->xport->poll(p->x, 20 * NSEC_PER_MSEC, &ignored, 1, NULL);
}

static void pump_do(struct pump *p, const struct source_todo *d)
{
	switch (d->type) {
	case SOURCE_DO_TRACK: pump_do_track(p); break;
	case SOURCE_DO_SEND:
		p->sending = true;
		p->plan.hold = d->a;
		pace_round(&p->pace);
		p->sent_before_round = p->plan.pages_sent;
		break;
	case SOURCE_DO_ROUND:
		/* The bulk is on its way. What follows is short, or the guest is faster. */
		urgency_set(URGENCY_NORMAL);
		near_leave(&p->near);
		pump_send_simple(p, &(struct wire_msg){ .type = WIRE_ROUND, .round = d->a });
		break;
	case SOURCE_DO_HARVEST: pump_do_harvest(p); break;
	case SOURCE_DO_THROTTLE:
		pump_share(p, (unsigned)d->a);
		p->a->ops->throttle(p->a->vm, (unsigned)d->a);
		break;
	case SOURCE_DO_FREEZE: pump_do_freeze(p); break;
	case SOURCE_DO_SAVE: pump_do_save(p); break;
	case SOURCE_DO_RELEASE: pump_do_release(p); break;
	case SOURCE_DO_ACQUIRE: pump_do_acquire(p, d->a); break;
	case SOURCE_DO_COMMIT:
		pump_send_simple(p, &(struct wire_msg){ .type = WIRE_COMMIT, .epoch = d->a });
		pump_point(p, "source-committed");
		break;
	case SOURCE_DO_THAW: p->a->ops->thaw(p->a->vm); break;
	case SOURCE_DO_ABORT: pump_do_abort(p); break;
	case SOURCE_DO_UNTRACK: p->a->ops->track_stop(p->a->vm); break;
	case SOURCE_DO_FINISH: p->finished = true; break;
	}
}

/* ---- progress ----------------------------------------------------------------------------- */

static void pump_progress(struct pump *p, uint64_t now)
{
	uint64_t sent = p->plan.pages_sent << GMEM_PAGE_SHIFT;
	uint64_t left = (p->plan.todo_pages + p->plan.inflight_pages) << GMEM_PAGE_SHIFT;
	uint64_t speed = p->s.pace ? p->s.pace : estimate_rate(sent, now - p->start);
	struct mig_progress out = {
		.phase = mig_phase_of(p->s.state),
		.round = p->s.round,
		.elapsed_ns = now - p->start,
		.sent_bytes = sent,
		.residual_bytes = left,
		.goodput = speed,
		.dirty_rate = p->s.dirty_rate,
		.predicted_blackout_ns = p->s.predicted.total_ns,
		.eta_ns = speed ? (uint64_t)((double)left * 1e9 / (double)speed) : 0,
		.share = p->share,
	};

	p->next_progress = now + PUMP_PROGRESS_NS;
	if (p->a->progress)
		p->a->progress(p->a->arg, &out);
}

/* Everything that is looked at now and then rather than waited for. */
static void pump_watch(struct pump *p)
{
	uint64_t now = clock_mono_ns();
	struct err e;

	if (now >= source_deadline(&p->s) || mig_is_cancelled(p->a->cancel))
		pump_tick(p);
	if (now < p->next_progress)
		return;
	/*
	 * The end of the rendezvous is the end of the target, unless it is already committed to.
	 * Why, the transport may know: it may say so for a moment, unless the guest is frozen.
	 */
	if (!source_committed(&p->s) && rdv_peer_gone(p->rdv_fd) && !p->gone_at)
		p->gone_at = now;
	if (p->gone_at && !p->down && !source_committed(&p->s) &&
		(p->s.frozen || now - p->gone_at >= PUMP_GONE_NS)) {
		err_set(&e, -ECONNRESET, "the target ended the connection");
		pump_fault(p, SOURCE_EV_DOWN, &e);
	}
	pump_progress(p, now);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void pump_result(struct pump *p, uint64_t end)
{
	struct xport_stats st;

	p->a->xport->stats(p->x, &st);
	p->out->total_ns = end - p->start;
	p->out->predicted_blackout_ns = p->out->predicted.total_ns;
	p->out->sent_bytes = p->plan.pages_sent << GMEM_PAGE_SHIFT;
	p->out->wire_bytes = st.wire_bytes_out;
	p->out->pages_sent = p->plan.pages_sent;
	p->out->pages_zero = p->plan.pages_zero;
	p->out->pages_skipped = p->plan.pages_skipped;
	p->out->goodput = estimate_rate(p->out->sent_bytes, end - p->copy_at);
	p->out->committed = p->s.state == SOURCE_DONE || p->s.state == SOURCE_MOVED;
	p->out->unconfirmed = p->s.state == SOURCE_MOVED;
	p->out->in_doubt = p->s.state == SOURCE_IN_DOUBT;
	if (p->s.state != SOURCE_DONE)
		return;
	p->out->residual_bytes = p->s.residual_pages << GMEM_PAGE_SHIFT;
	p->out->goodput = estimate_rate(
		p->out->sent_bytes - p->out->residual_bytes, p->at.freeze - p->copy_at);
	p->out->blackout = blackout_of(&p->at, p->s.load_ns);
}

static int pump_init(struct pump *p, struct err *e)
{
	struct source_params sp = {
		.downtime_limit_ns = p->a->params.downtime_limit_ns,
		.on_stall = p->a->params.on_stall,
		.answer_timeout_ns = PUMP_ANSWER_TIMEOUT_NS,
		.limits = p->a->params.limits,
		.rtt_ns = p->clock.rtt_ns,
		.epoch = p->owner.epoch,
		.arbitrate_timeout_ns = HANDOVER_ARBITRATE_NS,
	};
	int r = plan_init(&p->plan, p->a->mem, e);

	if (!r)
		r = dirty_map_init(&p->found, p->a->mem, e);
	if (quiesce_init(&p->quiesce, p->a->ops, p->a->vm, r ? NULL : e) && !r)
		r = -EAGAIN;
	wbuf_init(&p->msg);
	source_init(&p->s, &sp);
	return r;
}

int pump_source(struct mig_source_args *a, struct xport *x, int rdv_fd,
	const struct rdv_clock *clock, struct mig_result *out, struct err *e)
{
	struct pump p = { .a = a, .x = x, .rdv_fd = rdv_fd, .clock = *clock, .out = out };
	struct source_todo d;
	int r;

	p.start = p.copy_at = p.share_at = clock_mono_ns();
	pace_init(&p.pace, a->params.bandwidth, p.start);
	p.way = a->way;
	p.share = out->share_least = SOURCE_SHARE_FULL;
	p.next_progress = p.start;
	if (a->own)
		a->own->who(a->vm, &p.owner);
	r = pump_init(&p, e);
	if (r)
		goto out;
	urgency_set(URGENCY_BACKGROUND);
	near_enter(&p.near, &near_host, a->node);
	pump_simple(&p, SOURCE_EV_CONNECTED, p.start - a->begun_ns, 0, 0);
	while (!p.finished) {
		if (source_todo(&p.s, &d)) {
			pump_do(&p, &d);
			continue;
		}
		if (p.sending)
			pump_post(&p);
		if (p.s.ntodo)
			continue;
		pump_poll(&p);
		pump_watch(&p);
	}
	pump_result(&p, clock_mono_ns());
	pump_progress(&p, clock_mono_ns());
	if (p.s.state != SOURCE_DONE && e)
		*e = p.s.err;
	r = out->committed ? 0 : p.s.err.code;
out:
	urgency_set(URGENCY_NORMAL);
	near_leave(&p.near);
	quiesce_fini(&p.quiesce);
	plan_fini(&p.plan);
	dirty_map_fini(&p.found);
	wbuf_fini(&p.msg);
	return r;
}
