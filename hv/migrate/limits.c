/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the limits of the phases and the sentences about them (see limits.h). Decides nothing:
 * source.c gives up. Must never read a clock.
 * Next in the flow: source.c; quiesce.c for the one phase that blocks the migration's thread.
 */
#include "hv/migrate/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hv/base/clock.h"
#include "hv/base/size.h"
#include "hv/mem/gmem.h"
#include "hv/migrate/source.h"

static const struct {
	const char *name, *option, *help;
	uint64_t dflt;
} limits[] = {
	[MIG_LIMIT_INIT] = { "init", "--init-timeout",
		"see whether the target is short of memory or processors", 30 * NSEC_PER_SEC },
	[MIG_LIMIT_COPY] = { "copy", "--copy-timeout",
		"use a faster link, raise --bandwidth, or freeze earlier with a longer "
		"--downtime-limit",
		0 },
	[MIG_LIMIT_QUIESCE] = { "quiesce", "--quiesce-timeout", "move when its disks answer faster",
		5 * NSEC_PER_SEC },
	[MIG_LIMIT_FROZEN] = { "frozen", "--frozen-timeout",
		"use a faster link, or freeze with less left by a shorter --downtime-limit",
		NSEC_PER_SEC },
	[MIG_LIMITS] = { "commit", "", "", 0 },
};

void mig_limits_default(struct mig_limits *l)
{
	for (int i = 0; i < MIG_LIMITS; i++)
		l->ns[i] = limits[i].dflt;
}

uint64_t mig_limits_frozen_for(uint64_t downtime_limit_ns)
{
	uint64_t dflt = limits[MIG_LIMIT_FROZEN].dflt;

	return 2 * downtime_limit_ns > dflt ? 2 * downtime_limit_ns : dflt;
}

int mig_limits_check(const struct mig_limits *l, uint64_t downtime_limit_ns, struct err *e)
{
	uint64_t frozen = l->ns[MIG_LIMIT_FROZEN];
	char a[32], b[32];

	if (!frozen || frozen >= downtime_limit_ns)
		return 0;
	return err_set(e, -EINVAL,
		"--frozen-timeout %s is less than --downtime-limit %s: a move would be given up "
		"for a blackout that is allowed; raise the one or lower the other",
		duration_format(frozen, a, sizeof(a)),
		duration_format(downtime_limit_ns, b, sizeof(b)));
}

const char *mig_limit_name(enum mig_limit l)
{
	return limits[l].name;
}

int mig_limit_parse(enum mig_limit l, const char *text, uint64_t *ns, struct err *e)
{
	int r;

	*ns = 0;
	if (strcmp(text, "none") == 0)
		return 0;
	r = duration_parse(text, ns, e);
	if (r)
		return err_wrap(e, "%s", limits[l].option);
	if (*ns == 0 || *ns > MIG_LIMIT_MOST_NS)
		return err_set(e, -EINVAL,
			"%s '%s' is not between 1ns and 30 days; 'none' is no limit",
			limits[l].option, text);
	return 0;
}

/* ---- of a move ---------------------------------------------------------------------------- */

enum mig_limit limits_phase(const struct source *s)
{
	if (s->state <= SOURCE_TRACK)
		return MIG_LIMIT_INIT;
	if (s->state < SOURCE_FREEZE)
		return MIG_LIMIT_COPY;
	if (s->state == SOURCE_FREEZE)
		return MIG_LIMIT_QUIESCE;
	/* WAIT_THAWED and the endings come after WAIT_LOADED: no phase, so no limit. */
	return s->state <= SOURCE_WAIT_LOADED ? MIG_LIMIT_FROZEN : MIG_LIMITS;
}

uint64_t limits_deadline(const struct source *s)
{
	enum mig_limit phase = limits_phase(s);

	if (phase == MIG_LIMITS || !s->params.limits.ns[phase])
		return UINT64_MAX;
	return s->far.phase_start + s->params.limits.ns[phase];
}

void limits_note(struct source *s, const struct source_event *ev)
{
	switch (ev->type) {
	case SOURCE_EV_CONNECTED: s->far.phase_start = ev->now - ev->a; break;
	case SOURCE_EV_TRACKING:
	case SOURCE_EV_HARVESTED: s->far.left_pages = ev->a; break;
	case SOURCE_EV_SENT: s->far.sent_bytes = s->far.done_bytes += ev->a; break;
	case SOURCE_EV_TICK:
	case SOURCE_EV_CANCEL:
		if (ev->a) {
			s->far.sent_bytes = ev->a;
			s->far.left_pages = ev->b;
		}
		break;
	default: break;
	}
}

/* "in round 3, 1.20 GiB sent, 200 MiB left; the guest dirties ..., the link carries ...". */
static const char *limits_far(const struct source *s, char *out, size_t n)
{
	char sent[32], left[32], dirty[32], link[32];
	int at;

	if (s->round == 0) {
		snprintf(out, n, "nothing was sent yet");
		return out;
	}
	at = snprintf(out, n, "in round %u, %s sent, %s left", s->round,
		size_format(s->far.sent_bytes, sent, sizeof(sent)),
		size_format(s->far.left_pages * GMEM_PAGE_SIZE, left, sizeof(left)));
	if (s->learned.goodput && at > 0 && (size_t)at < n)
		snprintf(out + at, n - (size_t)at,
			"; the guest dirties %s/s, the link carries %s/s",
			size_format(s->dirty_rate, dirty, sizeof(dirty)),
			size_format(s->learned.goodput, link, sizeof(link)));
	return out;
}

int limits_explain(const struct source *s, uint64_t now, struct err *e)
{
	enum mig_limit phase = limits_phase(s);
	char limit[32], took[32], far[192];

	duration_format(s->params.limits.ns[phase], limit, sizeof(limit));
	duration_format(now - s->far.phase_start, took, sizeof(took));
	return err_set(e, -ETIMEDOUT,
		"the %s phase took %s, longer than its limit of %s: %s. Raise %s, or %s",
		limits[phase].name, took, limit, limits_far(s, far, sizeof(far)),
		limits[phase].option, limits[phase].help);
}

int limits_explain_cancel(const struct source *s, struct err *e)
{
	char far[192];

	return err_set(e, -ECANCELED, "the move was cancelled in its %s phase: %s",
		limits[limits_phase(s)].name, limits_far(s, far, sizeof(far)));
}

bool limits_forbid_freeze(const struct source *s, struct err *e)
{
	uint64_t limit = s->params.limits.ns[MIG_LIMIT_FROZEN];
	char a[32], b[32], far[192];

	if (!limit || s->predicted.total_ns <= limit)
		return false;
	err_set(e, -ETIMEDOUT,
		"the guest was not frozen, because that would take %s while the frozen phase may "
		"last %s: %s. Raise --frozen-timeout, or use a faster link",
		duration_format(s->predicted.total_ns, a, sizeof(a)),
		duration_format(limit, b, sizeof(b)), limits_far(s, far, sizeof(far)));
	return true;
}

int limits_wrap_init(uint64_t limit_ns, struct err *e)
{
	char limit[32];

	return err_wrap(e,
		"the init phase took longer than its limit of %s, before anything was sent (raise "
		"--init-timeout, or %s)",
		duration_format(limit_ns, limit, sizeof(limit)), limits[MIG_LIMIT_INIT].help);
}
