/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the target's side of a running move: takes messages off the transport, loads the state,
 * thaws. Pages need no hand of ours: the transport puts them into guest memory. Decides nothing:
 * target.c does. Runs on one thread, the arrival's, of the process that will be the guest's.
 * Invariant: the machine is thawed in one place, on TARGET_DO_THAW, and the source has been shut
 * out of its memory before, so that nothing the source or the network still does can reach a
 * running guest.
 * Next in the flow: hv/vm runs the guest.
 */
#include "hv/migrate/pump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/base/urgency.h"
#include "hv/mem/near.h"
#include "hv/migrate/estimate.h"
#include "hv/migrate/populate.h"
#include "hv/migrate/target.h"
#include "hv/migrate/wire.h"

#define TARGET_REHEARSALS  3
#define TARGET_POLL_NS     (200 * NSEC_PER_MSEC)
#define TARGET_AHEAD_NS    (2 * NSEC_PER_MSEC)   /* while memory is allocated ahead */
#define TARGET_LINGER_NS   NSEC_PER_SEC          /* for the source to take our last word */
#define TARGET_ELAPSED_MAX (3600 * NSEC_PER_SEC) /* a longer blackout is a broken clock */

struct tpump {
	struct mig_target_args *a;
	struct xport *x;
	struct target t;
	struct wbuf msg;
	struct wire_msg state;  /* STATE being loaded; its bytes live until the next poll() */
	struct populate *ahead; /* NULL: not told (yet) what will arrive */
	bool ahead_done;        /* the first pass is here: all of it is allocated */
	uint64_t cpu_from;      /* this thread's processor time when the copy began */
	uint64_t receive_cpu_ns;
	uint64_t start, next_progress;
	struct near near; /* for the first round, and whoever allocates ahead of it */
	bool down, finished;
};

static void tpump_simple(
	struct tpump *p, enum target_event_type type, uint64_t a, uint64_t b, uint64_t c)
{
	struct target_event ev = { .type = type, .now = clock_mono_ns(), .a = a, .b = b, .c = c };

	target_step(&p->t, &ev);
}

static void tpump_fault(struct tpump *p, enum target_event_type type, const struct err *e)
{
	struct target_event ev = {
		.type = type, .now = clock_mono_ns(), .code = e->code, .text = e->msg
	};

	if (type == TARGET_EV_DOWN)
		p->down = true;
	target_step(&p->t, &ev);
}

/* A test may want to see this process, or its connection, gone here. */
static void tpump_point(struct tpump *p, const char *name)
{
	mig_point(&p->a->points, name, p->a->xport, p->x);
}

static void tpump_send(struct tpump *p, const struct wire_msg *m)
{
	struct err e = { 0 };

	if (p->down)
		return;
	wbuf_reset(&p->msg);
	wire_encode(m, &p->msg);
	if (p->a->xport->msg(p->x, (uint16_t)m->type, p->msg.data, p->msg.len, &e))
		tpump_fault(p, TARGET_EV_DOWN, &e);
}

/* Saves the empty machine and loads it again, once. */
static int tpump_rehearse_once(struct tpump *p, uint64_t *save_ns, uint64_t *load_ns, struct err *e)
{
	uint64_t t0 = clock_mono_ns(), t1;
	struct rbuf r;
	int rc;

	wbuf_reset(&p->msg);
	rc = p->a->ops->save(p->a->vm, &p->msg, e);
	t1 = clock_mono_ns();
	*save_ns = t1 - t0;
	r = rbuf_of(p->msg.data, p->msg.len);
	if (!rc)
		rc = p->a->ops->load(p->a->vm, &r, 0, e);
	*load_ns = clock_mono_ns() - t1;
	return rc;
}

/*
 * Tells the source what the switchover will cost here, and brings the code and the buffers it will
 * need into memory. The first time counts, because it is cold, as the switchover will be after the
 * copy has filled the caches with pages: it takes up to twice as long as the next.
 */
