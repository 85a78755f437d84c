/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watari own: settles whose a guest is whose move was cut in the hand-over, by running it here.
 * Next in the flow: hv/ctl/own.c.
 */
#include <stdio.h>

#include "hv/cmd/ask.h"

static void own_tell(const char *name, const json_t *answer)
{
	const char *state = json_string_value(json_object_get(answer, "state"));

	printf("guest %s is this host's: %s\n", name, state ? state : "it goes on");
}

int cmd_own(int argc, char **argv)
{
	static const struct ask a = {
		.op = "own",
		.doc = "Run guest NAME here, which is in doubt after a move that was cut in the "
		       "hand-over. Refused while another host holds its disk, or has become its owner. "
		       "A guest without a disk that tells: make sure first that it does not run on "
		       "the other host.",
		.tell = own_tell,
	};

	return ask_run(&a, argc, argv);
}
