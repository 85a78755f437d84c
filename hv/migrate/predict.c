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

#define PREDICT_ROUND_MIN (1ull << 20) /* bytes: smaller rounds measure latency, not goodput */

/*
 * Kicking vCPUs out of guest mode and letting them in again cannot be measured without doing it to
 * the running guest, so it alone is a constant: the upper end of what was seen for two vCPUs.
 */
#define PREDICT_STOP_NS (150 * NSEC_PER_USEC)

/*
 * Rounds without the hot pages are short, and each takes a share of what is left of the others:
 * what counts is what a few of them would bring.
 */
#define PREDICT_LOOK_AHEAD 3

/* LOADED after STATE, THAWED after COMMIT: two round trips, of which half of one is the state's. */
#define PREDICT_ROUND_TRIPS 2

uint64_t predict_rate(uint64_t bytes, uint64_t ns)
{
	return ns ? (uint64_t)((double)bytes * 1e9 / (double)ns) : 0;
}

uint64_t predict_goodput(uint64_t old, uint64_t bytes, uint64_t ns)
{
	uint64_t now = predict_rate(bytes, ns);

	if (bytes < PREDICT_ROUND_MIN || now == 0)
		return old;
	return old ? old / 2 + now / 2 : now;
}

/*
 * Nothing large enough was ever sent (an all but untouched guest): assume a slow link rather than a
 * fast one; 100 MB/s is Gigabit Ethernet.
 */
static uint64_t predict_ns(uint64_t bytes, uint64_t rate)
{
	return (uint64_t)((double)bytes * 1e9 / (rate ? (double)rate : 100e6));
}

/* The guest frozen: as fast as the link carries. */
static uint64_t predict_transfer(const struct source *s, uint64_t bytes)
{
	return predict_ns(bytes, s->goodput);
}

/* The guest running: a round that sends @pages, to the end of its harvest. */
static uint64_t predict_round(const struct source *s, uint64_t pages)
{
	return predict_ns(pages * GMEM_PAGE_SIZE, s->pace) + s->harvest_ns + s->params.rtt_ns;
}

/* All of a blackout but the last harvest and sending the residual. */
static uint64_t predict_fixed(const struct source *s)
{
	uint64_t stop = s->stop_ns ? s->stop_ns : PREDICT_STOP_NS;

	return stop + s->save_ns + predict_transfer(s, s->state_bytes) + s->load_ns +
	       PREDICT_ROUND_TRIPS * s->params.rtt_ns;
}

uint64_t predict_blackout(const struct source *s)
{
	return predict_fixed(s) + s->harvest_ns +
	       predict_transfer(s, s->residual_pages * GMEM_PAGE_SIZE);
}

/* With nothing left to send, and the fastest harvest yet: one may have waited for a processor. */
static uint64_t predict_least(const struct source *s)
{
	return predict_fixed(s) + s->harvest_least_ns;
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
	uint64_t left = predict_left(s, ahead ? PREDICT_LOOK_AHEAD : 1) * GMEM_PAGE_SIZE;
	uint64_t next = predict_fixed(s) + s->harvest_ns + predict_transfer(s, left);

	return s->polish < PREDICT_POLISH_ROUNDS && next < s->predicted_ns / 4 * 3;
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
		duration_format(s->predicted_ns, want, sizeof(want)), limit);
}