static void tpump_rehearse(struct tpump *p)
{
	uint64_t save_ns[TARGET_REHEARSALS], load_ns[TARGET_REHEARSALS];
	struct err e = { 0 };

	urgency_set(URGENCY_HIGH); /* as in the switchover itself */
	for (int i = 0; i < TARGET_REHEARSALS; i++) {
		if (tpump_rehearse_once(p, &save_ns[i], &load_ns[i], &e)) {
			err_wrap(&e, "the target cannot rehearse the switchover");
			tpump_fault(p, TARGET_EV_FAILED, &e);
			return;
		}
	}
	urgency_set(URGENCY_BACKGROUND);
	tpump_simple(p, TARGET_EV_REHEARSED, estimate_cold(save_ns, TARGET_REHEARSALS),
		estimate_cold(load_ns, TARGET_REHEARSALS), p->msg.len);
}

/* How long ago, in real time, the source read the guest's clock. */
static uint64_t tpump_elapsed(const struct wire_msg *m)
{
	int64_t d = (int64_t)(clock_real_ns() - m->clock_real_ns) - m->clock_offset_ns;

	if (d < 0)
		return 0;
	return (uint64_t)d < TARGET_ELAPSED_MAX ? (uint64_t)d : 0;
}

static void tpump_load(struct tpump *p)
{
	uint64_t t = clock_mono_ns();
	struct err e = { 0 };

	if (p->a->ops->load(p->a->vm, &p->state.state, tpump_elapsed(&p->state), &e))
		tpump_fault(p, TARGET_EV_FAILED, &e);
	else
		tpump_simple(p, TARGET_EV_STATE_LOADED, clock_mono_ns() - t, 0, 0);
}

static void tpump_acquire(struct tpump *p, uint64_t epoch)
{
	enum mig_acquire found = MIG_ACQUIRED;
	struct target_event ev;
	struct err e = { 0 };

	tpump_point(p, "target-acquiring");
	if (p->a->own)
		found = p->a->own->acquire(p->a->vm, epoch, &e);
	if (found == MIG_ACQUIRED)
		tpump_point(p, "target-acquired");
	ev = (struct target_event){ .type = TARGET_EV_ACQUIRED + found,
		.now = clock_mono_ns(),
		.code = e.code,
		.text = e.msg };
	target_step(&p->t, &ev);
}

/* Lets our last message leave: the source answers it by closing. */
static void tpump_linger(struct tpump *p, uint64_t limit_ns)
{
	uint64_t until = clock_mono_ns() + limit_ns, now;
	struct xport_event ev;
	struct err e;

	while (!p->down && (now = clock_mono_ns()) < until) {
		int n = p->a->xport->poll(p->x, until - now, &ev, 1, &e);

		if (n < 0 || (n > 0 && ev.type == XPORT_EV_DOWN))
			p->down = true;
	}
}

static void tpump_do(struct tpump *p, const struct target_todo *d)
{
	struct wire_msg m = { 0 };

	switch (d->type) {
	case TARGET_DO_REHEARSE: tpump_rehearse(p); return;
	case TARGET_DO_READY:
		m.type = WIRE_READY;
		m.save_ns = p->t.save_ns;
		m.load_ns = p->t.load_ns;
		m.state_bytes = p->t.state_bytes;
		break;
	case TARGET_DO_ACK:
		m.type = WIRE_ROUND_ACK;
		m.round = d->a;
		break;
	case TARGET_DO_LOAD: tpump_load(p); return;
	case TARGET_DO_LOADED:
		m.type = WIRE_LOADED;
		m.load_ns = p->t.load_ns;
		tpump_point(p, "target-loaded");
		tpump_send(p, &m);
		tpump_point(p, "target-told");
		/*
		 * The source is shut out here and not at the thaw, because the next thing that
		 * happens is waiting for its answer: what it costs is hidden in a round trip. It
		 * has nothing to put any more, since STATE, delivered, is a fence.
		 */
		p->a->xport->shut(p->x);
		return;
	case TARGET_DO_ACQUIRE: tpump_acquire(p, d->a); return;
	case TARGET_DO_THAW:
		p->a->xport->shut(p->x); /* it was, at LOADED; the invariant is kept here */
		p->a->ops->thaw(p->a->vm);
		tpump_point(p, "target-thawed");
		tpump_simple(p, TARGET_EV_RUNS, 0, 0, 0);
		return;
	case TARGET_DO_THAWED: m.type = WIRE_THAWED; break;
	case TARGET_DO_ABORT:
		m.type = WIRE_ABORT;
		snprintf(m.text, sizeof(m.text), "%.*s", (int)sizeof(m.text) - 1, p->t.err.msg);
		break;
	case TARGET_DO_FINISH: p->finished = true; return;
	}
	tpump_send(p, &m);
}

