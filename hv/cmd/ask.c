/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the shape of the simple commands (see ask.h).
 * Next in the flow: status.c, pause.c, resume.c, kill.c; hv/ctl/client.h.
 */
#include "hv/cmd/ask.h"

#include <stdio.h>

#include "hv/ctl/client.h"

struct ask_args {
	const char *name;
	bool json;
};

static error_t ask_option(int key, char *arg, struct argp_state *state)
{
	struct ask_args *a = state->input;

	switch (key) {
	case 'j': a->json = true; break;
	case ARGP_KEY_ARG: cmd_take_name(&a->name, arg, state); break;
	case ARGP_KEY_END: cmd_need_name(a->name, state); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option ask_options[] = {
	{ .name = "json", .key = 'j', .doc = "Print the answer as one JSON object" },
	{ 0 },
};

void ask_print_json(const json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
}

int ask_run(const struct ask *a, int argc, char **argv)
{
	const struct argp argp = {
		.options = ask_options,
		.parser = ask_option,
		.args_doc = "NAME",
		.doc = a->doc,
	};
	struct ask_args args = { 0 };
	struct err e = { 0 };
	json_t *answer;
	int rc;

	cmd_parse(&argp, argc, argv, &args);
	rc = a->ask ? a->ask(NULL, args.name, &answer, &e)
		    : ctl_ask(NULL, args.name, a->op, &answer, &e);
	if (rc < 0) {
		if (a->explain)
			a->explain(args.name, &e);
		return cmd_fail(&e);
	}
	json_object_del(answer, "ok");
	if (args.json) {
		json_object_set_new(answer, "name", json_string(args.name));
		ask_print_json(answer);
	} else {
		a->tell(args.name, answer);
	}
	json_decref(answer);
	return CMD_OK;
}
