/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those who cancelled a move and wait for the answer: they get it when the move has ended, and in
 * any case within CTL_CANCEL_MS, because a cancelled move cannot commit (hv/migrate/cancel.h)
 * however long it takes to end. All calls belong to the loop's thread. Next in the flow: migrate.c.
 */
#ifndef WATARI_CTL_CANCEL_H
#define WATARI_CTL_CANCEL_H

#include <stdbool.h>

#include "hv/base/err.h"
#include "hv/base/loop.h"
#include "hv/ctl/server.h"
#include "hv/migrate/move.h"

#define CTL_CANCEL_MS 500

struct ctl_cancel {
	struct loop *loop;
	int timer_fd;         /* -1: nobody waits */
	enum mig_phase phase; /* that was cancelled */
	struct ctl_conn *waiting[CTL_CLIENTS_MAX];
};

void ctl_cancel_init(struct ctl_cancel *k, struct loop *l);
/* Holds @c until the end; @phase is where the move was when it was cancelled first. */
void ctl_cancel_wait(struct ctl_cancel *k, struct ctl_conn *c, enum mig_phase phase);
/* @c is gone: it is not answered any more. */
void ctl_cancel_forget(struct ctl_cancel *k, const struct ctl_conn *c);
/* The move has ended, for @why. Answers all who wait; harmless without any. */
void ctl_cancel_ended(struct ctl_cancel *k, const struct err *why);

#endif