/*
 * Only where the receiver would have to allocate: an adapter's memory is there before it is written
 * to. Then nobody has to look where the stream is either, and this thread sleeps while pages come.
 */
static void tpump_extents(struct tpump *p, struct wire_msg *m)
{
	struct xport_stats st;
	struct err e = { 0 };
	int r;

	p->a->xport->stats(p->x, &st);
	if (st.one_sided)
		return;
	if (p->ahead)
		r = err_set(&e, -EPROTO, "the source announced its memory twice");
	else
		r = populate_start(&p->ahead, p->a->mem, &m->state, &e);
	if (r)
		tpump_fault(p, TARGET_EV_FAILED, &e);
}

/* Tells those who allocate where the stream is. */
static void tpump_arrived(struct tpump *p)
{
	struct xport_stats st;

	p->a->xport->stats(p->x, &st);
	if (st.arrived_end)
		populate_at(p->ahead, st.arrived_region, st.arrived_end);
}

/* The state is of the guest that was offered, and both ends see who decides about it. */
static void tpump_state(struct tpump *p)
{
	struct mig_owner here;
	struct err e = { 0 };

	if (p->a->own) {
		p->a->own->who(p->a->vm, &here);
		if (memcmp(here.uuid, p->state.uuid, sizeof(here.uuid)) != 0)
			err_set(&e, -EPROTO, "the state is another guest's than the one offered");
		else if (p->state.epoch && !here.arbiter)
			err_set(&e, -EINVAL,
				"at the source the lock on a file of the guest's says whose it is, but "
				"here none of its writable disks is a file; is it the same image?");
	}
	if (e.code)
		tpump_fault(p, TARGET_EV_FAILED, &e);
	else
		tpump_simple(p, TARGET_EV_STATE, p->state.epoch, 0, 0);
}

static void tpump_msg(struct tpump *p, const struct xport_event *xe)
{
	struct err e = { 0 };
	struct wire_msg m;

	if (wire_decode(&m, xe->msg_type, xe->data, xe->len, &e)) {
		tpump_fault(p, TARGET_EV_FAILED, &e);
		return;
	}
	switch (m.type) {
	case WIRE_EXTENTS:
		p->cpu_from = clock_thread_ns();
		tpump_extents(p, &m);
		return;
	case WIRE_ROUND:
		urgency_set(URGENCY_NORMAL); /* the bulk is here */
		near_leave(&p->near);
		/* Not in the way of what is urgent now: the threads are only asked to end. */
		if (p->ahead)
			populate_quit(p->ahead);
		p->ahead_done = true;
		tpump_simple(p, TARGET_EV_ROUND, m.round, 0, 0);
		return;
	case WIRE_STATE:
		urgency_set(URGENCY_HIGH); /* until the guest runs */
		p->receive_cpu_ns = clock_thread_ns() - p->cpu_from;
		p->state = m;
		tpump_state(p);
		return;
	case WIRE_COMMIT: tpump_simple(p, TARGET_EV_COMMIT, m.epoch, 0, 0); return;
	case WIRE_ABORT:
		err_set(&e, -ECONNABORTED, "%s", m.text);
		tpump_fault(p, TARGET_EV_ABORT, &e);
		return;
	default:
		err_set(&e, -EPROTO, "the source sent a %s message, which only a target may send",
			wire_type_name(m.type));
		tpump_fault(p, TARGET_EV_FAILED, &e);
	}
}

/*
 * The lifeline. A source that has been killed closes it at once; one whose host is gone is found by
 * the transport. Once LOADED was sent the lifeline is not asked any more: a COMMIT may already wait
 * in the transport, and only the transport can say that the connection ended without one.
 */
