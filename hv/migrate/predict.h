/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic behind the decision to freeze: the whole blackout as it would be if the guest were
 * frozen now, and what another round would make of it. Pure functions.
 * Next in the flow: hv/migrate/source.c uses them.
 */
#ifndef WATARI_MIGRATE_PREDICT_H
#define WATARI_MIGRATE_PREDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/migrate/source.h"

/*
 * Rounds in a row without progress that count as a stall. Rounds shrink geometrically when a guest
 * dirties less than the link carries, so five without a gain of a tenth are no accident; on a busy
 * host one or two are. Throttling can be taken back, so it need not be as sure of it.
 */
#define PREDICT_STALL_ROUNDS          5
#define PREDICT_STALL_ROUNDS_THROTTLE 2

/* Rounds that may be spent on a blackout well below the limit once it is met. */
#define PREDICT_POLISH_ROUNDS 8

/*
 * The blackout as it would be if the guest were frozen now, step by step; each step from its own
 * estimate (estimate.h), or rehearsed by the target (READY), or measured by a kick of the vCPUs.
 */
void predict_blackout(const struct source *s, struct mig_blackout *out);

/*
 * True if the next round had better leave the hot pages out: it would take at least half as long as
 * the one in which all of them were written again, so most of them would be dirty once more. Where
 * rounds still get much shorter, what was hot in a long one may well stay clean in the next. Not
 * if hot pages are nearly all there is: a round of hardly anything says nothing.
 */
bool predict_hold(const struct source *s);

/*
 * True if one more round, with the guest running, would make the blackout shorter by a quarter or
 * more: the pages dirtied while the residual is sent are fewer than the residual. A round that
 * leaves hot pages out (s->hold) leaves these, and what else is dirtied meanwhile; then it is three
 * such rounds that have to make it shorter by a quarter.
 */
bool predict_worth_a_round(const struct source *s);

/* True if the blackout would exceed the limit with nothing left to send: slowing the guest down
 * cannot help. */
bool predict_impossible(const struct source *s);

/*
 * The share of their time, in thousandths, to which the writing vCPUs are to be slowed next:
 * enough, by what the last round measured, to dirty half of what the link carries; at least
 * SOURCE_SHARE_LEAST. Dirty rates are measured in distinct pages, so a small working set that is
 * rewritten many times a round takes more than one step.
 */
unsigned predict_share(const struct source *s);

/* Says why rounds do not get smaller, with the figures and the ways out. Returns e->code. */
int predict_explain_stall(const struct source *s, struct err *e);

#endif
