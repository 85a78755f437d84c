/* SPDX-License-Identifier: Apache-2.0 */
/* watari reset: the reset button. Next in the flow: hv/ctl/guest.c. */
#include <stdio.h>

#include "hv/cmd/ask.h"

static void reset_tell(const char *name, const json_t *answer)
{
	(void)answer;
	printf("guest %s starts again\n", name);
}

int cmd_reset(int argc, char **argv)
{
	static const struct ask a = {
		.op = "reset",
		.doc = "Start guest NAME again from power-on, as its reset button would. The guest is "
		       "not asked.",
		.tell = reset_tell,
	};

	return ask_run(&a, argc, argv);
}