static void tpump_watch(struct tpump *p)
{
	struct mig_progress out = { .phase = MIG_PHASE_COPY };
	uint64_t now = clock_mono_ns();
	struct xport_stats st;
	struct err e;

	if (now >= target_deadline(&p->t))
		tpump_simple(p, TARGET_EV_TICK, 0, 0, 0);
	if (now < p->next_progress)
		return;
	p->next_progress = now + PUMP_PROGRESS_NS;
	if (p->t.state < TARGET_LOADED && rdv_peer_gone(p->a->chan->fd)) {
		err_set(&e, -ECONNRESET, "the source ended the connection before commit");
		tpump_fault(p, TARGET_EV_DOWN, &e);
	}
	if (!p->a->progress)
		return;
	p->a->xport->stats(p->x, &st);
	out.round = (unsigned)p->t.rounds;
	out.elapsed_ns = now - p->start;
	out.sent_bytes = st.wire_bytes_in;
	p->a->progress(p->a->arg, &out);
}

static void tpump_poll(struct tpump *p)
{
	struct err e = { 0 };
	struct xport_event ev;
	bool ahead = p->ahead && !p->ahead_done;
	uint64_t limit = ahead ? TARGET_AHEAD_NS : TARGET_POLL_NS, now = clock_mono_ns();
	uint64_t until = target_deadline(&p->t);
	int n;

	if (until < now + limit)
		limit = until > now ? until - now : 0;
	if (p->down) { /* nothing will come but time */
		usleep((useconds_t)(limit / 1000));
		return;
	}
	n = p->a->xport->poll(p->x, limit, &ev, 1, &e);
	if (ahead)
		tpump_arrived(p);
	if (n < 0) {
		tpump_fault(p, TARGET_EV_DOWN, &e);
	} else if (n > 0 && ev.type == XPORT_EV_MSG) {
		tpump_msg(p, &ev);
	} else if (n > 0 && ev.type == XPORT_EV_DOWN) {
		tpump_fault(p, TARGET_EV_DOWN, &ev.err);
	}
}

int pump_target(struct mig_target_args *a, struct xport *x, struct mig_result *out, struct err *e)
{
	struct tpump p = { .a = a, .x = x };
	struct xport_stats st;
	struct target_todo d;

	p.start = clock_mono_ns();
	p.next_progress = p.start;
	wbuf_init(&p.msg);
	target_init(&p.t, &(struct target_params){ .commit_timeout_ns = HANDOVER_COMMIT_NS,
				  .acquire_timeout_ns = HANDOVER_ACQUIRE_NS,
				  .arbitrate_timeout_ns = HANDOVER_ARBITRATE_NS });
	near_enter(&p.near, &near_host, a->node);
	tpump_simple(&p, TARGET_EV_CONNECTED, 0, 0, 0);
	while (!p.finished) {
		if (target_todo(&p.t, &d)) {
			tpump_do(&p, &d);
			continue;
		}
		/* one message a poll: what it started is done before the next is looked at */
		tpump_poll(&p);
		if (p.t.ntodo == 0)
			tpump_watch(&p);
	}
	near_leave(&p.near);
	/* Still urgent: a message leaves with the next poll, and the source waits for this one. */
	tpump_linger(&p, p.t.state == TARGET_DONE ? TARGET_LINGER_NS : 100 * NSEC_PER_MSEC);
	urgency_set(URGENCY_NORMAL);
	out->populated_bytes = populate_free(p.ahead, &out->allocate_cpu_ns);
	a->xport->stats(x, &st);
	out->allocate_cpu_ns += st.helpers_ns;
	out->receive_cpu_ns = p.receive_cpu_ns;
	out->committed = p.t.state == TARGET_DONE;
	out->unconfirmed = out->committed && p.t.err.code;
	out->in_doubt = p.t.state == TARGET_IN_DOUBT;
	out->total_ns = clock_mono_ns() - p.start;
	out->wire_bytes = st.wire_bytes_in;
	out->rounds = (unsigned)p.t.rounds;
	out->blackout.load_ns = p.t.load_ns;
	wbuf_fini(&p.msg);
	if (e && p.t.err.code)
		*e = p.t.err;
	return out->committed ? 0 : p.t.err.code;
}
