/* SPDX-License-Identifier: Apache-2.0 */
/* watari pause: the guest's virtual CPUs stop until resume. Next in the flow: hv/ctl/guest.c. */
#include <stdio.h>

#include "hv/cmd/ask.h"

static void pause_tell(const char *name, const json_t *answer)
{
	bool changed = json_is_true(json_object_get(answer, "changed"));

	printf("guest %s %s\n", name, changed ? "is paused" : "was paused already");
}

int cmd_pause(int argc, char **argv)
{
	static const struct ask a = {
		.op = "pause",
		.doc = "Stop the virtual CPUs of guest NAME until 'watari resume'. It may be asked "
		       "twice, and it may be asked while the guest is on a move.",
		.tell = pause_tell,
	};

	return ask_run(&a, argc, argv);
}
