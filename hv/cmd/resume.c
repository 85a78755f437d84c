/* SPDX-License-Identifier: Apache-2.0 */
/* watari resume: a paused guest goes on. Next in the flow: hv/ctl/guest.c. */
#include <stdio.h>

#include "hv/cmd/ask.h"

static void resume_tell(const char *name, const json_t *answer)
{
	bool changed = json_is_true(json_object_get(answer, "changed"));

	printf("guest %s %s\n", name, changed ? "goes on" : "was not paused");
}

int cmd_resume(int argc, char **argv)
{
	static const struct ask a = {
		.op = "resume",
		.doc = "Let guest NAME, paused by 'watari pause' or 'run --paused', go on. It may be "
		       "asked twice.",
		.tell = resume_tell,
	};

	return ask_run(&a, argc, argv);
}
