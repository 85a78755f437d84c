/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what is learned in the copy phase (see estimate.h). Must never divide by what may be zero.
 * Next in the flow: predict.c.
 */
#include "hv/migrate/estimate.h"

#include <stdlib.h>
#include <string.h>

#define ESTIMATE_PS_PER_NS 1000.0

/* Until it was tried: the upper end of what was seen for two vCPUs on an idle host. */
#define ESTIMATE_STOP_NS 150000

/* So many times as long as warm, at most: twice was seen. */
#define ESTIMATE_COLD 3

/* What is left when nothing is known: a link keeps up with its poster. */
#define ESTIMATE_POSTING 1000u

void estimate_init(struct estimate *m, uint64_t answer_ns)
{
	*m = (struct estimate){ .stop_ns = ESTIMATE_STOP_NS,
		.answer_ns = answer_ns,
		.posting = ESTIMATE_POSTING,
		.harvest_ns = UINT64_MAX };
}

uint64_t estimate_rate(uint64_t bytes, uint64_t ns)
{
	return ns ? (uint64_t)((double)bytes * 1e9 / (double)ns) : 0;
}

uint64_t estimate_time(uint64_t bytes, uint64_t rate)
{
	return (uint64_t)((double)bytes * 1e9 / (double)(rate ? rate : ESTIMATE_SLOW));
}

uint64_t estimate_pace(uint64_t old, uint64_t bytes, uint64_t ns)
{
	uint64_t now = estimate_rate(bytes, ns);

	if (bytes < ESTIMATE_ROUND_MIN || now == 0)
		return old;
	return old ? old / 2 + now / 2 : now;
}

uint64_t estimate_speed(uint64_t old, uint64_t bytes, uint64_t ns)
{
	uint64_t now = estimate_rate(bytes, ns);

	if (now == 0)
		return old;
	return now > old ? now : old - (old - now) / 4;
}

uint64_t estimate_transfer(const struct estimate *m, uint64_t bytes)
{
	uint64_t small = bytes < ESTIMATE_ROUND_MIN ? bytes : ESTIMATE_ROUND_MIN;
	uint64_t rate = m->goodput ? m->goodput : ESTIMATE_SLOW;

	return estimate_time(small, m->burst > rate ? m->burst : rate) +
	       estimate_time(bytes - small, rate);
}

void estimate_round(struct estimate *m, uint64_t bytes, uint64_t posted_ns, uint64_t ns)
{
	bool large = bytes >= ESTIMATE_ROUND_MIN, first = m->goodput == 0;
	uint64_t sending, share;

	/*
	 * The target makes the pages of the first round as they come, which may take longer than
	 * the link does; those of the last are there. One later round says more than that one.
	 */
	if (large && !first && !m->warm) {
		m->warm = true;
		m->goodput = 0;
	}
	if (large)
		m->goodput = estimate_speed(m->goodput, bytes, ns);
	else
		m->burst = estimate_speed(m->burst, bytes, ns);
	if (ns == 0)
		return;
	share = posted_ns < ns ? posted_ns * 1000 / ns : 1000;
	if (large) {
		m->posting = first ? (unsigned)share : (m->posting + (unsigned)share) / 2;
		return;
	}
	/* Whoever waited for a processor in it will not in the switchover: the least counts. */
	sending = estimate_transfer(m, bytes);
	if (sending < ns && (m->answer_ns == 0 || ns - sending < m->answer_ns))
		m->answer_ns = ns - sending;
}

void estimate_stop(struct estimate *m, uint64_t ns)
{
	if (ns == 0)
		return;
	m->stop_ns = m->stopped ? m->stop_ns / 2 + ns / 2 : ns;
	m->stopped = true;
}

/*
 * How often a page of the working set was written, from the part of it that was: writes that fall
 * evenly leave e^-n untouched, so n is -ln(1 - part); a Pade approximant of that, within a fifth
 * up to nine tenths. Where all was written at least once it says 2.5: more cannot be told.
 */
static double estimate_times(double part)
{
	return part * (6 - part) / (6 - 4 * part);
}

void estimate_harvest(struct estimate *m, uint64_t pages, uint64_t ns, uint64_t since_ns)
{
	if (ns < m->harvest_ns)
		m->harvest_ns = ns;
	/* The largest tells best what a page costs. */
	if (pages && pages >= m->workset)
		m->page_ps = (uint64_t)((double)(ns - m->harvest_ns) * ESTIMATE_PS_PER_NS /
					(double)pages);
	if (pages > m->workset)
		m->workset = pages;
	m->write_rate = 0;
	if (since_ns && m->workset)
		m->write_rate = (uint64_t)(estimate_times((double)pages / (double)m->workset) *
					   (double)m->workset * 1e9 / (double)since_ns);
}

uint64_t estimate_fresh(const struct estimate *m, uint64_t todo, uint64_t ns)
{
	double times, pages, clean;

	if (m->workset <= todo)
		return 0;
	clean = (double)(m->workset - todo);
	/* n writes to each page of the set leave at least 1 - n of them as they were. */
	times = (double)m->write_rate * (double)ns / 1e9 / (double)m->workset;
	pages = clean * (times < 1 ? times : 1);
	return (uint64_t)pages;
}

uint64_t estimate_harvest_ns(const struct estimate *m, uint64_t pages)
{
	uint64_t fixed = m->harvest_ns == UINT64_MAX ? 0 : m->harvest_ns;

	return fixed + (uint64_t)((double)pages * (double)m->page_ps / ESTIMATE_PS_PER_NS);
}

static int estimate_order(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

uint64_t estimate_cold(uint64_t *samples, unsigned n)
{
	uint64_t first = n ? samples[0] : 0, most;

	if (n == 0)
		return 0;
	qsort(samples, n, sizeof(*samples), estimate_order);
	most = samples[(n - 1) / 2] * ESTIMATE_COLD;
	return first < most ? first : most;
}
