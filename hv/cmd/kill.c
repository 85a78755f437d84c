/* SPDX-License-Identifier: Apache-2.0 */
/* watari kill: the end of a guest and its process. Next in the flow: hv/ctl/guest.c. */
#include <stdio.h>

#include "hv/cmd/ask.h"
#include "hv/ctl/client.h"

static void kill_tell(const char *name, const json_t *answer)
{
	(void)answer;
	printf("guest %s is ended\n", name);
}

int cmd_kill(int argc, char **argv)
{
	static const struct ask a = {
		.ask = ctl_kill,
		.doc = "End guest NAME at once, as pulling its plug would. The guest is not asked.",
		.tell = kill_tell,
	};

	return ask_run(&a, argc, argv);
}
