/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what goes to the transport page by page on the source, and what comes back from it: pages of
 * the plan become puts, completions and messages become events. Must never read a page before the
 * harvest that reported it has armed it again (pump_source.c harvests, then lets this post).
 * Invariant: a page is in the plan's "in flight" from its put to the put's completion.
 * Next in the flow: the transport; on the other end pump_target.c.
 */
#include <errno.h>
#include <unistd.h>

#include "hv/base/clock.h"
#include "hv/migrate/pump_parts.h"
#include "hv/migrate/wire.h"

/* ---- pages -------------------------------------------------------------------------------- */

static bool pump_is_zero(void *arg, uint32_t region, uint64_t page)
{
	const struct gmem *m = arg;

	return gmem_page_is_zero(m->regions[region].host + (page << GMEM_PAGE_SHIFT));
}

/* Whether something may go now: for --bandwidth, and for others. A frozen guest does not wait. */
static bool pump_may_send(struct pump *p)
{
	struct xport_stats st;
	uint64_t now = clock_mono_ns();

	if (p->s.frozen || way_may_send(&p->way, &p->pace, now))
		return true;
	if (pace_wants_idle(&p->pace)) {
		p->a->xport->stats(p->x, &st);
		if (st.in_transit_bytes == 0)
			pace_idle(&p->pace, now);
	}
	return false;
}

/* Posts until the transport is full, the budget is spent or nothing is left to post. */
void pump_post(struct pump *p)
{
	struct err e = { 0 };
	struct plan_run run;

	while (pump_may_send(p) && plan_next(&p->plan, pump_is_zero, p->a->mem, &run)) {
		struct xport_put put = {
			.region = run.region,
			.offset = run.page << GMEM_PAGE_SHIFT,
			.length = run.pages << GMEM_PAGE_SHIFT,
			.zero = run.zero,
			.cookie = plan_cookie(&run),
		};
		int r = p->a->xport->put(p->x, &put, &e);

		if (r == 0) {
			pace_sent(&p->pace, run.zero ? 0 : put.length);
			continue;
		}
		plan_unpost(&p->plan, &run);
		if (r != -EAGAIN)
			pump_fault(p, SOURCE_EV_DOWN, &e);
		return;
	}
	if (!plan_empty(&p->plan)) /* the rest is in flight: dirtied again since it was posted */
		return;
	p->sending = false;
	pump_simple(p, SOURCE_EV_SENT,
		(p->plan.pages_sent - p->sent_before_round) << GMEM_PAGE_SHIFT, p->pace.idle_ns, 0);
}

/* ---- what the transport reports ----------------------------------------------------------- */

static void pump_msg(struct pump *p, const struct xport_event *xe)
{
	struct err e = { 0 };
	struct wire_msg m;

	if (wire_decode(&m, xe->msg_type, xe->data, xe->len, &e)) {
		pump_fault(p, SOURCE_EV_FAILED, &e);
		return;
	}
	switch (m.type) {
	case WIRE_READY:
		pump_simple(p, SOURCE_EV_READY, m.save_ns, m.load_ns, m.state_bytes);
		return;
	case WIRE_ROUND_ACK: pump_simple(p, SOURCE_EV_ACKED, m.round, 0, 0); return;
	case WIRE_LOADED: pump_simple(p, SOURCE_EV_LOADED, m.load_ns, 0, 0); return;
	case WIRE_THAWED:
		p->at.thawed = clock_mono_ns();
		pump_simple(p, SOURCE_EV_THAWED, 0, 0, 0);
		return;
	case WIRE_ABORT:
		err_set(&e, -ECONNABORTED, "%s", m.text);
		pump_fault(p, SOURCE_EV_ABORT, &e);
		return;
	default:
		err_set(&e, -EPROTO, "the target sent a %s message, which only a source may send",
			wire_type_name(m.type));
		pump_fault(p, SOURCE_EV_FAILED, &e);
	}
}

static void pump_xport_event(struct pump *p, const struct xport_event *xe)
{
	struct plan_run run;

	switch (xe->type) {
	case XPORT_EV_PUT_DONE:
		run = plan_from_cookie(xe->cookie);
		plan_done(&p->plan, &run);
		return;
	case XPORT_EV_MSG: pump_msg(p, xe); return;
	case XPORT_EV_DOWN: pump_fault(p, SOURCE_EV_DOWN, &xe->err); return;
	}
}

/* How long poll() may sleep: not at all while there is something to post. */
static uint64_t pump_timeout(const struct pump *p)
{
	uint64_t now = clock_mono_ns(), until = source_deadline(&p->s);

	if (until > p->next_progress)
		until = p->next_progress;
	/* Out of budget: come back as soon as there is some again, or to see that all has gone. */
	if (p->sending && p->pace.spent) {
		uint64_t back = now + (p->pace.idle_at ? PUMP_BUDGET_POLL_NS : PUMP_IDLE_POLL_NS);

		until = until > back ? back : until;
	}
	return until > now ? until - now : 0;
}

void pump_poll(struct pump *p)
{
	struct xport_event ev[PUMP_EVENTS];
	struct err e = { 0 };
	int n;

	if (p->down) { /* nothing will come but time */
		usleep((useconds_t)(pump_timeout(p) / 1000));
		return;
	}
	n = p->a->xport->poll(p->x, pump_timeout(p), ev, PUMP_EVENTS, &e);
	if (n < 0)
		pump_fault(p, SOURCE_EV_DOWN, &e);
	for (int i = 0; i < n && !p->finished; i++)
		pump_xport_event(p, &ev[i]);
}
