/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari cancel: gives a guest's move up, from wherever it was asked for.
 * Next in the flow: hv/ctl/guest.c, hv/ctl/cancel.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static void cancel_last(void *arg, const json_t *line)
{
	json_t **last = arg;

	json_decref(*last);
	*last = json_deep_copy(line);
}

/* The guest is not here: if it just left, that is the answer. */
static void cancel_explain(const char *name, struct err *e)
{
	json_t *last = NULL;
	const char *result, *direction, *to, *when;
	unsigned bad;

	if (e->code != -ENOENT ||
		history_read(ctl_state_dir(), name, cancel_last, &last, &bad, NULL))
		return;
	result = json_string_value(json_object_get(last, "result"));
	direction = json_string_value(json_object_get(last, "direction"));
	to = json_string_value(json_object_get(last, "to"));
	when = json_string_value(json_object_get(last, "time"));
	if (result && direction && to && when && strcmp(result, "moved") == 0 &&
		strcmp(direction, "out") == 0)
		err_set(e, -EALREADY, "it is too late: guest '%s' moved to %s at %s", name, to,
			when);
	json_decref(last);
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
