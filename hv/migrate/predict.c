/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the estimates of a move (see predict.h). Must never divide by what may be zero.
 * Next in the flow: source.c.
 */
#include "hv/migrate/predict.h"

#include <errno.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/mem/gmem.h"

/*
 * Rounds without the hot pages are short, and each takes a share of what is left of the others:
 * what counts is what a few of them would bring.
 */
#define PREDICT_LOOK_AHEAD 3

/* The guest running: a round that sends @pages, to the end of its harvest. */
static uint64_t predict_round(const struct source *s, uint64_t pages)
{
	return estimate_time(pages * GMEM_PAGE_SIZE, s->pace) + s->harvest_ns +
	       s->learned.answer_ns;
}

/*
 * With @pages to send at the freeze. The step in which they are posted ends when the transport has
 * taken the last; what is under way then is waited for, behind the state, in the next but one. A
 * word and its answer are waited for twice: STATE for LOADED, COMMIT for THAWED.
 */
static void predict_steps(const struct source *s, uint64_t pages, struct mig_blackout *b)
{
	const struct estimate *m = &s->learned;
	uint64_t transfer = estimate_transfer(m, pages * GMEM_PAGE_SIZE);

	*b = (struct mig_blackout){
		.stop_ns = m->stop_ns,
		.residual_ns = transfer / 1000 * m->posting,
		.save_ns = s->save_ns,
		.load_ns = s->load_ns,
		.start_ns = m->answer_ns,
	};
	b->send_ns = transfer - b->residual_ns + estimate_transfer(m, s->state_bytes) + b->load_ns +
		     m->answer_ns;
	b->total_ns = b->stop_ns + b->residual_ns + b->save_ns + b->send_ns + b->start_ns;
}

static void predict_add_harvest(struct mig_blackout *b, uint64_t ns)
{
	b->harvest_ns = ns;
	b->total_ns += ns;
}

/*
 * What is to be sent then is what is to be sent now, and what the guest dirties until it has
 * stopped: in the harvest that has just been made it already ran again.
 */
static uint64_t predict_fresh(const struct source *s, uint64_t pages)
{
	return estimate_fresh(&s->learned, pages, s->harvest_ns + s->learned.stop_ns);
}

static void predict_with(const struct source *s, uint64_t pages, struct mig_blackout *out)
{
	uint64_t fresh = predict_fresh(s, pages);

	predict_steps(s, pages + fresh, out);
	predict_add_harvest(out, estimate_harvest_ns(&s->learned, fresh));
}

void predict_blackout(const struct source *s, struct mig_blackout *out)
{
	predict_with(s, s->residual_pages, out);
}

/* With nothing left to send, and the fastest harvest yet: one may have waited for a processor. */
static uint64_t predict_least(const struct source *s)
{
	struct mig_blackout b;

	predict_steps(s, 0, &b);
	predict_add_harvest(&b, estimate_harvest_ns(&s->learned, 0));
	return b.total_ns;
}

bool predict_impossible(const struct source *s)
{
	return predict_least(s) > s->params.downtime_limit_ns;
}

bool predict_hold(const struct source *s)
{
	return s->hot_pages && s->hot_pages < s->residual_pages / 8 * 7 &&
	       predict_round(s, s->residual_pages) >= s->round_ns / 2;
}

/* How many pages would be left after @rounds more. */
static uint64_t predict_left(const struct source *s, unsigned rounds)
{
	uint64_t held = s->hold ? s->hot_pages : 0, pages = s->residual_pages - held;
	double rate = (double)(s->hold ? s->cold_rate : s->dirty_rate) / GMEM_PAGE_SIZE;

	while (rounds--)
		pages = (uint64_t)(rate * (double)predict_round(s, pages) / 1e9);
	return held + pages;
}

bool predict_worth_a_round(const struct source *s)
{
	bool ahead =
		s->hold && s->share == SOURCE_SHARE_FULL; /* slowed down, every round costs it */
	uint64_t left = predict_left(s, ahead ? PREDICT_LOOK_AHEAD : 1);
	struct mig_blackout next;

	predict_with(s, left, &next);
	return s->polish < PREDICT_POLISH_ROUNDS && next.total_ns < s->predicted.total_ns / 4 * 3;
}

unsigned predict_share(const struct source *s)
{
	double factor = s->dirty_rate ? (double)s->pace / 2 / (double)s->dirty_rate : 0.5;
	unsigned share;

	/* One step is bounded on both sides: a round on a busy host may measure nonsense. */
	factor = factor > 0.7 ? 0.7 : factor < 0.1 ? 0.1 : factor;
	share = (unsigned)(s->share * factor);
	return share > SOURCE_SHARE_LEAST ? share : SOURCE_SHARE_LEAST;
}

int predict_explain_stall(const struct source *s, struct err *e)
{
	char left[32], rate[32], link[32], want[32], limit[32];

	duration_format(s->params.downtime_limit_ns, limit, sizeof(limit));
	if (predict_impossible(s))
		return err_set(e, -ETIME,
			"the limit of %s cannot be met: with nothing left to send, the blackout "
			"would still be %s. Raise --downtime-limit",
			limit, duration_format(predict_least(s), want, sizeof(want)));
	return err_set(e, -ETIME,
		"the move does not converge: after %u rounds %s are still to be sent; the guest "
		"dirties %s/s and the link carries %s/s, so the blackout would be %s while the "
		"limit is %s. Raise --downtime-limit, use --on-stall freeze, or use a faster link",
		s->round, size_format(s->residual_pages * GMEM_PAGE_SIZE, left, sizeof(left)),
		size_format(s->dirty_rate, rate, sizeof(rate)),
		size_format(s->pace, link, sizeof(link)),
		duration_format(s->predicted.total_ns, want, sizeof(want)), limit);
}
