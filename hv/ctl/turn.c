/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the wait for a turn (see turn.h). Must never hold a place while it waits for the target:
 * others may have business elsewhere.
 * Next in the flow: slots.c.
 */
#include "hv/ctl/turn.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "hv/ctl/proto.h"
#include "hv/migrate/cancel.h"

#define TURN_BUSY_POLLS 10 /* of CTL_SLOT_POLL_MS, between two questions to a busy target */

static int turn_cancelled(struct err *e)
{
	return err_set(e, -ECANCELED,
		"the move was cancelled while it waited for its turn: nothing was sent yet");
}

static int turn_join(struct ctl_turn *t, struct err *e)
{
	return ctl_slot_open(&t->slot, ctl_runtime_dir(), CTL_OUT, t->wish.most, t->what, e);
}

int ctl_turn_begin(struct ctl_turn *t, struct err *e)
{
	char waits[CTL_SLOTS_TEXT];
	int rc = turn_join(t, e);

	if (rc == 0 && t->wish.no_wait)
		rc = ctl_slot_look(&t->slot, waits, e);
	if (rc == 0 && t->wish.no_wait)
		rc = err_set(e, -EUSERS, "it would have to wait for %s", waits);
	if (rc < 0)
		ctl_slot_close(&t->slot);
	return rc < 0 ? rc : 0;
}

static int turn_wait(struct ctl_turn *t, struct err *e)
{
	char waits[CTL_SLOTS_TEXT];
	int rc;

	while (t->slot.place_fd < 0) {
		if (mig_is_cancelled(t->cancel))
			return turn_cancelled(e);
		rc = ctl_slot_look(&t->slot, waits, e);
		if (rc < 0)
			return rc;
		if (rc == 1)
			break;
		t->say(t->arg, waits);
		usleep(CTL_SLOT_POLL_MS * 1000);
	}
	t->say(t->arg, "");
	return 0;
}

int ctl_turn_take(struct ctl_turn *t, struct err *e)
{
	int rc = t->slot.dir_fd < 0 ? turn_join(t, e) : 0;

	if (rc >= 0)
		rc = turn_wait(t, e);
	if (rc < 0)
		ctl_slot_close(&t->slot);
	else
		ctl_giveway_open(&t->giveway, t->slot.dir_fd);
	return rc;
}

void ctl_turn_end(struct ctl_turn *t)
{
	ctl_giveway_close(&t->giveway);
	ctl_slot_close(&t->slot);
}

bool ctl_turn_again(struct ctl_turn *t, int *rc, struct err *e)
{
	char waits[CTL_SLOTS_TEXT];

	if (*rc != -EUSERS || t->wish.no_wait)
		return false;
	snprintf(waits, sizeof(waits), "%.*s", (int)sizeof(waits) - 1, e->msg);
	t->say(t->arg, waits);
	for (int i = 0; i < TURN_BUSY_POLLS; i++) {
		if (mig_is_cancelled(t->cancel)) {
			*rc = turn_cancelled(e);
			return false;
		}
		usleep(CTL_SLOT_POLL_MS * 1000);
	}
	err_clear(e);
	return true;
}
