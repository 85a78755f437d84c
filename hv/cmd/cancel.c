/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari cancel: gives a guest's move up, from wherever it was asked for.
 * Next in the flow: hv/ctl/guest.c, hv/ctl/cancel.h.
 */
#include <errno.h>
#include <stdio.h>

#include "hv/cmd/ask.h"
#include "hv/ctl/history.h"

static void cancel_tell(const char *name, const json_t *answer)
{
	const char *reason = json_string_value(json_object_get(answer, "reason"));

	if (json_is_true(json_object_get(answer, "ended")))
		printf("guest %s stays here: %s\n", name,
			reason ? reason : "its move was cancelled");
	else
		printf("guest %s stays here: its move is being given up\n", name);
}

/* The guest is not here: if it just left, that is the answer. */
static void cancel_explain(const char *name, struct err *e)
{
	json_t *left;

	if (e->code != -ENOENT || !history_left(ctl_state_dir(), name, &left))
		return;
	err_set(e, -EALREADY, "it is too late: guest '%s' moved to %s at %s", name,
		json_string_value(json_object_get(left, "to")),
		json_string_value(json_object_get(left, "time")));
	json_decref(left);
}

int cmd_cancel(int argc, char **argv)
{
	static const struct ask a = {
		.op = "cancel",
		.doc = "Give up the move that guest NAME is on, as long as it has not been handed over. "
		       "It goes on here, and is not stopped for it.",
		.tell = cancel_tell,
		.explain = cancel_explain,
	};

	return ask_run(&a, argc, argv);
}
